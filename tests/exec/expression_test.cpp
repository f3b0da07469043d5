// Element-wise expressions: every operation, broadcasting, chains that become one step, and random ones, against the plain evals.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/exec/compare.h"
#include "tests/exec/quantized_net.h"

namespace cytodet {
namespace {

using namespace test;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Numbers of every size, and those that are special.
Tensor all_sizes(Shape shape, unsigned seed, bool positive = false) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> exponent(-6, 2.2f), sign(-1, 1);
  Tensor t(DType::f32, std::move(shape));
  for (int64_t i = 0; i < t.size(); ++i) {
    const float x = std::pow(10.0f, exponent(random));
    t.data<float>()[i] = positive || sign(random) > 0 ? x : -x;
  }
  const float special[] = {0.0f, -0.0f, kInfinity, -kInfinity, std::nanf(""), 1.0f,   -1.0f,
                           0.5f, 2.5f,  -3.5f,     88.5f,      -103.0f,       1e-40f, 3e38f};
  for (size_t i = 0; i < std::size(special) && static_cast<int64_t>(i) < t.size() && !positive; ++i)
    t.data<float>()[i] = special[i];
  return t;
}

// Relative to the number wanted; what is below the normal numbers may be lost.
void expect_near(const Tensor& got, const Tensor& wanted, double tolerance, const std::string& what) {
  ASSERT_EQ(got.shape(), wanted.shape()) << what;
  for (int64_t i = 0; i < got.size(); ++i) {
    const double g = got.as_double(i), w = wanted.as_double(i);
    if (std::isnan(w) || std::isinf(w))
      ASSERT_TRUE(std::isnan(w) ? std::isnan(g) : g == w) << what << " at " << i << ": " << g << ", not " << w;
    else
      ASSERT_LE(std::abs(g - w), tolerance * std::abs(w) + 1.2e-38) << what << " at " << i << ": " << g << ", not " << w;
  }
}

AttrMap float_attr(const char* name, float value) {
  AttrMap attrs;
  attrs.emplace(name, Attr(value));
  return attrs;
}

void expect_one_step(const Answers& a, const std::string& what) {
  EXPECT_EQ(a.kernels, std::set<std::string>{"elementwise"}) << what;
  EXPECT_EQ(a.steps.size(), 1u) << what;
}

TEST(Expression, EveryUnaryOperationGivesThePlainAnswer) {
  for (const char* op : {"Neg",  "Abs", "Sign", "Square",   "Sqrt",     "Rsqrt", "Reciprocal", "Exp",  "Expm1", "Log", "Log1p",
                         "Tanh", "Elu", "Selu", "Softplus", "Softsign", "Erf",   "Floor",      "Ceil", "Round", "Rint"}) {
    Graph g;
    placeholder(g, "x", {3, 7, 41});
    add(g, "y", op, {"x"});
    const Answers a = run_both(g, {{"x", all_sizes({3, 7, 41}, 5)}}, {"y"});
    expect_near(a.plan[0], a.plain[0], 2e-6, op);
    expect_one_step(a, op);
  }
}

TEST(Expression, ActivationsInsideAChainGiveThePlainAnswer) {
  for (const char* op : {"Relu", "Relu6", "Sigmoid", "LeakyRelu"}) {
    Graph g;
    placeholder(g, "x", {3, 7, 41});
    add(g, "y", op, {"x"}, std::string(op) == "LeakyRelu" ? float_attr("alpha", 0.3f) : AttrMap{});
    add(g, "z", "Neg", {"y"});
    const Answers a = run_both(g, {{"x", all_sizes({3, 7, 41}, 6)}}, {"z"});
    expect_near(a.plan[0], a.plain[0], 2e-6, op);
    expect_one_step(a, op);
  }
}

TEST(Expression, EveryBinaryOperationBroadcasts) {
  const std::vector<std::pair<Shape, Shape>> shapes = {{{2, 3, 4, 19}, {2, 3, 4, 19}},
                                                       {{2, 3, 4, 19}, {19}},
                                                       {{19}, {2, 3, 4, 19}},
                                                       {{2, 3, 4, 19}, {2, 1, 1, 19}},
                                                       {{2, 3, 4, 19}, {2, 3, 4, 1}},
                                                       {{2, 3, 1, 19}, {4, 1}},
                                                       {{2, 3, 4, 19}, {}},
                                                       {{}, {2, 3, 4, 19}},
                                                       {{5, 1, 3}, {1, 600, 1}},
                                                       {{1, 1100}, {7, 1}},
                                                       {{3, 1, 5, 1, 2}, {4, 1, 6, 1}}};
  for (const char* op : {"Sub", "RealDiv", "DivNoNan", "Maximum", "Minimum", "SquaredDifference", "Add", "Mul"})
    for (const auto& [left, right] : shapes) {
      Graph g;
      placeholder(g, "a", left);
      placeholder(g, "b", right);
      add(g, "c", op, {"a", "b"});
      if (std::string(op) == "Mul" && right == Shape{2, 1, 1, 19}) continue;  // a gate, which has a kernel of its own
      add(g, "y", "Neg", {"c"});
      const Answers a = run_both(g, {{"a", all_sizes(left, 8)}, {"b", all_sizes(right, 9)}}, {"y"});
      const std::string what = std::string(op) + " " + to_string(left) + " " + to_string(right);
      expect_near(a.plan[0], a.plain[0], 2e-6, what);
      expect_one_step(a, what);
    }
}

TEST(Expression, BroadcastsToAConstantShape) {
  for (const bool alone : {true, false}) {
    Graph g;
    placeholder(g, "x", {3, 1, 5});
    constant(g, "shape", Tensor::from<int32_t>({4}, {2, 3, 4, 5}));
    add(g, "wide", "BroadcastTo", {"x", "shape"});
    add(g, "y", alone ? "Identity" : "Exp", {"wide"});
    const Answers a = run_both(g, {{"x", all_sizes({3, 1, 5}, 2)}}, {"y"});
    expect_near(a.plan[0], a.plain[0], alone ? 0 : 2e-6, "BroadcastTo");
    EXPECT_FALSE(a.kernels.contains("plain"));
  }
}

TEST(Expression, ComparisonsAndSelectStayInsideTheExpression) {
  for (const char* op : {"Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual"}) {
    Graph g;
    placeholder(g, "a", {6, 50});
    placeholder(g, "b", {50});
    add(g, "compared", op, {"a", "b"});
    constant(g, "zero", Tensor::scalar(0.0f));
    add(g, "positive", "Greater", {"a", "zero"});
    add(g, "both", "LogicalAnd", {"compared", "positive"});
    add(g, "not", "LogicalNot", {"both"});
    add(g, "y", "SelectV2", {"not", "a", "b"});
    Tensor left = all_sizes({6, 50}, 3), right = all_sizes({50}, 3);
    const Answers a = run_both(g, {{"a", left}, {"b", right}}, {"y"});
    expect_near(a.plan[0], a.plain[0], 0, op);
    expect_one_step(a, op);
  }
}

TEST(Expression, ClipsBetweenConstants) {
  Graph g;
  placeholder(g, "x", {4, 80});
  constant(g, "low", Tensor::scalar(-0.5f));
  constant(g, "high", Tensor::scalar(2.0f));
  add(g, "y", "ClipByValue", {"x", "low", "high"});
  const Answers a = run_both(g, {{"x", all_sizes({4, 80}, 4)}}, {"y"});
  expect_near(a.plan[0], a.plain[0], 0, "clip");
  expect_one_step(a, "clip");
}

TEST(Expression, PowersByConstants) {
  for (const float exponent : {2.0f, 3.0f, 0.5f, -0.5f, -1.0f, -0.75f, 1.7f, 0.0f, -3.0f, 5.0f}) {
    Graph g;
    placeholder(g, "x", {4, 80});
    constant(g, "e", Tensor::scalar(exponent));
    add(g, "y", "Pow", {"x", "e"});
    const Answers a = run_both(g, {{"x", all_sizes({4, 80}, 4, exponent == 0.5f)}}, {"y"});
    expect_near(a.plan[0], a.plain[0], 3e-7 + 1.2e-7 * 90, "power " + std::to_string(exponent));  // |b * ln a| < 90
    expect_one_step(a, "power");
  }
}

TEST(Expression, HardSwishGeluAndMishAreOneStepEach) {
  Graph g;
  placeholder(g, "x", {1, 9, 11, 24});
  for (const auto& [name, value] :
       std::map<std::string, float>{{"three", 3}, {"sixth", 1 / 6.0f}, {"half", 0.5f}, {"one", 1}, {"root", 1.41421356f}})
    constant(g, name, Tensor::scalar(value));
  add(g, "h/add", "AddV2", {"x", "three"});
  add(g, "h/clip", "Relu6", {"h/add"});
  add(g, "h/mul", "Mul", {"x", "h/clip"});
  add(g, "hard_swish", "Mul", {"h/mul", "sixth"});
  add(g, "g/div", "RealDiv", {"x", "root"});
  add(g, "g/erf", "Erf", {"g/div"});
  add(g, "g/one", "AddV2", {"g/erf", "one"});
  add(g, "g/half", "Mul", {"x", "half"});
  add(g, "gelu", "Mul", {"g/half", "g/one"});
  add(g, "m/plus", "Softplus", {"x"});
  add(g, "m/tanh", "Tanh", {"m/plus"});
  add(g, "mish", "Mul", {"x", "m/tanh"});
  std::mt19937 random(2);
  const Answers a = run_both(g, {{"x", normal_tensor({1, 9, 11, 24}, random, 3)}}, {"hard_swish", "gelu", "mish"});
  for (size_t i = 0; i < 3; ++i) EXPECT_LT(worst_difference(a.plan[i], a.plain[i]), 1e-6) << i;
  EXPECT_EQ(a.kernels, std::set<std::string>{"elementwise"});
  EXPECT_EQ(a.steps.size(), 3u);
}

TEST(Expression, BatchNormBeforeReluIsOneStep) {
  for (const char* format : {"NHWC", "NCHW"}) {
    const bool first = std::string(format) == "NCHW";
    const Shape shape = first ? Shape{2, 5, 6, 7} : Shape{2, 6, 7, 5};
    Graph g;
    std::mt19937 random(7);
    placeholder(g, "x", shape);
    Tensor variance = normal_tensor({5}, random);
    for (int64_t i = 0; i < 5; ++i) variance.data<float>()[i] = std::abs(variance.data<float>()[i]);
    constant(g, "scale", normal_tensor({5}, random));
    constant(g, "offset", normal_tensor({5}, random));
    constant(g, "mean", normal_tensor({5}, random));
    constant(g, "variance", variance);
    AttrMap attrs = float_attr("epsilon", 1e-3f);
    attrs.emplace("is_training", Attr(false));
    attrs.emplace("data_format", Attr(format));
    add(g, "bn", "FusedBatchNormV3", {"x", "scale", "offset", "mean", "variance"}, attrs);
    AttrMap bias;
    bias.emplace("data_format", Attr(format));
    add(g, "biased", "BiasAdd", {"bn", "offset"}, bias);
    add(g, "y", "Relu", {"biased"});
    const Answers a = run_both(g, {{"x", normal_tensor(shape, random)}}, {"y"});
    EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 1e-6) << format;
    expect_one_step(a, format);
  }
}

