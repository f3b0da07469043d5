// The step of CropAndResize.
#pragma once

#include <memory>

#include "exec/steps/step.h"

namespace cytodet::exec {

// What is cut of maps [n, h, w, channels] by boxes [count, 4] in the image `index` [count]: height x width points of each box,
// bilinear between pixels, `outside` where a point lies beside the map; then means of windows that do not overlap.
struct Crops {
  int64_t height, width;
  float outside = 0;
  int64_t pool_h = 1, pool_w = 1;  // divide height and width
  int64_t channels = 0;
};
constexpr int64_t kMaxCropSide = 4096;

// The output [count, height / pool_h, width / pool_w, channels]; count may be known only when it runs. Throws there for boxes and
// indices of other shapes, and for an index that is no image. Kernel "crops".
struct CropTensors {
  int map, boxes, index, output;
};
std::unique_ptr<Step> make_crops(const Crops& crops, const CropTensors& tensors);

}  // namespace cytodet::exec
