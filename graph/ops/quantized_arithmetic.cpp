// Sums, products and normalization of unsigned quantized values, as TensorFlow computed them before it had oneDNN: results are
// 32-bit quantized values of a range that leaves room, which RequantizationRange and Requantize bring back to 8 bits.
#include "graph/ops/quantized_range.h"

namespace cytodet::graph::ops {
namespace {

FloatSpread range_at(const OpCall& call, size_t value, size_t at) {
  return {input(call, value).dtype(), finite(input(call, at), 0), finite(input(call, at + 1), 0)};
}
float low_at(const OpCall& call, size_t at) { return finite(input(call, at), 0); }

// The largest end of both ranges, which lie at inputs 2 and 4; sums span it many times.
float largest_end(const OpCall& call) {
  float top = 0;
  for (size_t at : {size_t{2}, size_t{4}}) top = std::max({top, low_at(call, at + 1), -low_at(call, at)});
  return top;
}

void eval_quantized_bias_add(OpCall& call) {
  const Tensor &x = input(call, 0), &bias = input(call, 1);
  need(x.rank() >= 1 && bias.rank() == 1 && bias.dim(0) == x.dim(-1) && bias.size() > 0, "needs one bias per channel");
  const FloatSpread of_x = range_at(call, 0, 2), of_bias = range_at(call, 1, 4);
  const float top = largest_end(call) * 131072.0f;
  const FloatSpread sum(DType::qint32, -top, top);
  std::vector<double> biases;
  for (int64_t c = 0; c < bias.size(); ++c)
    biases.push_back(sum.quantize(of_bias.dequantize(static_cast<float>(bias.as_double(c)))));
  Tensor out(DType::qint32, x.shape());
  for (int64_t i = 0; i < x.size(); ++i) {
    const double v =
        sum.quantize(of_x.dequantize(static_cast<float>(x.as_double(i)))) + biases[static_cast<size_t>(i % bias.size())];
    put_quantized(out, i, std::clamp(v, sum.range.min, sum.range.max));
  }
  call.out = {out, range_end(-top), range_end(top)};
}
void infer_bias_add(InferCall& call) { infer_quantized(call, DType::qint32); }

// f(flat output index, quantized value of x, quantized value of y) over the broadcast shape.
Tensor broadcast_quantized(const OpCall& call, const std::function<double(double, double)>& f) {
  const Tensor &x = input(call, 0), &y = input(call, 1);
  const Shape shape = broadcast_shapes(x.shape(), y.shape());
  Tensor out(DType::qint32, shape);
  const QuantizedRange range(DType::qint32);
  walk(shape, {broadcast_strides(x.shape(), shape), broadcast_strides(y.shape(), shape)}, [&](int64_t i, const int64_t* at) {
    put_quantized(out, i, std::clamp(f(x.as_double(at[0]), y.as_double(at[1])), range.min, range.max));
  });
  return out;
}

// A quantized value of 8 bits among 32-bit quantized values: those of 0 and 1 decide.
struct Line {
  double at_0, step;
  Line(const OpCall& call, size_t value, size_t at, float top) {
    const Spread from(input(call, value).dtype(), low_at(call, at), low_at(call, at + 1));
    const auto q = [&](double c) {
      const double steps = 4294967295.0 / (2.0 * top);
      return away(static_cast<float>(from.dequantize(c)) * steps) - away(-top * steps) - 2147483648.0;
    };
    at_0 = q(0);
    step = q(1) - at_0;
  }
  double operator()(double c) const { return at_0 + c * step; }
};

void eval_quantized_add(OpCall& call) {
  const float top = largest_end(call) * 16384.0f;
  need(top > 0, "a range is empty");
  const Line x(call, 0, 2, top), y(call, 1, 4, top);
  call.out = {broadcast_quantized(call, [&](double a, double b) { return x(a) + y(b); }), range_end(-top), range_end(top)};
}

void eval_mul(OpCall& call) {
  const auto zero = [&](size_t value, size_t at) {
    const Spread s(input(call, value).dtype(), low_at(call, at), low_at(call, at + 1));
    need(s.scale > 0, "a range has its minimum not below its maximum");
    return s.range.min - away(s.low / s.scale);
  };
  const double zero_x = zero(0, 2), zero_y = zero(1, 4);
  const float level = (low_at(call, 3) - low_at(call, 2)) / 255.0f * ((low_at(call, 5) - low_at(call, 4)) / 255.0f);
  call.out = {broadcast_quantized(call, [&](double a, double b) { return (a - zero_x) * (b - zero_y); }),
              range_end(level * -2147483648.0f), range_end(level * 2147483648.0f)};
}
void infer_pair(InferCall& call) {
  infer_broadcast(call);
  call.out[0].dtype = DType::qint32;
  call.out.resize(3, fact(DType::f32, Shape{}));
}

// In fixed point with 11 bits behind the point: the range is -2^20 to 2^20.
void eval_batch_norm(OpCall& call) {
  constexpr double top = 1048576;
  const Tensor& x = input(call, 0);
  input(call, 14);
  need(x.rank() == 4, "needs a map");
  const int64_t channels = x.dim(3);
  for (size_t at : {size_t{3}, size_t{6}, size_t{9}, size_t{12}})
    need(call.in[at].size() == channels, "needs a mean, variance, beta and gamma per channel");
  const auto number = [&](size_t value, int64_t i) {
    const Spread s(call.in[value].dtype(), low_at(call, value + 1), low_at(call, value + 2));
    return static_cast<float>(s.dequantize(call.in[value].as_double(i)));
  };
  const Spread fixed(DType::qint32, -top, top);
  const float epsilon = call.node.attr_or("variance_epsilon", 0.001f);
  const bool scaled = call.node.attr_or("scale_after_normalization", false);
  std::vector<int64_t> scale, offset;
  for (int64_t c = 0; c < channels; ++c) {
    const float s = 1.0f / std::sqrt(number(6, c) + epsilon) * (scaled ? number(12, c) : 1.0f);
    scale.push_back(static_cast<int64_t>(fixed.quantize(s)));
    offset.push_back(static_cast<int64_t>(fixed.quantize(-number(3, c) * s + number(9, c))));
  }
  const int64_t one = static_cast<int64_t>(fixed.quantize(1));
  Tensor out(DType::qint32, x.shape());
  for (int64_t i = 0; i < x.size(); ++i) {
    const size_t c = static_cast<size_t>(i % channels);
    // Products wrap where they leave 32 bits.
    const int64_t product =
        static_cast<int32_t>(static_cast<uint32_t>(static_cast<int64_t>(fixed.quantize(number(0, i))) * scale[c]));
    put_quantized(out, i, static_cast<double>(static_cast<int32_t>(static_cast<uint32_t>(product / one + offset[c]))));
  }
  call.out = {out, range_end(static_cast<float>(-top)), range_end(static_cast<float>(top))};
}

struct Moments {
  std::vector<double> mean, variance;  // of each image and channel; the variance in numbers, the mean in quantized values
};

Moments moments_of(const Tensor& x, double step) {
  const int64_t c = x.dim(3), pixels = x.dim(1) * x.dim(2);
  const size_t count = static_cast<size_t>(x.dim(0) * c);
  Moments m{std::vector<double>(count, 0), std::vector<double>(count, 0)};
  const auto slot = [&](int64_t i) { return static_cast<size_t>(i / c / std::max<int64_t>(1, pixels) * c + i % c); };
  for (int64_t i = 0; i < x.size(); ++i) m.mean[slot(i)] += x.as_double(i) / static_cast<double>(pixels);
  for (int64_t i = 0; i < x.size(); ++i)
    m.variance[slot(i)] += std::pow(step * (x.as_double(i) - m.mean[slot(i)]), 2) / static_cast<double>(pixels);
  return m;
}

void eval_instance_norm(OpCall& call) {
  const Tensor& x = input(call, 0);
  need(x.rank() == 4 && x.size() > 0, "needs a map");
  const float low = low_at(call, 1), high = low_at(call, 2);
  need(low < high, "the range has its minimum not below its maximum");
  const double step = (high - low) / 255.0f, epsilon = call.node.attr_or("variance_epsilon", 1e-5f);
  const Moments m = moments_of(x, step);
  const int64_t c = x.dim(3), pixels = x.dim(1) * x.dim(2);
  std::vector<float> normed;
  for (int64_t i = 0; i < x.size(); ++i) {
    const size_t slot = static_cast<size_t>(i / c / pixels * c + i % c);
    normed.push_back(static_cast<float>(step * (x.as_double(i) - m.mean[slot]) / std::sqrt(m.variance[slot] + epsilon)));
  }
  float min = *std::min_element(normed.begin(), normed.end()), max = *std::max_element(normed.begin(), normed.end());
  if (call.node.attr_or("output_range_given", false)) {
    min = call.node.attr_or("given_y_min", 0.0f);
    max = call.node.attr_or("given_y_max", 0.0f);
    need(min < max, "given_y_min must be below given_y_max");
  }
  max = std::max(max, min + call.node.attr_or("min_separation", 1e-3f));
  const FloatSpread to(DType::quint8, min, max);
  Tensor out(DType::quint8, x.shape());
  for (int64_t i = 0; i < x.size(); ++i) put_quantized(out, i, to.quantize(normed[static_cast<size_t>(i)]));
  call.out = {out, range_end(min), range_end(max)};
}
void infer_instance_norm(InferCall& call) { infer_quantized(call, DType::quint8); }

}  // namespace

const std::vector<Op>& quantized_arithmetic_ops() {
  static const std::vector<Op> rows = {
      {"QuantizedAdd", infer_pair, eval_quantized_add},
      {"QuantizedBatchNormWithGlobalNormalization", infer_bias_add, eval_batch_norm},
      {"QuantizedBiasAdd", infer_bias_add, eval_quantized_bias_add},
      {"QuantizedInstanceNorm", infer_instance_norm, eval_instance_norm},
      {"QuantizedMul", infer_pair, eval_mul},
  };
  return rows;
}

}  // namespace cytodet::graph::ops
