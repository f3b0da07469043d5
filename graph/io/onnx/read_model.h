// Bytes of an ONNX file into an OnnxModel, with the tensors that lie in files beside it.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "graph/io/onnx/onnx_graph.h"

namespace cytodet::graph::onnx {

// `folder`: where external data is looked for. Throws Error with `where`: bytes that are no ONNX model; tensors whose shape does
// not fit their data, exceeds the limit or is of a type that a Graph does not hold; external data outside the folder or not as
// long as stated; sparse tensors, functions of the model's own, inputs that are no tensors.
OnnxModel parse_model(std::string_view bytes, const std::string& where, const std::filesystem::path& folder);

// What the exporter wrote beside the graph, by its keys; the last of a key that is there twice. Throws Error as parse_model().
std::map<std::string, std::string> metadata_of_model(std::string_view bytes, const std::string& where);

// The files that hold external data of the model, as its tensors name them, each once; those that would be refused too.
std::vector<std::filesystem::path> external_files(std::string_view bytes, const std::string& where,
                                                  const std::filesystem::path& folder);

}  // namespace cytodet::graph::onnx
