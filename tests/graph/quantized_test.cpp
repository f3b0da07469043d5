// Quantized convolutions: what is set is read back, and means what the INT8 values say.
#include <gtest/gtest.h>

#include <cmath>

#include "graph/ir/op.h"
#include "graph/quantized/quant_nodes.h"
#include "tests/graph/cases.h"
#include "tests/graph/fixtures.h"
#include "tests/uniform_tensor.h"

namespace cytodet::test {
namespace {

struct Case1 {
  const char* op;
  Shape input, filter;
  int64_t channels;
  float low, high;
  bool symmetric, per_channel;
};

class SetQuantized : public ::testing::TestWithParam<Case1> {};

TEST_P(SetQuantized, IsReadBackAndMeansItsValues) {
  const Case1& c = GetParam();
  Graph g;
  Node x{"x", "Placeholder", "", {}, {}, {}, ""};
  x.attrs["dtype"] = DType::f32;
  const NodeId input = g.add(x);
  const Tensor filter = test::uniform_tensor(c.filter, 1, -0.5f, 0.7f),
               data = test::uniform_tensor(c.input, 2, c.low * 1.1f, c.high * 1.1f);
  Node n{"conv", c.op, "", {{input, 0}, g.add_const("w", filter)}, {}, {}, ""};
  n.attrs["T"] = DType::f32;
  if (std::string(c.op) != "MatMul") {
    AttrList ones;
    ones.ints = {1, 1, 1, 1};
    n.attrs["strides"] = ones;
    n.attrs["padding"] = std::string("SAME");
  }
  const NodeId conv = g.add(n);
  EXPECT_FALSE(quantized_conv(g, conv));
  const Tensor exact = interpret(g, {{{input, 0}, data}}, {{conv, 0}})[0];
  const QuantParams quant = QuantParams::of_range(c.low, c.high, c.symmetric);
  const QuantizedWeights weights = quantize_weights(filter, c.channels, c.per_channel);
  set_quantized(g, conv, quant, weights);
  g.check();
  EXPECT_TRUE(has_quantized(g));

  auto back = quantized_conv(g, conv);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->input, (Value{input, 0}));
  EXPECT_NEAR(back->quant.scale, quant.scale, 1e-6 * quant.scale);
  EXPECT_EQ(back->quant.zero_point, quant.zero_point);
  EXPECT_EQ(back->quant.is_signed, quant.is_signed);
  EXPECT_EQ(back->weights.values.shape(), filter.shape());
  ASSERT_EQ(back->weights.scales.size(), weights.scales.size());
  for (size_t i = 0; i < weights.scales.size(); ++i)
    EXPECT_NEAR(back->weights.scales[i], weights.scales[i], 1e-6 * weights.scales[i]);
  for (int64_t i = 0; i < filter.size(); ++i) ASSERT_EQ(back->weights.values.data<int8_t>()[i], weights.values.data<int8_t>()[i]);

