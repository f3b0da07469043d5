#include <openslide/openslide.h>
#include <png.h>
#include <tiffio.h>

#include <cstdio>
// clang-format off
#include <jpeglib.h>
// clang-format on

#include "tiling/slides/slide.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

namespace cytodet::tiling {

std::vector<std::pair<std::string, std::string>> slide_libraries() {
  std::string tiff = TIFFGetVersion();  // "LIBTIFF, Version 4.5.0\nCopyright..."
  tiff = tiff.substr(0, tiff.find('\n'));
  return {{"OpenSlide", openslide_get_version()},
          {"libtiff", tiff.substr(tiff.rfind(' ') + 1)},
          {"libjpeg-turbo", TEXT(LIBJPEG_TURBO_VERSION)},
          {"libpng", png_get_libpng_ver(nullptr)}};
}

}  // namespace cytodet::tiling
