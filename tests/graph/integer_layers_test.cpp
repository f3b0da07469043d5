// The layers on 8-bit quantized values of older tools, on numbers that TensorFlow 2.15 with oneDNN gave, or, where it is wrong,
// their formula.
#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "core/dispatch.h"
#include "tests/graph/fixtures.h"

namespace cytodet {
namespace {

using namespace test;
using Numbers = std::vector<double>;

Tensor quantized(DType t, Shape shape, const Numbers& values) {
  Tensor out(t, std::move(shape));
  on_any(t, [&]<class T>() {
    if constexpr (std::is_arithmetic_v<T>)
      for (size_t i = 0; i < values.size(); ++i) out.data<T>()[i] = static_cast<T>(values[i]);
  });
  return out;
}
Tensor number(float v) { return Tensor::scalar(v); }
Tensor list(const std::vector<float>& v) { return Tensor::from({static_cast<int64_t>(v.size())}, v); }

Numbers numbers(const Tensor& t) {
  Numbers v;
  for (int64_t i = 0; i < t.size(); ++i) v.push_back(t.as_double(i));
  return v;
}

Node node(const std::string& op, AttrMap attrs = {}) {
  Node n;
  n.name = "n";
  n.op = op;
  n.attrs = std::move(attrs);
  return n;
}

AttrMap conv(const char* padding = "VALID", DType out = DType::invalid) {
  AttrMap a = conv_attrs(padding);
  if (out != DType::invalid) a["out_type"] = out;
  return a;
}

// A 6 pixels wide row of two channels, a filter of two pixels and two channels.
struct Q {
  Tensor x = quantized(DType::quint8, {1, 1, 6, 2}, {10, 40, 20, 50, 30, 60, 0, 255, 128, 5, 7, 9});
  Tensor w = quantized(DType::qint8, {1, 2, 2, 2}, {10, -20, 30, 40, 1, -2, 3, -4});
  Tensor depthwise = quantized(DType::qint8, {1, 2, 2, 1}, {10, -20, 30, 40});
  Tensor bias = list({.5f, -.25f}), whole_bias = quantized(DType::qint32, {2}, {1000, -700});
  std::vector<Tensor> x_range{number(0), number(6)}, pt{number(-2), number(2)}, pc{list({-2, -.75f}), list({2, .75f})};
};

std::vector<Tensor> joined(std::initializer_list<std::vector<Tensor>> parts) {
  std::vector<Tensor> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

class IntegerLayers : public ::testing::Test, protected Q {
 protected:
  std::vector<Tensor> run(const std::string& op, const AttrMap& attrs, const std::vector<Tensor>& in) {
    return evaluate(node(op, attrs), in);
  }
  Numbers first(const std::string& op, const AttrMap& attrs, const std::vector<Tensor>& in) {
    return numbers(run(op, attrs, in)[0]);
  }
  // x, w, bias (or none), ranges, frozen range.
  std::vector<Tensor> given(const std::vector<Tensor>& biases, const std::vector<Tensor>& filter_range,
                            const std::vector<Tensor>& more = {}) {
    return joined({{x, w}, biases, x_range, filter_range, more});
  }
  static std::vector<Tensor> to(float low, float high) { return {number(low), number(high)}; }
};

TEST_F(IntegerLayers, SumsAndTheirRange) {
  const std::vector<Tensor> out = run("QuantizedConv2D", conv(), given({}, pt));
  EXPECT_EQ(numbers(out[0]), (Numbers{1470, 1160, 1910, 1300, 2865, 780, 7793, 9924, 1464, -2410}));
  EXPECT_NEAR(out[1].as_double(), -795732.75, 1);
  EXPECT_NEAR(out[2].as_double(), 795732.75, 1);
  EXPECT_EQ(first("QuantizedConv2DWithBias", conv(), given({bias}, pt)),
            (Numbers{2819, 485, 3259, 625, 4214, 105, 9142, 9249, 2813, -3085}));
  EXPECT_EQ(first("QuantizedConv2DWithBiasAndRelu", conv(), given({bias}, pt)),
            (Numbers{2819, 485, 3259, 625, 4214, 105, 9142, 9249, 2813, 0}));
  EXPECT_EQ(run("QuantizedConv2DPerChannel", conv(), given({}, pc))[1].size(), 2);
}

TEST_F(IntegerLayers, Requantized) {
  const AttrMap u8 = conv("VALID", DType::quint8), s8 = conv("VALID", DType::qint8);
  const std::string relu = "QuantizedConv2DWithBiasAndReluAndRequantize";
  EXPECT_EQ(first(relu, u8, given({bias}, pt, to(0, 2))), (Numbers{133, 23, 154, 30, 199, 5, 255, 255, 133, 0}));
  EXPECT_EQ(first(relu, u8, given({bias}, pc, to(0, 2))), (Numbers{133, 0, 154, 0, 199, 0, 255, 144, 133, 0}));
  EXPECT_EQ(first(relu, u8, given({whole_bias}, pc, to(0, 2))), (Numbers{117, 8, 137, 11, 183, 1, 255, 163, 116, 0}));
  EXPECT_EQ(first("QuantizedConv2DWithBiasAndRequantize", s8, given({bias}, pc, to(-3, 2))),
            (Numbers{44, -4, 51, -3, 66, -6, 127, 48, 44, -25}));
  EXPECT_EQ(first("QuantizedConv2DAndRequantize", s8, given({}, pt, to(-3, 2))),
            (Numbers{23, 18, 30, 20, 45, 12, 122, 127, 23, -38}));
  EXPECT_EQ(first("QuantizedConv2DAndReluAndRequantize", u8, given({}, pt, to(0, 2))),
            (Numbers{69, 55, 90, 61, 135, 37, 255, 255, 69, 0}));
}

TEST_F(IntegerLayers, Paddings) {
  const std::string op = "QuantizedConv2DWithBiasAndReluAndRequantize";
  AttrMap listed = conv("VALID", DType::quint8);
  listed["padding_list"] = ints({0, 0, 0, 0, 1, 1, 0, 0});
  const Numbers ten{133, 23, 154, 30, 199, 5, 255, 255, 133, 0};
  Numbers both{70, 0}, same = ten;
  both.insert(both.end(), ten.begin(), ten.end());
  for (double v : {80, 0}) both.push_back(v), same.push_back(v);
  EXPECT_EQ(first(op, listed, given({bias}, pt, to(0, 2))), both);
  EXPECT_EQ(first(op, conv("SAME", DType::quint8), given({bias}, pt, to(0, 2))), same);
}

TEST_F(IntegerLayers, Depthwise) {
  const auto in = [&](const std::vector<Tensor>& filter_range, const std::vector<Tensor>& more = {}) {
    return joined({{x, depthwise, bias}, x_range, filter_range, more});
  };
  EXPECT_EQ(first("QuantizedDepthwiseConv2DWithBiasAndRelu", conv(), in(pt)),
            (Numbers{2049, 525, 2449, 725, 1649, 8325, 5189, 0, 2839, 0}));
  EXPECT_EQ(first("QuantizedDepthwiseConv2DWithBiasAndReluAndRequantize", conv("VALID", DType::quint8), in(pc, to(0, 2))),
            (Numbers{97, 0, 116, 0, 78, 128, 245, 0, 134, 0}));
}

TEST_F(IntegerLayers, Summands) {
  const auto summand = [](DType t, const Numbers& values, double top) {
    Numbers rounded;
    for (double v : values) rounded.push_back(std::nearbyint(v * (t == DType::quint8 ? 255 : 127) / top));
    return quantized(t, {1, 1, 5, 2}, rounded);
  };
  const Tensor u8 = summand(DType::quint8, {.1, .5, 1, 2, .25, 3, 0, 1.5, 4, .75}, 4),
               s8 = summand(DType::qint8, {.1, -.5, 1, -2, .25, 3, -1, 1.5, 4, -.75}, 4);
  EXPECT_EQ(first("QuantizedConv2DWithBiasSumAndReluAndRequantize", conv("VALID", DType::quint8),
                  given({bias}, pt, joined({to(0, 4), {u8}, to(0, 4)}))),
            (Numbers{73, 43, 141, 143, 116, 193, 216, 255, 255, 0}));
  EXPECT_EQ(first("QuantizedConv2DWithBiasSignedSumAndReluAndRequantize", conv("VALID", DType::quint8),
                  given({bias}, pt, joined({to(0, 4), {s8}, to(-4, 4)}))),
            (Numbers{73, 0, 141, 0, 116, 193, 152, 255, 255, 0}));
}

TEST_F(IntegerLayers, MatMul) {
  const Tensor a = quantized(DType::quint8, {2, 3}, {10, 200, 30, 0, 255, 128}),
               b = quantized(DType::qint8, {3, 2}, {10, -20, 30, 40, -1, 2});
  const auto in = [&](const Tensor& given_bias, float low, const std::vector<Tensor>& more = {}) {
    return joined({{a, b, given_bias}, to(low, 6), pt, more});
  };
  AttrMap scaled, first_min;
  scaled["input_quant_mode"] = "SCALED";
  first_min["input_quant_mode"] = "MIN_FIRST";
  const std::string relu = "QuantizedMatMulWithBiasAndReluAndRequantize", floats = "QuantizedMatMulWithBiasAndDequantize";
  EXPECT_EQ(first("QuantizedMatMulWithBias", scaled, in(bias, 0)), (Numbers{7419, 7185, 8871, 9781}));
  EXPECT_EQ(first(relu, scaled, in(bias, 0, to(0, 4))), (Numbers{175, 170, 210, 231}));
  EXPECT_EQ(first(relu, scaled, in(whole_bias, 0, to(0, 4))), (Numbers{167, 169, 201, 230}));
  EXPECT_EQ(first(relu, first_min, in(bias, -1, to(0, 4))), (Numbers{160, 179, 200, 250}));
  EXPECT_EQ(first(relu, first_min, in(whole_bias, -1, to(0, 4))), (Numbers{195, 197, 235, 255}));
  const auto near = [&](const AttrMap& mode, float low, const Numbers& wanted) {
    const Numbers got = first(floats, mode, in(bias, low, to(0, 4)));
    for (size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(got.at(i), wanted[i], 2e-6);
  };
  near(scaled, 0, {2.7491896, 2.6624596, 3.2872164, 3.6243865});
  near(first_min, -1, {2.5098811, 2.8014127, 3.1375791, 3.9236607});
}

class Requantization : public ::testing::Test {
 protected:
  const Tensor sums = quantized(DType::qint32, {1, 1, 4, 2}, {1470, 1160, 1910, -1300, 2865, 780, 7793, 9924}),
               least = list({-1000, -500}), most = list({1000, 500});
  Numbers codes_of(const std::string& op, DType t, float low, float high, const Tensor& from_low, const Tensor& from_high) {
    AttrMap attrs;
    attrs["out_type"] = t;
    return numbers(evaluate(node(op, attrs), std::vector<Tensor>{sums, from_low, from_high, number(low), number(high)})[0]);
  }
};

TEST_F(Requantization, PerChannel) {
  EXPECT_EQ(codes_of("RequantizePerChannel", DType::quint8, 0, .003f, least, most), (Numbers{58, 23, 76, 0, 113, 15, 255, 196}));
  EXPECT_EQ(codes_of("RequantizePerChannel", DType::qint8, -.003f, .002f, least, most),
            (Numbers{29, 11, 38, -13, 56, 8, 127, 98}));
  const auto range = [&](const Tensor& x, AttrMap attrs) {
    return evaluate(node("RequantizationRangePerChannel", std::move(attrs)), std::vector<Tensor>{x, least, most});
  };
  EXPECT_NEAR(range(sums, {})[0].as_double(), -0.0036288984, 1e-9);
  EXPECT_NEAR(range(sums, {})[1].as_double(), 0.0036288984, 1e-9);
  const Tensor positive = quantized(DType::qint32, {1, 1, 1, 2}, {1470, 7793});
  EXPECT_EQ(range(positive, {})[0].as_double(), 0);
  AttrMap clip;
  clip["clip_value_max"] = .002f;
  EXPECT_NEAR(range(sums, clip)[1].as_double(), .002, 1e-9);
  EXPECT_NEAR(range(sums, clip)[0].as_double(), -.002, 1e-9);
}

TEST_F(Requantization, OneRange) {
  EXPECT_EQ(codes_of("Requantize", DType::quint8, 0, .003f, number(-1000), number(1000)),
            (Numbers{58, 46, 76, 0, 113, 31, 255, 255}));
  EXPECT_EQ(codes_of("Requantize", DType::qint8, -.003f, .002f, number(-1000), number(1000)),
            (Numbers{60, 53, 70, -6, 93, 44, 127, 127}));
  const std::vector<Tensor> in{sums, number(-1000), number(1000)}, range = evaluate(node("RequantizationRange"), in);
  EXPECT_NEAR(range[0].as_double(), -.00060512684, 1e-9);
  EXPECT_NEAR(range[1].as_double(), .0046214554, 1e-9);
  AttrMap attrs;
  attrs["out_type"] = DType::quint8;
  EXPECT_EQ(numbers(evaluate(node("QuantizeDownAndShrinkRange", attrs), in)[0]), (Numbers{63, 56, 73, 0, 95, 47, 207, 255}));
}

TEST(QuantizedMaps, Pools) {
  const Q q;
  const Tensor x = q.x.reshaped({1, 2, 3, 2});
  const auto pool = [&](const std::string& op, const Tensor& in, const char* padding) {
    AttrMap attrs;
    attrs["ksize"] = ints({1, 2, 2, 1});
    attrs["strides"] = ints({1, 1, 1, 1});
    attrs["padding"] = std::string(padding);
    return numbers(evaluate(node(op, attrs), std::vector<Tensor>{in, number(0), number(6)})[0]);
  };
  EXPECT_EQ(pool("QuantizedMaxPool", x, "VALID"), (Numbers{128, 255, 128, 60}));
  EXPECT_EQ(pool("QuantizedAvgPool", x, "VALID"), (Numbers{40, 88, 46, 31}));
  EXPECT_EQ(pool("QuantizedAvgPool", x, "SAME"), (Numbers{40, 88, 46, 31, 18, 34, 64, 130, 68, 7, 7, 9}));
  Tensor lowered(DType::qint8, x.shape());
  for (int64_t i = 0; i < x.size(); ++i) lowered.data<int8_t>()[i] = static_cast<int8_t>(x.as_int(i) - 128);
  EXPECT_EQ(pool("QuantizedAvgPool", lowered, "VALID"), (Numbers{-88, -40, -82, -97}));
}

TEST(QuantizedMaps, Concatenations) {
  const auto joined_codes = [](const std::string& op, DType t, const Numbers& values, float low1, float high1, float low2,
                               float high2) {
    const Tensor x = quantized(t, {1, 1, 2, 2}, values), axis = Tensor::scalar<int32_t>(3);
    std::vector<Tensor> in{x, x};
    in.insert(op == "QuantizedConcat" ? in.begin() : in.end(), axis);
    for (float v : {low1, low2, high1, high2}) in.push_back(number(v));
    return numbers(evaluate(node(op), in)[0]);
  };
  EXPECT_EQ(joined_codes("QuantizedConcatV2", DType::quint8, {0, 10, 100, 255}, 0, 2, 0, 4),
            (Numbers{0, 5, 0, 10, 50, 128, 100, 255}));
  EXPECT_EQ(joined_codes("QuantizedConcatV2", DType::qint8, {-128, -10, 100, 127}, -2, 2, -4, 4),
            (Numbers{-64, -5, -128, -10, 51, 64, 100, 127}));
  EXPECT_EQ(joined_codes("QuantizedConcat", DType::quint8, {0, 10, 100, 255}, -1, 2, 0, 4),
            (Numbers{0, 6, 51, 59, 60, 153, 131, 255}));
}

}  // namespace
}  // namespace cytodet
