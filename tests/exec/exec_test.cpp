#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <set>

#include "core/cpu.h"
#include "core/error.h"
#include "exec/kernels/kernels.h"
#include "exec/lower/lowering.h"
#include "exec/runtime/memory.h"
#include "exec/runtime/plan.h"
#include "tests/exec/answers.h"
#include "tests/exec/compare.h"
#include "tests/exec/gelu.h"
#include "tests/exec/random.h"
#include "tests/graph/fixtures.h"

namespace cytodet {
namespace {

using namespace test;
using ::testing::HasSubstr;

Tensor bf16_numbers(Tensor t) {
  for (int64_t i = 0; i < t.size(); ++i)
    t.data<float>()[i] = std::bit_cast<float>(static_cast<uint32_t>(BFloat16(t.data<float>()[i]).bits) << 16);
  return t;
}

// A plan in bfloat16 against the same in float, all input and weights being bf16 values: products are exact in both. Where
// this CPU has none, the plan says so.
void check_bf16(const Graph& g, const std::map<std::string, Shape>& inputs, const std::string& output, std::mt19937& random,
                double tolerance) {
  PlanOptions o;
  o.outputs = {output};
  o.input_shapes = inputs;
  Runner wanted(Plan::compile(g, o));
  o.precision = Precision::bf16;
  if (!has_precision(o.precision)) {
    try {
      Plan::compile(g, o);
      ADD_FAILURE() << "compiled for a CPU without bfloat16 products";
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), HasSubstr("precision bf16"));
    }
    return;
  }
  Runner got(Plan::compile(g, o));
  o.threads = 2;
  Runner two(Plan::compile(g, o));
  int64_t bf16_macs = 0;
  for (const StepInfo& s : got.plan().steps()) {
    bf16_macs += s.bf16_macs;
    EXPECT_EQ(s.bf16_macs > 0, s.kernel.find("bf16") != std::string::npos) << s.name;
  }
  EXPECT_GT(bf16_macs, 0);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor data = bf16_numbers(normal_tensor(inputs.at(wanted.plan().inputs()[i].name), random));
    for (Runner* r : {&wanted, &got, &two}) std::memcpy(r->input(static_cast<int>(i)).raw(), data.raw(), data.bytes());
  }
  for (Runner* r : {&wanted, &got, &two}) r->run();
  EXPECT_LT(worst_difference(got.output(0), wanted.output(0)), tolerance);
  EXPECT_EQ(std::memcmp(got.output(0).raw(), two.output(0).raw(), two.output(0).bytes()), 0)
      << "depends on the number of threads";
}

// Runs `g` on random data through the plan and through the plain evals; both must agree, for 1 and 2 threads bit by bit. Returns
// the kernels used.
std::set<std::string> check_against_plain(const Graph& g, const std::map<std::string, Shape>& inputs,
                                          const std::vector<std::string>& outputs, std::mt19937& random) {
  Feeds feeds;
  std::map<std::string, Tensor> data;
  for (const auto& [name, shape] : inputs) feeds[g.value(name)] = data[name] = normal_tensor(shape, random);
  std::vector<Value> fetches;
  for (const std::string& name : outputs) fetches.push_back(g.value(name));
  std::vector<Tensor> wanted = interpret(g, feeds, fetches);
  std::set<std::string> kernels;
  std::vector<Tensor> first;
  for (int threads : {1, 2}) {
    PlanOptions o;
    o.outputs = outputs;
    o.input_shapes = inputs;
    o.threads = threads;
    Runner r(Plan::compile(g, o));
    for (const StepInfo& s : r.plan().steps()) kernels.insert(s.kernel);
    for (int round = 0; round < 2; ++round) {
      for (size_t i = 0; i < r.plan().inputs().size(); ++i)
        std::memcpy(r.input(static_cast<int>(i)).raw(), data[r.plan().inputs()[i].name].raw(),
                    data[r.plan().inputs()[i].name].bytes());
      r.run();
    }
    for (size_t i = 0; i < outputs.size(); ++i) {
      const Tensor& got = r.output(static_cast<int>(i));
      EXPECT_LT(worst_difference(got, wanted[i]), 1e-5) << outputs[i];
      if (threads == 1)
        first.push_back(got.clone());
      else
        EXPECT_EQ(std::memcmp(first[i].raw(), got.raw(), got.bytes()), 0) << outputs[i] << " depends on the number of threads";
    }
  }
  return kernels;
}

