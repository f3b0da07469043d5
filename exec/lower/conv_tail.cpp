#include "exec/lower/conv_tail.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "graph/ir/conv_node.h"

namespace cytodet::exec {

NodeId swish_after(const Lowering& low, Value v, NodeId& sigmoid) {
  std::vector<Consumers::Use> readers = low.absorbable_uses(v);
  if (readers.size() != 2) return -1;
  for (int first = 0; first < 2; ++first) {
    NodeId s = readers[static_cast<size_t>(first)].node, m = readers[static_cast<size_t>(1 - first)].node;
    if (low.graph.node(s).op != "Sigmoid" || low.graph.node(m).op != "Mul" || low.taken(s) || low.taken(m)) continue;
    if (low.sole_reader({s, 0}) != m) continue;
    const auto& in = low.graph.node(m).inputs;
    if ((in[0] == v && in[1] == Value{s, 0}) || (in[1] == v && in[0] == Value{s, 0})) {
      sigmoid = s;
      return m;
    }
  }
  return -1;
}

namespace {

// Whether the node is `op` of v and a constant of this value, on either side; a division only by it.
bool is_of_constant(const Lowering& low, NodeId id, std::initializer_list<const char*> ops, Value v, float value) {
  if (id < 0 || low.taken(id)) return false;
  const Node& n = low.graph.node(id);
  if (n.inputs.size() != 2 || std::none_of(ops.begin(), ops.end(), [&](const char* op) { return n.op == op; })) return false;
  for (size_t side = 0; side < (n.op == "RealDiv" || n.op == "Div" ? 1u : 2u); ++side) {
    const Tensor* t = n.inputs[side] == v ? low.constant(n.inputs[1 - side]) : nullptr;
    if (t && t->dtype() == DType::f32 && t->size() == 1 && std::abs(t->data<float>()[0] - value) < 1e-6f) return true;
  }
  return false;
}
bool is_sixth(const Lowering& low, NodeId id, Value v) {
  return is_of_constant(low, id, {"Mul"}, v, 1.0f / 6) || is_of_constant(low, id, {"RealDiv", "Div"}, v, 6);
}

// Relu6 of v + 3, where nothing else reads the sum; -1 for another node.
NodeId relu6_of_sum(const Lowering& low, NodeId add, Value v) {
  if (!is_of_constant(low, add, {"Add", "AddV2"}, v, 3)) return -1;
  const NodeId relu6 = low.sole_reader({add, 0});
  return relu6 >= 0 && !low.taken(relu6) && low.graph.node(relu6).op == "Relu6" ? relu6 : -1;
}

bool multiplies(const Lowering& low, NodeId id, Value a, Value b) {
  if (id < 0 || low.taken(id) || low.graph.node(id).op != "Mul") return false;
  const auto& in = low.graph.node(id).inputs;
  return (in[0] == a && in[1] == b) || (in[0] == b && in[1] == a);
}

}  // namespace

NodeId hard_swish_after(const Lowering& low, Value v, std::vector<NodeId>& inner) {
  const std::vector<Consumers::Use> readers = low.absorbable_uses(v);
  if (readers.size() != 2) return -1;
  for (size_t first = 0; first < 2; ++first) {
    const NodeId add = readers[first].node, product = readers[1 - first].node, relu6 = relu6_of_sum(low, add, v);
    if (relu6 < 0) continue;
    const NodeId next = low.sole_reader({relu6, 0});
    if (next != product && is_sixth(low, next, {relu6, 0}) && low.sole_reader({next, 0}) == product &&
        multiplies(low, product, v, {next, 0})) {
      inner = {add, relu6, next};
      return product;
    }
    if (next != product || !multiplies(low, product, v, {relu6, 0})) continue;
    if (const NodeId last = low.sole_reader({product, 0}); is_sixth(low, last, {product, 0})) {
      inner = {add, relu6, product};
      return last;
    }
  }
  return -1;
}

namespace {

// Known activations at a place.
struct NamedAct {
  Act act;
  double (*at)(double);
};
constexpr NamedAct kComputedActs[] = {
    {Act::gelu, [](double x) { return x * std::erfc(-x * std::sqrt(0.5)) / 2; }},
    {Act::gelu_tanh, [](double x) { return x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))) / 2; }},
};

