#include "graph/ops/quantized_range.h"

namespace cytodet::graph::ops {

QuantizedRange::QuantizedRange(DType t) {
  switch (t) {
    case DType::qint8:
      min = -128, max = 127;
      break;
    case DType::quint8:
      min = 0, max = 255;
      break;
    case DType::qint16:
      min = -32768, max = 32767;
      break;
    case DType::quint16:
      min = 0, max = 65535;
      break;
    case DType::qint32:
      min = -2147483648.0, max = 2147483647.0;
      break;
    default:
      throw Error("", "type " + name_of(t) + " is not a quantized type");
  }
}

FloatSpread::FloatSpread(DType t, float lo, float hi)
    : range(t),
      low(lo),
      step(static_cast<float>((hi - lo) / range.steps())),
      rounded_low(lo == hi ? lo : std::round(lo / step) * step),
      per_unit(lo == hi ? 0.0f : static_cast<float>(range.steps() / (hi - lo))),
      low_q(std::round(lo * per_unit)) {}

double FloatSpread::quantize(float v) const {
  // Floats that 32 bits hold.
  const float min = static_cast<float>(range.min), max = std::min(static_cast<float>(range.max), 2147483520.0f);
  const float moved = std::round(v * per_unit) - (low_q - min);
  return std::min(std::max(moved, min), max);
}

void put_quantized(Tensor& out, int64_t i, double q) {
  on_integers(out.dtype(), [&]<class T>() { out.data<T>()[i] = std::isnan(q) ? T(0) : static_cast<T>(q); });
}

float finite(const Tensor& t, int64_t i) {
  const double v = t.as_double(i);
  need(std::isfinite(v), "a range is not finite");
  return static_cast<float>(v);
}

void infer_quantized(InferCall& call, DType type) {
  call.out.assign(3, fact(DType::f32, Shape{}));
  call.out[0] = fact(type, call.in[0].shape);
}

}  // namespace cytodet::graph::ops
