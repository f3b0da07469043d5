// Makes a huge slide that is bare glass but for one place: a pyramidal, tiled JPEG BigTIFF of SIDE x SIDE pixels in which the
// stored tiles of a small one lie in the middle and all others are left out. For memory and background skipping. usage:
// make_sparse_tiff SMALL.tif OUT.tif SIDE
#include <tiffio.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

struct Level {
  uint32_t width = 0, height = 0, tile_width = 0, tile_height = 0;
};

bool describe(TIFF* t, Level& l) {
  TIFFGetField(t, TIFFTAG_IMAGEWIDTH, &l.width);
  TIFFGetField(t, TIFFTAG_IMAGELENGTH, &l.height);
  TIFFGetField(t, TIFFTAG_TILEWIDTH, &l.tile_width);
  TIFFGetField(t, TIFFTAG_TILELENGTH, &l.tile_height);
  uint16_t compression = 0;
  TIFFGetField(t, TIFFTAG_COMPRESSION, &compression);
  return l.tile_width && l.tile_height && compression == COMPRESSION_JPEG;
}

bool copy_level(TIFF* in, TIFF* out, const Level& l, uint32_t side, uint32_t down, uint32_t left) {
  TIFFSetField(out, TIFFTAG_SUBFILETYPE, down > 1 ? FILETYPE_REDUCEDIMAGE : 0);
  TIFFSetField(out, TIFFTAG_IMAGEWIDTH, side / down);
  TIFFSetField(out, TIFFTAG_IMAGELENGTH, side / down);
  TIFFSetField(out, TIFFTAG_TILEWIDTH, l.tile_width);
  TIFFSetField(out, TIFFTAG_TILELENGTH, l.tile_height);
  TIFFSetField(out, TIFFTAG_SAMPLESPERPIXEL, 3);
  TIFFSetField(out, TIFFTAG_BITSPERSAMPLE, 8);
  TIFFSetField(out, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  TIFFSetField(out, TIFFTAG_COMPRESSION, COMPRESSION_JPEG);
  uint16_t photometric = 0, h = 2, v = 2;
  TIFFGetField(in, TIFFTAG_PHOTOMETRIC, &photometric);
  TIFFSetField(out, TIFFTAG_PHOTOMETRIC, photometric);
  if (photometric == PHOTOMETRIC_YCBCR && TIFFGetFieldDefaulted(in, TIFFTAG_YCBCRSUBSAMPLING, &h, &v))
    TIFFSetField(out, TIFFTAG_YCBCRSUBSAMPLING, h, v);
  uint32_t count = 0;
  void* tables = nullptr;
  if (TIFFGetField(in, TIFFTAG_JPEGTABLES, &count, &tables) && count) TIFFSetField(out, TIFFTAG_JPEGTABLES, count, tables);
  std::vector<char> bytes;
  for (uint32_t y = 0; y < l.height; y += l.tile_height)
    for (uint32_t x = 0; x < l.width; x += l.tile_width) {
      const uint32_t from = TIFFComputeTile(in, x, y, 0, 0), to = TIFFComputeTile(out, left / down + x, left / down + y, 0, 0);
      bytes.resize(TIFFGetStrileByteCount(in, from));
      if (bytes.empty()) continue;
      const auto n = static_cast<tmsize_t>(bytes.size());
      if (TIFFReadRawTile(in, from, bytes.data(), n) != n || TIFFWriteRawTile(out, to, bytes.data(), n) != n) return false;
    }
  return TIFFWriteDirectory(out) == 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fputs("usage: make_sparse_tiff SMALL.tif OUT.tif SIDE\n", stderr);
    return 2;
  }
  const std::string part = std::string(argv[2]) + ".part";
  const auto side = static_cast<uint32_t>(std::atoi(argv[3]));
  TIFF* in = TIFFOpen(argv[1], "r");
  TIFF* out = in ? TIFFOpen(part.c_str(), "w8") : nullptr;
  Level first;
  if (!out || !describe(in, first) || side < 3 * first.width || side < 3 * first.height) {
    std::fputs("make_sparse_tiff: error: the small one must be a tiled JPEG TIFF, and SIDE at least three times its size\n",
               stderr);
    return 1;
  }
  // A place at which a stored tile starts in levels down to 1/64.
  const uint32_t step = first.tile_width * 64, left = side / 2 / step * step;
  bool ok = true;
  for (int i = 0, n = TIFFNumberOfDirectories(in); ok && i < n; ++i) {
    Level l;
    ok = TIFFSetDirectory(in, static_cast<tdir_t>(i)) == 1;
    // What the last column and row of stored tiles hold beyond the small one's edge shows here, so coarse levels are left out.
    const bool tiled = ok && describe(in, l) && l.width >= 4 * l.tile_width;
    if (tiled) ok = copy_level(in, out, l, side, (first.width + l.width / 2) / l.width, left);
  }
  TIFFClose(out);
  TIFFClose(in);
  if (!ok) std::fputs("make_sparse_tiff: error: cannot copy the stored tiles\n", stderr);
  return ok && std::rename(part.c_str(), argv[2]) == 0 ? 0 : 1;
}
