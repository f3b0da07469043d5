#include "graph/passes/affine.h"

#include <algorithm>
#include <cmath>

#include "graph/ir/conv_node.h"
#include "graph/passes/node_edits.h"

namespace cytodet::graph {
namespace {

// Per-channel numbers of a constant that broadcasts over a map's last axis.
std::optional<std::vector<double>> per_channel(const Tensor* t, int64_t channels) {
  if (!t || t->dtype() != DType::f32) return {};
  bool scalar = t->size() == 1 && t->rank() <= 1;
  bool vector = t->size() == channels && t->rank() >= 1 && t->rank() <= 4 && t->dim(-1) == channels;
  if (!scalar && !vector) return {};
  std::vector<double> v;
  for (int64_t i = 0; i < t->size(); ++i) v.push_back(t->data<float>()[i]);
  return v;
}

// Channels of a map, as far as the nodes before it show; 0: not known.
int64_t channels_of(const Graph& g, Value v) {
  for (int hops = 0; hops < 16; ++hops) {
    const Node& n = g.node(v.node);
    if (n.op == "Placeholder") {
      const ShapeAttr shape = n.attr_or("shape", ShapeAttr{false, {}});
      return shape.known_rank && !shape.dims.empty() ? std::max<int64_t>(shape.dims.back(), 0) : 0;
    }
    if (const int64_t c = linear_channels(g, v.node)) return c;
    if (n.inputs.empty() || v.slot != 0) return 0;
    const bool scaled = is_batch_norm(n.op) || n.op == "BiasAdd";
    if (scaled && n.inputs.size() > 1)
      if (const Tensor* t = g.constant(n.inputs[1]); t && t->rank() == 1) return t->size();
    static const char* const kSame[] = {"Relu", "Relu6", "Elu", "Sigmoid", "Tanh", "Identity", "MaxPool", "AvgPool"};
    if (!scaled && std::none_of(std::begin(kSame), std::end(kSame), [&](const char* k) { return n.op == k; })) return 0;
    v = n.inputs[0];
  }
  return 0;
}

// A convolution of several groups. TensorFlow fuses one with a BiasAdd behind it, and its fused kernel knows no groups.
bool is_grouped(const Graph& g, const Node& conv) {
  if (conv.op != "Conv2D" || is_channels_first(conv)) return false;
  const int64_t channels = channels_of(g, conv.inputs[0]);
  return channels > 0 && channels != g.constant(conv.inputs[1])->dim(2);
}

double at(const std::vector<double>& v, int64_t c) { return v[v.size() == 1 ? 0 : static_cast<size_t>(c)]; }

std::optional<Affine> batch_norm(const Graph& g, const Node& n, int64_t channels) {
  bool global = n.op == "BatchNormWithGlobalNormalization";
  if (n.inputs.size() != 5 || (!global && n.attr_or("is_training", true))) return {};
  // Fused: scale, offset, mean, variance; global: mean, variance, beta, gamma.
  const Tensor* p[4];
  for (size_t i = 0; i < 4; ++i) {
    p[i] = g.constant(n.inputs[i + 1]);
    if (!p[i] || p[i]->dtype() != DType::f32 || p[i]->size() != channels) return {};
  }
  const Tensor *gamma = p[global ? 3 : 0], *beta = p[global ? 2 : 1], *mean = p[global ? 0 : 2], *variance = p[global ? 1 : 3];
  double epsilon = global ? n.attr_or("variance_epsilon", 0.0f) : n.attr_or("epsilon", 1e-4f);
  bool scaled = !global || n.attr_or("scale_after_normalization", false);
  Affine a{n.inputs[0], {}, {}};
  for (int64_t c = 0; c < channels; ++c) {
    double s = (scaled ? gamma->data<float>()[c] : 1.0) / std::sqrt(variance->data<float>()[c] + epsilon);
    a.scale.push_back(s);
    a.offset.push_back(beta->data<float>()[c] - mean->data<float>()[c] * s);
  }
  return a;
}

Tensor scaled_weights(const Node& linear, const Tensor& w, const std::vector<double>& scale) {
  Tensor out(DType::f32, w.shape());
  bool transposed = linear.op == "MatMul" && linear.attr_or("transpose_b", false);
  int64_t channels = linear.op == "DepthwiseConv2dNative" ? w.dim(2) * w.dim(3) : transposed ? w.dim(0) : w.dim(-1);
  const int64_t inner = transposed ? w.dim(1) : 1, period = channels * inner;
  std::vector<double> factors;  // of `period` weights, which repeat
  for (int64_t c = 0; c < channels; ++c) factors.insert(factors.end(), static_cast<size_t>(inner), at(scale, c));
  for (int64_t first = 0; first < w.size(); first += period) {
    const float* from = w.data<float>() + first;
    float* to = out.data<float>() + first;
    for (int64_t i = 0; i < period; ++i) to[i] = static_cast<float>(from[i] * factors[static_cast<size_t>(i)]);
  }
  return out;
}

Tensor bias_tensor(const std::vector<double>& offset, int64_t channels) {
  Tensor t(DType::f32, {channels});
  for (int64_t c = 0; c < channels; ++c) t.data<float>()[c] = static_cast<float>(at(offset, c));
  return t;
}

// What a node waits for only because its constants do.
std::vector<NodeId> controls_of_constants(const Graph& g, const Node& n) {
  std::vector<NodeId> all;
  for (Value v : n.inputs)
    if (g.constant(v)) all.insert(all.end(), g.node(v.node).controls.begin(), g.node(v.node).controls.end());
  return all;
}

bool sole(const Consumers& uses, const std::set<NodeId>& outputs, NodeId id) { return uses.sole(id) && !outputs.contains(id); }

// Can y = v * scale + offset be pushed into what makes v?
bool pushable(const Graph& g, const Consumers& uses, const std::set<NodeId>& outputs, Value v, int64_t channels) {
  if (v.slot != 0 || !sole(uses, outputs, v.node)) return false;
  const Node& n = g.node(v.node);
  if (int64_t c = linear_channels(g, v.node)) return c == channels;
  if (n.op == "BiasAdd")
    return g.constant(n.inputs[1]) && linear_channels(g, n.inputs[0].node) == channels && sole(uses, outputs, n.inputs[0].node);
  if (n.op == "BatchToSpaceND") return pushable(g, uses, outputs, n.inputs[0], channels);
  return false;
}

// Pushes; returns the value that now carries y.
Value push(Graph& g, Value v, const std::vector<double>& scale, const std::vector<double>& offset, int64_t channels) {
  const Node n = g.node(v.node);
  if (n.op == "BatchToSpaceND") {
    Value inner = push(g, n.inputs[0], scale, offset, channels);
    g.node(v.node).inputs[0] = inner;
    return v;
  }
  NodeId linear = n.op == "BiasAdd" ? n.inputs[0].node : v.node;
  std::vector<double> bias = offset;
  if (n.op == "BiasAdd") {
    const Tensor& b = *g.constant(n.inputs[1]);
    bias.assign(static_cast<size_t>(channels), 0);
    for (int64_t c = 0; c < channels; ++c) bias[static_cast<size_t>(c)] = b.data<float>()[c] * at(scale, c) + at(offset, c);
  }
  const Value old = g.node(linear).inputs[1];
  Tensor weights = scaled_weights(g.node(linear), *g.constant(old), scale);
  Value folded = add_const_like(g, old, g.node(linear).name + "/folded_weights", weights);
  g.node(linear).inputs[1] = folded;
  const Value beside = n.op == "BiasAdd" ? n.inputs[1] : old;
  Value bias_value = add_const_like(g, beside, g.node(linear).name + "/folded_bias", bias_tensor(bias, channels));
  if (n.op == "BiasAdd") {
    g.node(v.node).inputs[1] = bias_value;
    return v;
  }
  Node add;
  add.name = g.unique_name(g.node(linear).name + "/bias_add");
  add.op = "BiasAdd";
  add.inputs = {v, bias_value};
  add.attrs.emplace("T", DType::f32);
  add.attrs.emplace("data_format", is_channels_first(g.node(linear)) ? "NCHW" : "NHWC");
  return {g.add(std::move(add)), 0};
}

//   linear op [─▶ BiasAdd], ... ─▶ ConcatV2 ─▶ last
//   linear op [─▶ BiasAdd] ─▶ BatchToSpaceND ─▶ last     `a` is what `last` computes; it becomes an Identity
bool fold_through(Graph& g, const Consumers& uses, NodeId last, const Affine& a, const std::set<NodeId>& outputs,
                  int64_t channels) {
  const Node& source = g.node(a.input.node);
  Value result = a.input;
  if (source.op == "ConcatV2" && a.input.slot == 0 && sole(uses, outputs, a.input.node)) {
    const Tensor* axis = g.constant(source.inputs.back());
    if (!axis || axis->size() != 1) return false;
    bool channel_axis = axis->as_int() == 3 || axis->as_int() == -1;
    std::vector<int64_t> parts;
    for (size_t i = 0; i + 1 < source.inputs.size(); ++i) {
      Value v = source.inputs[i];
      const Node& made = g.node(v.node);
      NodeId linear = made.op == "BiasAdd" ? made.inputs[0].node : v.node;
      int64_t c = linear_channels(g, linear);
      if (c == 0 || !pushable(g, uses, outputs, v, c) || is_channels_first(g.node(linear)) || (!channel_axis && c != channels))
        return false;
      parts.push_back(c);
    }
    if (channel_axis) {
      int64_t total = 0;
      for (int64_t c : parts) total += c;
      if (total != channels) return false;
    }
    int64_t begin = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      std::vector<double> scale, offset;
      for (int64_t c = 0; c < parts[i]; ++c) {
        scale.push_back(at(a.scale, begin + c));
        offset.push_back(at(a.offset, begin + c));
      }
      Value v = push(g, g.node(a.input.node).inputs[i], scale, offset, parts[i]);
      g.node(a.input.node).inputs[i] = v;
      if (channel_axis) begin += parts[i];
    }
  } else if (source.op == "BatchToSpaceND" && pushable(g, uses, outputs, a.input, channels)) {
    result = push(g, a.input, a.scale, a.offset, channels);
  } else {
    return false;
  }
  Node& n = g.node(last);
  wait_for(n, controls_of_constants(g, n));
  n.op = "Identity";
  n.inputs = {result};
  n.attrs.clear();
  n.attrs.emplace("T", DType::f32);
  if (!outputs.contains(last) && n.controls.empty()) g.replace_uses({last, 0}, result);
  return true;
}

}  // namespace

