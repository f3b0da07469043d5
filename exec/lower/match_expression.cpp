// Element-wise nodes that read each other -> one expression:
//
//   x ─┬─ Add 3 ─ Relu6 ─ Mul 1/6 ─ Mul ─▶      (hard swish; any graph of element-wise nodes of one shape)
//      └─────────────────────────────┘
//
// A chain ends in one node, and only that one's value is read by others. Operands of any shape that broadcasts are read, maps and
// constants; batch norms and BiasAdd are chains of their constants.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/suggest.h"
#include "exec/lower/match.h"
#include "exec/steps/expression_step.h"
#include "graph/ir/conv_node.h"

namespace cytodet::exec {
namespace {

constexpr size_t kMaxNodes = 16, kMaxLeaves = 12;

struct UnaryEntry {
  const char* name;  // of the op
  ExprOp op;
};
constexpr UnaryEntry kUnary[] = {{"Neg", ExprOp::neg},
                                 {"Abs", ExprOp::abs},
                                 {"Sign", ExprOp::sign},
                                 {"Square", ExprOp::square},
                                 {"Sqrt", ExprOp::sqrt},
                                 {"Rsqrt", ExprOp::rsqrt},
                                 {"Reciprocal", ExprOp::reciprocal},
                                 {"Inv", ExprOp::reciprocal},
                                 {"Exp", ExprOp::exp},
                                 {"Expm1", ExprOp::expm1},
                                 {"Log", ExprOp::log},
                                 {"Log1p", ExprOp::log1p},
                                 {"Tanh", ExprOp::tanh},
                                 {"Sigmoid", ExprOp::sigmoid},
                                 {"Relu", ExprOp::relu},
                                 {"Relu6", ExprOp::relu6},
                                 {"Elu", ExprOp::elu},
                                 {"Selu", ExprOp::selu},
                                 {"Softplus", ExprOp::softplus},
                                 {"Softsign", ExprOp::softsign},
                                 {"Erf", ExprOp::erf},
                                 {"Floor", ExprOp::floor},
                                 {"Ceil", ExprOp::ceil},
                                 {"Round", ExprOp::round},
                                 {"Rint", ExprOp::round},
                                 {"LogicalNot", ExprOp::logical_not}};

struct BinaryEntry {
  const char* name;  // of the op
  ExprOp op;
  bool swapped = false;
};
constexpr BinaryEntry kBinary[] = {{"Add", ExprOp::add},
                                   {"AddV2", ExprOp::add},
                                   {"Sub", ExprOp::sub},
                                   {"Mul", ExprOp::mul},
                                   {"RealDiv", ExprOp::div},
                                   {"Div", ExprOp::div},
                                   {"DivNoNan", ExprOp::div_no_nan},
                                   {"Maximum", ExprOp::max},
                                   {"Minimum", ExprOp::min},
                                   {"SquaredDifference", ExprOp::squared_difference},
                                   {"Equal", ExprOp::equal},
                                   {"NotEqual", ExprOp::not_equal},
                                   {"Less", ExprOp::less},
                                   {"LessEqual", ExprOp::less_equal},
                                   {"Greater", ExprOp::less, true},
                                   {"GreaterEqual", ExprOp::less_equal, true},
                                   {"LogicalAnd", ExprOp::min},
                                   {"LogicalOr", ExprOp::max}};

bool is_batch_norm(const Node& n) {
  return n.op.starts_with("FusedBatchNorm") && n.inputs.size() == 5 && !n.attr_or("is_training", true);
}
bool is_number(DType type) { return type == DType::f32 || type == DType::boolean; }

const Shape* shape_of(const Lowering& low, Value v) {
  const Fact& fact = low.facts.of(v);
  return fact.has_static_shape() ? &*fact.shape : nullptr;
}

// Whether `from` broadcasts to `to`.
bool fits(const Shape& from, const Shape& to) {
  if (from.size() > to.size()) return false;
  for (size_t i = 0; i < from.size(); ++i)
    if (from[from.size() - 1 - i] != 1 && from[from.size() - 1 - i] != to[to.size() - 1 - i]) return false;
  return true;
}

bool is_float_constant(const Lowering& low, Value v) {
  const Tensor* t = low.constant(v);
  return t && t->dtype() == DType::f32;
}

bool is_fake_quant(const Node& n) { return n.op.starts_with("FakeQuantWithMinMax") && !n.op.ends_with("Gradient"); }

// Fake quantization of each channel, or of all: floor((clip(x, low, high) - low) / scale + 0.5) * scale + low. The range is moved
// so that 0 is one of its values.
struct FakeQuantGrids {
  Tensor low, high, scale;
};

// Nothing where the range is not known, or is empty.
std::optional<FakeQuantGrids> fake_quant_grids(const Lowering& low, const Node& n, int64_t channels) {
  const bool args = n.op == "FakeQuantWithMinMaxArgs";
  if (n.inputs.size() != (args ? 1u : 3u)) return {};
  const Tensor min = args                        ? Tensor::scalar(n.attr_or("min", -6.0f))
                     : low.constant(n.inputs[1]) ? *low.constant(n.inputs[1])
                                                 : Tensor();
  const Tensor max = args                        ? Tensor::scalar(n.attr_or("max", 6.0f))
                     : low.constant(n.inputs[2]) ? *low.constant(n.inputs[2])
                                                 : Tensor();
  if (!min.defined() || !max.defined() || min.dtype() != DType::f32 || max.dtype() != DType::f32 || min.shape() != max.shape())
    return {};
  if (min.size() != 1 && min.size() != channels) return {};
  const int64_t bits = n.attr_or("num_bits", int64_t{8});
  if (bits < 2 || bits > 16) return {};
  FakeQuantGrids g{Tensor(DType::f32, min.shape()), Tensor(DType::f32, min.shape()), Tensor(DType::f32, min.shape())};
  const float first = n.attr_or("narrow_range", false) ? 1.0f : 0.0f, last = static_cast<float>((1 << bits) - 1);
  for (int64_t c = 0; c < min.size(); ++c) {
    const float from = min.data<float>()[c], to = max.data<float>()[c], scale = (to - from) / (last - first),
                zero = first - from / scale;
    if (!(from < to)) return {};
    const float nudged = zero < first ? first : zero > last ? last : std::round(zero);
    g.low.data<float>()[c] = (first - nudged) * scale;
    g.high.data<float>()[c] = (last - nudged) * scale;
    g.scale.data<float>()[c] = scale;
  }
  return g;
}

// Inputs that are read element by element; others are constants of the node.
size_t operands(const Node& n) { return is_batch_norm(n) || is_fake_quant(n) || n.op == "BroadcastTo" ? 1 : n.inputs.size(); }

// Whether a type may be read: maps of floats, or small ones that a Cast makes floats of; constants.
bool is_operand(const Lowering& low, const Node& n, Value v, const Shape& shape) {
  const Shape* own = shape_of(low, v);
  if (!own || !fits(*own, shape)) return false;
  const DType type = low.facts.of(v).dtype;
  return is_number(type) || (n.op == "Cast" && (type == DType::u8 || type == DType::i32));
}

// Ops that are no entry of kUnary or kBinary, and whether an expression can hold a node of such an op, whose value is of this
// shape.
struct OtherEntry {
  const char* name;  // of the op
  bool (*takes)(const Lowering&, const Node&, const Shape&);
};
constexpr OtherEntry kOther[] = {
    {"AddN", [](const Lowering&, const Node& n, const Shape&) { return !n.inputs.empty() && n.inputs.size() <= 8; }},
    {"BiasAdd",
     [](const Lowering& low, const Node& n, const Shape& shape) {
       return n.inputs.size() == 2 && is_float_constant(low, n.inputs[1]) && (!is_channels_first(n) || shape.size() >= 2);
     }},
    {"BroadcastTo", [](const Lowering& low, const Node& n,
                       const Shape&) { return n.inputs.size() == 2 && low.constant(n.inputs[1]) != nullptr; }},
    {"Cast", [](const Lowering&, const Node& n, const Shape&) { return n.inputs.size() == 1; }},
    {"ClipByValue", [](const Lowering&, const Node& n, const Shape&) { return n.inputs.size() == 3; }},
    {"LeakyRelu", [](const Lowering&, const Node& n, const Shape&) { return n.inputs.size() == 1; }},
    {"Pow",
     [](const Lowering& low, const Node& n, const Shape&) {
       return n.inputs.size() == 2 && is_float_constant(low, n.inputs[1]) && low.constant(n.inputs[1])->size() == 1;
     }},
    {"Select",
     [](const Lowering& low, const Node& n, const Shape& shape) {
       return n.inputs.size() == 3 && shape_of(low, n.inputs[0]) && *shape_of(low, n.inputs[0]) == shape;
     }},
    {"SelectV2", [](const Lowering&, const Node& n, const Shape&) { return n.inputs.size() == 3; }},
};

// Whether an expression has the node's op, with inputs and attributes as this node has them.
bool has_known_op(const Lowering& low, const Node& n, const Shape& shape) {
  if (entry_named(kUnary, n.op)) return n.inputs.size() == 1;
  if (entry_named(kBinary, n.op)) return n.inputs.size() == 2;
  if (const OtherEntry* entry = entry_named(kOther, n.op)) return entry->takes(low, n, shape);
  if (is_fake_quant(n)) return fake_quant_grids(low, n, shape.empty() ? 1 : shape.back()).has_value();
  return is_batch_norm(n) && shape.size() == 4 &&
         std::all_of(n.inputs.begin() + 1, n.inputs.end(), [&](Value v) { return is_float_constant(low, v); });
}

// Whether the node is an element-wise one that an expression can hold.
bool is_elementwise(const Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  const Shape* shape = shape_of(low, {id, 0});
  if (!shape || elements(*shape) == 0 || !is_number(low.facts.of({id, 0}).dtype) || low.constant({id, 0})) return false;
  if (!has_known_op(low, n, *shape)) return false;
  if (n.op == "BiasAdd") return is_operand(low, n, n.inputs[0], *shape);
  return std::all_of(n.inputs.begin(), n.inputs.begin() + static_cast<long>(operands(n)),
                     [&](Value v) { return is_operand(low, n, v, *shape); });
}

bool is_float_of_one(const Lowering& low, Value v) { return is_float_constant(low, v) && low.constant(v)->size() == 1; }

bool has_own_kernel(const Lowering& low, NodeId id);

// Whether the value only scales, and perhaps upsamples, a term of a sum that match_sum takes: it takes the whole way.
bool leads_to_sum(const Lowering& low, NodeId id) {
  const NodeId reader = low.sole_reader({id, 0});
  if (reader < 0) return false;
  const Node& n = low.graph.node(reader);
  if (n.op == "Add" || n.op == "AddV2" || n.op == "AddN" || n.op == "Mul" || n.op == "RealDiv")
    return has_own_kernel(low, reader);
  return n.op == "ResizeNearestNeighbor" && leads_to_sum(low, reader);
}

// Whether another kernel is made for the node alone, or for it and what scales its inputs (match_sum, match_product, ...).
bool has_own_kernel(const Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  const Shape* shape = low.float_shape({id, 0});
  if (!shape) return false;
  const auto map_of_shape = [&](Value v) { return !low.constant(v) && low.float_shape(v) && *low.float_shape(v) == *shape; };
  const auto all_maps = [&] { return std::all_of(n.inputs.begin(), n.inputs.end(), map_of_shape); };
  if (n.op == "Relu" || n.op == "Relu6" || n.op == "Sigmoid") return true;
  if (n.op == "Add" || n.op == "AddV2" || n.op == "AddN" || n.op == "Mul")
    if (all_maps()) return true;
  const bool scales = (n.op == "Mul" && (is_float_of_one(low, n.inputs[0]) || is_float_of_one(low, n.inputs[1]))) ||
                      (n.op == "RealDiv" && is_float_of_one(low, n.inputs[1]));
  return scales && leads_to_sum(low, id);
}

// A map by one number per image and channel: the convolution behind it may take the gate into its weights.
bool is_gate(const Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.op != "Mul") return false;
  for (size_t i = 0; i < 2; ++i) {
    const Shape *map = low.float_shape(n.inputs[i]), *gate = low.float_shape(n.inputs[1 - i]);
    if (map && gate && map->size() == 4 && *map != *gate && *gate == Shape{(*map)[0], 1, 1, (*map)[3]} &&
        !low.constant(n.inputs[1 - i]))
      return true;
  }
  return false;
}

bool may_join(const Lowering& low, NodeId id) {
  return low.needed(id) && !low.taken(id) && is_elementwise(low, id) && !is_gate(low, id);
}

// The nodes of the expression that ends in `root`, in the order of the graph.
std::vector<NodeId> grow(const Lowering& low, NodeId root) {
  std::vector<NodeId> found{root};
  const Shape& shape = *shape_of(low, {root, 0});
  const auto inside = [&](NodeId id) { return std::count(found.begin(), found.end(), id) > 0; };
  for (bool more = true; more && found.size() < kMaxNodes;) {
    more = false;
    for (size_t i = 0; i < found.size() && found.size() < kMaxNodes; ++i)
      for (Value v : low.graph.node(found[i]).inputs) {
        if (v.slot != 0 || low.constant(v) || inside(v.node) || !may_join(low, v.node) || *shape_of(low, v) != shape) continue;
        const auto readers = low.absorbable_uses(v);
        if (readers.empty() || !std::all_of(readers.begin(), readers.end(), [&](Consumers::Use u) { return inside(u.node); }))
          continue;
        if (found.size() == kMaxNodes) break;
        found.push_back(v.node);
        more = true;
      }
  }
  std::sort(found.begin(), found.end(), [&](NodeId a, NodeId b) { return low.position(a) < low.position(b); });
  return found;
}

// The last of the nodes that read v, when all of them may join; -1 otherwise.
NodeId last_joining_reader(const Lowering& low, Value v) {
  NodeId last = -1;
  for (Consumers::Use use : low.absorbable_uses(v)) {
    if (!may_join(low, use.node) || *shape_of(low, {use.node, 0}) != *shape_of(low, v)) return -1;
    if (last < 0 || low.position(use.node) > low.position(last)) last = use.node;
  }
  return last;
}

// The widest expression with the node: of all ends that follow it, the last one from which it is reached.
std::vector<NodeId> expression_with(const Lowering& low, NodeId id) {
  std::vector<NodeId> ends{id};
  while (ends.size() < 2 * kMaxNodes) {
    const NodeId next = last_joining_reader(low, {ends.back(), 0});
    if (next < 0) break;
    ends.push_back(next);
  }
  for (; ends.size() > 1; ends.pop_back()) {
    std::vector<NodeId> nodes = low.float_shape({ends.back(), 0}) ? grow(low, ends.back()) : std::vector<NodeId>{};
    if (std::count(nodes.begin(), nodes.end(), id) > 0) return nodes;
  }
  return grow(low, id);
}

// Translates nodes into an Expression.
class Translator {
 public:
  explicit Translator(const Lowering& low) : low_(low) {}

