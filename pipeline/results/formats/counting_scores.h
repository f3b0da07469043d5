// From which score on a detection counts, per class: for counts, densities, summaries, pictures and lists of cells. COCO results
// and box lists hold all detections, for AP.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/box.h"
#include "core/json_fwd.h"
#include "models/model_file.h"

namespace cytodet::pipeline {

// The key "operating_point" of run.json.
struct CountingScores {
  std::string source;          // in words; empty: everything counts
  std::vector<double> scores;  // per class; of classes without one everything counts

  bool counts(const Detection& d) const {
    const auto c = static_cast<size_t>(d.category);
    return c >= scores.size() || static_cast<double>(d.score) >= scores[c];
  }
  bool all() const { return scores.empty(); }
  friend bool operator==(const CountingScores&, const CountingScores&) = default;
};
void fields(Fields& f, CountingScores& s);
// Throws Error of `where` where a score is out of range or there is not one per class.
void check(const CountingScores& s, size_t classes, const std::string& where);

constexpr const char* kChosenPoint = "chosen";
constexpr const char* kDefaultPoint = "default, as the model file has no operating_scores";
constexpr const char* kPointHint =
    "cytodet evaluate --operating-point f1 finds the scores from which boxes are cells on labelled images and keeps them in the "
    "model file";

// `chosen` for all classes where it is given; else those of the model file; else kDefaultOperatingScore. `graph_hash`: of the
// graph that is run, see OperatingScores.
CountingScores counting_scores(const ModelFile& model, const std::optional<double>& chosen, const std::string& graph_hash = {});

// The detections that count.
Detections counted(Detections detections, const CountingScores& scores);
std::vector<int64_t> counts_of_classes(const Detections& detections, const CountingScores& scores, size_t classes);

// "from score 0.41 (RBC), 0.55 (WBC) on: operating point of the model file, f1", or "from score 0.4 on: default, ..."; empty
// where everything counts.
std::string text_of(const CountingScores& s, const std::vector<std::string>& classes);

}  // namespace cytodet::pipeline
