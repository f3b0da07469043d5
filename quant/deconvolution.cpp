#include "quant/deconvolution.h"

#include <algorithm>
#include <set>

#include "graph/ir/conv_node.h"
#include "graph/ir/op.h"
#include "graph/passes/node_edits.h"
#include "graph/quantized/quant_nodes.h"

namespace cytodet::quant {
namespace {

// One side of the result: kernel k, stride s, `out` long, made of a map `in` long whose first tap falls `before` ahead of it.
struct Side {
  int64_t k, s, out, in, before;
  int64_t taps() const { return (k + s - 1) / s; }               // of each phase
  int64_t places() const { return (before + out + s - 1) / s; }  // of each phase
  bool fits() const { return k > 0 && s > 0 && in > 0 && before >= 0 && places() >= in; }
};

std::optional<Side> side_of(const Node& n, int64_t k, int64_t s, int64_t out, int64_t explicit_before, int64_t explicit_after) {
  const std::string& padding = n.attr<std::string>("padding");
  Side side{k, s, out, 0, 0};
  if (s < 1 || out < 1) return {};
  if (padding == "SAME") {
    side.in = (out + s - 1) / s;
    side.before = std::max<int64_t>(0, (side.in - 1) * s + k - out) / 2;
  } else if (padding == "VALID" || padding == "EXPLICIT") {
    side.before = padding == "VALID" ? 0 : explicit_before;
    const int64_t whole = out + side.before + (padding == "VALID" ? 0 : explicit_after);
    if (whole < k) return {};
    side.in = (whole - k) / s + 1;
  }
  return side.fits() ? std::optional(side) : std::nullopt;
}

AttrList ints(std::vector<int64_t> values) {
  AttrList list;
  list.ints = std::move(values);
  return list;
}

using Sides = std::vector<Side>;  // height and width, or depth, height and width

int64_t phase_count(const Sides& sides) {
  int64_t count = 1;
  for (const Side& side : sides) count *= side.s;
  return count;
}

// Filter [k..., out, in] of the deconvolution -> [taps..., in, phases * out], last tap first; phases in the order of their places
// in a block.
Tensor phases_of(const Tensor& f, const Sides& sides) {
  const int64_t out = f.dim(-2), in = f.dim(-1), columns = phase_count(sides) * out;
  Shape shape;
  for (const Side& side : sides) shape.push_back(side.taps());
  shape.insert(shape.end(), {in, columns});
  Tensor t(DType::f32, shape);
  std::fill_n(t.data<float>(), t.size(), 0.0f);
  for (int64_t place = 0; place < f.size() / (out * in); ++place) {  // of the filter, whose last side is innermost
    int64_t tap = 0, phase = 0, rest = place, taps_inside = 1, phases_inside = 1;
    for (size_t d = sides.size(); d-- > 0;) {
      const Side& side = sides[d];
      const int64_t k = rest % side.k;
      rest /= side.k;
      tap += (side.taps() - 1 - k / side.s) * taps_inside;
      phase += k % side.s * phases_inside;
      taps_inside *= side.taps();
      phases_inside *= side.s;
    }
    for (int64_t o = 0; o < out; ++o)
      for (int64_t i = 0; i < in; ++i)
        t.data<float>()[(tap * in + i) * columns + phase * out + o] = f.data<float>()[(place * out + o) * in + i];
  }
  return t;
}

// The bias that alone reads the deconvolution, [out]: it can be added to each phase, before those are interleaved.
std::optional<BiasNode> bias_of(const Graph& g, const Consumers& uses, const std::set<NodeId>& outputs, NodeId id, int64_t out) {
  if (outputs.contains(id) || !uses.sole(id)) return {};
  const std::optional<BiasNode> bias = bias_behind(g, uses, {id, 0});
  if (!bias || bias->bias->dtype() != DType::f32 || bias->bias->size() != out || bias->bias->rank() != 1) return {};
  return g.node(bias->node).controls.empty() ? bias : std::nullopt;
}

// The bias of every phase, [phases * out].
Tensor tiled(const Tensor& bias, int64_t phases) {
  std::vector<float> all;
  for (int64_t p = 0; p < phases; ++p) all.insert(all.end(), bias.data<float>(), bias.data<float>() + bias.size());
  const auto count = static_cast<int64_t>(all.size());
  return Tensor::from<float>({count}, all);
}

// The sides of a deconvolution that can be rewritten; empty where it cannot.
Sides sides_of(const Graph& g, const Node& n) {
  const bool volume = n.op == "Conv3DBackpropInputV2";
  const size_t dims = volume ? 3 : 2, rank = dims + 2;
  if (n.inputs.size() != 3 || !is_channels_last(n)) return {};
  const Tensor *sizes = g.constant(n.inputs[0]), *filter = g.constant(n.inputs[1]);
  if (!sizes || !filter || sizes->size() != static_cast<int64_t>(rank)) return {};
  if (filter->dtype() != DType::f32 || filter->rank() != static_cast<int64_t>(rank)) return {};
  const AttrList ones = ints(std::vector<int64_t>(rank, 1));
  const AttrList strides = n.attr_or("strides", AttrList{}), dilations = n.attr_or("dilations", ones),
                 pads = n.attr_or("explicit_paddings", AttrList{});
  if (strides.ints.size() != rank || dilations.ints != ones.ints) return {};
  if (!volume && strides.ints[1] != strides.ints[2]) return {};    // DepthToSpace has one
  if (volume && filter->dim(-1) % k16BitSafeRows != 0) return {};  // would stay in float
  const auto pad = [&](size_t i) { return i < pads.ints.size() ? pads.ints[i] : 0; };
  Sides sides;
  for (size_t d = 1; d <= dims; ++d) {
    const auto axis = static_cast<int64_t>(d);
    const auto side = side_of(n, filter->dim(axis - 1), strides.ints[d], sizes->as_int(axis), pad(2 * d), pad(2 * d + 1));
    if (!side) return {};
    sides.push_back(*side);
  }
  return sides;
}

Tensor int32s(const std::vector<int64_t>& values) {
  std::vector<int32_t> narrow;
  for (int64_t v : values) narrow.push_back(static_cast<int32_t>(v));
  return Tensor::from<int32_t>({static_cast<int64_t>(narrow.size())}, narrow);
}

// A node that is not there yet, or that another becomes.
struct NewNode {
  std::string op;
  std::vector<Value> inputs;
  AttrMap attrs = {{"T", DType::f32}};
};

class Rewriting {
 public:
  Rewriting(Graph& g, const Node& n, Sides sides) : g_(g), n_(n), sides_(std::move(sides)) {}

