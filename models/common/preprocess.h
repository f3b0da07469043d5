// Image -> network input.
#pragma once

#include <cstdint>

#include "core/image.h"
#include "models/common/letterbox.h"

namespace cytodet::models {

// 8-bit bilinear resize (half-pixel centres, no antialiasing) to the letterbox, then (pixel / divisor - mean) / deviation into
// `out` [height, width, 3]; the rest is 0, or pixels of input.fill.
void preprocess(const Image& image, const InputSettings& input, const Letterbox& box, float* out);

// An input that takes quantized bytes: byte = clamp(round(value * inverse_scale), lowest, highest) - lowest, per channel.
struct InputQuantization {
  float inverse_scale[3] = {1, 1, 1};
  float lowest = 0, highest = 255;
};
// The float input's values, each quantized.
void preprocess(const Image& image, const InputSettings& input, const Letterbox& box, const InputQuantization& quantization,
                uint8_t* out);

}  // namespace cytodet::models
