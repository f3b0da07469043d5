// Normalizations in any spelling of their pieces -> one step:
//
//   x ─┬─▶ Mean ─▶ Sub, SquaredDifference, Square ... ─▶ Mean ─▶ Add epsilon ─▶ Rsqrt | Sqrt ─▶ Mul, RealDiv, Sub, Add ... ─▶
//      └───────────────┘
//
// Every value behind x is written as a sum of products of x, its mean m, the mean s of its squares and r = 1 / sqrt(variance +
// epsilon), with coefficients per channel. A value that is scale * (x - m) * r + shift, or scale * x * r + shift with s in place
// of the variance, is the result of a norm. Keras' form of a layer norm on FusedBatchNorm in training mode is one such product.
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <utility>

#include "core/suggest.h"
#include "exec/lower/match.h"
#include "exec/steps/norm_step.h"
#include "graph/ir/conv_node.h"

namespace cytodet::exec {
namespace {

// The powers of x, of its mean m, of the mean s of its squares, and of r.
struct Powers {
  int x = 0, m = 0, s = 0, r = 0;
  auto operator<=>(const Powers&) const = default;
};
using Coefficients = std::vector<double>;        // one, or one per channel
using Formula = std::map<Powers, Coefficients>;  // a sum of products

double at(const Coefficients& n, size_t i) { return n[n.size() == 1 ? 0 : i]; }

template <class Combine>
Coefficients combined(const Coefficients& a, const Coefficients& b, Combine combine) {
  Coefficients out(std::max(a.size(), b.size()));
  for (size_t i = 0; i < out.size(); ++i) out[i] = combine(at(a, i), at(b, i));
  return out;
}
Coefficients product(const Coefficients& a, const Coefficients& b) { return combined(a, b, std::multiplies<double>()); }

bool is_zero(const Coefficients& n) {
  return std::all_of(n.begin(), n.end(), [](double x) { return x == 0; });
}

Formula sum_of(Formula a, const Formula& b, double sign = 1) {
  for (const auto& [powers, coefficients] : b) {
    auto [it, fresh] = a.try_emplace(powers, Coefficients{0.0});
    it->second = combined(it->second, coefficients, [sign](double x, double y) { return x + sign * y; });
    if (is_zero(it->second)) a.erase(it);
  }
  return a;
}

// Nothing where the product has higher powers than any norm.
std::optional<Formula> product_of(const Formula& a, const Formula& b) {
  Formula out;
  for (const auto& [p, coefficients] : a)
    for (const auto& [q, others] : b) {
      const Powers powers{p.x + q.x, p.m + q.m, p.s + q.s, p.r + q.r};
      if (powers.x + powers.m + 2 * powers.s > 2 || std::abs(powers.r) > 1) return {};
      out = sum_of(std::move(out), {{powers, product(coefficients, others)}});
    }
  return out;
}

const Coefficients* coefficient(const Formula& f, Powers powers) {
  const auto it = f.find(powers);
  return it == f.end() ? nullptr : &it->second;
}
bool is_one(const Coefficients* n) { return n && n->size() == 1 && std::abs((*n)[0] - 1) < 1e-6; }

// [outer][rows][groups][columns] of a shape with these reduced dimensions; nothing of other orders.
std::optional<Norm> layout(const Shape& shape, const std::vector<bool>& reduced) {
  Norm norm;
  int64_t* const parts[] = {&norm.outer, &norm.rows, &norm.groups, &norm.columns};
  // From the end: columns are reduced, groups are kept, rows are reduced, the rest is kept.
  int part = 3;
  for (size_t d = shape.size(); d-- > 0;) {
    if (shape[d] == 1) continue;
    const bool reduces = part == 3 || part == 1;
    if (reduced[d] != reduces) --part;
    if (part < 0) return {};
    *parts[part] *= shape[d];
  }
  if (norm.rows > 1) return norm;
  if (norm.columns == 1) return {};
  norm.outer = std::exchange(norm.groups, 1);  // a layer norm
  return norm;
}

class NormSearch {
 public:
  // Searches the values behind x, whose means go over `reduced`.
  NormSearch(const Lowering& low, Value x, const std::vector<bool>& reduced) : low_(low), x_(x), reduced_(reduced) {
    formulas_[x] = {{{1, 0, 0, 0}, {1.0}}};
  }

  struct Found {
    Value output;
    Norm norm;
    std::vector<NodeId> nodes;
  };
  std::optional<Found> run() {
    const std::optional<Norm> parts = layout(*low_.float_shape(x_), reduced_);
    if (!parts) return {};
    norm_ = *parts;
    explore();
    std::optional<Found> best;
    for (const NodeId id : order_)
      if (std::optional<Found> found = found_at(id)) best = std::move(found);
    return best;
  }

