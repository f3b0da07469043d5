// Quantized convolutions as TensorFlow's integer convolutions and back.
#include "graph/passes/tf_int8.h"

#include <gtest/gtest.h>

#include <cmath>

#include "graph/passes/raise_int8.h"
#include "tests/graph/fixtures.h"
#include "tests/uniform_tensor.h"

namespace cytodet {
namespace {

using namespace test;

struct Conv {
  std::string name, padding;
  int64_t kernel, stride, height, width;
  bool depthwise = false;
  std::string activation;  // Relu, Relu6, swish or none
  float low = -0.3f, high = 2;
  bool is_signed = false, biased = true;
  std::vector<int64_t> pads;
};

void PrintTo(const Conv& c, std::ostream* out) { *out << c.name; }

constexpr int64_t kIn = 4, kOut = 6, kMultiplier = 2;

int64_t channels(const Conv& c) { return c.depthwise ? kIn * kMultiplier : kOut; }

Graph float_graph(const Conv& c) {
  Graph g;
  placeholder(g, "x", {1, c.height, c.width, kIn});
  constant(g, "w", uniform_tensor({c.kernel, c.kernel, kIn, c.depthwise ? kMultiplier : kOut}, 1, -1, 1));
  AttrMap attrs = conv_attrs(c.padding, c.stride);
  if (!c.pads.empty()) attrs["explicit_paddings"] = ints(c.pads);
  add(g, "conv", c.depthwise ? "DepthwiseConv2dNative" : "Conv2D", {"x", "w"}, attrs);
  std::string last = "conv";
  if (c.biased) {
    constant(g, "b", uniform_tensor({channels(c)}, 2, -1, 1));
    add(g, "bias", "BiasAdd", {"conv", "b"});
    last = "bias";
  }
  if (c.activation.starts_with("Relu")) add(g, last = "relu", c.activation, {c.biased ? "bias" : "conv"});
  if (c.activation == "swish") {
    add(g, "sigmoid", "Sigmoid", {last});
    add(g, "swish", "Mul", {last, "sigmoid"});
    last = "swish";
  }
  add(g, "out", "Identity", {last});
  return g;
}

Graph quantized_graph(const Conv& c) {
  Graph g = float_graph(c);
  const Tensor w = *g.constant(g.find("w"));
  set_quantized(g, g.find("conv"), QuantParams::of_range(c.low, c.high, c.is_signed), quantize_weights(w, channels(c), true));
  return g;
}

Tensor feed(const Conv& c) { return uniform_tensor({1, c.height, c.width, kIn}, 3, c.low, c.high); }

OutputRanges range_of(const Graph& g, const Conv& c) {
  const char* value = c.activation.starts_with("Relu") ? "relu" : c.biased ? "bias" : "conv";
  const std::vector<float> v = run(g, value, feed(c));
  const auto [low, high] = std::minmax_element(v.begin(), v.end());
  return {{"conv", {*low, *high}}};
}

double step(const OutputRanges& ranges, const Conv& c) {
  const auto [low, high] = ranges.at("conv");
  return (high - (c.activation.starts_with("Relu") ? 0 : low)) / 255;
}

class TfInt8 : public ::testing::TestWithParam<Conv> {};

TEST_P(TfInt8, ComputesTheSame) {
  Graph g = quantized_graph(GetParam());
  const std::vector<float> wanted = run(g, "out", feed(GetParam()));
  const OutputRanges ranges = range_of(g, GetParam());
  ASSERT_EQ(to_tensorflow_int8(g, ranges), 1);
  g.check();
  EXPECT_EQ(count(g, "Conv2D") + count(g, "DepthwiseConv2dNative"), 0);
  const std::vector<float> got = run(g, "out", feed(GetParam()));
  ASSERT_EQ(got.size(), wanted.size());
  // Half a step of the quantized result; swish is at most 1.1 times as steep. A value between two quantized inputs may round
  // either way.
  const double tolerance = step(ranges, GetParam()) * 0.51 * 1.1 + 1e-4;
  size_t off = 0;
  for (size_t i = 0; i < got.size(); ++i) off += std::abs(got[i] - wanted[i]) > tolerance;
  EXPECT_LE(off, got.size() / 100);
}

TEST_P(TfInt8, IsRaised) {
  const Graph before = quantized_graph(GetParam());
  Graph g = before;
  ASSERT_EQ(to_tensorflow_int8(g, range_of(before, GetParam())), 1);
  PassOptions only;
  only.only = {"raise_int8"};
  EXPECT_TRUE(run_passes(g, only)[0].changed);
  const auto was = quantized_conv(before, before.find("conv")), is = quantized_conv(g, g.require("conv"));
  ASSERT_TRUE(was && is);
  EXPECT_EQ(g.name_of(is->input), "x");
  EXPECT_EQ(is->quant.zero_point, was->quant.zero_point);
  EXPECT_EQ(is->quant.is_signed, was->quant.is_signed);
  EXPECT_FLOAT_EQ(is->quant.scale, was->quant.scale);
  EXPECT_EQ(is->weights.values.shape(), was->weights.values.shape());
  EXPECT_TRUE(std::ranges::equal(is->weights.values.span<int8_t>(), was->weights.values.span<int8_t>()));
  ASSERT_EQ(is->weights.scales.size(), was->weights.scales.size());
  for (size_t c = 0; c < was->weights.scales.size(); ++c) EXPECT_FLOAT_EQ(is->weights.scales[c], was->weights.scales[c]);
  for (const char* op : {"BiasAdd", "Relu", "Relu6", "PadV2", "AddV2", "Dequantize", "Conv2D", "DepthwiseConv2dNative"})
    EXPECT_EQ(count(g, op), count(before, op)) << op;
  EXPECT_EQ(g.node(g.find("conv")).attr<std::string>("padding"), GetParam().padding);
  const std::vector<float> wanted = run(before, "out", feed(GetParam())), got = run(g, "out", feed(GetParam()));
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], wanted[i], 2e-5) << i;
}

