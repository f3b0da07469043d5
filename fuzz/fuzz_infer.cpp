#include "exec/runtime/plan.h"
#include "fuzz/driver.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/ir/op.h"
#include "graph/passes/pass.h"
#include "tests/paths.h"

std::vector<std::string> fuzz_seeds() {
  return {cytodet::source_dir() + "/tests/data/graph/conformance", cytodet::source_dir() + "/tests/data/fuzz/infer"};
}

// Compiling and running; inputs are zeros of whatever static shape they claim.
void fuzz_one(std::string_view bytes) {
  cytodet::set_max_tensor_bytes(int64_t{16} << 20);
  cytodet::Graph graph = cytodet::parse_graph(bytes, "input");
  cytodet::PlanOptions options;
  options.fuse = bytes.size() % 2;
  cytodet::Runner runner(cytodet::Plan::compile(graph, options));
  runner.run();
}
