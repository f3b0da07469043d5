// Questions about convolutions and what stands beside them that several rooms ask.
#pragma once

#include <optional>
#include <string>

#include "graph/ir/graph.h"

namespace cytodet::graph {

// The order of a map's dimensions: "NHWC", also of nodes that do not say it, "NCHW", or one of another rank or for one device.
std::string data_format(const Node& n);
bool is_channels_first(const Node& n);  // NCHW, or NCDHW of volumes
bool is_channels_last(const Node& n);   // NHWC, or NDHWC of volumes
// Whether channels are the second dimension of a map of this rank (NCHW, NCDHW); never of a matrix.
bool channel_is_second(const Node& n, int64_t rank);
// Whether products of this op with a constant filter or matrix have a form in 8 bits: convolutions of maps and volumes, depthwise
// ones, and MatMul.
bool has_int8_form(const std::string& op);
// Output channels of the filter of a Conv2D, Conv3D or MatMul (its last axis), or DepthwiseConv2dNative (channels * multiplier).
int64_t output_channels(const std::string& op, const Shape& filter);

// v ─▶ BiasAdd | Add | AddV2 of a constant: what alone reads v, if it is such a sum.
struct BiasNode {
  NodeId node;
  int input;  // that is v
  const Tensor* bias;
};
std::optional<BiasNode> bias_behind(const Graph& graph, const Consumers& uses, Value v);

}  // namespace cytodet::graph