// After all passes a raised graph still has its INT8 values, and passes find nothing more to do.
TEST_P(TfInt8, PassesKeepTheForm) {
  Graph g = quantized_graph(GetParam());
  to_tensorflow_int8(g, range_of(g, GetParam()));
  const std::vector<float> integer = run(g, "out", feed(GetParam()));
  run_passes(g, {});
  ASSERT_TRUE(quantized_conv(g, g.require("conv")));
  const int nodes = g.size();
  for (const PassReport& report : run_passes(g, {})) EXPECT_FALSE(report.changed) << report.pass;
  EXPECT_EQ(g.size(), nodes);
  ASSERT_TRUE(quantized_conv(g, g.require("conv")));
}

// The same layers by the ops of older tools, which list in their names what is fused.
void use_old_names(Graph& g) {
  for (NodeId id : g.ids()) {
    Node& n = g.node(id);
    if (!n.op.starts_with("_FusedQuantized")) continue;
    const AttrList fused = n.attr<AttrList>("fused_ops");
    const bool relu = fused.strings.size() == 3;
    const std::string op = n.op.substr(6) + "WithBias" + (relu ? "AndRelu" : "") + "AndRequantize";
    if (op == "QuantizedDepthwiseConv2DWithBiasAndRequantize") continue;  // there is none
    n.op = op;
    for (const char* own : {"fused_ops", "Thost_inputs", "Thost_outputs", "Tsummand", "_observed"}) n.attrs.erase(own);
    if (const AttrList pads = n.attr_or("explicit_paddings", AttrList{}); !pads.ints.empty()) {
      n.attrs["padding"] = std::string("VALID");
      n.attrs["padding_list"] = pads;
      n.attrs.erase("explicit_paddings");
    }
  }
}

TEST_P(TfInt8, AnswersAlikeByOldNames) {
  const Graph before = quantized_graph(GetParam());
  const OutputRanges ranges = range_of(before, GetParam());
  Graph fused = before, old;
  to_tensorflow_int8(fused, ranges);
  old = fused;
  use_old_names(old);
  const std::vector<float> wanted = run(fused, "out", feed(GetParam())), plain = run(old, "out", feed(GetParam()));
  run_passes(old, {});
  ASSERT_TRUE(has_quantized(old));
  const std::vector<float> raised = run(old, "out", feed(GetParam()));
  for (size_t i = 0; i < wanted.size(); ++i) {
    ASSERT_NEAR(plain[i], wanted[i], 1e-5) << i;
    ASSERT_NEAR(raised[i], wanted[i], step(ranges, GetParam()) * 1.1 + 1e-4) << i;
  }
}

