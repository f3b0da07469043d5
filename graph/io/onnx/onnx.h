// ONNX models (.onnx) as graphs.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "graph/io/input_sizes.h"
#include "graph/io/onnx/translate.h"

namespace cytodet::graph {

// Throws Error with the path (graph/io/onnx/read_model.h, translate.h).
Graph read_onnx(const std::filesystem::path& path, const InputSizes& sizes = {});
// read_onnx with inputs that are images as [n, h, w, c].
Graph read_onnx_channels_last(const std::filesystem::path& path, const InputSizes& sizes = {});
// `folder`: where external data lies; `sizes`: of inputs that the model leaves open, by their names as nodes.
Graph parse_onnx(std::string_view bytes, const std::string& where, const std::filesystem::path& folder,
                 const InputSizes& sizes = {}, onnx::ImageInputs images = onnx::ImageInputs::as_stated);

// What the exporter wrote beside the graph, by its keys ("names", "imgsz", ...). Throws Error with the path.
std::map<std::string, std::string> onnx_metadata(const std::filesystem::path& path);

// The operator of every node outside of branches and bodies. Throws Error with the path.
std::vector<onnx::OperatorUse> onnx_operators(const std::filesystem::path& path);

// The model and its external data.
std::vector<std::filesystem::path> files_of_onnx(const std::filesystem::path& path);

}  // namespace cytodet::graph
