// Runs that are stopped from outside (core/stop.h).
#include <gtest/gtest.h>

#include "core/stop.h"
#include "exec/runtime/plan.h"
#include "tests/graph/fixtures.h"

extern "C" int omp_get_max_threads();
extern "C" void omp_set_num_threads(int threads);

namespace cytodet {
namespace {

// A run that is stopped leaves the threads of OpenMP, which the program around may use, as they were.
TEST(Runner, StoppedLeavesTheThreadsOfOpenMp) {
  Graph graph;
  const NodeId in = graph.add({.name = "in", .op = "Placeholder", .attrs = {{"dtype", DType::f32}}});
  graph.add({.name = "out", .op = "Neg", .inputs = {{in, 0}}, .attrs = {}});
  PlanOptions options;
  options.outputs = {"out"};
  options.input_shapes = {{"in", {4}}};
  Runner runner(Plan::compile(graph, options));
  const int before = omp_get_max_threads();
  omp_set_num_threads(7);
  runner.run();
  EXPECT_EQ(omp_get_max_threads(), 7);
  const core::StopScope stop([] { return true; });
  EXPECT_THROW(runner.run(), core::Stopped);
  EXPECT_EQ(omp_get_max_threads(), 7);
  omp_set_num_threads(before);
}

}  // namespace
}  // namespace cytodet
