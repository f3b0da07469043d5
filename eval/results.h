// Result files: COCO results, and the competition's list per image.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/box.h"

namespace cytodet {

struct ImageDetections {
  int64_t image_id = 0;
  std::string file_name;
  Detections detections;  // ranked
};

// [{"image_id", "category_id", "bbox": [x, y, width, height], "score"}, ...]; category_ids by class index. Written aside, then
// renamed.
void write_coco_results(const std::vector<ImageDetections>& images, const std::vector<int>& category_ids,
                        const std::filesystem::path& path);

// [{"x", "y", "w", "h", "p"}, ...] in whole pixels, w and h at least 1.
void write_competition_results(const Detections& detections, const std::filesystem::path& path);

}  // namespace cytodet