bool is_batch_norm(const std::string& op) { return op.starts_with("FusedBatchNorm") || op == "BatchNormWithGlobalNormalization"; }

int64_t linear_channels(const Graph& g, NodeId id) {
  const Node& n = g.node(id);
  if (n.inputs.size() != 2) return 0;
  const Tensor* w = g.constant(n.inputs[1]);
  if (!w || w->dtype() != DType::f32) return 0;
  if (n.op == "Conv2D" && w->rank() == 4) return w->dim(3);
  if (n.op == "Conv3D" && w->rank() == 5) return w->dim(4);
  if (n.op == "DepthwiseConv2dNative" && w->rank() == 4) return w->dim(2) * w->dim(3);
  if (n.op == "MatMul" && w->rank() == 2) return n.attr_or("transpose_b", false) ? w->dim(0) : w->dim(1);
  return 0;
}

std::optional<Affine> affine_at(const Graph& g, NodeId id, int64_t channels) {
  const Node& n = g.node(id);
  if (is_batch_norm(n.op)) return batch_norm(g, n, channels);
  if (n.inputs.size() != 2) return {};
  bool commutes = n.op == "Mul" || n.op == "Add" || n.op == "AddV2";
  if (!commutes && n.op != "RealDiv" && n.op != "Sub" && n.op != "BiasAdd") return {};
  for (size_t side : {size_t{1}, size_t{0}}) {
    if (side == 0 && !commutes) return {};
    auto v = per_channel(g.constant(n.inputs[side]), channels);
    if (!v || g.constant(n.inputs[1 - side])) continue;
    Affine a{n.inputs[1 - side], {1}, {0}};
    if (n.op == "Mul")
      a.scale = *v;
    else if (n.op == "RealDiv") {
      for (double& x : *v) x = 1 / x;
      a.scale = *v;
    } else if (n.op == "Sub") {
      for (double& x : *v) x = -x;
      a.offset = *v;
    } else
      a.offset = *v;
    return a;
  }
  return {};
}

