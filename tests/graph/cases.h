// Folders of cases: graph.pb and what TensorFlow computes with it.
#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "graph/io/named_tensors.h"
#include "graph/io/read_graph.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/ir/op.h"
#include "tests/paths.h"

namespace cytodet::test {

struct GraphCase {
  std::string name;
  Graph graph;
  Case values;
  Feeds feeds() const {
    Feeds f;
    for (const auto& [key, tensor] : values.inputs) f[graph.value(key)] = tensor;
    return f;
  }
};

inline std::filesystem::path data(const std::string& below) {
  return std::filesystem::path(cytodet::source_dir()) / "tests/data" / below;
}

inline std::vector<std::string> case_names(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

inline GraphCase read_graph_case(const std::filesystem::path& folder) {
  GraphCase c{folder.filename().string(), read_graph(folder / "graph.pb"), read_case(folder / "case.json")};
  inline_functions(c.graph);
  return c;
}

}  // namespace cytodet::test
