#include "tiling/slides/formats/png.h"

#include <png.h>

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstring>
#include <vector>

#include "core/file.h"
#include "tiling/slides/formats/format_entries.h"
#include "tiling/slides/formats/limits.h"
#include "tiling/slides/image_io.h"
#include "tiling/slides/sample_range.h"

namespace cytodet::tiling {
namespace {

struct PngSource {
  std::span<const uint8_t> left;
};

// State that must survive a longjmp out of libpng.
struct Reader {
  png_structp png = nullptr;
  png_infop info = nullptr;
  PngSource source;
  Image image;                 // 8 bits, or
  std::vector<uint16_t> deep;  // 16 bits, three values a pixel
  std::vector<png_bytep> rows;
  std::string problem;

  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
};

[[noreturn]] void on_error(png_structp png, png_const_charp text) {
  static_cast<Reader*>(png_get_error_ptr(png))->problem = text;
  png_longjmp(png, 1);
}
void on_warning(png_structp, png_const_charp) {}

void take(png_structp png, png_bytep out, size_t n) {
  auto* source = static_cast<PngSource*>(png_get_io_ptr(png));
  if (n > source->left.size()) png_error(png, "the data is cut off");
  std::memcpy(out, source->left.data(), n);
  source->left = source->left.subspan(n);
}

bool decode(Reader& r, size_t bytes, bool want_deep) {
  if (setjmp(png_jmpbuf(r.png))) return false;
  png_set_read_fn(r.png, &r.source, take);
  png_read_info(r.png, r.info);
  const int64_t width = png_get_image_width(r.png, r.info), height = png_get_image_height(r.png, r.info);
  check_pixels(width, height);
  // Deflate shrinks at most 1032 times.
  if (static_cast<double>(png_get_rowbytes(r.png, r.info)) * static_cast<double>(height) > 1032.0 * static_cast<double>(bytes))
    png_error(r.png, "the data is too short for its size");
  png_set_expand(r.png);
  if (want_deep)
    png_set_swap(r.png);
  else
    png_set_scale_16(r.png);
  png_set_gray_to_rgb(r.png);
  png_color_16 white{0, 255, 255, 255, 255};
  const bool deep = png_get_bit_depth(r.png, r.info) == 16;
  if (deep) white.red = white.green = white.blue = white.gray = 65535;
  if ((png_get_color_type(r.png, r.info) & PNG_COLOR_MASK_ALPHA) || png_get_valid(r.png, r.info, PNG_INFO_tRNS))
    png_set_background(r.png, &white, PNG_BACKGROUND_GAMMA_SCREEN, 0, 1.0);
  png_set_interlace_handling(r.png);
  png_read_update_info(r.png, r.info);
  if (png_get_rowbytes(r.png, r.info) != static_cast<size_t>(width) * (want_deep ? 6 : 3))
    png_error(r.png, "cannot be turned into RGB");
  if (want_deep)
    r.deep.resize(static_cast<size_t>(width * height * 3));
  else
    r.image = Image(static_cast<int>(width), static_cast<int>(height));
  for (int64_t y = 0; y < height; ++y)
    r.rows.push_back(want_deep ? reinterpret_cast<png_bytep>(r.deep.data() + y * width * 3) : r.image.row(static_cast<int>(y)));
  png_read_image(r.png, r.rows.data());
  png_read_end(r.png, nullptr);
  return true;
}

void read_png(Reader& r, std::span<const uint8_t> bytes, bool deep) {
  r.source.left = bytes;
  r.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r, on_error, on_warning);
  r.info = r.png ? png_create_info_struct(r.png) : nullptr;
  if (!r.info) throw std::bad_alloc();
  if (!decode(r, bytes.size(), deep)) throw Error("", "damaged PNG: " + r.problem, "restore the file");
}

bool is_deep(std::span<const uint8_t> bytes) {
  constexpr size_t kBitDepth = 24;  // of IHDR, which comes first
  return bytes.size() > kBitDepth && bytes[kBitDepth] == 16;
}

}  // namespace

Image decode_png(std::span<const uint8_t> bytes) {
  Reader r;
  read_png(r, bytes, false);
  return std::move(r.image);
}

std::unique_ptr<Slide> open_png(const std::string& path, const ImageSelection& selection) {
  const std::string text = read_file(path, int64_t{1} << 30);
  const std::span<const uint8_t> bytes{reinterpret_cast<const uint8_t*>(text.data()), text.size()};
  Image image = decode_png(bytes);
  const Stretch stretch = parse_stretch(selection.stretch);
  std::string warning;
  StretchRange range;
  const bool deep = is_deep(bytes), stretched = deep && stretch.kind != Stretch::Kind::none;
  if (deep && (stretched || *std::max_element(image.rgb.begin(), image.rgb.end()) < 128)) {
    Reader r;
    read_png(r, bytes, true);
    const auto largest = std::max_element(r.deep.begin(), r.deep.end());
    range = stretch.kind == Stretch::Kind::automatic ? StretchRange{0, std::exp2(bits_for(*largest)) - 1} : stretch.range;
    if (!stretched) warning = unused_depth(*largest, 16, 0);
    for (size_t i = 0; stretched && i < r.deep.size(); ++i)
      image.rgb[i] =
          static_cast<uint8_t>(std::lround(std::clamp((r.deep[i] - range.low) / (range.high - range.low), 0.0, 1.0) * 255));
  }
  std::unique_ptr<Slide> slide = make_memory_slide(std::move(image));
  slide->contents.bits = deep ? 16 : 8;
  slide->stretched = stretched;
  if (stretched) say_range(slide->selection, range);
  if (!warning.empty()) slide->warnings.push_back(std::move(warning));
  return slide;
}

std::string encode_png(const Image& image) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(image.width);
  png.height = static_cast<png_uint_32>(image.height);
  png.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
  std::string bytes(size, '\0');
  if (!png_image_write_to_memory(&png, bytes.data(), &size, 0, image.rgb.data(), 0, nullptr))
    throw Error("", std::string("cannot encode PNG: ") + png.message);
  bytes.resize(size);
  return bytes;
}

}  // namespace cytodet::tiling
