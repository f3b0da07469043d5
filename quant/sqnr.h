// Signal to quantization noise.
#pragma once

#include "core/tensor.h"

namespace cytodet::quant {

constexpr double kExactDb = 200;  // reported where nothing differs

class Sqnr {
 public:
  // Adds two float tensors of one shape. Throws Error on others.
  void add(const Tensor& exact, const Tensor& quantized);
  double noise_share() const;  // noise energy / signal energy; 0: no noise
  double db() const;

 private:
  double signal_ = 0, noise_ = 0;
};

double to_db(double noise_share);

}  // namespace cytodet::quant
