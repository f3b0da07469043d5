#include "tiling/slides/image_io.h"

#include <algorithm>
#include <string_view>

#include "core/error.h"
#include "core/file.h"
#include "tiling/slides/formats/jpeg.h"
#include "tiling/slides/formats/png.h"

namespace cytodet::tiling {

Image decode_image(std::span<const uint8_t> bytes, const JpegDecoding& how) {
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), size_t{4}));
  if (head.starts_with("\xff\xd8")) return decode_jpeg(bytes, how);
  if (head.starts_with("\x89PNG")) return decode_png(bytes);
  if (head.starts_with("BM")) return decode_bmp(bytes);
  throw Error("", bytes.empty() ? "holds no image" : "is no JPEG, PNG or BMP image", "store images in one of these forms");
}

std::string encode_image(const Image& image, bool jpeg, int quality) {
  return jpeg ? encode_jpeg(image, quality) : encode_png(image);
}

void write_image(const Image& image, const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  const bool jpeg = extension == ".jpg" || extension == ".jpeg";
  try {
    write_file(path, encode_image(image, jpeg));
  } catch (const Error& e) {
    if (e.where().starts_with(path.string())) throw;
    throw e.within(path.string());
  }
}

}  // namespace cytodet::tiling
