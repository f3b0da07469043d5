// ONNX models (.onnx) as graphs.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "graph/ir/graph.h"

namespace cytodet::graph {

// Throws Error with the path (graph/io/onnx/read_model.h, translate.h).
Graph read_onnx(const std::filesystem::path& path);
// `folder`: where external data lies.
Graph parse_onnx(std::string_view bytes, const std::string& where, const std::filesystem::path& folder);

// The model and its external data.
std::vector<std::filesystem::path> files_of_onnx(const std::filesystem::path& path);

}  // namespace cytodet::graph
