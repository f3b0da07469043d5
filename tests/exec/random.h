// Random numbers for layers.
#pragma once

#include <cmath>
#include <random>

#include "core/tensor.h"
#include "graph/quantized/quant_nodes.h"

namespace cytodet::test {

// Normal values of this deviation around 0.
inline Tensor normal_tensor(Shape shape, std::mt19937& random, float scale = 1) {
  Tensor t(DType::f32, std::move(shape));
  std::normal_distribution<float> normal(0, scale);
  for (int64_t i = 0; i < t.size(); ++i) t.data<float>()[i] = normal(random);
  return t;
}

// Values near random quantized values (once powers of two have multiplied them, when scaled): so near that all kernels round them
// alike; some outside the range.
inline Tensor tensor_near_q8(Shape shape, const QuantParams& q, std::mt19937& random, bool scaled = false) {
  Tensor t(DType::f32, std::move(shape));
  std::uniform_int_distribution<int> quantized(q.qmin() - 20, q.qmax() + 20);
  std::uniform_real_distribution<float> within(-0.4f, 0.4f);
  for (int64_t i = 0; i < t.size(); ++i)
    t.data<float>()[i] = (static_cast<float>(quantized(random) - q.zero_point) + within(random)) * q.scale /
                         (scaled ? std::ldexp(1.0f, static_cast<int>(i % t.dim(-1) % 3)) : 1.0f);
  return t;
}

}  // namespace cytodet::test
