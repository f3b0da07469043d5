// Graphs that were frozen for one size of image, made ones for another: they answer as graphs that were built for it.
#include "graph/passes/input_size.h"

#include <gmock/gmock.h>

#include <functional>

#include "graph/io/read_graph.h"
#include "graph/io/tensorflow/graph_def.h"
#include "tests/error_of.h"
#include "tests/graph/cases.h"
#include "tests/graph/fixtures.h"
#include "tests/uniform_tensor.h"

namespace cytodet::test {
namespace {

using ::testing::HasSubstr;

Tensor i32(const std::vector<int32_t>& v) { return Tensor::from<int32_t>({static_cast<int64_t>(v.size())}, v); }
int32_t n(int64_t v) { return static_cast<int32_t>(v); }

// Two levels with everything that a frozen size may hide in: a resize to the finer level, flattened heads, joined and cut apart
// again, a map split into blocks, edges cut off, a pool over the whole map.
Graph pyramid(int64_t h, int64_t w) {
  Graph g;
  placeholder(g, "x", {1, h, w, 3});
  constant(g, "w1", uniform_tensor({3, 3, 3, 4}, 1));
  constant(g, "w2", uniform_tensor({3, 3, 4, 4}, 2));
  add(g, "p1", "Conv2D", {"x", "w1"}, conv_attrs("SAME", 2));
  add(g, "p2", "Conv2D", {"p1", "w2"}, conv_attrs("SAME", 2));
  constant(g, "up_size", i32({n(h / 2), n(w / 2)}));
  add(g, "up", "ResizeNearestNeighbor", {"p2", "up_size"});
  add(g, "sum", "AddV2", {"p1", "up"});
  AttrMap pool{{"ksize", ints({1, h / 2, w / 2, 1})}, {"strides", ints({1, 1, 1, 1})}, {"padding", "VALID"}};
  add(g, "gate", "AvgPool", {"sum"}, pool);
  add(g, "gated", "Mul", {"sum", "gate"});
  constant(g, "flat1_shape", i32({1, n(h / 2 * w / 2 * 2), 2}));
  add(g, "flat1", "Reshape", {"gated", "flat1_shape"});
  constant(g, "flat2_shape", i32({1, n(h / 4 * w / 4 * 2), 2}));
  add(g, "flat2", "Reshape", {"p2", "flat2_shape"});
  constant(g, "axis", Tensor::scalar<int32_t>(1));
  add(g, "all", "ConcatV2", {"flat1", "flat2", "axis"}, {{"N", int64_t{2}}, {"Tidx", DType::i32}});
  constant(g, "begin", i32({0, n(h / 2 * w / 2 * 2), 0}));
  constant(g, "size", i32({1, n(h / 4 * w / 4 * 2), 2}));
  add(g, "second", "Slice", {"all", "begin", "size"});
  constant(g, "blocks_shape", i32({1, n(h / 4), 2, n(w / 4), 2, 4}));
  add(g, "blocks", "Reshape", {"p1", "blocks_shape"});
  constant(g, "from", i32({0, 1, 1, 0}));
  constant(g, "to", i32({1, n(h / 2 - 1), n(w / 2), 4}));
  constant(g, "by", i32({1, 1, 1, 1}));
  add(g, "cut", "StridedSlice", {"p1", "from", "to", "by"}, {{"Index", DType::i32}});
  return g;
}
const std::vector<std::string> kOutputs{"all", "second", "blocks", "cut"};

std::vector<Tensor> answers(const Graph& g, int64_t h, int64_t w) {
  std::vector<Value> fetches;
  for (const std::string& name : kOutputs) fetches.push_back(g.value(name));
  return interpret(g, {{g.value("x"), uniform_tensor({1, h, w, 3}, 7)}}, fetches);
}

TEST(InputSize, AResizedGraphAnswersAsOneThatWasBuiltForTheSize) {
  const std::pair<int64_t, int64_t> sizes[] = {{16, 16}, {8, 24}, {32, 16}, {12, 20}, {4, 4}};
  for (const auto& [h, w] : sizes) {
    Graph g = pyramid(16, 16);
    resize_input(g, "x", {16, 16}, {h, w}, kOutputs);
    const std::vector<Tensor> got = answers(g, h, w), want = answers(pyramid(h, w), h, w);
    for (size_t i = 0; i < want.size(); ++i) EXPECT_EQ(difference(got[i], want[i]), "") << kOutputs[i] << " " << h << " x " << w;
    EXPECT_EQ(g.node(g.require("x")).attr<ShapeAttr>("shape").dims, (Shape{1, h, w, 3}));
  }
  EXPECT_EQ(input_step(pyramid(16, 16), "x", {16, 16}, kOutputs), (MapSize{4, 4}));
}

TEST(InputSize, TheSameSizeChangesNothing) {
  Graph g = pyramid(16, 16);
  const int before = g.size();
  resize_input(g, "x", {16, 16}, {16, 16}, kOutputs);
  EXPECT_EQ(g.size(), before);
}

TEST(InputSize, ASizeThatDoesNotDivideIsRefusedWithThoseThatDo) {
  Graph g = pyramid(16, 16);
  const std::string problem = error_of([&] { resize_input(g, "x", {16, 16}, {18, 16}, kOutputs); });
  EXPECT_THAT(problem, HasSubstr("node p2 (Conv2D)"));
  EXPECT_THAT(problem, HasSubstr("use multiples of 4, such as 16 or 20"));
}

TEST(InputSize, AGraphThatCannotFollowStaysAsItWas) {
  Graph g = pyramid(16, 16);
  const std::string before = encode_graph(g);
  EXPECT_NE(error_of([&] { resize_input(g, "x", {16, 16}, {18, 16}, kOutputs); }), "");
  EXPECT_EQ(encode_graph(g), before);
  EXPECT_THAT(error_of([&] { resize_input(g, "x", {16, 16}, {0, 16}, kOutputs); }), HasSubstr("16 x 0 pixels"));
  EXPECT_THAT(error_of([&] { resize_input(g, "x", {0, 0}, {16, 16}, kOutputs); }), HasSubstr("0 x 0 pixels"));
  EXPECT_EQ(encode_graph(g), before);
}

// Constants that no network needs, but that a file may hold.
TEST(InputSize, OddConstantsAreRefusedOrFollowed) {
  const auto problem = [](const std::function<void(Graph&)>& make) {
    Graph g;
    placeholder(g, "x", {1, 8, 8, 2});
    make(g);
    return error_of([&] { resize_input(g, "x", {8, 8}, {16, 16}, {"y"}); });
  };
  const auto no_values = [](Graph& g) {
    constant(g, "begin", i32({0, 0, 0, 0}));
    constant(g, "size", i32({1, -1, 0, 2}));
    add(g, "none", "Slice", {"x", "begin", "size"});
    constant(g, "shape", i32({0, 4}));
    add(g, "y", "Reshape", {"none", "shape"});
  };
  const auto few_strides = [](Graph& g) {
    constant(g, "from", i32({0, 1, 1, 0}));
    constant(g, "to", i32({1, 7, 7, 2}));
    constant(g, "by", i32({1}));
    add(g, "y", "StridedSlice", {"x", "from", "to", "by"}, {{"Index", DType::i32}});
  };
  EXPECT_THAT(problem(no_values), HasSubstr("node y (Reshape)"));
  EXPECT_THAT(problem(few_strides), HasSubstr("node y (StridedSlice)"));
}

TEST(InputSize, WhatCannotFollowIsNamed) {
  const auto problem = [](const std::function<void(Graph&)>& make, const std::string& output) {
    Graph g;
    placeholder(g, "x", {1, 8, 8, 2});
    make(g);
    return error_of([&] { resize_input(g, "x", {8, 8}, {16, 16}, {output}); });
  };
  const auto dense = [](Graph& g) {
    constant(g, "shape", i32({1, 128}));
    add(g, "flat", "Reshape", {"x", "shape"});
    constant(g, "w", uniform_tensor({128, 3}, 3));
    add(g, "dense", "MatMul", {"flat", "w"});
  };
  EXPECT_THAT(problem(dense, "dense"), HasSubstr("node dense (MatMul)"));
  const auto grid = [](Graph& g) {
    constant(g, "offsets", uniform_tensor({1, 8, 8, 1}, 4));
    add(g, "moved", "AddV2", {"x", "offsets"});
  };
  EXPECT_THAT(problem(grid, "moved"), HasSubstr("node moved (AddV2)"));
  const auto valid = [](Graph& g) {
    constant(g, "w", uniform_tensor({3, 3, 2, 2}, 5));
    add(g, "shrunk", "Conv2D", {"x", "w"}, conv_attrs("VALID"));
  };
  EXPECT_THAT(problem(valid, "shrunk"), HasSubstr("node shrunk (Conv2D)"));
  // What no output reads does not matter.
  const auto unread = [&](Graph& g) {
    dense(g);
    add(g, "kept", "Relu", {"x"});
  };
  EXPECT_EQ(problem(unread, "kept"), "");
}

TEST(InputSize, TheShippedDetectorFollowsInStepsOf128) {
  Graph g = read_graph(std::string(source_dir()) + "/models/efficientdet/efficientdet_d0_blood.pb");
  const std::vector<std::string> outputs{"class_logits_3", "class_logits_7", "box_deltas_3", "box_deltas_7"};
  EXPECT_EQ(input_step(g, "image", {512, 512}, outputs), (MapSize{128, 128}));
  resize_input(g, "image", {512, 512}, {256, 1024}, outputs);
  const Facts facts(g, {{g.value("image"), {DType::f32, Shape{1, 256, 1024, 3}, {}}}});
  EXPECT_EQ(*facts.of(g.value("class_logits_3")).shape, (Shape{1, 32, 128, 27}));
  EXPECT_EQ(*facts.of(g.value("box_deltas_7")).shape, (Shape{1, 2, 8, 36}));
}

}  // namespace
}  // namespace cytodet::test
