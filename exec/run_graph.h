// Running a graph on named feeds, and a folder of cases (graph/io/named_tensors.h).
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
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
// A graph that is run many times: compiled once for each set of outputs and shapes of feeds. Several threads may run one.
class GraphRunner {
 public:
  // Reads the file. Throws Error: a file that cannot be read. `options.outputs` are those of runs that name none.
  GraphRunner(const std::filesystem::path& path, const InferOptions& options);
  ~GraphRunner();

  const Graph& graph() const { return graph_; }
  // What is fetched where a run names nothing: options.outputs, or those of the graph.
  const std::vector<std::string>& outputs() const { return outputs_; }
  // Throws Error with file and node: a feed of another type or shape than the graph's, an input that the outputs need and that is
  // not fed (one that options.changes.sizes names is zeros then, with a warning), nodes that are unknown or cannot be run.
  NamedTensors run(const NamedTensors& feeds, const std::vector<std::string>& outputs) const;

 private:
  struct Compiled;
  NamedTensors run_compiled(const NamedTensors& feeds, const std::vector<std::string>& outputs) const;
  std::shared_ptr<Compiled> compiled(const NamedTensors& feeds, const std::vector<std::string>& outputs) const;

  std::string path_;
  InferOptions options_;
  Graph graph_;
  std::vector<std::string> outputs_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, std::shared_ptr<Compiled>> plans_;  // by outputs, names, types and shapes of feeds
};

// Runs a graph file on named feeds. Throws Error naming file and node.
NamedTensors infer(const std::filesystem::path& graph, const NamedTensors& feeds, const InferOptions& options);

struct CaseResult {
  std::string name;
  std::string problem;  // empty: passed
};
// Every sub-folder of `folder` with case.json and graph.pb, model.onnx or model.tflite, by name.
std::vector<CaseResult> run_cases(const std::filesystem::path& folder, const InferOptions& options);

}  // namespace cytodet::exec