const Conv kConvs[] = {
    {"pointwise", "SAME", 1, 1, 5, 7},
    {"pointwise_stride2", "SAME", 1, 2, 6, 7},
    {"dense_same", "SAME", 3, 1, 6, 7, false, "Relu"},
    {"dense_same_stride2", "SAME", 3, 2, 6, 7, false, "Relu6", -0.3f, 3},
    {"dense_valid", "VALID", 3, 1, 6, 7, false, "swish"},
    {"dense_explicit", "EXPLICIT", 3, 1, 6, 7, false, "", -1, 2, false, true, {0, 0, 1, 2, 2, 0, 0, 0}},
    {"dense_without_zero_point", "SAME", 3, 2, 6, 6, false, "Relu", 0, 2},
    {"dense_explicit_without_zero_point", "EXPLICIT", 3, 1, 6, 7, false, "", 0, 2, false, true, {0, 0, 1, 2, 2, 0, 0, 0}},
    {"dense_signed", "SAME", 3, 2, 6, 6, false, "swish", -1, 2, true},
    {"dense_without_bias", "SAME", 3, 1, 5, 5, false, "", -1, 2, false, false},
    {"dense_relu_without_bias", "SAME", 3, 1, 5, 5, false, "Relu", -1, 2, false, false},
    {"depthwise3_stride2", "SAME", 3, 2, 8, 6, true, "swish"},
    {"depthwise5_stride2", "SAME", 5, 2, 8, 10, true, "Relu6", -0.27f, 4},
    {"depthwise5", "SAME", 5, 1, 7, 6, true, "swish"},
    {"depthwise_signed", "SAME", 3, 1, 7, 6, true, "", -2, 2, true},
    {"depthwise_without_zero_point", "SAME", 3, 2, 8, 6, true, "Relu", 0, 3},
    {"depthwise_explicit", "EXPLICIT", 3, 2, 8, 6, true, "", -1, 3, false, true, {0, 0, 1, 1, 1, 1, 0, 0}},
};
INSTANTIATE_TEST_SUITE_P(Convolutions, TfInt8, ::testing::ValuesIn(kConvs), [](const auto& given) { return given.param.name; });

const Conv kPlain{"plain", "SAME", 3, 1, 6, 6, false, "Relu"};

TEST(TfInt8Rules, ConvolutionWithoutRangeOrKeptPreciseStays) {
  Graph g = quantized_graph(kPlain);
  const OutputRanges ranges = range_of(g, kPlain);
  EXPECT_EQ(to_tensorflow_int8(g, {}), 0);
  EXPECT_EQ(to_tensorflow_int8(g, ranges, {{}, {"conv"}}), 0);
  EXPECT_EQ(to_tensorflow_int8(g, {{"conv", {0, 0}}}), 0);
  EXPECT_TRUE(quantized_conv(g, g.find("conv")));
}

TEST(TfInt8Rules, AnOutputInTheChainEndsIt) {
  Graph g = quantized_graph(kPlain);
  EXPECT_EQ(to_tensorflow_int8(g, {{"conv", {-5, 5}}}, {{{}, {"bias", "out"}}, {}}), 1);
  EXPECT_EQ(g.node(g.require("bias")).op, "Dequantize");
  EXPECT_EQ(g.node(g.require("relu")).op, "Relu");
}

TEST(TfInt8Rules, SharedInputIsQuantizedOnce) {
  Graph g = float_graph(kPlain);
  add(g, "other", "Conv2D", {"x", "w"}, conv_attrs("SAME"));
  const QuantizedWeights w = quantize_weights(*g.constant(g.find("w")), kOut, true);
  for (const char* conv : {"conv", "other"}) set_quantized(g, g.find(conv), QuantParams::of_range(-.3f, 2, false), w);
  EXPECT_EQ(to_tensorflow_int8(g, {{"conv", {0, 9}}, {"other", {-9, 9}}}), 2);
  EXPECT_EQ(count(g, "QuantizeV2"), 1);
  EXPECT_EQ(g.node(g.require("other")).op, "Dequantize");
  g.require("conv_eightbit_quantize_x");
  g.require("conv_eightbit_requantize");
}

