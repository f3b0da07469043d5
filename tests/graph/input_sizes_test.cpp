// Sizes that a graph leaves open, stated for it, in every format.
#include "graph/io/input_sizes.h"

#include <gmock/gmock.h>

#include "graph/io/onnx/onnx.h"
#include "graph/ir/endpoints.h"
#include "graph/map_transposes.h"
#include "tests/error_of.h"
#include "tests/graph/cases.h"
#include "tests/graph/onnx_writer.h"

namespace cytodet::test {
namespace {

using ::testing::HasSubstr;

TEST(InputSizes, OpenSizesAreStatedAndFixedOnesStay) {
  const auto model = data("graph/onnx/net_resnet/model.onnx");
  const Graph graph = read_graph(model, InputSizes{{"images", {2, 3, 32, 32}}});
  EXPECT_EQ(graph.node(graph.require("images")).attr<ShapeAttr>("shape").dims, (Shape{2, 3, 32, 32}));
  const auto problem = [&](const InputSizes& sizes) { return error_of([&] { read_graph(model, sizes); }); };
  EXPECT_THAT(problem({{"images", {2, 3, 64, 32}}}),
              HasSubstr("--input images: its shape is to be [2,3,64,32], but the graph has [?,3,32,32]"));
  EXPECT_THAT(problem({{"images", {3, 32, 32}}}), HasSubstr("but the graph has [?,3,32,32]"));
  EXPECT_THAT(problem({{"image", {1, 3, 32, 32}}}),
              HasSubstr("--input image: the graph has no input of this name; did you mean images"));
  const Graph frozen = read_graph(data("graph/saved/slim/frozen.pb"));
  const std::string input = find_inputs(frozen).at(0);
  EXPECT_THAT(error_of([&] {
                read_graph(data("graph/saved/slim/frozen.pb"), InputSizes{{input + "x", {1}}});
              }),
              HasSubstr("no input of this name"));
}

// A pool that rounds up asks for the size of its map.
TEST(InputSizes, WhatNeedsASizeSaysSo) {
  const std::string model =
      onnx_model(onnx_input("x", {1, 1, -1, -1}) +
                 onnx_node("MaxPool", {"x"}, {"y"},
                           onnx_ints("kernel_shape", {2, 2}) + onnx_ints("strides", {2, 2}) +
                               onnx_bytes(5, onnx_bytes(1, "ceil_mode") + onnx_number(3, 1) + onnx_number(20, 2))) +
                 onnx_output("y"));
  EXPECT_THAT(error_of([&] { parse_onnx(model, "m", {}); }),
              HasSubstr("has ceil_mode, but the map's size is not known; give the model's inputs sizes: --input"));
  const Graph graph = parse_onnx(model, "m", {}, {{"x", {1, 1, 3, 3}}});
  const auto got =
      interpret(graph, {{graph.value("x"), Tensor::from<float>({1, 1, 3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9})}}, {graph.value("y")});
  EXPECT_EQ(difference(got[0], Tensor::from<float>({1, 1, 2, 2}, {5, 6, 8, 9})), "");
}

TEST(MapTransposes, AreListedWithTheirReasons) {
  const std::string conv = onnx_tensor("w", {1, 1, 1, 1}, 1, onnx_bytes(9, std::string("\0\0\x80\x3f", 4)));
  const Graph graph = parse_onnx(
      onnx_model(onnx_input("x", {1, 1, 4, 4}) + conv + onnx_node("Conv", {"x", "w"}, {"y"}) + onnx_output("y")), "m", {});
  // One channel: nothing moves but a size of 1.
  EXPECT_TRUE(map_transposes(graph).empty());
  std::vector<std::string> reasons;
  for (const MapTranspose& t : map_transposes(read_graph(data("graph/onnx/net_attention/model.onnx")))) reasons.push_back(t.why);
  EXPECT_THAT(reasons, ::testing::Contains("input images comes in another order"));
  EXPECT_THAT(reasons, ::testing::Contains("it is an output, whose order is kept"));
  EXPECT_THAT(reasons, ::testing::Contains(HasSubstr(" in another order")));
}

}  // namespace
}  // namespace cytodet::test
