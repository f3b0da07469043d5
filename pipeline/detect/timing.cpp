#include "pipeline/detect/timing.h"

#include <cstdio>

#include "core/timing.h"

namespace cytodet::pipeline {
namespace {

struct Stage {
  const char* name;
  double (*get)(const PictureTimes&);
};
constexpr Stage kStages[] = {
    {"open", [](const PictureTimes& t) { return t.open_ms; }},
    {"read", [](const PictureTimes& t) { return t.read_ms; }},
    {"resize", [](const PictureTimes& t) { return t.resize_ms; }},
    {"network", [](const PictureTimes& t) { return t.network_ms; }},
    {"decode", [](const PictureTimes& t) { return t.decode_ms; }},
    {"merge", [](const PictureTimes& t) { return t.merge_ms; }},
    {"total", [](const PictureTimes& t) { return t.total_ms(); }},
};

}  // namespace

Json timing_json(const DetectReport& report) {
  Json j;
  double pixels = 0, tiles = 0, pictures = 0;
  for (const PictureResult& r : report.pictures) {
    if (!r.done()) continue;
    pixels += static_cast<double>(r.width) * static_cast<double>(r.height);
    tiles += r.tiles_run();
    ++pictures;
  }
  for (const Stage& stage : kStages) {
    std::vector<double> ms;
    for (const PictureResult& r : report.pictures)
      if (r.done()) ms.push_back(stage.get(r.times));
    j["stages"][stage.name] = {{"median_ms", median(ms)}, {"p95_ms", percentile(ms, 95)}};
  }
  double seconds = report.wall_ms / 1000;
  j["wall_s"] = seconds;
  j["images"] = static_cast<int64_t>(pictures);
  j["tiles"] = static_cast<int64_t>(tiles);
  j["images_per_s"] = seconds > 0 ? pictures / seconds : 0;
  j["tiles_per_s"] = seconds > 0 ? tiles / seconds : 0;
  j["megapixels_per_s"] = seconds > 0 ? pixels / 1e6 / seconds : 0;
  return j;
}

std::string timing_table(const DetectReport& report) {
  Json j = timing_json(report);
  char line[160];
  std::string text = "stage        median ms     p95 ms\n";
  for (const Stage& stage : kStages) {
    const Json& s = j["stages"][stage.name];
    std::snprintf(line, sizeof line, "%-10s %11.2f %10.2f\n", stage.name, s["median_ms"].get<double>(),
                  s["p95_ms"].get<double>());
    text += line;
  }
  std::snprintf(line, sizeof line, "%.2f images/s, %.2f tiles/s, %.2f megapixels/s\n", j["images_per_s"].get<double>(),
                j["tiles_per_s"].get<double>(), j["megapixels_per_s"].get<double>());
  return text + line;
}

}  // namespace cytodet::pipeline
