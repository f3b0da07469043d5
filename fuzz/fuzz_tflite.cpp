#include "core/tensor.h"
#include "fuzz/driver.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/io/tflite/tflite.h"
#include "graph/passes/pass.h"
#include "tests/paths.h"

std::vector<std::string> fuzz_seeds() {
  const std::string cases = cytodet::source_dir() + "/tests/data/graph/tflite/";
  std::vector<std::string> seeds;
  for (const char* name : {"CONV_2D_int8", "DEPTHWISE_CONV_2D_float32", "TRANSPOSE_CONV_float32", "ASSIGN_VARIABLE_int8",
                           "TFLite_Detection_PostProcess", "STRIDED_SLICE_uint8", "net_float16", "net_full_integer"})
    seeds.push_back(cases + name + "/model.tflite");
  return seeds;
}

// Reading, optimizing and writing as a GraphDef.
void fuzz_one(std::string_view bytes) {
  cytodet::set_max_tensor_bytes(int64_t{64} << 20);
  cytodet::Graph graph = cytodet::parse_tflite(bytes, "input");
  cytodet::run_passes(graph, {});
  cytodet::parse_graph(cytodet::encode_graph(graph), "again");
}
