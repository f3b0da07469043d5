// Makes a tiled JPEG pyramid (levels shrunk by 4, as scanners write) out of a folder's images, laid edge to edge, every other
// one mirrored: for bench_read. With --svs it says of itself what an Aperio slide says. usage: make_pyramid PICTURES OUT WIDTH
// HEIGHT [--svs]
#include <tiffio.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"
#include "tiling/slides/slide.h"

namespace {

using cytodet::Image;
constexpr int kTile = 256;

std::vector<Image> read_images(const std::string& folder) {
  std::vector<std::string> paths;
  for (const auto& e : std::filesystem::directory_iterator(folder))
    if (e.path().extension() == ".jpg" || e.path().extension() == ".png") paths.push_back(e.path());
  std::sort(paths.begin(), paths.end());
  std::vector<Image> images;
  for (const std::string& p : paths) {
    std::unique_ptr<cytodet::Slide> s = cytodet::open_slide(p);
    Image image(static_cast<int>(s->width()), static_cast<int>(s->height()));
    s->read(0, 0, 0, image.width, image.height, image.rgb.data());
    images.push_back(std::move(image));
  }
  if (images.empty()) throw cytodet::Error(folder, "holds no images");
  return images;
}

Image lay(const std::vector<Image>& images, int width, int height) {
  const int pw = images[0].width, ph = images[0].height;
  Image all(width, height);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const int column = x / pw, row = y / ph;
      const Image& p = images[static_cast<size_t>(column * 7 + row * 13) % images.size()];
      const int px = column % 2 ? pw - 1 - x % pw : x % pw, py = row % 2 ? ph - 1 - y % ph : y % ph;
      if (px < p.width && py < p.height) std::memcpy(all.row(y) + x * 3, p.row(py) + px * 3, 3);
    }
  return all;
}

void write_level(TIFF* tiff, Image& level, const std::string& description) {
  TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, level.width);
  TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, level.height);
  TIFFSetField(tiff, TIFFTAG_TILEWIDTH, kTile);
  TIFFSetField(tiff, TIFFTAG_TILELENGTH, kTile);
  TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, 3);
  TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, 8);
  TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  TIFFSetField(tiff, TIFFTAG_COMPRESSION, COMPRESSION_JPEG);
  TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_YCBCR);
  TIFFSetField(tiff, TIFFTAG_YCBCRSUBSAMPLING, 2, 2);
  TIFFSetField(tiff, TIFFTAG_JPEGQUALITY, 80);
  TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
  if (!description.empty()) TIFFSetField(tiff, TIFFTAG_IMAGEDESCRIPTION, description.c_str());
  std::vector<uint8_t> tile(kTile * kTile * 3);
  for (int y = 0; y < level.height; y += kTile)
    for (int x = 0; x < level.width; x += kTile) {
      for (int r = 0; r < kTile; ++r) {
        const int w = std::min(kTile, level.width - x);
        std::memcpy(tile.data() + r * kTile * 3, level.row(std::min(y + r, level.height - 1)) + x * 3,
                    static_cast<size_t>(w) * 3);
      }
      if (TIFFWriteTile(tiff, tile.data(), static_cast<uint32_t>(x), static_cast<uint32_t>(y), 0, 0) < 0)
        throw cytodet::Error("", "cannot write a tile");
    }
  if (!TIFFWriteDirectory(tiff)) throw cytodet::Error("", "cannot write a level");
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 5 && !(argc == 6 && !std::strcmp(argv[5], "--svs"))) {
    std::fputs("usage: make_pyramid PICTURES OUT WIDTH HEIGHT [--svs]\n", stderr);
    return 2;
  }
  const int width = std::atoi(argv[3]), height = std::atoi(argv[4]);
  if (width < kTile || height < kTile || static_cast<int64_t>(width) * height > cytodet::kMaxImagePixels)
    throw cytodet::Error("", "WIDTH x HEIGHT must be 256 x 256 to 400 megapixels");
  const std::string part = std::string(argv[2]) + ".part";
  TIFF* tiff = TIFFOpen(part.c_str(), "w8");
  if (!tiff) throw cytodet::Error(part, "cannot be written");
  Image level = lay(read_images(argv[1]), width, height);
  while (true) {
    const std::string size = std::to_string(level.width) + "x" + std::to_string(level.height);
    write_level(tiff, level,
                argc == 6 ? "Aperio Image Library\r\n" + size + " (256x256) JPEG/RGB Q=80|AppMag = 20|MPP = 0.5" : std::string());
    if (level.width / 4 < kTile || level.height / 4 < kTile) break;
    Image next((level.width + 3) / 4, (level.height + 3) / 4);
    cytodet::downsample_by_mean(level, 4, next.rgb.data());
    level = std::move(next);
  }
  TIFFClose(tiff);
  std::filesystem::rename(part, argv[2]);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "make_pyramid: error: %s\n", e.what());
  return 1;
}