// Computes what nodes behind v make of a few numbers.
class ActProbe {
 public:
  ActProbe(const Lowering& low, Value v) : low_(low), shape_(*low.float_shape(v)) {
    Tensor x(DType::f32, {kPoints});
    for (int64_t i = 0; i < kPoints; ++i) x.data<float>()[i] = at(i);
    values_.emplace(v, x);
  }

  std::optional<ComputedAct> run() {
    while (nodes_.size() < kMaxNodes) {
      const NodeId next = next_node();
      if (next < 0) return {};
      add(next);
      if (!all_read_inside({next, 0})) continue;
      if (const std::optional<Act> act = named(values_.at({next, 0})))
        return ComputedAct{*act, next, {nodes_.begin(), nodes_.end() - 1}};
    }
    return {};
  }

 private:
  static constexpr int64_t kPoints = 41, kMiddle = kPoints / 2;
  static constexpr size_t kMaxNodes = 16;
  static float at(int64_t i) { return static_cast<float>(i - kMiddle) * 0.3f; }

  // The first node of the graph that reads a value so far and is not there yet; -1 where that is no node of values and numbers.
  NodeId next_node() const {
    NodeId next = -1;
    for (const auto& [v, tensor] : values_)
      for (Consumers::Use use : low_.absorbable_uses(v))
        if (!values_.contains({use.node, 0}) && (next < 0 || low_.position(use.node) < low_.position(next))) next = use.node;
    return next >= 0 && is_computed(next) ? next : -1;
  }

  bool is_computed(NodeId id) const {
    static const char* const kOps[] = {"Mul", "Add",    "AddV2", "Sub",  "RealDiv", "Div",
                                       "Neg", "Square", "Pow",   "Tanh", "Erf",     "Erfc"};
    const Node& n = low_.graph.node(id);
    if (low_.taken(id) || std::none_of(std::begin(kOps), std::end(kOps), [&](const char* op) { return n.op == op; }))
      return false;
    if (!low_.float_shape({id, 0}) || *low_.float_shape({id, 0}) != shape_) return false;
    return std::all_of(n.inputs.begin(), n.inputs.end(), [&](Value v) {
      const Tensor* t = low_.constant(v);
      return values_.contains(v) || (t && t->dtype() == DType::f32 && t->size() == 1);
    });
  }

  void add(NodeId id) {
    std::vector<Tensor> inputs;
    for (Value v : low_.graph.node(id).inputs)
      inputs.push_back(values_.contains(v) ? values_.at(v) : low_.constant(v)->reshaped({}));
    values_.insert_or_assign(Value{id, 0}, evaluate(low_.graph.node(id), inputs)[0]);
    nodes_.push_back(id);
  }

  // Whether only nodes so far read the values before `last`.
  bool all_read_inside(Value last) const {
    return std::all_of(values_.begin(), values_.end(), [&](const auto& known) {
      if (known.first == last) return true;
      const auto readers = low_.absorbable_uses(known.first);
      return !readers.empty() && std::all_of(readers.begin(), readers.end(), [&](Consumers::Use u) {
        return values_.contains({u.node, 0});
      });
    });
  }

  static std::optional<Act> named(const Tensor& y) {
    for (const NamedAct& known : kComputedActs) {
      bool same = true;
      for (int64_t i = 0; i < kPoints; ++i) {
        const double x = at(i);
        same &= std::abs(y.data<float>()[i] - known.at(x)) < 3e-6 * std::max(1.0, std::abs(x));
      }
      if (same) return known.act;
    }
    return {};
  }

