#include "models/efficientdet/preprocess.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <opencv2/imgproc.hpp>

namespace cytodet {

Letterbox letterbox_of(int source_width, int source_height, const InputSettings& input) {
  double scale = std::min(static_cast<double>(input.height) / source_height, static_cast<double>(input.width) / source_width);
  Letterbox box;
  box.scale = scale;
  box.width = std::clamp(static_cast<int>(source_width * scale), 1, input.width);
  box.height = std::clamp(static_cast<int>(source_height * scale), 1, input.height);
  return box;
}

void preprocess(const Image& image, const InputSettings& input, const Letterbox& box, float* out) {
  cv::Mat source(image.height, image.width, CV_8UC3, const_cast<uint8_t*>(image.rgb.data())), resized = source;
  if (box.width != image.width || box.height != image.height)
    cv::resize(source, resized, cv::Size(box.width, box.height), 0, 0, cv::INTER_LINEAR);
  const bool swap = input.pixel_order == "BGR";
  std::array<std::array<float, 256>, 3> table;
  for (size_t c = 0; c < 3; ++c)
    for (int v = 0; v < 256; ++v)
      table[c][static_cast<size_t>(v)] = static_cast<float>((v - 255.0 * input.mean[c]) / (255.0 * input.deviation[c]));
  const int first = swap ? 2 : 0, third = swap ? 0 : 2;
  for (int y = 0; y < input.height; ++y) {
    float* row = out + static_cast<int64_t>(y) * input.width * 3;
    int filled = y < box.height ? box.width : 0;
    if (filled) {
      const uint8_t* p = resized.ptr<uint8_t>(y);
      for (int x = 0; x < filled; ++x, p += 3, row += 3) {
        row[0] = table[0][p[first]];
        row[1] = table[1][p[1]];
        row[2] = table[2][p[third]];
      }
    }
    std::fill_n(row, static_cast<int64_t>(input.width - filled) * 3, 0.0f);
  }
}

}  // namespace cytodet
