#include "tiling/slides/formats/jpeg.h"

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>

// clang-format off
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include "tiling/slides/formats/limits.h"
#include "tiling/slides/image_io.h"

namespace cytodet::tiling {
namespace {

struct ErrorManager {
  jpeg_error_mgr base;
  std::jmp_buf jump;
  char text[JMSG_LENGTH_MAX];
};

[[noreturn]] void fail(j_common_ptr info) {
  auto* manager = reinterpret_cast<ErrorManager*>(info->err);
  info->err->format_message(info, manager->text);
  std::longjmp(manager->jump, 1);
}

// Data that is missing or wrong is an error; odd but harmless markers are not.
void message(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
      fail(info);
    default:
      return;
  }
}

jpeg_error_mgr* install(ErrorManager& manager) {
  jpeg_std_error(&manager.base);
  manager.base.error_exit = fail;
  manager.base.emit_message = message;
  manager.base.output_message = [](j_common_ptr) {};
  return &manager.base;
}

// A few bytes can ask for thousands of passes over a progressive image.
void stop_endless_scans(j_common_ptr info) {
  constexpr int kMaxScans = 500;
  if (info->is_decompressor && reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > kMaxScans) {
    ErrorManager* manager = reinterpret_cast<ErrorManager*>(info->err);
    std::snprintf(manager->text, sizeof manager->text, "more than %d scans", kMaxScans);
    std::longjmp(manager->jump, 1);
  }
}

uint8_t times(int a, int b) { return static_cast<uint8_t>((a * b + 127) / 255); }

// State that must survive a longjmp out of libjpeg.
struct Decoder {
  jpeg_decompress_struct info{};
  ErrorManager manager;
  jpeg_progress_mgr progress{};
  std::vector<uint8_t> line;
  uint8_t* rgb = nullptr;
  JpegDecoding how;
  Decoder() { info.err = install(manager); }
  ~Decoder() { jpeg_destroy_decompress(&info); }
};

void set_colour(jpeg_decompress_struct& info, JpegColour colour) {
  if (colour == JpegColour::gray && info.num_components == 1) info.jpeg_color_space = JCS_GRAYSCALE;
  if (colour == JpegColour::rgb && info.num_components == 3) info.jpeg_color_space = JCS_RGB;
  if (colour == JpegColour::ycbcr && info.num_components == 3) info.jpeg_color_space = JCS_YCbCr;
}

// `place` gives the buffer for an image of the stream's size, or null for none, or throws. False: libjpeg's own words are in
// manager.text.
using Place = std::function<uint8_t*(const jpeg_decompress_struct&)>;
bool decode(Decoder& d, const JpegStream& stream, int reduce, const Place& place) {
  if (setjmp(d.manager.jump)) return false;
  jpeg_create_decompress(&d.info);
  d.info.mem->max_memory_to_use = 1L << 30;
  d.progress.progress_monitor = stop_endless_scans;
  d.info.progress = &d.progress;
  if (!stream.tables.empty()) {
    jpeg_mem_src(&d.info, stream.tables.data(), stream.tables.size());
    jpeg_read_header(&d.info, FALSE);
  }
  jpeg_mem_src(&d.info, stream.data.data(), stream.data.size());
  jpeg_read_header(&d.info, TRUE);
  d.rgb = place(d.info);
  if (!d.rgb) return true;
  set_colour(d.info, stream.colour);
  const bool cmyk = d.info.jpeg_color_space == JCS_CMYK || d.info.jpeg_color_space == JCS_YCCK;
  d.info.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  if (d.how.fast_dct) d.info.dct_method = JDCT_IFAST;
  if (!d.how.fancy_upsampling) d.info.do_fancy_upsampling = FALSE;
  d.info.scale_num = 1;
  d.info.scale_denom = static_cast<unsigned>(reduce);
  jpeg_start_decompress(&d.info);
  const size_t width = d.info.output_width;
  if (cmyk) d.line.resize(width * 4);
  while (d.info.output_scanline < d.info.output_height) {
    uint8_t* row = d.rgb + d.info.output_scanline * width * 3;
    if (!cmyk) {
      JSAMPROW rows[8];
      const JDIMENSION count = std::min<JDIMENSION>(8, d.info.output_height - d.info.output_scanline);
      for (JDIMENSION i = 0; i < count; ++i) rows[i] = row + i * width * 3;
      jpeg_read_scanlines(&d.info, rows, count);
      continue;
    }
    JSAMPROW target = d.line.data();
    jpeg_read_scanlines(&d.info, &target, 1);
    const bool inverted = d.info.saw_Adobe_marker;
    for (size_t x = 0; x < width; ++x) {
      const uint8_t* p = d.line.data() + x * 4;
      for (size_t c = 0; c < 3; ++c) row[x * 3 + c] = inverted ? times(p[c], p[3]) : times(255 - p[c], 255 - p[3]);
    }
  }
  jpeg_finish_decompress(&d.info);
  return true;
}

}  // namespace

