// Large feature maps of layers in 8 bits are stored as f16, where the kernels have it and all readers take it.
#include <gtest/gtest.h>

#include "exec/kernels/kernels.h"
#include "tests/exec/quantized_net.h"

namespace cytodet {
namespace {

using namespace test;

const QuantParams kInput{0.03f, 128, false}, kQuant{0.02f, 90, false}, kOther{0.03f, 0, true};

// x -> product in 8 bits -> "map" of `side` x 128 x 32 values; a map of 128 x 128 x 32 is the smallest that counts as large.
QuantizedNet net_of_map(int64_t side = 128) {
  QuantizedNet net;
  net.input("x", {1, side, 128, 4});
  net.conv("map", "x", 32, 1, kInput);
  return net;
}

int64_t bytes_of(const Graph& g, const std::vector<std::string>& outputs, const std::string& step) {
  PlanOptions o;
  o.outputs = outputs;
  for (const StepInfo& s : Plan::compile(g, o)->steps())
    if (s.name == step) return s.bytes;
  ADD_FAILURE() << "no step " << step;
  return 0;
}

// An output is floats, of 4 bytes a value.
void expect_storage(const QuantizedNet& net, std::vector<std::string> outputs, bool halves, const std::string& map = "map") {
  const int64_t bytes = bytes_of(net.graph, outputs, map);
  outputs.push_back(map);
  EXPECT_EQ(bytes_of(net.graph, outputs, map) - bytes,
            halves && kernels().f32_to_f16 ? 2 * elements(*Facts(net.graph).of(net.graph.value(map)).shape) : 0);
}

TEST(LargeMapsInF16, ResidualAndProduct) {
  QuantizedNet net = net_of_map();
  net.conv("inner", "map", 8, 1, kQuant);
  net.conv("last", "inner", 32, 1, kOther);
  net.op("out", "AddV2", {"last", "map"});
  expect_storage(net, {"out"}, true);
  net.expect_answers({"out"});
}

TEST(LargeMapsInF16, PoolAndSum) {
  QuantizedNet net = net_of_map();
  net.op("pool", "MaxPool", {"map"}, pool_attrs(3, 2));
  net.input("y", {1, 128, 128, 32});
  net.op("sum", "AddV2", {"map", "y"});
  expect_storage(net, {"pool", "sum"}, true);
  net.expect_answers({"pool", "sum"});
}

TEST(LargeMapsInF16, ResizesAndProducts) {
  QuantizedNet net = net_of_map();
  net.sizes("size", {50, 140});
  net.op("resized", "ResizeBilinear", {"map", "size"});
  net.op("average", "AvgPool", {"map"}, pool_attrs(5, 4));
  net.op("square", "Mul", {"map", "map"});
  expect_storage(net, {"resized", "average", "square"}, true);
  net.expect_answers({"resized", "average", "square"});
}

TEST(LargeMapsInF16, SumWithUpsamplingBeforeDepthwiseChain) {
  QuantizedNet net = net_of_map();
  net.input("small", {1, 64, 64, 4});
  net.input("y", {1, 128, 128, 32});
  net.conv("b", "small", 32, 1, kInput);
  net.sizes("size", {128, 128});
  net.op("up", "ResizeNearestNeighbor", {"b", "size"});
  constant(net.graph, "weight", Tensor::scalar(0.4f));
  net.op("weighted", "Mul", {"map", "weight"});
  net.op("sum", "AddN", {"weighted", "up", "y"});
  net.conv("depthwise", "sum", 0, 0, kInput);
  net.conv("out", "depthwise", 8, 1, kInput);
  expect_storage(net, {"out"}, true);
  expect_storage(net, {"out"}, false, "b");
  EXPECT_TRUE(net.expect_answers({"out"}).kernels.contains("int8_sum_depthwise_pointwise"));
}

// Row ops write f16: a product of two maps, and a pool of that, both with known bounds.
TEST(LargeMapsInF16, RowOpsWriteThem) {
  QuantizedNet net = net_of_map();
  net.conv("b", "x", 32, 1, kOther);
  net.op("product", "Mul", {"map", "b"});
  net.op("pool", "AvgPool", {"product"}, pool_attrs(3, 1));
  net.op("act", "Relu6", {"pool"});
  net.conv("out", "act", 8, 1, kQuant);
  for (const char* map : {"map", "product", "pool"}) expect_storage(net, {"out"}, true, map);
  net.expect_answers({"out"});
}

TEST(LargeMapsInF16, AreReadFakeQuantized) {
  QuantizedNet net = net_of_map();
  net.op("sum", "AddV2", {net.fake_quant("map", kQuant), net.fake_quant("map", kOther)});
  net.op("pool", "MaxPool", {net.fake_quant("map", kQuant)}, pool_attrs(2, 2));
  expect_storage(net, {"sum", "pool"}, true);
  net.expect_answers({"sum", "pool"});
}

TEST(LargeMapsInF16, SmallerMapsStayFloat) {
  QuantizedNet net = net_of_map(127);
  net.op("pool", "MaxPool", {"map"}, pool_attrs(2, 2));
  expect_storage(net, {"pool"}, false);
}

TEST(LargeMapsInF16, ReadersOfFloatsKeepThemFloat) {
  for (const std::string reader : {"Sin", "Softmax", "Identity", "Conv2D"}) {
    SCOPED_TRACE(reader);
    QuantizedNet net = net_of_map();
    net.op("pool", "MaxPool", {"map"}, pool_attrs(2, 2));
    if (reader == "Conv2D")
      net.conv("other", "map", 8, 1, {});
    else
      net.op("other", reader, {"map"});
    expect_storage(net, {"pool", "other"}, false);
  }
}

}  // namespace
}  // namespace cytodet
