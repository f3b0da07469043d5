// Nodes of damaged files lack inputs. Compiling such a graph ends in an Error that names the node, whatever kernel looks at it.
#include <gtest/gtest.h>

#include "core/error.h"
#include "exec/runtime/plan.h"
#include "graph/ir/op.h"
#include "tests/rooms.h"

namespace cytodet {
namespace {

// input [1, 8, 8, 4] ─▶ op, which has `count` inputs: the placeholder, then constants of ones.
Graph graph_with(const std::string& op, size_t count) {
  Graph graph;
  const NodeId in = graph.add({.name = "in", .op = "Placeholder", .attrs = {{"dtype", DType::f32}}});
  std::vector<Value> inputs;
  if (count > 0) inputs.push_back({in, 0});
  while (inputs.size() < count) inputs.push_back(graph.add_const("c", Tensor::scalar(1.0f)));
  graph.add({.name = "broken", .op = op, .inputs = inputs, .attrs = {}});
  return graph;
}

class MissingInputs : public ::testing::TestWithParam<const char*> {};

TEST_P(MissingInputs, AreAnErrorOrAPlainNode) {
  for (size_t count : {0u, 1u, 2u}) {
    const Graph graph = graph_with(GetParam(), count);
    PlanOptions options;
    options.outputs = {"broken"};
    options.input_shapes = {{"in", {1, 8, 8, 4}}};
    try {
      Plan::compile(graph, options);
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find("broken"), std::string::npos) << e.what();
    }
  }
}

std::vector<const char*> op_names() {
  std::vector<const char*> names;
  for (const Op& op : all_ops()) names.push_back(op.name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(EveryOp, MissingInputs, ::testing::ValuesIn(op_names()),
                         [](const auto& row) { return std::string(row.param); });

TEST(NodeInputs, OneThatIsNotThereIsAnError) {
  NodeInputs inputs{{3, 0}};
  EXPECT_EQ(inputs[0].node, 3);
  EXPECT_THROW(inputs[1], Error);
  EXPECT_THROW(NodeInputs{}.back(), Error);
}

}  // namespace
}  // namespace cytodet
