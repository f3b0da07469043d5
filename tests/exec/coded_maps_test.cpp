// Maps between layers on codes: stored as codes where every reader would make the same ones, which changes no answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <set>

#include "exec/runtime/plan.h"
#include "graph/ir/op.h"
#include "graph/quantized/quant_nodes.h"
#include "tests/exec/random.h"
#include "tests/graph/fixtures.h"

namespace cytodet {
namespace {

using namespace test;
using ::testing::Contains;

const Quant kCodes{0.03f, 10, false}, kOtherCodes{0.02f, 0, true};

Tensor random_tensor(Shape shape, float scale, unsigned seed) {
  std::mt19937 random(seed);
  return normal_tensor(std::move(shape), random, scale);
}

AttrMap pool_attrs(int64_t side, int64_t stride) {
  AttrMap attrs = conv_attrs("SAME", stride);
  attrs.emplace("ksize", ints({1, side, side, 1}));
  return attrs;
}

// A network under test: a graph, its convolutions to be coded, and the values between them.
struct Network {
  Graph graph;
  std::map<std::string, Shape> inputs;
  std::set<std::string> between;  // values that lie between layers on codes
  std::vector<std::tuple<NodeId, Quant, Tensor, int64_t, bool>> coded;

  void input(const std::string& name, Shape shape) {
    placeholder(graph, name, shape);
    inputs[name] = std::move(shape);
  }
  Shape shape(const std::string& value) { return *Facts(graph).of(graph.value(value)).shape; }

