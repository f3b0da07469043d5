// Convolutions and matrix products of 8-bit quantized values (graph/ir/integer_layer.h), as TensorFlow's oneDNN kernels define
// them:
//
//   step of an input = max(|min|, |max|) / 255 (unsigned quantized values; the minimum does not count) or / 127 (signed ones)
//   step of the filter = max(|min|, |max|) / 127, of each output channel or of all
//   number = sum of products of quantized values * both steps + bias + summand; sums are exact
//   quantized value of a result = number / (max(|min|, |max|) / 255 or 127), rounded once, halves to even
//
// Matrix products with input_quant_mode MIN_FIRST read unsigned quantized values as min + quantized value * (max - min) / 255.
// A filter of unsigned quantized values is an older op's: quantized values of both sides count from the zero point.
#include <utility>

#include "graph/ir/integer_layer.h"
#include "graph/ops/quantized_range.h"
#include "graph/ops/window.h"

namespace cytodet::graph::ops {
namespace {

using Product = IntegerLayer::Product;
using Result = IntegerLayer::Result;

double top_of(const Tensor& low, const Tensor& high, int64_t i) {
  return std::max(std::abs(finite(low, i)), std::abs(finite(high, i)));
}

// Quantized values minus `zero`, as floats.
std::vector<float> counted_from(const Tensor& quantized, double zero) {
  std::vector<float> out(static_cast<size_t>(quantized.size()));
  on_integers(quantized.dtype(), [&]<class T>() {
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(static_cast<double>(quantized.data<T>()[i]) - zero);
  });
  return out;
}

float largest(const std::vector<float>& v) {
  float max = 0;
  for (float x : v) max = std::max(max, std::abs(x));
  return max;
}

// Rows of sums of products of whole numbers. Floats hold them exactly up to 2^24: so many are summed as floats before they go
// into 64 bits.
class ExactRow {
 public:
  ExactRow(int64_t columns, double largest_product)
      : part_(static_cast<size_t>(columns), 0.0f),
        block_(std::max<int64_t>(1, static_cast<int64_t>(16777216.0 / std::max(1.0, largest_product)))) {}
  void add(float v, const float* weights, int64_t* to) {
    float* part = part_.data();
    const size_t columns = part_.size();
    for (size_t j = 0; j < columns; ++j) part[j] += v * weights[j];
    if (++count_ == block_) finish(to);
  }
  void finish(int64_t* to) {
    for (size_t j = 0; j < part_.size() && count_; ++j) to[j] += static_cast<int64_t>(std::exchange(part_[j], 0.0f));
    count_ = 0;
  }

