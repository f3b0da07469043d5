// Running a graph on named feeds, and a folder of cases (graph/io/named_tensors.h).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "exec/runtime/plan.h"
#include "graph/interpret/set_values.h"
#include "graph/io/named_tensors.h"

namespace cytodet::exec {

struct InferOptions {
  std::vector<std::string> outputs;  // empty: as the case or the graph says
  bool plain = false;                // the interpreter instead of the compiled plan
  int threads = 1;
  Precision precision = Precision::graph;
  GraphChanges changes = {};
};
// Runs a graph file on named feeds. Throws Error naming file and node.
NamedTensors infer(const std::filesystem::path& graph, const NamedTensors& feeds, const InferOptions& options);

struct CaseResult {
  std::string name;
  std::string problem;  // empty: passed
};
// Every sub-folder of `folder` with case.json and graph.pb or model.onnx, by name.
std::vector<CaseResult> run_cases(const std::filesystem::path& folder, const InferOptions& options);

}  // namespace cytodet::exec
