// Slides and images -> detections, in one bounded pipeline.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "eval/results.h"
#include "pipeline/detector.h"
#include "tiling/grid.h"
#include "tiling/merge.h"

namespace cytodet {

struct DetectSettings {
  std::string mode = "auto";  // image: whole picture shrunk to the input; slide: tiles; auto: slide when pyramidal or over twice
                              // the input's side
  TilingSettings tiling;
  MergeSettings merge;
  int streams = 0;
  int threads_per_stream = 1;
  std::optional<double> score;  // least score of a detection; none: the model file's
  bool raw_only = false;        // for programs, not in files: fill PictureResult::raw and leave merging to merge_raw
};
void fields(Fields& f, DetectSettings& s);
void check(const DetectSettings& s);

// The model with what the settings say of it.
ModelFile with_settings(ModelFile model, const DetectSettings& s);

// A detection before merging. inner_edge_px: level-0 pixels, 0 or more, to the nearest edge of its tile that is not the slide's;
// infinite where there is none.
struct RawDetection {
  Detection detection;
  int tile = 0;
  double inner_edge_px = 0;
};

// What detect() does after the last tile: in a tiled picture, merging; otherwise nothing is left to do. Detections of score <=
// settings.score are dropped first, which gives the result of a detector that had not found them.
Detections merge_raw(const std::vector<RawDetection>& raw, bool tiled, const DetectSettings& settings);

// Milliseconds per stage, summed over a picture's tiles.
struct PictureTimes {
  double read_ms = 0, resize_ms = 0, network_ms = 0, decode_ms = 0, merge_ms = 0;
  double total_ms() const { return read_ms + resize_ms + network_ms + decode_ms + merge_ms; }
};

struct PictureResult {
  std::string path;
  std::string problem;  // empty: done
  bool slide = false;
  int64_t width = 0, height = 0;
  int tiles = 0;
  Detections detections;  // ranked, level-0 pixels
  std::vector<RawDetection> raw;  // instead, with raw_only
  PictureTimes times;
};

struct DetectReport {
  std::vector<PictureResult> pictures;  // as given
  double wall_ms = 0;
  int failed() const;
};

// Runs all inputs; a bad one is reported in its result and never stops the others. `done` (may be empty) is called in input order
// when a picture is finished; what it throws counts as the picture's problem. Memory is bounded by streams and tile size.
DetectReport detect(Detector& detector, const std::vector<std::string>& inputs, const DetectSettings& settings,
                    const std::function<void(PictureResult&)>& done = {}, bool quiet = false);

// Files and folders (not nested) -> files, sorted within a folder. Throws Error on a folder without files.
std::vector<std::string> expand_inputs(const std::vector<std::string>& inputs);

}  // namespace cytodet
