// Between numbers and their 8- to 32-bit quantized values, as TensorFlow's quantized graphs do it.
#include "graph/ops/quantized_range.h"

namespace cytodet::graph::ops {
namespace {

// Ranges per slice: axis -1 is one range for all.
struct ChannelSlices {
  int64_t count = 1, inner = 1;
  ChannelSlices(const Tensor& x, int64_t axis) {
    if (axis == -1) return;
    axis = axis_of(axis, x.rank());
    count = x.dim(static_cast<int>(axis));
    inner = elements(Shape(x.shape().begin() + axis + 1, x.shape().end()));
  }
  int64_t of(int64_t i) const { return i / inner % count; }
};

Tensor floats(Shape shape, const std::vector<float>& v) { return Tensor::from(std::move(shape), v); }

// SCALED values of one range, halves to even, as the loop over all modes below gives them; networks whose ranges each run
// computes spend their time here. A number that is none becomes 0.
template <class T>
void quantize_scaled(const Tensor& x, float low, float high, float scale, double min, Tensor& out) {
  constexpr float kWhole = 12582912;  // 1.5 * 2^23: in a sum with it nothing behind the point is left
  const float lowest = static_cast<float>(min), highest = std::numeric_limits<T>::max();
  const float* from = x.data<float>();
  T* to = static_cast<T*>(out.raw());
  for (int64_t i = 0; i < x.size(); ++i) {
    const float number = from[i] == from[i] ? from[i] : 0, v = std::min(std::max(number, low), high) * scale;
    to[i] = static_cast<T>(static_cast<int>(std::min(std::max((v + kWhole) - kWhole, lowest), highest)));
  }
}

void eval_quantize(OpCall& call) {
  const Tensor &x = input(call, 0), &lo = input(call, 1), &hi = input(call, 2);
  const DType type = call.node.attr_or("T", DType::quint8);
  const QuantizedRange range(type);
  const std::string mode = call.node.attr_or<std::string>("mode", "MIN_COMBINED");
  auto* round = call.node.attr_or<std::string>("round_mode", "HALF_AWAY_FROM_ZERO") == "HALF_TO_EVEN" ? even : away;
  const ChannelSlices slices(x, call.node.attr_or("axis", int64_t{-1}));
  need(lo.size() == slices.count && hi.size() == slices.count, "needs one range per slice");
  need(x.dtype() == DType::f32, "needs float32");
  const double min = range.min + (call.node.attr_or("narrow_range", false) ? 1 : 0);
  std::vector<float> mins, maxs, scales(static_cast<size_t>(slices.count));
  for (int64_t k = 0; k < slices.count; ++k) {
    const float a = finite(lo, k), b = finite(hi, k), low = std::min(0.0f, a);
    const float margin = std::max(1.0f, std::max(std::abs(a), std::abs(b))) * call.node.attr_or("ensure_minimum_range", 0.01f);
    need(a <= b, "a range has its minimum above its maximum");
    mins.push_back(low);
    maxs.push_back(std::max(0.0f, std::max(b, low + margin)));
    if (mode == "SCALED") {
      constexpr float none = std::numeric_limits<float>::max();
      const float low_q = static_cast<float>(min), top_q = static_cast<float>(range.max);
      const float scale =
          std::min(low_q * mins.back() > 0 ? low_q / mins.back() : none, top_q * maxs.back() > 0 ? top_q / maxs.back() : none);
      mins.back() = low_q / scale;
      maxs.back() = top_q / scale;
      scales[static_cast<size_t>(k)] = scale;
    }
  }
  Tensor out(type, x.shape());
  // In float, as TensorFlow computes: more bits would give other 16- and 32-bit quantized values.
  const float half = range.min < 0 ? static_cast<float>((range.steps() + 1) / 2) : 0;
  const bool usual = mode == "SCALED" && slices.count == 1 && round == even;
  if (usual && type == DType::qint8)
    quantize_scaled<int8_t>(x, mins[0], maxs[0], scales[0], min, out);
  else if (usual && type == DType::quint8)
    quantize_scaled<uint8_t>(x, mins[0], maxs[0], scales[0], min, out);
  for (int64_t i = 0; i < x.size() && !(usual && size_of(type) == 1); ++i) {
    const size_t k = static_cast<size_t>(slices.of(i));
    const float number = x.data<float>()[i], v = std::clamp(number, mins[k], maxs[k]);
    double q;
    if (mode == "MIN_FIRST") {
      const float per_unit = maxs[k] == mins[k] ? 0 : static_cast<float>(range.steps() / (maxs[k] - mins[k]));
      const float start = std::round(mins[k] * per_unit) - static_cast<float>(range.min);
      q = std::min(std::round(number * per_unit) - start, type == DType::qint32 ? 2147483520.0f : static_cast<float>(range.max));
    } else if (mode == "SCALED") {
      q = round(v * scales[k]);
    } else {
      const float per_unit = static_cast<float>(range.steps() / (maxs[k] - mins[k])), steps = (v - mins[k]) * per_unit;
      q = range.min < 0 ? std::round(steps - half) : std::floor(steps + 0.5f);
    }
    put_quantized(out, i, std::clamp(q, mode == "SCALED" ? min : range.min, range.max));
  }
  const Shape ranges = slices.count != 1 ? Shape{slices.count} : Shape{};
  call.out = {out, floats(ranges, mins), floats(ranges, maxs)};
}
void infer_quantize(InferCall& call) {
  const int64_t axis = call.node.attr_or("axis", int64_t{-1});
  std::optional<Shape> ranges = Shape{};  // one range, though given as a list of one, is a scalar
  if (const Shape* x = known(call, 0); axis >= 0) {
    if (!x || axis >= static_cast<int64_t>(x->size()) || (*x)[static_cast<size_t>(axis)] < 0)
      ranges.reset();
    else if ((*x)[static_cast<size_t>(axis)] != 1)
      ranges = Shape{(*x)[static_cast<size_t>(axis)]};
  }
  call.out.assign(3, fact(DType::f32, ranges));
  call.out[0] = fact(call.node.attr_or("T", DType::quint8), call.in[0].shape);
}

void eval_dequantize(OpCall& call) {
  const Tensor &x = input(call, 0), &lo = input(call, 1), &hi = input(call, 2);
  const QuantizedRange range(x.dtype());
  const std::string mode = call.node.attr_or<std::string>("mode", "MIN_COMBINED");
  const ChannelSlices slices(x, call.node.attr_or("axis", int64_t{-1}));
  need(lo.size() == slices.count && hi.size() == slices.count, "needs one range per slice");
  const double min = range.min + (call.node.attr_or("narrow_range", false) ? 1 : 0);
  // number = (quantized value + shift) * scale + base, of a slice.
  struct Line {
    double scale, base;
  };
  const double shift = mode == "MIN_FIRST" ? -range.min : mode == "SCALED" || range.min >= 0 ? 0 : (range.steps() + 1) / 2;
  std::vector<Line> lines;
  for (int64_t k = 0; k < slices.count; ++k) {
    const double a = lo.as_double(k), b = hi.as_double(k);
    if (mode == "MIN_FIRST") {
      const Spread s(x.dtype(), a, b);
      lines.push_back({s.scale, s.dequantize(range.min)});
    } else if (mode == "SCALED") {
      lines.push_back({range.min < 0 ? std::max(a / min, b / range.max) : b / range.max, 0});
    } else {
      lines.push_back({(b - a) / range.steps(), a});
    }
  }
  Tensor out(call.node.attr_or("dtype", DType::f32), x.shape());
  on_floats(out.dtype(), [&]<class T>() {
    T* to = out.data<T>();
    const auto fill = [&](const auto& value_at) {
      for (int64_t i = 0; i < x.size();)
        for (const Line& line : lines)
          for (int64_t j = 0; j < slices.inner && i < x.size(); ++j, ++i)
            to[i] = static_cast<T>(static_cast<wide_t<T>>((value_at(i) + shift) * line.scale + line.base));
    };
    if (x.dtype() == DType::qint8)
      fill([codes8 = static_cast<const int8_t*>(x.raw())](int64_t i) { return static_cast<double>(codes8[i]); });
    else if (x.dtype() == DType::quint8)
      fill([codes8 = static_cast<const uint8_t*>(x.raw())](int64_t i) { return static_cast<double>(codes8[i]); });
    else
      fill([&](int64_t i) { return x.as_double(i); });
  });
  call.out = {out};
}
void infer_dequantize(InferCall& call) { call.out = {fact(call.node.attr_or("dtype", DType::f32), call.in[0].shape)}; }

// The range that the quantized values of input 0 use.
std::pair<float, float> used_range(const Tensor& x, double lo, double hi) {
  const Spread s(x.dtype(), lo, hi);
  double min = s.range.max, max = s.range.min;
  for (int64_t i = 0; i < x.size(); ++i) {
    min = std::min(min, x.as_double(i));
    max = std::max(max, x.as_double(i));
  }
  return {static_cast<float>(s.dequantize(min)), static_cast<float>(s.dequantize(max))};
}
// From qint32 to quint8 TensorFlow counts in fixed point of 16 bits, with quantized value 0 in the middle of the range: a
// quantized value may differ by one from the general way's. Empty where the numbers of the ranges leave 64 bits.
std::optional<std::vector<uint8_t>> fixed_point_quantized(const Tensor& x, float from_lo, float from_hi, float lo, float hi) {
  constexpr double one = 1 << 16;
  const float from_range = from_hi - from_lo, range = hi - lo, middle = static_cast<float>((from_lo + from_hi) / 2.0);
  const float per_unit = range == 0 ? 0 : static_cast<float>(255.0 / range);
  const double scale = range == 0 ? 0 : 255.0 * one * from_range / range, start = range == 0 ? 0 : one * (lo * 255.0) / range;
  const float offset = middle * per_unit * static_cast<float>(one);
  for (double v : {scale, start, static_cast<double>(offset)})
    if (!(std::abs(v) < std::ldexp(1, 62))) return {};
  const uint64_t step = static_cast<uint64_t>(static_cast<int64_t>(scale));  // products wrap where they leave 64 bits
  const int64_t shift = static_cast<int64_t>(offset) - std::lround(start) + (1 << 15);
  std::vector<uint8_t> quantized;
  for (int32_t v : x.span<int32_t>())
    quantized.push_back(static_cast<uint8_t>(
        std::clamp<int64_t>(((static_cast<int64_t>(static_cast<uint64_t>(int64_t{v}) * step) >> 32) + shift) >> 16, 0, 255)));
  return quantized;
}
void requantize(OpCall& call, float lo, float hi) {
  const Tensor& x = call.in[0];
  const DType type = call.node.attr<DType>("out_type");
  const Spread from(x.dtype(), finite(input(call, 1), 0), finite(input(call, 2), 0)), to(type, lo, hi);
  Tensor out(type, x.shape());
  std::optional<std::vector<uint8_t>> fixed;
  if (x.dtype() == DType::qint32 && type == DType::quint8)
    fixed = fixed_point_quantized(x, finite(call.in[1], 0), finite(call.in[2], 0), lo, hi);
  if (fixed)
    std::copy(fixed->begin(), fixed->end(), out.data<uint8_t>());
  else
    for (int64_t i = 0; i < x.size(); ++i)
      put_quantized(out, i, to.quantize(static_cast<float>(from.dequantize(x.as_double(i)))));
  call.out = {out, floats({}, {lo}), floats({}, {hi})};
}
void eval_requantize(OpCall& call) {
  const float lo = std::min(0.0f, finite(input(call, 3), 0)), hi = finite(input(call, 4), 0);
  need(lo <= hi, "the requested range has its minimum above its maximum");
  requantize(call, lo, hi);
}
void eval_shrink_range(OpCall& call) {
  auto [lo, hi] = used_range(input(call, 0), finite(input(call, 1), 0), finite(input(call, 2), 0));
  lo = std::min(0.0f, lo);
  requantize(call, lo, std::max(lo, hi));
}
void infer_requantize(InferCall& call) {
  call.out.assign(3, fact(DType::f32, Shape{}));
  call.out[0] = fact(call.node.attr_or("out_type", DType::invalid), call.in[0].shape);
}
void eval_requantization_range(OpCall& call) {
  const auto [lo, hi] = used_range(input(call, 0), finite(input(call, 1), 0), finite(input(call, 2), 0));
  call.out = {floats({}, {std::min(0.0f, lo)}), floats({}, {hi})};
}
void infer_requantization_range(InferCall& call) { call.out.assign(2, fact(DType::f32, Shape{})); }

// Quantizes and goes back: symmetric steps of one scale that both ends of the range fit.
void eval_round_trip(OpCall& call) {
  const Tensor& x = input(call, 0);
  const int64_t bits = call.node.op.ends_with("V3") ? input(call, 3).as_int() : call.node.attr_or("num_bits", int64_t{8});
  const bool with_sign = call.node.attr_or("signed_input", true),
             given = call.node.attr_or("range_given", call.node.op.ends_with("V3"));
  need(bits > (with_sign ? 1 : 0) && bits < 63, "num_bits is out of range");
  const ChannelSlices slices(x, call.node.attr_or("axis", int64_t{-1}));
  const bool half_up = call.node.attr_or<std::string>("round_mode", "HALF_TO_EVEN") == "HALF_UP";
  const double narrow = call.node.attr_or("narrow_range", false) ? 1 : 0;
  const double min = with_sign ? -std::ldexp(1, static_cast<int>(bits) - 1) + narrow : 0,
               max = std::ldexp(1, static_cast<int>(bits) - (with_sign ? 1 : 0)) - 1;
  std::vector<double> lo(static_cast<size_t>(slices.count), 0), hi(static_cast<size_t>(slices.count), 0);
  Tensor out(x.dtype(), x.shape());
  on_floats(x.dtype(), [&]<class T>() {
    std::vector<char> seen(static_cast<size_t>(slices.count), 0);
    for (int64_t i = 0; i < x.size() && !given; ++i) {
      const size_t k = static_cast<size_t>(slices.of(i));
      const double v = widen(x.data<T>()[i]);
      lo[k] = seen[k] ? std::min(lo[k], v) : v;
      hi[k] = seen[k] ? std::max(hi[k], v) : v;
      seen[k] = 1;
    }
    if (given) need(input(call, 1).size() == slices.count && input(call, 2).size() == slices.count, "needs one range per slice");
    std::vector<double> scale(lo.size()), back(lo.size());
    const double none =
        std::is_same_v<T, double> ? std::numeric_limits<double>::max() : double{std::numeric_limits<float>::max()};
    for (size_t k = 0; k < lo.size(); ++k) {
      if (given) lo[k] = call.in[1].as_double(static_cast<int64_t>(k)), hi[k] = call.in[2].as_double(static_cast<int64_t>(k));
      need(lo[k] <= hi[k], "a range has its minimum above its maximum");
      const double from_min = min * lo[k] > 0 ? min / lo[k] : none, from_max = max * hi[k] > 0 ? max / hi[k] : none;
      scale[k] = std::min(from_min, from_max);
      if (from_min < from_max) {
        back[k] = lo[k] / min;
        hi[k] = max * back[k];
      } else {
        back[k] = hi[k] / max;
        lo[k] = min * back[k];
      }
    }
    for (int64_t i = 0; i < x.size(); ++i) {
      const size_t k = static_cast<size_t>(slices.of(i));
      using W = wide_t<T>;
      const W number = widen(x.data<T>()[i]), low = static_cast<W>(lo[k]), high = static_cast<W>(hi[k]);
      // A range of the data's own cuts nothing.
      const W v = (given ? std::min(std::max(number, low), high) : number) * static_cast<W>(scale[k]);
      out.data<T>()[i] = static_cast<T>((half_up ? std::floor(v + W(0.5)) : std::nearbyint(v)) * static_cast<W>(back[k]));
    }
  });
  call.out = {out};
}

}  // namespace

const std::vector<Op>& quant_ops() {
  static const std::vector<Op> rows = {
      {"Dequantize", infer_dequantize, eval_dequantize},
      {"QuantizeAndDequantizeV2", infer_same, eval_round_trip},
      {"QuantizeAndDequantizeV3", infer_same, eval_round_trip},
      {"QuantizeAndDequantizeV4", infer_same, eval_round_trip},
      {"QuantizeDownAndShrinkRange", infer_requantize, eval_shrink_range},
      {"QuantizeV2", infer_quantize, eval_quantize},
      {"RequantizationRange", infer_requantization_range, eval_requantization_range},
      {"Requantize", infer_requantize, eval_requantize},
  };
  return rows;
}

}  // namespace cytodet::graph::ops
