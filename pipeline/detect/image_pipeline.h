// Slides and images -> detections, in one bounded pipeline.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/image.h"
#include "pipeline/config/detect_settings.h"
#include "pipeline/detect/detector.h"

namespace cytodet::pipeline {

// What the settings say of the network, and the model with what they say of it.
DetectorOptions detector_options(const DetectSettings& s);
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
  double open_ms = 0, read_ms = 0, resize_ms = 0, network_ms = 0, decode_ms = 0, merge_ms = 0, write_ms = 0;
  double total_ms() const {
    return open_ms + read_ms + resize_ms + network_ms + decode_ms + merge_ms;
  }  // to write is the caller's
};

struct PictureResult {
  size_t index = 0;  // among the inputs
  std::string path;
  std::string problem;  // not empty: failed
  std::string skipped;  // not empty: nothing to run, and why
  bool slide = false;   // cut into tiles
  int64_t width = 0, height = 0;
  std::optional<double> mpp, mpp_y;  // of level 0
  std::string mpp_source, mpp_warning;
  std::optional<PixelArea> bounds;
  std::optional<double> analysed_px, run_px;  // as in SlideState
  std::string selection;                      // as Slide's, also the next
  std::vector<std::string> warnings;
  int tiles = 0;                                // of the grid
  int background_tiles = 0, outside_tiles = 0;  // of these, not run: bare glass, no region of interest
  int bad_tiles = 0, fallback_tiles = 0;        // run, but damaged: as in SlideState
  int coarser_tiles = 0;
  std::string damage;             // the first damage met
  Detections detections;          // ranked, level-0 pixels
  std::vector<RawDetection> raw;  // instead, with raw_only
  PictureTimes times;
  std::string mask_method;  // of the mask
  Image mask;               // when asked for: the slide, small, background darkened

  bool done() const { return problem.empty() && skipped.empty(); }
  int tiles_run() const { return tiles - background_tiles - outside_tiles; }
};

struct DetectReport {
  std::vector<PictureResult> pictures;  // as given
  double wall_ms = 0;
  int failed() const;
};

// What a caller may hear while a batch runs. `started` and `tile` come from one thread, `done` from another, each in
// the order of the inputs.
struct DetectHooks {
  std::function<void(size_t input, int tiles)> started;  // a picture's tiles that will be run
  std::function<void(size_t input)> tile;                // one more of them is done
  std::function<void(PictureResult&)> done;  // an Error it throws is the picture's problem. It may move the detections away.
  bool masks = false;                        // make PictureResult::mask
  std::function<bool()> stop;  // true: no further tile is run; pictures that are not whole are left out of the report
  // Opens an input instead of the file that it names: pixels in memory. One call at a time.
  std::function<std::unique_ptr<Slide>(size_t input)> open;
  std::vector<int> streams;  // the detector's streams that are used, each in [0, Detector::streams()); empty: all
};

// Runs all inputs; a bad one is reported in its result and never stops the others. The next picture is opened, and its tiles are
// run, while the last one's are merged and written. Memory is bounded by streams and tile size, and the detections that are kept.
// The result depends neither on streams nor on the order in which tiles are done.
DetectReport detect(Detector& detector, const std::vector<std::string>& inputs, const DetectSettings& settings,
                    const DetectHooks& hooks);

// With progress on stderr.
DetectReport detect(Detector& detector, const std::vector<std::string>& inputs, const DetectSettings& settings,
                    const std::function<void(PictureResult&)>& done = {}, bool quiet = false);

}  // namespace cytodet::pipeline
