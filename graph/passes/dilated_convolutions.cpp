// Dilated convolutions as they were written before TensorFlow's convolutions knew dilations, and as Keras still writes them:
//
//   x ─▶ SpaceToBatchND [b, b] ─▶ Conv2D, VALID, stride 1 ─▶ BatchToSpaceND [b, b]
//
// is a convolution of x with dilation b. What is padded before and not cropped behind is its padding. Depthwise convolutions stay
// as they are, since TensorFlow without oneDNN has none with dilations; kernels find them (exec/lower/match_dilated).
#include <algorithm>
#include <array>

#include "graph/ir/conv_node.h"
#include "graph/passes/node_edits.h"
#include "graph/passes/passes.h"

namespace cytodet::graph {
namespace {

// Block sizes, and {top, bottom, left, right} that SpaceToBatchND pads or BatchToSpaceND crops; over height and width.
struct SpatialBlocks {
  std::vector<int64_t> sizes, edges;
};
std::optional<SpatialBlocks> spatial_blocks(const Graph& g, NodeId id, const char* op) {
  const Node& n = g.node(id);
  if (n.op != op || n.inputs.size() != 3) return {};
  const Tensor *sizes = g.constant(n.inputs[1]), *edges = g.constant(n.inputs[2]);
  if (!sizes || !edges || sizes->size() != 2 || edges->size() != 4) return {};
  return SpatialBlocks{sizes->as_ints(), edges->as_ints()};
}

bool is_all_ones(const Node& n, std::string_view key) {
  const std::vector<int64_t> list = n.attr_or(std::string(key), AttrList{}).ints;
  return std::all_of(list.begin(), list.end(), [](int64_t i) { return i == 1; });
}

struct DilatedConvolution {
  NodeId before, convolution;
  std::vector<int64_t> dilation;
  std::array<int64_t, 4> padding;  // top, bottom, left, right
};

std::string padding_name(const DilatedConvolution& d, const Tensor& filter) {
  if (d.padding == std::array<int64_t, 4>{}) return "VALID";
  std::array<int64_t, 4> same{};
  for (size_t side = 0; side < 2; ++side) {
    const int64_t total = (filter.dim(static_cast<int>(side)) - 1) * d.dilation[side];
    same[2 * side] = total / 2;
    same[2 * side + 1] = total - total / 2;
  }
  return d.padding == same ? "SAME" : "EXPLICIT";
}

// The dilated convolution that ends in node `id`, a BatchToSpaceND.
std::optional<DilatedConvolution> dilated_convolution(const Graph& g, const Consumers& uses, const std::set<NodeId>& outputs,
                                                      NodeId id) {
  const std::optional<SpatialBlocks> after = spatial_blocks(g, id, "BatchToSpaceND");
  if (!after || !g.node(id).controls.empty()) return {};
  const NodeId convolution = g.node(id).inputs[0].node;
  const Node& n = g.node(convolution);
  if (n.op != "Conv2D" || n.inputs.size() != 2 || is_channels_first(n)) return {};
  if (n.attr_or<std::string>("padding", "") != "VALID" || !is_all_ones(n, "strides") || !is_all_ones(n, "dilations")) return {};
  if (!uses.sole(convolution) || outputs.contains(convolution) || !n.controls.empty()) return {};
  const Tensor* filter = g.constant(n.inputs[1]);
  const NodeId space = n.inputs[0].node;
  const std::optional<SpatialBlocks> before = spatial_blocks(g, space, "SpaceToBatchND");
  if (!filter || filter->rank() != 4 || !before || before->sizes != after->sizes || !g.node(space).controls.empty()) return {};
  if (std::any_of(before->sizes.begin(), before->sizes.end(), [](int64_t b) { return b < 1 || b > 256; })) return {};
  DilatedConvolution d{space, convolution, before->sizes, {}};
  for (size_t i = 0; i < 4; ++i) {
    d.padding[i] = before->edges[i] - after->edges[i];
    if (d.padding[i] < 0 || d.padding[i] > 1024) return {};
  }
  return d;
}

void set_ints(Node& n, const char* key, std::vector<int64_t> ints) {
  AttrList list;
  list.ints = std::move(ints);
  n.attrs.insert_or_assign(key, Attr(std::move(list)));
}

}  // namespace

bool pass_merge_dilated_convolutions(Graph& g, const Interface& io) {
  const Consumers uses(g);
  const std::set<NodeId> outputs = output_ids(g, io);
  bool changed = false;
  for (NodeId id : g.ids()) {
    const std::optional<DilatedConvolution> d = dilated_convolution(g, uses, outputs, id);
    if (!d) continue;
    const Node& convolution = g.node(d->convolution);
    const std::string padding = padding_name(*d, *g.constant(convolution.inputs[1]));
    Node& merged = g.node(id);
    merged.inputs = {g.node(d->before).inputs[0], convolution.inputs[1]};
    merged.attrs = convolution.attrs;
    merged.op = convolution.op;
    set_ints(merged, "dilations", {1, d->dilation[0], d->dilation[1], 1});
    merged.attrs.insert_or_assign("padding", Attr(padding));
    if (padding == "EXPLICIT")
      set_ints(merged, "explicit_paddings", {0, 0, d->padding[0], d->padding[1], d->padding[2], d->padding[3], 0, 0});
    changed = true;
  }
  if (changed) sweep(g, io);
  return changed;
}

}  // namespace cytodet::graph
