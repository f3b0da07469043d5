// What a path that is no frozen GraphDef holds: read_graph finds its reader by that, or an error says what to do with it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace cytodet::graph {

// What to do with a network whose variables are not constants yet.
constexpr const char* kFreezeAdvice =
    "freeze it first: variables become constants (cytodet freeze_graph, on its SavedModel or checkpoint)";

// The kinds that read_graph has a reader for, besides frozen GraphDefs (graph/io/read_graph.cpp).
enum class ReadableKind { none, saved_model, meta_graph, checkpoint, onnx, tflite };

struct FileKind {
  std::string name;    // "a SavedModel", "a checkpoint's index", ...
  std::string advice;  // what makes a frozen graph of it, or what to name instead
  ReadableKind readable = ReadableKind::none;
};

// By content first, then by the file's name. `bytes`: the whole file; or its first 64 KiB, with its last 48 bytes or more in
// `tail`. Nothing where it may be a GraphDef, binary or text, or is of a kind that is not known.
std::optional<FileKind> other_kind(std::string_view bytes, const std::filesystem::path& path, std::string_view tail = {});

// A folder that is given as a graph: a SavedModel, a checkpoint's folder, a package of another program.
std::optional<FileKind> folder_kind(const std::filesystem::path& folder);

// What a user names: a folder, a file, of which the first 64 KiB and the end are read, or the prefix of a checkpoint
// ("model.ckpt-123", of which there is an .index). Nothing as in other_kind, and where there is no such file, or it is a pipe.
std::optional<FileKind> kind_at(const std::filesystem::path& path);

}  // namespace cytodet::graph