namespace {

// Affine nodes, last first, and the linear op before them; -1: what is before them is ConcatV2 or BatchToSpaceND.
struct Chain {
  std::vector<NodeId> nodes;
  NodeId linear = -1;
};

// The node that gives the first input which is no constant; -1.
NodeId node_before(const Graph& g, NodeId id) {
  for (Value v : g.node(id).inputs)
    if (!g.constant(v)) return v.node;
  return -1;
}

bool may_be_affine(const std::string& op) {
  static const char* const kAffine[] = {"Mul", "RealDiv", "Sub", "Add", "AddV2", "BiasAdd"};
  return is_batch_norm(op) || std::any_of(std::begin(kAffine), std::end(kAffine), [&](const char* k) { return op == k; });
}

//   linear op ─▶ node ─▶ ... ─▶ last      walked back from `last`; the number of channels is only known at the linear op
std::optional<Chain> chain_to(const Graph& g, const Consumers& uses, NodeId last, const std::set<NodeId>& outputs) {
  constexpr size_t kMaxNodes = 16;
  Chain chain{{last}};
  while (chain.nodes.size() < kMaxNodes) {
    const NodeId first = chain.nodes.back();
    if (is_batch_norm(g.node(first).op) && uses.of(first).size() != uses.of(Value{first, 0}).size()) return {};
    const NodeId before = node_before(g, first);
    if (before < 0 || outputs.contains(before)) return {};
    if (linear_channels(g, before)) {
      chain.linear = before;
      break;
    }
    const std::string& op = g.node(before).op;
    if (op == "ConcatV2" || op == "BatchToSpaceND") break;
    if (!may_be_affine(op) || !uses.sole(before)) return {};
    chain.nodes.push_back(before);
  }
  return chain;
}

// A batch norm behind ConcatV2 or BatchToSpaceND is pushed into the linear ops before that.
bool fold_lone_batch_norm(Graph& g, const Consumers& uses, const Chain& chain, const std::set<NodeId>& outputs) {
  const NodeId id = chain.nodes[0];
  if (chain.nodes.size() != 1 || !is_batch_norm(g.node(id).op) || is_channels_first(g.node(id))) return false;
  const Tensor* p = g.constant(g.node(id).inputs[1]);
  const std::optional<Affine> a = p ? affine_at(g, id, p->size()) : std::nullopt;
  return a && fold_through(g, uses, id, *a, outputs, p->size());
}

// In NCHW a constant vector would broadcast over the width: only one value will do, but for batch norms and BiasAdd.
bool broadcasts_over_channels(const Graph& g, const Chain& chain) {
  return !is_channels_first(g.node(chain.linear)) || std::all_of(chain.nodes.begin(), chain.nodes.end(), [&](NodeId id) {
    const Node& n = g.node(id);
    const Tensor* t = g.constant(n.inputs[1]);
    return is_batch_norm(n.op) || n.op == "BiasAdd" || (t && t->size() == 1);
  });
}

// The chain as one: last = linear * scale + offset, per channel; empty where a node is not affine or a number not finite.
std::optional<Affine> composed(const Graph& g, const Chain& chain, int64_t channels) {
  const auto n = static_cast<size_t>(channels);
  Affine all{{chain.linear, 0}, std::vector<double>(n, 1), std::vector<double>(n, 0)};
  Value input = all.input;
  for (auto it = chain.nodes.rbegin(); it != chain.nodes.rend(); ++it) {
    const std::optional<Affine> a = affine_at(g, *it, channels);
    if (!a || a->input != input) return {};
    for (int64_t c = 0; c < channels; ++c) {
      const auto k = static_cast<size_t>(c);
      all.scale[k] *= at(a->scale, c);
      all.offset[k] = all.offset[k] * at(a->scale, c) + at(a->offset, c);
      if (!std::isfinite(all.scale[k]) || !std::isfinite(all.offset[k])) return {};
    }
    input = {*it, 0};
  }
  return all;
}

// `last` becomes the linear op with scaled weights itself, or its sum with a bias.
void write_folded(Graph& g, NodeId last, NodeId linear, const Affine& all, int64_t channels) {
  Node folded = g.node(linear);
  const Value weights = folded.inputs[1];
  folded.inputs[1] =
      add_const_like(g, weights, folded.name + "/folded_weights", scaled_weights(folded, *g.constant(weights), all.scale));
  if (std::all_of(all.offset.begin(), all.offset.end(), [](double v) { return v == 0; })) {
    Node& end = g.node(last);
    end.op = folded.op;
    end.attrs = folded.attrs;
    end.inputs = folded.inputs;
    wait_for(end, folded.controls);
    return;
  }
  g.node(linear).inputs = folded.inputs;
  const Value bias = add_const_like(g, folded.inputs[1], folded.name + "/folded_bias", bias_tensor(all.offset, channels));
  const bool grouped = is_grouped(g, g.node(linear));
  Node& sum = g.node(last);
  sum.op = grouped ? "AddV2" : "BiasAdd";
  sum.attrs.clear();
  sum.attrs.emplace("T", DType::f32);
  if (!grouped) sum.attrs.emplace("data_format", is_channels_first(folded) ? "NCHW" : "NHWC");
  sum.inputs = {{linear, 0}, bias};
}

}  // namespace

