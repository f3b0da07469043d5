// Pools, resizes, products, sums and activations of maps of floats against their plain evals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "core/error.h"
#include "tests/exec/answers.h"
#include "tests/exec/compare.h"
#include "tests/exec/random.h"
#include "tests/graph/fixtures.h"

namespace cytodet {
namespace {

using namespace test;
using ::testing::ElementsAre;

using Inputs = std::map<std::string, Shape>;

void expect_plain_answer(const Graph& g, const Inputs& inputs, const std::string& output, const std::string& kernel) {
  std::mt19937 random(41);
  std::map<std::string, Tensor> data;
  for (const auto& [name, shape] : inputs) data[name] = normal_tensor(shape, random);
  const Answers a = run_both(g, data, {output});
  EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 1e-5);
  EXPECT_THAT(a.kernels, ElementsAre(kernel));
}

Graph graph_of(const Inputs& inputs) {
  Graph g;
  for (const auto& [name, shape] : inputs) placeholder(g, name, shape);
  return g;
}

class PoolOf : public ::testing::TestWithParam<int64_t> {};

TEST_P(PoolOf, EveryWindow) {
  for (const std::string op : {"AvgPool", "MaxPool"})
    for (const std::string padding : {"SAME", "VALID"})
      for (const int64_t side : {2, 3, 7})
        for (const int64_t stride : {1, 2, 3}) {
          SCOPED_TRACE(testing::Message() << op << " " << padding << " of " << side << " stride " << stride);
          const Inputs inputs{{"x", {2, 9, 11, GetParam()}}};
          Graph g = graph_of(inputs);
          AttrMap attrs = conv_attrs(padding, stride);
          attrs.emplace("ksize", ints({1, side, side, 1}));
          add(g, "pool", op, {"x"}, attrs);
          expect_plain_answer(g, inputs, "pool", op == "AvgPool" ? "avg_pool" : "max_pool");
        }
}

TEST_P(PoolOf, WindowsLargerThanTheMap) {
  for (const std::string op : {"AvgPool", "MaxPool"})
    for (const auto& [h, w] : {std::pair{2, 3}, {1, 1}, {9, 2}, {2, 9}}) {
      SCOPED_TRACE(testing::Message() << op << " of " << h << "x" << w);
      const Inputs inputs{{"x", {2, h, w, GetParam()}}};
      Graph g = graph_of(inputs);
      AttrMap attrs = conv_attrs("SAME", 2);
      attrs.emplace("ksize", ints({1, 7, 5, 1}));
      add(g, "pool", op, {"x"}, attrs);
      expect_plain_answer(g, inputs, "pool", op == "AvgPool" ? "avg_pool" : "max_pool");
    }
}

class BilinearOf : public ::testing::TestWithParam<int64_t> {};

TEST_P(BilinearOf, EverySizeAndRule) {
  const std::pair<int32_t, int32_t> sizes[] = {{1, 1}, {5, 7}, {10, 14}, {13, 9}, {3, 2}, {2, 11}, {1, 8}};
  for (const char* params : {"neither", "align_corners", "half_pixel_centers"})
    for (const auto& [in_h, in_w] : {std::pair{5, 7}, {1, 1}, {1, 6}})
      for (const auto& [h, w] : sizes) {
        SCOPED_TRACE(testing::Message() << params << " " << in_h << "x" << in_w << " to " << h << "x" << w);
        const Inputs inputs{{"x", {2, in_h, in_w, GetParam()}}};
        Graph g = graph_of(inputs);
        constant(g, "size", Tensor::from<int32_t>({2}, {h, w}));
        AttrMap attrs;
        if (params != std::string("neither")) attrs.emplace(params, true);
        add(g, "resized", "ResizeBilinear", {"x", "size"}, attrs);
        expect_plain_answer(g, inputs, "resized", "resize_bilinear");
      }
}

INSTANTIATE_TEST_SUITE_P(Channels, PoolOf, ::testing::Values(1, 3, 16, 17, 37));
INSTANTIATE_TEST_SUITE_P(Channels, BilinearOf, ::testing::Values(1, 3, 16, 37));

// The list of its pixels alone would take the memory of the machine.
TEST(Bilinear, ASizeThatNoTensorHasIsRefused) {
  Graph g = graph_of({{"x", {1, 2, 2, 1}}});
  constant(g, "size", Tensor::from<int32_t>({2}, {2000000000, 2000000000}));
  add(g, "up", "ResizeBilinear", {"x", "size"});
  PlanOptions o;
  o.outputs = {"up"};
  o.input_shapes["x"] = {1, 2, 2, 1};
  EXPECT_THROW(Runner(Plan::compile(g, o)).run(), Error);
}

TEST(Product, TwoMapsOfEveryRank) {
  for (const Shape& shape : {Shape{1}, Shape{5003}, Shape{7, 19}, Shape{3, 700, 5}, Shape{2, 23, 17, 13}, Shape{2, 1, 1, 9}}) {
    SCOPED_TRACE(to_string(shape));
    const Inputs inputs{{"x", shape}, {"y", shape}};
    Graph g = graph_of(inputs);
    add(g, "product", "Mul", {"x", "y"});
    expect_plain_answer(g, inputs, "product", "product");
  }
}

TEST(Product, AMapWithItself) {
  const Inputs inputs{{"x", {2, 23, 17, 13}}};
  Graph g = graph_of(inputs);
  add(g, "square", "Mul", {"x", "x"});
  expect_plain_answer(g, inputs, "square", "product");
}

// The gate is the first or the second factor; an image ends inside a chunk of 4096 values.
TEST(Gate, EachImageHasItsOwn) {
  for (const int64_t channels : {1, 13, 32, 5000})
    for (const bool first : {false, true}) {
      SCOPED_TRACE(testing::Message() << channels << first);
      const Inputs inputs{{"x", {3, channels > 100 ? 2 : 37, 19, channels}}, {"gate", {3, 1, 1, channels}}};
      Graph g = graph_of(inputs);
      add(g, "gated", "Mul", first ? std::vector<std::string>{"gate", "x"} : std::vector<std::string>{"x", "gate"});
      expect_plain_answer(g, inputs, "gated", "gate");
    }
}

// Terms 0 to `terms`, each with a weight of its own; every second is smaller where some are upsampled. Of more values than a
// chunk, and no multiple of it.
TEST(WeightedSum, OneToFourTermsWithUpsampling) {
  for (int terms = 1; terms <= 4; ++terms)
    for (const int factor : {1, 2, 3})
      for (const int64_t channels : {3, 16, 37}) {
        SCOPED_TRACE(testing::Message() << terms << " terms, factor " << factor << ", " << channels << " channels");
        const Shape shape{2, 30, 42, channels};
        Inputs inputs;
        for (int i = 0; i < terms; ++i)
          inputs["x" + std::to_string(i)] = i % 2 && factor > 1 ? Shape{2, 30 / factor, 42 / factor, channels} : shape;
        Graph g = graph_of(inputs);
        constant(g, "size", Tensor::from<int32_t>({2}, {30, 42}));
        std::vector<std::string> sum;
        for (int i = 0; i < terms; ++i) {
          const std::string n = std::to_string(i);
          std::string term = "x" + n;
          if (i % 2 && factor > 1) add(g, "up" + n, "ResizeNearestNeighbor", {term, "size"}), term = "up" + n;
          constant(g, "weight" + n, Tensor::scalar(0.4f + 0.3f * static_cast<float>(i)));
          add(g, "term" + n, "Mul", {"weight" + n, term});
          sum.push_back("term" + n);
        }
        add(g, "sum", "AddN", sum);
        add(g, "out", "Relu6", {"sum"});
        expect_plain_answer(g, inputs, "out", terms == 1 ? "activation" : "weighted_sum");
      }
}

TEST(Activation, EveryRank) {
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{9001}, Shape{4099, 3}, Shape{2, 31, 29, 7}})
    for (const std::string op : {"Relu", "Relu6", "Sigmoid"}) {
      SCOPED_TRACE(op + to_string(shape));
      const Inputs inputs{{"x", shape}};
      Graph g = graph_of(inputs);
      add(g, "out", op, {"x"});
      expect_plain_answer(g, inputs, "out", "activation");
    }
}

TEST(Activation, AnEmptyMap) {
  for (const Shape& shape : {Shape{0, 3}, Shape{2, 0}, Shape{0}}) {
    SCOPED_TRACE(to_string(shape));
    Graph g;
    placeholder(g, "x", shape);
    add(g, "out", "Relu", {"x"});
    EXPECT_EQ(run_both(g, {{"x", Tensor(DType::f32, shape)}}, {"out"}).plan.at(0).shape(), shape);
  }
}

}  // namespace
}  // namespace cytodet
