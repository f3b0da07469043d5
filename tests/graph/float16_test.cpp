// float16 networks in float32: TensorFlow's answers stay, inputs and outputs keep their types.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "graph/io/named_tensors.h"
#include "graph/io/read_graph.h"
#include "graph/passes/pass.h"
#include "tests/graph/fixtures.h"
#include "tests/paths.h"

namespace cytodet {
namespace {

using namespace test;

bool widen(Graph& g, std::vector<std::string> outputs = {}) {
  PassOptions o;
  o.interface.outputs = std::move(outputs);
  o.only = {"float16_to_float32"};
  return run_passes(g, o).at(0).changed;
}

TEST(Pass_float16_to_float32, KeepsTensorFlowsAnswerAndTheTypesOfInputsAndOutputs) {
  const std::string data = source_dir() + "/tests/data/graph/float16/";
  Graph g = read_graph(data + "convolutions.pb");
  ASSERT_TRUE(widen(g));
  const Case wanted = read_case(data + "case.json");
  Feeds feeds;
  for (const auto& [name, tensor] : wanted.inputs) feeds[g.value(name)] = tensor;
  const Tensor out = interpret(g, feeds, {g.value("out")}).at(0);
  const Tensor& exact = wanted.outputs.at("out:0");
  ASSERT_EQ(out.dtype(), DType::f16);
  double largest = 0, worst = 0;
  for (int64_t i = 0; i < exact.size(); ++i) {
    largest = std::max(largest, std::abs(exact.as_double(i)));
    worst = std::max(worst, std::abs(exact.as_double(i) - out.as_double(i)));
  }
  EXPECT_LT(worst, 2e-3 * largest);  // float16 has 11 bits
  for (NodeId id : g.ids()) {
    if (g.node(id).op == "Conv2D") {
      EXPECT_EQ(g.node(id).attr<DType>("T"), DType::f32) << g.node(id).name;
    }
  }
}

TEST(Pass_float16_to_float32, LeavesFloat32NetworksAlone) {
  Graph g = fixture();
  EXPECT_FALSE(widen(g, {"conv"}));
}

TEST(Pass_float16_to_float32, LeavesBitsThatMeanSomethingElseAlone) {
  Graph g;
  AttrMap input;
  input.emplace("dtype", DType::f16);
  input.emplace("shape", ShapeAttr{true, {4}});
  add(g, "x", "Placeholder", {}, std::move(input));
  AttrMap cast;
  cast.emplace("T", DType::f16);
  cast.emplace("type", DType::u16);
  add(g, "bits", "Bitcast", {"x"}, std::move(cast));
  EXPECT_FALSE(widen(g, {"bits"}));
}

}  // namespace
}  // namespace cytodet