Image decode_jpeg(std::span<const uint8_t> bytes, const JpegDecoding& how) {
  Image image;
  Decoder d;
  d.how = how;
  bool ok = decode(d, {{}, bytes, JpegColour::stated}, 1, [&](const jpeg_decompress_struct& info) {
    const int64_t pixels = static_cast<int64_t>(info.image_width) * info.image_height;
    check_pixels(info.image_width, info.image_height);
    // A Huffman-coded block of 64 pixels takes at least a bit per component.
    if (!info.arith_code && pixels / 2048 > static_cast<int64_t>(bytes.size()))
      throw Error("",
                  "damaged JPEG: " + std::to_string(bytes.size()) + " bytes cannot hold " + std::to_string(pixels) + " pixels",
                  "restore the file");
    image = Image(static_cast<int>(info.image_width), static_cast<int>(info.image_height));
    return image.rgb.data();
  });
  if (!ok) throw Error("", std::string("damaged JPEG: ") + d.manager.text, "restore the file");
  return image;
}

Image decode_jpeg(std::span<const uint8_t> bytes) { return decode_jpeg(bytes, {}); }

JpegSize jpeg_size(std::span<const uint8_t> data) {
  JpegSize size;
  Decoder d;
  bool ok = decode(d, {{}, data, JpegColour::stated}, 1, [&](const jpeg_decompress_struct& info) -> uint8_t* {
    size = {static_cast<int>(info.image_width), static_cast<int>(info.image_height)};
    return nullptr;
  });
  if (!ok) throw Error("", std::string("damaged JPEG: ") + d.manager.text, "restore the file");
  return size;
}

bool decode_jpeg_stream(const JpegStream& stream, JpegSize size, int reduce, uint8_t* rgb) {
  Decoder d;
  bool ok = decode(d, stream, reduce, [&](const jpeg_decompress_struct& info) {
    return static_cast<int64_t>(info.image_width) == size.width && static_cast<int64_t>(info.image_height) == size.height
               ? rgb
               : nullptr;
  });
  if (!ok) throw Error("", std::string("damaged JPEG: ") + d.manager.text, "restore the file");
  return d.rgb != nullptr;
}

std::string encode_jpeg(const Image& image, int quality) {
  struct Encoder {
    jpeg_compress_struct info{};
    ErrorManager manager;
    unsigned char* data = nullptr;
    unsigned long size = 0;
    Encoder() { info.err = install(manager); }
    ~Encoder() {
      jpeg_destroy_compress(&info);
      std::free(data);
    }
  };
  const auto e = std::make_unique<Encoder>();
  if (setjmp(e->manager.jump)) throw Error("", std::string("cannot encode JPEG: ") + e->manager.text);
  jpeg_create_compress(&e->info);
  jpeg_mem_dest(&e->info, &e->data, &e->size);
  e->info.image_width = static_cast<JDIMENSION>(image.width);
  e->info.image_height = static_cast<JDIMENSION>(image.height);
  e->info.input_components = 3;
  e->info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&e->info);
  jpeg_set_quality(&e->info, quality, TRUE);
  jpeg_start_compress(&e->info, TRUE);
  while (e->info.next_scanline < e->info.image_height) {
    JSAMPROW row = const_cast<uint8_t*>(image.row(static_cast<int>(e->info.next_scanline)));
    jpeg_write_scanlines(&e->info, &row, 1);
  }
  jpeg_finish_compress(&e->info);
  return {reinterpret_cast<char*>(e->data), e->size};
}

}  // namespace cytodet::tiling
