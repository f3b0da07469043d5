// Values that several layers read, some of them quantized: who reads bytes, who floats, and which maps are stored quantized for
// it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/exec/quantized_net.h"

namespace cytodet {
namespace {

using namespace test;
using ::testing::Contains;
using ::testing::Not;

const QuantParams kSharedQuant{0.02f, 0, false}, kSharedOther{0.03f, 0, true}, kSharedInput{0.03f, 128, false};

// x -> convolution in 8 bits -> Relu "a", of `channels` channels.
QuantizedNet net_of_a(int64_t channels = 19) {
  QuantizedNet net;
  net.input("x", {2, 7, 9, 5});
  net.conv("a/conv", "x", channels, 1, kSharedInput);
  net.op("a", "Relu", {"a/conv"});
  return net;
}

// A sum "sum" of a, fake-quantized, and of y, which is an input.
void add_sum(QuantizedNet& net, const QuantParams& quant) {
  net.input("y", net.shape("a"));
  const std::string a = net.fake_quant("a", quant);
  net.op("sum", "AddV2", {a, "y"});
}
void expect_bytes_of_a(QuantizedNet& net, const Answers& answers, int64_t bytes) {
  EXPECT_EQ(answers.steps.at("sum").bytes, bytes * net.elements("a") + 4 * net.elements("y") + 4 * net.elements("sum"));
  EXPECT_EQ(answers.steps.at("sum").kernel, "int8_weighted_sum");
}

TEST(SharedMap, SameQuantParamsAreStoredQuantized) {
  QuantizedNet net = net_of_a();
  add_sum(net, kSharedQuant);
  net.conv("out", "a", 8, 1, kSharedQuant);
  expect_bytes_of_a(net, net.expect_answers({"sum", "out"}), 1);
}

TEST(SharedMap, DifferentQuantParamsAreStoredAsFloats) {
  QuantizedNet net = net_of_a();
  add_sum(net, kSharedQuant);
  net.conv("out", "a", 8, 1, kSharedOther);
  expect_bytes_of_a(net, net.expect_answers({"sum", "out"}), 4);
}

TEST(SharedMap, AReaderOfFloatsKeepsItFloat) {
  QuantizedNet net = net_of_a();
  add_sum(net, kSharedQuant);
  net.op("sine", "Sin", {"a"});
  expect_bytes_of_a(net, net.expect_answers({"sum", "sine"}), 4);
}

TEST(SharedMap, APlanOutputIsFloat) {
  QuantizedNet net = net_of_a();
  add_sum(net, kSharedQuant);
  expect_bytes_of_a(net, net.expect_answers({"sum", "a"}), 4);
}

TEST(SharedMap, ASumAndTwoPoolsReadItQuantized) {
  QuantizedNet net = net_of_a();
  add_sum(net, kSharedQuant);
  const std::string a = net.fake_quant("a", kSharedQuant);
  net.op("average", "AvgPool", {a}, pool_attrs(2, 2));
  net.op("largest", "MaxPool", {a}, pool_attrs(3, 2));
  const Answers answers = net.expect_answers({"sum", "average", "largest"});
  expect_bytes_of_a(net, answers, 1);
  for (const char* pool : {"average", "largest"})
    EXPECT_EQ(answers.steps.at(pool).bytes, net.elements("a") + 4 * net.elements(pool)) << pool;
}

TEST(SharedDequantize, APlainNodeReadsFloats) {
  QuantizedNet net = net_of_a();
  add_sum(net, kSharedQuant);
  net.op("sine", "Sin", {net.fake_quant("a", kSharedQuant)});
  expect_bytes_of_a(net, net.expect_answers({"sum", "sine"}), 1);
}

TEST(SharedDequantize, APlainNodeAndAConvolutionBothReadIt) {
  QuantizedNet net = net_of_a();
  net.conv("out", "a", 8, 3, kSharedQuant);
  net.op("sine", "Sin", {net.fake_quant("a", kSharedQuant)});
  const Answers answers = net.expect_answers({"out", "sine"});
  EXPECT_EQ(answers.steps.at("out").kernel, "int8_patches_gemm");
}

TEST(SharedDequantize, APlanOutputKeepsIt) {
  QuantizedNet net = net_of_a();
  add_sum(net, kSharedQuant);
  expect_bytes_of_a(net, net.expect_answers({"sum", net.fake_quant("a", kSharedQuant)}), 1);
}

TEST(SharedDequantize, QuantizingAgainWithOtherParamsRoundsTwice) {
  QuantizedNet net = net_of_a();
  const std::string again = net.fake_quant(net.fake_quant("a", kSharedQuant), kSharedOther);
  net.op("pool", "AvgPool", {again}, pool_attrs(3, 1));
  net.conv("out", "pool", 8, 1, QuantParams{0.0217f, 0, true});  // few means fall half-way between two of its steps
  const Answers answers = net.expect_answers({"out"});
  EXPECT_EQ(answers.steps.at("pool").bytes, 2 * net.elements("a"));
  EXPECT_FALSE(answers.kernels.contains("plain"));
}

// A product of the channels by factors belongs to the quantization; a sum reads its result as well.
TEST(SharedDequantize, ScaledChannelsJoinTheQuantization) {
  QuantizedNet net = net_of_a();
  constant(net.graph, "factors", normal_tensor({19}, net.random));
  net.op("scaled", "Mul", {"a", "factors"});
  net.conv("out", "scaled", 8, 1, kSharedOther);
  net.input("y", net.shape("a"));
  net.op("sum", "AddV2", {net.fake_quant("scaled", kSharedOther), "y"});
  net.expect_answers({"out", "sum"});
}

// A residual add of a, fake-quantized, behind each kind of last layer.
struct Branch {
  const char* name;
  const char* kernel;
  bool takes_q8;   // it reads the residual quantized
  int kernel_of;   // of the convolution
  bool depthwise;  // before it
  bool quantized;  // it is in 8 bits
};
void PrintTo(const Branch& b, std::ostream* os) { *os << b.name; }
class ResidualAdd : public ::testing::TestWithParam<Branch> {
 protected:
  // From `in`; "out" has as many channels as a.
  static void build(QuantizedNet& net, std::string in, const std::string& residual) {
    const Branch& b = GetParam();
    const std::optional<QuantParams> quant = b.quantized ? std::optional(kSharedInput) : std::nullopt;
    const int64_t channels = net.shape("a").back();
    if (b.depthwise) {
      net.conv("depthwise", in, 0, 0, quant);
      in = "depthwise";
    }
    net.conv("last", in, channels, b.kernel_of, quant);
    net.op("sum", "AddV2", {"last", residual});
    net.op("out", "Relu", {"sum"});
  }
};

TEST_P(ResidualAdd, IsReadFakeQuantized) {
  QuantizedNet net = net_of_a();
  build(net, "x", net.fake_quant("a", kSharedQuant));
  const Answers answers = net.expect_answers({"out"});
  EXPECT_EQ(answers.steps.at("out").kernel, GetParam().kernel);
  EXPECT_EQ(answers.steps.contains("a/dequantized"), !GetParam().takes_q8);
}

TEST_P(ResidualAdd, SameQuantParamsSkipDequantize) {
  QuantizedNet net = net_of_a();
  build(net, "a", net.fake_quant("a", kSharedInput));
  net.expect_answers({"out"});
}

TEST_P(ResidualAdd, OtherQuantParamsOfTheSameInputAreKept) {
  QuantizedNet net = net_of_a();
  build(net, "a", net.fake_quant("a", kSharedQuant));
  net.expect_answers({"out"});
}

TEST_P(ResidualAdd, FloatsOfAQuantizedInputAreKept) {
  QuantizedNet net = net_of_a();
  build(net, net.fake_quant("a", kSharedQuant), "a");
  net.expect_answers({"out"});
}

INSTANTIATE_TEST_SUITE_P(Layers, ResidualAdd,
                         ::testing::Values(Branch{"Product", "int8_gemm", true, 1, false, true},
                                           Branch{"Convolution", "int8_patches_gemm", true, 3, false, true},
                                           Branch{"Chain", "int8_depthwise_pointwise", true, 1, true, true},
                                           Branch{"ProductOfFloats", "gemm", false, 1, false, false},
                                           Branch{"ChainOfFloats", "depthwise_pointwise", false, 1, true, false}),
                         [](const auto& of) { return of.param.name; });

// a, fake-quantized and weighted, plus b of half the size, fake-quantized and upsampled, before a depthwise layer [-> product].
void add_fake_quantized_sum(QuantizedNet& net, const std::string& a) {
  net.input("half", {2, 4, 5, 5});
  net.conv("b", "half", net.shape("a").back(), 1, kSharedInput);
  const Shape shape = net.shape("a");
  net.sizes("size", {static_cast<int32_t>(shape[1]), static_cast<int32_t>(shape[2])});
  net.op("up", "ResizeNearestNeighbor", {net.fake_quant("b", kSharedOther), "size"});
  constant(net.graph, "weight", Tensor::scalar(0.6f));
  net.op("weighted", "Mul", {a, "weight"});
  net.op("sum", "AddV2", {"weighted", "up"});
}
QuantizedNet net_of_even_a() {
  QuantizedNet net;
  net.input("x", {2, 8, 10, 5});
  net.conv("a", "x", 19, 1, kSharedInput);
  return net;
}

TEST(FakeQuantizedSum, JoinsADepthwiseLayer) {
  for (const bool quantized : {false, true})
    for (const bool product : {false, true}) {
      SCOPED_TRACE(testing::Message() << quantized << product);
      QuantizedNet net = net_of_even_a();
      add_fake_quantized_sum(net, net.fake_quant("a", kSharedOther));
      const std::optional<QuantParams> quant = quantized ? std::optional(kSharedInput) : std::nullopt;
      net.conv("depthwise", "sum", 0, 0, quant);
      if (product) net.conv("product", "depthwise", 8, 1, quant);
      const std::string last = product ? "product" : "depthwise";
      const Answers answers = net.expect_answers({last});
      const StepInfo& step = answers.steps.at(last);
      EXPECT_EQ(step.kernel, std::string(quantized ? "int8_" : "") + "sum_depthwise" + (product ? "_pointwise" : ""));
      const int64_t weight = quantized ? 1 : 4,
                    weights = weight * (9 * 19 + (product ? 19 * 8 : 0)) + 4 * (19 + (product ? 8 : 0));
      EXPECT_EQ(step.bytes, net.elements("a") + net.elements("b") + 4 * net.elements(last) + weights);
    }
}

// The chain adds a to its product as well: with the same QuantParams it is one step; else it would read a map in two ways and is
// not.
TEST(FakeQuantizedSum, ATermMayBeTheResidualToo) {
  for (const std::string as : {"the same quantized values", "other quantized values", "numbers"}) {
    SCOPED_TRACE(as);
    QuantizedNet net = net_of_even_a();
    const std::string term = net.fake_quant("a", kSharedOther);
    const std::string residual = as == "numbers"                  ? "a"
                                 : as == "other quantized values" ? net.fake_quant("a", {0.015f, 120, false})
                                                                  : term;
    add_fake_quantized_sum(net, term);
    net.conv("depthwise", "sum", 0, 0, kSharedInput);
    net.conv("product", "depthwise", 19, 1, kSharedInput);
    net.op("out", "AddV2", {"product", residual});
    const Answers answers = net.expect_answers({"out"});
    EXPECT_EQ(answers.kernels.contains("int8_sum_depthwise_pointwise"), as == "the same quantized values");
  }
}

TEST(FakeQuantizedSum, ATermReadInTwoWaysIsNotJoined) {
  QuantizedNet net = net_of_even_a();
  add_fake_quantized_sum(net, "a");
  net.conv("depthwise", "sum", 0, 0, kSharedInput);
  net.conv("product", "depthwise", 19, 1, kSharedInput);
  net.op("out", "AddV2", {"product", net.fake_quant("a", kSharedOther)});
  EXPECT_THAT(net.expect_answers({"out"}).kernels, Not(Contains("int8_sum_depthwise_pointwise")));
}

// A gate scales the weights of a product, or values before they are quantized; a fake-quantized map or gate needs a step of its
// own.
TEST(GatedProduct, AFakeQuantizedMapOrGateIsAStepOfItsOwn) {
  for (const bool quantized_map : {false, true})
    for (const bool coded_gate : {false, true})
      for (const bool coded_product : {false, true}) {
        SCOPED_TRACE(testing::Message() << quantized_map << coded_gate << coded_product);
        QuantizedNet net = net_of_a();
        net.input("gate", {2, 1, 1, 19});
        net.op("gated", "Mul",
               {quantized_map ? net.fake_quant("a", kSharedQuant) : "a",
                coded_gate ? net.fake_quant("gate", QuantParams{0.02f, 0, true}) : "gate"});
        net.conv("out", "gated", 8, 1, coded_product ? std::optional(kSharedInput) : std::nullopt);
        const Answers answers = net.expect_answers({"out"});
        EXPECT_EQ(answers.kernels.contains("int8_gate"), quantized_map || coded_gate);
      }
}

// The gate multiplies floats, although the same map is added fake-quantized.
TEST(GatedProduct, TheGateMultipliesFloatsOfAQuantizedResidual) {
  for (const bool coded_product : {false, true}) {
    SCOPED_TRACE(coded_product);
    QuantizedNet net;
    net.input("x", {2, 7, 9, 5});
    net.conv("a", "x", 19, 1, QuantParams{0.03f, 128, false});
    net.input("gate", {2, 1, 1, 19});
    net.op("gated", "Mul", {"a", "gate"});
    net.conv("product", "gated", 19, 1, coded_product ? std::optional(QuantParams{0.03f, 120, false}) : std::nullopt);
    net.op("out", "AddV2", {"product", net.fake_quant("a", {0.03f, 0, true})});
    net.expect_answers({"out"});
  }
}

}  // namespace
}  // namespace cytodet
