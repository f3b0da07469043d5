// Plain images: decoding whole from memory, writing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "core/image.h"

namespace cytodet::tiling {

// 8-bit RGB whatever the file holds: gray, palette, 16 bit, CMYK are converted, alpha is laid over white. Throws Error on damaged
// or truncated data and above kMaxImagePixels.
Image decode_jpeg(std::span<const uint8_t> bytes);
Image decode_jpeg(std::span<const uint8_t> bytes, const JpegDecoding& how);
Image decode_png(std::span<const uint8_t> bytes);
Image decode_bmp(std::span<const uint8_t> bytes);
// Whichever of these the bytes begin as; Error where they begin as none.
Image decode_image(std::span<const uint8_t> bytes, const JpegDecoding& how);

// PNG or, with jpeg, JPEG of this quality (1 to 100).
std::string encode_image(const Image& image, bool jpeg, int quality = 90);

// Written aside, then renamed. JPEG when the name ends in .jpg or .jpeg, else PNG.
void write_image(const Image& image, const std::filesystem::path& path);

}  // namespace cytodet::tiling
