// Large maps of layers on codes are halves, where the kernels have them and all readers take them.
#include <gtest/gtest.h>

#include "exec/kernels/kernels.h"
#include "tests/exec/coded_net.h"

namespace cytodet {
namespace {

using namespace test;

const Quant kInput{0.03f, 128, false}, kCodes{0.02f, 90, false}, kOther{0.03f, 0, true};

// x -> product on codes -> "map" of `side` x 128 x 32 numbers; 128 x 128 x 32 of them are as few as are many.
CodedNet net_of_map(int64_t side = 128) {
  CodedNet net;
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

// An output is floats, of 4 bytes a number.
void expect_form(const CodedNet& net, std::vector<std::string> outputs, bool halves, const std::string& map = "map") {
  const int64_t bytes = bytes_of(net.graph, outputs, map);
  outputs.push_back(map);
  EXPECT_EQ(bytes_of(net.graph, outputs, map) - bytes,
            halves && kernels().halves_of_rows ? 2 * elements(*Facts(net.graph).of(net.graph.value(map)).shape) : 0);
}

TEST(LargeHalves, OfAResidualAndAProduct) {
  CodedNet net = net_of_map();
  net.conv("inner", "map", 8, 1, kCodes);
  net.conv("last", "inner", 32, 1, kOther);
  net.op("out", "AddV2", {"last", "map"});
  expect_form(net, {"out"}, true);
  net.expect_answers({"out"});
}

TEST(LargeHalves, OfAPoolAndASum) {
  CodedNet net = net_of_map();
  net.op("pool", "MaxPool", {"map"}, pool_attrs(3, 2));
  net.input("y", {1, 128, 128, 32});
  net.op("sum", "AddV2", {"map", "y"});
  expect_form(net, {"pool", "sum"}, true);
  net.expect_answers({"pool", "sum"});
}

TEST(LargeHalves, OfResizesAndProducts) {
  CodedNet net = net_of_map();
  net.sizes("size", {50, 140});
  net.op("resized", "ResizeBilinear", {"map", "size"});
  net.op("average", "AvgPool", {"map"}, pool_attrs(5, 4));
  net.op("square", "Mul", {"map", "map"});
  expect_form(net, {"resized", "average", "square"}, true);
  net.expect_answers({"resized", "average", "square"});
}

TEST(LargeHalves, OfASumWithUpsamplingBeforeAChain) {
  CodedNet net = net_of_map();
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
  expect_form(net, {"out"}, true);
  expect_form(net, {"out"}, false, "b");
  EXPECT_TRUE(net.expect_answers({"out"}).kernels.contains("int8_sum_depthwise_pointwise"));
}

// What a step in rows writes: a product of two maps, and a pool of that, both of known bounds.
TEST(LargeHalves, OfStepsInRows) {
  CodedNet net = net_of_map();
  net.conv("b", "x", 32, 1, kOther);
  net.op("product", "Mul", {"map", "b"});
  net.op("pool", "AvgPool", {"product"}, pool_attrs(3, 1));
  net.op("act", "Relu6", {"pool"});
  net.conv("out", "act", 8, 1, kCodes);
  for (const char* map : {"map", "product", "pool"}) expect_form(net, {"out"}, true, map);
  net.expect_answers({"out"});
}

TEST(LargeHalves, OfCodesOfHalves) {
  CodedNet net = net_of_map();
  net.op("sum", "AddV2", {net.coded("map", kCodes), net.coded("map", kOther)});
  net.op("pool", "MaxPool", {net.coded("map", kCodes)}, pool_attrs(2, 2));
  expect_form(net, {"sum", "pool"}, true);
  net.expect_answers({"sum", "pool"});
}

TEST(LargeFloats, OfOneRowLess) {
  CodedNet net = net_of_map(127);
  net.op("pool", "MaxPool", {"map"}, pool_attrs(2, 2));
  expect_form(net, {"pool"}, false);
}

TEST(LargeFloats, OfReadersOfFloats) {
  for (const std::string reader : {"Sin", "Softmax", "Identity", "Conv2D"}) {
    SCOPED_TRACE(reader);
    CodedNet net = net_of_map();
    net.op("pool", "MaxPool", {"map"}, pool_attrs(2, 2));
    if (reader == "Conv2D")
      net.conv("other", "map", 8, 1, {});
    else
      net.op("other", reader, {"map"});
    expect_form(net, {"pool", "other"}, false);
  }
}

}  // namespace
}  // namespace cytodet
