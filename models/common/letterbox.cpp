#include "models/common/letterbox.h"

#include <algorithm>
#include <cmath>

namespace cytodet::models {

Letterbox letterbox_of(int source_width, int source_height, const InputSettings& input) {
  if (input.placement == Placement::stretch || input.placement == Placement::image)
    return {static_cast<double>(input.width) / source_width, static_cast<double>(input.height) / source_height, input.width,
            input.height};
  double scale = std::min(static_cast<double>(input.height) / source_height, static_cast<double>(input.width) / source_width);
  Letterbox box;
  box.scale = box.scale_y = scale;
  if (input.placement == Placement::center) {  // sizes and sides are rounded as YOLO's letterbox does
    box.width = std::clamp(static_cast<int>(std::nearbyint(source_width * scale)), 1, input.width);
    box.height = std::clamp(static_cast<int>(std::nearbyint(source_height * scale)), 1, input.height);
    box.left = std::max(0, static_cast<int>(std::nearbyint((input.width - box.width) / 2.0 - 0.1)));
    box.top = std::max(0, static_cast<int>(std::nearbyint((input.height - box.height) / 2.0 - 0.1)));
    return box;
  }
  box.width = std::clamp(static_cast<int>(source_width * scale), 1, input.width);
  box.height = std::clamp(static_cast<int>(source_height * scale), 1, input.height);
  return box;
}

}  // namespace cytodet::models
