#include "pipeline/cli/evaluate_cascade.h"

#include <cmath>
#include <cstdio>

#include "core/settings.h"
#include "eval/class_outcomes.h"

namespace cytodet::pipeline {
namespace {

struct Found {
  double ap = -1, ar = -1;
  int64_t cells = 0, truths = 0;  // that count and match; of the ground truth
  double recall() const { return truths ? static_cast<double>(cells) / static_cast<double>(truths) : 0; }
};

Found found_by(const GroundTruth& truth, const DetectionSet& set, const ScoreOptions& options, const std::vector<double>& least) {
  const Scores scores = score(truth, set, options);
  Found f;
  f.ap = scores.stats.at(0);
  f.ar = scores.stats.at(3 + options.max_dets.size() + 2);
  const std::vector<int32_t> once(truth.images.size(), 1);
  const std::vector<ClassOutcomes> classes = find_class_outcomes(truth, set);
  for (size_t c = 0; c < classes.size() && c < least.size(); ++c) {
    if (std::isnan(least[c])) continue;
    const PointCounts counts = CountsOfImages(classes[c], least[c]).weighted(once);
    f.cells += counts.right;
    f.truths += counts.truths;
  }
  return f;
}

Json json_of(const Found& f, double seconds) {
  return {{"ap", f.ap}, {"ar", f.ar}, {"cells", f.cells}, {"recall", f.recall()}, {"seconds", seconds}};
}

}  // namespace

CascadeRuns run_all_tiles(Detector& detector, const GroundTruth& truth, const std::vector<std::string>& images,
                          const DetectSettings& settings, const DetectReport& report, bool quiet) {
  CascadeRuns runs;
  for (const DetectedImage& r : report.images) {
    runs.tiles += r.tiles;
    runs.silent += r.silent_tiles;
  }
  DetectSettings every = settings;
  every.cascade.reset();
  const DetectReport all = detect_with_progress(detector, images, every, {}, quiet);
  runs.all_tiles = to_set(all, truth, detector.model());
  runs.seconds = report.wall_ms / 1000;
  runs.all_seconds = all.wall_ms / 1000;
  return runs;
}

Json cascade_json(const CascadeRuns& runs, const GroundTruth& truth, const DetectionSet& set, const ScoreOptions& options,
                  const std::vector<double>& counting_scores) {
  const Found with = found_by(truth, set, options, counting_scores),
              all = found_by(truth, runs.all_tiles, options, counting_scores);
  return {{"tiles", runs.tiles},
          {"silent_tiles", runs.silent},
          {"truths", all.truths},
          {"with_first_look", json_of(with, runs.seconds)},
          {"all_tiles", json_of(all, runs.all_seconds)}};
}

std::string cascade_text(const Json& j) {
  const Json &with = j["with_first_look"], &all = j["all_tiles"];
  const auto number = [](const Json& of, const char* key) { return of[key].get<double>(); };
  const auto tiles = j["tiles"].get<int64_t>(), silent = j["silent_tiles"].get<int64_t>();
  char text[500];
  std::snprintf(text, sizeof text,
                "first look: %lld of %lld tiles left out, %.1f s instead of %.1f s\n"
                "AP %.4f (%.4f of all tiles), AR %.4f (%.4f), recall of boxes that count %.4f (%.4f): %lld of %lld cells lost\n",
                static_cast<long long>(silent), static_cast<long long>(tiles), number(with, "seconds"), number(all, "seconds"),
                number(with, "ap"), number(all, "ap"), number(with, "ar"), number(all, "ar"), number(with, "recall"),
                number(all, "recall"), static_cast<long long>(all["cells"].get<int64_t>() - with["cells"].get<int64_t>()),
                static_cast<long long>(j["truths"].get<int64_t>()));
  return text;
}

}  // namespace cytodet::pipeline
