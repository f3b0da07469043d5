// An image in float, resized and cropped as TensorFlow does it.
#pragma once

#include <cstdint>

#include "core/image.h"
#include "models/classification/classifier_settings.h"

namespace cytodet::models {

// A part of an image [source pixels], resized to width x height, of which a window of the input's size is kept.
struct InputWindow {
  int source_x = 0, source_y = 0, source_width = 0, source_height = 0;
  int width = 0, height = 0;       // of the resized part
  int offset_x = 0, offset_y = 0;  // of the window in it
};
// The rules of IntelAI/models (models/image_recognition/tensorflow/*/preprocessing). Throws Error for an image so narrow that its
// longer side would be over 16 million pixels.
InputWindow input_window(int image_width, int image_height, const InputSettings& input, const ResizeSettings& resize);

// Bilinear without antialiasing, in the order of TensorFlow's ResizeBilinear: along rows, then down; values of 0..255 into `out`,
// [input.height, input.width, 3], RGB.
void resample(const Image& image, const InputWindow& window, const InputSettings& input, Sampling sampling, float* out);

}  // namespace cytodet::models
