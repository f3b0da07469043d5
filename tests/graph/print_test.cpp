// Print writes what TensorFlow 2.15 wrote for these values.
#include <gtest/gtest.h>

#include <cmath>

#include "graph/ir/op.h"

namespace cytodet {
namespace {

std::string printed(const std::vector<Tensor>& values, AttrMap attrs = {}) {
  Node n;
  n.name = "p";
  n.op = "Print";
  n.attrs = std::move(attrs);
  n.attrs["message"] = std::string("m:");
  std::vector<Tensor> in{Tensor::scalar(1.0f)};
  in.insert(in.end(), values.begin(), values.end());
  ::testing::internal::CaptureStderr();
  const std::vector<Tensor> out = evaluate(n, in);
  EXPECT_EQ(out[0].as_double(), 1);
  return ::testing::internal::GetCapturedStderr();
}

AttrMap summarize(int64_t n) { return {{"summarize", n}}; }

TEST(Print, Numbers) {
  EXPECT_EQ(printed({Tensor::scalar(0.0f), Tensor::scalar(2.67806506f)}), "m:[0][2.67806506]\n");
  EXPECT_EQ(printed({Tensor::scalar(-0.0f), Tensor::scalar(1e-7f), Tensor::scalar(123456789.0f), Tensor::scalar(0.1f)}),
            "m:[-0][1e-07][123456792][0.1]\n");
  EXPECT_EQ(printed({Tensor::scalar<int32_t>(5), Tensor::scalar(0.1), Tensor::scalar(NAN), Tensor::scalar(-INFINITY)}),
            "m:[5][0.1][nan][-inf]\n");
}

TEST(Print, ListsAndWhatIsLeftOut) {
  const Tensor four = Tensor::from<float>({4}, {1, 2, 3, 4.5f}), six = Tensor::from<int32_t>({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(printed({four}), "m:[1 2 3...]\n");
  EXPECT_EQ(printed({four}, summarize(10)), "m:[1 2 3 4.5]\n");
  EXPECT_EQ(printed({six}, summarize(4)), "m:[[1 2 3][4...]...]\n");
  EXPECT_EQ(printed({six}, summarize(3)), "m:[[1 2 3]...]\n");
  EXPECT_EQ(printed({six}, summarize(-1)), "m:[[1 2 3][4 5 6]]\n");
  EXPECT_EQ(printed({Tensor::from<int32_t>({2, 2, 1}, {1, 2, 3, 4})}, summarize(3)), "m:[[[1][2]][[3]]...]\n");
  EXPECT_EQ(printed({Tensor(DType::f32, {0, 3})}), "m:[]\n");
}

// TensorFlow's kernels flush numbers that small to 0; a list of truths of which none is shown has no dots there.
TEST(Print, SmallestNumbersAndNoTruths) {
  EXPECT_EQ(printed({Tensor::scalar(1.4013e-45f), Tensor::scalar(-1e-40f), Tensor::scalar(1.17549435e-38f)}),
            "m:[0][-0][1.17549435e-38]\n");
  EXPECT_EQ(printed({Tensor::from<bool>({2}, {true, false}), Tensor::from<float>({2}, {1, 2})}, summarize(0)), "m:[][...]\n");
}

TEST(Print, FirstNCountsByName) {
  const AttrMap twice{{"first_n", int64_t{2}}};
  EXPECT_EQ(printed({Tensor::scalar(1.0f)}, twice), "m:[1]\n");
  EXPECT_EQ(printed({Tensor::scalar(1.0f)}, twice), "m:[1]\n");
  EXPECT_EQ(printed({Tensor::scalar(1.0f)}, twice), "");
}

}  // namespace
}  // namespace cytodet