 private:
  std::vector<float> part_;
  const int64_t block_;
  int64_t count_ = 0;
};

// The two sides of a product, counted from the zero point.
struct Sides {
  std::vector<float> x, filter;
  double largest_product() const { return static_cast<double>(largest(x)) * largest(filter); }
};

struct Sums {
  std::vector<int64_t> values;
  Shape shape;
  int64_t channels;
};

Sums conv_sums(const Node& n, const Tensor& x, const Tensor& f, const Sides& sides) {
  check_map(n, x);
  check_map(n, f);
  need(!channels_first(n), "only channels last is known");
  need(f.dim(2) == x.dim(3), "filter " + to_string(f.shape()) + " does not fit input " + to_string(x.shape()));
  const Windows w = windows(with_explicit_padding(n), spatial(x), {f.dim(0), f.dim(1)}, {});
  const int64_t c = x.dim(3), oc = f.dim(3);
  Sums sums{{}, w.out_shape(x.dim(0), oc, 4), oc};
  sums.values.assign(static_cast<size_t>(elements(sums.shape)), 0);
  ExactRow row(oc, sides.largest_product());
  for (int64_t b = 0; b < x.dim(0); ++b) {
    int64_t* last = nullptr;
    for_taps(w, [&](int64_t o, int64_t tap, int64_t at) {
      int64_t* to = sums.values.data() + (b * w.out() + o) * oc;
      if (last && last != to) row.finish(last);
      last = to;
      const float* in = sides.x.data() + (b * w.in() + at) * c;
      const float* k = sides.filter.data() + tap * c * oc;
      for (int64_t i = 0; i < c; ++i) row.add(in[i], k + i * oc, to);
    });
    if (last) row.finish(last);
  }
  return sums;
}

Sums depthwise_sums(const Node& n, const Tensor& x, const Tensor& f, const Sides& sides) {
  check_map(n, x);
  check_map(n, f);
  need(!channels_first(n), "only channels last is known");
  need(f.dim(2) == x.dim(3), "filter " + to_string(f.shape()) + " does not fit input " + to_string(x.shape()));
  const Windows w = windows(with_explicit_padding(n), spatial(x), {f.dim(0), f.dim(1)}, {});
  const int64_t c = x.dim(3), m = f.dim(3), oc = elements({c, m});
  Sums sums{{}, w.out_shape(x.dim(0), oc, 4), oc};
  sums.values.assign(static_cast<size_t>(elements(sums.shape)), 0);
  for (int64_t b = 0; b < x.dim(0); ++b)
    for_taps(w, [&](int64_t o, int64_t tap, int64_t at) {
      int64_t* to = sums.values.data() + (b * w.out() + o) * oc;
      const float* in = sides.x.data() + (b * w.in() + at) * c;
      const float* k = sides.filter.data() + tap * oc;
      for (int64_t i = 0; i < c; ++i)
        for (int64_t j = 0; j < m; ++j) to[i * m + j] += static_cast<int64_t>(in[i]) * static_cast<int64_t>(k[i * m + j]);
    });
  return sums;
}

std::vector<float> transposed(const std::vector<float>& m, int64_t rows, int64_t columns) {
  std::vector<float> out(m.size());
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) out[static_cast<size_t>(c * rows + r)] = m[static_cast<size_t>(r * columns + c)];
  return out;
}

Sums matmul_sums(const Node& n, const Tensor& a, const Tensor& b, Sides& sides) {
  need(a.rank() == 2 && b.rank() == 2, "needs two matrices");
  const bool ta = n.attr_or("transpose_a", false), tb = n.attr_or("transpose_b", false);
  if (ta) sides.x = transposed(sides.x, a.dim(0), a.dim(1));
  if (tb) sides.filter = transposed(sides.filter, b.dim(0), b.dim(1));
  const int64_t rows = a.dim(ta ? 1 : 0), k = a.dim(ta ? 0 : 1), columns = b.dim(tb ? 0 : 1);
  need(b.dim(tb ? 1 : 0) == k, "matrices " + to_string(a.shape()) + " and " + to_string(b.shape()) + " do not fit");
  Sums sums{std::vector<int64_t>(static_cast<size_t>(elements({rows, columns})), 0), {rows, columns}, columns};
  ExactRow row(columns, sides.largest_product());
  for (int64_t r = 0; r < rows; ++r) {
    int64_t* to = sums.values.data() + r * columns;
    for (int64_t i = 0; i < k; ++i) row.add(sides.x[static_cast<size_t>(r * k + i)], sides.filter.data() + i * columns, to);
    row.finish(to);
  }
  return sums;
}

Sums sums_of(const Node& n, Product product, const Tensor& x, const Tensor& f, Sides& sides) {
  if (product == Product::matmul) return matmul_sums(n, x, f, sides);
  return product == Product::conv ? conv_sums(n, x, f, sides) : depthwise_sums(n, x, f, sides);
}

// How sums become numbers, for each output channel: number = (sum + whole) * scale + offset, where `whole` is the bias in units
// of the sums.
struct Channels {
  std::vector<double> scale, offset, whole;
};

bool is_min_first(const Node& n, const IntegerLayer& l, const Tensor& x) {
  return l.product == Product::matmul && x.dtype() == DType::quint8 &&
         n.attr_or<std::string>("input_quant_mode", "MIN_FIRST") == "MIN_FIRST";
}

Channels channels_of(const OpCall& call, const IntegerLayer& l, const Sides& sides, int64_t count) {
  const auto in = [&](int i) -> const Tensor& { return call.in[static_cast<size_t>(i)]; };
  const Tensor &low = in(l.filter_range), &high = in(l.filter_range + 1);
  need(low.size() == high.size() && (low.size() == 1 || low.size() == count), "needs one filter range, or one per channel");
  const bool min_first = is_min_first(call.node, l, call.in[0]);
  const float input_low = finite(in(l.input_range), 0), input_high = finite(in(l.input_range + 1), 0);
  const double step =
      min_first ? (static_cast<double>(input_high) - input_low) / 255
                : std::max(std::abs(input_low), std::abs(input_high)) / (call.in[0].dtype() == DType::quint8 ? 255.0 : 127);
  Channels all;
  for (int64_t c = 0; c < count; ++c) {
    const double filter_step = top_of(low, high, low.size() == 1 ? 0 : c) / 127;
    all.scale.push_back(step * filter_step);
    double offset = 0, whole = 0;
    if (l.bias >= 0) (in(l.bias).dtype() == DType::qint32 ? whole : offset) = in(l.bias).as_double(c);
    // A bias of integers holds what the minimum adds.
    if (min_first && (l.bias < 0 || in(l.bias).dtype() != DType::qint32)) {
      double sum = 0;
      for (size_t i = static_cast<size_t>(c); i < sides.filter.size(); i += static_cast<size_t>(count)) sum += sides.filter[i];
      offset += input_low * filter_step * sum;
    }
    all.offset.push_back(offset);
    all.whole.push_back(whole);
  }
  return all;
}

// The ends of the range that 32-bit sums span.
void add_sum_ranges(OpCall& call, const IntegerLayer& l, double steps_in, double steps_filter) {
  const auto in = [&](int i) -> const Tensor& { return call.in[static_cast<size_t>(i)]; };
  const Tensor &low = in(l.filter_range), &high = in(l.filter_range + 1);
  const float level_in = static_cast<float>((in(l.input_range + 1).as_double() - in(l.input_range).as_double()) / steps_in);
  std::vector<float> low_ends, high_ends;
  for (int64_t c = 0; c < low.size(); ++c) {
    const float level = level_in * static_cast<float>((high.as_double(c) - low.as_double(c)) / steps_filter);
    low_ends.push_back(level * -2147483648.0f);
    high_ends.push_back(level * 2147483648.0f);
  }
  const Shape shape = low.size() > 1 ? Shape{low.size()} : Shape{};
  call.out.push_back(Tensor::from(shape, low_ends));
  call.out.push_back(Tensor::from(shape, high_ends));
}

// Sums in units of the steps, a bias and a summand of floats rounded to them.
Tensor whole_numbers(const OpCall& call, const IntegerLayer& l, const Sums& sums, const Channels& all) {
  const Tensor* summand = l.summand < 0 ? nullptr : &call.in[static_cast<size_t>(l.summand)];
  need(!summand || (summand->size() == static_cast<int64_t>(sums.values.size()) && is_floating(summand->dtype())),
       "the summand must be floats of the result's shape");
  Tensor out(DType::qint32, sums.shape);
  const auto in_steps = [](double v, double scale) { return scale > 0 ? std::nearbyint(v / scale) : 0; };
  std::vector<double> biases;
  for (size_t c = 0; c < all.scale.size(); ++c) biases.push_back(all.whole[c] + in_steps(all.offset[c], all.scale[c]));
  for (int64_t i = 0; i < out.size(); ++i) {
    const size_t c = static_cast<size_t>(i % sums.channels);
    double v = static_cast<double>(sums.values[static_cast<size_t>(i)]) + biases[c];
    if (summand) v += in_steps(summand->as_double(i), all.scale[c]);
    if (l.relu) v = std::max(v, 0.0);
    out.data<int32_t>()[i] = static_cast<int32_t>(std::clamp(v, -2147483648.0, 2147483647.0));
  }
  return out;
}

// The number of every result.
template <class Visit>
void for_numbers(const OpCall& call, const IntegerLayer& l, const Sums& sums, const Channels& all, Visit visit) {
  const Tensor* summand = l.summand < 0 ? nullptr : &call.in[static_cast<size_t>(l.summand)];
  double step = 1;
  if (summand) {
    need(summand->size() == static_cast<int64_t>(sums.values.size()), "the summand must have the result's shape");
    if (l.summand_range >= 0 && !is_floating(summand->dtype()))
      step = top_of(call.in[static_cast<size_t>(l.summand_range)], call.in[static_cast<size_t>(l.summand_range) + 1], 0) /
             QuantizedRange(summand->dtype()).max;
  }
  for (size_t i = 0; i < sums.values.size(); ++i) {
    const size_t c = i % static_cast<size_t>(sums.channels);
    double v = (static_cast<double>(sums.values[i]) + all.whole[c]) * all.scale[c] + all.offset[c];
    if (summand) v += summand->as_double(static_cast<int64_t>(i)) * step;
    visit(static_cast<int64_t>(i), l.relu ? std::max(v, 0.0) : v);
  }
}

DType result_type(const Node& n, const IntegerLayer& l) {
  if (l.result == Result::sums) return DType::qint32;
  if (l.result == Result::floats) return DType::f32;
  return n.attr_or("out_type",
                   n.attr_or("Toutput", l.relu || n.op.starts_with("QuantizedMatMul") ? DType::quint8 : DType::qint8));
}

// QuantizedConv2D and QuantizedMatMul of unsigned filters.
void eval_affine(OpCall& call, const IntegerLayer& l) {
  const auto range = [&](int at, DType t) {
    const float low = finite(call.in[static_cast<size_t>(at)], 0), high = finite(call.in[static_cast<size_t>(at) + 1], 0);
    need(low < high, "a range has its minimum not below its maximum");
    return Spread(t, low, high);
  };
  const auto zero = [](const Spread& s) { return -away(s.low / s.scale) + s.range.min; };
  const Tensor &x = call.in[0], &f = call.in[1];
  Sides sides{counted_from(x, zero(range(l.input_range, x.dtype()))), counted_from(f, zero(range(l.filter_range, f.dtype())))};
  const Sums sums = sums_of(call.node, l.product, x, f, sides);
  const Channels all{std::vector<double>(static_cast<size_t>(sums.channels), 1),
                     std::vector<double>(static_cast<size_t>(sums.channels), 0),
                     std::vector<double>(static_cast<size_t>(sums.channels), 0)};
  call.out = {whole_numbers(call, l, sums, all)};
  add_sum_ranges(call, l, 255, 255);
}

void eval_layer(OpCall& call) {
  const std::optional<IntegerLayer> l = integer_layer(call.node);
  need(l.has_value(), "only the fused ops [BiasAdd,] [Sum,] [Relu,] [Requantize | Dequantize] are known");
  input(call, l->inputs - 1);
  const Tensor &x = call.in[0], &f = call.in[1];
  for (const Tensor* t : {&x, &f})
    need(t->dtype() == DType::quint8 || t->dtype() == DType::qint8, "needs 8-bit quantized values");
  for (int at : {l->input_range, l->result_range, l->summand_range})
    need(at < 0 || (call.in[static_cast<size_t>(at)].size() == 1 && call.in[static_cast<size_t>(at) + 1].size() == 1),
         "needs one range of each input and of the result");
  if (f.dtype() == DType::quint8) {
    need(l->result == Result::sums && l->bias < 0 && l->summand < 0 && l->product != Product::depthwise,
         "needs a filter of signed quantized values");
    return eval_affine(call, *l);
  }
  Sides sides{counted_from(x, 0), counted_from(f, 0)};
  const Sums sums = sums_of(call.node, l->product, x, f, sides);
  need(l->bias < 0 || call.in[static_cast<size_t>(l->bias)].size() == sums.channels, "needs one bias per channel");
  const Channels all = channels_of(call, *l, sides, sums.channels);
  const DType type = result_type(call.node, *l);
  if (l->result == Result::sums) {
    call.out = {whole_numbers(call, *l, sums, all)};
    return add_sum_ranges(call, *l, x.dtype() == DType::quint8 ? 255 : 254, 254);
  }
  Tensor out(type, sums.shape);
  if (l->result == Result::floats) {
    need(type == DType::f32, "needs a result of floats");
    for_numbers(call, *l, sums, all, [&](int64_t i, double v) { out.data<float>()[i] = static_cast<float>(v); });
    call.out = {out};
    return;
  }
  need(type == DType::quint8 || type == DType::qint8, "needs an 8-bit result");
  const Tensor &low = call.in[static_cast<size_t>(l->result_range)], &high = call.in[static_cast<size_t>(l->result_range) + 1];
  const QuantizedRange range(type);
  const double step = top_of(low, high, 0) / range.max;
  on_integers(type, [&]<class T>() {
    for_numbers(call, *l, sums, all, [&](int64_t i, double v) {
      out.data<T>()[i] = static_cast<T>(step > 0 ? std::clamp(std::nearbyint(v / step), range.min, range.max) : 0);
    });
  });
  call.out = {out, range_end(finite(low, 0)), range_end(finite(high, 0))};
}

void infer_product(InferCall& call, const IntegerLayer& l) {
  const Shape *a = known(call, 0), *f = known(call, 1);
  call.out = {fact(DType::invalid)};
  if (!f || !is_static(*f)) return;
  if (l.product == Product::matmul) {
    if (!a || a->size() != 2 || f->size() != 2) return;
    call.out[0].shape =
        Shape{(*a)[call.node.attr_or("transpose_a", false) ? 1 : 0], (*f)[call.node.attr_or("transpose_b", false) ? 0 : 1]};
  } else if (f->size() == 4) {
    const Node conv = with_explicit_padding(call.node);
    InferCall padded{conv, call.in, {}};
    infer_windows(padded, {(*f)[0], (*f)[1]}, l.product == Product::depthwise ? elements({(*f)[2], (*f)[3]}) : f->back(), {});
    call.out = padded.out;
  }
}

void infer_layer(InferCall& call) {
  const std::optional<IntegerLayer> l = integer_layer(call.node);
  if (!l) return;
  infer_product(call, *l);
  call.out[0].dtype = result_type(call.node, *l);
  if (l->result == Result::floats) return;
  std::optional<Shape> range = Shape{};
  const Shape* filter_range = known(call, static_cast<size_t>(l->filter_range));
  if (l->result == Result::sums && (!filter_range || !filter_range->empty())) range.reset();
  call.out.resize(3, fact(DType::f32, range));
}

}  // namespace

const std::vector<Op>& integer_layer_ops() {
  static const std::vector<Op> rows = [] {
    std::vector<Op> all;
    for (const char* name : integer_layer_names()) all.push_back({name, infer_layer, eval_layer});
    return all;
  }();
  return rows;
}

}  // namespace cytodet::graph::ops
