// Image -> network input.
#pragma once

#include <cstdint>

#include "core/image.h"
#include "models/efficientdet/model_file.h"

namespace cytodet::models {

// What maps input pixels back: source = input / scale.
struct Letterbox {
  double scale = 1;           // input pixels per source pixel across
  double scale_y = 1;         // and down; they differ where the source's pixels are not square
  int width = 0, height = 0;  // part of the input that holds the image, top-left
};
Letterbox letterbox_of(int source_width, int source_height, const InputSettings& input);

// 8-bit bilinear resize (half-pixel centres, no antialiasing) to the letterbox, then (pixel / 255 - mean) / deviation into `out`
// [height, width, 3]; the rest is 0.
void preprocess(const Image& image, const InputSettings& input, const Letterbox& box, float* out);

// How these numbers become bytes, per channel: clamp(round(number * inverse_scale), lowest, highest) - lowest.
struct PixelCodes {
  float inverse_scale[3] = {1, 1, 1};
  float lowest = 0, highest = 255;
};
// The same, as bytes.
void preprocess(const Image& image, const InputSettings& input, const Letterbox& box, const PixelCodes& codes, uint8_t* out);

}  // namespace cytodet::models