 private:
  static constexpr size_t kMaxNodes = 48;

  // Writes the values behind those that are known, until no more can be.
  void explore() {
    for (size_t before = 0; before != formulas_.size() && order_.size() < kMaxNodes;) {
      before = formulas_.size();
      std::vector<NodeId> behind;
      for (const auto& [v, formula] : formulas_)
        for (Consumers::Use use : low_.uses.of(v))
          if (low_.needed(use.node) && !low_.taken(use.node)) behind.push_back(use.node);
      for (const NodeId id : behind) {
        if (formulas_.contains({id, 0}) || !low_.float_shape({id, 0})) continue;
        std::optional<Formula> f = formula_of(id);
        if (!f) continue;
        formulas_[{id, 0}] = std::move(*f);
        order_.push_back(id);
      }
    }
    std::sort(order_.begin(), order_.end(), [&](NodeId a, NodeId b) { return low_.position(a) < low_.position(b); });
  }

  // Whether a value of this shape has x's dimensions, with 1 in place of some: then it broadcasts against x as its formula says.
  bool is_aligned(const Shape& shape) const {
    const Shape& of_x = *low_.float_shape(x_);
    for (size_t i = 1; i <= shape.size(); ++i) {
      const int64_t size = shape[shape.size() - i];
      if (size != 1 && (i > of_x.size() || size != of_x[of_x.size() - i])) return false;
    }
    return true;
  }
  // Whether a value of this shape has as many elements as x. Row-major they are x's, so that element i is of channel
  // i % (groups * columns) however they are shaped.
  bool is_whole(const Shape& shape) const { return elements(shape) == elements(*low_.float_shape(x_)); }
  // Whether a node may combine the values of its inputs that have formulas, giving a value of this shape: all broadcast against
  // x, or all are x's elements in one other shape.
  bool agree(const Node& n, const Shape& result) const {
    bool aligned = is_aligned(result), whole = is_whole(result);
    for (const Value v : n.inputs) {
      if (!formulas_.contains(v)) continue;
      const Shape& shape = *low_.float_shape(v);
      aligned = aligned && is_aligned(shape);
      whole = whole && is_whole(shape);
    }
    return aligned || whole;
  }

  static std::optional<Coefficients> one_coefficient(const Tensor& t) {
    if (t.dtype() != DType::f32 || t.size() == 0) return {};
    const float* p = t.data<float>();
    if (!std::all_of(p, p + t.size(), [&](float x) { return x == p[0]; })) return {};
    return Coefficients{p[0]};
  }

  // A constant as coefficients per channel of a value of this shape, which it is broadcast to.
  std::optional<Coefficients> coefficients_of(const Tensor& t, const Shape& shape) const {
    if (t.dtype() != DType::f32 || t.size() == 0 || t.rank() > static_cast<int64_t>(shape.size())) return {};
    if (std::optional<Coefficients> one = one_coefficient(t)) return one;
    // It may differ over the last dimensions alone, which are the channels.
    const float* p = t.data<float>();
    const int64_t channels = norm_.groups * norm_.columns;
    const Shape& of_x = *low_.float_shape(x_);
    const Shape& whole = is_whole(shape) ? shape : of_x;
    int64_t count = 1;
    size_t tail_rank = 0;
    while (tail_rank < whole.size() && count < channels) count *= whole[whole.size() - ++tail_rank];
    if (count != channels || tail_rank > shape.size() ||
        !std::equal(whole.end() - static_cast<std::ptrdiff_t>(tail_rank), whole.end(),
                    shape.end() - static_cast<std::ptrdiff_t>(tail_rank)))
      return {};
    const size_t tail = shape.size() - tail_rank, skipped = shape.size() - static_cast<size_t>(t.rank());
    for (size_t d = skipped; d < tail; ++d)
      if (t.dim(static_cast<int64_t>(d - skipped)) != 1) return {};
    Coefficients out(static_cast<size_t>(channels));
    for (int64_t c = 0; c < channels; ++c) {
      int64_t rest = c, offset = 0, stride = 1;
      for (size_t d = shape.size(); d-- > tail;) {
        const int64_t place = rest % shape[d];
        rest /= shape[d];
        const int64_t own = d < skipped ? 1 : t.dim(static_cast<int64_t>(d - skipped));
        if (own != 1 && own != shape[d]) return {};
        if (own != 1) offset += place * stride;
        stride *= own;
      }
      out[static_cast<size_t>(c)] = p[offset];
    }
    return out;
  }

