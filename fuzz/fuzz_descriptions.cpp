// What microscopes write into descriptions: OME-XML, ImageJ's lines and look-up tables, QPTIFF's XML.
#include "fuzz/driver.h"
#include "tests/paths.h"
#include "tiling/slides/formats/imagej.h"
#include "tiling/slides/formats/ome.h"
#include "tiling/slides/formats/ome_images.h"
#include "tiling/slides/formats/xml_text.h"

std::vector<std::string> fuzz_seeds() { return {cytodet::source_dir() + "/tests/data/fuzz/descriptions"}; }

void fuzz_one(std::string_view bytes) {
  cytodet::imagej_stack(bytes);
  cytodet::ome_pixel_size(bytes);
  cytodet::text_of(bytes, "ImageType");
  for (const cytodet::OmeImage& image : cytodet::ome_images(bytes))
    for (uint32_t i = 0; i < 4; ++i) cytodet::OmePlaces(image).at(i % image.channels, i % image.depths, i % image.times);
  // Lengths in the first 16 bytes, metadata behind.
  uint32_t lengths[4] = {};
  std::memcpy(lengths, bytes.data(), std::min(sizeof lengths, bytes.size()));
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  for (bool big : {false, true})
    cytodet::imagej_colours({data, bytes.size()}, {lengths, std::min<size_t>(4, bytes.size() / 4)}, big);
}
