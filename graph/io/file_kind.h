// What a file that is no frozen GraphDef is, so that an error can say what to do with it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace cytodet::graph {

// What to do with a network whose variables are not constants yet.
constexpr const char* kFreezeAdvice =
    "freeze it first: variables become constants (convert_variables_to_constants_v2, or freeze_graph)";

struct FileKind {
  std::string name;    // "a SavedModel", "a checkpoint's index", ...
  std::string advice;  // what makes a frozen graph of it, or what to name instead
};

// By content first, then by the file's name. `bytes`: the whole file, or at least its first 64 KiB and its last 8 bytes. Nothing
// where it may be a GraphDef, binary or text, or is of a kind that is not known.
std::optional<FileKind> other_kind(std::string_view bytes, const std::filesystem::path& path);

// A folder that is given as a graph: a SavedModel, a checkpoint's folder, a package of another program.
std::optional<FileKind> folder_kind(const std::filesystem::path& folder);

}  // namespace cytodet::graph
