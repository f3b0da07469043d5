#include "quant/sensitivity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "quant/sqnr.h"
#include "tests/quant/subjects.h"

namespace cytodet {
namespace {

using namespace test;
using ::testing::HasSubstr;

TEST(Sensitivity, RanksTheWorstLayerFirst) {
  TestSubject s = lenet();
  CalibrateOptions quiet;
  quiet.quiet = true;
  Ranges ranges = calibrate(s.graph, s.plan, s.data, quiet).ranges;
  Range& r = ranges.values["Lenet/fc7_1/Relu"];  // few levels are left for what fc9 reads
  r.high *= 40;
  for (float& high : r.channel_high) high *= 40;
  const OutputSqnr outputs(s.graph, s.plan, s.data);
  SensitivityOptions options;
  options.quiet = true;
  options.quantize.equalize = false;
  std::vector<LayerSensitivity> alone = sensitivity(s.graph, ranges, outputs, options);
  ASSERT_EQ(alone.size(), 5u);
  EXPECT_EQ(alone[0].name, "Lenet/fc9_1/MatMul");
  EXPECT_LT(alone[0].sqnr_db, alone[1].sqnr_db - 6);
  for (size_t i = 1; i < alone.size(); ++i) EXPECT_LE(alone[i - 1].sqnr_db, alone[i].sqnr_db);
  options.threads = 1;
  std::vector<LayerSensitivity> again = sensitivity(s.graph, ranges, outputs, options);
  for (size_t i = 0; i < alone.size(); ++i) EXPECT_EQ(alone[i].sqnr_db, again[i].sqnr_db);
  options.alone_float = true;
  EXPECT_EQ(sensitivity(s.graph, ranges, outputs, options)[0].name, "Lenet/fc9_1/MatMul") << "gains most in float";
  options.quantize.exclude_nodes = {"Lenet/fc9_1/MatMul"};
  EXPECT_EQ(sensitivity(s.graph, ranges, outputs, options).size(), 4u);
}

TEST(Sqnr, KnownNoise) {
  Sqnr s;
  s.add(Tensor::from<float>({2}, {3, 4}), Tensor::from<float>({2}, {3, 4}));
  EXPECT_EQ(s.db(), kExactDb);
  s.add(Tensor::from<float>({1}, {0}), Tensor::from<float>({1}, {.5f}));
  EXPECT_NEAR(s.db(), 20, 1e-9);
  EXPECT_THROW(s.add(Tensor::from<float>({1}, {0}), Tensor::from<float>({2}, {0, 0})), Error);
  Sqnr silent;
  silent.add(Tensor::from<float>({1}, {0}), Tensor::from<float>({1}, {1}));
  EXPECT_EQ(silent.db(), -kExactDb);
}

}  // namespace
}  // namespace cytodet
