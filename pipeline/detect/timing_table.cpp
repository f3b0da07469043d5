#include "pipeline/detect/timing_table.h"

#include <cstdio>

#include "core/settings.h"
#include "core/timing.h"

namespace cytodet::pipeline {
namespace {

// Milliseconds of a stage, one for each image that is done.
template <class Seconds>
std::vector<double> done_ms(const DetectReport& report, Seconds seconds) {
  std::vector<double> ms;
  for (const DetectedImage& r : report.images)
    if (r.done()) ms.push_back(1000 * seconds(r.times));
  return ms;
}

Json percentiles(const std::vector<double>& ms) { return {{"median_ms", median(ms)}, {"p95_ms", percentile(ms, 95)}}; }

}  // namespace

Json timing_json(const DetectReport& report) {
  Json j;
  double pixels = 0, mm2 = 0, tiles = 0, images = 0;
  bool sized = true;
  for (const DetectedImage& r : report.images) {
    if (!r.done()) continue;
    pixels += r.seen_px();
    sized = sized && r.seen_mm2();
    mm2 += r.seen_mm2().value_or(0);
    tiles += r.tiles_run();
    ++images;
  }
  for (const Stage& stage : kStages)  // writing comes after this
    if (stage.seconds != &StageTimes::write)
      j["stages"][stage.name] = percentiles(done_ms(report, [&](const StageTimes& t) { return t.*stage.seconds; }));
  j["stages"]["total"] = percentiles(done_ms(report, [](const StageTimes& t) { return t.total(); }));
  double seconds = report.wall_ms / 1000;
  j["wall_s"] = seconds;
  j["images"] = static_cast<int64_t>(images);
  j["tiles"] = static_cast<int64_t>(tiles);
  j["images_per_s"] = seconds > 0 ? images / seconds : 0;
  j["tiles_per_s"] = seconds > 0 ? tiles / seconds : 0;
  j["megapixels_per_s"] = seconds > 0 ? pixels / 1e6 / seconds : 0;
  if (sized && mm2 > 0) j["mm2_per_s"] = seconds > 0 ? mm2 / seconds : 0;
  return j;
}

std::string timing_table(const DetectReport& report) {
  Json j = timing_json(report);
  char line[160];
  std::string text = "stage        median ms     p95 ms\n";
  for (const auto& [name, s] : j["stages"].items()) {
    std::snprintf(line, sizeof line, "%-10s %11.2f %10.2f\n", name.c_str(), s["median_ms"].get<double>(),
                  s["p95_ms"].get<double>());
    text += line;
  }
  std::snprintf(line, sizeof line, "%.2f images/s, %.2f tiles/s, %.2f megapixels/s", j["images_per_s"].get<double>(),
                j["tiles_per_s"].get<double>(), j["megapixels_per_s"].get<double>());
  text += line;
  if (const auto mm2 = j.find("mm2_per_s"); mm2 != j.end()) {
    std::snprintf(line, sizeof line, ", %.3f mm2/s", mm2->get<double>());
    text += line;
  }
  return text + "\n";
}

}  // namespace cytodet::pipeline
