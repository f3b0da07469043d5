#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <jpeglib.h>
#include <jerror.h>

#include "core/error.h"
#include "core/file.h"
#include "tiling/image_io.h"
#include "tiling/slide.h"

namespace cytodet {
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
  int code = info->err->msg_code;
  if (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE || code == JWRN_MUST_RESYNC) fail(info);
}

void install(ErrorManager& manager, jpeg_error_mgr*& slot) {
  slot = jpeg_std_error(&manager.base);
  manager.base.error_exit = fail;
  manager.base.emit_message = message;
  manager.base.output_message = [](j_common_ptr) {};
}

uint8_t times(int a, int b) { return static_cast<uint8_t>((a * b + 127) / 255); }

}  // namespace

Image decode_jpeg(std::span<const uint8_t> bytes) {
  jpeg_decompress_struct info{};
  ErrorManager manager;
  install(manager, info.err);
  // What changes after setjmp lives on the heap, so that a jump finds it whole.
  struct Work {
    Image image;
    std::vector<uint8_t> line;
  };
  const auto work = std::make_unique<Work>();
  if (setjmp(manager.jump)) {
    jpeg_destroy_decompress(&info);
    throw Error("", std::string("damaged JPEG: ") + manager.text, "restore the file");
  }
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, bytes.data(), bytes.size());
  jpeg_read_header(&info, TRUE);
  if (static_cast<int64_t>(info.image_width) * info.image_height > kMaxImagePixels) {
    jpeg_destroy_decompress(&info);
    throw Error("", "image is over the limit of " + std::to_string(kMaxImagePixels) + " pixels", "save it as a tiled TIFF");
  }
  bool cmyk = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  info.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(&info);
  work->image = Image(static_cast<int>(info.output_width), static_cast<int>(info.output_height));
  Image& image = work->image;
  std::vector<uint8_t>& line = work->line;
  if (cmyk) line.resize(static_cast<size_t>(info.output_width) * 4);
  while (info.output_scanline < info.output_height) {
    uint8_t* row = image.row(static_cast<int>(info.output_scanline));
    JSAMPROW target = cmyk ? line.data() : row;
    jpeg_read_scanlines(&info, &target, 1);
    for (int x = 0; cmyk && x < image.width; ++x) {
      const uint8_t* p = line.data() + x * 4;
      bool inverted = info.saw_Adobe_marker;
      for (int c = 0; c < 3; ++c) row[x * 3 + c] = inverted ? times(p[c], p[3]) : times(255 - p[c], 255 - p[3]);
    }
  }
  jpeg_finish_decompress(&info);
  jpeg_destroy_decompress(&info);
  return std::move(work->image);
}

std::string encode_jpeg(const Image& image, int quality) {
  jpeg_compress_struct info{};
  ErrorManager manager;
  install(manager, info.err);
  struct Output {
    unsigned char* data = nullptr;
    unsigned long size = 0;
    ~Output() { std::free(data); }
  };
  const auto output = std::make_unique<Output>();
  if (setjmp(manager.jump)) {
    jpeg_destroy_compress(&info);
    throw Error("", std::string("cannot encode JPEG: ") + manager.text);
  }
  jpeg_create_compress(&info);
  jpeg_mem_dest(&info, &output->data, &output->size);
  info.image_width = static_cast<JDIMENSION>(image.width);
  info.image_height = static_cast<JDIMENSION>(image.height);
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    JSAMPROW row = const_cast<uint8_t*>(image.row(static_cast<int>(info.next_scanline)));
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  return {reinterpret_cast<char*>(output->data), output->size};
}

}  // namespace cytodet
