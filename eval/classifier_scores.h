// Accuracy of a classifier on labelled images: top-1 and top-5, per class, and which class is taken for which.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/json_fwd.h"

namespace cytodet::eval {

// Shares of the images, 0..1. Ties count as hits in TensorFlow's in_top_k, as misses in the strict rank (eval/top_k.h).
struct TopShares {
  double top1 = 0, top5 = 0, strict_top1 = 0, strict_top5 = 0;
};

struct ClassScore {
  int64_t images = 0;     // whose label it is
  int64_t predicted = 0;  // that it is the best class of
  int64_t right = 0;      // both
  // None where nothing is divided: no image has the label, the class is predicted for none.
  std::optional<double> recall() const { return share(right, images); }
  std::optional<double> precision() const { return share(right, predicted); }
  // F1, the harmonic mean of both: 2 * right / (images + predicted).
  std::optional<double> f1() const { return share(2 * right, images + predicted); }

 private:
  static std::optional<double> share(int64_t part, int64_t of) {
    return of ? std::optional(static_cast<double>(part) / static_cast<double>(of)) : std::nullopt;
  }
};

// Grows image by image.
class ClassificationScores {
 public:
  explicit ClassificationScores(std::vector<std::string> classes);

  // `scores`: one per class, all finite. The predicted class is the best one, the first of equal ones.
  void add(std::span<const float> scores, int label);
  // An image that has no class to be right by, its label being none of them (nullopt) or its scores no finite numbers: a miss.
  void add_miss(std::optional<int> label);

  int64_t images() const { return images_; }
  int64_t misses_without_prediction() const { return without_; }
  TopShares shares() const;
  const std::vector<std::string>& classes() const { return classes_; }
  const std::vector<ClassScore>& of_classes() const { return of_classes_; }
  // Images by (label, best class); pairs that occur only, of which a thousand classes have few.
  using Pairs = std::map<std::pair<int, int>, int64_t>;
  const Pairs& pairs() const { return pairs_; }

 private:
  std::vector<std::string> classes_;
  std::vector<ClassScore> of_classes_;
  Pairs pairs_;
  int64_t images_ = 0, without_ = 0, top1_ = 0, top5_ = 0, strict1_ = 0, strict5_ = 0;
};

// Per class: images, recall, precision and their harmonic mean (F1), "-" for one that is not defined. Classes without images and
// predictions are left out.
std::string class_table(const ClassificationScores& scores);
// Rows: labels; columns: predicted. Up to `max_classes` classes as a table; of more, the most frequent confusions.
std::string confusion_text(const ClassificationScores& scores, size_t max_classes = 20);
Json to_json(const ClassificationScores& scores);

}  // namespace cytodet::eval
