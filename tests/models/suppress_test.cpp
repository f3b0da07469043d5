#include "models/common/suppress.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace cytodet {
namespace {

TEST(Suppress, HardKeepsTheBest) {
  SuppressionSettings s;
  Detections d{{{0, 0, 10, 10}, 0, 0.5f}, {{1, 0, 11, 10}, 0, 0.9f}, {{30, 0, 40, 10}, 0, 0.4f}};
  Detections kept = suppress(d, s);
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_FLOAT_EQ(kept[0].score, 0.9f);
  EXPECT_FLOAT_EQ(kept[1].score, 0.4f);
}

TEST(Suppress, HardAsDefined) {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> at(0, 300), side(1, 90);
  for (double most : {0.0, 0.2, 0.5, 0.9}) {
    for (double far : {0.0, 60000.0}) {  // where floats are 1/256 apart
      SuppressionSettings s;
      s.iou = most;
      s.detections = 2000;
      Detections boxes;
      for (int i = 0; i < 1000; ++i) {
        const double x = far + at(random), y = far + at(random);
        boxes.push_back({{x, y, x + side(random), y + side(random)}, 0, static_cast<float>(1000 - i) / 1001});
      }
      // Overlaps just above, exactly and just below.
      for (int i = -1; i <= 1; ++i)
        boxes.push_back({{boxes[0].box.x0, boxes[0].box.y0, boxes[0].box.x1,
                          boxes[0].box.y0 + boxes[0].box.height() * most * (1 + i * 1e-13)},
                         0,
                         0.0005f});
      Detections kept;
      for (const Detection& d : boxes)
        if (std::none_of(kept.begin(), kept.end(), [&](const Detection& k) { return iou(k.box, d.box) > most; }))
          kept.push_back(d);
      ASSERT_GT(kept.size(), 30u);
      EXPECT_EQ(suppress(boxes, s), kept) << most << " " << far;
    }
  }
}

TEST(Suppress, GaussianDecays) {
  SuppressionSettings s;
  s.method = SuppressionMethod::gaussian;
  Detections d{{{0, 0, 10, 10}, 0, 0.9f}, {{5, 0, 15, 10}, 0, 0.8f}};
  Detections kept = suppress(d, s);
  ASSERT_EQ(kept.size(), 2u);
  double o = 1.0 / 3;
  EXPECT_NEAR(kept[1].score, 0.8 * std::exp(-o * o / 0.5), 1e-6);
}

TEST(Suppress, CandidatesAreBounded) {
  SuppressionSettings s;
  s.candidates_per_class = 3;
  Detections d;
  for (int i = 0; i < 100; ++i) d.push_back({{i * 20.0, 0, i * 20.0 + 10, 10}, 0, static_cast<float>(i) / 100});
  EXPECT_EQ(suppress(d, s).size(), 3u);
}

}  // namespace
}  // namespace cytodet
