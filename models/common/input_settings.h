// How an image becomes a network's input: the key "input" of a model file.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/json_fwd.h"

namespace cytodet::models {

// The place of an image that has another shape than the input: the corner, the middle; or it fills the input, its aspect not
// kept; or the input takes the image's own size, as the graph resizes it itself (detection; where a size is fixed, as stretch).
enum class Placement { top_left, center, stretch, image };

struct InputSettings {
  std::string node = "image";                        // a placeholder [1, height, width, 3], float32
  int width = 512, height = 512;                     // pixels
  std::string pixel_order = "RGB";                   // RGB or BGR
  double divisor = 255;                              // value = (pixel / divisor - mean) / deviation, pixels of 0..255
  std::vector<double> mean = {0.485, 0.456, 0.406};  // per channel, in pixel_order
  std::vector<double> deviation = {0.229, 0.224, 0.225};
  Placement placement = Placement::top_left;
  std::optional<int> fill = {};  // pixel value 0..255 around the image; none: 0 after normalisation
  std::string size_node = {};    // a second placeholder [1, 2] that takes width and height of the input; empty: none
};
void fields(Fields& f, InputSettings& s);

// The normalisation of a pixel of 0..255: value = pixel * factor[c] + offset[c], c in the order of the input.
struct ChannelScale {
  float factor[3], offset[3];
};
ChannelScale channel_scale(const InputSettings& s);
// The longest side of an image that is looked at whole unless asked otherwise: beyond twice the input's, detail would be lost,
// and it is cut into tiles. Networks that are shown photographs whole, whatever their aspect, were trained so on all usual sizes.
int longest_whole_side(const InputSettings& s);
// Throws UsageError with the key: "m.json: input.width: must be 1 to 16384".
void check(const InputSettings& s, const std::string& where);

}  // namespace cytodet::models
