// Suppression of overlapping boxes of one class: the key "suppression" of a model file.
#pragma once

#include <string>
#include <vector>

#include "core/box.h"
#include "core/json_fwd.h"

namespace cytodet::models {

enum class SuppressionMethod { hard, gaussian };  // gaussian: soft-NMS
const char* name_of(SuppressionMethod method);
// Throws UsageError at `where` with the known ones.
SuppressionMethod suppression_method_named(const std::string& name, const std::string& where);

struct SuppressionSettings {
  SuppressionMethod method = SuppressionMethod::hard;
  double iou = 0.5;                 // hard: boxes over it are dropped
  double sigma = 0.5;               // gaussian: score *= exp(-iou^2 / sigma)
  double score = 0.05;              // least score of a detection
  int candidates_per_class = 5000;  // best ones that enter suppression
  int detections = 100;             // best ones kept per image
};
void fields(Fields& f, SuppressionSettings& s);
// Throws UsageError with the key.
void check(const SuppressionSettings& s, const std::string& where);

// Suppression within one class, down to the best `detections`. Detections in any order; comes back ranked.
Detections suppress(Detections detections, const SuppressionSettings& settings);

// The best `detections` of all classes, ranked. detections_by_class[c]: those of class c.
Detections best_of_classes(const std::vector<Detections>& detections_by_class, int detections);

// suppress() for each class, then the best `detections` of the image, ranked. detections_by_class as in best_of_classes.
Detections suppress_by_class(std::vector<Detections> detections_by_class, const SuppressionSettings& settings);

}  // namespace cytodet::models
