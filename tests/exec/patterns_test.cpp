// Small graphs, each with a pattern that ran by plain loops once: none does any more, and the answers are the plain evals'.
#include <gtest/gtest.h>

#include <filesystem>

#include "graph/io/read_graph.h"
#include "graph/passes/pass.h"
#include "tests/exec/answers.h"
#include "tests/exec/compare.h"
#include "tests/exec/random.h"
#include "tests/paths.h"

namespace cytodet {
namespace {

using namespace test;

TEST(Patterns, NoneHasAPlainStep) {
  int graphs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(source_dir() + "/tests/data/exec/patterns")) {
    if (entry.path().extension() != ".pb") continue;
    ++graphs;
    const std::string name = entry.path().stem().string();
    Graph g = read_graph(entry.path());
    PassOptions passes;
    passes.interface.inputs = find_inputs(g);
    passes.interface.outputs = find_outputs(g);
    run_passes(g, passes);
    std::mt19937 random(9);
    std::map<std::string, Tensor> data;
    for (const std::string& input : passes.interface.inputs) {
      Shape shape = g.node(g.value(input).node).attr_or("shape", ShapeAttr{false, {}}).dims;
      if (shape.size() == 4 && shape[0] < 0) shape[0] = 1;
      data[input] = normal_tensor(shape, random);
    }
    const Answers a = run_both(g, data, passes.interface.outputs);
    EXPECT_FALSE(a.kernels.contains("plain")) << name;
    for (size_t i = 0; i < a.plan.size(); ++i) EXPECT_LT(worst_difference(a.plan[i], a.plain[i]), 1e-5) << name;
  }
  EXPECT_EQ(graphs, 17);
}

}  // namespace
}  // namespace cytodet
