// The images of an OME-TIFF by its OME-XML: how many channels, focal planes and points in time each has, and which directory of
// which file holds a plane. Form: www.openmicroscopy.org/Schemas/OME/2016-06, elements Image, Pixels, Channel, TiffData, UUID.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cytodet::tiling {

// A run of planes: `count` of them (none: as many as are left) from (channel, depth, time) on, in the image's order, in
// directories from `directory` on (none: from the first).
struct OmeData {
  uint32_t channel = 0, depth = 0, time = 0;
  std::optional<uint32_t> directory, count;
  std::string file, uuid;  // that holds them; empty: this one
  std::string bad_field;   // attribute that is no number; empty: none is
};

struct OmeImage {
  std::string name;
  uint32_t width = 0, height = 0;                // 0: not given
  uint32_t channels = 1, depths = 1, times = 1;  // SizeC / samples, SizeZ, SizeT
  uint32_t samples = 1;                          // of a pixel of a channel, 3 of a colour image
  std::string order = "XYCZT";
  std::vector<std::string> channel_names;
  std::vector<OmeData> data;
  std::string own_uuid;  // of the file that the XML lies in; empty: not given
};

// The images of an ImageDescription whose Pixels element has positive sizes. `samples` is 1 where Channel does not say.
std::vector<OmeImage> ome_images(std::string_view description);

struct OmePlace {
  std::optional<uint64_t> directory;  // number in the chain; empty: nowhere
  std::string file, uuid, bad_field;  // see OmeData
};

class OmePlaces {
 public:
  explicit OmePlaces(const OmeImage& image);
  OmePlace at(uint32_t channel, uint32_t depth, uint32_t time) const;

 private:
  const OmeImage& image_;
  std::vector<std::pair<uint64_t, const OmeData*>> runs_;  // by their first plane's place in the image's order
  std::string bad_field_;
};

}  // namespace cytodet::tiling
