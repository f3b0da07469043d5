// The top-scoring boxes of each class, cut out of the slide, on one image.
#pragma once

#include <string>
#include <vector>

#include "core/box.h"
#include "tiling/slides/slide.h"

namespace cytodet::tiling {

struct ContactSheetOptions {
  int per_class = 24;    // 1 to 1000
  int side_px = 128;     // of a crop on the sheet
  double context = 1.8;  // side of the crop per longer side of its box
  int max_classes = 32;  // sections; more classes are left out
};
void check(const ContactSheetOptions& options);  // UsageError

// Keeps the best of each class (ranks_before) while boxes pass by in any order.
class ContactSheet {
 public:
  explicit ContactSheet(const ContactSheetOptions& options = {});
  void add(const Detection& detection);
  // Best first.
  Detections best(int category) const;
  // One section per class that has boxes: "name: shown of all", then crops with the box in the class's colour and its score.
  Image draw(const Slide& slide, const std::vector<std::string>& classes) const;

 private:
  struct Class {
    Detections heap;  // the worst on top
    int64_t seen = 0;
  };
  ContactSheetOptions options_;
  std::vector<Class> classes_;
};

}  // namespace cytodet::tiling