  // All phases of the map x, in the channels.
  Value phases(Value x) {
    const Value filter = g_.add_const(n_.name + "/phase_filter", phases_of(*g_.constant(n_.inputs[1]), sides_));
    std::vector<int64_t> pads{0, 0};
    for (const Side& side : sides_) pads.insert(pads.end(), {side.taps() - 1, side.places() - side.in});
    pads.insert(pads.end(), {0, 0});
    NewNode conv{volume() ? "Conv3D" : "Conv2D", {x, filter}};
    conv.attrs.emplace("strides", ints(std::vector<int64_t>(sides_.size() + 2, 1)));
    conv.attrs.emplace("padding", std::string(volume() ? "VALID" : "EXPLICIT"));
    if (!volume()) conv.attrs.emplace("explicit_paddings", ints(pads));
    if (volume() && *std::max_element(pads.begin(), pads.end()) > 0) {  // Conv3D has no padding of its own
      const Value padding = g_.add_const(n_.name + "/padding", int32s(pads).reshaped({static_cast<int64_t>(pads.size()) / 2, 2}));
      conv.inputs[0] = add("padded", {"Pad", {x, padding}, {{"T", DType::f32}, {"Tpaddings", DType::i32}}});
    }
    return add("phases", conv);
  }

  Value with_bias(Value phases, const Tensor& bias) {
    const Value all = g_.add_const(n_.name + "/phase_bias", tiled(bias, phase_count(sides_)));
    return add("phases_and_bias", {"BiasAdd", {phases, all}});
  }

