// Reading a graph, whatever a user names: the formats are entries of one table. To add one: its kind in file_kind.h, a folder
// beside graph/io/tensorflow, and an entry in read_graph.cpp.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "graph/io/file_kind.h"
#include "graph/io/input_sizes.h"
#include "graph/ir/graph.h"

namespace cytodet::graph {

struct GraphFormat {
  const char* name;      // "a SavedModel"
  const char* named_by;  // what a user names: "its folder or saved_model.pb"
  // `kind`: kind_at(path).
  bool (*recognises)(const std::optional<FileKind>& kind);
  Graph (*read)(const std::filesystem::path& path, const InputSizes& sizes);
  std::vector<std::filesystem::path> (*files)(const std::filesystem::path& path);  // those that are read; may throw Error
};

// In the order in which they are tried.
std::span<const GraphFormat> graph_formats();

// A graph without variables: those of SavedModels and checkpoints become constants, and their outputs are found. Throws Error
// with the path: there is no such file; it is of a kind that no entry reads, then with what it is and what is read; what the
// entry's reader finds (graph/io/tensorflow/graph_def.h, freeze.h).
// `sizes`: of inputs that the file leaves open.
Graph read_graph(const std::filesystem::path& path, const InputSizes& sizes = {});

// What is read when this path is read as a graph: the file itself, or those of a SavedModel or checkpoint. Never throws Error:
// where reading will fail, the path alone.
std::vector<std::filesystem::path> files_of_graph(const std::filesystem::path& path);

}  // namespace cytodet::graph
