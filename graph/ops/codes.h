// Between numbers and the 8- to 32-bit codes that stand for them.
#pragma once

#include "graph/ops/eval_helpers.h"

namespace cytodet::graph::ops {

// The least and greatest code of a quantized type; throws Error for other types.
struct Codes {
  double min, max;
  explicit Codes(DType t);
  double steps() const { return max - min; }
};

inline double away(double v) { return std::round(v); }      // halves away from 0
inline double even(double v) { return std::nearbyint(v); }  // halves to even

// A code as a number when low..high are spread over all codes, 0 kept exact.
struct Spread {
  Codes codes;
  double low, scale;
  Spread(DType t, double lo, double hi) : codes(t), low(lo), scale((hi - lo) / codes.steps()) {}
  // The low end is rounded to steps of a float, as TensorFlow does: among 32-bit codes half a step depends on it.
  double number(double code) const {
    const double step = static_cast<float>(scale);
    return scale == 0 ? low : away(low / step) * step + (code - codes.min) * scale;
  }
  double code(double v) const {
    return scale == 0 ? codes.min : std::clamp(away(v / scale) - away(low / scale) + codes.min, codes.min, codes.max);
  }
};

// The same in float, step by step as TensorFlow's vector code rounds: where a range's end lies halfway between codes this
// decides.
struct FloatSpread {
  Codes codes;
  float low, step, rounded_low, per_unit, low_code;
  FloatSpread(DType t, float lo, float hi);
  float number(float code) const { return (rounded_low - static_cast<float>(codes.min) * step) + code * step; }
  double code(float v) const;
};

void put_code(Tensor& out, int64_t i, double code);  // NaN: 0
float finite(const Tensor& t, int64_t i);            // throws Error where it is not

// Ranges of a node's results: scalars.
inline Tensor range_end(float v) { return Tensor::scalar(v); }
// Out 0 like input 0, of type `type`, and two scalar ends of a range.
void infer_codes(InferCall& call, DType type);

}  // namespace cytodet::graph::ops
