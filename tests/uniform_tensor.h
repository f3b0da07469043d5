// Tensors of evenly spread numbers.
#pragma once

#include <random>
#include <utility>

#include "core/tensor.h"

namespace cytodet::test {

// Floats of [low, high), the same for the same seed.
inline core::Tensor uniform_tensor(core::Shape shape, unsigned seed, float low = -1, float high = 1) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> within(low, high);
  core::Tensor t(core::DType::f32, std::move(shape));
  for (int64_t i = 0; i < t.size(); ++i) t.data<float>()[i] = within(random);
  return t;
}

}  // namespace cytodet::test
