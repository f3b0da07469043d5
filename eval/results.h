// Result files: COCO results, and a box list per image.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/box.h"
#include "core/file.h"

namespace cytodet::eval {

struct ImageDetections {
  int64_t image_id = 0;
  std::string file_name;
  Detections detections;  // ranked
};

// COCO results, detection by detection, in constant memory: [{"image_id", "category_id", "bbox": [x, y, width, height], "score"},
// ...]; category_ids by class index. Written aside, renamed by finish().
class CocoResultsWriter {
 public:
  CocoResultsWriter(std::vector<int> category_ids, const std::filesystem::path& path);
  void add(int64_t image_id, const Detection& d);
  // Ids as JSON; `more` is written as it is after image_id: ",\"file_name\":\"a.jpg\"".
  void add(const std::string& image_id, const std::string& more, const std::string& category_id, const Detection& d);
  void finish();

 private:
  std::vector<int> category_ids_;
  AtomicFile file_;
  bool first_ = true;
};

// Writes the same file from detections in memory.
void write_coco_results(const std::vector<ImageDetections>& images, const std::vector<int>& category_ids,
                        const std::filesystem::path& path);

// [{"x", "y", "w", "h", "p"}, ...] in whole pixels, w and h at least 1.
void write_box_list(const Detections& detections, const std::filesystem::path& path);

// One element of each list, appended. Ids as JSON: numbers, or texts in quotes.
void append_coco_result(std::string& text, int64_t image_id, int64_t category_id, const Detection& detection);
void append_coco_result(std::string& text, std::string_view image_id, std::string_view category_id, const Detection& detection);
void append_to_box_list(std::string& text, const Detection& detection);

struct CocoResult {
  int64_t image_id = 0, category_id = 0;
  std::string image_key, category_key;  // the id where it is a text
  std::string file_name;                // beside it, where given
  bool has_image = true;                // false: image_id is null or missing
  Box box;
  double score = 0;
};

// A COCO results file without its ground truth: calls `each` for every detection in the file's order; returns how many. Memory
// does not grow with the file. Ids are numbers, also 1.0 and "1", or texts; null is no id. Errors name the file and the element:
// not a JSON list, an element over 4 MiB, missing or wrong fields, coordinates or scores beyond 1e9.
int64_t read_coco_results(const std::filesystem::path& path, const std::function<void(const CocoResult&)>& each);
int64_t parse_coco_results(std::string_view json, const std::string& where, const std::function<void(const CocoResult&)>& each);

// A detection of either form. A box list says nothing of image and category: the file is the image.
struct AnyResult : CocoResult {
  bool box_list = false;
  std::optional<Box> tile;  // COCO's with "tile": [x, y, width, height], the part of the image in which it was found
};

// Reads COCO results or a box list: calls `each` for every detection in the file's order; returns how many. A
// file that mixes the two forms is an Error.
int64_t read_results(const std::filesystem::path& path, const std::function<void(const AnyResult&)>& each);
int64_t parse_results(std::string_view json, const std::string& where, const std::function<void(const AnyResult&)>& each);

}  // namespace cytodet::eval