void swish(Graph& g, const std::string& name, const std::string& x) {
  add(g, name + "/sigmoid", "Sigmoid", {x});
  add(g, name, "Mul", {x, name + "/sigmoid"});
}

// x * relu6(x + 3) / 6 as Keras writes it, or with the division last.
void hard_swish(Graph& g, const std::string& name, const std::string& x, bool keras = true) {
  constant(g, name + "/three", Tensor::scalar(3.0f));
  constant(g, name + "/share", Tensor::scalar(keras ? 1.0f / 6 : 6.0f));
  add(g, name + "/add", "AddV2", {x, name + "/three"});
  add(g, name + "/relu6", "Relu6", {name + "/add"});
  if (keras) add(g, name + "/gate", "Mul", {name + "/relu6", name + "/share"});
  add(g, keras ? name : name + "/gate", "Mul", {x, keras ? name + "/gate" : name + "/relu6"});
  if (!keras) add(g, name, "RealDiv", {name + "/gate", name + "/share"});
}

struct ConvCase {
  int64_t n, h, w, c, oc;
  int k, stride;
  const char* padding;
};

void PrintTo(const ConvCase& c, std::ostream* os) {
  *os << c.n << "x" << c.h << "x" << c.w << "x" << c.c << "->" << c.oc << " k" << c.k << " s" << c.stride << " " << c.padding;
}

AttrMap attrs_of_conv(const ConvCase& c) { return conv_attrs(c.padding, c.stride); }

// Layers of EfficientDet D0 and D2 (narrowed where the plain loops would be slow) and adversarial ones.
const ConvCase kDense[] = {{1, 16, 16, 16, 96, 1, 1, "SAME"}, {1, 9, 7, 24, 144, 1, 1, "SAME"}, {1, 8, 8, 672, 112, 1, 1, "SAME"},
                           {2, 5, 5, 64, 27, 1, 1, "SAME"},   {1, 4, 4, 64, 36, 1, 1, "VALID"}, {1, 1, 1, 32, 8, 1, 1, "SAME"},
                           {1, 1, 1, 8, 32, 1, 1, "SAME"},    {3, 1, 1, 5, 3, 1, 1, "SAME"},    {1, 33, 17, 3, 32, 3, 2, "SAME"},
                           {1, 32, 32, 3, 32, 3, 2, "SAME"},  {1, 7, 9, 5, 17, 3, 1, "VALID"},  {1, 6, 6, 4, 1, 5, 1, "SAME"},
                           {1, 11, 11, 13, 33, 1, 2, "SAME"}, {1, 5, 5, 1, 1, 1, 1, "SAME"},    {1, 2, 2, 7, 9, 3, 1, "SAME"},
                           {1, 3, 50, 16, 48, 1, 1, "SAME"},  {1, 6, 130, 4, 20, 3, 2, "SAME"}, {1, 5, 66, 3, 9, 5, 1, "SAME"},
                           {1, 9, 2, 4, 8, 3, 2, "SAME"},     {1, 4, 2, 3, 5, 5, 3, "SAME"}};
class Dense : public ::testing::TestWithParam<ConvCase> {};

