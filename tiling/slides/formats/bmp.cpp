#include <algorithm>
#include <cstring>
#include <memory>

#include "tiling/slides/formats/limits.h"
#include "tiling/slides/image_io.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wsign-compare"
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS (1 << 17)
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace cytodet::tiling {
namespace {

int64_t little(std::span<const uint8_t> b, size_t at, size_t bytes) {
  int64_t v = 0;
  for (size_t i = 0; i < bytes; ++i) v |= static_cast<int64_t>(b[at + i]) << (8 * i);
  return v;
}

[[noreturn]] void damaged_bmp(const std::string& why) { throw Error("", "damaged BMP: " + why, "restore the file"); }

// stb reads zeros behind the end of the data, so files that are shorter than their header says are refused here.
void check_length(std::span<const uint8_t> b) {
  if (b.size() < 26) damaged_bmp("the header is cut off");
  const int64_t offset = little(b, 10, 4), header = little(b, 14, 4);
  const bool old = header == 12;
  if (!old && (header < 40 || b.size() < 54)) damaged_bmp("the header is cut off");
  const int64_t width = old ? little(b, 18, 2) : static_cast<int32_t>(little(b, 18, 4));
  const int64_t height = old ? little(b, 20, 2) : std::abs(static_cast<int64_t>(static_cast<int32_t>(little(b, 22, 4))));
  const int64_t bits = little(b, old ? 24 : 28, 2), compression = old ? 0 : little(b, 30, 4);
  check_pixels(width, height);
  if (compression != 0 && compression != 3)
    throw Error("", "BMP with compression " + std::to_string(compression) + " is not supported", "save it uncompressed");
  const int64_t row = (width * bits + 31) / 32 * 4, size = static_cast<int64_t>(b.size());
  if (offset > size || row * height > size - offset) damaged_bmp("the data is cut off");
}

}  // namespace

Image decode_bmp(std::span<const uint8_t> bytes) {
  check_length(bytes);
  int width = 0, height = 0, channels = 0;
  const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
      stbi_load_from_memory(bytes.data(), static_cast<int>(bytes.size()), &width, &height, &channels, 3), stbi_image_free);
  if (!pixels) damaged_bmp(stbi_failure_reason());
  Image image(width, height);
  std::memcpy(image.rgb.data(), pixels.get(), image.rgb.size());
  return image;
}

}  // namespace cytodet::tiling