//   linear op ─▶ node ─▶ ... ─▶ last                       becomes  linear op with scaled weights [─▶ BiasAdd], by last's name
//   ConcatV2 | BatchToSpaceND of linear ops ─▶ batch norm  becomes  scaled linear ops ─▶ BiasAdd ─▶ ConcatV2 | BatchToSpaceND
bool fold_chain(Graph& g, const Consumers& uses, NodeId last, const std::set<NodeId>& outputs,
                bool (*accept)(const std::vector<std::string>&)) {
  const std::optional<Chain> chain = chain_to(g, uses, last, outputs);
  if (!chain) return false;
  std::vector<std::string> ops;
  for (auto it = chain->nodes.rbegin(); it != chain->nodes.rend(); ++it) ops.push_back(g.node(*it).op);
  if (!accept(ops)) return false;
  if (chain->linear < 0) return fold_lone_batch_norm(g, uses, *chain, outputs);
  if (!uses.sole(chain->linear) || !broadcasts_over_channels(g, *chain)) return false;
  const int64_t channels = linear_channels(g, chain->linear);
  const std::optional<Affine> all = composed(g, *chain, channels);
  if (!all) return false;
  // The end of the chain still waits for all that its nodes and their constants waited for.
  for (NodeId id : chain->nodes) {
    const std::vector<NodeId> own = g.node(id).controls;
    wait_for(g.node(last), own);
    wait_for(g.node(last), controls_of_constants(g, g.node(id)));
  }
  write_folded(g, last, chain->linear, *all, channels);
  return true;
}

}  // namespace cytodet::graph