TEST_P(Dense, EveryEpilogue) {
  ConvCase c = GetParam();
  std::mt19937 random(1);
  for (const char* act : {"none", "Relu", "Relu6", "Sigmoid", "swish", "hard_swish", "hard_swish by 6", "gelu", "gelu by tanh"})
    for (const char* residual : {"none", "after", "before"}) {
      Graph g;
      placeholder(g, "x", {c.n, c.h, c.w, c.c});
      constant(g, "w",
               bf16_numbers(normal_tensor({c.k, c.k, c.c, c.oc}, random, 1 / std::sqrt(static_cast<float>(c.k * c.k * c.c)))));
      constant(g, "b", normal_tensor({c.oc}, random));
      add(g, "conv", "Conv2D", {"x", "w"}, attrs_of_conv(c));
      add(g, "bias", "BiasAdd", {"conv", "b"});
      std::map<std::string, Shape> inputs{{"x", {c.n, c.h, c.w, c.c}}};
      std::string last = "bias";
      Shape out = *Facts(g).of(g.value("bias")).shape;
      if (std::string(residual) != "none") {
        placeholder(g, "r", out);
        inputs["r"] = out;
      }
      if (std::string(residual) == "before") add(g, "sum", "AddV2", {last, "r"}), last = "sum";
      if (std::string(act) == "swish")
        swish(g, "act", last), last = "act";
      else if (std::string(act).starts_with("hard_swish"))
        hard_swish(g, "act", last, std::string(act) == "hard_swish"), last = "act";
      else if (std::string(act).starts_with("gelu"))
        add_gelu(g, "act", last, std::string(act) == "gelu" ? 0 : 2), last = "act";
      else if (std::string(act) != "none")
        add(g, "act", act, {last}), last = "act";
      if (std::string(residual) == "after") add(g, "sum", "AddV2", {"r", last}), last = "sum";
      std::set<std::string> kernels = check_against_plain(g, inputs, {last}, random);
      EXPECT_THAT(kernels, ::testing::ElementsAre(c.k == 1 && c.stride == 1 ? "gemm" : "window_gemm")) << act << residual;
      const bool approximate = std::string(act) == "swish" || std::string(act).starts_with("gelu");
      check_bf16(g, inputs, last, random, approximate ? kSwish2e3Error : 1e-5);
    }
}
INSTANTIATE_TEST_SUITE_P(Layers, Dense, ::testing::ValuesIn(kDense));

const ConvCase kDepthwise[] = {
    {1, 16, 16, 32, 32, 3, 1, "SAME"}, {1, 16, 16, 96, 96, 3, 2, "SAME"}, {1, 15, 13, 40, 40, 5, 2, "SAME"},
    {2, 9, 9, 17, 17, 5, 1, "SAME"},   {1, 4, 4, 64, 64, 3, 1, "SAME"},   {1, 1, 1, 8, 8, 3, 1, "SAME"},
    {1, 8, 8, 1, 1, 3, 2, "VALID"},    {1, 7, 6, 20, 20, 7, 1, "SAME"},   {1, 64, 5, 24, 24, 3, 1, "SAME"},
    {1, 6, 6, 9, 9, 1, 1, "SAME"},     {1, 5, 5, 16, 16, 3, 4, "SAME"},   {1, 3, 3, 16, 16, 5, 1, "SAME"}};
class Depthwise : public ::testing::TestWithParam<ConvCase> {};

void depthwise(Graph& g, const ConvCase& c, const std::string& x, std::mt19937& random) {
  constant(g, "dw/w", normal_tensor({c.k, c.k, c.c, 1}, random, 0.3f));
  constant(g, "dw/b", normal_tensor({c.c}, random));
  add(g, "dw/conv", "DepthwiseConv2dNative", {x, "dw/w"}, attrs_of_conv(c));
  add(g, "dw", "BiasAdd", {"dw/conv", "dw/b"});
}

TEST_P(Depthwise, AloneWithSwishAndMean) {
  ConvCase c = GetParam();
  std::mt19937 random(2);
  Graph g;
  placeholder(g, "x", {c.n, c.h, c.w, c.c});
  depthwise(g, c, "x", random);
  swish(g, "act", "dw");
  constant(g, "axes", Tensor::from<int32_t>({2}, {1, 2}));
  add(g, "mean", "Mean", {"act", "axes"}, kept_dims());
  EXPECT_THAT(check_against_plain(g, {{"x", {c.n, c.h, c.w, c.c}}}, {"act", "mean"}, random),
              ::testing::ElementsAre("depthwise"));
}