  const Lowering& low_;
  const Shape shape_;
  std::map<Value, Tensor> values_;
  std::vector<NodeId> nodes_;
};

}  // namespace

std::optional<ComputedAct> computed_act_after(const Lowering& low, Value v) {
  return low.float_shape(v) ? ActProbe(low, v).run() : std::nullopt;
}

namespace {

// The constant of a bias-like Add: `channels` values on the last axis, or one.
const Tensor* channel_constant(const Lowering& low, Value v, int64_t channels) {
  const Tensor* t = low.constant(v);
  if (!t || t->dtype() != DType::f32) return nullptr;
  if (t->size() == 1 && t->rank() <= 1) return t;
  return t->size() == channels && t->rank() > 0 && t->dim(-1) == channels ? t : nullptr;
}

bool is_add(const Node& n) { return n.op == "Add" || n.op == "AddV2" || (n.op == "AddN" && n.inputs.size() == 2); }

// Walks down from a convolution's output, a node at a time.
class TailWalk {
 public:
  TailWalk(const Lowering& low, Value v, int64_t channels, bool with_residual, bool with_factors)
      : low_(low),
        shape_(*low.open_float_shape(v)),
        channels_(channels),
        with_residual_(with_residual),
        with_factors_(with_factors) {
    tail_.output = v;
    tail_.bias.assign(static_cast<size_t>(channels), 0.0f);
  }

  Tail run() {
    while (absorb_act() || absorb_next() || absorb_reshape()) {
    }
    return std::move(tail_);
  }

 private:
  // No activation yet, and no residual that was added behind one.
  bool takes_activation() const { return tail_.act == Act::none && (tail_.residual == kNoValue || tail_.residual_first); }

  bool absorb_act() {
    if (!takes_activation()) return false;
    NodeId sigmoid = -1;
    if (const NodeId mul = swish_after(low_, tail_.output, sigmoid); mul >= 0) {
      activate(Act::swish);
      tail_.nodes.push_back(sigmoid);
      absorb(mul);
      return true;
    }
    std::vector<NodeId> inner;
    if (const NodeId last = hard_swish_after(low_, tail_.output, inner); last >= 0)
      return absorb_act({Act::hard_swish, last, inner});
    // GELU, which only products have a kernel for.
    const std::optional<ComputedAct> computed = with_residual_ ? computed_act_after(low_, tail_.output) : std::nullopt;
    return computed && absorb_act(*computed);
  }
  bool absorb_act(const ComputedAct& act) {
    activate(act.act);
    tail_.nodes.insert(tail_.nodes.end(), act.inner.begin(), act.inner.end());
    absorb(act.last);
    return true;
  }

  // A reshape that keeps the channels.
  bool absorb_reshape() {
    const NodeId id = with_residual_ ? low_.sole_reader(tail_.output) : -1;
    if (id < 0 || low_.taken(id) || shape_.empty() || !is_static(shape_)) return false;
    const Node& n = low_.graph.node(id);
    const Shape* shape = low_.float_shape({id, 0});
    if (n.op != "Reshape" && n.op != "Squeeze" && n.op != "ExpandDims") return false;
    if (n.inputs[0] != tail_.output || !shape || shape->empty() || shape->back() != shape_.back()) return false;
    shape_ = *shape;
    absorb(id);
    return true;
  }

  // The node that alone reads the output so far.
  bool absorb_next() {
    const NodeId id = low_.sole_reader(tail_.output);
    if (id < 0 || low_.taken(id) || !low_.open_float_shape({id, 0}) || *low_.open_float_shape({id, 0}) != shape_) return false;
    const Node& n = low_.graph.node(id);
    const Value other = n.inputs.size() == 2 ? (n.inputs[0] == tail_.output ? n.inputs[1] : n.inputs[0]) : kNoValue;
    if (!add_bias(n, other) && !multiply(n, other) && !normalize(n) && !activate(n) && !add_residual(n, other)) return false;
    absorb(id);
    return true;
  }

