// The shipped classifier of blood cells, and its crops (scripts/train_classifier.py).
#pragma once

#include <string>

#include "tests/pipeline/program.h"

namespace cytodet::test {

inline const std::string kCells = kSource + "/tests/data/cells";
inline const std::string kClassifier = kSource + "/models/classification/blood_cells.json";

}  // namespace cytodet::test