  std::optional<Formula> operand(Value v, const Shape& shape) const {
    if (const auto known = formulas_.find(v); known != formulas_.end()) return known->second;
    const Tensor* t = low_.constant(v);
    const std::optional<Coefficients> coefficients = t ? coefficients_of(*t, shape) : std::nullopt;
    if (!coefficients) return {};
    return is_zero(*coefficients) ? Formula{} : Formula{{Powers{}, *coefficients}};
  }

  using Maybe = std::optional<Formula>;

  // Nothing where the node's op has no formula, or one of its inputs has none.
  Maybe formula_of(NodeId id) {
    const Node& n = low_.graph.node(id);
    static const char* const kSame[] = {"Identity", "StopGradient", "PreventGradient", "Snapshot"};
    if (std::any_of(std::begin(kSame), std::end(kSame), [&](const char* op) { return n.op == op; })) return known(n, 0);
    if (n.op == "Reshape") return reshaped(n, *low_.float_shape({id, 0}));
    if (n.op == "Mean") return mean_of(n);
    if (n.op.starts_with("FusedBatchNorm")) return batch_norm(n);
    if (n.op == "BiasAdd" && is_channels_first(n)) return {};
    if (const auto* entry = entry_named(kOfOne, n.op)) {
      const Maybe x = known(n, 0);
      return x ? entry->formula(*this, *x) : x;
    }
    const auto* entry = entry_named(kOfTwo, n.op);
    if (!entry || n.inputs.size() != 2) return {};
    const Shape& shape = *low_.float_shape({id, 0});
    if (!agree(n, shape)) return {};
    const Maybe a = operand(n.inputs[0], shape), b = operand(n.inputs[1], shape);
    return a && b ? entry->formula(*this, *a, *b) : Maybe();
  }

  static Maybe sum(NormSearch&, const Formula& a, const Formula& b) { return sum_of(a, b); }
  static Maybe difference(NormSearch&, const Formula& a, const Formula& b) { return sum_of(a, b, -1); }
  static Maybe times(NormSearch&, const Formula& a, const Formula& b) { return product_of(a, b); }
  static Maybe quotient(NormSearch& search, const Formula& a, const Formula& b) {
    const Maybe inverse = reciprocal(search, b);
    return inverse ? product_of(a, *inverse) : inverse;
  }
  static Maybe squared_difference(NormSearch&, const Formula& a, const Formula& b) {
    const Formula d = sum_of(a, b, -1);
    return product_of(d, d);
  }
  static Maybe power(NormSearch& search, const Formula& a, const Formula& b) {
    const Coefficients* exponent = b.size() == 1 ? coefficient(b, {}) : nullptr;
    if (!exponent || exponent->size() != 1) return {};
    if ((*exponent)[0] == 2) return product_of(a, a);
    if (std::abs((*exponent)[0]) == 0.5) return search.root(a, (*exponent)[0] > 0 ? -1 : 1);
    return {};
  }
  static Maybe negative(NormSearch&, const Formula& x) { return sum_of({}, x, -1); }
  static Maybe square(NormSearch&, const Formula& x) { return product_of(x, x); }
  static Maybe square_root(NormSearch& search, const Formula& x) { return search.root(x, -1); }
  static Maybe inverse_square_root(NormSearch& search, const Formula& x) { return search.root(x, 1); }

  // Ops of one value, and of two of which one may be a constant.
  struct OfOne {
    const char* name;
    Maybe (*formula)(NormSearch&, const Formula&);
  };
  struct OfTwo {
    const char* name;
    Maybe (*formula)(NormSearch&, const Formula&, const Formula&);
  };
  static const OfOne kOfOne[6];
  static const OfTwo kOfTwo[9];

  std::optional<Formula> known(const Node& n, size_t input) const {
    const auto it = formulas_.find(n.inputs[input]);
    return it == formulas_.end() ? std::nullopt : std::optional(it->second);
  }

  // A layer norm's value, as large as x, whose channels stay the last dimensions.
  std::optional<Formula> reshaped(const Node& n, const Shape& to) const {
    const Shape* from = low_.float_shape(n.inputs[0]);
    if (norm_.rows != 1 || !from || !is_whole(*from)) return {};
    int64_t count = 1;
    for (size_t d = to.size(); d-- > 0 && count < norm_.columns;) count *= to[d];
    return count == norm_.columns ? known(n, 0) : std::nullopt;
  }

