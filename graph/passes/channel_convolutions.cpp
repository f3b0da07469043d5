// One convolution for each group of channels, as exports write a convolution of groups where nothing runs those.
#include <algorithm>

#include "graph/ir/conv_node.h"
#include "graph/passes/node_edits.h"
#include "graph/passes/passes.h"

namespace cytodet::graph {
namespace {

struct ChannelConvolutions {
  Value value;
  std::vector<NodeId> convolutions;  // by part
};

// [1, size, size, 1]; 0: another list.
int64_t side_of(const Node& n, std::string_view key) {
  const AttrList* list = n.find_attr<AttrList>(key);
  if (!list) return key == "dilations" ? 1 : 0;
  const std::vector<int64_t>& v = list->ints;
  return v.size() == 4 && v[0] == 1 && v[3] == 1 && v[1] == v[2] ? v[1] : 0;
}

// What TensorFlow's depthwise kernels and its kernels of groups take; without oneDNN they take no dilations.
bool can_be_joined(const Node& conv) {
  const auto padding = conv.attr_or<std::string>("padding", "");
  const int64_t stride = side_of(conv, "strides"), dilation = side_of(conv, "dilations");
  return !is_channels_first(conv) && (padding == "SAME" || padding == "VALID") && stride > 0 && dilation == 1;
}

bool are_alike(const Graph& g, const Node& a, const Node& b) {
  return a.attr_or<std::string>("padding", "") == b.attr_or<std::string>("padding", "") &&
         side_of(a, "strides") == side_of(b, "strides") && side_of(a, "dilations") == side_of(b, "dilations") &&
         is_channels_first(a) == is_channels_first(b) && g.constant(a.inputs[1])->shape() == g.constant(b.inputs[1])->shape();
}

// The only reader of the node is the concatenation, and nothing waits for it or makes it wait.
bool is_inner(const Graph& g, const Consumers& uses, const std::set<NodeId>& outputs, NodeId id) {
  return uses.sole(id) && !outputs.contains(id) && g.node(id).controls.empty();
}

bool is_split_of_channels(const Graph& g, const Facts& facts, NodeId id, int64_t parts, int64_t channels) {
  const Node& split = g.node(id);
  if (split.op != "Split" || split.inputs.size() != 2 || split.attr_or("num_split", int64_t{0}) != parts) return false;
  const Tensor* axis = g.constant(split.inputs[0]);
  const Fact& in = facts.of(split.inputs[1]);
  if (!axis || axis->size() != 1 || !in.shape || in.shape->size() != 4 || in.shape->back() != parts * channels) return false;
  return axis->as_int() == 3 || axis->as_int() == -1;
}

// Whether the node is the convolution of part i of a Split.
bool is_convolution_of_part(const Graph& g, const Node& n, size_t i) {
  if (n.op != "Conv2D" || n.inputs.size() != 2 || n.inputs[0].slot != static_cast<int>(i) || !can_be_joined(n)) return false;
  const Tensor* filter = g.constant(n.inputs[1]);
  return filter && filter->dtype() == DType::f32 && filter->rank() == 4 && filter->size() > 0;
}

//   value ─▶ Split ─┬▶ Conv2D(constant [h, w, c, m]) ─┬▶ ConcatV2     parts of c channels, convolutions with equal attributes
//                   └▶ Conv2D(constant [h, w, c, m]) ─┘
std::optional<ChannelConvolutions> match(const Graph& g, const Facts& facts, const Consumers& uses,
                                         const std::set<NodeId>& outputs, NodeId id) {
  const Node& concat = g.node(id);
  if (concat.op != "ConcatV2" || concat.inputs.size() < 3) return {};
  const Tensor* axis = g.constant(concat.inputs.back());
  if (!axis || axis->size() != 1 || (axis->as_int() != 3 && axis->as_int() != -1)) return {};
  ChannelConvolutions found;
  const size_t parts = concat.inputs.size() - 1;
  NodeId split = -1;
  for (size_t i = 0; i < parts; ++i) {
    const NodeId conv = concat.inputs[i].node;
    const Node& n = g.node(conv);
    if (!is_convolution_of_part(g, n, i) || !is_inner(g, uses, outputs, conv)) return {};
    if (i == 0) split = n.inputs[0].node;
    if (n.inputs[0].node != split || !are_alike(g, g.node(concat.inputs[0].node), n)) return {};
    found.convolutions.push_back(conv);
  }
  const int64_t channels = g.constant(g.node(found.convolutions[0]).inputs[1])->dim(2);
  if (!is_split_of_channels(g, facts, split, static_cast<int64_t>(parts), channels) || !g.node(split).controls.empty()) return {};
  found.value = g.node(split).inputs[1];
  return found;
}

// Filters [h, w, c, m] of the parts -> [h, w, c, parts * m], or of single channels [h, w, parts, m].
Tensor joined_filter(const Graph& g, const std::vector<NodeId>& convolutions) {
  const auto filter_of = [&](NodeId id) { return g.constant(g.node(id).inputs[1]); };
  const Tensor& first = *filter_of(convolutions[0]);
  const auto parts = static_cast<int64_t>(convolutions.size());
  const int64_t rows = first.dim(0) * first.dim(1) * first.dim(2), columns = first.dim(3);
  const bool depthwise = first.dim(2) == 1;
  Tensor joined(DType::f32,
                {first.dim(0), first.dim(1), depthwise ? parts : first.dim(2), depthwise ? columns : parts * columns});
  for (int64_t i = 0; i < parts; ++i) {
    const float* from = filter_of(convolutions[static_cast<size_t>(i)])->data<float>();
    for (int64_t r = 0; r < rows; ++r) std::copy_n(from + r * columns, columns, joined.data<float>() + (r * parts + i) * columns);
  }
  return joined;
}

// TensorFlow fuses a BiasAdd with the convolution before it, and its fused kernel knows no groups.
void add_biases_apart(Graph& g, const Consumers& uses, NodeId conv) {
  for (Consumers::Use use : uses.of(Value{conv, 0})) {
    Node& n = g.node(use.node);
    if (n.op != "BiasAdd" || is_channels_first(n)) continue;
    n.op = "AddV2";
    n.attrs.erase("data_format");
  }
}

}  // namespace

//   value ─▶ Split ─▶ Conv2D of each part ─▶ ConcatV2
// becomes
//   value ─▶ Conv2D of groups | DepthwiseConv2dNative (parts of one channel)
bool pass_merge_channel_convolutions(Graph& g, const Interface& io) {
  const Facts facts(g);
  const Consumers uses(g);
  const std::set<NodeId> outputs = output_ids(g, io);
  bool changed = false;
  for (NodeId id : g.ids()) {
    const std::optional<ChannelConvolutions> found = match(g, facts, uses, outputs, id);
    if (!found) continue;
    const Node& conv = g.node(found->convolutions[0]);
    AttrMap attrs;
    for (const char* key : {"T", "strides", "padding", "dilations", "data_format"})
      if (const auto it = conv.attrs.find(key); it != conv.attrs.end()) attrs.emplace(key, it->second);
    const Value filter = add_const_like(g, conv.inputs[1], g.node(id).name + "/filter", joined_filter(g, found->convolutions));
    Node& merged = g.node(id);
    const bool depthwise = g.constant(conv.inputs[1])->dim(2) == 1;
    merged.op = depthwise ? "DepthwiseConv2dNative" : "Conv2D";
    merged.inputs = {found->value, filter};
    merged.attrs = std::move(attrs);
    if (!depthwise) add_biases_apart(g, uses, id);
    changed = true;
  }
  if (changed) sweep(g, io);
  return changed;
}

}  // namespace cytodet::graph
