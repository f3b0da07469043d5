#include "graph/io/onnx/onnx.h"

#include "core/error.h"
#include "core/file.h"
#include "graph/io/onnx/read_model.h"
#include "graph/io/onnx/translate.h"

namespace cytodet::graph {
namespace {

constexpr int64_t kMaxModelBytes = (int64_t{2} << 30) - 1;  // what a message of protobuf can hold

}  // namespace

Graph parse_onnx(std::string_view bytes, const std::string& where, const std::filesystem::path& folder) {
  const onnx::OnnxModel model = onnx::parse_model(bytes, where, folder);
  try {
    return onnx::translate(model);
  } catch (const Error& e) {
    throw e.within(where);
  }
}

Graph read_onnx(const std::filesystem::path& path) {
  return parse_onnx(read_file(path, kMaxModelBytes), path.string(), path.parent_path());
}

std::vector<std::filesystem::path> files_of_onnx(const std::filesystem::path& path) {
  std::vector<std::filesystem::path> files{path};
  for (std::filesystem::path& file : onnx::external_files(read_file(path, kMaxModelBytes), path.string(), path.parent_path()))
    files.push_back(std::move(file));
  return files;
}

}  // namespace cytodet::graph
