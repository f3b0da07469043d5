#include "quant/row_ops.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>

#include "graph/ir/conv_node.h"
#include "graph/ir/op.h"

namespace cytodet::quant {
namespace {

using Names = std::set<std::string>;

class RowOps {
 public:
  explicit RowOps(const Graph& graph) : graph_(graph), uses_(graph) {}

  bool is_map(Value v) const {
    const Fact& fact = facts().of(v);
    return !graph_.constant(v) && fact.dtype == DType::f32 && fact.shape && fact.shape->size() == 4 && !fact.constant;
  }

  bool read_once(Value v) const { return uses_.of(v).size() == 1; }

  bool pools(const Node& n) const {
    if (n.op == "AvgPool" || n.op == "ResizeBilinear") return true;
    return n.op == "Mean" && n.inputs.size() == 2 && are_height_and_width(graph_.constant(n.inputs[1]));
  }

  // Whether nothing but convolutions, products and pools reads v: all of them quantize it, and alike.
  bool read_by_layers(Value v) const {
    const std::vector<Consumers::Use> readers = uses_.of(v);
    return std::all_of(readers.begin(), readers.end(), [&](Consumers::Use use) {
      const Node& n = graph_.node(use.node);
      return use.input == 0 && (pools(n) || (has_int8_form(n.op) && graph_.constant(n.inputs[1])));
    });
  }

  // Whether all that the node reads are maps of one shape.
  bool of_maps(const Node& n) const {
    return std::all_of(n.inputs.begin(), n.inputs.end(),
                       [&](Value v) { return is_map(v) && facts().of(v).shape == facts().of(n.inputs[0]).shape; });
  }

  // The input at which a term of a sum is quantized: before the factor and the upsampling that the sum takes with it.
  RowInput behind_factors(NodeId op, size_t input) const {
    RowInput in{op, op, input, graph_.node(op).inputs[input]};
    while (read_once(in.value)) {
      const Node& n = graph_.node(in.value.node);
      size_t next = 0;
      if (n.op == "Mul" || n.op == "RealDiv") {
        const auto is_number = [&](size_t i) {
          const Tensor* t = n.inputs.size() == 2 ? graph_.constant(n.inputs[i]) : nullptr;
          return t && t->size() == 1;
        };
        if (!is_number(1) && !(n.op == "Mul" && is_number(0))) break;
        next = is_number(1) ? 0 : 1;
      } else if (n.op != "ResizeNearestNeighbor") {
        break;
      }
      if (!is_map(n.inputs[next])) break;
      in = {op, in.value.node, next, n.inputs[next]};
    }
    return in;
  }

  // Whether v, which one node reads, is what a convolution gives with its bias and activation.
  bool of_a_convolution(Value v) const {
    if (!read_once(v)) return false;
    const Node& n = graph_.node(v.node);
    if (const Value x = before_swish(n); x.node >= 0)
      v = x;
    else if (is_activation(n))
      v = read_once(n.inputs[0]) ? n.inputs[0] : v;
    const Node& last = graph_.node(v.node);
    const bool biased = last.op == "BiasAdd" || (is_sum(last) && last.inputs.size() == 2 && graph_.constant(last.inputs[1]));
    static const Names kConvolutions{"Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput"};
    return kConvolutions.contains(biased ? graph_.node(last.inputs[0].node).op : last.op);
  }

  static bool is_activation(const Node& n) { return n.op == "Relu" || n.op == "Relu6" || n.op == "Sigmoid"; }
  static bool is_sum(const Node& n) { return n.op == "Add" || n.op == "AddV2" || n.op == "AddN"; }

  // x of x * Sigmoid(x), when nothing else reads it; no value otherwise.
  Value before_swish(const Node& mul) const {
    if (mul.op == "Mul" && mul.inputs.size() == 2)
      for (size_t i : {0, 1}) {
        const Node& s = graph_.node(mul.inputs[i].node);
        if (s.op == "Sigmoid" && s.inputs[0] == mul.inputs[1 - i] && uses_.of(s.inputs[0]).size() == 2) return s.inputs[0];
      }
    return {-1, 0};
  }

  // Whether no layer before makes an activation behind v its own.
  bool stands_alone(Value v) const {
    static const Names kOps{"AvgPool", "MaxPool", "ResizeBilinear", "ResizeNearestNeighbor", "ConcatV2"};
    return is_map(v) && kOps.contains(graph_.node(v.node).op);
  }

  const Consumers& uses() const { return uses_; }

 private:
  // Few graphs have a node that asks.
  const Facts& facts() const {
    if (!facts_) facts_.emplace(graph_);
    return *facts_;
  }

  const Graph& graph_;
  const Consumers uses_;
  mutable std::optional<Facts> facts_;
};

void add_elementwise(const Graph& graph, const RowOps& ops, const std::vector<NodeId>& order, std::vector<RowInput>& found) {
  for (NodeId id : order) {
    const Node& n = graph.node(id);
    if (ops.is_activation(n)) {
      const Value v = n.inputs[0];
      if (!ops.stands_alone(v)) continue;
      for (const Consumers::Use& use : ops.uses().of(v))
        if (use.node == id || ops.before_swish(graph.node(use.node)) == v)
          found.push_back({id, use.node, static_cast<size_t>(use.input), v});
    } else if ((ops.is_sum(n) || (n.op == "Mul" && ops.before_swish(n).node < 0)) && ops.of_maps(n)) {
      bool joined = n.op == "Mul";  // one convolution may add the others' sum to its own result
      for (size_t i = 0; i < n.inputs.size(); ++i) {
        if (!joined && ops.of_a_convolution(n.inputs[i]))
          joined = true;
        else
          found.push_back(n.op == "Mul" ? RowInput{id, id, i, n.inputs[i]} : ops.behind_factors(id, i));
      }
    }
  }
}

}  // namespace

std::vector<RowInput> row_inputs(const Graph& graph, bool elementwise) {
  const RowOps ops(graph);
  const std::vector<NodeId> order = graph.topological_order();
  std::vector<RowInput> found;
  for (NodeId id : order) {
    const Node& n = graph.node(id);
    if (ops.pools(n) && ops.read_by_layers(n.inputs[0]) && ops.is_map(n.inputs[0])) found.push_back({id, id, 0, n.inputs[0]});
  }
  if (elementwise) add_elementwise(graph, ops, order, found);
  return found;
}

}  // namespace cytodet::quant
