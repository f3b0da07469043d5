// Which image of a file that holds several is analysed, and how samples of other depths become 8 bits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json_fwd.h"

namespace cytodet::tiling {

// Numbers count from 0. What is not given is the reader's choice, or, where none is safe, a refusal that names the choices.
struct ImageSelection {
  std::optional<int> series;     // an image with its levels, channels and planes
  std::optional<int> page;       // an image of a TIFF's main chain, alone or with its levels
  std::optional<int> plane;      // focal plane
  std::optional<int> time;       // point in time
  std::string channel;           // number or name of one, shown as gray, or of three, with commas: red, green, blue
  std::string stretch = "none";  // see StretchRange

  bool operator==(const ImageSelection&) const = default;
};
void fields(Fields& f, ImageSelection& s);
// Throws UsageError on negative numbers, channels that are neither one nor three, and a stretch of no known form.
void check(const ImageSelection& s);

// The parts of a text with commas.
std::vector<std::string> channels_of(const ImageSelection& s);

// Sample values that become 0 and 255; what lies between is linear, what lies beyond is cut.
struct StretchRange {
  double low = 0, high = 255;
};
struct Stretch {
  enum class Kind { none, automatic, range } kind = Kind::none;
  StretchRange range;
};
// "none", "auto" (the values that are met), a number of bits from 1 to 32 (0 to 2^bits - 1), or "MIN,MAX". Throws UsageError.
Stretch parse_stretch(std::string_view text);
// Bits that hold the whole numbers up to this one.
int bits_for(double largest);

// An image in a file, for people.
struct HeldImage {
  std::string kind;        // image, label, macro, thumbnail, overview, mask, page, ...
  bool auxiliary = false;  // a label, a thumbnail or the like, not an image that one may have wanted to analyse
  std::string name;        // where the file gives one
  int64_t width = 0, height = 0;
  std::string form;    // "RGB, 8 bits"; empty: not known
  std::string option;  // what selects it: "--page 3"; empty: nothing does
};

// What a file holds. Counts are those of the series that is analysed.
struct SlideContents {
  std::string kind;  // "Aperio SVS", "ImageJ hyperstack", ...; empty: a plain image
  int bits = 8;      // of a sample as it is stored
  int series = 1, pages = 1, channels = 1, planes = 1, times = 1;
  std::vector<std::string> channel_names;
  std::vector<HeldImage> others;  // that are not analysed and are no levels, channels or planes of what is
};

}  // namespace cytodet::tiling
