#include "pipeline/config/detect_settings.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/enum_names.h"
#include "core/error.h"
#include "core/settings.h"

namespace cytodet::pipeline {

DetectMode mode_named(const std::string& name) {
  for (const DetectMode mode : {DetectMode::automatic, DetectMode::image, DetectMode::slide})
    if (name == name_of(mode)) return mode;
  throw UsageError("detect.mode", "must be auto, image or slide, not \"" + name + "\"");
}

const char* name_of(DetectMode mode) {
  switch (mode) {
    case DetectMode::automatic:
      return "auto";
    case DetectMode::image:
      return "image";
    case DetectMode::slide:
      return "slide";
  }
  return "";
}

const char* name_of(Precision precision) { return precision == Precision::bf16 ? "bf16" : "graph"; }

void fields(Fields& f, CascadeSettings& s) {
  f("scale", s.scale);
  f("score", s.score);
}

void fields(Fields& f, DetectSettings& s) {
  std::string mode = name_of(s.mode), precision = name_of(s.precision), origin = name_of(s.origin);
  f("mode", mode);
  s.mode = mode_named(mode);
  f("selection", s.selection);
  f("tiling", s.tiling);
  f("merge", s.merge);
  enum_field(f, "background", s.background, background_method_named);
  f("roi", s.roi);
  f("roi_class", s.roi_class);
  f("roi_ignore", s.roi_ignore);
  f("origin", origin);
  s.origin = origin_named(origin, "detect.origin");
  f("max_bad_tiles", s.max_bad_tiles);
  f("streams", s.streams);
  f("threads_per_stream", s.threads_per_stream);
  f("precision", precision);
  s.precision = precision_named(precision);
  f.unless(std::vector<int>(), "network_px", s.network_px);
  f.unless(std::optional<CascadeSettings>(), "cascade", s.cascade);
  f("score", s.score);
}

void check_network_px(const std::vector<int>& px, const std::string& where) {
  if (px.size() > 2 || std::any_of(px.begin(), px.end(), [](int v) { return v < 16 || v > 8192; }))
    throw UsageError(where, "must be one side, or width and height, of 16 to 8192 pixels");
}

void check(const DetectSettings& s) {
  if (s.streams < 0 || s.streams > 256) throw UsageError("detect.streams", "must be 0 to 256");
  if (s.threads_per_stream < 1 || s.threads_per_stream > 256) throw UsageError("detect.threads_per_stream", "must be 1 to 256");
  check_network_px(s.network_px, "detect.network_px");
  if (s.cascade && !(s.cascade->scale >= 1.0 / 64 && s.cascade->scale < 1))
    throw UsageError("detect.cascade.scale", "must be 1/64 to 1, and below 1");
  if (s.cascade && !(s.cascade->score >= 0 && s.cascade->score < 1)) throw UsageError("detect.cascade.score", "must be 0 to 1");
  if (s.score && !(*s.score >= 0 && *s.score < 1)) throw UsageError("detect.score", "must be 0 to 1");
  if (s.roi.empty() && !(s.roi_class.empty() && s.roi_ignore.empty()))
    throw UsageError(s.roi_class.empty() ? "detect.roi_ignore" : "detect.roi_class", "needs regions of interest",
                     "name their file with --roi");
  for (const std::string& name : s.roi_class)
    if (std::find(s.roi_ignore.begin(), s.roi_ignore.end(), name) != s.roi_ignore.end())
      throw UsageError("detect.roi_ignore", "names \"" + name + "\", which roi_class names too", "name it in one of the two");
  check(s.selection);
  check(s.tiling);
  merge({}, s.merge);
  bad_tile_limit(s.max_bad_tiles, 0);
}

RoiChoice roi_choice(const DetectSettings& s) { return {s.roi_class, s.roi_ignore}; }

int bad_tile_limit(const std::string& text, int tiles) {
  const bool share = text.ends_with('%');
  double value = -1;
  const char* end = text.data() + text.size() - (share ? 1 : 0);
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  const bool number = error == std::errc() && stopped == end && value >= 0 && value <= (share ? 100 : 2e9);
  if (!number || (!share && value != std::floor(value)))
    throw UsageError("max_bad_tiles", "must be a number of tiles or a share such as 5%, not \"" + text + "\"");
  return static_cast<int>(share ? std::floor(value / 100 * tiles) : value);
}

}  // namespace cytodet::pipeline
