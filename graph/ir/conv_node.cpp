#include "graph/ir/conv_node.h"

namespace cytodet::graph {

std::string data_format(const Node& n) { return n.attr_or<std::string>("data_format", "NHWC"); }
bool is_channels_first(const Node& n) { return data_format(n) == "NCHW" || data_format(n) == "NCDHW"; }
bool is_channels_last(const Node& n) { return data_format(n) == "NHWC" || data_format(n) == "NDHWC"; }
bool channel_is_second(const Node& n, int64_t rank) { return data_format(n).starts_with("NC") && rank > 2; }

bool has_int8_form(const std::string& op) {
  return op == "Conv2D" || op == "Conv3D" || op == "DepthwiseConv2dNative" || op == "MatMul";
}

int64_t output_channels(const std::string& op, const Shape& filter) {
  return op == "DepthwiseConv2dNative" ? filter[2] * filter[3] : filter.back();
}

std::optional<BiasNode> bias_behind(const Graph& graph, const Consumers& uses, Value v) {
  const auto& readers = uses.of(v);
  if (readers.size() != 1) return {};
  const Consumers::Use use = readers[0];
  const Node& n = graph.node(use.node);
  if ((n.op != "BiasAdd" && n.op != "Add" && n.op != "AddV2") || n.inputs.size() != 2) return {};
  const Tensor* bias = graph.constant(n.inputs[static_cast<size_t>(1 - use.input)]);
  if (!bias) return {};
  return BiasNode{use.node, static_cast<int>(use.input), bias};
}

}  // namespace cytodet::graph