  // name = Relu(convolution of `in` coded as `q`, its channels first multiplied where `factors`). kernel 0: depthwise 3x3.
  void conv(const std::string& name, std::string in, int64_t channels, int kernel, Quant q = kCodes, bool factors = false,
            bool narrow = true) {
    const int64_t in_c = shape(in).back();
    const bool depthwise = kernel == 0;
    const int64_t side = depthwise ? 3 : kernel;
    const Tensor w = random_tensor({side, side, in_c, depthwise ? 1 : channels}, 0.5f / std::sqrt(static_cast<float>(in_c)),
                                   static_cast<unsigned>(coded.size()) + 7);
    constant(graph, name + "/w", w);
    if (factors) {
      Tensor f(DType::f32, {in_c});
      for (int64_t i = 0; i < in_c; ++i) f.data<float>()[i] = 1 / static_cast<float>(1 + i % 4);
      constant(graph, name + "/factors", f);
      add(graph, name + "/scaled", "Mul", {in, name + "/factors"});
      in = name + "/scaled";
    }
    const NodeId id =
        add(graph, name + "/conv", depthwise ? "DepthwiseConv2dNative" : "Conv2D", {in, name + "/w"}, conv_attrs("SAME", 1));
    coded.emplace_back(id, q, w, depthwise ? in_c : channels, narrow);
    add(graph, name, "Relu", {name + "/conv"});
  }
  void op(const std::string& name, const std::string& type, std::vector<std::string> in, AttrMap attrs = {}) {
    add(graph, name, type, std::move(in), std::move(attrs));
  }
  void axes(const std::string& name, std::vector<int32_t> list, Shape shape) {
    constant(graph, name, Tensor::from<int32_t>(std::move(shape), list));
  }
  void finish() {
    for (auto& [id, q, w, channels, narrow] : coded)
      set_quantized(graph, id, q, quantize_weights(w, channels, true, {127, narrow}));
  }
};

struct Answer {
  Tensor result;
  std::vector<std::string> kernels;
  std::map<std::string, int64_t> bytes;  // of the steps, by name
  std::set<std::string> coded_inputs;
};

// Inputs that take codes get those of the same numbers.
Answer run(const Network& net, std::vector<std::string> outputs, int threads, bool coded_inputs = false) {
  PlanOptions o;
  o.outputs = std::move(outputs);
  o.input_shapes = net.inputs;
  o.threads = threads;
  o.coded_inputs = coded_inputs;
  Runner runner(Plan::compile(net.graph, o));
  Answer r;
  for (const StepInfo& s : runner.plan().steps()) {
    r.kernels.push_back(s.kernel);
    r.bytes[s.name] = s.bytes;
  }
  for (size_t i = 0; i < runner.plan().inputs().size(); ++i) {
    const TensorSpec& spec = runner.plan().inputs()[i];
    const Tensor x = random_tensor(spec.shape, 2, static_cast<unsigned>(spec.name[0]));
    if (!spec.codes) {
      std::memcpy(runner.input(static_cast<int>(i)).raw(), x.raw(), x.bytes());
      continue;
    }
    r.coded_inputs.insert(spec.name);
    EXPECT_EQ(spec.dtype, DType::u8);
    for (int64_t n = 0; n < x.size(); ++n) {
      const float code =
          std::nearbyint(x.data<float>()[n] * spec.codes->inverse_scales.at(static_cast<size_t>(n % spec.shape.back())));
      runner.input(static_cast<int>(i)).data<uint8_t>()[n] =
          static_cast<uint8_t>(std::clamp(code, spec.codes->lowest, spec.codes->highest) - spec.codes->lowest);
    }
  }
  runner.run();
  r.result = runner.output(0).clone();
  return r;
}

// The answer is, bit for bit, that of maps of floats (which maps are when they are outputs as well); `as_codes` of the values
// between are stored as codes, the others not.
Answer expect_same(Network& net, const std::string& last, const std::set<std::string>& as_codes) {
  net.finish();
  std::vector<std::string> all{last};
  all.insert(all.end(), net.between.begin(), net.between.end());
  const Answer coded = run(net, {last}, 1), floats = run(net, all, 1), threads = run(net, {last}, 2);
  EXPECT_EQ(std::memcmp(coded.result.raw(), floats.result.raw(), floats.result.bytes()), 0);
  EXPECT_EQ(std::memcmp(coded.result.raw(), threads.result.raw(), threads.result.bytes()), 0);
  for (const std::string& name : net.between) {
    if (!coded.bytes.contains(name)) continue;
    EXPECT_EQ(coded.bytes.at(name) < floats.bytes.at(name), as_codes.contains(name)) << name;
  }
  for (const std::string& name : as_codes) EXPECT_TRUE(coded.bytes.contains(name)) << name;
  double sum = 0;
  for (int64_t i = 0; i < coded.result.size(); ++i) sum += std::abs(coded.result.as_double(i));
  EXPECT_GT(sum, 0);
  return coded;
}

class CodedMaps : public ::testing::TestWithParam<std::tuple<int, bool, bool>> {
 protected:
  const int channels = std::get<0>(GetParam());
  const bool factors = std::get<1>(GetParam()), narrow = std::get<2>(GetParam());
};

TEST_P(CodedMaps, BetweenConvolutions) {
  for (int kernel : {0, 1, 3}) {
    Network net;
    net.input("x", {2, 9, 11, 8});
    net.conv("a", "x", channels, 3, kOtherCodes, false, narrow);
    net.conv("b", "a", channels, kernel, kCodes, factors, narrow);
    net.conv("c", "b", 9, 3, kOtherCodes, factors, narrow);
    net.between = {"a", "b"};
    // A dense convolution before a depthwise one is joined with it.
    const Answer r = expect_same(net, "c", kernel ? std::set<std::string>{"a", "b"} : std::set<std::string>{"b"});
    EXPECT_EQ(r.kernels.size(), kernel ? 3u : 2u);
  }
}

TEST_P(CodedMaps, OfWideMaps) {
  Network net;
  net.input("x", {2, 11, 140, 3});
  net.conv("a", "x", channels, 3, kCodes, false, narrow);
  net.conv("b", "a", 18, 5, kOtherCodes, factors, narrow);
  net.conv("c", "b", 8, 3, kCodes, factors, narrow);
  net.conv("d", "c", 8, 0, kCodes, factors);
  net.between = {"a", "b"};
  expect_same(net, "d", {"a", "b"});
}

TEST_P(CodedMaps, OfADepthwiseChain) {
  Network net;
  net.input("x", {1, 10, 7, channels});
  net.conv("a", "x", channels, 0);
  net.conv("b", "a", 20, 1, kOtherCodes, factors, narrow);
  net.conv("c", "b", 20, 0, kCodes, factors);
  net.conv("d", "c", 5, 3, kCodes, factors, narrow);
  net.between = {"b", "c"};
  const Answer r = expect_same(net, "d", {"c"});
  EXPECT_THAT(r.kernels, Contains("int8_depthwise"));
}

TEST_P(CodedMaps, ThroughPoolsAndUpsampling) {
  Network net;
  net.input("x", {1, 9, 12, 4});
  net.conv("a", "x", channels, 3);
  net.op("pool", "MaxPool", {"a"}, pool_attrs(3, 2));
  net.axes("size", {15, 18}, {2});
  net.op("up", "ResizeNearestNeighbor", {"pool", "size"});
  net.conv("b", "up", 7, 3, kOtherCodes, factors, narrow);
  net.between = {"a", "pool", "up"};
  const Answer r = expect_same(net, "b", {"a", "pool", "up"});
  EXPECT_THAT(r.kernels, Contains("int8_max_pool"));
  EXPECT_THAT(r.kernels, Contains("int8_weighted_sum"));
}

TEST_P(CodedMaps, ThroughConcatenations) {
  for (int axis : {3, -1, 1}) {
    Network net;
    net.input("x", {1, 6, 6, 4});
    net.conv("a", "x", channels, 1);
    net.conv("b", "x", axis == 1 ? channels : 6, 3);
    net.axes("axis", {axis}, {});
    net.op("both", "ConcatV2", {"a", "b", "axis"});
    net.conv("c", "both", 8, 1, kOtherCodes, factors, narrow);
    net.between = {"a", "b", "both"};
    const Answer r = expect_same(net, "c", {"a", "b", "both"});
    EXPECT_THAT(r.kernels, Contains("int8_concat"));
  }
}

TEST_P(CodedMaps, FlattenedForAMatrixProduct) {
  Network net;
  net.input("x", {3, 4, 5, 4});
  net.conv("a", "x", channels, 3);
  net.axes("flat", {3, 20 * channels}, {2});
  net.op("rows", "Reshape", {"a", "flat"});
  const Tensor w = random_tensor({20 * channels, 6}, 0.2f, 3);
  constant(net.graph, "w", w);
  net.coded.emplace_back(add(net.graph, "product", "MatMul", {"rows", "w"}), kOtherCodes, w, 6, narrow);
  net.between = {"a", "rows"};
  const Answer r = expect_same(net, "product", {"a", "rows"});
  EXPECT_THAT(r.kernels, Contains("int8_alias"));
}

INSTANTIATE_TEST_SUITE_P(Channels, CodedMaps,
                         ::testing::Combine(::testing::Values(12, 13, 40), ::testing::Bool(), ::testing::Bool()));

// Floats where readers would make different codes, or read floats.
TEST(FloatMaps, WhereReadersDiffer) {
  for (const bool factors : {false, true}) {
    SCOPED_TRACE(factors ? "factors of one reader" : "two codings");
    Network net;
    net.input("x", {1, 6, 6, 4});
    net.conv("a", "x", 8, 3);
    net.conv("b", "a", 8, 1, kCodes, factors);
    net.conv("c", "a", 8, 1, factors ? kCodes : kOtherCodes);
    net.op("sum", "AddV2", {"b", "c"});
    net.between = {"a", "b", "c"};
    expect_same(net, "sum", {});
  }
  {
    SCOPED_TRACE("a sum");
    Network net;
    net.input("x", {1, 6, 6, 8});
    net.conv("a", "x", 8, 3);
    net.conv("b", "a", 8, 1);
    net.op("sum", "AddV2", {"b", "a"});
    net.between = {"a"};
    expect_same(net, "sum", {});
  }
  {
    SCOPED_TRACE("a node without a kernel");
    Network net;
    net.input("x", {1, 6, 6, 8});
    net.conv("a", "x", 8, 3);
    net.conv("b", "a", 8, 1);
    net.op("sine", "Sin", {"a"});
    net.op("sum", "AddV2", {"b", "sine"});
    net.between = {"a"};
    expect_same(net, "sum", {});
  }
  {
    SCOPED_TRACE("a concatenation with an input that is not coded");
    Network net;
    net.input("x", {1, 6, 6, 8});
    net.conv("a", "x", 8, 3);
    net.axes("axis", {3}, {});
    net.op("both", "ConcatV2", {"a", "x", "axis"});
    net.op("pool", "MaxPool", {"both"}, pool_attrs(2, 1));
    net.conv("b", "pool", 8, 1);
    net.between = {"a", "both", "pool"};
    expect_same(net, "b", {});
  }
  {
    SCOPED_TRACE("factors of a flattened map");
    Network net;
    net.input("x", {3, 4, 5, 4});
    net.conv("a", "x", 8, 3);
    net.axes("shape", {3, 5, 4, 8}, {4});
    net.op("same", "Reshape", {"a", "shape"});
    net.axes("other", {3, 5, 8, 4}, {4});
    net.op("rows", "Reshape", {"same", "other"});
    net.conv("b", "rows", 4, 1, kCodes, true);
    net.between = {"a", "same", "rows"};
    expect_same(net, "b", {});
  }
}

// Of two readers alike, both read codes.
TEST(CodedMapsOf, TwoReadersAlike) {
  Network net;
  net.input("x", {1, 6, 6, 4});
  net.conv("a", "x", 8, 3);
  net.conv("b", "a", 8, 1);
  net.conv("c", "a", 8, 3);
  net.op("sum", "AddV2", {"b", "c"});
  net.between = {"a"};
  expect_same(net, "sum", {"a"});
}

// Inputs of which all readers make the same codes can take these; the answers are the same, bit for bit.
void expect_coded_inputs(Network& net, const std::string& last, const std::set<std::string>& inputs) {
  net.finish();
  const Answer floats = run(net, {last}, 1), codes = run(net, {last}, 1, true);
  EXPECT_EQ(floats.coded_inputs, std::set<std::string>{});
  EXPECT_EQ(codes.coded_inputs, inputs);
  EXPECT_EQ(std::memcmp(codes.result.raw(), floats.result.raw(), floats.result.bytes()), 0);
}

TEST(CodedInputs, OfEveryFirstLayer) {
  for (int kernel : {0, 1, 3, 5})
    for (bool factors : {false, true})
      for (bool narrow : {false, true}) {
        SCOPED_TRACE(testing::Message() << "kernel " << kernel << (factors ? ", factors" : "") << (narrow ? ", narrow" : ""));
        Network net;
        net.input("x", {2, 9, 11, 3});
        net.conv("a", "x", 8, kernel, kOtherCodes, factors, narrow);
        net.conv("b", "a", 8, 1);
        expect_coded_inputs(net, "b", {"x"});
      }
}

TEST(CodedInputs, BeforeAnExpansionOfPatches) {
  Network net;
  net.input("x", {1, 20, 31, 3});
  net.conv("a", "x", 40, 3, kCodes);
  net.conv("b", "a", 40, 0, kCodes);
  net.conv("c", "b", 8, 1);
  expect_coded_inputs(net, "c", {"x"});
}

TEST(CodedInputs, NotWhereReadersDiffer) {
  {
    SCOPED_TRACE("two codings");
    Network net;
    net.input("x", {1, 6, 6, 8});
    net.conv("a", "x", 8, 1, kCodes);
    net.conv("b", "x", 8, 1, kOtherCodes);
    net.op("sum", "AddV2", {"a", "b"});
    expect_coded_inputs(net, "sum", {});
  }
  {
    SCOPED_TRACE("a sum");
    Network net;
    net.input("x", {1, 6, 6, 8});
    net.input("y", {1, 6, 6, 8});
    net.conv("a", "x", 8, 1);
    net.conv("b", "y", 8, 1);
    net.op("sum", "AddV2", {"a", "x"});
    net.op("both", "AddV2", {"sum", "b"});
    expect_coded_inputs(net, "both", {"y"});
  }
  {
    SCOPED_TRACE("a node without a kernel");
    Network net;
    net.input("x", {1, 6, 6, 8});
    net.conv("a", "x", 8, 1);
    net.op("sine", "Sin", {"x"});
    net.op("sum", "AddV2", {"a", "sine"});
    expect_coded_inputs(net, "sum", {});
  }
}

}  // namespace
}  // namespace cytodet
