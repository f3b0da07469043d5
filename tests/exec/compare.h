// How far answers are from those wanted.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/tensor.h"

namespace cytodet::test {

// The largest difference, in units of the largest value wanted (at least 1).
inline double worst_difference(const Tensor& got, const Tensor& wanted) {
  EXPECT_EQ(got.shape(), wanted.shape());
  double largest = 1, worst = 0;
  for (int64_t i = 0; i < got.size(); ++i) {
    largest = std::max(largest, std::abs(wanted.as_double(i)));
    worst = std::max(worst, std::abs(got.as_double(i) - wanted.as_double(i)));
  }
  return worst / largest;
}

}  // namespace cytodet::test