  // What interleaves the phases and cuts off what is too much: its last node.
  NewNode last(Value phases) {
    NewNode node = phase_count(sides_) == 1 ? NewNode{"Identity", {phases}}
                   : volume()               ? pixels_of_volume(phases)
                                            : pixels(phases);
    if (!cropped()) return node;
    const Value whole = phase_count(sides_) == 1 ? phases : add("interleaved", node);
    std::vector<int64_t> begin{0}, size{-1};
    for (const Side& side : sides_) begin.push_back(side.before), size.push_back(side.out);
    begin.push_back(0), size.push_back(-1);
    const Value from = g_.add_const(n_.name + "/begin", int32s(begin)), count = g_.add_const(n_.name + "/size", int32s(size));
    return {"Slice", {whole, from, count}, {{"T", DType::f32}, {"Index", DType::i32}}};
  }

 private:
  bool volume() const { return sides_.size() == 3; }
  bool cropped() const {
    return std::any_of(sides_.begin(), sides_.end(),
                       [](const Side& side) { return side.before > 0 || side.places() * side.s != side.out; });
  }
  Value add(const std::string& name, const NewNode& node) {
    return g_.add_new(n_.name + "/" + name, node.op, node.inputs, node.attrs);
  }

  NewNode pixels(Value phases) const { return {"DepthToSpace", {phases}, {{"T", DType::f32}, {"block_size", sides_[0].s}}}; }

  // [n, d, h, w, phases * c] -> [n, d, h, w, sd, sh, sw, c] -> [n, d, sd, h, sh, w, sw, c] -> [n, d * sd, h * sh, w * sw, c].
  NewNode pixels_of_volume(Value phases) {
    std::vector<int64_t> apart{-1}, joined{-1};
    for (const Side& side : sides_) apart.push_back(side.places());
    for (const Side& side : sides_) apart.push_back(side.s), joined.push_back(side.places() * side.s);
    const int64_t channels = g_.constant(n_.inputs[1])->dim(-2);
    apart.push_back(channels), joined.push_back(channels);
    const auto reshape = [&](const char* name, Value x, const std::vector<int64_t>& shape) {
      const Value to = g_.add_const(n_.name + "/" + name, int32s(shape));
      return NewNode{"Reshape", {x, to}, {{"T", DType::f32}, {"Tshape", DType::i32}}};
    };
    const Value blocks = add("blocks", reshape("blocks_shape", phases, apart));
    const Value order = g_.add_const(n_.name + "/order", int32s({0, 1, 4, 2, 5, 3, 6, 7}));
    const Value turned = add("turned", {"Transpose", {blocks, order}, {{"T", DType::f32}, {"Tperm", DType::i32}}});
    return reshape("whole_shape", turned, joined);
  }

  Graph& g_;
  const Node& n_;
  const Sides sides_;
};

bool rewrite(Graph& g, const Consumers& uses, const std::set<NodeId>& outputs, NodeId id) {
  const Node n = g.node(id);
  const Sides sides = sides_of(g, n);
  if (sides.empty()) return false;
  Rewriting r(g, n, sides);
  Value at = r.phases(n.inputs[2]);
  const std::optional<BiasNode> bias = bias_of(g, uses, outputs, id, g.constant(n.inputs[1])->dim(-2));
  if (bias) at = r.with_bias(at, *bias->bias);
  NewNode end = r.last(at);
  // What ends the deconvolution, and its bias, takes their name.
  Node& last = g.node(bias ? bias->node : id);
  last.op = end.op;
  last.inputs = std::move(end.inputs);
  last.attrs = std::move(end.attrs);
  if (bias) {
    last.controls = n.controls;
    g.remove(id);
  }
  return true;
}

}  // namespace

int deconvolutions_to_convolutions(Graph& graph, const Interface& io) {
  const Consumers uses(graph);
  const std::set<NodeId> outputs = output_ids(graph, io);
  std::vector<NodeId> found;
  for (NodeId id : graph.ids())
    if (graph.node(id).op == "Conv2DBackpropInput" || graph.node(id).op == "Conv3DBackpropInputV2") found.push_back(id);
  int changed = 0;
  for (NodeId id : found) changed += rewrite(graph, uses, outputs, id);
  return changed;
}

}  // namespace cytodet::quant
