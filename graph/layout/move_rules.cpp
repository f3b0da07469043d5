#include "graph/layout/move_rules.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string_view>

namespace cytodet::graph {
namespace {

using Rule = bool (*)(Move&);

// Inputs of a rule's node, and nodes that rules add.
const Tensor* constant_input(const Move& m, size_t i) { return i < m.in.size() ? m.mover.b.constant(m.in[i].value) : nullptr; }
bool is_moved(const Permuted& p) { return !p.flat && !is_identity(p.perm); }
Perm perm_of(const Move& m, const Permuted& p) {
  return p.perm.empty() ? identity_perm(static_cast<size_t>(m.mover.b.rank(p.value))) : p.perm;
}
Value add(Move& m, std::vector<Value> inputs, AttrMap attrs) {
  return m.mover.b.add_as(m.node.name, m.node.op, std::move(inputs), std::move(attrs));
}
Value int32s_like(Move& m, const Tensor& like, const std::vector<int64_t>& values) {
  Builder& b = m.mover.b;
  if (like.rank() == 0) return like.dtype() == DType::i64 ? b.int64(values[0]) : b.int32(values[0]);
  return like.dtype() == DType::i64 ? b.ints(values) : b.int32s(values);
}
std::optional<std::vector<int64_t>> axes_in(const Tensor* t, size_t rank) {
  if (!t) return {};
  std::vector<int64_t> axes = t->as_ints();
  for (int64_t& a : axes) {
    if (a < 0) a += static_cast<int64_t>(rank);
    if (a < 0 || a >= static_cast<int64_t>(rank)) return {};
  }
  return axes;
}

// Below, a value "meant" is that of the graph before layouts moved; "there" is the value in its place, which has the same
// elements with dimensions permuted: dimension d of the meant value is dimension perm[d] of the one there.

// The permutation that is left of `perm` when the dimensions `gone` of the value there are removed.
Perm without(const Perm& perm, const std::vector<int64_t>& gone) {
  Perm left;
  for (int64_t p : perm)
    if (std::find(gone.begin(), gone.end(), p) == gone.end()) left.push_back(p);
  for (int64_t& p : left) p -= std::count_if(gone.begin(), gone.end(), [&](int64_t g) { return g < p; });
  return left;
}
// Axes of the meant value as axes of the one there.
std::vector<int64_t> mapped(const Perm& perm, const std::vector<int64_t>& axes) {
  std::vector<int64_t> there;
  for (int64_t a : axes) there.push_back(perm[static_cast<size_t>(a)]);
  return there;
}
// A list with an entry for each dimension of the meant value, in the order of the dimensions there.
std::vector<int64_t> placed(const Perm& perm, const std::vector<int64_t>& list) {
  std::vector<int64_t> there(list.size());
  for (size_t d = 0; d < list.size(); ++d) there[static_cast<size_t>(perm[d])] = list[d];
  return there;
}

bool transpose(Move& m) {
  const Tensor* t = constant_input(m, 1);
  if (!t || m.in[0].flat) return false;
  const Perm own = perm_of(m, m.in[0]);
  const auto axes = axes_in(t, own.size());
  if (!axes) return false;
  m.out = {{m.in[0].value, mapped(own, *axes), {}}};
  return true;
}

// The first input's dimensions are the result's; the others are numbers.
bool unary(Move& m) {
  if (m.in.empty() || m.in[0].plain()) return false;
  std::vector<Value> inputs{m.in[0].value};
  for (size_t i = 1; i < m.in.size(); ++i) {
    if (!m.in[i].plain()) return false;
    const Fact& f = m.mover.b.fact(m.in[i].value);
    if (!f.shape || elements(is_static(*f.shape) ? *f.shape : Shape{2}) != 1) return false;
    inputs.push_back(m.in[i].value);
  }
  if (m.node.attr_or("axis", int64_t{-1}) != -1) return false;
  const Value y = add(m, std::move(inputs), m.node.attrs);
  m.out = {{y, m.in[0].perm, m.in[0].flat}};
  const int outputs = m.node.op == "QuantizeV2" ? 3 : 1;
  for (int slot = 1; slot < outputs; ++slot) m.out.push_back({Builder::output(y, slot), {}, {}});
  return true;
}

// One of ONNX's own, with one scale: its attributes state the shape of what it gives.
bool grid(Move& m) {
  if (m.in.empty() || !is_moved(m.in[0])) return false;
  std::vector<Value> inputs{m.in[0].value};
  for (size_t i = 1; i < m.in.size(); ++i) inputs.push_back(m.in[i].value);
  AttrMap attrs = m.node.attrs;
  attrs.insert_or_assign(kOnnxShape, ShapeAttr{true, m.mover.b.dims(m.in[0].value)});
  m.out = {{add(m, std::move(inputs), std::move(attrs)), m.in[0].perm, {}}};
  return true;
}

// A constant along the last dimension alone is a list, as biases are written.
Value as_list(Builder& b, Value v) {
  const Tensor* t = b.constant(v);
  if (!t || t->rank() < 2 || t->size() != t->dim(-1)) return v;
  return b.reshape(v, {t->size()});
}

// With broadcasting: all inputs in the order of the first that is moved.
bool broadcast(Move& m) {
  Builder& b = m.mover.b;
  size_t rank = 0;
  for (const Permuted& p : m.in) {
    if (p.flat || !b.fact(p.value).shape) return false;
    rank = std::max(rank, b.fact(p.value).shape->size());
  }
  const auto first =
      std::find_if(m.in.begin(), m.in.end(), [&](const Permuted& p) { return is_moved(p) && p.perm.size() == rank; });
  if (first == m.in.end()) return false;
  const Perm perm = first->perm;
  std::vector<Value> inputs;
  for (const Permuted& p : m.in) {
    const Shape& s = *b.fact(p.value).shape;
    const bool number = is_static(s) && elements(s) == 1 && s.size() <= 1;
    inputs.push_back(number ? p.value : as_list(b, m.mover.before(p, perm)));
  }
  m.out = {{add(m, std::move(inputs), m.node.attrs), perm, {}}};
  return true;
}

bool concat(Move& m) {
  if (m.in.size() < 2) return false;
  const auto end = m.in.end() - 1;
  const auto first = std::find_if(m.in.begin(), end, is_moved);
  const Tensor* t = constant_input(m, m.in.size() - 1);
  if (first == end || std::any_of(m.in.begin(), end, [](const Permuted& p) { return p.flat.has_value(); })) return false;
  const auto axes = axes_in(t, first->perm.size());
  if (!axes) return false;
  const Perm perm = first->perm;
  std::vector<Value> inputs;
  for (auto p = m.in.begin(); p != end; ++p) inputs.push_back(m.mover.before(*p, perm));
  inputs.push_back(int32s_like(m, *t, mapped(perm, *axes)));
  m.out = {{add(m, std::move(inputs), m.node.attrs), perm, {}}};
  return true;
}

// Split(axis, x) and SplitV(x, sizes, axis).
bool split(Move& m) {
  const bool sized = m.node.op == "SplitV";
  const size_t data = sized ? 0 : 1, axis = sized ? 2 : 0;
  if (m.in.size() <= std::max(data, axis) || !is_moved(m.in[data]) || (sized && !m.in[1].plain())) return false;
  const Perm perm = m.in[data].perm;
  const Tensor* t = constant_input(m, axis);
  const auto axes = axes_in(t, perm.size());
  if (!axes || axes->size() != 1) return false;
  std::vector<Value> inputs;
  for (const Permuted& p : m.in) inputs.push_back(p.value);
  inputs[axis] = int32s_like(m, *t, mapped(perm, *axes));
  const Value y = add(m, std::move(inputs), m.node.attrs);
  for (int64_t slot = 0; slot < m.node.attr_or("num_split", int64_t{0}); ++slot)
    m.out.push_back({Builder::output(y, static_cast<int>(slot)), perm, {}});
  return true;
}

// Reductions with keep_dims, and places of extremes, whose axis goes.
bool reduce(Move& m) {
  if (m.in.size() != 2 || !is_moved(m.in[0])) return false;
  const Perm& perm = m.in[0].perm;
  const Tensor* t = constant_input(m, 1);
  const auto axes = axes_in(t, perm.size());
  if (!axes) return false;
  std::vector<int64_t> there = mapped(perm, *axes);
  std::sort(there.begin(), there.end());
  const Value y = add(m, {m.in[0].value, int32s_like(m, *t, there)}, m.node.attrs);
  m.out = {{y, m.node.attr_or("keep_dims", false) ? perm : without(perm, there), {}}};
  return true;
}

bool along_axis(Move& m) {
  if (m.in.size() != 2 || !is_moved(m.in[0])) return false;
  const Tensor* t = constant_input(m, 1);
  const auto axes = axes_in(t, m.in[0].perm.size());
  if (!axes) return false;
  m.out = {{add(m, {m.in[0].value, int32s_like(m, *t, mapped(m.in[0].perm, *axes))}, m.node.attrs), m.in[0].perm, {}}};
  return true;
}

// The last dimension stays last.
bool over_last(Move& m) {
  if (m.in.size() != 1 || !is_moved(m.in[0])) return false;
  const Perm& perm = m.in[0].perm;
  if (perm.back() != static_cast<int64_t>(perm.size()) - 1) return false;
  m.out = {{add(m, {m.in[0].value}, m.node.attrs), perm, {}}};
  return true;
}

bool pad(Move& m) {
  if (!is_moved(m.in.at(0))) return false;
  const Perm& perm = m.in[0].perm;
  const Tensor* t = constant_input(m, 1);
  if (!t || t->rank() != 2 || t->dim(0) != static_cast<int64_t>(perm.size())) return false;
  const std::vector<int64_t> pads = t->as_ints();
  std::vector<int64_t> before, after, both;
  for (size_t d = 0; d < perm.size(); ++d) {
    before.push_back(pads[2 * d]);
    after.push_back(pads[2 * d + 1]);
  }
  before = placed(perm, before);
  after = placed(perm, after);
  for (size_t d = 0; d < perm.size(); ++d) both.insert(both.end(), {before[d], after[d]});
  Builder& b = m.mover.b;
  std::vector<Value> inputs{m.in[0].value, b.constant(Tensor::from<int64_t>({t->dim(0), 2}, both))};
  AttrMap attrs = m.node.attrs;
  attrs.insert_or_assign("Tpaddings", DType::i64);
  for (size_t i = 2; i < m.in.size(); ++i) inputs.push_back(m.in[i].value);
  m.out = {{add(m, std::move(inputs), std::move(attrs)), perm, {}}};
  return true;
}

// Lists of one number for each dimension: Slice, Tile.
bool per_dimension(Move& m) {
  if (!is_moved(m.in.at(0))) return false;
  const Perm& perm = m.in[0].perm;
  std::vector<Value> inputs{m.in[0].value};
  for (size_t i = 1; i < m.in.size(); ++i) {
    const Tensor* t = constant_input(m, i);
    if (!t || t->rank() != 1 || t->size() != static_cast<int64_t>(perm.size())) return false;
    inputs.push_back(int32s_like(m, *t, placed(perm, t->as_ints())));
  }
  m.out = {{add(m, std::move(inputs), m.node.attrs), perm, {}}};
  return true;
}

bool strided_slice(Move& m) {
  for (const char* mask : {"ellipsis_mask", "new_axis_mask", "shrink_axis_mask"})
    if (m.node.attr_or(mask, int64_t{0}) != 0) return false;
  if (!is_moved(m.in.at(0))) return false;
  const Perm& perm = m.in[0].perm;
  AttrMap attrs = m.node.attrs;
  for (const char* mask : {"begin_mask", "end_mask"}) {
    const int64_t bits = m.node.attr_or(mask, int64_t{0});
    int64_t there = 0;
    for (size_t d = 0; d < perm.size(); ++d)
      if (bits >> d & 1) there |= int64_t{1} << perm[d];
    attrs.insert_or_assign(mask, there);
  }
  std::vector<Value> inputs{m.in[0].value};
  for (size_t i = 1; i < m.in.size(); ++i) {
    const Tensor* t = constant_input(m, i);
    if (!t || t->size() != static_cast<int64_t>(perm.size())) return false;
    inputs.push_back(int32s_like(m, *t, placed(perm, t->as_ints())));
  }
  m.out = {{add(m, std::move(inputs), std::move(attrs)), perm, {}}};
  return true;
}

bool squeeze(Move& m) {
  if (m.in.size() != 1 || !is_moved(m.in[0])) return false;
  const Perm& perm = m.in[0].perm;
  std::vector<int64_t> axes = m.node.attr_or("squeeze_dims", AttrList{}).ints;
  if (axes.empty()) return false;
  for (int64_t& a : axes)
    if (a < 0) a += static_cast<int64_t>(perm.size());
  std::vector<int64_t> there = mapped(perm, axes);
  std::sort(there.begin(), there.end());
  AttrList list;
  list.ints = there;
  AttrMap attrs = m.node.attrs;
  attrs.insert_or_assign("squeeze_dims", list);
  m.out = {{add(m, {m.in[0].value}, std::move(attrs)), without(perm, there), {}}};
  return true;
}

// One index, or a list of them, along an axis.
bool gather(Move& m) {
  if (m.in.size() != 3 || !is_moved(m.in[0]) || !m.in[1].plain()) return false;
  const Perm& perm = m.in[0].perm;
  const Tensor* t = constant_input(m, 2);
  const auto axes = axes_in(t, perm.size());
  const Fact& at = m.mover.b.fact(m.in[1].value);
  if (!axes || axes->size() != 1 || !at.shape || at.shape->size() > 1 || m.node.attr_or("batch_dims", int64_t{0}) != 0)
    return false;
  const std::vector<int64_t> there = mapped(perm, *axes);
  const Value y = add(m, {m.in[0].value, m.in[1].value, int32s_like(m, *t, there)}, m.node.attrs);
  m.out = {{y, at.shape->empty() ? without(perm, there) : perm, {}}};
  return true;
}

bool shape_of(Move& m) {
  if (m.in.size() != 1 || !is_moved(m.in[0])) return false;
  const Value there = add(m, {m.in[0].value}, m.node.attrs);
  m.out = {{m.mover.b.add("GatherV2", {there, m.mover.b.int32s(m.in[0].perm), m.mover.b.int32(0)}), {}, {}}};
  return true;
}

// The sizes that a Reshape of a value of shape `from` gives, with the one that is -1 computed from the others; nothing where they
// do not divide it.
std::optional<Shape> resolved(const Shape& from, const Tensor& sizes) {
  Shape to = sizes.as_ints();
  const auto open = std::find(to.begin(), to.end(), -1);
  if (open == to.end() || !is_static(from)) return to;
  int64_t rest = 1;
  for (int64_t d : to) rest *= d == -1 ? 1 : d;
  if (rest <= 0 || elements(from) % rest) return {};
  *open = elements(from) / rest;
  return to;
}

bool reshape(Move& m) {
  Builder& b = m.mover.b;
  const Tensor* t = constant_input(m, 1);
  if (!t || !is_moved(m.in[0])) return false;
  const Perm& perm = m.in[0].perm;
  const Shape there = b.dims(m.in[0].value);
  Shape from;
  for (int64_t p : perm) from.push_back(there[static_cast<size_t>(p)]);
  const auto to = resolved(from, *t);
  if (!to) return false;
  const auto moved = move_reshape(from, *to, perm);
  if (moved && moved->first.empty()) {
    m.out = {{b.reshape(m.in[0].value, moved->dims), moved->perm, {}}};
    return true;
  }
  // A map as one row for each image: a product with it may take the rows of its weights in another order (`reordered`).
  if (to->size() == 2 && perm[0] == 0 && from.size() >= 3 && (*to)[0] == from[0]) {
    m.out = {{m.in[0].value, perm, *to}};
    return true;
  }
  // One transpose is needed, before the Reshape or behind it. Before it, the nodes behind keep the moved layout.
  if (!moved || is_identity(moved->perm)) return false;
  m.out = {{b.reshape(m.mover.moved(m.in[0].value, moved->first), moved->dims), moved->perm, {}}};
  return true;
}

// The right side w [rows, columns] of a product whose left side is a map as one row for each image: the rows of w in the order in
// which the elements of an image lie in the map there, of shape `map`.
std::optional<Value> reordered(Builder& b, Value w, const Shape& map, const Perm& perm) {
  Perm inner;   // `perm` without the dimension of images
  Shape meant;  // of one image
  for (size_t d = 1; d < perm.size(); ++d) {
    inner.push_back(perm[d] - 1);
    meant.push_back(map[static_cast<size_t>(perm[d])]);
  }
  const auto permuted = [&](Value v) -> std::optional<Value> {
    const Tensor* t = b.constant(v);
    if (!t || t->rank() != 2 || t->dim(0) != elements(meant)) return {};
    Shape split = meant;
    split.push_back(t->dim(1));
    Perm back = inverse_perm(inner);
    back.push_back(static_cast<int64_t>(back.size()));
    const Shape whole = t->shape();
    return b.reshape(b.transpose(b.reshape(v, split), back), whole);
  };
  const Node& n = b.graph.node(w.node);
  if (n.op != "Dequantize") return permuted(w);
  if (n.attr_or("axis", int64_t{-1}) == 0) return {};
  const std::vector<Value> in = n.inputs;
  const AttrMap attrs = n.attrs;
  const auto quantized = permuted(in[0]);
  if (!quantized) return {};
  return b.add("Dequantize", {*quantized, in[1], in[2]}, attrs);
}

bool product(Move& m) {
  Builder& b = m.mover.b;
  if (m.in.size() != 2) return false;
  const bool batch = m.node.op != "MatMul";
  if (!batch && m.in[0].flat && m.in[1].plain() && !m.node.attr_or("transpose_a", false) &&
      !m.node.attr_or("transpose_b", false)) {
    const Shape map = b.dims(m.in[0].value);
    if (!is_static(Shape(map.begin() + 1, map.end()))) return false;
    const auto w = reordered(b, m.in[1].value, map, m.in[0].perm);
    if (!w) return false;
    m.out = {{add(m, {b.reshape(m.in[0].value, *m.in[0].flat), *w}, m.node.attrs), {}, {}}};
    return true;
  }
  // The last two dimensions change places: the product reads either order. The left side of a layer, whose right side is
  // constant, is transposed before it, since kernels and 8-bit forms read rows.
  AttrMap attrs = m.node.attrs;
  std::vector<Value> inputs;
  bool changed = false;
  for (size_t i = 0; i < 2; ++i) {
    const Permuted& p = m.in[i];
    Perm swapped = p.perm;
    if (swapped.size() >= 2) std::swap(swapped.back(), swapped[swapped.size() - 2]);
    if (!is_moved(p) || !is_identity(swapped) || (i == 0 && b.constant(m.in[1].value))) {
      inputs.push_back({});
      continue;
    }
    const char* name = batch ? (i ? "adj_y" : "adj_x") : (i ? "transpose_b" : "transpose_a");
    attrs.insert_or_assign(name, !m.node.attr_or(name, false));
    inputs.push_back(p.value);
    changed = true;
  }
  if (!changed) return false;
  for (size_t i = 0; i < 2; ++i)
    if (inputs[i].node < 0) inputs[i] = m.mover.made(m.in[i]);
  m.out = {{add(m, std::move(inputs), std::move(attrs)), {}, {}}};
  return true;
}

struct RuleEntry {
  Rule rule;
  std::vector<std::string_view> ops;
};
const std::vector<RuleEntry>& rule_entries() {
  static const std::vector<RuleEntry> entries = {
      {transpose, {"Transpose"}},
      {unary, {"Abs",        "Acos",     "Acosh",      "Asin",      "Asinh",  "Atan",       "Atanh",   "Cast",     "Ceil",
               "Cos",        "Cosh",     "Dequantize", "Elu",       "Erf",    "Exp",        "Expm1",   "Floor",    "Identity",
               "IsFinite",   "IsInf",    "IsNan",      "LeakyRelu", "Log",    "LogicalNot", "Neg",     "OnesLike", "QuantizeV2",
               "Reciprocal", "Relu",     "Relu6",      "Round",     "Rsqrt",  "Selu",       "Sigmoid", "Sign",     "Sin",
               "Sinh",       "Softplus", "Softsign",   "Sqrt",      "Square", "Tan",        "Tanh",    "ZerosLike"}},
      {grid, {"onnx:DequantizeLinear", "onnx:QuantizeLinear"}},
      {broadcast, {"Add",          "AddV2",      "DivNoNan",  "Equal",      "FloorDiv",  "FloorMod",          "Greater",
                   "GreaterEqual", "Less",       "LessEqual", "LogicalAnd", "LogicalOr", "Maximum",           "Minimum",
                   "Mul",          "NotEqual",   "Pow",       "RealDiv",    "SelectV2",  "SquaredDifference", "Sub",
                   "TruncateDiv",  "TruncateMod"}},
      {concat, {"ConcatV2"}},
      {split, {"Split", "SplitV"}},
      {reduce, {"All", "Any", "ArgMax", "ArgMin", "Max", "Mean", "Min", "Prod", "Sum"}},
      {along_axis, {"Cumsum", "ReverseV2"}},
      {over_last, {"LogSoftmax", "Softmax"}},
      {pad, {"MirrorPad", "Pad", "PadV2"}},
      {per_dimension, {"Slice", "Tile"}},
      {strided_slice, {"StridedSlice"}},
      {squeeze, {"Squeeze"}},
      {gather, {"GatherV2"}},
      {shape_of, {"Shape"}},
      {reshape, {"Reshape"}},
      {product, {"BatchMatMulV2", "MatMul"}},
  };
  return entries;
}

}  // namespace

bool moved_through(Move& move) {
  for (const RuleEntry& entry : rule_entries())
    if (std::find(entry.ops.begin(), entry.ops.end(), move.node.op) != entry.ops.end()) return entry.rule(move);
  return false;
}

}  // namespace cytodet::graph