  // False where the expression would be too large.
  bool run(const std::vector<NodeId>& nodes) {
    expression.shape = *low_.float_shape({nodes.back(), 0});
    for (NodeId id : nodes) registers_[{id, 0}] = translate(low_.graph.node(id));
    const std::string& last = low_.graph.node(nodes.back()).op;
    if (expression.ops.empty() && (last == "Cast" || last == "BroadcastTo"))  // floats of whole numbers, or the same floats
      registers_[{nodes.back(), 0}] = emit(ExprOp::mul, registers_.at({nodes.back(), 0}), constant(1));
    if (expression.leaves.size() > kMaxLeaves || expression.ops.empty()) return false;
    // The result is that of the last operation, and leaves have the first registers.
    const int leaves = static_cast<int>(expression.leaves.size());
    if (registers_.at({nodes.back(), 0}) != expression.ops.back().to) return false;
    for (ExpressionOp& op : expression.ops)
      for (int* r : {&op.to, &op.a, &op.b, &op.c})
        if (*r != -1) *r = *r >= kFirstResult ? *r - kFirstResult + leaves : *r;
    return true;
  }

  Expression expression;
  std::vector<Value> inputs;  // of the leaves that are not constant

 private:
  static constexpr int kFirstResult = 1 << 16;  // results, until the number of leaves is known

