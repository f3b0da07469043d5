#include "models/efficientdet/anchors.h"

#include <cmath>

namespace cytodet::models {

AnchorLevel::AnchorLevel(const InputSettings& input, const AnchorSettings& a, int level) {
  const int step = 1 << level;
  rows_ = (input.height + step - 1) / step;
  columns_ = (input.width + step - 1) / step;
  stride_y_ = static_cast<double>(input.height) / rows_;
  stride_x_ = static_cast<double>(input.width) / columns_;
  for (int o = 0; o < a.octaves; ++o)
    for (double aspect : a.aspects) {
      const double sides = a.scale * std::exp2(static_cast<double>(o) / a.octaves), root = std::sqrt(aspect);
      of_cell_.push_back({0, 0, static_cast<float>(sides * stride_x_ * root), static_cast<float>(sides * stride_y_ / root)});
    }
}

Anchor AnchorLevel::operator[](int64_t i) const {
  const int64_t in_cell = static_cast<int64_t>(of_cell_.size()), cell = i / in_cell;
  const int64_t column = cell % columns_, row = cell / columns_;
  Anchor a = of_cell_[static_cast<size_t>(i % in_cell)];
  a.cx = static_cast<float>((static_cast<double>(column) + 0.5) * stride_x_);
  a.cy = static_cast<float>((static_cast<double>(row) + 0.5) * stride_y_);
  return a;
}

}  // namespace cytodet::models
