// Feature maps between layers in 8 bits are stored quantized where every reader would quantize them alike, which changes no
// answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <set>

#include "exec/kernels/kernels.h"
#include "exec/runtime/plan.h"
#include "graph/ir/op.h"
#include "graph/quantized/quant_nodes.h"
#include "tests/exec/random.h"
#include "tests/graph/fixtures.h"

namespace cytodet {
namespace {

using namespace test;
using ::testing::Contains;

const QuantParams kStoredQuant{0.03f, 10, false}, kOtherQuant{0.02f, 0, true};

Tensor random_tensor(Shape shape, float scale, unsigned seed) {
  std::mt19937 random(seed);
  return normal_tensor(std::move(shape), random, scale);
}

AttrMap pool_attrs(int64_t side, int64_t stride) {
  AttrMap attrs = conv_attrs("SAME", stride);
  attrs.emplace("ksize", ints({1, side, side, 1}));
  return attrs;
}

// A network under test: a graph, its convolutions to be quantized, and the values between them.
struct Network {
  Graph graph;
  std::map<std::string, Shape> inputs;
  std::set<std::string> between;  // values that lie between layers in 8 bits
  std::vector<std::tuple<NodeId, QuantParams, Tensor, int64_t, bool>> quantized;

  void input(const std::string& name, Shape shape) {
    placeholder(graph, name, shape);
    inputs[name] = std::move(shape);
  }
  Shape shape(const std::string& value) { return *Facts(graph).of(graph.value(value)).shape; }

