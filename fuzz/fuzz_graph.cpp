#include "fuzz/driver.h"
#include "graph/inspect.h"
#include "graph/io.h"
#include "graph/pass.h"
#include "tests/paths.h"

std::vector<std::string> fuzz_seeds() {
  return {cytodet::source_dir() + "/tests/data/graph/conformance", cytodet::source_dir() + "/tests/data/graph/lenet_frozen.pb"};
}

// Reading, inspecting, optimizing and writing again.
void fuzz_one(std::string_view bytes) {
  cytodet::set_max_tensor_bytes(int64_t{64} << 20);
  cytodet::Graph graph = cytodet::parse_graph(bytes, "input");
  cytodet::inspect(graph);
  cytodet::encode_graph_text(graph);
  cytodet::run_passes(graph, {});
  cytodet::parse_graph(cytodet::encode_graph(graph), "again");
}