TEST(TfInt8Rules, AnUnknownSizeThatPaddingNeedsStays) {
  Conv strided = kPlain;
  strided.stride = 2;
  Graph g = quantized_graph(strided);
  g.node(g.find("x")).attrs["shape"] = ShapeAttr{true, {1, -1, -1, kIn}};
  EXPECT_EQ(to_tensorflow_int8(g, {{"conv", {0, 9}}}), 0);
  EXPECT_TRUE(quantized_conv(g, g.find("conv")));
}

// Files of other programs: the ops that Intel's TensorFlow tools write.
struct Foreign {
  Graph g;
  Tensor quantized = Tensor(DType::qint8, {1, 1, 2, 3});
  Foreign() {
    for (int64_t i = 0; i < quantized.size(); ++i) quantized.data<int8_t>()[i] = static_cast<int8_t>(20 * i - 50);
    placeholder(g, "x", {1, 2, 2, 2});
    for (auto [name, v] : {std::pair{"zero", 0.0f}, {"four", 4.0f}, {"six", 6.0f}}) constant(g, name, Tensor::scalar(v));
    constant(g, "filter", quantized);
    constant(g, "low", Tensor::from<float>({3}, {-1, -2, -3}));
    constant(g, "high", Tensor::from<float>({3}, {1, 2, 3}));
    constant(g, "bias", Tensor::from<float>({3}, {.5f, -.5f, .25f}));
    AttrMap scaled;
    scaled["T"] = DType::quint8;
    scaled["mode"] = "SCALED";
    add(g, "codes", "QuantizeV2", {"x", "zero", "four"}, scaled);
    add(g, "q", "QuantizedConv2DWithBiasAndReluAndRequantize",
        {"codes", "filter", "bias", "codes:1", "codes:2", "low", "high", "zero", "six"}, attrs());
  }
  AttrMap attrs() const {
    AttrMap a = conv_attrs("SAME");
    a["Tinput"] = a["out_type"] = DType::quint8;
    return a;
  }
  void dequantize(const std::string& quantized_name, const std::string& name) {
    AttrMap scaled;
    scaled["T"] = DType::quint8;
    scaled["mode"] = "SCALED";
    add(g, name, "Dequantize", {quantized_name, quantized_name + ":1", quantized_name + ":2"}, scaled);
  }
  // q -> pool -> q2 -> out, where q2 has a filter of its own, and q's bias and ranges.
  void add_second_layer() {
    AttrMap pool;
    pool["T"] = DType::quint8;
    pool["ksize"] = pool["strides"] = ints({1, 1, 1, 1});
    pool["padding"] = std::string("VALID");
    add(g, "pool", "QuantizedMaxPool", {"q", "q:1", "q:2"}, pool);
    Tensor filter(DType::qint8, {1, 1, 3, 3});
    for (int64_t i = 0; i < filter.size(); ++i) filter.data<int8_t>()[i] = static_cast<int8_t>(25 * i - 90);
    constant(g, "filter2", filter);
    add(g, "q2", "QuantizedConv2DWithBiasAndReluAndRequantize",
        {"pool", "filter2", "bias", "pool:1", "pool:2", "low", "high", "zero", "six"}, attrs());
    dequantize("q2", "out");
  }
  bool raise() { return run_passes(g, {{{}, {"out"}}, {{"raise_int8"}}, {}, "", {}})[0].changed; }
};

TEST(Pass_raise_int8, OpsOfOldNames) {
  Foreign f;
  f.dequantize("q", "out");
  ASSERT_TRUE(f.raise());
  EXPECT_EQ(f.g.node(f.g.require("out")).op, "Relu6");
  const auto q = quantized_conv(f.g, f.g.require("q"));
  ASSERT_TRUE(q);
  EXPECT_EQ(f.g.name_of(q->input), "x");
  EXPECT_EQ(q->quant, (QuantParams{4.0f / 255, 0, false}));
  EXPECT_EQ(q->weights.scales, (std::vector<float>{1 / 127.0f, 2 / 127.0f, 3 / 127.0f}));
  // 1 and 4 are quantized to 64 and 255.
  const std::vector<float> out = run(f.g, "out", Tensor::from<float>({1, 2, 2, 2}, {1, 4, 0, 0, 4, 4, 1, 1}));
  const double a = 64 * 4 / 255.0, sum = a * 50 * 3 / 127 * -1;
  EXPECT_NEAR(out[0], std::max(0.0, a * -50 / 127 + 4 * 10 / 127.0 + .5), 1e-5);
  EXPECT_NEAR(out[2], std::max(0.0, sum / 5 + 4 * 50 * 3 / 127.0 + .25), 1e-5);
}

