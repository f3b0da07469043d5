#include "graph/quantized/split_groups.h"

#include "graph/ir/conv_node.h"
#include "graph/ir/frames.h"
#include "graph/ir/op.h"

namespace cytodet::graph {
namespace {

constexpr int64_t kMaxGroups = 4096;

class Splitter {
 public:
  explicit Splitter(Graph& graph) : g_(graph), facts_(graph), frames_(graph) {}

  // 0: not known.
  int64_t groups_of(NodeId id) const {
    const Node& n = g_.node(id);
    const auto &x = facts_.of(n.inputs.at(0)).shape, &filter = facts_.of(n.inputs.at(1)).shape;
    if (!x || !filter || x->size() != 4 || filter->size() != 4) return 0;
    const bool first = is_channels_first(n);
    const int64_t in = (*x)[first ? 1 : 3], of_group = (*filter)[2], out = (*filter)[3];
    if (in <= 0 || of_group <= 0 || in % of_group || out % (in / of_group)) return 0;
    return in / of_group;
  }

  // The node becomes the ConcatV2, so that its name stays.
  void split(NodeId id, int64_t groups) {
    const Node conv = g_.node(id);
    const int axis = is_channels_first(conv) ? 1 : 3;
    const DType type = conv.attr_or("T", DType::f32);
    const NodeId alive = anchor_of(g_, frames_, conv.inputs[0]);
    const auto int_constant = [&](const char* what, int v) {
      const Value c = g_.add_const(conv.name + what, Tensor::scalar(static_cast<int32_t>(v)));
      if (alive >= 0) g_.node(c.node).controls = {alive};
      return c;
    };
    const auto parts = [&](const char* what, Value at, Value whole) {
      AttrMap a;
      a.emplace("T", type);
      a.emplace("num_split", groups);
      return g_.add_new(conv.name + what, "Split", {at, whole}, std::move(a)).node;
    };
    const Value at = int_constant("/axis", axis), of_filter = axis == 3 ? at : int_constant("/filter_axis", 3);
    const NodeId inputs = parts("/inputs", at, conv.inputs[0]), filters = parts("/filters", of_filter, conv.inputs[1]);
    std::vector<Value> results;
    for (int k = 0; k < static_cast<int>(groups); ++k) {
      const Value one = g_.add_new(conv.name + "/group_" + std::to_string(k), "Conv2D", {{inputs, k}, {filters, k}}, conv.attrs);
      g_.node(one.node).controls = conv.controls;
      g_.node(one.node).device = conv.device;
      results.push_back(one);
    }
    results.push_back(at);
    Node& joined = g_.node(id);
    joined.op = "ConcatV2";
    joined.inputs = results;
    joined.attrs.clear();
    joined.attrs.emplace("T", type);
    joined.attrs.emplace("N", groups);
    joined.attrs.emplace("Tidx", DType::i32);
  }

 private:
  Graph& g_;
  const Facts facts_;
  const Frames frames_;
};

}  // namespace

std::vector<NodeId> split_groups(Graph& graph, const std::set<NodeId>& convolutions) {
  Splitter splitter(graph);
  std::vector<std::pair<NodeId, int64_t>> found;
  std::vector<NodeId> unknown;
  for (NodeId id : convolutions) {
    if (!graph.alive(id) || graph.node(id).op != "Conv2D" || graph.node(id).inputs.size() < 2) continue;
    const int64_t groups = splitter.groups_of(id);
    if (groups < 1 || groups > kMaxGroups)
      unknown.push_back(id);
    else if (groups > 1)
      found.emplace_back(id, groups);
  }
  if (unknown.empty())
    for (const auto& [id, groups] : found) splitter.split(id, groups);
  return unknown;
}

}  // namespace cytodet::graph
