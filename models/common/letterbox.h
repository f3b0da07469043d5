// How a source image lies in a network's input: scaled, as InputSettings::placement says, the rest filled.
#pragma once

#include "models/common/input_settings.h"

namespace cytodet::models {

struct Letterbox {
  double scale = 1;           // input pixels per source pixel across: source = input / scale
  double scale_y = 1;         // and down; they differ where the source's pixels are not square
  int width = 0, height = 0;  // part of the input that holds the image [pixels]
  int left = 0, top = 0;      // where that part begins [pixels]
};
// The largest scale at which the whole source fits, its aspect kept unless it is stretched (also where the input could take its
// own size).
Letterbox letterbox_of(int source_width, int source_height, const InputSettings& input);

}  // namespace cytodet::models
