// Plans of results that no tensor can hold.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "exec/runtime/plan.h"
#include "graph/ir/op.h"
#include "tests/error_of.h"
#include "tests/graph/fixtures.h"

namespace cytodet {
namespace {

using namespace test;

// Steps that list the rows or elements of what they give must not do so for what no tensor can hold.
TEST(PlanErrors, ResultsOfAbsurdSizesAreRefusedAtOnce) {
  struct Bomb {
    const char* op;
    std::vector<Tensor> constants;
    AttrMap attrs;
  };
  const int64_t k = int64_t{1} << 50, m = int64_t{1} << 30;
  const auto ints = [](const std::vector<int64_t>& v) { return Tensor::from<int64_t>({static_cast<int64_t>(v.size())}, v); };
  const auto size = [](int32_t h, int32_t w) { return Tensor::from<int32_t>({2}, {h, w}); };
  const Tensor pads = Tensor::from<int64_t>({4, 2}, {0, 0, 0, k, 0, 0, 0, 0}), filter(DType::f32, {1, 1, 3, 4});
  AttrList wide, ones;
  wide.ints = {0, 0, 0, 1 << 19, 0, 1 << 19, 0, 0};
  ones.ints = {1, 1, 1, 1};
  const std::vector<Bomb> bombs = {
      {"Pad", {pads}, {}},
      {"PadV2", {pads, Tensor::scalar(1.0f)}, {}},
      {"Tile", {ints({1, m, 4, 1})}, {}},
      {"BroadcastTo", {ints({1 << 20, 4 << 10, 4, 3})}, {}},
      {"ResizeNearestNeighbor", {size(1 << 30, 1 << 30)}, {}},
      {"ResizeBilinear", {size(1 << 30, 1 << 30)}, {}},
      {"ResizeBicubic", {size(1 << 30, 1 << 30)}, {}},
      {"ResizeArea", {size(1 << 30, 1 << 30)}, {}},
      {"SpaceToBatchND", {ints({1, 1}), Tensor::from<int64_t>({2, 2}, {0, k, 0, 0})}, {}},
      {"Conv2D", {filter}, {{"strides", ones}, {"padding", "EXPLICIT"}, {"explicit_paddings", wide}}},
  };
  for (const Bomb& bomb : bombs) {
    Graph g;
    placeholder(g, "x", {1, 4, 4, 3});
    std::vector<std::string> inputs{"x"};
    for (size_t i = 0; i < bomb.constants.size(); ++i)
      constant(g, inputs.emplace_back("c" + std::to_string(i)), bomb.constants[i]);
    add(g, "y", bomb.op, inputs, bomb.attrs);
    PlanOptions o;
    o.outputs = {"y"};
    EXPECT_THAT(error_of([&] { Plan::compile(g, o); }), ::testing::HasSubstr("more than the 8192 MiB of a tensor")) << bomb.op;
    const Tensor x(DType::f32, {1, 4, 4, 3});
    EXPECT_THAT(error_of([&] {
                  interpret(g, {{g.value("x"), x}}, {g.value("y")});
                }),
                ::testing::Not(::testing::IsEmpty()))
        << bomb.op;
  }
}

}  // namespace
}  // namespace cytodet