TEST(Pass_raise_int8, QuantizedFromOneToTheNext) {
  Foreign f;
  constant(f.g, "filter2", f.quantized.reshaped({1, 1, 3, 2}));
  constant(f.g, "bias2", [] {
    Tensor t(DType::qint32, {2});
    t.data<int32_t>()[0] = 1000;
    return t;
  }());
  add(f.g, "q2", "QuantizedConv2DWithBiasAndReluAndRequantize",
      {"q", "filter2", "bias2", "q:1", "q:2", "zero", "four", "zero", "four"}, f.attrs());
  f.dequantize("q2", "out");
  f.g.node(f.g.find("q2")).inputs[3] = f.g.value("zero");
  f.g.node(f.g.find("q2")).inputs[4] = f.g.value("six");
  ASSERT_TRUE(f.raise());
  EXPECT_EQ(count(f.g, "Conv2D"), 2);
  const auto q = quantized_conv(f.g, f.g.require("q2"));
  ASSERT_TRUE(q && quantized_conv(f.g, f.g.require("q")));
  EXPECT_EQ(f.g.node(q->input.node).op, "Relu6");
  const Tensor& bias = *f.g.constant(f.g.require("q2/bias"));
  EXPECT_FLOAT_EQ(bias.data<float>()[0], 1000 * (6.0f / 255) * (4.0f / 127));
}

// What reads the quantized values still does, by their node's name, also where no float form of it is known.
TEST(Pass_raise_int8, CodesThatOthersReadStay) {
  Foreign f;
  add(f.g, "out", "Unknown", {"q", "q:1", "q:2"});
  Graph kept = f.g;
  ASSERT_TRUE(f.raise());
  EXPECT_EQ(count(f.g, "Conv2D"), 1);
  const Node& codes_node = f.g.node(f.g.node(f.g.find("out")).inputs[0].node);
  EXPECT_EQ(codes_node.op, "QuantizeV2");
  const Tensor x = uniform_tensor({1, 2, 2, 2}, 5, 0, 4);
  for (const char* slot : {"", ":1", ":2"}) {
    const auto value = [&](const Graph& g, Value v) { return interpret(g, {{g.value("x"), x}}, {{v.node, v.slot}})[0]; };
    const int s = slot[0] ? slot[1] - '0' : 0;
    const Tensor was = value(kept, {kept.find("q"), s}), is = value(f.g, {f.g.node(f.g.find("out")).inputs[0].node, s});
    for (int64_t i = 0; i < was.size(); ++i) EXPECT_NEAR(was.as_double(i), is.as_double(i), s ? 1e-5 : 1.01);
  }
}

