// A detection compared with its class, score and corners, to 1e-5 pixels.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "core/box.h"

namespace cytodet {

inline void expect_box(const Detection& d, int category, float score, std::vector<double> corners) {
  EXPECT_EQ(d.category, category);
  EXPECT_FLOAT_EQ(d.score, score);
  EXPECT_NEAR(d.box.x0, corners[0], 1e-5);
  EXPECT_NEAR(d.box.y0, corners[1], 1e-5);
  EXPECT_NEAR(d.box.x1, corners[2], 1e-5);
  EXPECT_NEAR(d.box.y1, corners[3], 1e-5);
}

}  // namespace cytodet