TEST_P(Depthwise, ThenPointwise) {
  ConvCase c = GetParam();
  std::mt19937 random(3);
  Graph g;
  placeholder(g, "x", {c.n, c.h, c.w, c.c});
  depthwise(g, c, "x", random);
  constant(g, "w", normal_tensor({1, 1, c.c, 36}, random, 0.3f));
  add(g, "pw", "Conv2D", {"dw", "w"}, conv_attrs("SAME"));
  swish(g, "act", "pw");
  EXPECT_THAT(check_against_plain(g, {{"x", {c.n, c.h, c.w, c.c}}}, {"act"}, random),
              ::testing::ElementsAre("depthwise_pointwise"));
  check_bf16(g, {{"x", {c.n, c.h, c.w, c.c}}}, "act", random, 2e-2);
}

TEST_P(Depthwise, BehindAnExpansion) {
  ConvCase c = GetParam();
  std::mt19937 random(4);
  for (int stem : {0, 1}) {
    Graph g;
    placeholder(g, "x", {c.n, c.h, c.w, 6});
    constant(g, "e/w", normal_tensor({stem ? 3 : 1, stem ? 3 : 1, 6, c.c}, random, 0.4f));
    constant(g, "e/b", normal_tensor({c.c}, random));
    add(g, "e/conv", "Conv2D", {"x", "e/w"}, conv_attrs("SAME"));
    add(g, "e/bias", "BiasAdd", {"e/conv", "e/b"});
    swish(g, "e", "e/bias");
    depthwise(g, c, "e", random);
    swish(g, "act", "dw");
    constant(g, "axes", Tensor::from<int32_t>({2}, {1, 2}));
    add(g, "mean", "Mean", {"act", "axes"});
    EXPECT_THAT(check_against_plain(g, {{"x", {c.n, c.h, c.w, 6}}}, {"act", "mean"}, random),
                ::testing::ElementsAre("expand_depthwise"));
    check_bf16(g, {{"x", {c.n, c.h, c.w, 6}}}, "act", random, 2e-2);
  }
}
INSTANTIATE_TEST_SUITE_P(Layers, Depthwise, ::testing::ValuesIn(kDepthwise));

TEST(Kernels, SqueezeExciteBlock) {
  std::mt19937 random(5);
  Graph g;
  placeholder(g, "x", {1, 10, 10, 24});
  ConvCase c{1, 10, 10, 24, 24, 3, 1, "SAME"};
  depthwise(g, c, "x", random);
  swish(g, "act", "dw");
  constant(g, "axes", Tensor::from<int32_t>({2}, {1, 2}));
  add(g, "mean", "Mean", {"act", "axes"}, kept_dims());
  constant(g, "w1", normal_tensor({1, 1, 24, 6}, random));
  constant(g, "w2", normal_tensor({1, 1, 6, 24}, random));
  constant(g, "w3", normal_tensor({1, 1, 24, 24}, random));
  add(g, "reduce", "Conv2D", {"mean", "w1"}, conv_attrs("SAME"));
  swish(g, "reduced", "reduce");
  add(g, "expand", "Conv2D", {"reduced", "w2"}, conv_attrs("SAME"));
  add(g, "gate", "Sigmoid", {"expand"});
  add(g, "gated", "Mul", {"gate", "act"});
  add(g, "project", "Conv2D", {"gated", "w3"}, conv_attrs("SAME"));
  add(g, "out", "AddV2", {"project", "x"});
  EXPECT_THAT(check_against_plain(g, {{"x", {1, 10, 10, 24}}}, {"out"}, random),
              ::testing::UnorderedElementsAre("depthwise", "gemm"));
  check_bf16(g, {{"x", {1, 10, 10, 24}}}, "out", random, 2e-2);
}

