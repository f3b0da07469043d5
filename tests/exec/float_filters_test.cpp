// Layers with 8-bit filters that read floats run on float kernels.
#include "exec/runtime/float_filters.h"

#include <gtest/gtest.h>

#include "exec/runtime/plan.h"
#include "graph/io/named_tensors.h"
#include "graph/io/read_graph.h"
#include "graph/passes/pass.h"
#include "tests/paths.h"

namespace cytodet::test {
namespace {

TEST(FloatFilters, AreMadeOnce) {
  const std::string folder = cytodet::source_dir() + "/tests/data/graph/tflite/";
  Graph graph = read_graph(folder + "net_weights/model.tflite");
  run_passes(graph, {});
  EXPECT_TRUE(with_float_filters(graph));
  const auto plan = Plan::compile(graph, {});
  EXPECT_EQ(plan->plain_steps(), 0);
  Runner runner(plan);
  const Case c = read_case(folder + "net_weights/case.json");
  runner.set_input(0, c.inputs.begin()->second);
  runner.run();
  EXPECT_EQ(difference(runner.output(0), c.outputs.begin()->second, 0.02), "");
  Graph quantized = read_graph(folder + "net_integer/model.tflite");
  run_passes(quantized, {});
  EXPECT_FALSE(with_float_filters(quantized));
}

}  // namespace
}  // namespace cytodet::test
