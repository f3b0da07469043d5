// Names of ONNX's nodes and tensors as names of a Graph's nodes.
#pragma once

#include <string>
#include <string_view>

namespace cytodet::graph {

// TensorFlow's nodes have letters, digits and ._-/ in their names, and begin with a letter, digit or dot: "/model/conv:1" becomes
// "model/conv_1", "x:0" becomes "x". Never empty.
std::string node_name(std::string_view onnx_name);

}  // namespace cytodet::graph