  int emit(ExprOp op, int a, int b = -1, int c = -1) {
    const int to = kFirstResult + static_cast<int>(expression.ops.size());
    expression.ops.push_back({op, to, a, b, c});
    return to;
  }
  int leaf(ExpressionLeaf l) {
    expression.leaves.push_back(std::move(l));
    return static_cast<int>(expression.leaves.size()) - 1;
  }
  int constant(Tensor t) {
    Shape shape = t.shape();
    return leaf({std::move(shape), std::move(t), DType::f32});
  }
  int constant(float x) { return constant(Tensor::scalar(x)); }

  int operand(Value v) {
    if (const auto known = registers_.find(v); known != registers_.end()) return known->second;
    if (const Tensor* t = low_.constant(v)) return registers_[v] = constant(t->dtype() == DType::f32 ? *t : as_floats(*t));
    inputs.push_back(v);
    return registers_[v] = leaf({*shape_of(low_, v), {}, low_.facts.of(v).dtype});
  }
  static Tensor as_floats(const Tensor& t) {
    Tensor floats(DType::f32, t.shape());
    for (int64_t i = 0; i < t.size(); ++i) floats.data<float>()[i] = static_cast<float>(t.as_double(i));
    return floats;
  }

  int translate(const Node& n) {
    if (is_batch_norm(n)) return batch_norm(n);
    if (is_fake_quant(n)) return fake_quant(n);
    const int a = operand(n.inputs[0]);
    if (n.op == "BroadcastTo") return a;
    if (const UnaryEntry* entry = entry_named(kUnary, n.op)) return emit(entry->op, a);
    if (n.op == "Cast")
      return low_.facts.of({low_.graph.find(n.name), 0}).dtype == DType::boolean ? emit(ExprOp::not_equal, a, constant(0)) : a;
    if (n.op == "LeakyRelu") return emit(ExprOp::leaky_relu, a, constant(n.attr_or("alpha", 0.2f)));
    if (n.op == "BiasAdd") return emit(ExprOp::add, a, constant(per_channel(*low_.constant(n.inputs[1]), is_channels_first(n))));
    if (n.op == "Pow") return power(a, low_.constant(n.inputs[1])->data<float>()[0]);
    if (n.op == "AddN") {
      int sum = a;
      for (size_t i = 1; i < n.inputs.size(); ++i) sum = emit(ExprOp::add, sum, operand(n.inputs[i]));
      return sum;
    }
    const int b = operand(n.inputs[1]);
    if (const BinaryEntry* entry = entry_named(kBinary, n.op))
      return entry->swapped ? emit(entry->op, b, a) : emit(entry->op, a, b);
    const int c = operand(n.inputs[2]);
    if (n.op == "ClipByValue") return emit(ExprOp::min, emit(ExprOp::max, a, b), c);
    return emit(ExprOp::select, a, b, c);
  }