TEST(Kernels, WeightedSumOfMapsAndNearest) {
  std::mt19937 random(6);
  for (bool then_depthwise : {false, true}) {
    Graph g;
    placeholder(g, "a", {1, 8, 8, 20});
    placeholder(g, "b", {1, 4, 4, 20});
    constant(g, "wa", Tensor::scalar(0.3f));
    constant(g, "wb", Tensor::scalar(0.7f));
    constant(g, "total", Tensor::scalar(1.0001f));
    constant(g, "size", Tensor::from<int32_t>({2}, {8, 8}));
    add(g, "up", "ResizeNearestNeighbor", {"b", "size"});
    add(g, "ma", "Mul", {"a", "wa"});
    add(g, "mb", "Mul", {"wb", "up"});
    add(g, "da", "RealDiv", {"ma", "total"});
    add(g, "db", "RealDiv", {"mb", "total"});
    add(g, "sum", "AddN", {"da", "db"});
    swish(g, "act", "sum");
    std::string out = "act";
    if (then_depthwise) depthwise(g, {1, 8, 8, 20, 20, 3, 1, "SAME"}, "act", random), out = "dw";
    EXPECT_THAT(check_against_plain(g, {{"a", {1, 8, 8, 20}}, {"b", {1, 4, 4, 20}}}, {out}, random),
                ::testing::ElementsAre(then_depthwise ? "sum_depthwise" : "weighted_sum"));
  }
}

TEST(Kernels, MaxPoolOfEveryWindow) {
  std::mt19937 random(18);
  for (const auto& [size, stride, padding] :
       {std::tuple{3, 2, "SAME"}, {2, 2, "VALID"}, {5, 1, "SAME"}, {3, 3, "VALID"}, {1, 1, "SAME"}})
    for (int64_t channels : {1, 19, 64}) {
      Graph g;
      placeholder(g, "x", {2, 9, 14, channels});
      AttrMap pool = conv_attrs(padding, stride);
      pool.emplace("ksize", ints({1, size, size, 1}));
      add(g, "max", "MaxPool", {"x"}, pool);
      EXPECT_THAT(check_against_plain(g, {{"x", {2, 9, 14, channels}}}, {"max"}, random), ::testing::ElementsAre("max_pool"));
    }
}

TEST(Kernels, OneDnnRows) {
  std::mt19937 random(8);
  Graph g;
  placeholder(g, "x", {1, 9, 8, 12});
  AttrMap pool = conv_attrs("SAME", 2);
  pool.emplace("ksize", ints({1, 3, 3, 1}));
  add(g, "max", "MaxPool", {"x"}, pool);
  add(g, "avg", "AvgPool", {"x"}, pool);
  add(g, "soft", "Softmax", {"avg"});
  constant(g, "axis", Tensor::scalar(int32_t{3}));
  add(g, "joined", "ConcatV2", {"max", "soft", "axis"});
  constant(g, "sizes", Tensor::from<int32_t>({4}, {1, 10, 8, 5}));
  constant(g, "filter", normal_tensor({3, 3, 5, 24}, random));
  add(g, "up", "Conv2DBackpropInput", {"sizes", "filter", "joined"}, conv_attrs("SAME", 2));
  add(g, "out", "Relu", {"up"});
  constant(g, "flat", Tensor::from<int32_t>({2}, {80, 5}));
  add(g, "rows", "Reshape", {"out", "flat"});
  AttrMap transposed;
  transposed.emplace("transpose_b", true);
  add(g, "gram", "MatMul", {"rows", "rows"}, std::move(transposed));
  EXPECT_THAT(check_against_plain(g, {{"x", {1, 9, 8, 12}}}, {"gram", "max"}, random),
              ::testing::UnorderedElementsAre("max_pool", "avg_pool", "softmax", "concat", "onednn_deconv", "matmul"));
}