// What other kernels are made for stays theirs: sums of maps, products, activations.
TEST(Expression, LeavesSumsAndActivationsOfMapsToTheirKernels) {
  Graph g;
  placeholder(g, "x", {1, 4, 4, 8});
  placeholder(g, "y", {1, 4, 4, 8});
  constant(g, "w", Tensor::scalar(0.4f));
  add(g, "part", "Mul", {"x", "w"});
  add(g, "sum", "AddV2", {"part", "y"});
  add(g, "z", "Relu", {"sum"});
  std::mt19937 random(1);
  const Answers a = run_both(g, {{"x", normal_tensor({1, 4, 4, 8}, random)}, {"y", normal_tensor({1, 4, 4, 8}, random)}}, {"z"});
  EXPECT_EQ(a.kernels, std::set<std::string>{"weighted_sum"});
  EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 1e-6);
}

// A value that is an output of the plan, or that another layer reads, is not hidden in a chain.
TEST(Expression, ValuesThatOthersReadAreWritten) {
  Graph g;
  placeholder(g, "x", {2, 40});
  constant(g, "c", Tensor::scalar(1.5f));
  add(g, "a", "AddV2", {"x", "c"});
  add(g, "b", "Exp", {"a"});
  add(g, "y", "Sub", {"b", "a"});
  add(g, "top", "Softmax", {"b"});
  std::mt19937 random(1);
  const Answers a = run_both(g, {{"x", normal_tensor({2, 40}, random)}}, {"a", "y", "top"});
  for (size_t i = 0; i < 3; ++i) EXPECT_LT(worst_difference(a.plan[i], a.plain[i]), 1e-6) << i;
  EXPECT_FALSE(a.kernels.contains("plain"));
}