  // A vector over the channels, as it broadcasts.
  static Tensor per_channel(const Tensor& t, bool first) { return first ? t.reshaped({t.size(), 1, 1}) : t; }

  int power(int a, float b) {
    if (b == 2) return emit(ExprOp::square, a);
    if (b == 3) return emit(ExprOp::mul, emit(ExprOp::square, a), a);
    if (b == 0.5f) return emit(ExprOp::sqrt, a);
    if (b == -1) return emit(ExprOp::reciprocal, a);
    return emit(ExprOp::power, a, constant(b));
  }

  int fake_quant(const Node& n) {
    const Shape& shape = expression.shape;
    const FakeQuantGrids g = *fake_quant_grids(low_, n, shape.empty() ? 1 : shape.back());
    const int low = constant(g.low), scale = constant(g.scale);
    const int clipped = emit(ExprOp::min, emit(ExprOp::max, operand(n.inputs[0]), low), constant(g.high));
    const int steps = emit(ExprOp::div, emit(ExprOp::sub, clipped, low), scale);
    return emit(ExprOp::add, emit(ExprOp::mul, emit(ExprOp::floor, emit(ExprOp::add, steps, constant(0.5f))), scale), low);
  }

  // (x - mean) / sqrt(variance + epsilon) * scale + offset, as x * factor + shift.
  int batch_norm(const Node& n) {
    const Tensor* p[4];
    for (size_t i = 0; i < 4; ++i) p[i] = low_.constant(n.inputs[i + 1]);
    const double epsilon = n.attr_or("epsilon", 1e-4f);
    Tensor factor(DType::f32, p[0]->shape()), shift(DType::f32, p[0]->shape());
    for (int64_t c = 0; c < factor.size(); ++c) {
      const double f = p[0]->data<float>()[c] / std::sqrt(p[3]->data<float>()[c] + epsilon);
      factor.data<float>()[c] = static_cast<float>(f);
      shift.data<float>()[c] = static_cast<float>(p[1]->data<float>()[c] - p[2]->data<float>()[c] * f);
    }
    const bool first = is_channels_first(n);
    return emit(ExprOp::add, emit(ExprOp::mul, operand(n.inputs[0]), constant(per_channel(factor, first))),
                constant(per_channel(shift, first)));
  }

