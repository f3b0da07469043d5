// Filters packed in few bits, and layers behind FakeQuant nodes: both are 8-bit layers once a graph is read.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "graph/io/tensorflow/graph_def.h"
#include "graph/ir/op.h"
#include "graph/passes/pass.h"
#include "graph/quantized/packed_filters.h"
#include "graph/quantized/quant_nodes.h"
#include "tests/uniform_tensor.h"

namespace cytodet {
namespace {

using test::uniform_tensor;

AttrList list_of(std::vector<int64_t> ints) {
  AttrList l;
  l.ints = std::move(ints);
  return l;
}

// x [1, 6, 6, inputs] -> conv of this filter.
struct FewBitsGraph {
  Graph g;
  NodeId conv;

  FewBitsGraph(const char* op, const Shape& filter) {
    Node x;
    x.name = "x";
    x.op = "Placeholder";
    x.attrs = {{"dtype", DType::f32}, {"shape", ShapeAttr{true, {1, 6, 6, filter[2]}}}};
    const NodeId input = g.add(std::move(x));
    Node n;
    n.name = "out";
    n.op = op;
    n.inputs = {{input, 0}, g.add_const("filter", uniform_tensor(filter, 1))};
    n.attrs = {{"T", DType::f32}, {"strides", list_of({1, 1, 1, 1})}, {"padding", std::string("SAME")}};
    conv = g.add(std::move(n));
  }
  Tensor answer() const {
    Graph copy = g;
    const NodeId x = copy.require("x");
    return interpret(copy, {{Value{x, 0}, uniform_tensor({1, 6, 6, copy.node(x).attr<ShapeAttr>("shape").dims[3]}, 2)}},
                     {copy.value("out")})[0];
  }
  bool run(const char* pass) {
    PassOptions o;
    o.interface = {{"x"}, {"out"}};
    o.only = {{pass}};
    return run_passes(g, o)[0].changed;
  }
};

void expect_alike(const Tensor& a, const Tensor& b, float tolerance) {
  ASSERT_EQ(a.shape(), b.shape());
  for (int64_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a.data<float>()[i], b.data<float>()[i], tolerance) << i;
}

// A filter of codes that are of so many kinds.
QuantizedWeights weights_of_kinds(const Shape& shape, int kinds, int apart) {
  QuantizedWeights w{Tensor(DType::i8, shape), std::vector<float>(static_cast<size_t>(shape[3]), 0.01f)};
  std::mt19937 random(3);
  for (int64_t i = 0; i < w.values.size(); ++i)
    w.values.data<int8_t>()[i] =
        static_cast<int8_t>((static_cast<int>(random() % static_cast<unsigned>(kinds)) - kinds / 2) * apart);
  return w;
}

TEST(Pass_unpack_filters, GivesTheSameCodesBack) {
  for (const auto& [kinds, apart] : {std::pair{15, 1}, {16, 7}, {2, 60}, {32, 5}, {20, 1}}) {
    FewBitsGraph t("Conv2D", {3, 3, 16, 24});
    const QuantizedWeights w = weights_of_kinds({3, 3, 16, 24}, kinds, apart);
    set_quantized(t.g, t.conv, QuantParams::of_range(-1, 1, false), w);
    const Tensor wanted = t.answer();
    const size_t before = encode_graph(t.g).size();
    const PackedFilters packed = pack_filters(t.g);
    EXPECT_EQ(packed.filters, 1);
    EXPECT_LT(packed.after, packed.before);
    EXPECT_FALSE(is_quantized(t.g, t.conv));
    t.g = parse_graph(encode_graph(t.g), "packed");
    t.conv = t.g.require("out");
    expect_alike(t.answer(), wanted, 0);
    EXPECT_TRUE(t.run("unpack_filters"));
    ASSERT_TRUE(is_quantized(t.g, t.conv)) << kinds;
    const QuantizedConv again = *quantized_conv(t.g, t.conv);
    for (int64_t i = 0; i < w.values.size(); ++i) ASSERT_EQ(again.weights.values.data<int8_t>()[i], w.values.data<int8_t>()[i]);
    EXPECT_LE(encode_graph(t.g).size(), before + 200);
    EXPECT_FALSE(t.run("unpack_filters"));
  }
}

TEST(Pass_unpack_filters, OnlyWhatIsWorthIt) {
  FewBitsGraph many("Conv2D", {3, 3, 16, 24}), small("Conv2D", {3, 3, 2, 4});
  set_quantized(many.g, many.conv, QuantParams::of_range(-1, 1, false), weights_of_kinds({3, 3, 16, 24}, 33, 1));
  set_quantized(small.g, small.conv, QuantParams::of_range(-1, 1, false), weights_of_kinds({3, 3, 2, 4}, 4, 1));
  EXPECT_EQ(pack_filters(many.g).filters, 0);
  EXPECT_EQ(pack_filters(small.g).filters, 0);
}

// As tensorflow-model-optimization writes a layer.
void fake_quantize(FewBitsGraph& t, float low, float high, int bits, bool constant_range, float lowest_of_filter = -1,
                   float highest_of_filter = 1) {
  Graph& g = t.g;
  const Value x = g.node(t.conv).inputs[0], w = g.node(t.conv).inputs[1];
  const int64_t channels = g.constant(w)->dim(3);
  Value top = g.add_const("max", Tensor::scalar(high));
  if (!constant_range)
    top = g.add_new("computed", "Max", {x, g.add_const("axes", Tensor::from<int32_t>({4}, {0, 1, 2, 3}))},
                    {{"T", DType::f32}, {"Tidx", DType::i32}, {"keep_dims", false}});
  const Value in = g.add_new("in_rounded", "FakeQuantWithMinMaxVars", {x, g.add_const("min", Tensor::scalar(low)), top},
                             {{"num_bits", int64_t{bits}}, {"narrow_range", false}});
  std::vector<float> lows(static_cast<size_t>(channels), lowest_of_filter),
      highs(static_cast<size_t>(channels), highest_of_filter);
  const Value filter =
      g.add_new("filter_rounded", "FakeQuantWithMinMaxVarsPerChannel",
                {w, g.add_const("lows", Tensor::from({channels}, lows)), g.add_const("highs", Tensor::from({channels}, highs))},
                {{"num_bits", int64_t{8}}, {"narrow_range", true}});
  g.node(t.conv).inputs[0] = in;
  g.node(t.conv).inputs[1] = filter;
}

TEST(Pass_raise_fake_quant, LayersOfOtherTools) {
  for (const char* op : {"Conv2D", "DepthwiseConv2dNative"}) {
    FewBitsGraph t(op, op == std::string("Conv2D") ? Shape{3, 3, 4, 6} : Shape{3, 3, 4, 1});
    fake_quantize(t, -0.9f, 0.95f, 8, true);
    const Tensor wanted = t.answer();
    EXPECT_TRUE(t.run("raise_fake_quant"));
    const std::optional<QuantizedConv> q = quantized_conv(t.g, t.conv);
    ASSERT_TRUE(q) << op;
    EXPECT_EQ(q->quant.zero_point, static_cast<int>(std::round(0.9f / (1.85f / 255))));
    EXPECT_FLOAT_EQ(q->weights.scales[0], 2.0f / 254);
    expect_alike(t.answer(), wanted, 0.02f);  // a number on the border between two codes may go to either
    EXPECT_FALSE(t.run("raise_fake_quant"));
  }
}

TEST(Pass_raise_fake_quant, OthersStay) {
  FewBitsGraph few("Conv2D", {3, 3, 4, 6}), computed("Conv2D", {3, 3, 4, 6}), skewed("Conv2D", {3, 3, 4, 6}),
      above("Conv2D", {3, 3, 4, 6});
  fake_quantize(few, -1, 1, 4, true);
  fake_quantize(computed, -1, 1, 8, false);
  fake_quantize(skewed, -1, 1, 8, true, -0.5f);
  fake_quantize(above, 0.5f, 1, 8, true);
  for (FewBitsGraph* t : {&few, &computed, &skewed, &above}) EXPECT_FALSE(t->run("raise_fake_quant"));
}

// Ranges that are no numbers, run backwards, are too wide or too narrow for steps between codes, or are stored otherwise than
// TensorFlow stores them.
TEST(Pass_raise_fake_quant, RangesWithoutStepsStay) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();
  const std::pair<float, float> ranges[] = {{kNaN, 1}, {-1, kNaN}, {-kInfinity, 1}, {-1, kInfinity},
                                            {1, -1},   {0, 0},     {-3e38f, 3e38f}, {-1e-45f, 0}};
  for (const auto& [low, high] : ranges) {
    FewBitsGraph t("Conv2D", {3, 3, 4, 6});
    fake_quantize(t, low, high, 8, true);
    EXPECT_FALSE(t.run("raise_fake_quant")) << low << " " << high;
    if (low >= 0) continue;
    FewBitsGraph of_filter("Conv2D", {3, 3, 4, 6});
    fake_quantize(of_filter, -1, 1, 8, true, low, high);
    EXPECT_FALSE(of_filter.run("raise_fake_quant")) << low << " " << high;
  }
  for (const char* which : {"lows", "highs"})
    for (const bool wide : {false, true}) {
      FewBitsGraph t("Conv2D", {3, 3, 4, 6});
      fake_quantize(t, -1, 1, 8, true);
      const int64_t count = wide ? 6 : 3;
      Tensor other(wide ? DType::f64 : DType::f32, {count});
      for (int64_t i = 0; i < count; ++i) {
        const double end = which == std::string("lows") ? -1 : 1;
        if (wide)
          other.data<double>()[i] = end;
        else
          other.data<float>()[i] = static_cast<float>(end);
      }
      t.g.node(t.g.require("filter_rounded")).inputs[which == std::string("lows") ? 1 : 2] = t.g.add_const("other", other);
      EXPECT_FALSE(t.run("raise_fake_quant")) << which << wide;
    }
}

}  // namespace
}  // namespace cytodet