  // The mean of x becomes m and that of its square s; factors that are the same for all that is reduced stay as they are.
  std::optional<Formula> mean_of(const Node& n) const {
    const auto f = known(n, 0);
    const auto axes = known_ints(low_, n, 1);
    if (!f || !axes || !n.attr_or("keep_dims", false)) return {};
    const Shape& shape = *low_.float_shape(n.inputs[0]);
    if (shape != *low_.float_shape(x_)) return {};
    std::vector<bool> reduced(shape.size());
    for (int64_t a : *axes)
      if (const auto d = dimension_of(a, shape.size())) reduced[*d] = true;
    if (reduced != reduced_) return {};
    Formula out;
    for (const auto& [p, coefficients] : *f) {
      if (coefficients.size() != 1 || p.r != 0 || (p.x == 2 && (p.m || p.s))) return {};
      const Powers mean = p.x == 2 ? Powers{0, 0, p.s + 1, 0} : Powers{0, p.m + p.x, p.s, 0};
      out = sum_of(std::move(out), {{mean, coefficients}});
    }
    return out;
  }

  // Keras' layer norm: each row is a channel of one image, normalized by its own mean and variance.
  std::optional<Formula> batch_norm(const Node& n) {
    if (n.inputs.size() != 5 || !n.attr_or("is_training", true) || is_channels_last(n) || n.inputs[0] != x_) return {};
    const Tensor *scale = low_.constant(n.inputs[1]), *offset = low_.constant(n.inputs[2]);
    if (!scale || !offset) return {};
    const auto factor = one_coefficient(*scale), shift = one_coefficient(*offset);
    if (!factor || !shift || !set_epsilon(n.attr_or("epsilon", 1e-4f), true)) return {};
    Formula f{{{1, 0, 0, 1}, *factor}, {{0, 1, 0, 1}, {-(*factor)[0]}}};
    return is_zero(*shift) ? f : sum_of(f, {{Powers{}, *shift}});
  }

  // 1 / sqrt(variance + epsilon) = r where `power` is 1, or the root itself.
  Maybe root(const Formula& f, int power) {
    if (!is_one(coefficient(f, {0, 0, 1, 0}))) return {};
    const Coefficients* square = coefficient(f, {0, 2, 0, 0});
    const Coefficients* epsilon = coefficient(f, {});
    if (square && !(square->size() == 1 && std::abs((*square)[0] + 1) < 1e-6)) return {};
    if (epsilon && (epsilon->size() != 1 || (*epsilon)[0] < 0)) return {};
    if (f.size() != 1u + (square ? 1 : 0) + (epsilon ? 1 : 0)) return {};
    if (!set_epsilon(epsilon ? static_cast<float>((*epsilon)[0]) : 0, square != nullptr)) return {};
    return Formula{{{0, 0, 0, power}, {1.0}}};
  }
  // All roots are of one variance and one epsilon.
  bool set_epsilon(float epsilon, bool centred) {
    if (has_root_ && (epsilon != norm_.epsilon || centred != norm_.centred)) return false;
    has_root_ = true;
    norm_.epsilon = epsilon;
    norm_.centred = centred;
    return true;
  }

  // One over a value that is a single product of coefficients and a power of r.
  static Maybe reciprocal(NormSearch&, const Formula& f) {
    if (f.size() != 1) return {};
    const auto& [p, coefficients] = *f.begin();
    if (p.x || p.m || p.s || std::any_of(coefficients.begin(), coefficients.end(), [](double x) { return x == 0; })) return {};
    return Formula{{{0, 0, 0, -p.r}, combined(coefficients, {1.0}, [](double x, double) { return 1 / x; })}};
  }

  // The norm that a node's value is; nothing where it is none, or others read what lies between.
  std::optional<Found> found_at(NodeId id) {
    const Formula& f = formulas_.at({id, 0});
    const Coefficients *scale = coefficient(f, {1, 0, 0, 1}), *mean = coefficient(f, {0, 1, 0, 1}), *shift = coefficient(f, {});
    if (!scale || f.size() != 1u + (mean ? 1 : 0) + (shift ? 1 : 0) || norm_.centred != (mean != nullptr)) return {};
    if (mean &&
        !is_zero(combined(*scale, *mean, [](double a, double b) { return std::abs(a + b) > 1e-6 * std::abs(a) ? 1.0 : 0.0; })))
      return {};
    Found found{{id, 0}, norm_, nodes_before(id)};
    if (!is_alone(found.nodes, id) || elements(*low_.float_shape({id, 0})) != elements(*low_.float_shape(x_))) return {};
    const auto channels = static_cast<size_t>(norm_.groups * norm_.columns);
    for (size_t c = 0; c < channels; ++c) {
      found.norm.scale.push_back(static_cast<float>(at(*scale, c)));
      found.norm.shift.push_back(shift ? static_cast<float>(at(*shift, c)) : 0.0f);
    }
    return found;
  }

