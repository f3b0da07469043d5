#include "graph/io/read_graph.h"

#include <string>

#include "core/error.h"
#include "core/file.h"
#include "core/join.h"
#include "graph/io/onnx/onnx.h"
#include "graph/io/tensorflow/freeze.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/io/tensorflow/unfrozen.h"
#include "graph/io/tflite/tflite.h"

namespace cytodet::graph {
namespace {

namespace fs = std::filesystem;

template <ReadableKind wanted>
bool is_kind(const std::optional<FileKind>& kind) {
  return kind && kind->readable == wanted;
}

Graph sized(Graph graph, const InputSizes& sizes) {
  set_input_sizes(graph, sizes);
  return graph;
}

Graph read_unfrozen(const fs::path& path, const InputSizes& sizes) {
  FreezeOptions options;
  options.find_outputs = true;
  return sized(freeze(find_unfrozen(path).value(), options).graph, sizes);
}
std::vector<fs::path> files_of_unfrozen(const fs::path& path) { return files_of(find_unfrozen(path).value()); }

[[noreturn]] void refuse_kind(const fs::path& path, const FileKind& kind) {
  std::vector<std::string> known;
  for (const GraphFormat& f : graph_formats()) known.push_back(std::string(f.name) + " (" + f.named_by + ")");
  throw Error(path.string(), "is " + kind.name + ", no frozen graph", kind.advice + "; what is read: " + join(known, ", "));
}

// The whole file may show what its ends did not.
Graph read_graph_def(const fs::path& path, const InputSizes& sizes) {
  const std::string bytes = read_file(path, (int64_t{2} << 30) - 1);
  if (const auto kind = other_kind(bytes, path)) refuse_kind(path, *kind);
  try {
    return sized(parse_graph(bytes, path.string()), sizes);
  } catch (const Error& e) {
    const std::string name = path.extension().string();
    if (name != ".onnx" && name != ".tflite") throw;
    throw Error(path.string(),
                bytes.empty() ? "is empty" : std::string("is no ") + (name == ".onnx" ? "ONNX" : "TensorFlow Lite") + " model",
                "export or copy it again");
  }
}

const GraphFormat kGraphFormats[] = {
    {"a SavedModel", "its folder or saved_model.pb", is_kind<ReadableKind::saved_model>, read_unfrozen, files_of_unfrozen},
    {"a meta graph with its checkpoint", ".meta", is_kind<ReadableKind::meta_graph>, read_unfrozen, files_of_unfrozen},
    {"a checkpoint with its meta graph", "its prefix, its folder or one of its files", is_kind<ReadableKind::checkpoint>,
     read_unfrozen, files_of_unfrozen},
    {"an ONNX model", ".onnx", is_kind<ReadableKind::onnx>, read_onnx, files_of_onnx},
    {"a TensorFlow Lite model", ".tflite", is_kind<ReadableKind::tflite>, read_tflite,
     [](const fs::path& path) { return std::vector{path}; }},
    {"a frozen GraphDef", ".pb or .pbtxt", [](const std::optional<FileKind>& kind) { return !kind; }, read_graph_def,
     [](const fs::path& path) { return std::vector{path}; }},
};

// Null: no entry reads this kind.
const GraphFormat* format_of(const std::optional<FileKind>& kind) {
  for (const GraphFormat& f : kGraphFormats)
    if (f.recognises(kind)) return &f;
  return nullptr;
}

}  // namespace

std::span<const GraphFormat> graph_formats() { return kGraphFormats; }

Graph read_graph(const fs::path& path, const InputSizes& sizes) {
  const std::optional<FileKind> kind = kind_at(path);
  if (const GraphFormat* format = format_of(kind)) return format->read(path, sizes);
  refuse_kind(path, *kind);
}

std::vector<fs::path> files_of_graph(const fs::path& path) {
  const GraphFormat* format = format_of(kind_at(path));
  try {
    return format ? format->files(path) : std::vector{path};
  } catch (const Error&) {  // reported when it is read
    return {path};
  }
}

}  // namespace cytodet::graph
