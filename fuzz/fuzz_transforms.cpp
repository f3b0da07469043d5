// The list of transforms of transform_graph: its grammar, and every transform that reads no file on a small graph.
#include "fuzz/driver.h"
#include "graph/io/read_graph.h"
#include "pipeline/transform/transform_table.h"
#include "tests/paths.h"

std::vector<std::string> fuzz_seeds() { return {cytodet::source_dir() + "/tests/data/fuzz/transforms"}; }

void fuzz_one(std::string_view bytes) {
  std::vector<cytodet::pipeline::TransformCall> calls = cytodet::pipeline::parse_transforms(bytes);
  std::erase_if(calls, [](const auto& call) { return call.name.starts_with("freeze_"); });
  if (calls.size() > 8) calls.resize(8);
  const cytodet::graph::Graph graph = cytodet::graph::read_graph(cytodet::source_dir() + "/tests/data/graph/lenet_frozen.pb");
  cytodet::graph::Graph g = graph;
  cytodet::pipeline::apply_transforms(g, {{}, {"Lenet/fc9_1/Relu"}}, calls, [](const std::string&) {});
  g.check();
}
