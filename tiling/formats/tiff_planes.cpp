#include "tiling/formats/tiff_planes.h"

#include <algorithm>

#include "core/error.h"
#include "tiling/formats/ome.h"

namespace cytodet {
namespace {

constexpr const char* kFix = "save one plane of it, or its colours as 8-bit RGB, as a file of its own";

// "5 gray channels (as fluorescence is stored), 12 focal planes"
std::string in_words(const OmeSizes& sizes, const TiffDirectory& first) {
  std::string text;
  auto add = [&](uint32_t n, const char* what) {
    if (n > 1) text += (text.empty() ? "" : ", ") + std::to_string(n) + " " + what;
  };
  add(sizes.channels, first.gray ? "gray channels" : "colour planes");
  if (first.gray && sizes.channels > 1)
    text += first.bits != 8       ? " of " + std::to_string(first.bits) + " bits"
            : first.samples > 1   ? " in one image"
            : sizes.channels != 3 ? " (as fluorescence is stored)"
                                  : "";
  add(sizes.depths, "focal planes");
  add(sizes.times, "points in time");
  return text;
}

}  // namespace

std::vector<uint64_t> picture_planes(TiffFile& file, const TiffDirectory& first) {
  const std::string description = file.description();
  if (!is_ome(description)) return {0};
  auto sizes = ome_sizes(description);
  if (!sizes) {
    if (!first.gray || file.images() == 1) return {0};
    throw Error("", "is an OME-TIFF of several gray images whose OME-XML does not tell what they are", kFix);
  }
  if (!first.gray) {
    const auto samples = static_cast<uint32_t>(std::max(1, first.samples));
    sizes->channels = sizes->channels / samples + (sizes->channels % samples > 0);
  }
  const bool one_place = sizes->depths == 1 && sizes->times == 1;
  if (one_place && sizes->channels == 1) return {0};
  if (!one_place || sizes->channels != 3 || !first.gray || first.samples != 1 || first.bits != 8)
    throw Error("", "is an OME-TIFF of " + in_words(*sizes, first) + ", not of one picture", kFix);
  const auto planes = ome_channel_planes(description);
  const auto images = static_cast<uint32_t>(file.images());
  for (size_t c = 0; c < planes.size(); ++c)
    if (planes[c] >= images)
      throw Error("",
                  "is an OME-TIFF whose channel " + std::to_string(c + 1) + " of 3 should be image " +
                      std::to_string(uint64_t{planes[c]} + 1) + ", and it holds " + std::to_string(images),
                  "restore the file, or save the channels as one 8-bit RGB picture");
  return {planes.begin(), planes.end()};
}

bool are_channels(const std::vector<TiffDirectory>& images) {
  const TiffDirectory& a = images[0];
  return std::all_of(images.begin(), images.end(), [&](const TiffDirectory& b) {
    return b.gray && b.samples == 1 && b.bits == 8 && b.width == a.width && b.height == a.height && b.tiled == a.tiled &&
           b.block_width == a.block_width && b.block_height == a.block_height && b.orientation == a.orientation;
  });
}

}  // namespace cytodet
