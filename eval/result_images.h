// Whose detections a results file holds: programs write the ground truth's ids, names of images as ids, or names beside ids.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "eval/ground_truth.h"
#include "eval/results.h"

namespace cytodet::eval {

// What one element says of its image.
struct ImageRef {
  int64_t number = 0;     // image_id, where key is empty
  std::string key;        // image_id, where it is a text
  std::string file_name;  // beside it
  bool has_id = true;     // false: image_id is null or missing
};
std::string shown(const ImageRef& ref);  // 12, "img1", null

// The error of an element that names no image.
[[noreturn]] void refuse_no_image(const std::string& where, int64_t element);

// First every element of a file is seen, then settle() matches all of them in one way: by id where all ids are the ground
// truth's, and no file_name beside them says otherwise by name else: by file_name, a text id, or the number that an image is
// called ("0012.jpg" is 12) Image ids are never matched in part by one and in part by the other way.
class ResultImages {
 public:
  // The number under which the element's image is known here.
  size_t observe(const ImageRef& ref);
  size_t observe(int64_t number);  // an element whose image_id is a number, without a file_name
  // Errors name the first element of an image that is not in the ground truth, that may be several of its images, or that it
  // shares with another, and say what to do. With `strangers` an image that the ground truth lacks is image -1 instead.
  void settle(const GroundTruth& truth, const std::string& where, bool strangers = false);

  // settle() for results of a run: run.json gives the paths of its images, which are matched by path. Images that the ground
  // truth lacks are -1.
  void settle_run(const GroundTruth& truth, const std::string& where, const std::unordered_map<int64_t, std::string>& paths,
                  bool strangers = false);

  const std::vector<ImageRef>& refs() const { return refs_; }
  int64_t first_element(size_t ref) const { return static_cast<int64_t>(first_[ref]); }
  int image(size_t ref) const { return images_[ref]; }  // index into the ground truth's; after settle()
  std::vector<std::string> warnings;

 private:
  [[noreturn]] void refuse(size_t ref, const std::string& what, const std::string& advice) const;
  [[noreturn]] void refuse_unknown(const std::vector<int>& ids, const std::vector<int>& names) const;
  static bool all_known(const std::vector<int>& images);
  std::vector<int> by_id(const GroundTruth& truth) const;
  std::vector<int> by_name(const GroundTruth& truth);
  void warn_of_numbers(const GroundTruth& truth, const std::vector<int>& ids);
  bool contradicted(const std::vector<int>& ids, const std::vector<int>& names) const;
  void settle_without_ids(const GroundTruth& truth);

  std::string where_;
  std::vector<ImageRef> refs_;
  std::vector<size_t> first_;  // per ref: the element that it was first met in
  std::vector<int> images_;
  std::vector<std::string> name_warnings_;
  size_t elements_ = 0;
  std::optional<std::pair<int64_t, size_t>> last_;  // a number that was observed, and its ref
  std::unordered_map<int64_t, size_t> numbers_;     // of refs that are a number alone
  std::unordered_map<std::string, size_t> others_;
};

}  // namespace cytodet::eval
