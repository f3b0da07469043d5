// TensorFlow Lite models (.tflite) as graphs.
#pragma once

#include <filesystem>
#include <string_view>

#include "graph/io/input_sizes.h"
#include "graph/ir/graph.h"

namespace cytodet::graph {

// Throws Error with the path (graph/io/tflite/lite_model.h, translate.h). `sizes`: of inputs that the file leaves open, by their
// names as nodes; without one an open size is 1, as in TensorFlow Lite's interpreter.
Graph read_tflite(const std::filesystem::path& path, const InputSizes& sizes = {});
Graph parse_tflite(std::string_view bytes, const std::string& where, const InputSizes& sizes = {});

}  // namespace cytodet::graph