  // The nodes from x to the node, itself included.
  std::vector<NodeId> nodes_before(NodeId id) const {
    std::vector<NodeId> found{id};
    for (size_t i = 0; i < found.size(); ++i)
      for (Value v : low_.graph.node(found[i]).inputs)
        if (v != x_ && formulas_.contains(v) && std::count(found.begin(), found.end(), v.node) == 0) found.push_back(v.node);
    return found;
  }
  bool is_alone(const std::vector<NodeId>& nodes, NodeId last) const {
    return std::all_of(nodes.begin(), nodes.end(), [&](NodeId id) {
      const auto& readers = low_.uses.of(id);  // of any output
      const bool is_last = id == last;         // its first output is the layer's
      for (const Value v : low_.wanted)
        if (v.node == id && !(is_last && v.slot == 0)) return false;
      if (is_last)
        return std::all_of(readers.begin(), readers.end(), [&](Consumers::Use u) {
          return !low_.needed(u.node) || low_.graph.node(u.node).inputs[static_cast<size_t>(u.input)].slot == 0;
        });
      return std::all_of(readers.begin(), readers.end(), [&](Consumers::Use u) {
        return !low_.needed(u.node) || std::count(nodes.begin(), nodes.end(), u.node) > 0;
      });
    });
  }

  const Lowering& low_;
  const Value x_;
  const std::vector<bool> reduced_;
  Norm norm_;
  bool has_root_ = false;
  std::map<Value, Formula> formulas_;
  std::vector<NodeId> order_;
};

const NormSearch::OfOne NormSearch::kOfOne[6] = {{"Square", square},         {"Neg", negative},
                                                 {"Sqrt", square_root},      {"Rsqrt", inverse_square_root},
                                                 {"Reciprocal", reciprocal}, {"Inv", reciprocal}};
const NormSearch::OfTwo NormSearch::kOfTwo[9] = {{"Add", sum},        {"AddV2", sum}, {"BiasAdd", sum},
                                                 {"Sub", difference}, {"Mul", times}, {"RealDiv", quotient},
                                                 {"Div", quotient},   {"Pow", power}, {"SquaredDifference", squared_difference}};

bool claim_norm(Lowering& low, Value x, const std::vector<bool>& reduced) {
  const Shape* shape = low.float_shape(x);
  if (!shape || shape->size() != reduced.size() || elements(*shape) == 0 || low.constant(x)) return false;
  const auto found = NormSearch(low, x, reduced).run();
  if (!found) return false;
  MakeStep make = [norm = found->norm](const LayerIo& io) { return make_norm(norm, io.inputs[0], io.output); };
  low.add_layer(found->output, RowOp{.inputs = {x}, .make = std::move(make), .unbounded = true}, found->nodes);
  return true;
}

}  // namespace

//   x ─▶ Mean ─▶ ...      of x, or of its square
//   x ─▶ FusedBatchNorm in training mode, channels first ─▶ ...
bool match_norm(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.inputs.empty()) return false;
  const Shape* shape = low.float_shape(n.inputs[0]);
  if (!shape || shape->empty()) return false;
  if (n.op.starts_with("FusedBatchNorm"))
    return shape->size() == 4 && (*shape)[0] == 1 && (*shape)[3] == 1 && n.attr_or("is_training", true) && !is_channels_last(n) &&
           claim_norm(low, n.inputs[0], {true, false, true, true});
  if (n.op != "Mean" || n.inputs.size() != 2) return false;
  const auto axes = known_ints(low, n, 1);
  if (!axes || axes->empty()) return false;
  std::vector<bool> reduced(shape->size());
  for (int64_t axis : *axes) {
    const std::optional<size_t> d = dimension_of(axis, shape->size());
    if (!d) return false;
    reduced[*d] = true;
  }
  if (claim_norm(low, n.inputs[0], reduced)) return true;
  const Node& before = low.graph.node(n.inputs[0].node);
  const bool squares =
      before.op == "Square" || (before.op == "Mul" && before.inputs[0] == before.inputs[1]) || before.op == "Pow";
  return squares && claim_norm(low, before.inputs[0], reduced);
}

}  // namespace cytodet::exec
