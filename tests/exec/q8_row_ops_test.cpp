// Pools, resizes, sums, products, gates and activations that read fake-quantized, between convolutions in 8 bits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "tests/exec/compare.h"
#include "tests/exec/quantized_net.h"

namespace cytodet {
namespace {

using namespace test;

// An op "op" that reads the map "a" (and "b") fake-quantized.
struct RowOpCase {
  const char* name;
  const char* kernel;
  std::function<void(QuantizedNet&, const std::string& a)> build;  // a: the map fake-quantized
  // Bytes that its step reads besides those of "a".
  std::function<int64_t(QuantizedNet&)> other_bytes = [](QuantizedNet&) { return 0; };
};
void PrintTo(const RowOpCase& op, std::ostream* os) { *os << op.name; }

const QuantParams kOtherRow{0.04f, 0, true};

std::string second_map(QuantizedNet& net) {
  net.conv("b", "x", net.shape("a").back(), 3, QuantParams{0.03f, 128, false});
  return net.fake_quant("b", kOtherRow);
}
int64_t map_of_bytes(QuantizedNet& net) { return net.elements("a"); }
int64_t map_of_floats(QuantizedNet& net) { return 4 * net.elements("a"); }
int64_t gate_of_floats(QuantizedNet& net) { return 4 * net.elements("gate"); }

Shape gate_shape(QuantizedNet& net) {
  const Shape map = net.shape("a");
  return {map[0], 1, 1, map[3]};
}

AttrMap half_pixels() {
  AttrMap attrs;
  attrs.emplace("half_pixel_centers", true);
  return attrs;
}

const RowOpCase kOps[] = {
    {"AveragePool", "int8_avg_pool",
     [](QuantizedNet& net, const std::string& a) { net.op("op", "AvgPool", {a}, pool_attrs(3, 2)); }},
    {"MaxPool", "int8_max_pool", [](QuantizedNet& net, const std::string& a) { net.op("op", "MaxPool", {a}, pool_attrs(3, 1)); }},
    {"ResizeBilinear", "int8_resize_bilinear",
     [](QuantizedNet& net, const std::string& a) {
       net.sizes("size", {13, 12});
       net.op("op", "ResizeBilinear", {a, "size"}, half_pixels());
     }},
    {"ResizeNearest", "int8_weighted_sum",
     [](QuantizedNet& net, const std::string& a) {
       net.sizes("size", {14, 18});
       net.op("op", "ResizeNearestNeighbor", {a, "size"});
     }},
    {"SumOfTwoCodings", "int8_weighted_sum",
     [](QuantizedNet& net, const std::string& a) {
       const std::string b = second_map(net);
       net.op("op", "AddV2", {a, b});
     },
     map_of_bytes},
    {"SumOfCodesAndFloats", "int8_weighted_sum",
     [](QuantizedNet& net, const std::string& a) {
       net.input("y", net.shape("a"));
       net.op("op", "AddV2", {"y", a});
     },
     map_of_floats},
    {"SumWithAWeight", "int8_weighted_sum",
     [](QuantizedNet& net, const std::string& a) {
       const std::string b = second_map(net);
       constant(net.graph, "weight", Tensor::scalar(0.7f));
       net.op("weighted", "Mul", {a, "weight"});
       net.op("op", "AddV2", {"weighted", b});
     },
     map_of_bytes},
    {"SumWithItself", "int8_weighted_sum",
     [](QuantizedNet& net, const std::string& a) {
       net.op("op", "AddV2", {a, a});
     },
     map_of_bytes},
    {"Product", "int8_product",
     [](QuantizedNet& net, const std::string& a) {
       const std::string b = second_map(net);
       net.op("op", "Mul", {a, b});
     },
     map_of_bytes},
    {"Square", "int8_product",
     [](QuantizedNet& net, const std::string& a) {
       net.op("op", "Mul", {a, a});
     },
     map_of_bytes},
    {"Gate", "int8_gate",
     [](QuantizedNet& net, const std::string& a) {
       net.input("gate", gate_shape(net));
       net.op("op", "Mul", {"gate", a});
     },
     gate_of_floats},
    {"CodedGate", "int8_gate",
     [](QuantizedNet& net, const std::string& a) {
       net.input("gate", gate_shape(net));
       net.op("op", "Mul", {a, net.fake_quant("gate", kOtherRow)});
     },
     gate_of_floats},
    {"Relu", "int8_activation", [](QuantizedNet& net, const std::string& a) { net.op("op", "Relu", {a}); }},
    {"Sigmoid", "int8_activation", [](QuantizedNet& net, const std::string& a) { net.op("op", "Sigmoid", {a}); }},
    {"Swish", "int8_activation",
     [](QuantizedNet& net, const std::string& a) {
       net.op("sigmoid", "Sigmoid", {a});
       net.op("op", "Mul", {a, "sigmoid"});
     }},
};

class FakeQuantizedRowOp : public ::testing::TestWithParam<RowOpCase> {};

// Unsigned quantized values behind a Relu; signed and unsigned ones of values of both signs, some outside the range.
TEST_P(FakeQuantizedRowOp, BetweenQuantizedConvolutionsReadsAndWritesBytes) {
  const RowOpCase& op = GetParam();
  for (const int64_t channels : {3, 16, 37})
    for (const auto& [quant, relu] : {std::pair{QuantParams{0.012f, 0, false}, true},
                                      {QuantParams{0.016f, 0, true}, false},
                                      {QuantParams{0.013f, 90, false}, false}}) {
      SCOPED_TRACE(testing::Message() << channels << " channels, zero point " << quant.zero_point << (relu ? ", Relu" : ""));
      QuantizedNet net;
      net.input("x", {2, 7, 9, 5});
      net.conv(relu ? "before" : "a", "x", channels, 1, QuantParams{0.03f, 128, false});
      if (relu) net.op("a", "Relu", {"before"});
      op.build(net, net.fake_quant("a", quant));
      net.conv("out", "op", 8, 1, QuantParams{0.03f, 60, false});
      const Answers answers = net.expect_answers({"out"});
      ASSERT_TRUE(answers.steps.contains("op"));
      EXPECT_EQ(answers.steps.at("op").kernel, op.kernel);
      EXPECT_EQ(answers.steps.at("op").bytes, net.elements("a") + op.other_bytes(net) + net.elements("op"));
      EXPECT_FALSE(answers.kernels.contains("plain"));
    }
}
INSTANTIATE_TEST_SUITE_P(Ops, FakeQuantizedRowOp, ::testing::ValuesIn(kOps), [](const auto& of) { return of.param.name; });

// Input and output of the plan are floats: the op fake-quantizes what it reads.
TEST_P(FakeQuantizedRowOp, QuantizesAFloatInput) {
  const RowOpCase& op = GetParam();
  QuantizedNet net;
  net.input("x", {2, 7, 9, 5});
  net.input("a", {2, 7, 9, 17});
  op.build(net, net.fake_quant("a", {0.02f, 100, false}));
  const Answers answers = net.expect_answers({"op"}, 50);
  EXPECT_EQ(answers.steps.at("op").kernel, op.kernel);
}

// A plan may take the input quantized, which changes no answer.
TEST_P(FakeQuantizedRowOp, TakesAQuantizedInputOfThePlan) {
  const QuantParams quant{0.02f, 100, false};
  QuantizedNet net;
  net.input("x", {2, 7, 9, 5});
  net.input("a", {2, 7, 9, 17});
  GetParam().build(net, net.fake_quant("a", quant));
  const Tensor wanted = net.expect_answers({"op"}, 50).plan.at(0);
  PlanOptions o;
  o.outputs = {"op"};
  o.quantized_inputs = true;
  Runner r(Plan::compile(net.graph, o));
  for (size_t i = 0; i < r.plan().inputs().size(); ++i) {
    const TensorSpec& spec = r.plan().inputs()[i];
    const Tensor& floats = net.data.at(spec.name);
    Tensor& in = r.input(static_cast<int>(i));
    EXPECT_TRUE(spec.quant || spec.name != "a");
    if (!spec.quant) std::memcpy(in.raw(), floats.raw(), floats.bytes());
    for (int64_t n = 0; spec.quant && n < floats.size(); ++n) {
      const float q = std::nearbyint(floats.data<float>()[n] * spec.quant->inverse_scales.at(0));
      in.data<uint8_t>()[n] = static_cast<uint8_t>(std::clamp(q, spec.quant->qmin, spec.quant->qmax) - spec.quant->qmin);
    }
  }
  r.run();
  EXPECT_EQ(worst_difference(r.output(0), wanted), 0);  // zeros may have another sign
}

}  // namespace
}  // namespace cytodet
