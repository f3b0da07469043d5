// x ─▶ SpaceToBatchND ─▶ Conv2D ─▶ BatchToSpaceND becomes the dilated convolution that it is (graph/ir/batch_dilation). Depthwise
// as they are, since TensorFlow without oneDNN has none with dilations; kernels find them (exec/lower/match_dilated).
#include <array>

#include "graph/ir/batch_dilation.h"
#include "graph/ir/conv_node.h"
#include "graph/passes/node_edits.h"
#include "graph/passes/passes.h"

namespace cytodet::graph {
namespace {

struct DilatedConvolution {
  NodeId before, convolution;
  BatchDilation form;
};

std::string padding_name(const BatchDilation& d, const Tensor& filter) {
  if (d.padding == std::array<int64_t, 4>{}) return "VALID";
  std::array<int64_t, 4> same{};
  for (size_t side = 0; side < 2; ++side) {
    const int64_t total = (filter.dim(static_cast<int>(side)) - 1) * d.dilation[side];
    same[2 * side] = total / 2;
    same[2 * side + 1] = total - total / 2;
  }
  return d.padding == same ? "SAME" : "EXPLICIT";
}

// The dilated convolution that ends in node `id`, a BatchToSpaceND:
//
//   x ─▶ SpaceToBatchND ─▶ Conv2D(constant filter), channels last ─▶ BatchToSpaceND
std::optional<DilatedConvolution> dilated_convolution(const Graph& g, const Consumers& uses, const std::set<NodeId>& outputs,
                                                      NodeId id) {
  const Node& after = g.node(id);
  if (after.op != "BatchToSpaceND" || after.inputs.empty() || !after.controls.empty()) return {};
  const NodeId convolution = after.inputs[0].node;
  const Node& n = g.node(convolution);
  if (n.op != "Conv2D" || n.inputs.size() != 2 || is_channels_first(n)) return {};
  if (!uses.sole(convolution) || outputs.contains(convolution) || !n.controls.empty()) return {};
  const Tensor* filter = g.constant(n.inputs[1]);
  const NodeId before = n.inputs[0].node;
  if (!filter || filter->rank() != 4 || !g.node(before).controls.empty()) return {};
  const auto form = batch_dilation(g.node(before), n, after, [&](Value v) { return g.constant(v); });
  if (!form) return {};
  return DilatedConvolution{before, convolution, *form};
}

void set_ints(Node& n, const char* key, std::vector<int64_t> ints) {
  AttrList list;
  list.ints = std::move(ints);
  n.attrs.insert_or_assign(key, Attr(std::move(list)));
}

}  // namespace

//   x ─▶ SpaceToBatchND ─▶ Conv2D ─▶ BatchToSpaceND
// becomes
//   x ─▶ Conv2D with dilations
bool pass_merge_dilated_convolutions(Graph& g, const Interface& io) {
  const Consumers uses(g);
  const std::set<NodeId> outputs = output_ids(g, io);
  bool changed = false;
  for (NodeId id : g.ids()) {
    const std::optional<DilatedConvolution> d = dilated_convolution(g, uses, outputs, id);
    if (!d) continue;
    const Node& convolution = g.node(d->convolution);
    const std::string padding = padding_name(d->form, *g.constant(convolution.inputs[1]));
    Node& merged = g.node(id);
    merged.inputs = {g.node(d->before).inputs[0], convolution.inputs[1]};
    merged.attrs = convolution.attrs;
    merged.op = convolution.op;
    set_ints(merged, "dilations", {1, d->form.dilation[0], d->form.dilation[1], 1});
    merged.attrs.insert_or_assign("padding", Attr(padding));
    if (padding == "EXPLICIT")
      set_ints(merged, "explicit_paddings",
               {0, 0, d->form.padding[0], d->form.padding[1], d->form.padding[2], d->form.padding[3], 0, 0});
    changed = true;
  }
  if (changed) sweep(g, io);
  return changed;
}

}  // namespace cytodet::graph
