#include "models/detection_model.h"

#include <algorithm>

namespace cytodet::models {

void DetectionModel::preprocess(const Image& image, const Letterbox& box, float* out) const {
  models::preprocess(image, input(), box, out);
}

void DetectionModel::preprocess(const Image& image, const Letterbox& box, const InputQuantization& quantization,
                                uint8_t* out) const {
  models::preprocess(image, input(), box, quantization, out);
}

namespace {

// Boxes of an image with a border become those of the image alone, which clips them.
void move_into(Detections& found, double left, double top, double width, double height) {
  for (Detection& d : found)
    d.box = {std::clamp(d.box.x0 - left, 0.0, width), std::clamp(d.box.y0 - top, 0.0, height),
             std::clamp(d.box.x1 - left, 0.0, width), std::clamp(d.box.y1 - top, 0.0, height)};
  std::erase_if(found, [](const Detection& d) { return d.box.width() <= 0 || d.box.height() <= 0; });
}

// move_into() for boxes whose middles count: they are not clipped, so that all are of one size, also those that tiles share.
void move_centres_into(Detections& found, double left, double top, double width, double height) {
  std::erase_if(found, [&](const Detection& d) {
    const double x = (d.box.x0 + d.box.x1) / 2 - left, y = (d.box.y0 + d.box.y1) / 2 - top;
    return !(x >= 0 && x <= width && y >= 0 && y <= height);
  });
  for (Detection& d : found) d.box = {d.box.x0 - left, d.box.y0 - top, d.box.x1 - left, d.box.y1 - top};
}

}  // namespace

Detections DetectionModel::decode(std::span<const Tensor* const> outputs, const Letterbox& box, int width, int height) const {
  // Rows are counted as wide as columns first, so that overlaps are those of the shapes that the network saw.
  const double stretch = box.scale_y / box.scale;
  // What lies around the image counts as a part of it first.
  const double left = box.left / box.scale, top = box.top / box.scale;
  Detections found = decode_square(outputs, box.scale, width + 2 * left, height * stretch + 2 * top);
  if (keeps_centres())
    move_centres_into(found, left, top, width, height * stretch);
  else if (box.left > 0 || box.top > 0)
    move_into(found, left, top, width, height * stretch);
  if (stretch != 1)
    for (Detection& d : found) {
      d.box.y0 /= stretch;
      d.box.y1 /= stretch;
    }
  return found;
}

}  // namespace cytodet::models
