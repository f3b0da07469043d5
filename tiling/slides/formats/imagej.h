// What ImageJ writes into a TIFF of its own: lines "key=value" in ImageDescription, and colours and labels in tags 50838 and
// 50839. Form: ImageJ's source, ij/io/TiffEncoder.java.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cytodet::tiling {

// Images lie in the order channel (fastest), slice, frame.
struct ImageJStack {
  int64_t images = 1, channels = 1, slices = 1, frames = 1;
  std::string mode;  // composite, color, grayscale; empty: not given
};
// Empty: not ImageJ's. A stack of which nothing gives more is one of slices. Numbers below 1 or above 2^31 count as not given.
std::optional<ImageJStack> imagej_stack(std::string_view description);

// The colour (red, green, blue) in which each channel is shown at its most, from the look-up tables in tag 50839, whose parts
// have the lengths of tag 50838. Empty: none are given, or the tag is damaged.
std::vector<std::array<uint8_t, 3>> imagej_colours(std::span<const uint8_t> metadata, std::span<const uint32_t> lengths,
                                                   bool big_endian);

}  // namespace cytodet::tiling