  // name = Relu(convolution of `in` quantized as `q`, its channels first multiplied where `factors`). kernel 0: depthwise 3x3.
  void conv(const std::string& name, std::string in, int64_t channels, int kernel, QuantParams q = kStoredQuant,
            bool factors = false, bool q8_16bit_safe = true) {
    const int64_t in_c = shape(in).back();
    const bool depthwise = kernel == 0;
    const int64_t side = depthwise ? 3 : kernel;
    const Tensor w = random_tensor({side, side, in_c, depthwise ? 1 : channels}, 0.5f / std::sqrt(static_cast<float>(in_c)),
                                   static_cast<unsigned>(quantized.size()) + 7);
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
    quantized.emplace_back(id, q, w, depthwise ? in_c : channels, q8_16bit_safe);
    add(graph, name, "Relu", {name + "/conv"});
  }
  void op(const std::string& name, const std::string& type, const std::vector<std::string>& in, AttrMap attrs = {}) {
    add(graph, name, type, in, std::move(attrs));
  }
  void axes(const std::string& name, const std::vector<int32_t>& list, Shape shape) {
    constant(graph, name, Tensor::from<int32_t>(std::move(shape), list));
  }
  void finish() {
    for (auto& [id, q, w, channels, q8_16bit_safe] : quantized)
      set_quantized(graph, id, q, quantize_weights(w, channels, true, {127, q8_16bit_safe}));
  }
};

struct Answer {
  Tensor result;
  std::vector<std::string> kernels;
  std::map<std::string, int64_t> bytes;  // of the steps, by name
  std::set<std::string> quantized_inputs;
};

// Inputs that take quantized values get the same values, quantized.
Answer run(const Network& net, std::vector<std::string> outputs, int threads, bool quantized_inputs = false) {
  PlanOptions o;
  o.outputs = std::move(outputs);
  o.input_shapes = net.inputs;
  o.threads = threads;
  o.quantized_inputs = quantized_inputs;
  Runner runner(Plan::compile(net.graph, o));
  Answer r;
  for (const StepInfo& s : runner.plan().steps()) {
    r.kernels.push_back(s.kernel);
    r.bytes[s.name] = s.bytes;
  }
  for (size_t i = 0; i < runner.plan().inputs().size(); ++i) {
    const TensorSpec& spec = runner.plan().inputs()[i];
    const Tensor x = random_tensor(spec.shape, 2, static_cast<unsigned>(spec.name[0]));
    if (!spec.quant) {
      std::memcpy(runner.input(static_cast<int>(i)).raw(), x.raw(), x.bytes());
      continue;
    }
    r.quantized_inputs.insert(spec.name);
    EXPECT_EQ(spec.dtype, DType::u8);
    for (int64_t n = 0; n < x.size(); ++n) {
      const float q =
          std::nearbyint(x.data<float>()[n] * spec.quant->inverse_scales.at(static_cast<size_t>(n % spec.shape.back())));
      runner.input(static_cast<int>(i)).data<uint8_t>()[n] =
          static_cast<uint8_t>(std::clamp(q, spec.quant->qmin, spec.quant->qmax) - spec.quant->qmin);
    }
  }
  runner.run();
  r.result = runner.output(0).clone();
  return r;
}

// The answer is, bit for bit, that of a plan whose maps are floats (because they are outputs too); the maps named `quantized` are
// stored quantized, the others between not.
Answer expect_same(Network& net, const std::string& last, const std::set<std::string>& quantized) {
  net.finish();
  std::vector<std::string> all{last};
  all.insert(all.end(), net.between.begin(), net.between.end());
  const Answer stored = run(net, {last}, 1), floats = run(net, all, 1), threads = run(net, {last}, 2);
  EXPECT_EQ(std::memcmp(stored.result.raw(), floats.result.raw(), floats.result.bytes()), 0);
  EXPECT_EQ(std::memcmp(stored.result.raw(), threads.result.raw(), threads.result.bytes()), 0);
  for (const std::string& name : net.between) {
    if (!stored.bytes.contains(name)) continue;
    EXPECT_EQ(stored.bytes.at(name) < floats.bytes.at(name), quantized.contains(name)) << name;
  }
  for (const std::string& name : quantized) EXPECT_TRUE(stored.bytes.contains(name)) << name;
  double sum = 0;
  for (int64_t i = 0; i < stored.result.size(); ++i) sum += std::abs(stored.result.as_double(i));
  EXPECT_GT(sum, 0);
  return stored;
}

class Q8Storage : public ::testing::TestWithParam<std::tuple<int, bool, bool>> {
 protected:
  const int channels = std::get<0>(GetParam());
  const bool factors = std::get<1>(GetParam()), q8_16bit_safe = std::get<2>(GetParam());
};

TEST_P(Q8Storage, MapsBetweenConvolutionsAreQuantized) {
  for (int kernel : {0, 1, 3}) {
    Network net;
    net.input("x", {2, 9, 11, 8});
    net.conv("a", "x", channels, 3, kOtherQuant, false, q8_16bit_safe);
    net.conv("b", "a", channels, kernel, kStoredQuant, factors, q8_16bit_safe);
    net.conv("c", "b", 9, 3, kOtherQuant, factors, q8_16bit_safe);
    net.between = {"a", "b"};
    // A dense convolution before a depthwise one is joined with it.
    const Answer r = expect_same(net, "c", kernel ? std::set<std::string>{"a", "b"} : std::set<std::string>{"b"});
    EXPECT_EQ(r.kernels.size(), kernel ? 3u : 2u);
  }
}

TEST_P(Q8Storage, WideMapsAreQuantized) {
  Network net;
  net.input("x", {2, 11, 140, 3});
  net.conv("a", "x", channels, 3, kStoredQuant, false, q8_16bit_safe);
  net.conv("b", "a", 18, 5, kOtherQuant, factors, q8_16bit_safe);
  net.conv("c", "b", 8, 3, kStoredQuant, factors, q8_16bit_safe);
  net.conv("d", "c", 8, 0, kStoredQuant, factors);
  net.between = {"a", "b"};
  expect_same(net, "d", {"a", "b"});
}

TEST_P(Q8Storage, TheInputOfADepthwiseChainIsQuantized) {
  Network net;
  net.input("x", {1, 10, 7, channels});
  net.conv("a", "x", channels, 0);
  net.conv("b", "a", 20, 1, kOtherQuant, factors, q8_16bit_safe);
  net.conv("c", "b", 20, 0, kStoredQuant, factors);
  net.conv("d", "c", 5, 3, kStoredQuant, factors, q8_16bit_safe);
  net.between = {"b", "c"};
  const Answer r = expect_same(net, "d", {"c"});
  EXPECT_THAT(r.kernels, Contains("int8_depthwise"));
}

TEST_P(Q8Storage, PoolsAndUpsamplingMoveQuantizedValues) {
  Network net;
  net.input("x", {1, 9, 12, 4});
  net.conv("a", "x", channels, 3);
  net.op("pool", "MaxPool", {"a"}, pool_attrs(3, 2));
  net.axes("size", {15, 18}, {2});
  net.op("up", "ResizeNearestNeighbor", {"pool", "size"});
  net.conv("b", "up", 7, 3, kOtherQuant, factors, q8_16bit_safe);
  net.between = {"a", "pool", "up"};
  const Answer r = expect_same(net, "b", {"a", "pool", "up"});
  EXPECT_THAT(r.kernels, Contains("int8_max_pool"));
  EXPECT_THAT(r.kernels, Contains("int8_weighted_sum"));
}

TEST_P(Q8Storage, ConcatenationsMoveQuantizedValues) {
  for (int axis : {3, -1, 1}) {
    Network net;
    net.input("x", {1, 6, 6, 4});
    net.conv("a", "x", channels, 1);
    net.conv("b", "x", axis == 1 ? channels : 6, 3);
    net.axes("axis", {axis}, {});
    net.op("both", "ConcatV2", {"a", "b", "axis"});
    net.conv("c", "both", 8, 1, kOtherQuant, factors, q8_16bit_safe);
    net.between = {"a", "b", "both"};
    const Answer r = expect_same(net, "c", {"a", "b", "both"});
    EXPECT_THAT(r.kernels, Contains("int8_concat"));
  }
}

// "b" stays in floats, since another layer quantizes it in its own way, as does the graph's input; "a" is moved.
TEST_P(Q8Storage, ConcatenationsQuantizeFloats) {
  for (int axis : {3, 1, 2}) {
    SCOPED_TRACE(axis);
    Network net;
    net.input("x", {2, 6, 6, channels});
    net.conv("a", "x", axis == 3 ? 6 : channels, 3);
    net.conv("b", "x", channels, 1);
    net.axes("axis", {axis}, {});
    net.op("both", "ConcatV2", {"b", "a", "x", "axis"});
    net.op("pool", "MaxPool", {"both"}, pool_attrs(2, 1));
    net.conv("c", "pool", 8, 1, kOtherQuant, factors, q8_16bit_safe);
    net.conv("d", "b", 8, 1, kStoredQuant);
    net.op("small", "MaxPool", {"d"}, pool_attrs(6, 6));
    net.axes("pixels", {1, 2}, {2});
    net.op("most", "Max", {"c", "pixels"}, kept_dims());
    net.op("sum", "AddV2", {"most", "small"});
    net.between = {"a", "b", "both", "pool"};
    const Answer r = expect_same(net, "sum", {"a", "both", "pool"});
    EXPECT_THAT(r.kernels, Contains("int8_concat"));
  }
}

// What the graph fake-quantizes before a concatenation is joined as numbers, not as quantized integers.
TEST_P(Q8Storage, ConcatenationsOfFakeQuantizedValues) {
  for (const bool quantized_reader : {false, true}) {
    Network net;
    net.input("x", {1, 6, 6, channels});
    net.input("z", {1, 6, 6, 5});
    net.conv("a", "x", channels, 3);
    const std::string a = net.graph.name_of(add_fake_quant(net.graph, net.graph.value("a"), {0.003f, 0, false})),
                      z = net.graph.name_of(add_fake_quant(net.graph, net.graph.value("z"), {0.02f, 128, false}));
    net.axes("axis", {3}, {});
    net.op("both", "ConcatV2", {a, z, "axis"});
    if (quantized_reader)
      net.conv("y", "both", 8, 1, kOtherQuant, factors, q8_16bit_safe);
    else
      net.op("y", "Relu", {"both"});
    net.finish();
    const Answer kernels = run(net, {"y"}, 1);
    const Feeds feeds{{net.graph.value("x"), random_tensor({1, 6, 6, channels}, 2, 'x')},
                      {net.graph.value("z"), random_tensor({1, 6, 6, 5}, 2, 'z')}};
    const Tensor plain = interpret(net.graph, feeds, {net.graph.value("y")})[0];
    EXPECT_LT(worst_difference(kernels.result, plain), 0.02) << quantized_reader;
  }
}

// A part without channels adds nothing.
TEST_P(Q8Storage, ConcatenationsOfNothing) {
  Network net;
  net.input("x", {1, 6, 6, channels});
  net.input("z", {1, 6, 6, 0});
  net.conv("a", "x", channels, 3);
  net.axes("axis", {3}, {});
  net.op("both", "ConcatV2", {"a", "z", "axis"});
  net.conv("c", "both", 8, 1, kOtherQuant, factors, q8_16bit_safe);
  net.between = {"a", "both"};
  expect_same(net, "c", {"a", "both"});
}

// A pool reads a map of floats, and stores what the layer behind it reads.
TEST_P(Q8Storage, APoolOfFloatsQuantizesItsResults) {
  Network net;
  net.input("x", {1, 6, 6, channels});
  net.op("pool", "MaxPool", {"x"}, pool_attrs(2, 2));
  net.conv("c", "pool", 8, 3, kOtherQuant, factors, q8_16bit_safe);
  net.between = {"pool"};
  expect_same(net, "c", {"pool"});
}

// Padding, a shuffle of channels and halves.
TEST_P(Q8Storage, CopiesMoveQuantizedValues) {
  Network net;
  net.input("x", {1, 6, 6, 4});
  net.conv("a", "x", 2 * channels, 3);
  net.axes("pads", {0, 0, 1, 2, 0, 1, 0, 0}, {4, 2});
  net.op("padded", "Pad", {"a", "pads"});
  net.axes("pairs", {1, 9, 7, 2, channels}, {5});
  net.op("five", "Reshape", {"padded", "pairs"});
  net.axes("perm", {0, 1, 2, 4, 3}, {5});
  net.op("turned", "Transpose", {"five", "perm"});
  net.axes("flat", {1, 9, 7, 2 * channels}, {4});
  net.op("four", "Reshape", {"turned", "flat"});
  net.axes("three", {3}, {});
  AttrMap halves;
  halves.emplace("num_split", int64_t{2});
  net.op("half", "Split", {"three", "four"}, halves);
  net.conv("c", "half", 8, 3, kOtherQuant, factors, q8_16bit_safe);
  net.conv("d", "half:1", 8, 3, kOtherQuant, factors, q8_16bit_safe);
  net.op("sum", "AddV2", {"c", "d"});
  net.between = {"a", "padded", "turned", "four"};
  // Factors belong to channels, which the reshapes break up.
  expect_same(net, "sum", factors ? std::set<std::string>{} : std::set<std::string>{"a", "padded", "turned", "four"});
}

// As the phases of a deconvolution: four channels become one.
TEST_P(Q8Storage, PixelsOutOfChannelsAreMovedWithTheirFactors) {
  Network net;
  net.input("x", {1, 6, 6, 4});
  net.conv("a", "x", 4 * channels, 3);
  AttrMap block;
  block.emplace("block_size", int64_t{2});
  net.op("pixels", "DepthToSpace", {"a"}, block);
  net.conv("c", "pixels", 8, 3, kOtherQuant, factors, q8_16bit_safe);
  net.between = {"a", "pixels"};
  expect_same(net, "c", {"a", "pixels"});
}

// A reshape that makes pixels of channels moves them with their factors.
TEST_P(Q8Storage, ChannelsBecomePixels) {
  Network net;
  net.input("x", {3, 4, 5, 4});
  net.conv("a", "x", 2 * channels, 3);
  net.op("same", "Relu6", {"a"});
  net.axes("other", {3, 4, 10, channels}, {4});
  net.op("rows", "Reshape", {"same", "other"});
  net.conv("b", "rows", 4, 1, kStoredQuant, factors, q8_16bit_safe);
  net.between = {"same", "rows"};
  expect_same(net, "b", {"same", "rows"});
}

// A channel whose values come to several has several factors.
TEST_P(Q8Storage, ChannelsThatAreMixedStayFloats) {
  Network net;
  net.input("x", {1, 6, 8, 4});
  net.conv("a", "x", 8, 3);
  net.axes("perm", {0, 1, 3, 2}, {4});
  net.op("turned", "Transpose", {"a", "perm"});
  net.conv("c", "turned", 8, 3, kOtherQuant, factors, q8_16bit_safe);
  net.between = {"a", "turned"};
  expect_same(net, "c", factors ? std::set<std::string>{} : std::set<std::string>{"a", "turned"});
}

TEST_P(Q8Storage, AReshapeMovesQuantizedValues) {
  Network net;
  net.input("x", {3, 4, 5, 4});
  net.conv("a", "x", channels, 3);
  net.axes("flat", {3, 20 * channels}, {2});
  net.op("rows", "Reshape", {"a", "flat"});
  const Tensor w = random_tensor({20 * channels, 6}, 0.2f, 3);
  constant(net.graph, "w", w);
  net.quantized.emplace_back(add(net.graph, "product", "MatMul", {"rows", "w"}), kOtherQuant, w, 6, q8_16bit_safe);
  net.between = {"a", "rows"};
  const Answer r = expect_same(net, "product", {"a", "rows"});
  EXPECT_THAT(r.kernels, Contains("int8_alias"));
}

INSTANTIATE_TEST_SUITE_P(Channels, Q8Storage,
                         ::testing::Combine(::testing::Values(12, 13, 40), ::testing::Bool(), ::testing::Bool()));

// Kernels without fp16, in plans compiled while it lives: there maps are bytes or floats.
struct KernelsWithoutFp16 {
  const KernelSet& before = kernels();
  KernelsWithoutFp16() { use_kernels(sse2_kernels()); }
  ~KernelsWithoutFp16() { use_kernels(before); }
};

// Maps stay floats where readers would quantize them differently, or read floats.
TEST(Q8StorageRefused, ReadersThatQuantizeDifferentlyGetFloats) {
  const KernelsWithoutFp16 kernels_of_this_test;
  for (const bool factors : {false, true}) {
    SCOPED_TRACE(factors ? "factors of one reader" : "two codings");
    Network net;
    net.input("x", {1, 6, 6, 4});
    net.conv("a", "x", 8, 3);
    net.conv("b", "a", 8, 1, kStoredQuant, factors);
    net.conv("c", "a", 8, 1, factors ? kStoredQuant : kOtherQuant);
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
    SCOPED_TRACE("factors of a flattened map");
    Network net;
    net.input("x", {3, 4, 5, 4});
    net.conv("a", "x", 8, 3);
    net.axes("shape", {3, 5, 4, 8}, {4});
    net.op("same", "Reshape", {"a", "shape"});
    net.axes("other", {3, 5, 2, 16}, {4});
    net.op("rows", "Reshape", {"same", "other"});
    net.conv("b", "rows", 4, 1, kStoredQuant, true);
    net.between = {"rows"};  // the first reshape is the convolution's own
    expect_same(net, "b", {});
  }
}

// Two readers that quantize alike both read bytes.
TEST(Q8StorageShared, TwoReadersAlikeGetQuantizedValues) {
  Network net;
  net.input("x", {1, 6, 6, 4});
  net.conv("a", "x", 8, 3);
  net.conv("b", "a", 8, 1);
  net.conv("c", "a", 8, 3);
  net.op("sum", "AddV2", {"b", "c"});
  net.between = {"a"};
  expect_same(net, "sum", {"a"});
}

// Inputs that all readers quantize alike can be fed quantized; the answers are the same, bit for bit.
void expect_quantized_inputs(Network& net, const std::string& last, const std::set<std::string>& inputs) {
  net.finish();
  const Answer floats = run(net, {last}, 1), quantized = run(net, {last}, 1, true);
  EXPECT_EQ(floats.quantized_inputs, std::set<std::string>{});
  EXPECT_EQ(quantized.quantized_inputs, inputs);
  EXPECT_EQ(std::memcmp(quantized.result.raw(), floats.result.raw(), floats.result.bytes()), 0);
}

TEST(QuantizedInputs, EveryFirstLayerTakesBytes) {
  for (int kernel : {0, 1, 3, 5})
    for (bool factors : {false, true})
      for (bool q8_16bit_safe : {false, true}) {
        SCOPED_TRACE(testing::Message() << "kernel " << kernel << (factors ? ", factors" : "")
                                        << (q8_16bit_safe ? ", narrow" : ""));
        Network net;
        net.input("x", {2, 9, 11, 3});
        net.conv("a", "x", 8, kernel, kOtherQuant, factors, q8_16bit_safe);
        net.conv("b", "a", 8, 1);
        expect_quantized_inputs(net, "b", {"x"});
      }
}

TEST(QuantizedInputs, AnExpansionOfPatchesTakesBytes) {
  Network net;
  net.input("x", {1, 20, 31, 3});
  net.conv("a", "x", 40, 3, kStoredQuant);
  net.conv("b", "a", 40, 0, kStoredQuant);
  net.conv("c", "b", 8, 1);
  expect_quantized_inputs(net, "c", {"x"});
}

TEST(QuantizedInputs, ReadersThatDifferKeepAFloatInput) {
  {
    SCOPED_TRACE("two codings");
    Network net;
    net.input("x", {1, 6, 6, 8});
    net.conv("a", "x", 8, 1, kStoredQuant);
    net.conv("b", "x", 8, 1, kOtherQuant);
    net.op("sum", "AddV2", {"a", "b"});
    expect_quantized_inputs(net, "sum", {});
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
    expect_quantized_inputs(net, "both", {"y"});
  }
  {
    SCOPED_TRACE("a node without a kernel");
    Network net;
    net.input("x", {1, 6, 6, 8});
    net.conv("a", "x", 8, 1);
    net.op("sine", "Sin", {"x"});
    net.op("sum", "AddV2", {"a", "sine"});
    expect_quantized_inputs(net, "sum", {});
  }
}

}  // namespace
}  // namespace cytodet
