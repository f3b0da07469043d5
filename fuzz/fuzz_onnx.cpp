#include "core/tensor.h"
#include "fuzz/driver.h"
#include "graph/io/onnx/onnx.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/passes/pass.h"
#include "tests/paths.h"

std::vector<std::string> fuzz_seeds() {
  const std::string data = cytodet::source_dir() + "/tests/data/";
  return {data + "fuzz/onnx"};
}

// Reading, optimizing and writing as a GraphDef.
void fuzz_one(std::string_view bytes) {
  cytodet::set_max_tensor_bytes(int64_t{64} << 20);
  cytodet::Graph graph = cytodet::parse_onnx(bytes, "input", cytodet::source_dir() + "/tests/data/fuzz/onnx");
  cytodet::run_passes(graph, {});
  cytodet::parse_graph(cytodet::encode_graph(graph), "again");
}
