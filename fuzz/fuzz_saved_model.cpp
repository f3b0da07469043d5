#include "fuzz/driver.h"
#include "graph/io/tensorflow/freeze.h"
#include "graph/io/tensorflow/graph_def.h"
#include "tests/paths.h"

namespace {

const std::string kSaved = cytodet::source_dir() + "/tests/data/graph/saved/";

void freeze_and_write(cytodet::MetaGraph meta, const std::string& prefix) try {
  const cytodet::Checkpoint checkpoint(kSaved + prefix);
  cytodet::FreezeOptions options;
  options.find_outputs = true;
  cytodet::encode_graph(cytodet::freeze(std::move(meta), &checkpoint, options, "input").graph);
} catch (const cytodet::Error&) {
}

}  // namespace

std::vector<std::string> fuzz_seeds() {
  std::vector<std::string> seeds;
  for (const char* name : {"slim/model.ckpt-7.meta", "sharded/model.ckpt.meta", "partitioned/saved_model/saved_model.pb",
                           "tags/saved_model/saved_model.pbtxt", "keras/saved_model/saved_model.pb",
                           "nested/saved_model/saved_model.pb", "assets/saved_model/saved_model.pb"})
    seeds.push_back(kSaved + name);
  return seeds;
}

// As a SavedModel and as a meta graph, with the variables of two that are of these kinds.
void fuzz_one(std::string_view bytes) {
  cytodet::set_max_tensor_bytes(int64_t{64} << 20);
  try {
    freeze_and_write(cytodet::parse_saved_model(bytes, "input", {}), "keras/saved_model/variables/variables");
  } catch (const cytodet::Error&) {
  }
  freeze_and_write(cytodet::parse_meta_graph(bytes, "input"), "sharded/model.ckpt");
}