  // The same convolution on fake-quantized values.
  Tensor fake_quantized(DType::f32, data.shape());
  for (int64_t i = 0; i < data.size(); ++i)
    fake_quantized.data<float>()[i] = quant.dequantize(quant.quantize(data.data<float>()[i]));
  Graph plain;
  x.name = "x";
  plain.add(x);
  n.inputs[1] = plain.add_const("w", dequantize_weights(weights));
  const NodeId plain_conv = plain.add(n);
  const Tensor wanted = interpret(plain, {{{input, 0}, fake_quantized}}, {{plain_conv, 0}})[0];
  const Tensor got = interpret(g, {{{input, 0}, data}}, {{conv, 0}})[0];
  EXPECT_EQ(difference(got, wanted), "");
  double noise = 0, signal = 0;
  for (int64_t i = 0; i < got.size(); ++i) {
    noise += std::pow(got.as_double(i) - exact.as_double(i), 2);
    signal += std::pow(exact.as_double(i), 2);
  }
  EXPECT_GT(10 * std::log10(signal / noise), c.low < 0 ? 25 : 20);
}

INSTANTIATE_TEST_SUITE_P(Forms, SetQuantized,
                         ::testing::Values(Case1{"Conv2D", {1, 5, 4, 3}, {3, 3, 3, 8}, 8, -1, 3, false, true},
                                           Case1{"Conv2D", {1, 5, 4, 3}, {1, 1, 3, 8}, 8, -1, 1, true, true},
                                           Case1{"Conv2D", {1, 5, 4, 3}, {1, 1, 3, 1}, 1, -1, 2, false, true},
                                           Case1{"Conv2D", {1, 5, 4, 3}, {3, 3, 3, 8}, 8, -0.28f, 6, false, false},
                                           Case1{"DepthwiseConv2dNative", {2, 6, 5, 4}, {3, 3, 4, 1}, 4, -1, 3, false, true},
                                           Case1{"DepthwiseConv2dNative", {1, 6, 5, 4}, {5, 5, 4, 2}, 8, -1, 3, true, true},
                                           Case1{"MatMul", {6, 20}, {20, 7}, 7, -1, 1.5f, false, true}));

TEST(Is16BitSafe, SumsOfFourValues) {
  const auto is_safe = [](int64_t rows, const std::map<int64_t, int>& values) {
    Tensor t(DType::i8, {rows, 2});
    for (const auto& [row, value] : values) t.data<int8_t>()[row * 2 + 1] = static_cast<int8_t>(value);
    return is_16bit_safe(t, 2);
  };
  EXPECT_TRUE(is_safe(0, {}));
  EXPECT_TRUE(is_16bit_safe(Tensor(DType::i8, {3, 0}), 0)) << "no channels";
  EXPECT_TRUE(is_safe(1, {{0, 127}}));
  EXPECT_TRUE(is_safe(8, {{0, 64}, {5, 64}}));
  EXPECT_FALSE(is_safe(8, {{0, 64}, {5, 65}}));
  EXPECT_FALSE(is_safe(16, {{1, -64}, {4, -65}}));
  EXPECT_TRUE(is_safe(16, {{1, -127}, {4, 127}})) << "of one sign";
  EXPECT_TRUE(is_safe(16, {{1, 127}, {2, 127}})) << "of two sums";
  EXPECT_TRUE(is_safe(12, {{5, 127}, {8, 127}})) << "of two blocks";
  EXPECT_FALSE(is_safe(11, {{8, 127}, {9, 2}}));
}

TEST(Is16BitSafe, FiltersAreQuantizedWithinTheirSums) {
  for (const Shape& shape : {Shape{1, 1, 96, 24}, Shape{3, 3, 3, 32}, Shape{700, 5}, Shape{5, 3}})
    for (bool per_channel : {true, false})
      for (float low : {-1.0f, 0.2f}) {
        const Tensor filter = test::uniform_tensor(shape, 3, low, 1);
        const int64_t channels = shape.back();
        const QuantizedWeights wide = quantize_weights(filter, channels, per_channel),
                               q = quantize_weights(filter, channels, per_channel, {127, true});
        EXPECT_TRUE(is_16bit_safe(q.values, channels));
        const Tensor back = dequantize_weights(q);
        int off_by_more = 0;
        for (int64_t i = 0; i < filter.size(); ++i) {
          const float scale = q.scales[per_channel ? static_cast<size_t>(i % channels) : 0];
          EXPECT_GE(scale, wide.scales[per_channel ? static_cast<size_t>(i % channels) : 0]);
          const float off = std::abs(back.data<float>()[i] - filter.data<float>()[i]) / scale;
          EXPECT_LT(off, 1.01f);
          off_by_more += off > 0.501f;
        }
        EXPECT_LE(off_by_more, filter.size() / 10) << "few values are moved";
      }
}

TEST(Is16BitSafe, ReachIsLimitedAlone) {
  const Tensor filter = test::uniform_tensor({40, 6}, 4, -1, 1);
  const QuantizedWeights q = quantize_weights(filter, 6, true, {64, false});
  int most = 0;
  for (int8_t value : q.values.span<int8_t>()) most = std::max(most, std::abs(value));
  EXPECT_EQ(most, 64);
}

TEST(QuantParams, FromRange) {
  EXPECT_EQ(QuantParams::of_range(0, 255, false), (QuantParams{1, 0, false}));
  EXPECT_EQ(QuantParams::of_range(-127, 12, true), (QuantParams{1, 0, true}));
  EXPECT_EQ(QuantParams::of_range(-1, 254, false), (QuantParams{1, 1, false}));
  EXPECT_EQ(QuantParams::of_range(5, 255, false), (QuantParams{1, 0, false}));  // zero is always exact
  EXPECT_EQ(QuantParams::of_range(-255, -3, false), (QuantParams{1, 255, false}));
  EXPECT_EQ(QuantParams::of_range(0, 0, false), (QuantParams{1, 0, false}));  // degenerate
  EXPECT_EQ(QuantParams::of_range(NAN, 3, true), (QuantParams{1, 0, true}));
  const QuantParams q = QuantParams::of_range(-0.278f, 5.1f, false);
  EXPECT_EQ(q.dequantize(q.quantize(0)), 0);
  EXPECT_EQ(q.quantize(100), 255);
  EXPECT_EQ(q.quantize(-100), 0);
  EXPECT_EQ(q.quantize(NAN), q.zero_point);
}

TEST(SetQuantizedShared, OneValueInOneCodeIsQuantizedOnce) {
  Graph g;
  Node x{"x", "Placeholder", "", {}, {}, {}, ""};
  x.attrs["dtype"] = DType::f32;
  const NodeId input = g.add(x);
  const Tensor w = test::uniform_tensor({4, 4}, 1, -1, 1);
  std::vector<NodeId> convs;
  for (const char* name : {"a", "b", "c"}) {
    Node n{name, "MatMul", "", {{input, 0}, g.add_const(std::string(name) + "w", w)}, {}, {}, ""};
    n.attrs["T"] = DType::f32;
    convs.push_back(g.add(n));
  }
  set_quantized(g, convs[0], QuantParams::of_range(-1, 2, false), quantize_weights(w, 4, true));
  set_quantized(g, convs[1], QuantParams::of_range(-1, 2, false), quantize_weights(w, 4, true));
  set_quantized(g, convs[2], QuantParams::of_range(-1, 2, true), quantize_weights(w, 4, true));
  int quantizes = 0;
  for (NodeId id : g.ids()) quantizes += g.node(id).op == "QuantizeV2";
  EXPECT_EQ(quantizes, 2);
}

}  // namespace
}  // namespace cytodet::test
