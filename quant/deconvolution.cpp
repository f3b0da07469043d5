#include "quant/deconvolution.h"

#include <algorithm>
#include <set>

#include "graph/ir/conv_node.h"
#include "graph/ir/op.h"
#include "graph/passes/node_edits.h"

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

// Filter [h, w, out, in] of the deconvolution -> [taps, taps, in, stride * stride * out] of all phases, last tap first.
Tensor phases_of(const Tensor& f, const Side& y, const Side& x) {
  const int64_t out = f.dim(2), in = f.dim(3), s = y.s;
  Tensor t(DType::f32, {y.taps(), x.taps(), in, s * s * out});
  std::fill_n(t.data<float>(), t.size(), 0.0f);
  for (int64_t ky = 0; ky < y.k; ++ky)
    for (int64_t kx = 0; kx < x.k; ++kx) {
      const int64_t ty = y.taps() - 1 - ky / s, tx = x.taps() - 1 - kx / s, phase = ky % s * s + kx % s;
      for (int64_t o = 0; o < out; ++o)
        for (int64_t i = 0; i < in; ++i)
          t.data<float>()[((ty * x.taps() + tx) * in + i) * s * s * out + phase * out + o] =
              f.data<float>()[((ky * x.k + kx) * out + o) * in + i];
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

bool rewrite(Graph& g, const Consumers& uses, const std::set<NodeId>& outputs, NodeId id) {
  const Node n = g.node(id);
  if (n.inputs.size() != 3 || !is_channels_last(n)) return false;
  const Tensor *sizes = g.constant(n.inputs[0]), *filter = g.constant(n.inputs[1]);
  if (!sizes || !filter || sizes->size() != 4 || filter->dtype() != DType::f32 || filter->rank() != 4) return false;
  const AttrList strides = n.attr_or("strides", AttrList{}), dilations = n.attr_or("dilations", ints({1, 1, 1, 1})),
                 pads = n.attr_or("explicit_paddings", AttrList{});
  if (strides.ints.size() != 4 || strides.ints[1] != strides.ints[2] || dilations.ints != ints({1, 1, 1, 1}).ints) return false;
  const auto pad = [&](size_t i) { return i < pads.ints.size() ? pads.ints[i] : 0; };
  const auto y = side_of(n, filter->dim(0), strides.ints[1], sizes->as_int(1), pad(2), pad(3)),
             x = side_of(n, filter->dim(1), strides.ints[2], sizes->as_int(2), pad(4), pad(5));
  if (!y || !x) return false;

  AttrMap conv;
  conv.emplace("T", DType::f32);
  conv.emplace("strides", ints({1, 1, 1, 1}));
  conv.emplace("padding", std::string("EXPLICIT"));
  conv.emplace("explicit_paddings", ints({0, 0, y->taps() - 1, y->places() - y->in, x->taps() - 1, x->places() - x->in, 0, 0}));
  const Value phases = g.add_const(n.name + "/phase_filter", phases_of(*filter, *y, *x));
  Value at = g.add_new(n.name + "/phases", "Conv2D", {n.inputs[2], phases}, conv);
  const std::optional<BiasNode> bias = bias_of(g, uses, outputs, id, filter->dim(2));
  if (bias) {
    const Value all = g.add_const(n.name + "/phase_bias", tiled(*bias->bias, y->s * y->s));
    at = g.add_new(n.name + "/phases_and_bias", "BiasAdd", {at, all}, {{"T", DType::f32}});
  }
  const bool cropped = y->before > 0 || x->before > 0 || y->places() * y->s != y->out || x->places() * x->s != x->out;
  AttrMap d2s;
  d2s.emplace("T", DType::f32);
  if (y->s > 1) d2s.emplace("block_size", y->s);
  if (y->s > 1 && cropped) at = g.add_new(n.name + "/interleaved", "DepthToSpace", {at}, d2s);
  // What ends the deconvolution, and its bias, takes their name.
  const NodeId end = bias ? bias->node : id;
  std::vector<Value> inputs{at};
  AttrMap attrs;
  if (cropped) {
    const auto wide = [](int64_t v) { return static_cast<int32_t>(v); };
    inputs.push_back(g.add_const(n.name + "/begin", Tensor::from<int32_t>({4}, {0, wide(y->before), wide(x->before), 0})));
    inputs.push_back(g.add_const(n.name + "/size", Tensor::from<int32_t>({4}, {-1, wide(y->out), wide(x->out), -1})));
    attrs.emplace("T", DType::f32);
    attrs.emplace("Index", DType::i32);
  } else {
    attrs = d2s;
  }
  Node& last = g.node(end);
  last.op = cropped ? "Slice" : y->s > 1 ? "DepthToSpace" : "Identity";
  last.inputs = inputs;
  last.attrs = std::move(attrs);
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
    if (graph.node(id).op == "Conv2DBackpropInput") found.push_back(id);
  int changed = 0;
  for (NodeId id : found) changed += rewrite(graph, uses, outputs, id);
  return changed;
}

}  // namespace cytodet::quant
