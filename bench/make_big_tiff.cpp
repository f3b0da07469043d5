// Makes a large tiled JPEG TIFF out of a small one by repeating its first stored tiles, without decoding: for memory tests.
// usage: make_big_tiff SMALL.tif OUT.tif SIDE
#include <tiffio.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fputs("usage: make_big_tiff SMALL.tif OUT.tif SIDE\n", stderr);
    return 2;
  }
  TIFF* in = TIFFOpen(argv[1], "r");
  TIFF* out = in ? TIFFOpen((std::string(argv[2]) + ".part").c_str(), "w8") : nullptr;
  if (!in || !out) return 1;
  uint32_t width = 0, height = 0, side = static_cast<uint32_t>(std::atoi(argv[3])), count = 0;
  uint16_t compression = 0, photometric = 0;
  void* tables = nullptr;
  TIFFGetField(in, TIFFTAG_TILEWIDTH, &width);
  TIFFGetField(in, TIFFTAG_TILELENGTH, &height);
  TIFFGetField(in, TIFFTAG_COMPRESSION, &compression);
  TIFFGetField(in, TIFFTAG_PHOTOMETRIC, &photometric);
  if (!width || compression != COMPRESSION_JPEG || side < width) {
    std::fputs("make_big_tiff: error: the small one must be a tiled JPEG TIFF\n", stderr);
    return 1;
  }
  TIFFSetField(out, TIFFTAG_IMAGEWIDTH, side);
  TIFFSetField(out, TIFFTAG_IMAGELENGTH, side);
  TIFFSetField(out, TIFFTAG_TILEWIDTH, width);
  TIFFSetField(out, TIFFTAG_TILELENGTH, height);
  TIFFSetField(out, TIFFTAG_SAMPLESPERPIXEL, 3);
  TIFFSetField(out, TIFFTAG_BITSPERSAMPLE, 8);
  TIFFSetField(out, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  TIFFSetField(out, TIFFTAG_COMPRESSION, COMPRESSION_JPEG);
  TIFFSetField(out, TIFFTAG_PHOTOMETRIC, photometric);
  uint16_t h = 2, v = 2;
  if (photometric == PHOTOMETRIC_YCBCR && TIFFGetFieldDefaulted(in, TIFFTAG_YCBCRSUBSAMPLING, &h, &v))
    TIFFSetField(out, TIFFTAG_YCBCRSUBSAMPLING, h, v);
  if (TIFFGetField(in, TIFFTAG_JPEGTABLES, &count, &tables) && count) TIFFSetField(out, TIFFTAG_JPEGTABLES, count, tables);
  std::vector<std::vector<char>> tiles;
  for (uint32_t t = 0; t < TIFFNumberOfTiles(in) && tiles.size() < 64; ++t) {
    std::vector<char> bytes(TIFFGetStrileByteCount(in, t));
    if (TIFFReadRawTile(in, t, bytes.data(), static_cast<tmsize_t>(bytes.size())) <= 0) return 1;
    tiles.push_back(std::move(bytes));
  }
  for (uint32_t t = 0; t < TIFFNumberOfTiles(out); ++t) {
    std::vector<char>& bytes = tiles[(t * 2654435761u >> 8) % tiles.size()];
    if (TIFFWriteRawTile(out, t, bytes.data(), static_cast<tmsize_t>(bytes.size())) < 0) return 1;
  }
  TIFFClose(out);
  TIFFClose(in);
  return std::rename((std::string(argv[2]) + ".part").c_str(), argv[2]) == 0 ? 0 : 1;
}
