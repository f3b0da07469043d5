// COCO ground truth and detections as flat arrays.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/path_match.h"

namespace cytodet::eval {

struct GroundTruthImage {
  int64_t id = 0;  // of ids that are texts: their place in the order of the texts, above all numbers
  std::string file_name;
  int64_t width = 0, height = 0;  // 0: not given
  std::string key;                // the id where it is a text
};
struct GroundTruthCategory {
  int64_t id = 0;
  std::string name;
  std::string key;
};

struct GroundTruth {
  std::vector<GroundTruthImage> images;         // by ascending id
  std::vector<GroundTruthCategory> categories;  // by ascending id
  // Annotations. Boxes are x, y, width, height; area is the annotation's own field, not width * height.
  std::vector<int32_t> image, category;  // indices into the above
  std::vector<double> boxes;             // 4 per annotation
  std::vector<double> areas;
  std::vector<uint8_t> crowd;
  std::vector<int64_t> ids;
  std::vector<std::string> warnings;
  std::string where = "the ground truth";  // its file

  size_t size() const { return image.size(); }
  int image_index(int64_t id) const;                                 // -1
  int category_index(int64_t id) const;                              // -1
  int category_of_class(int64_t id, const std::string& name) const;  // where ids are texts, by name; -1
  int64_t free_id() const;                                           // one above all image ids
  // Which images files are, by the longest suffix of their paths, see assign_paths. Nothing else matches files and images.
  PathAssignment images_of(const std::vector<std::string>& paths) const;
  PathIndex image_names() const;  // file_name, or the id where that is a text and no name is given
};

struct DetectionSet {
  std::vector<int32_t> image, category;  // indices into the ground truth's
  std::vector<double> boxes;             // 4 each: x, y, width, height
  std::vector<double> scores;
  std::vector<std::string> warnings;
  size_t size() const { return image.size(); }
};

// Errors name the file and the element ("annotations[17].bbox[2]"): not JSON, missing or wrong fields, ids used twice, unknown
// image or category, boxes that are negative or not finite.
GroundTruth read_ground_truth(const std::filesystem::path& path);
GroundTruth parse_ground_truth(std::string_view json, const std::string& where);

// COCO results. Images are matched by id or by name, see ResultImages; a detection of an image that the ground truth lacks is an
// Error (pycocotools asserts); of a category it lacks is left out with a warning (pycocotools leaves it out silently). An empty
// list is legal. `paths`: of the images by id, where the results are those of a run.
using PathsOfIds = std::unordered_map<int64_t, std::string>;
DetectionSet read_detections(const std::filesystem::path& path, const GroundTruth& truth, const PathsOfIds& paths = {});
DetectionSet parse_detections(std::string_view json, const std::string& where, const GroundTruth& truth,
                              const PathsOfIds& paths = {});

}  // namespace cytodet::eval
