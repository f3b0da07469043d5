// Every entry of the table of kernels has a test, and a node without one says why.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "exec/lower/lowering.h"
#include "exec/runtime/plan.h"
#include "tests/graph/fixtures.h"

namespace cytodet {
namespace {

using namespace test;

TEST(KernelTable, EveryEntryIsUsedByATest) {
  // Names that tests expect, of exec_test.cpp where no other is named, per entry of the table.
  std::map<std::string, std::string> covered{{"dense_conv", "gemm"},
                                             {"depthwise", "depthwise"},
                                             {"matmul", "gemm"},
                                             {"open_matmul", "gemm"},  // open_rows_test.cpp
                                             {"crops", "crops"},
                                             {"lstm", "lstm"},  // lstm_test.cpp
                                             {"deconv", "deconv"},
                                             {"computed_product", "matmul"},
                                             {"norm", "norm"},  // transformer_test.cpp
                                             {"attention", "attention"},
                                             {"weighted_sum", "weighted_sum"},
                                             {"mean", "mean"},
                                             {"product", "gate"},
                                             {"activation", "activation"},
                                             {"pool", "max_pool"},
                                             {"resize_bilinear", "resize_bilinear"},
                                             {"fake_quant", "int8_weighted_sum"},
                                             {"softmax", "softmax"},
                                             {"resize_nearest", "weighted_sum"},
                                             {"concat", "concat"},
                                             {"alias", "alias"},
                                             {"grouped", "grouped_conv"},  // grouped_test.cpp
                                             {"channels", "lrn"},          // channel_steps_test.cpp
                                             {"reduce", "reduce"},         // reduce_test.cpp
                                             {"copy", "copy"},             // copy_test.cpp
                                             {"split", "copy"},
                                             {"expression", "elementwise"},  // expression_test.cpp
                                             {"expression_rest", "elementwise"}};
  for (const KernelEntry& entry : kernel_entries()) EXPECT_TRUE(covered.contains(entry.name)) << entry.name;
}

TEST(Kernels, PlainStepsSayWhy) {
  Graph g;
  placeholder(g, "x", {1, 4, 4, 8});
  add(g, "sine", "Sin", {"x"});
  PlanOptions o;
  o.outputs = {"sine"};
  const std::vector<StepInfo> steps = Plan::compile(g, o)->steps();
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_EQ(steps[0].reason, "no kernel computes Sin");
}

}  // namespace
}  // namespace cytodet
