// A network as the bytes of a .tflite file.
#pragma once

#include <string>

#include "graph/io/tflite/write/lite_net.h"

namespace cytodet::graph::lite {

// Tensors that nobody reads are left out. Throws Error where the bytes would be more than 2 GB.
std::string encode(const LiteNet& net);

}  // namespace cytodet::graph::lite
