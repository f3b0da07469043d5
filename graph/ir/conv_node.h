// Questions about convolutions and what stands beside them that several rooms ask.
#pragma once

#include <optional>
#include <string>

#include "graph/ir/graph.h"

namespace cytodet::graph {

// Whether data_format is NCHW; nodes without the attribute are NHWC.
bool is_channels_first(const Node& n);
// Output channels of the filter of a Conv2D or MatMul (its last axis), or DepthwiseConv2dNative (channels * multiplier).
int64_t output_channels(const std::string& op, const Shape& filter);

// v ─▶ BiasAdd | Add | AddV2 of a constant: what alone reads v, if it is such a sum.
struct BiasNode {
  NodeId node;
  int input;  // that is v
  const Tensor* bias;
};
std::optional<BiasNode> bias_behind(const Graph& graph, const Consumers& uses, Value v);

}  // namespace cytodet::graph