// Random element-wise graphs of maps that broadcast, some values with many readers.
TEST(Expression, RandomGraphsGiveThePlainAnswers) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
    const Shape shapes[] = {{2, 5, 6, 10}, {10}, {2, 1, 1, 10}, {5, 1, 1}, {2, 5, 6, 1}, {}};
    Graph g;
    std::map<std::string, Tensor> data;
    std::vector<std::string> values;
    for (size_t i = 0; i < std::size(shapes); ++i) {
      const std::string name = "x" + std::to_string(i);
      if (i < 2 || below(2)) {
        placeholder(g, name, shapes[i]);
        data[name] = normal_tensor(shapes[i], random);
      } else {
        constant(g, name, normal_tensor(shapes[i], random));
      }
      values.push_back(name);
    }
    for (int i = 0; i < 22; ++i) {
      const std::string name = "v" + std::to_string(i);
      const auto any = [&] { return values[std::max(below(values.size()), below(values.size()))]; };
      static const char* const kUnary[] = {"Neg", "Abs", "Square", "Tanh", "Sigmoid", "Relu", "Relu6", "Elu", "Softplus", "Erf"};
      static const char* const kBinary[] = {"AddV2", "Sub", "Mul", "Maximum", "Minimum", "SquaredDifference"};
      if (below(2))
        add(g, name, kUnary[below(std::size(kUnary))], {any()});
      else
        add(g, name, kBinary[below(std::size(kBinary))], {any(), any()});
      values.push_back(name);
    }
    add(g, "out", "Tanh", {values.back()});
    const Answers a = run_both(g, data, {"out"});
    EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 5e-6) << "seed " << seed;
    EXPECT_FALSE(a.kernels.contains("plain")) << "seed " << seed;
  }
}

