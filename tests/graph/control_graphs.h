// Folders of graph.pb and case_0.json, case_1.json, ... (scripts/make_control_graphs.py).
#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "graph/io/named_tensors.h"
#include "graph/io/read_graph.h"
#include "graph/passes/pass.h"
#include "tests/paths.h"

namespace cytodet::test {

struct ControlGraph {
  std::filesystem::path folder;
  Graph graph;
  std::vector<Case> cases;
  Interface interface;  // of the cases
};

inline std::vector<std::filesystem::path> folders_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (std::filesystem::exists(entry.path() / "graph.pb")) found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

// Random graphs, graphs of seldom forms, graphs from the field; or those of the folder that CYTODET_CONTROL_GRAPHS names.
inline std::vector<std::filesystem::path> control_folders() {
  if (const char* other = std::getenv("CYTODET_CONTROL_GRAPHS")) return folders_in(other);
  const std::filesystem::path data = std::filesystem::path(source_dir()) / "tests/data";
  std::vector<std::filesystem::path> all = folders_in(data / "graph/control");
  for (const auto& folder : folders_in(data / "field/graphs")) all.push_back(folder);
  return all;
}

// Inputs that the graph lacks are left out of its cases: what nobody reads may be gone from the file.
inline ControlGraph read_control_graph(const std::filesystem::path& folder) {
  ControlGraph control{folder, read_graph(folder / "graph.pb"), {}, {}};
  for (int i = 0; std::filesystem::exists(folder / ("case_" + std::to_string(i) + ".json")); ++i) {
    Case c = read_case(folder / ("case_" + std::to_string(i) + ".json"));
    std::erase_if(c.inputs, [&](const auto& item) { return control.graph.find(item.first.substr(0, item.first.find(':'))) < 0; });
    control.cases.push_back(std::move(c));
  }
  const auto node = [](const std::string& name) { return name.substr(0, name.find(':')); };
  for (const auto& [name, tensor] : control.cases.at(0).inputs) control.interface.inputs.push_back(node(name));
  for (const auto& [name, tensor] : control.cases.at(0).outputs) control.interface.outputs.push_back(node(name));
  return control;
}

}  // namespace cytodet::test
