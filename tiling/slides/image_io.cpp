#include "tiling/slides/image_io.h"

#include "core/error.h"
#include "core/file.h"
#include "tiling/slides/formats/jpeg.h"
#include "tiling/slides/formats/png.h"

namespace cytodet::tiling {

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
