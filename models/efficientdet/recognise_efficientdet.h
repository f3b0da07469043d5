// Recognising an EfficientDet by its heads.
#pragma once

#include "models/recognise.h"

namespace cytodet::models {

extern const Recogniser kRecogniseEfficientDet;

}  // namespace cytodet::models
