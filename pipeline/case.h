// The case form: {"inputs": {"name:slot": {"dtype", "shape", "data"}}, "outputs": {...}}; data is flat, with "nan", "inf", "-inf" as
// strings. Feeds files hold only inputs.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/settings.h"
#include "core/tensor.h"

namespace cytodet {

using NamedTensors = std::map<std::string, Tensor>;

struct Case {
  NamedTensors inputs, outputs;
};

// Throws Error with the file, the tensor and what is wrong.
Case read_case(const std::filesystem::path& path);
Json tensor_to_json(const Tensor& t);
Json tensors_to_json(const NamedTensors& tensors);

// Empty when equal: same dtype and shape, values within 1e-4 relative + 1e-5 absolute (integers and bools exactly; NaN equals NaN);
// otherwise one line that says where they differ first.
std::string difference(const Tensor& got, const Tensor& wanted);

struct InferOptions {
  std::vector<std::string> outputs;  // empty: as the case or the graph says
  bool plain = false;                // the interpreter instead of the compiled plan
  int threads = 1;
};
// Runs a graph file on named feeds. Throws Error naming file and node.
NamedTensors infer(const std::filesystem::path& graph, const NamedTensors& feeds, const InferOptions& options);

struct CaseResult {
  std::string name;
  std::string problem;  // empty: passed
};
// Every sub-folder of `folder` with graph.pb and case.json, by name.
std::vector<CaseResult> run_cases(const std::filesystem::path& folder, const InferOptions& options);

}  // namespace cytodet
