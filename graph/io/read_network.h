// The graph of a network that looks at images.
#pragma once

#include "graph/io/read_graph.h"

namespace cytodet::graph {

// read_graph, but an ONNX model's images [n, c, h, w] are fed as [n, h, w, c], as all other formats have them.
Graph read_network(const std::filesystem::path& path, const InputSizes& sizes = {});

}  // namespace cytodet::graph
