// A network whose variables lie in files of their own, however a user names it: the folder of a SavedModel or its saved_model.pb,
// a checkpoint by its prefix ("model.ckpt-123"), by one of its files, or by the folder of it.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "graph/io/file_kind.h"

namespace cytodet::graph {

struct Unfrozen {
  ReadableKind kind = ReadableKind::none;  // saved_model or meta_graph
  std::filesystem::path graph_file;        // saved_model.pb, or PREFIX.meta
  std::filesystem::path prefix;            // of the checkpoint
};

// Nothing where the path may be a frozen graph, or is of a kind that cannot be frozen.
std::optional<Unfrozen> find_unfrozen(const std::filesystem::path& path);

// The prefix of a checkpoint that is named by any of its files, by the list "checkpoint" or by the folder of that: the newest.
std::filesystem::path checkpoint_prefix(const std::filesystem::path& path);

// The file of the graph, and those of the checkpoint.
std::vector<std::filesystem::path> files_of(const Unfrozen& source);

}  // namespace cytodet::graph
