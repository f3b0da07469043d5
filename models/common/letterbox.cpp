#include "models/common/letterbox.h"

#include <algorithm>

namespace cytodet::models {

Letterbox letterbox_of(int source_width, int source_height, const InputSettings& input) {
  double scale = std::min(static_cast<double>(input.height) / source_height, static_cast<double>(input.width) / source_width);
  Letterbox box;
  box.scale = box.scale_y = scale;
  box.width = std::clamp(static_cast<int>(source_width * scale), 1, input.width);
  box.height = std::clamp(static_cast<int>(source_height * scale), 1, input.height);
  return box;
}

}  // namespace cytodet::models
