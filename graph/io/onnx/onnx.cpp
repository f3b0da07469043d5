#include "graph/io/onnx/onnx.h"

#include "core/error.h"
#include "core/file.h"
#include "graph/io/node_name.h"
#include "graph/io/onnx/read_model.h"
#include "graph/io/onnx/translate.h"

namespace cytodet::graph {
namespace {

constexpr int64_t kMaxModelBytes = (int64_t{2} << 30) - 1;  // what a message of protobuf can hold

void set_sizes(onnx::OnnxModel& model, const InputSizes& sizes) {
  std::vector<std::string> names;
  for (onnx::OnnxValue& input : model.graph.inputs) {
    names.push_back(node_name(input.name));
    if (const auto it = sizes.find(names.back()); it != sizes.end())
      input.shape = sized_shape(names.back(), input.shape, it->second);
  }
  check_input_names(sizes, names);
}

}  // namespace

Graph parse_onnx(std::string_view bytes, const std::string& where, const std::filesystem::path& folder, const InputSizes& sizes,
                 onnx::ImageInputs images) {
  onnx::OnnxModel model = onnx::parse_model(bytes, where, folder);
  try {
    set_sizes(model, sizes);
    return onnx::translate(model, images);
  } catch (const Error& e) {
    throw e.within(where);
  }
}

Graph read_onnx(const std::filesystem::path& path, const InputSizes& sizes) {
  return parse_onnx(read_file(path, kMaxModelBytes), path.string(), path.parent_path(), sizes);
}

Graph read_onnx_channels_last(const std::filesystem::path& path, const InputSizes& sizes) {
  return parse_onnx(read_file(path, kMaxModelBytes), path.string(), path.parent_path(), sizes, onnx::ImageInputs::channels_last);
}

std::map<std::string, std::string> onnx_metadata(const std::filesystem::path& path) {
  return onnx::metadata_of_model(read_file(path, kMaxModelBytes), path.string());
}

std::vector<onnx::OperatorUse> onnx_operators(const std::filesystem::path& path) {
  return onnx::operators_of(onnx::parse_model(read_file(path, kMaxModelBytes), path.string(), path.parent_path()));
}

std::vector<std::filesystem::path> files_of_onnx(const std::filesystem::path& path) {
  std::vector<std::filesystem::path> files{path};
  for (std::filesystem::path& file : onnx::external_files(read_file(path, kMaxModelBytes), path.string(), path.parent_path()))
    files.push_back(std::move(file));
  return files;
}

}  // namespace cytodet::graph