// 6 / relu6(x + 3) is no sixth of it.
TEST(Kernels, DivisionsByAHardSigmoidAreNone) {
  std::mt19937 random(13);
  for (const char* division : {"Div", "RealDiv"}) {
    Graph g;
    placeholder(g, "x", {1, 4, 4, 8});
    constant(g, "w", normal_tensor({1, 1, 8, 8}, random));
    constant(g, "three", Tensor::scalar(3.0f));
    constant(g, "six", Tensor::scalar(6.0f));
    add(g, "conv", "Conv2D", {"x", "w"}, conv_attrs());
    add(g, "add", "AddV2", {"conv", "three"});
    add(g, "relu6", "Relu6", {"add"});
    add(g, "gate", division, {"six", "relu6"});
    add(g, "out", "Mul", {"conv", "gate"});
    Tensor x = normal_tensor({1, 4, 4, 8}, random, 0.1f);
    const Answers a = run_both(g, {{"x", x}}, {"out"});
    EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 1e-5) << division;
  }
}

TEST(Kernels, DeconvolutionsWithoutOverlap) {
  std::mt19937 random(12);
  struct Case {
    Shape in;
    int kernel_h, kernel_w;
    int64_t channels;
    const char *act, *padding;
  };
  for (const Case& c : {Case{{2, 5, 7, 24}, 2, 2, 12, "Relu", "SAME"},
                        {{1, 3, 4, 5}, 3, 2, 33, "Relu6", "VALID"},
                        {{1, 1, 1, 70}, 4, 1, 3, "Sigmoid", "SAME"}}) {
    Graph g;
    placeholder(g, "x", c.in);
    constant(g, "sizes",
             Tensor::from<int32_t>({4}, {static_cast<int32_t>(c.in[0]), static_cast<int32_t>(c.in[1] * c.kernel_h),
                                         static_cast<int32_t>(c.in[2] * c.kernel_w), static_cast<int32_t>(c.channels)}));
    constant(g, "filter", normal_tensor({c.kernel_h, c.kernel_w, c.channels, c.in[3]}, random));
    AttrMap attrs = conv_attrs(c.padding, c.kernel_h);
    AttrList strides;
    strides.ints = {1, c.kernel_h, c.kernel_w, 1};
    attrs.insert_or_assign("strides", Attr(strides));
    add(g, "up", "Conv2DBackpropInput", {"sizes", "filter", "x"}, attrs);
    constant(g, "b", normal_tensor({c.channels}, random));
    add(g, "bias", "BiasAdd", {"up", "b"});
    add(g, "out", c.act, {"bias"});
    EXPECT_THAT(check_against_plain(g, {{"x", c.in}}, {"out"}, random), ::testing::ElementsAre("deconv"));
  }
}

TEST(Kernels, MatMulWithConstant) {
  std::mt19937 random(9);
  for (bool transposed : {false, true}) {
    Graph g;
    placeholder(g, "x", {5, 70});
    constant(g, "w", normal_tensor(transposed ? Shape{33, 70} : Shape{70, 33}, random));
    constant(g, "b", normal_tensor({33}, random));
    AttrMap a;
    a.emplace("transpose_b", transposed);
    add(g, "product", "MatMul", {"x", "w"}, std::move(a));
    add(g, "bias", "BiasAdd", {"product", "b"});
    add(g, "out", "Relu", {"bias"});
    EXPECT_THAT(check_against_plain(g, {{"x", {5, 70}}}, {"out"}, random), ::testing::ElementsAre("gemm"));
  }
}

TEST(Kernels, PlainStepsMixWithKernels) {
  std::mt19937 random(10);
  Graph g;
  placeholder(g, "x", {1, 4, 4, 8});
  constant(g, "w", normal_tensor({1, 1, 8, 8}, random));
  add(g, "conv", "Conv2D", {"x", "w"}, conv_attrs());
  add(g, "sine", "Sin", {"conv"});
  add(g, "conv2", "Conv2D", {"sine", "w"}, conv_attrs());
  EXPECT_THAT(check_against_plain(g, {{"x", {1, 4, 4, 8}}}, {"conv2", "sine"}, random), ::testing::ElementsAre("gemm", "plain"));
}

