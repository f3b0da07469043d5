// Rows of strips that are read one by one, whatever their size: TiffRows on striped TIFFs.
#include "fuzz/driver.h"
#include "tests/paths.h"
#include "tiling/slides/formats/tiff_rows.h"

std::vector<std::string> fuzz_seeds() {
  const std::string data = cytodet::source_dir() + "/tests/data/tiling/formats/";
  std::vector<std::string> seeds;
  for (const char* name : {"strip", "lzw", "deflate", "packbits", "planar", "palette", "gray16", "cmyk", "rgba", "big_endian",
                           "zstd_bigtiff", "jpeg_ycbcr", "fax4", "white_is_zero"})
    seeds.push_back(data + name + ".tif");
  return seeds;
}

void fuzz_one(std::string_view bytes) {
  const fuzz::ScratchFile file("fuzz_rows", bytes);
  cytodet::TiffDirectory d = cytodet::TiffFile(file.path).open(false, 0);
  if (d.tiled || d.width > 4096 || d.height > 4096) return;
  d.by_rows = true;
  cytodet::TiffRows rows(file.path, d);
  for (int64_t y : {int64_t{0}, d.height / 2, d.height / 3, d.height - 1})
    for (int64_t x : {int64_t{0}, d.width / 2}) try {
        rows.read({x, y, d.width, 3});
      } catch (const cytodet::Error&) {
      }
}
