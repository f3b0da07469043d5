#include "core/tensor.h"
#include "fuzz/driver.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/io/tflite/tflite.h"
#include "graph/passes/pass.h"
#include "tests/graph/lite_writer.h"
#include "tests/paths.h"

void check_refused(const std::string& bytes) {
  try {
    cytodet::parse_tflite(bytes, "input");
  } catch (const cytodet::Error&) {
    return;
  }
  std::abort();
}

std::vector<std::string> fuzz_seeds() {
  const std::string cases = cytodet::source_dir() + "/tests/data/graph/tflite/";
  std::vector<std::string> seeds;
  for (const char* name : {"CONV_2D_int8", "DEPTHWISE_CONV_2D_float32", "TRANSPOSE_CONV_float32", "ASSIGN_VARIABLE_int8",
                           "TFLite_Detection_PostProcess", "STRIDED_SLICE_uint8", "net_float16", "net_full_integer"})
    seeds.push_back(cases + name + "/model.tflite");
  // Tables that share lists and filters, which a mutation rarely makes: large ones are refused, small ones are mutated.
  check_refused(cytodet::test::lite_of_shared_scales(300, 50'000));
  check_refused(cytodet::test::lite_of_shared_inputs(300, 100'000));
  static const fuzz::ScratchFile scales("shared-scales.tflite", cytodet::test::lite_of_shared_scales(10, 20)),
      inputs("shared-inputs.tflite", cytodet::test::lite_of_shared_inputs(10, 20)),
      filter("shared-filter.tflite", cytodet::test::lite_of_shared_filter(10, 16));
  for (const fuzz::ScratchFile* file : {&scales, &inputs, &filter}) seeds.push_back(file->path);
  return seeds;
}

// What a graph holds is bound by the file's size, as graph/io/tflite/translate.cpp says.
void check_constants(const cytodet::Graph& graph, size_t file_bytes) {
  size_t bytes = 0;
  for (cytodet::NodeId id : graph.ids())
    if (const cytodet::Tensor* t = graph.constant(id)) bytes += t->bytes();
  if (bytes > 32 * file_bytes + (size_t{64} << 20)) std::abort();
}

// Reading, optimizing and writing as a GraphDef.
void fuzz_one(std::string_view bytes) {
  cytodet::set_max_tensor_bytes(int64_t{64} << 20);
  cytodet::Graph graph = cytodet::parse_tflite(bytes, "input");
  check_constants(graph, bytes.size());
  cytodet::run_passes(graph, {});
  cytodet::parse_graph(cytodet::encode_graph(graph), "again");
}
