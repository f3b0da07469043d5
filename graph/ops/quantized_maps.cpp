// What moves, compares and averages quantized values: their range stays, or one range is chosen for all.
#include "graph/ops/quantized_range.h"
#include "graph/ops/window.h"

namespace cytodet::graph::ops {
namespace {

// Out 0, and the range that inputs `at` and at + 1 state.
void give(OpCall& call, Tensor quantized, size_t at) {
  const Tensor low = range_end(finite(input(call, at), 0)), high = range_end(finite(input(call, at + 1), 0));
  call.out = {std::move(quantized), low, high};
}

void eval_quantized_pool(OpCall& call) {
  const Tensor& x = input(call, 0);
  check_map(call.node, x);
  const bool maximum = call.node.op == "QuantizedMaxPool";
  const Windows w = windows(call.node, spatial(x), spatial_attr(call.node, "ksize", 4), {"strides", nullptr});
  const int64_t c = x.dim(3);
  const QuantizedRange range(x.dtype());
  Tensor out(x.dtype(), w.out_shape(x.dim(0), c, 4));
  on_integers(x.dtype(), [&]<class T>() {
    std::vector<double> best(static_cast<size_t>(out.size()), maximum ? range.min : 0);
    std::vector<int64_t> count(static_cast<size_t>(w.out()), 0);
    for (int64_t n = 0; n < x.dim(0); ++n)
      for_taps(w, [&](int64_t o, int64_t, int64_t at) {
        const T* in = x.data<T>() + (n * w.in() + at) * c;
        double* to = best.data() + (n * w.out() + o) * c;
        if (n == 0) ++count[static_cast<size_t>(o)];
        for (int64_t i = 0; i < c; ++i)
          to[i] = maximum ? std::max(to[i], static_cast<double>(in[i])) : to[i] + static_cast<double>(in[i]);
      });
    for (int64_t i = 0; i < out.size(); ++i) {
      const double pixels = static_cast<double>(std::max<int64_t>(1, count[static_cast<size_t>(i / c % w.out())]));
      const double v = best[static_cast<size_t>(i)];
      out.data<T>()[i] = static_cast<T>(maximum ? v : std::nearbyint(v / pixels));
    }
  });
  give(call, out, 1);
}
void infer_quantized_pool(InferCall& call) {
  const Shape kernel = call.node.has_attr("ksize") ? Shape(spatial_attr(call.node, "ksize", 4)) : Shape{};
  infer_windows(call, kernel, -1, {"strides", nullptr});
  call.out.resize(3, fact(DType::f32, Shape{}));
}

// The indices of the N inputs of a concatenation and of their ranges.
struct ConcatInputs {
  size_t count, values, axis;
  explicit ConcatInputs(const Node& n, size_t inputs) {
    const bool first = n.op == "QuantizedConcat";
    need(inputs >= 4 && (inputs - 1) % 3 == 0, "needs values, an axis, and a range of each value");
    count = (inputs - 1) / 3;
    values = first ? 1 : 0;
    axis = first ? 0 : count;
  }
  size_t low(size_t i) const { return 1 + count + i; }
  size_t high(size_t i) const { return 1 + 2 * count + i; }
};

// Equal ranges stay; else V2 takes the widest, the older op one that holds all. Signed quantized values get one of equal ends.
std::pair<float, float> joined_range(const OpCall& call, const ConcatInputs& in) {
  const auto range = [&](size_t i) { return std::pair(finite(call.in[in.low(i)], 0), finite(call.in[in.high(i)], 0)); };
  std::pair<float, float> all = range(0);
  bool equal = true;
  for (size_t i = 1; i < in.count; ++i) {
    const auto [low, high] = range(i);
    equal &= range(i) == range(0);
    if (call.node.op == "QuantizedConcat")
      all = {std::min(all.first, low), std::max(all.second, high)};
    else if (high - low > all.second - all.first)
      all = {low, high};
  }
  if (equal || call.in[in.values].dtype() == DType::quint8) return all;
  const float top = std::max(std::abs(all.first), std::abs(all.second));
  return {-top, top};
}

void eval_quantized_concat(OpCall& call) {
  const ConcatInputs in(call.node, call.in.size());
  const Tensor& first = call.in[in.values];
  const auto [low, high] = joined_range(call, in);
  const int64_t axis = axis_of(call.in[in.axis].as_int(), first.rank());
  Shape shape = first.shape();
  shape[static_cast<size_t>(axis)] = 0;
  for (size_t i = 0; i < in.count; ++i) {
    const Tensor& x = call.in[in.values + i];
    need(x.rank() == first.rank() && x.dtype() == first.dtype(), "values differ in rank or type");
    for (int d = 0; d < x.rank(); ++d) need(d == axis || x.dim(d) == first.dim(d), "values differ in shape");
    shape[static_cast<size_t>(axis)] += x.dim(static_cast<int>(axis));
  }
  Tensor out(first.dtype(), shape);
  const FloatSpread to(first.dtype(), low, high);
  const int64_t inner = elements(Shape(shape.begin() + axis + 1, shape.end())), row = inner * shape[static_cast<size_t>(axis)];
  int64_t offset = 0;
  for (size_t i = 0; i < in.count; ++i) {
    const Tensor& x = call.in[in.values + i];
    const float own_low = finite(call.in[in.low(i)], 0), own_high = finite(call.in[in.high(i)], 0);
    const FloatSpread from(first.dtype(), own_low, own_high);
    const bool same = own_low == low && own_high == high;
    const int64_t part = inner * x.dim(static_cast<int>(axis));
    for (int64_t k = 0; k < x.size(); ++k) {
      const int64_t at = k / part * row + offset + k % part;
      if (same)
        copy_element(out, at, x, k);
      else
        put_quantized(out, at, to.quantize(from.dequantize(static_cast<float>(x.as_double(k)))));
    }
    offset += part;
  }
  call.out = {out, range_end(low), range_end(high)};
}
void infer_quantized_concat(InferCall& call) {
  const ConcatInputs in(call.node, call.in.size());
  const DType type = input_type(call, in.values);
  call.out.assign(3, fact(DType::f32, Shape{}));
  call.out[0] = fact(type);
  const Shape* first = known(call, in.values);
  const int64_t stated = call.in[in.axis].constant ? call.in[in.axis].constant->as_int() : std::numeric_limits<int64_t>::max();
  if (!first || stated == std::numeric_limits<int64_t>::max()) return;
  const size_t axis = static_cast<size_t>(axis_of(stated, static_cast<int64_t>(first->size())));
  Shape out = *first;
  out[axis] = 0;
  for (size_t i = 0; i < in.count; ++i) {
    const Shape* s = known(call, in.values + i);
    if (!s) return;
    need(s->size() == out.size(), "values differ in rank");
    for (size_t d = 0; d < out.size(); ++d)
      if (d != axis && out[d] < 0) out[d] = (*s)[d];
    out[axis] = out[axis] < 0 || (*s)[axis] < 0 ? -1 : out[axis] + (*s)[axis];
  }
  call.out[0].shape = out;
}

// Another op's row on inputs 0 and 1, with the range of inputs 2 and 3.
const Op& plain_op(const char* name) { return *find_op(name); }

void eval_quantized_reshape(OpCall& call) {
  input(call, 3);
  OpCall plain{call.node, call.in.first(2), {}};
  plain_op("Reshape").eval(plain);
  give(call, plain.out.at(0), 2);
}
void infer_quantized_reshape(InferCall& call) {
  InferCall plain{call.node, call.in.first(std::min<size_t>(2, call.in.size())), {}};
  plain_op("Reshape").infer(plain);
  call.out = plain.out;
  call.out.resize(3, fact(DType::f32, Shape{}));
}

void eval_relu(OpCall& call) {
  const bool limited = call.node.op == "QuantizedReluX";
  const size_t at = limited ? 2 : 1;
  const Tensor& x = input(call, 0);
  const Spread range(x.dtype(), finite(input(call, at), 0), finite(input(call, at + 1), 0));
  const double low = range.quantize(0), high = call.node.op == "QuantizedRelu6" ? range.quantize(6)
                                               : limited                        ? range.quantize(finite(call.in[1], 0))
                                                                                : range.range.max;
  Tensor out(x.dtype(), x.shape());
  for (int64_t i = 0; i < x.size(); ++i) put_quantized(out, i, std::min(std::max(x.as_double(i), low), high));
  give(call, out, at);
}
void infer_relu(InferCall& call) { infer_quantized(call, input_type(call, 0)); }

// Fixed point: quint8 in 7 bits behind the point, qint32 in 30; every quotient is cut off.
void eval_quantized_resize(OpCall& call) {
  const Tensor &x = input(call, 0), &size = input(call, 1);
  need(x.rank() == 4 && size.size() == 2 && size.as_int(0) > 0 && size.as_int(1) > 0, "needs a map and a size of two numbers");
  need(x.dtype() == DType::quint8 || x.dtype() == DType::qint32, "needs quantized values of 8 or 32 bits");
  need(x.dim(1) > 0 && x.dim(2) > 0, "the map is empty");
  const int64_t h = size.as_int(0), w = size.as_int(1), c = x.dim(3), one = int64_t{1} << (x.dtype() == DType::quint8 ? 7 : 30);
  const std::vector<ResizeTap> rows = resize_taps(call.node, x.dim(1), h), columns = resize_taps(call.node, x.dim(2), w);
  Tensor out(x.dtype(), {x.dim(0), h, w, c});
  on_integers(x.dtype(), [&]<class T>() {
    const auto at = [&](int64_t n, int64_t row, int64_t column, int64_t i) {
      return static_cast<int64_t>(x.data<T>()[((n * x.dim(1) + row) * x.dim(2) + column) * c + i]);
    };
    for (int64_t k = 0; k < out.size(); ++k) {
      const int64_t i = k % c, n = k / c / w / h;
      const ResizeTap &row = rows[static_cast<size_t>(k / c / w % h)], &column = columns[static_cast<size_t>(k / c % w)];
      const int64_t across = static_cast<int64_t>(column.share * static_cast<float>(one)),
                    down = static_cast<int64_t>(row.share * static_cast<float>(one));
      const auto between = [&](int64_t line) {
        const int64_t left = at(n, line, column.low, i);
        return left * one + (at(n, line, column.high, i) - left) * across;
      };
      const int64_t top = between(row.low);
      out.data<T>()[k] = static_cast<T>((top + (between(row.high) - top) / one * down + one / 2) / one);
    }
  });
  if (h == x.dim(1) && w == x.dim(2)) out = x;
  give(call, out, 2);
}
void infer_resize(InferCall& call) {
  InferCall plain{call.node, call.in.first(std::min<size_t>(2, call.in.size())), {}};
  plain_op("ResizeBilinear").infer(plain);
  infer_quantized(call, input_type(call, 0));
  call.out[0].shape = plain.out.at(0).shape;
}

// How much a quantized value of 32 bits of channel c stands for, times 2^31.
double channel_top(const OpCall& call, int64_t c) {
  return std::max(std::abs(finite(call.in[1], c)), std::abs(finite(call.in[2], c)));
}
int64_t checked_channels(const OpCall& call) {
  const Tensor& x = input(call, 0);
  need(x.dtype() == DType::qint32 && x.rank() >= 1, "needs quantized values of 32 bits");
  const int64_t channels = x.dim(-1);
  need(input(call, 1).size() == channels && input(call, 2).size() == channels, "needs a range of each channel");
  return channels;
}

void eval_requantize_channels(OpCall& call) {
  const int64_t channels = checked_channels(call);
  const Tensor& x = call.in[0];
  const float low = finite(input(call, 3), 0), high = finite(input(call, 4), 0);
  const DType type = call.node.attr_or("out_type", DType::quint8);
  const QuantizedRange range(type);
  const double requested = std::max(std::abs(low), std::abs(high));
  need(requested > 0, "the requested range is empty");
  Tensor out(type, x.shape());
  std::vector<double> factor;
  for (int64_t c = 0; c < channels; ++c) factor.push_back(range.max * channel_top(call, c) / requested / 2147483648.0);
  on_integers(type, [&]<class T>() {
    const auto sums = x.span<int32_t>();
    for (size_t i = 0; i < sums.size(); ++i)
      out.data<T>()[i] = static_cast<T>(std::clamp(even(sums[i] * factor[i % factor.size()]), range.min, range.max));
  });
  call.out = {out, range_end(low), range_end(high)};
}
void infer_requantize_channels(InferCall& call) { infer_quantized(call, call.node.attr_or("out_type", DType::quint8)); }

void eval_channels_range(OpCall& call) {
  const int64_t channels = checked_channels(call);
  const Tensor& x = call.in[0];
  std::vector<double> step;
  for (int64_t c = 0; c < channels; ++c) step.push_back(channel_top(call, c) / 2147483648.0);
  double top = 0;
  bool negative = false;
  const auto sums = x.span<int32_t>();
  for (size_t i = 0; i < sums.size(); ++i) {
    negative |= sums[i] < 0;
    top = std::max(top, std::abs(static_cast<double>(sums[i])) * step[i % step.size()]);
  }
  top = std::min(top, static_cast<double>(call.node.attr_or("clip_value_max", std::numeric_limits<float>::max())));
  call.out = {range_end(negative ? static_cast<float>(-top) : 0.0f), range_end(static_cast<float>(top))};
}
void infer_channels_range(InferCall& call) { call.out.assign(2, fact(DType::f32, Shape{})); }

}  // namespace

const std::vector<Op>& quantized_map_ops() {
  static const std::vector<Op> rows = {
      {"QuantizedAvgPool", infer_quantized_pool, eval_quantized_pool},
      {"QuantizedConcat", infer_quantized_concat, eval_quantized_concat},
      {"QuantizedConcatV2", infer_quantized_concat, eval_quantized_concat},
      {"QuantizedMaxPool", infer_quantized_pool, eval_quantized_pool},
      {"QuantizedRelu", infer_relu, eval_relu},
      {"QuantizedRelu6", infer_relu, eval_relu},
      {"QuantizedReluX", infer_relu, eval_relu},
      {"QuantizedReshape", infer_quantized_reshape, eval_quantized_reshape},
      {"QuantizedResizeBilinear", infer_resize, eval_quantized_resize},
      {"RequantizationRangePerChannel", infer_channels_range, eval_channels_range},
      {"RequantizePerChannel", infer_requantize_channels, eval_requantize_channels},
  };
  return rows;
}

}  // namespace cytodet::graph::ops
