// Codes that several layers read: who reads them as codes, who as numbers, and which maps are stored as bytes for it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/exec/coded_net.h"

namespace cytodet {
namespace {

using namespace test;
using ::testing::Contains;
using ::testing::Not;

const Quant kCodes{0.02f, 0, false}, kOther{0.03f, 0, true}, kInput{0.03f, 128, false};

// x -> convolution on codes -> Relu "a", of `channels` channels.
CodedNet net_of_a(int64_t channels = 19) {
  CodedNet net;
  net.input("x", {2, 7, 9, 5});
  net.conv("a/conv", "x", channels, 1, kInput);
  net.op("a", "Relu", {"a/conv"});
  return net;
}

// A sum "sum" of the codes of a and of y, which is an input.
void add_sum(CodedNet& net, const Quant& quant) {
  net.input("y", net.shape("a"));
  const std::string a = net.coded("a", quant);
  net.op("sum", "AddV2", {a, "y"});
}
void expect_bytes_of_a(CodedNet& net, const Answers& answers, int64_t bytes) {
  EXPECT_EQ(answers.steps.at("sum").bytes, bytes * net.numbers("a") + 4 * net.numbers("y") + 4 * net.numbers("sum"));
  EXPECT_EQ(answers.steps.at("sum").kernel, "int8_weighted_sum");
}

TEST(SharedMap, OfOneCodingIsBytes) {
  CodedNet net = net_of_a();
  add_sum(net, kCodes);
  net.conv("out", "a", 8, 1, kCodes);
  expect_bytes_of_a(net, net.expect_answers({"sum", "out"}), 1);
}

TEST(SharedMap, OfTwoCodingsIsFloats) {
  CodedNet net = net_of_a();
  add_sum(net, kCodes);
  net.conv("out", "a", 8, 1, kOther);
  expect_bytes_of_a(net, net.expect_answers({"sum", "out"}), 4);
}

TEST(SharedMap, ThatAnotherReadsAsNumbersIsFloats) {
  CodedNet net = net_of_a();
  add_sum(net, kCodes);
  net.op("sine", "Sin", {"a"});
  expect_bytes_of_a(net, net.expect_answers({"sum", "sine"}), 4);
}

TEST(SharedMap, ThatIsAnOutputIsFloats) {
  CodedNet net = net_of_a();
  add_sum(net, kCodes);
  expect_bytes_of_a(net, net.expect_answers({"sum", "a"}), 4);
}

TEST(SharedMap, OfASumAndTwoPoolsIsBytes) {
  CodedNet net = net_of_a();
  add_sum(net, kCodes);
  const std::string a = net.coded("a", kCodes);
  net.op("average", "AvgPool", {a}, pool_attrs(2, 2));
  net.op("largest", "MaxPool", {a}, pool_attrs(3, 2));
  const Answers answers = net.expect_answers({"sum", "average", "largest"});
  expect_bytes_of_a(net, answers, 1);
  for (const char* pool : {"average", "largest"})
    EXPECT_EQ(answers.steps.at(pool).bytes, net.numbers("a") + 4 * net.numbers(pool)) << pool;
}

TEST(SharedNumbers, OfAPlainNode) {
  CodedNet net = net_of_a();
  add_sum(net, kCodes);
  net.op("sine", "Sin", {net.coded("a", kCodes)});
  expect_bytes_of_a(net, net.expect_answers({"sum", "sine"}), 1);
}

TEST(SharedNumbers, OfAPlainNodeAndAConvolution) {
  CodedNet net = net_of_a();
  net.conv("out", "a", 8, 3, kCodes);
  net.op("sine", "Sin", {net.coded("a", kCodes)});
  const Answers answers = net.expect_answers({"out", "sine"});
  EXPECT_EQ(answers.steps.at("out").kernel, "int8_patches_gemm");
}

TEST(SharedNumbers, ThatAreAnOutput) {
  CodedNet net = net_of_a();
  add_sum(net, kCodes);
  expect_bytes_of_a(net, net.expect_answers({"sum", net.coded("a", kCodes)}), 1);
}

TEST(SharedNumbers, ThatBecomeOtherCodes) {
  CodedNet net = net_of_a();
  const std::string again = net.coded(net.coded("a", kCodes), kOther);
  net.op("pool", "AvgPool", {again}, pool_attrs(3, 1));
  net.conv("out", "pool", 8, 1, Quant{0.0217f, 0, true});  // few means of codes lie between two of these
  const Answers answers = net.expect_answers({"out"});
  EXPECT_EQ(answers.steps.at("pool").bytes, 2 * net.numbers("a"));
  EXPECT_FALSE(answers.kernels.contains("plain"));
}

// A product of the channels by factors belongs to the codes; a sum reads them as well.
TEST(SharedNumbers, OfScaledChannels) {
  CodedNet net = net_of_a();
  constant(net.graph, "factors", normal_tensor({19}, net.random));
  net.op("scaled", "Mul", {"a", "factors"});
  net.conv("out", "scaled", 8, 1, kOther);
  net.input("y", net.shape("a"));
  net.op("sum", "AddV2", {net.coded("scaled", kOther), "y"});
  net.expect_answers({"out", "sum"});
}

// A sum of codes of a behind each kind of last layer.
struct Branch {
  const char* name;
  const char* kernel;
  bool codes;      // it takes the residual as codes
  int kernel_of;   // of the convolution
  bool depthwise;  // before it
  bool coded;      // it is on codes
};
void PrintTo(const Branch& b, std::ostream* os) { *os << b.name; }
class Residual : public ::testing::TestWithParam<Branch> {
 protected:
  // From `in`; "out" has as many channels as a.
  static void build(CodedNet& net, std::string in, const std::string& residual) {
    const Branch& b = GetParam();
    const std::optional<Quant> quant = b.coded ? std::optional(kInput) : std::nullopt;
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

TEST_P(Residual, OfCodes) {
  CodedNet net = net_of_a();
  build(net, "x", net.coded("a", kCodes));
  const Answers answers = net.expect_answers({"out"});
  EXPECT_EQ(answers.steps.at("out").kernel, GetParam().kernel);
  EXPECT_EQ(answers.steps.contains("a/dequantized"), !GetParam().codes);
}

TEST_P(Residual, OfTheLayersOwnInputInTheSameCodes) {
  CodedNet net = net_of_a();
  build(net, "a", net.coded("a", kInput));
  net.expect_answers({"out"});
}

TEST_P(Residual, OfTheLayersOwnInputInOtherCodes) {
  CodedNet net = net_of_a();
  build(net, "a", net.coded("a", kCodes));
  net.expect_answers({"out"});
}

TEST_P(Residual, OfNumbersThatTheLayerReadsAsCodes) {
  CodedNet net = net_of_a();
  build(net, net.coded("a", kCodes), "a");
  net.expect_answers({"out"});
}

INSTANTIATE_TEST_SUITE_P(Layers, Residual,
                         ::testing::Values(Branch{"Product", "int8_gemm", true, 1, false, true},
                                           Branch{"Convolution", "int8_patches_gemm", true, 3, false, true},
                                           Branch{"Chain", "int8_depthwise_pointwise", true, 1, true, true},
                                           Branch{"ProductOfFloats", "gemm", false, 1, false, false},
                                           Branch{"ChainOfFloats", "depthwise_pointwise", false, 1, true, false}),
                         [](const auto& of) { return of.param.name; });

// Codes of a, weighted, and of half as large b, upsampled, before a depthwise layer [-> product].
void add_sum_of_codes(CodedNet& net, const std::string& a) {
  net.input("half", {2, 4, 5, 5});
  net.conv("b", "half", net.shape("a").back(), 1, kInput);
  const Shape shape = net.shape("a");
  net.sizes("size", {static_cast<int32_t>(shape[1]), static_cast<int32_t>(shape[2])});
  net.op("up", "ResizeNearestNeighbor", {net.coded("b", kOther), "size"});
  constant(net.graph, "weight", Tensor::scalar(0.6f));
  net.op("weighted", "Mul", {a, "weight"});
  net.op("sum", "AddV2", {"weighted", "up"});
}
CodedNet net_of_even_a() {
  CodedNet net;
  net.input("x", {2, 8, 10, 5});
  net.conv("a", "x", 19, 1, kInput);
  return net;
}

TEST(SumOfCodes, BeforeADepthwiseLayer) {
  for (const bool coded : {false, true})
    for (const bool product : {false, true}) {
      SCOPED_TRACE(testing::Message() << coded << product);
      CodedNet net = net_of_even_a();
      add_sum_of_codes(net, net.coded("a", kOther));
      const std::optional<Quant> quant = coded ? std::optional(kInput) : std::nullopt;
      net.conv("depthwise", "sum", 0, 0, quant);
      if (product) net.conv("product", "depthwise", 8, 1, quant);
      const std::string last = product ? "product" : "depthwise";
      const Answers answers = net.expect_answers({last});
      const StepInfo& step = answers.steps.at(last);
      EXPECT_EQ(step.kernel, std::string(coded ? "int8_" : "") + "sum_depthwise" + (product ? "_pointwise" : ""));
      const int64_t weight = coded ? 1 : 4, weights = weight * (9 * 19 + (product ? 19 * 8 : 0)) + 4 * (19 + (product ? 8 : 0));
      EXPECT_EQ(step.bytes, net.numbers("a") + net.numbers("b") + 4 * net.numbers(last) + weights);
    }
}

// The chain adds a to its product as well: in the same codes it is one step; else it reads a map in two ways and is not.
TEST(SumOfCodes, OfWhichATermIsTheResidualToo) {
  for (const std::string as : {"the same codes", "other codes", "numbers"}) {
    SCOPED_TRACE(as);
    CodedNet net = net_of_even_a();
    const std::string term = net.coded("a", kOther);
    const std::string residual = as == "numbers" ? "a" : as == "other codes" ? net.coded("a", {0.015f, 120, false}) : term;
    add_sum_of_codes(net, term);
    net.conv("depthwise", "sum", 0, 0, kInput);
    net.conv("product", "depthwise", 19, 1, kInput);
    net.op("out", "AddV2", {"product", residual});
    const Answers answers = net.expect_answers({"out"});
    EXPECT_EQ(answers.kernels.contains("int8_sum_depthwise_pointwise"), as == "the same codes");
  }
}

TEST(SumOfCodes, OfNumbersOfWhichATermIsACodedResidual) {
  CodedNet net = net_of_even_a();
  add_sum_of_codes(net, "a");
  net.conv("depthwise", "sum", 0, 0, kInput);
  net.conv("product", "depthwise", 19, 1, kInput);
  net.op("out", "AddV2", {"product", net.coded("a", kOther)});
  EXPECT_THAT(net.expect_answers({"out"}).kernels, Not(Contains("int8_sum_depthwise_pointwise")));
}

// A gate scales the weights of a product, or the numbers before they become its codes; a map or a gate of codes needs its own
// step.
TEST(GatedProduct, OfAMapOrAGateOfCodes) {
  for (const bool coded_map : {false, true})
    for (const bool coded_gate : {false, true})
      for (const bool coded_product : {false, true}) {
        SCOPED_TRACE(testing::Message() << coded_map << coded_gate << coded_product);
        CodedNet net = net_of_a();
        net.input("gate", {2, 1, 1, 19});
        net.op("gated", "Mul",
               {coded_map ? net.coded("a", kCodes) : "a", coded_gate ? net.coded("gate", Quant{0.02f, 0, true}) : "gate"});
        net.conv("out", "gated", 8, 1, coded_product ? std::optional(kInput) : std::nullopt);
        const Answers answers = net.expect_answers({"out"});
        EXPECT_EQ(answers.kernels.contains("int8_gate"), coded_map || coded_gate);
      }
}

// The gate multiplies numbers, although the same map is added as codes.
TEST(GatedProduct, OfAMapThatIsItsResidualInCodes) {
  for (const bool coded_product : {false, true}) {
    SCOPED_TRACE(coded_product);
    CodedNet net;
    net.input("x", {2, 7, 9, 5});
    net.conv("a", "x", 19, 1, Quant{0.03f, 128, false});
    net.input("gate", {2, 1, 1, 19});
    net.op("gated", "Mul", {"a", "gate"});
    net.conv("product", "gated", 19, 1, coded_product ? std::optional(Quant{0.03f, 120, false}) : std::nullopt);
    net.op("out", "AddV2", {"product", net.coded("a", {0.03f, 0, true})});
    net.expect_answers({"out"});
  }
}

}  // namespace
}  // namespace cytodet