  bool add_bias(const Node& n, Value other) {
    const bool bias_op = (n.op == "BiasAdd" && !is_channels_first(n)) || is_add(n);
    const Tensor* bias = bias_op && takes_bias_ && other != tail_.output ? channel_constant(low_, other, channels_) : nullptr;
    if (!bias) return false;
    require_finite(*bias, n.name);
    for (int64_t c = 0; c < channels_; ++c) tail_.bias[static_cast<size_t>(c)] += bias->data<float>()[bias->size() == 1 ? 0 : c];
    return true;
  }

  // By numbers per channel, which the caller multiplies its weights by. A single number may be the weight of a sum's term.
  bool multiply(const Node& n, Value other) {
    const bool may = with_factors_ && n.op == "Mul" && takes_bias_ && other != tail_.output;
    const Tensor* by = may ? channel_constant(low_, other, channels_) : nullptr;
    if (!by || by->size() != channels_) return false;
    require_finite(*by, n.name);
    for (int64_t c = 0; c < channels_; ++c) multiply(c, by->data<float>()[c]);
    return true;
  }
  void multiply(int64_t channel, float factor) {
    if (tail_.factors.empty()) tail_.factors.assign(static_cast<size_t>(channels_), 1.0f);
    tail_.factors[static_cast<size_t>(channel)] *= factor;
    tail_.bias[static_cast<size_t>(channel)] *= factor;
  }

  // (x - mean) / sqrt(variance + epsilon) * scale + offset
  bool normalize(const Node& n) {
    if (!with_factors_ || !takes_bias_ || !n.op.starts_with("FusedBatchNorm") || n.inputs.size() != 5) return false;
    if (n.attr_or("is_training", true) || !is_channels_last(n) || n.inputs[0] != tail_.output) return false;
    const float* p[4];  // scale, offset, mean, variance
    for (size_t i = 0; i < 4; ++i) {
      const Tensor* t = low_.constant(n.inputs[i + 1]);
      if (!t || t->dtype() != DType::f32 || t->size() != channels_) return false;
      require_finite(*t, n.name);
      p[i] = t->data<float>();
    }
    const double epsilon = n.attr_or("epsilon", 1e-4f);
    for (int64_t c = 0; c < channels_; ++c) {
      const double factor = p[0][c] / std::sqrt(p[3][c] + epsilon);
      multiply(c, static_cast<float>(factor));
      tail_.bias[static_cast<size_t>(c)] += static_cast<float>(p[1][c] - p[2][c] * factor);
    }
    return true;
  }

  bool activate(const Node& n) {
    const Act act = n.op == "Relu" ? Act::relu : n.op == "Relu6" ? Act::relu6 : n.op == "Sigmoid" ? Act::sigmoid : Act::none;
    if (act == Act::none || !takes_activation()) return false;
    activate(act);
    return true;
  }
  void activate(Act act) {
    tail_.act = act;
    takes_bias_ = false;
  }

  bool add_residual(const Node& n, Value other) {
    if (!with_residual_ || !is_add(n) || tail_.residual != kNoValue || other == tail_.output || low_.constant(other))
      return false;
    if (!low_.float_shape(other) || *low_.float_shape(other) != shape_) return false;
    tail_.residual = other;
    tail_.residual_first = tail_.act == Act::none;
    takes_bias_ = false;
    return true;
  }

  void absorb(NodeId id) {
    tail_.nodes.push_back(id);
    tail_.output = {id, 0};
  }

  const Lowering& low_;
  Shape shape_;
  const int64_t channels_;
  const bool with_residual_, with_factors_;
  Tail tail_;
  bool takes_bias_ = true;
};

}  // namespace

Tail absorb_tail(const Lowering& low, Value v, int64_t channels, bool with_residual, bool with_factors) {
  return TailWalk(low, v, channels, with_residual, with_factors).run();
}