// Between convolutions on 8-bit values, maps come and go as they are stored there.
TEST(Expression, ReadsAndWritesQuantizedMaps) {
  QuantizedNet net;
  const QuantParams quant{0.04f, 120, false};
  net.input("x", {1, 12, 12, 20});
  net.conv("first", "x", 24, 1, quant);
  net.op("plus", "Softplus", {"first"});
  net.op("tanh", "Tanh", {"plus"});
  net.op("act", "Mul", {"first", "tanh"});
  net.conv("second", "act", 16, 1, quant);
  const Answers a = net.expect_answers({"second"}, 40);
  EXPECT_TRUE(a.kernels.contains("elementwise"));
  EXPECT_FALSE(a.kernels.contains("plain"));
}

// Factors and shifts of channels, then a relu, as a batch norm that stands before its convolution: one operation.
TEST(Expression, ProductSumAndReluAreOneOperation) {
  std::mt19937 random(4);
  for (const bool relu : {false, true})
    for (const bool sum_first : {false, true}) {
      Graph g;
      placeholder(g, "x", {2, 5, 7, 33});
      constant(g, "factor", normal_tensor({33}, random));
      constant(g, "shift", normal_tensor({33}, random));
      add(g, "scaled", "Mul", {"x", "factor"});
      add(g, "shifted", "AddV2",
          sum_first ? std::vector<std::string>{"shift", "scaled"} : std::vector<std::string>{"scaled", "shift"});
      add(g, relu ? "act" : "out", relu ? "Relu" : "Neg", {"shifted"});
      if (relu) add(g, "out", "Neg", {"act"});
      const Answers a = run_both(g, {{"x", normal_tensor({2, 5, 7, 33}, random)}}, {"out"});
      EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 3e-7);
      EXPECT_EQ(a.kernels, std::set<std::string>{"elementwise"});
      EXPECT_EQ(a.steps.size(), 1u);
    }
}

// A product that others read as well stays a value of its own.
TEST(Expression, ProductsThatAreReadTwice) {
  std::mt19937 random(5);
  Graph g;
  placeholder(g, "x", {3, 50});
  placeholder(g, "y", {3, 50});
  add(g, "product", "Mul", {"x", "y"});
  add(g, "sum", "AddV2", {"product", "x"});
  add(g, "twice", "AddV2", {"product", "product"});
  add(g, "both", "Sub", {"sum", "twice"});
  add(g, "out", "Neg", {"both"});
  const Answers a = run_both(g, {{"x", normal_tensor({3, 50}, random)}, {"y", normal_tensor({3, 50}, random)}}, {"out"});
  EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 3e-7);
}

}  // namespace
}  // namespace cytodet
