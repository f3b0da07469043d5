// Feature maps between layers that compute on bf16 are stored as bf16 where all readers take it: those of depthwise layers, and
// large ones.
#include <gtest/gtest.h>

#include <functional>

#include "exec/kernels/kernels.h"
#include "tests/exec/quantized_net.h"

namespace cytodet {
namespace {

using namespace test;

// Skipped where the kernels have no bf16.
class Bf16Storage : public ::testing::Test {
 protected:
  const bool has = has_precision(Precision::bf16);
  void SetUp() override { ASSERT_EQ(has, kernels().f32_to_bf16 != nullptr); }

  static int64_t bytes_of(const Graph& g, const std::vector<std::string>& outputs, Precision precision, const std::string& step) {
    PlanOptions o;
    o.outputs = outputs;
    o.precision = precision;
    for (const StepInfo& s : Plan::compile(g, o)->steps())
      if (s.name == step) return s.bytes;
    ADD_FAILURE() << "no step " << step;
    return 0;
  }
  // An output is floats, of 4 bytes a value; in float all maps are.
  void expect_storage(const QuantizedNet& net, std::vector<std::string> outputs, bool bf16,
                      const std::string& map = "map") const {
    if (!has) return;
    const auto saved = [&](Precision precision) {
      std::vector<std::string> with_map = outputs;
      with_map.push_back(map);
      return bytes_of(net.graph, with_map, precision, map) - bytes_of(net.graph, outputs, precision, map);
    };
    EXPECT_EQ(saved(Precision::bf16), bf16 ? 2 * elements(*Facts(net.graph).of(net.graph.value(map)).shape) : 0);
    EXPECT_EQ(saved(Precision::graph), 0);
  }
  void expect_answers(const QuantizedNet& net, const std::vector<std::string>& outputs, double min_db = 40) const {
    if (!has) return;
    const Answers a = run_both(net.graph, net.data, outputs, Precision::bf16);
    for (size_t i = 0; i < outputs.size(); ++i) {
      EXPECT_GT(sqnr_db(a.plan[i], a.plain[i]), min_db) << outputs[i];
      EXPECT_LT(sqnr_db(a.plan[i], a.plain[i]), 120) << outputs[i] << " is not computed in bfloat16";
    }
  }
};

void add_swish(QuantizedNet& net, const std::string& name, const std::string& in) {
  net.op(name + "/sigmoid", "Sigmoid", {in});
  net.op(name, "Mul", {in, name + "/sigmoid"});
}

// x [-> expansion] -> depthwise -> swish "map"; its mean -> product -> sigmoid; map * this -> product "out".
struct Bf16Block {
  Shape in{2, 13, 15, 24};
  int channels = 0;  // of an expansion; 0: none
  int kernel = 1;    // of "out"
};
QuantizedNet net_of(const Bf16Block& b) {
  QuantizedNet net;
  net.input("x", b.in);
  if (b.channels) {
    net.conv("e", "x", b.channels, 1, {});
    add_swish(net, "expanded", "e");
  }
  net.conv("dw", b.channels ? "expanded" : "x", 0, 0, {});
  add_swish(net, "map", "dw");
  net.sizes("axes", {1, 2});
  net.op("mean", "Mean", {"map", "axes"}, kept_dims());
  net.conv("excite", "mean", net.shape("map").back(), 1, {});
  net.op("gate", "Sigmoid", {"excite"});
  net.op("gated", "Mul", {"map", "gate"});
  net.conv("out", "gated", 20, b.kernel, {});
  return net;
}

TEST_F(Bf16Storage, DepthwiseLayerBeforeGatedProduct) {
  for (const Bf16Block& b : {Bf16Block{}, Bf16Block{{1, 12, 11, 8}, 37}, Bf16Block{{1, 9, 70, 17}}, Bf16Block{{1, 40, 33, 6}, 70},
                             Bf16Block{{1, 8, 8, 5}, 33}}) {
    SCOPED_TRACE(::testing::PrintToString(b.in) + " " + std::to_string(b.channels));
    const QuantizedNet net = net_of(b);
    expect_storage(net, {"out"}, true);
    expect_answers(net, {"out"});
  }
}

// Then the gate is a step of its own.
TEST_F(Bf16Storage, GateBeforeConvolution) {
  const QuantizedNet net = net_of({.kernel = 3});
  expect_storage(net, {"out"}, true);
  expect_answers(net, {"out"});
}

// A product without a gate reads a bf16 map in place; of odd channels and of patches it makes a copy.
TEST_F(Bf16Storage, DepthwiseLayerBeforeConvolutions) {
  for (const int channels : {6, 7, 33, 64})
    for (const int kernel : {1, 3}) {
      SCOPED_TRACE(::testing::Message() << channels << " channels, kernel " << kernel);
      QuantizedNet net;
      net.input("x", {2, 11, 13, channels});
      net.conv("map", "x", 0, 0, {});
      net.conv("a", "map", 9, kernel, {});
      net.conv("b", "map", 40, 1, {});
      net.conv("expansion", "map", 35, kernel, {});
      net.conv("c", "expansion", 0, 0, {});
      expect_storage(net, {"a", "b", "c"}, true);
      expect_answers(net, {"a", "b", "c"});
    }
}

TEST_F(Bf16Storage, DepthwiseLayerBeforeSumsAndDepthwiseLayers) {
  QuantizedNet net;
  net.input("x", {1, 14, 18, 21});
  net.conv("map", "x", 0, 0, {});
  net.conv("again", "map", 0, 0, {});
  net.conv("inner", "map", 8, 1, {});
  net.conv("last", "inner", 21, 1, {});
  net.op("residual", "AddV2", {"last", "map"});
  net.op("pool", "MaxPool", {"map"}, pool_attrs(3, 2));
  net.op("sum", "AddV2", {"map", "x"});
  net.op("square", "Mul", {"map", "map"});
  expect_storage(net, {"again", "residual", "pool", "sum", "square"}, true);
  expect_answers(net, {"again", "residual", "pool", "sum", "square"});
}

// Other layers store bf16 in a pass of its own, which pays where a map is large.
TEST_F(Bf16Storage, LargeProductsAndSums) {
  for (const int64_t side : {127, 128}) {
    SCOPED_TRACE(side);
    QuantizedNet net;
    net.input("x", {1, side, 128, 4});
    net.conv("map", "x", 32, 1, {});
    net.input("y", {1, side, 128, 32});
    net.op("sum", "AddV2", {"map", "y"});
    add_swish(net, "activated", "sum");
    net.conv("inner", "activated", 8, 1, {});
    net.conv("other", "map", 8, 3, {});
    expect_storage(net, {"inner", "other"}, side == 128);
    expect_storage(net, {"inner", "other"}, side == 128, "activated");
    expect_answers(net, {"inner", "other"});
  }
}

TEST_F(Bf16Storage, RefusedIfOthersReadTheMap) {
  const std::function<void(QuantizedNet&)> readers[] = {
      [](QuantizedNet& net) { net.op("other", "Sin", {"map"}); },
      [](QuantizedNet& net) { net.op("other", "Identity", {"map"}); },
      [](QuantizedNet& net) {
        net.conv("other", "map", 8, 1, QuantParams{0.03f, 128, false});
      },
      [](QuantizedNet& net) {
        net.conv("other", "map", 0, 0, QuantParams{0.03f, 128, false});
      },
  };
  for (const auto& read : readers) {
    QuantizedNet net = net_of({});
    read(net);
    expect_storage(net, {"out", "other"}, false);
    if (!has) continue;
    const Answers a = run_both(net.graph, net.data, {"out", "other"}, Precision::bf16);
    for (size_t i = 0; i < 2; ++i) EXPECT_GT(sqnr_db(a.plan[i], a.plain[i]), 35) << i;
  }
}

// A depthwise layer in 8 bits stores bf16 for a product that is not in 8 bits.
TEST_F(Bf16Storage, DepthwiseLayerIn8Bits) {
  QuantizedNet net;
  net.input("x", {2, 13, 15, 40});
  net.conv("map", "x", 0, 0, QuantParams{0.03f, 128, false});
  net.conv("out", "map", 20, 1, {});
  net.conv("out2", "map", 9, 1, {});
  expect_storage(net, {"out", "out2"}, true);
  expect_answers(net, {"out", "out2"});
}

// A map of one pixel may be a gate itself, which is floats.
TEST_F(Bf16Storage, RefusedIfTheMapIsAGate) {
  QuantizedNet net;
  net.input("x", {1, 1, 1, 24});
  net.input("y", {1, 7, 6, 24});
  net.conv("map", "x", 0, 0, {});
  net.op("gated", "Mul", {"y", "map"});
  net.conv("out", "gated", 18, 1, {});
  expect_storage(net, {"out"}, false);
  expect_answers(net, {"out"});
}

}  // namespace
}  // namespace cytodet