namespace {

// TensorFlow's SAME: as much as the windows need, the odd pixel after.
void pad_same(int64_t in, int64_t out, int kernel, int stride, int dilation, int& before, int& after) {
  const int64_t total = std::max<int64_t>(0, (out - 1) * stride + int64_t{kernel - 1} * dilation + 1 - in);
  before = static_cast<int>(total / 2);
  after = static_cast<int>(total - total / 2);
}

// False where the padding is none of TensorFlow's.
bool set_padding(const Node& n, ConvShape& s) {
  const std::string padding = n.attr_or<std::string>("padding", "VALID");
  if (padding == "SAME") {
    ConvDepth& d = s.depth;
    pad_same(s.in_h, s.out_h, s.kernel_h, s.stride_h, s.dilation_h, s.pad_top, s.pad_bottom);
    pad_same(s.in_w, s.out_w, s.kernel_w, s.stride_w, s.dilation_w, s.pad_left, s.pad_right);
    pad_same(d.in, d.out, d.kernel, d.stride, d.dilation, d.pad_front, d.pad_back);
    return true;
  }
  if (padding != "EXPLICIT") return padding == "VALID";
  const AttrList pads = n.attr_or("explicit_paddings", AttrList{});
  if (pads.ints.size() != 8) return false;
  s.pad_top = static_cast<int>(pads.ints[2]);
  s.pad_bottom = static_cast<int>(pads.ints[3]);
  s.pad_left = static_cast<int>(pads.ints[4]);
  s.pad_right = static_cast<int>(pads.ints[5]);
  return true;
}

constexpr int64_t kMaxKernel = 4096;  // of each side

}  // namespace

std::optional<ConvShape> conv_shape(const Lowering& low, NodeId id, Value input, Value output, const Tensor& filter) {
  const Node& n = low.graph.node(id);
  const Shape* in = low.float_shape(input);
  const Shape* out = low.float_shape(output);
  if (!in || !out || filter.dtype() != DType::f32 || elements(*in) == 0 || elements(*out) == 0) return {};
  const size_t rank = in->size();
  if ((rank != 4 && rank != 5) || out->size() != rank || filter.rank() != static_cast<int64_t>(rank)) return {};
  if (!is_channels_last(n)) return {};
  const AttrList strides = n.attr_or("strides", AttrList{}), dilations = n.attr_or("dilations", AttrList{});
  const auto at = [&](const AttrList& list, size_t axis) {
    return list.ints.size() == rank ? static_cast<int>(list.ints[axis]) : 1;
  };
  if (at(strides, 0) != 1 || at(strides, rank - 1) != 1) return {};
  ConvShape s;
  s.batch = (*in)[0];
  s.in_c = (*in)[rank - 1];
  s.out_c = (*out)[rank - 1];
  const auto along = [&](size_t axis, int64_t& in_size, int64_t& out_size, int& kernel, int& stride, int& dilation) {
    const int64_t size = filter.dim(static_cast<int64_t>(axis) - 1);
    if (size > kMaxKernel) return false;
    in_size = (*in)[axis];
    out_size = (*out)[axis];
    kernel = static_cast<int>(size);
    stride = at(strides, axis);
    dilation = at(dilations, axis);
    return true;
  };
  if (rank == 5 && !along(1, s.depth.in, s.depth.out, s.depth.kernel, s.depth.stride, s.depth.dilation)) return {};
  if (!along(rank - 3, s.in_h, s.out_h, s.kernel_h, s.stride_h, s.dilation_h) ||
      !along(rank - 2, s.in_w, s.out_w, s.kernel_w, s.stride_w, s.dilation_w) || !set_padding(n, s))
    return {};
  if (rank == 5 && s.depth.is_flat()) {  // its planes are maps
    s.batch *= s.depth.in;
    s.depth = {};
  }
  return s;
}

}  // namespace cytodet::exec
