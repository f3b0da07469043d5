// Random ops: TensorFlow promises their distribution, not their numbers. Ours follow from the seeds (both 0: from the node's
// name), so that a run repeats.
#include <random>

#include "graph/ops/eval_helpers.h"

namespace cytodet::graph::ops {
namespace {

struct Source {
  std::mt19937_64 bits;
  explicit Source(const OpCall& call) {
    uint64_t seed = static_cast<uint64_t>(call.node.attr_or("seed", int64_t{0})) * 0x9e3779b97f4a7c15u +
                    static_cast<uint64_t>(call.node.attr_or("seed2", int64_t{0}));
    if (call.node.op.starts_with("Stateless"))
      for (int64_t s : input(call, 1).as_ints()) seed = seed * 0x9e3779b97f4a7c15u + static_cast<uint64_t>(s);
    else if (seed == 0)
      for (char c : call.node.name) seed = seed * 131 + static_cast<unsigned char>(c);
    bits.seed(seed);
  }
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }  // [0, 1)
  double normal() { return std::sqrt(-2 * std::log(1 - uniform())) * std::cos(2 * M_PI * uniform()); }
  double truncated() {
    for (;;)
      if (const double v = normal(); std::abs(v) < 2) return v;
  }
  double gamma(double alpha) {  // Marsaglia and Tsang
    if (alpha < 1) return gamma(alpha + 1) * std::pow(1 - uniform(), 1 / alpha);
    const double d = alpha - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    for (;;) {
      const double x = normal(), v = std::pow(1 + c * x, 3);
      if (v > 0 && std::log(1 - uniform()) < x * x / 2 + d - d * v + d * std::log(v)) return d * v;
    }
  }
};

DType float_type(const Node& n) { return n.attr_or("dtype", DType::f32); }

template <double (Source::*draw)()>
void eval_floats(OpCall& call) {
  Source source(call);
  Tensor out(float_type(call.node), shape_of(input(call, 0)));
  const bool below_one = draw == &Source::uniform;
  on_floats(out.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < out.size(); ++i) {
      T v;
      do v = static_cast<T>(static_cast<wide_t<T>>((source.*draw)()));
      while (below_one && widen(v) >= 1);
      out.data<T>()[i] = v;
    }
  });
  call.out = {out};
}
void infer_shaped(InferCall& call) {
  call.out = {fact(float_type(call.node))};
  if (!call.in.empty() && call.in[0].constant) call.out[0].shape = call.in[0].constant->as_ints();
}

void eval_ints(OpCall& call) {
  Source source(call);
  const size_t first = call.node.op.starts_with("Stateless") ? 2 : 1;
  const Tensor &lo = input(call, first), &hi = input(call, first + 1);
  need(lo.size() == 1 && hi.size() == 1 && lo.dtype() == hi.dtype() && lo.as_int() < hi.as_int(), "needs minval below maxval");
  Tensor out(lo.dtype(), shape_of(input(call, 0)));
  const uint64_t range = static_cast<uint64_t>(hi.as_int()) - static_cast<uint64_t>(lo.as_int());
  on_integers(out.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < out.size(); ++i)
      out.data<T>()[i] = static_cast<T>(static_cast<uint64_t>(lo.as_int()) + source.bits() % range);
  });
  call.out = {out};
}
void infer_ints(InferCall& call) {
  infer_shaped(call);
  const size_t first = call.node.op.starts_with("Stateless") ? 2 : 1;
  call.out[0].dtype = call.in.size() > first ? call.in[first].dtype : DType::invalid;
}

void eval_shuffle(OpCall& call) {
  const Tensor& x = input(call, 0);
  Source source(call);
  Tensor out = x.clone();
  if (x.rank() >= 1) {
    const int64_t n = x.dim(0), inner = n ? x.size() / n : 0;
    std::vector<int64_t> order(static_cast<size_t>(inner ? n : 0));
    std::iota(order.begin(), order.end(), 0);
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[source.bits() % i]);
    for (size_t r = 0; r < order.size(); ++r)
      for (int64_t k = 0; k < inner; ++k) copy_element(out, static_cast<int64_t>(r) * inner + k, x, order[r] * inner + k);
  }
  call.out = {out};
}

