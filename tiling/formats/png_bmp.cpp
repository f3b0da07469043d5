#include <png.h>

#include <cstring>

#include "core/error.h"
#include "core/file.h"
#include "tiling/image_io.h"
#include "tiling/slide.h"

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

namespace cytodet {

std::string encode_jpeg(const Image& image, int quality);

namespace {

void check_pixels(int64_t width, int64_t height) {
  if (width <= 0 || height <= 0) throw Error("", "image is " + std::to_string(width) + " x " + std::to_string(height) + " pixels", "it holds nothing");
  if (width > kMaxImagePixels / height)
    throw Error("", "image is over the limit of " + std::to_string(kMaxImagePixels) + " pixels", "save it as a tiled TIFF");
}

uint32_t little(std::span<const uint8_t> b, size_t at, int bytes) {
  uint32_t v = 0;
  for (int i = 0; i < bytes; ++i) v |= static_cast<uint32_t>(b[at + static_cast<size_t>(i)]) << (8 * i);
  return v;
}

// stb reads zeros behind the end of the data: refuse files that are shorter than their header says.
void check_bmp_length(std::span<const uint8_t> b) {
  if (b.size() < 54) throw Error("", "damaged BMP: the header is cut off", "restore the file");
  uint32_t offset = little(b, 10, 4), header = little(b, 14, 4);
  if (header < 40) return;
  int64_t width = static_cast<int32_t>(little(b, 18, 4)), height = std::abs(static_cast<int64_t>(static_cast<int32_t>(little(b, 22, 4))));
  uint32_t bits = little(b, 28, 2), compression = little(b, 30, 4);
  check_pixels(width, height);
  int64_t row = (width * bits + 31) / 32 * 4;
  if (compression == 0 && (offset > b.size() || row * height > static_cast<int64_t>(b.size() - offset)))
    throw Error("", "damaged BMP: the data is cut off", "restore the file");
}

}  // namespace

Image decode_png(std::span<const uint8_t> bytes) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  if (!png_image_begin_read_from_memory(&png, bytes.data(), bytes.size())) throw Error("", std::string("damaged PNG: ") + png.message, "restore the file");
  Image image;
  try {
    check_pixels(png.width, png.height);
    png.format = PNG_FORMAT_RGB;
    image = Image(static_cast<int>(png.width), static_cast<int>(png.height));
  } catch (...) {
    png_image_free(&png);
    throw;
  }
  png_color white{255, 255, 255};
  if (!png_image_finish_read(&png, &white, image.rgb.data(), 0, nullptr)) throw Error("", std::string("damaged PNG: ") + png.message, "restore the file");
  return image;
}

Image decode_bmp(std::span<const uint8_t> bytes) {
  check_bmp_length(bytes);
  int width = 0, height = 0, channels = 0;
  if (!stbi_info_from_memory(bytes.data(), static_cast<int>(bytes.size()), &width, &height, &channels))
    throw Error("", std::string("damaged BMP: ") + stbi_failure_reason(), "restore the file");
  check_pixels(width, height);
  stbi_uc* pixels = stbi_load_from_memory(bytes.data(), static_cast<int>(bytes.size()), &width, &height, &channels, 3);
  if (!pixels) throw Error("", std::string("damaged BMP: ") + stbi_failure_reason(), "restore the file");
  Image image(width, height);
  std::memcpy(image.rgb.data(), pixels, image.rgb.size());
  stbi_image_free(pixels);
  return image;
}

void write_image(const Image& image, const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  if (extension == ".jpg" || extension == ".jpeg") return write_file(path, encode_jpeg(image, 90));
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(image.width);
  png.height = static_cast<png_uint_32>(image.height);
  png.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = 0;
  std::string bytes;
  bool sized = png_image_write_get_memory_size(png, size, 0, image.rgb.data(), 0, nullptr);
  if (sized) {
    bytes.resize(size);
    sized = png_image_write_to_memory(&png, bytes.data(), &size, 0, image.rgb.data(), 0, nullptr);
  }
  if (!sized) throw Error(path.string(), std::string("cannot encode PNG: ") + png.message);
  bytes.resize(size);
  write_file(path, bytes);
}

}  // namespace cytodet
