// Between numbers and the 8- to 32-bit quantized values that stand for them.
#pragma once

#include "graph/ops/eval_helpers.h"

namespace cytodet::graph::ops {

// The smallest and largest quantized value of a quantized type; throws Error for other types.
struct QuantizedRange {
  double min, max;
  explicit QuantizedRange(DType t);
  double steps() const { return max - min; }
};

inline double away(double v) { return std::round(v); }      // halves away from 0
inline double even(double v) { return std::nearbyint(v); }  // halves to even

// A quantized value as a number when low..high are spread over all quantized values, 0 kept exact.
struct Spread {
  QuantizedRange range;
  double low, scale;
  Spread(DType t, double lo, double hi) : range(t), low(lo), scale((hi - lo) / range.steps()) {}
  // The low end is rounded to steps of a float, as TensorFlow does: among 32-bit quantized values half a step depends on it.
  double dequantize(double q) const {
    const double step = static_cast<float>(scale);
    return scale == 0 ? low : away(low / step) * step + (q - range.min) * scale;
  }
  double quantize(double v) const {
    return scale == 0 ? range.min : std::clamp(away(v / scale) - away(low / scale) + range.min, range.min, range.max);
  }
};

// Spread's conversions in float, step by step as TensorFlow's vector code rounds, which decides where a range's end lies halfway
// between quantized values.
struct FloatSpread {
  QuantizedRange range;
  float low, step, rounded_low, per_unit, low_q;
  FloatSpread(DType t, float lo, float hi);
  float dequantize(float q) const { return (rounded_low - static_cast<float>(range.min) * step) + q * step; }
  double quantize(float v) const;
};

void put_quantized(Tensor& out, int64_t i, double q);  // NaN: 0
float finite(const Tensor& t, int64_t i);              // throws Error where it is not

// Ranges of a node's results: scalars.
inline Tensor range_end(float v) { return Tensor::scalar(v); }
// Out 0 like input 0, of type `type`, and two scalar ends of a range.
void infer_quantized(InferCall& call, DType type);

}  // namespace cytodet::graph::ops
