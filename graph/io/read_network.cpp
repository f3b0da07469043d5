#include "graph/io/read_network.h"

#include "graph/io/onnx/onnx.h"

namespace cytodet::graph {

Graph read_network(const std::filesystem::path& path, const InputSizes& sizes) {
  const std::optional<FileKind> kind = kind_at(path);
  return kind && kind->readable == ReadableKind::onnx ? read_onnx_channels_last(path, sizes) : read_graph(path, sizes);
}

}  // namespace cytodet::graph