// [batch, classes] unnormalised log probabilities -> [batch, samples] classes.
void eval_multinomial(OpCall& call) {
  const Tensor& x = input(call, 0);
  need(x.rank() == 2 && x.dim(1) > 0 && input(call, 1).size() == 1, "needs logits [batch, classes] and a number of samples");
  const int64_t classes = x.dim(1), samples = input(call, 1).as_int();
  need(samples >= 0, "the number of samples is negative");
  Source source(call);
  const DType type = call.node.attr_or("output_dtype", DType::i64);
  const Shape s{x.dim(0), samples};
  std::vector<int64_t> drawn(static_cast<size_t>(Tensor(DType::i64, s).size()));
  for (size_t i = 0; i < drawn.size(); ++i) {
    const int64_t row = static_cast<int64_t>(i) / samples * classes;
    double best = -std::numeric_limits<double>::infinity();
    for (int64_t c = 0; c < classes; ++c)
      if (const double v = x.as_double(row + c) - std::log(-std::log(1 - source.uniform() * (1 - 1e-16))); v > best)
        best = v, drawn[i] = c;
  }
  call.out = {int_tensor(type, s, drawn)};
}

void infer_multinomial(InferCall& call) {
  call.out = {fact(call.node.attr_or("output_dtype", DType::i64), Shape{known_dim(call, 0, 0), known_int(call, 1)})};
}

// shape + shape of the parameter; one draw per element.
template <class F>
void per_parameter(OpCall& call, DType type, F draw) {
  const Tensor& parameter = input(call, 1);
  Source source(call);
  Shape s = shape_of(input(call, 0));
  s.insert(s.end(), parameter.shape().begin(), parameter.shape().end());
  Tensor out(type, s);
  on_numeric(type, [&]<class T>() {
    for (int64_t i = 0; i < out.size(); ++i) {
      const double p = parameter.as_double(i % parameter.size());
      need(p > 0 && p < 1e8, "the parameter must be positive and below 1e8");
      out.data<T>()[i] = static_cast<T>(static_cast<wide_t<T>>(draw(source, p)));
    }
  });
  call.out = {out};
}
void eval_gamma(OpCall& call) {
  per_parameter(call, input(call, 1).dtype(), [](Source& s, double alpha) { return s.gamma(alpha); });
}
void infer_per_parameter(InferCall& call) {
  call.out = {fact(call.node.op == "RandomGamma" ? input_type(call, 1) : call.node.attr_or("dtype", DType::i64))};
  if (!call.in[0].constant || !known(call, 1)) return;
  Shape s = shape_of(*call.in[0].constant);
  s.insert(s.end(), known(call, 1)->begin(), known(call, 1)->end());
  call.out[0].shape = s;
}
void eval_poisson(OpCall& call) {
  per_parameter(call, call.node.attr_or("dtype", DType::i64), [](Source& s, double rate) {
    if (rate > 1000) return std::max(0.0, std::round(rate + std::sqrt(rate) * s.normal()));
    double k = -1;
    for (double sum = 0; sum < rate; ++k) sum -= std::log(1 - s.uniform());
    return k;
  });
}

}  // namespace

const std::vector<Op>& random_ops() {
  static const std::vector<Op> rows = {
      {"Multinomial", infer_multinomial, eval_multinomial, true},
      {"RandomGamma", infer_per_parameter, eval_gamma, true},
      {"RandomPoissonV2", infer_per_parameter, eval_poisson, true},
      {"RandomShuffle", infer_same, eval_shuffle, true},
      {"RandomStandardNormal", infer_shaped, eval_floats<&Source::normal>, true},
      {"RandomUniform", infer_shaped, eval_floats<&Source::uniform>, true},
      {"RandomUniformInt", infer_ints, eval_ints, true},
      {"StatelessRandomNormal", infer_shaped, eval_floats<&Source::normal>, true},
      {"StatelessRandomUniform", infer_shaped, eval_floats<&Source::uniform>, true},
      {"StatelessRandomUniformInt", infer_ints, eval_ints, true},
      {"StatelessTruncatedNormal", infer_shaped, eval_floats<&Source::truncated>, true},
      {"TruncatedNormal", infer_shaped, eval_floats<&Source::truncated>, true},
  };
  return rows;
}

}  // namespace cytodet::graph::ops
