// Random numbers for layers.
#pragma once

#include <random>

#include "core/tensor.h"

namespace cytodet::test {

// Normal numbers of this deviation around 0.
inline Tensor normal_tensor(Shape shape, std::mt19937& random, float scale = 1) {
  Tensor t(DType::f32, std::move(shape));
  std::normal_distribution<float> normal(0, scale);
  for (int64_t i = 0; i < t.size(); ++i) t.data<float>()[i] = normal(random);
  return t;
}

}  // namespace cytodet::test
