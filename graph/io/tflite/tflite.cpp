#include "graph/io/tflite/tflite.h"

#include "core/error.h"
#include "core/file.h"
#include "graph/io/tflite/translate.h"

namespace cytodet::graph {
namespace {

constexpr int64_t kMaxLiteBytes = (int64_t{2} << 30) - 1;  // what tables of 32-bit offsets reach

}  // namespace

Graph parse_tflite(std::string_view bytes, const std::string& where, const InputSizes& sizes) {
  const lite::LiteModel model = lite::parse_lite(bytes, where);
  try {
    return lite::translate(model, sizes);
  } catch (const Error& e) {
    throw e.within(where);
  }
}

Graph read_tflite(const std::filesystem::path& path, const InputSizes& sizes) {
  return parse_tflite(read_file(path, kMaxLiteBytes), path.string(), sizes);
}

}  // namespace cytodet::graph
