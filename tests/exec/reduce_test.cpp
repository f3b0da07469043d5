// Sums, means, maxima and minima over any axes, and a layer norm made of them, against the plain evals.
#include <gtest/gtest.h>

#include "tests/exec/compare.h"
#include "tests/exec/quantized_net.h"

namespace cytodet {
namespace {

using namespace test;

TEST(Reduce, EveryChoiceOfAxes) {
  for (const Shape& shape : {Shape{2, 5, 6, 19}, {3, 1, 40, 600}, {1, 7, 1, 1}, {5, 4, 3, 2}})
    for (int mask = 0; mask < 16; ++mask)
      for (const char* op : {"Sum", "Mean", "Max", "Min"}) {
        std::vector<int32_t> axes;
        for (int d = 0; d < 4; ++d)
          if (mask >> d & 1) axes.push_back(d % 2 ? d : d - 4);
        Graph g;
        placeholder(g, "x", shape);
        const auto count = static_cast<int64_t>(axes.size());
        constant(g, "axes", Tensor::from<int32_t>({count}, axes));
        AttrMap attrs;
        attrs.emplace("keep_dims", Attr(mask % 3 == 0));
        add(g, "y", op, {"x", "axes"}, attrs);
        std::mt19937 random(static_cast<unsigned>(mask));
        const Answers a = run_both(g, {{"x", normal_tensor(shape, random)}}, {"y"});
        EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 2e-6) << op << " " << to_string(shape) << " " << mask;
        EXPECT_FALSE(a.kernels.contains("plain")) << op << " " << to_string(shape) << " " << mask;
      }
}

// Numbers far from zero, where sums in float would lose them.
TEST(Reduce, LongSumsStayExact) {
  Graph g;
  placeholder(g, "x", {1, 30000, 3});
  constant(g, "axes", Tensor::from<int32_t>({1}, {1}));
  add(g, "columns", "Mean", {"x", "axes"});
  constant(g, "all", Tensor::from<int32_t>({3}, {0, 1, 2}));
  add(g, "total", "Mean", {"x", "all"});
  Tensor x(DType::f32, {1, 30000, 3});
  for (int64_t i = 0; i < x.size(); ++i) x.data<float>()[i] = 1000.0f + static_cast<float>(i % 7) * 0.125f;
  const Answers a = run_both(g, {{"x", x}}, {"columns", "total"});
  for (size_t i = 0; i < 2; ++i) EXPECT_LT(worst_difference(a.plan[i], a.plain[i]), 2e-7) << i;
}

TEST(Reduce, NotANumberIsTheExtreme) {
  Graph g;
  placeholder(g, "x", {3, 70});
  constant(g, "last", Tensor::from<int32_t>({1}, {1}));
  constant(g, "first", Tensor::from<int32_t>({1}, {0}));
  add(g, "rows", "Max", {"x", "last"});
  add(g, "columns", "Min", {"x", "first"});
  std::mt19937 random(3);
  Tensor x = normal_tensor({3, 70}, random);
  x.data<float>()[75] = std::nanf("");
  const Answers a = run_both(g, {{"x", x}}, {"rows", "columns"});
  for (size_t i = 0; i < 2; ++i)
    for (int64_t j = 0; j < a.plain[i].size(); ++j)
      EXPECT_EQ(std::isnan(a.plan[i].as_double(j)), std::isnan(a.plain[i].as_double(j))) << i << " " << j;
}

TEST(Reduce, LayerNormHasNoPlainStep) {
  Graph g;
  std::mt19937 random(8);
  placeholder(g, "x", {2, 7, 9, 96});
  constant(g, "axis", Tensor::from<int32_t>({1}, {3}));
  constant(g, "epsilon", Tensor::scalar(1e-6f));
  constant(g, "gamma", normal_tensor({96}, random));
  constant(g, "beta", normal_tensor({96}, random));
  AttrMap keep;
  keep.emplace("keep_dims", Attr(true));
  add(g, "mean", "Mean", {"x", "axis"}, keep);
  add(g, "square", "SquaredDifference", {"x", "mean"});
  add(g, "variance", "Mean", {"square", "axis"}, keep);
  add(g, "sum", "AddV2", {"variance", "epsilon"});
  add(g, "rsqrt", "Rsqrt", {"sum"});
  add(g, "factor", "Mul", {"rsqrt", "gamma"});
  add(g, "scaled", "Mul", {"x", "factor"});
  add(g, "shifted", "Mul", {"mean", "factor"});
  add(g, "offset", "Sub", {"beta", "shifted"});
  add(g, "y", "AddV2", {"scaled", "offset"});
  const Answers a = run_both(g, {{"x", normal_tensor({2, 7, 9, 96}, random, 3)}}, {"y"});
  EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 2e-6);
  EXPECT_EQ(a.kernels, (std::set<std::string>{"norm"}));
}

}  // namespace
}  // namespace cytodet
