#include "quant/sqnr.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"

namespace cytodet::quant {

void Sqnr::add(const Tensor& exact, const Tensor& quantized) {
  if (exact.shape() != quantized.shape())
    throw Error("",
                "has the shape " + to_string(quantized.shape()) + " when quantized, " + to_string(exact.shape()) + " in float");
  const float *a = exact.data<float>(), *b = quantized.data<float>();
  for (int64_t i = 0; i < exact.size(); ++i) {
    const double e = a[i], d = e - b[i];
    signal_ += e * e;
    noise_ += d * d;
  }
}

double Sqnr::noise_share() const {
  if (noise_ == 0) return 0;
  const double share = noise_ / signal_;
  return std::isnan(share) ? std::numeric_limits<double>::infinity() : share;
}

double to_db(double noise_share) {
  return noise_share > 0 ? std::clamp(-10 * std::log10(noise_share), -kExactDb, kExactDb) : kExactDb;
}

double Sqnr::db() const { return to_db(noise_share()); }

}  // namespace cytodet::quant