TEST(Pass_raise_int8, AMaximumOfCodesIsThatOfNumbers) {
  Foreign f;
  AttrMap attrs;
  attrs["T"] = DType::quint8;
  attrs["ksize"] = attrs["strides"] = ints({1, 2, 2, 1});
  attrs["padding"] = std::string("VALID");
  add(f.g, "pool", "QuantizedMaxPool", {"q", "q:1", "q:2"}, attrs);
  f.dequantize("pool", "out");
  Graph before = f.g;
  ASSERT_TRUE(f.raise());
  EXPECT_EQ(count(f.g, "QuantizedMaxPool"), 0);
  const Tensor x = uniform_tensor({1, 2, 2, 2}, 5, 0, 4);
  const std::vector<float> wanted = run(before, "out", x), got = run(f.g, "out", x);
  for (size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(got[i], wanted[i], 6.0 / 255);
}

// A range that a tool chose cuts off what lies beyond it.
TEST(Pass_raise_int8, ARangeThatWasChosenClips) {
  Foreign f;
  constant(f.g, "two", Tensor::scalar(2.0f));
  f.g.node(f.g.find("q")).inputs[8] = f.g.value("two");
  f.dequantize("q", "out");
  Graph before = f.g;
  ASSERT_TRUE(f.raise());
  const Tensor x = uniform_tensor({1, 2, 2, 2}, 5, 3, 4);
  const std::vector<float> wanted = run(before, "out", x), got = run(f.g, "out", x);
  EXPECT_EQ(*std::max_element(wanted.begin(), wanted.end()), 2) << "the case clips";
  for (size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(got[i], wanted[i], 2.0 / 255);
}

// Each run computes the range of what the first layer reads: that one computes with floats, on the same numbers, and those behind
// it, whose ranges are constant, with 8 bits.
TEST(Pass_raise_int8, OnlyTheLayerWhoseRangeIsComputedIsNotIn8Bits) {
  Foreign f;
  add(f.g, "top", "Max", {"x", "all"}, [&f] {
    constant(f.g, "all", Tensor::from<int32_t>({4}, {0, 1, 2, 3}));
    return AttrMap{{"keep_dims", false}};
  }());
  f.g.node(f.g.find("codes")).inputs[2] = f.g.value("top");
  f.add_second_layer();
  const Graph before = f.g;
  const std::vector<UnraisedNode> left = unraised_nodes(before, {{}, {"out"}});
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].name, "q");
  EXPECT_NE(left[0].why.find("freeze_min, freeze_max"), std::string::npos) << left[0].why;
  ASSERT_TRUE(f.raise());
  EXPECT_EQ(count(f.g, "QuantizedConv2DWithBiasAndReluAndRequantize"), 0);
  EXPECT_EQ(count(f.g, "Conv2D"), 2);
  EXPECT_FALSE(quantized_conv(f.g, f.g.require("q")));
  EXPECT_TRUE(quantized_conv(f.g, f.g.require("q2")));
  const Tensor x = uniform_tensor({1, 2, 2, 2}, 5, 0, 4);
  const std::vector<float> wanted = run(before, "out", x), got = run(f.g, "out", x);
  for (size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(got[i], wanted[i], 6.0 / 255 * 1.02);
}

// A layer that stays (its bias is in units of a range that is not known) does not keep those behind it.
TEST(Pass_raise_int8, LayersBehindOneThatStaysAreRaised) {
  Foreign f;
  placeholder(f.g, "top", {});
  f.g.node(f.g.find("codes")).inputs[2] = f.g.value("top");
  Tensor whole(DType::qint32, {3});
  for (int i = 0; i < 3; ++i) whole.data<int32_t>()[i] = 100 * i;
  constant(f.g, "whole", whole);
  f.g.node(f.g.find("q")).inputs[2] = f.g.value("whole");
  f.add_second_layer();
  const Graph before = f.g;
  ASSERT_TRUE(f.raise());
  EXPECT_EQ(count(f.g, "QuantizedConv2DWithBiasAndReluAndRequantize"), 1);
  EXPECT_EQ(count(f.g, "QuantizedMaxPool"), 0);
  EXPECT_TRUE(quantized_conv(f.g, f.g.require("q2")));
  const Feeds feeds{{f.g.value("x"), uniform_tensor({1, 2, 2, 2}, 5, 0, 4)}, {f.g.value("top"), Tensor::scalar(3.5f)}};
  const Tensor wanted = interpret(before, feeds, {before.value("out")})[0], got = interpret(f.g, feeds, {f.g.value("out")})[0];
  for (int64_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(got.as_double(i), wanted.as_double(i), 6.0 / 255 * 1.02);
}

TEST(Pass_raise_int8, ASumThatIsNoZeroPointStays) {
  Foreign f;
  f.dequantize("q", "out");
  constant(f.g, "half_code", Tensor::scalar(4.0f / 255 * 10.5f));
  add(f.g, "sum", "AddV2", {"x", "half_code"});
  f.g.node(f.g.find("codes")).inputs[0] = f.g.value("sum");
  ASSERT_TRUE(f.raise());
  const auto q = quantized_conv(f.g, f.g.require("q"));
  EXPECT_EQ(f.g.name_of(q->input), "sum");
  EXPECT_EQ(q->quant.zero_point, 0);
}

}  // namespace
}  // namespace cytodet
