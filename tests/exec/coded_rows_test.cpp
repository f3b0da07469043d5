// Pools, resizes, sums, products, gates and activations of codes, between convolutions on codes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "tests/exec/coded_net.h"
#include "tests/exec/compare.h"

namespace cytodet {
namespace {

using namespace test;

// An op "op" on the numbers of codes of the map "a" (and "b").
struct CodedOp {
  const char* name;
  const char* kernel;
  std::function<void(CodedNet&, const std::string& a)> build;  // a: of the map's codes
  // Bytes that its step reads besides those of "a".
  std::function<int64_t(CodedNet&)> other_bytes = [](CodedNet&) { return 0; };
};
void PrintTo(const CodedOp& op, std::ostream* os) { *os << op.name; }

const Quant kOther{0.04f, 0, true};

std::string second_map(CodedNet& net) {
  net.conv("b", "x", net.shape("a").back(), 3, Quant{0.03f, 128, false});
  return net.coded("b", kOther);
}
int64_t map_of_bytes(CodedNet& net) { return net.numbers("a"); }
int64_t map_of_floats(CodedNet& net) { return 4 * net.numbers("a"); }
int64_t gate_of_floats(CodedNet& net) { return 4 * net.numbers("gate"); }

Shape gate_shape(CodedNet& net) {
  const Shape map = net.shape("a");
  return {map[0], 1, 1, map[3]};
}

AttrMap half_pixels() {
  AttrMap attrs;
  attrs.emplace("half_pixel_centers", true);
  return attrs;
}

const CodedOp kOps[] = {
    {"AveragePool", "int8_avg_pool", [](CodedNet& net, const std::string& a) { net.op("op", "AvgPool", {a}, pool_attrs(3, 2)); }},
    {"MaxPool", "int8_max_pool", [](CodedNet& net, const std::string& a) { net.op("op", "MaxPool", {a}, pool_attrs(3, 1)); }},
    {"ResizeBilinear", "int8_resize_bilinear",
     [](CodedNet& net, const std::string& a) {
       net.sizes("size", {13, 12});
       net.op("op", "ResizeBilinear", {a, "size"}, half_pixels());
     }},
    {"ResizeNearest", "int8_weighted_sum",
     [](CodedNet& net, const std::string& a) {
       net.sizes("size", {14, 18});
       net.op("op", "ResizeNearestNeighbor", {a, "size"});
     }},
    {"SumOfTwoCodings", "int8_weighted_sum",
     [](CodedNet& net, const std::string& a) {
       const std::string b = second_map(net);
       net.op("op", "AddV2", {a, b});
     },
     map_of_bytes},
    {"SumOfCodesAndFloats", "int8_weighted_sum",
     [](CodedNet& net, const std::string& a) {
       net.input("y", net.shape("a"));
       net.op("op", "AddV2", {"y", a});
     },
     map_of_floats},
    {"SumWithAWeight", "int8_weighted_sum",
     [](CodedNet& net, const std::string& a) {
       const std::string b = second_map(net);
       constant(net.graph, "weight", Tensor::scalar(0.7f));
       net.op("weighted", "Mul", {a, "weight"});
       net.op("op", "AddV2", {"weighted", b});
     },
     map_of_bytes},
    {"SumWithItself", "int8_weighted_sum",
     [](CodedNet& net, const std::string& a) {
       net.op("op", "AddV2", {a, a});
     },
     map_of_bytes},
    {"Product", "int8_product",
     [](CodedNet& net, const std::string& a) {
       const std::string b = second_map(net);
       net.op("op", "Mul", {a, b});
     },
     map_of_bytes},
    {"Square", "int8_product",
     [](CodedNet& net, const std::string& a) {
       net.op("op", "Mul", {a, a});
     },
     map_of_bytes},
    {"Gate", "int8_gate",
     [](CodedNet& net, const std::string& a) {
       net.input("gate", gate_shape(net));
       net.op("op", "Mul", {"gate", a});
     },
     gate_of_floats},
    {"CodedGate", "int8_gate",
     [](CodedNet& net, const std::string& a) {
       net.input("gate", gate_shape(net));
       net.op("op", "Mul", {a, net.coded("gate", kOther)});
     },
     gate_of_floats},
    {"Relu", "int8_activation", [](CodedNet& net, const std::string& a) { net.op("op", "Relu", {a}); }},
    {"Sigmoid", "int8_activation", [](CodedNet& net, const std::string& a) { net.op("op", "Sigmoid", {a}); }},
    {"Swish", "int8_activation",
     [](CodedNet& net, const std::string& a) {
       net.op("sigmoid", "Sigmoid", {a});
       net.op("op", "Mul", {a, "sigmoid"});
     }},
};

class CodedRows : public ::testing::TestWithParam<CodedOp> {};

// Unsigned codes behind a Relu; signed and unsigned ones of numbers of both signs, some outside the range.
TEST_P(CodedRows, BetweenConvolutionsOnCodes) {
  const CodedOp& op = GetParam();
  for (const int64_t channels : {3, 16, 37})
    for (const auto& [quant, relu] :
         {std::pair{Quant{0.012f, 0, false}, true}, {Quant{0.016f, 0, true}, false}, {Quant{0.013f, 90, false}, false}}) {
      SCOPED_TRACE(testing::Message() << channels << " channels, zero point " << quant.zero_point << (relu ? ", Relu" : ""));
      CodedNet net;
      net.input("x", {2, 7, 9, 5});
      net.conv(relu ? "before" : "a", "x", channels, 1, Quant{0.03f, 128, false});
      if (relu) net.op("a", "Relu", {"before"});
      op.build(net, net.coded("a", quant));
      net.conv("out", "op", 8, 1, Quant{0.03f, 60, false});
      const Answers answers = net.expect_answers({"out"});
      ASSERT_TRUE(answers.steps.contains("op"));
      EXPECT_EQ(answers.steps.at("op").kernel, op.kernel);
      EXPECT_EQ(answers.steps.at("op").bytes, net.numbers("a") + op.other_bytes(net) + net.numbers("op"));
      EXPECT_FALSE(answers.kernels.contains("plain"));
    }
}
INSTANTIATE_TEST_SUITE_P(Ops, CodedRows, ::testing::ValuesIn(kOps), [](const auto& of) { return of.param.name; });

// The input of the plan is floats, and so is its output: the op makes codes of the one and numbers of the other.
TEST_P(CodedRows, OfFloatsIntoFloats) {
  const CodedOp& op = GetParam();
  CodedNet net;
  net.input("x", {2, 7, 9, 5});
  net.input("a", {2, 7, 9, 17});
  op.build(net, net.coded("a", {0.02f, 100, false}));
  const Answers answers = net.expect_answers({"op"}, 50);
  EXPECT_EQ(answers.steps.at("op").kernel, op.kernel);
}

// A plan may take the codes instead, which changes no answer.
TEST_P(CodedRows, OfAnInputOfCodes) {
  const Quant quant{0.02f, 100, false};
  CodedNet net;
  net.input("x", {2, 7, 9, 5});
  net.input("a", {2, 7, 9, 17});
  GetParam().build(net, net.coded("a", quant));
  const Tensor wanted = net.expect_answers({"op"}, 50).plan.at(0);
  PlanOptions o;
  o.outputs = {"op"};
  o.coded_inputs = true;
  Runner r(Plan::compile(net.graph, o));
  for (size_t i = 0; i < r.plan().inputs().size(); ++i) {
    const TensorSpec& spec = r.plan().inputs()[i];
    const Tensor& floats = net.data.at(spec.name);
    Tensor& in = r.input(static_cast<int>(i));
    EXPECT_TRUE(spec.codes || spec.name != "a");
    if (!spec.codes) std::memcpy(in.raw(), floats.raw(), floats.bytes());
    for (int64_t n = 0; spec.codes && n < floats.size(); ++n) {
      const float code = std::nearbyint(floats.data<float>()[n] * spec.codes->inverse_scales.at(0));
      in.data<uint8_t>()[n] =
          static_cast<uint8_t>(std::clamp(code, spec.codes->lowest, spec.codes->highest) - spec.codes->lowest);
    }
  }
  r.run();
  EXPECT_EQ(worst_difference(r.output(0), wanted), 0);  // zeros may have another sign
}

}  // namespace
}  // namespace cytodet
