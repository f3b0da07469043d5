#include "fuzz/driver.h"
#include "graph/inspect.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/passes/pass.h"
#include "tests/paths.h"

std::vector<std::string> fuzz_seeds() {
  const std::string data = cytodet::source_dir() + "/tests/data/";
  return {data + "graph/conformance", data + "graph/lenet_frozen.pb", data + "graph/control", data + "field/graphs"};
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
