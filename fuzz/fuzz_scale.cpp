#include <cmath>
#include <cstring>

#include "fuzz/driver.h"
#include "tests/paths.h"
#include "tiling/slides/formats/physical_size.h"

std::vector<std::string> fuzz_seeds() {
  const std::string data = cytodet::source_dir() + "/tests/data/";
  return {data + "fuzz/scale", data + "tiling/formats/rgb.png", data + "bccd/BloodImage_00007.jpg"};
}

// A description, with resolutions from its first bytes: what is found is a size that can be.
void fuzz_one(std::string_view bytes) {
  cytodet::TiffScale t;
  if (bytes.size() >= 8) {
    std::memcpy(&t.x_resolution, bytes.data(), 4);
    std::memcpy(&t.y_resolution, bytes.data() + 4, 4);
  }
  t.unit = static_cast<uint16_t>(bytes.size() % 5);
  t.width = 555;
  const cytodet::ChosenPixelSize p = cytodet::image_pixel_size({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  if (p.size && !(p.size->x > 0 && p.size->y > 0)) std::abort();
  for (const bool elsewhere : {false, true}) {
    t.description = elsewhere ? "" : std::string(bytes);
    t.elsewhere = {elsewhere ? std::string(bytes) : ""};
    const cytodet::ChosenPixelSize c = cytodet::tiff_pixel_size(t);
    if (c.size && !(c.size->x > 0 && c.size->y > 0 && std::isfinite(c.size->x) && std::isfinite(c.size->y))) std::abort();
    if (c.size && c.size->source.empty()) std::abort();
  }
}