TEST(Kernels, MeanGateActivationResizeAlone) {
  std::mt19937 random(11);
  Graph g;
  placeholder(g, "x", {2, 6, 5, 11});
  placeholder(g, "gate", {2, 1, 1, 11});
  add(g, "gated", "Mul", {"x", "gate"});
  swish(g, "act", "gated");
  constant(g, "axes", Tensor::from<int32_t>({2}, {1, -2}));
  add(g, "mean", "Mean", {"act", "axes"});
  constant(g, "size", Tensor::from<int32_t>({2}, {12, 10}));
  add(g, "up", "ResizeNearestNeighbor", {"act", "size"});
  EXPECT_THAT(check_against_plain(g, {{"x", {2, 6, 5, 11}}, {"gate", {2, 1, 1, 11}}}, {"mean", "up"}, random),
              ::testing::UnorderedElementsAre("gate", "activation", "mean", "weighted_sum"));
}

TEST(Kernels, SwishIsExactAtTheEnds) {
  Graph g;
  placeholder(g, "x", {8});
  swish(g, "act", "x");
  PlanOptions o;
  o.outputs = {"act"};
  Runner r(Plan::compile(g, o));
  const float in[8] = {0, 1, -1, 50, -50, 1e4f, -1e4f, -1.2784645f};
  std::memcpy(r.input(0).raw(), in, sizeof in);
  r.run();
  for (int i = 0; i < 8; ++i) {
    double x = in[i], wanted = x / (1 + std::exp(-x));
    EXPECT_NEAR(r.output(0).data<float>()[i], wanted, 1e-6 * std::max(1.0, std::abs(wanted)));
  }
}

std::string compile_error(const Graph& g, const PlanOptions& o) {
  try {
    Plan::compile(g, o);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(PlanErrors, NameTheNode) {
  Graph g;
  placeholder(g, "x", {1, 4, 4, 2});
  Tensor w(DType::f32, {1, 1, 2, 2});
  w.data<float>()[3] = NAN;
  constant(g, "w", w);
  add(g, "conv", "Conv2D", {"x", "w"}, conv_attrs());
  add(g, "odd", "NobodyKnows", {"conv"});
  PlanOptions o;
  o.outputs = {"conv"};
  EXPECT_THAT(compile_error(g, o), HasSubstr("node conv: weight 3 is NaN"));
  o.outputs = {"cnv"};
  EXPECT_THAT(compile_error(g, o), HasSubstr("did you mean conv"));
  o.outputs = {"odd"};
  o.fuse = false;
  EXPECT_THAT(compile_error(g, o), HasSubstr("node odd (NobodyKnows): op NobodyKnows is not known"));
}

TEST(Arena, OverlappingLifetimesNeverShare) {
  std::mt19937 random(12);
  for (int round = 0; round < 50; ++round) {
    std::vector<Lifetime> lives(40);
    for (Lifetime& l : lives) {
      l.bytes = 1 + random() % 5000;
      l.first = static_cast<int>(random() % 30);
      l.last = l.first + static_cast<int>(random() % 10);
    }
    int64_t total = 0, sum = 0;
    std::vector<int64_t> at = plan_arena(lives, total);
    for (size_t i = 0; i < lives.size(); ++i) {
      sum += lives[i].bytes + 64;
      EXPECT_EQ(at[i] % 64, 0);
      EXPECT_LE(at[i] + lives[i].bytes, total);
      for (size_t j = 0; j < i; ++j) {
        bool together = lives[i].first <= lives[j].last && lives[j].first <= lives[i].last;
        bool apart = at[i] + lives[i].bytes <= at[j] || at[j] + lives[j].bytes <= at[i];
        EXPECT_TRUE(!together || apart);
      }
    }
    EXPECT_LT(total, sum);
  }
}

}  // namespace
}  // namespace cytodet
