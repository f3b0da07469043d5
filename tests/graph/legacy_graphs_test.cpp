// Whole INT8 graphs of older tools: what TensorFlow with oneDNN answers, plainly and raised to the form that kernels run.
#include <gtest/gtest.h>

#include "graph/passes/pass.h"
#include "graph/passes/raise_int8.h"
#include "tests/graph/cases.h"
#include "tests/graph/fixtures.h"

namespace cytodet {
namespace {

using namespace test;
using namespace test;

class LegacyGraph : public ::testing::TestWithParam<std::string> {};

// All outputs within a quantization step of TensorFlow's: of the 255 that the answers span.
void expect_answers(const Graph& g, const GraphCase& c) {
  for (const auto& [name, wanted] : c.values.outputs) {
    const Tensor got = interpret(g, c.feeds(), {g.value(name)})[0];
    ASSERT_EQ(got.shape(), wanted.shape());
    const auto w = wanted.span<float>(), v = got.span<float>();
    const auto [low, high] = std::minmax_element(w.begin(), w.end());
    const double step = (*high - std::min(0.0f, *low)) / 255.0 * 1.02;
    for (size_t i = 0; i < w.size(); ++i) ASSERT_NEAR(v[i], w[i], step) << name << " " << i;
  }
}

// Each run computes the ranges of this graph: three convolutions and a product, each requantized twice. Its answers are those of
// TensorFlow's own kernels (TF_ENABLE_ONEDNN_OPTS=0); with oneDNN's, TensorFlow is up to six steps away from itself.
bool has_computed_ranges(const std::string& name) { return name == "legacy_quantizedconv2d"; }

TEST_P(LegacyGraph, RunsPlainly) {
  const GraphCase c = read_graph_case(data("graph/legacy/" + GetParam()));
  expect_answers(c.graph, c);
}

TEST_P(LegacyGraph, IsRaised) {
  GraphCase c = read_graph_case(data("graph/legacy/" + GetParam()));
  PassOptions options;
  for (const auto& [name, wanted] : c.values.outputs)
    options.interface.outputs.push_back(c.graph.node(c.graph.value(name).node).name);
  const std::vector<UnraisedNode> left = unraised_nodes(c.graph, options.interface);
  run_passes(c.graph, options);
  expect_answers(c.graph, c);
  if (has_computed_ranges(GetParam())) {
    ASSERT_FALSE(left.empty());
    EXPECT_NE(left[0].why.find("its ranges are computed when it runs"), std::string::npos) << left[0].why;
    return;
  }
  EXPECT_TRUE(left.empty());
  EXPECT_EQ(count(c.graph, "Conv2D"), 3);
  for (NodeId id : c.graph.ids()) {
    const Node& n = c.graph.node(id);
    EXPECT_EQ(n.op.find("Quantized"), std::string::npos) << n.op;
    if (n.op == "Conv2D") {
      EXPECT_TRUE(is_quantized(c.graph, id)) << n.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Graphs, LegacyGraph, ::testing::ValuesIn(case_names(data("graph/legacy"))),
                         [](const auto& given) { return given.param; });

}  // namespace
}  // namespace cytodet
