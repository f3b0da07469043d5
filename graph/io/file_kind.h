// What a file that is no frozen GraphDef is, so that an error can say what to do with it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace cytodet::graph {

// What to do with a network whose variables are not constants yet.
constexpr const char* kFreezeAdvice =
    "freeze it first: variables become constants (cytodet freeze_graph, on its SavedModel or checkpoint)";

// What TensorFlow saves beside frozen graphs, which the reader freezes on its way (graph/io/tensorflow/unfrozen.h).
enum class SavedForm { none, saved_model, meta_graph, checkpoint };

struct FileKind {
  std::string name;    // "a SavedModel", "a checkpoint's index", ...
  std::string advice;  // what makes a frozen graph of it, or what to name instead
  SavedForm form = SavedForm::none;
};

// By content first, then by the file's name. `bytes`: the whole file, or at least its first 64 KiB and its last 8 bytes. Nothing
// where it may be a GraphDef, binary or text, or is of a kind that is not known.
std::optional<FileKind> other_kind(std::string_view bytes, const std::filesystem::path& path);

// A folder that is given as a graph: a SavedModel, a checkpoint's folder, a package of another program.
std::optional<FileKind> folder_kind(const std::filesystem::path& folder);

}  // namespace cytodet::graph