  const Lowering& low_;
  std::map<Value, int> registers_;
};

bool claim_expression(Lowering& low, const std::vector<NodeId>& nodes) {
  if (!low.float_shape({nodes.back(), 0})) return false;
  Translator translator(low);
  if (!translator.run(nodes)) return false;
  translator.expression.fuse_products();
  const bool in_rows = translator.expression.works_in_rows();
  MakeStep make = [e = std::move(translator.expression)](const LayerIo& io) { return make_expression(e, io.inputs, io.output); };
  LayerKind kind = Opaque{translator.inputs, make};
  if (in_rows) kind = RowOp{.inputs = translator.inputs, .make = make, .unbounded = true};
  low.add_layer({nodes.back(), 0}, std::move(kind), nodes);
  return true;
}

}  // namespace

//   values ─▶ element-wise node ─▶ … ─▶ element-wise node     one pass over memory; the values between are read by these nodes
//   only
// Not where every node has a kernel of its own.
bool match_expression(Lowering& low, NodeId id) {
  if (!may_join(low, id)) return false;
  const std::vector<NodeId> nodes = expression_with(low, id);
  const bool all_have_kernels = std::all_of(nodes.begin(), nodes.end(), [&](NodeId n) { return has_own_kernel(low, n); });
  return !all_have_kernels && claim_expression(low, nodes);
}

//   values ─▶ element-wise node ─▶ … ─▶ element-wise node     of nodes that no layer has taken after all fusions, also of those
//   that have kernels of their own
bool match_expression_rest(Lowering& low, NodeId id) {
  return low.needed(id) && !low.taken(id) && is_elementwise(low, id) && claim_expression(low, expression_with(low, id));
}

}  // namespace cytodet::exec
