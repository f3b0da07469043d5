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
#include "pipeline/results/image_result.h"

namespace cytodet::pipeline {

// The model with what the settings say of it.
ModelFile with_settings(ModelFile model, const DetectSettings& s);

// A detection before merging. inner_edge_px: level-0 pixels, 0 or more, to the nearest edge of its tile that is not the slide's;
// infinite where there is none.
struct RawDetection {
  Detection detection;
  int tile = 0;
  double inner_edge_px = 0;
};

// What detect() does after the last tile: in a tiled image, merging; otherwise nothing is left to do. Detections of score <=
// settings.score are dropped first, which gives the result of a detector that had not found them.
Detections merge_raw(const std::vector<RawDetection>& raw, bool tiled, const DetectSettings& settings);

// An image's result, and what of it is only held in memory. `index`: among the inputs of detect().
struct DetectedImage : ImageResult {
  Detections detections;          // ranked, level-0 pixels
  std::vector<RawDetection> raw;  // instead, with raw_only
  Image mask;                     // when asked for: the slide, small, background darkened
};

struct DetectReport {
  std::vector<DetectedImage> images;  // as given
  double wall_ms = 0;
  int failed() const;
};

// What a caller may hear while a batch runs. `started` and `tile` come from one thread, `done` from another, each in
// the order of the inputs.
struct DetectHooks {
  std::function<void(size_t input, int tiles)> started;  // an image's tiles that will be run
  std::function<void(size_t input)> tile;                // one more of them is done
  std::function<void(DetectedImage&)> done;  // an Error it throws is the image's failure. It may move the detections away.
  bool masks = false;                        // make DetectedImage::mask
  std::function<bool()> stop;                // true: no further tile is run; images that are not whole are left out of the report
  // When stopped, the image at work is reported, too: as failed, with what its tiles have given.
  bool keep_part = false;
  // Opens an input instead of the file that it names: pixels in memory. One call at a time.
  std::function<std::unique_ptr<Slide>(size_t input)> open;
  std::vector<int> streams;  // the detector's streams that are used, each in [0, Detector::streams()); empty: all
};

// Runs all inputs; a bad one is reported in its result and never stops the others. The next image is opened, and its tiles are
// run, while the last one's are merged and written. Memory is bounded by streams and tile size, and the detections that are kept.
// The result depends neither on streams nor on the order in which tiles are done.
DetectReport detect(Detector& detector, const std::vector<std::string>& inputs, const DetectSettings& settings,
                    const DetectHooks& hooks = {});

// detect() with progress on stderr, unless `quiet`. `done` as in DetectHooks; may be empty.
DetectReport detect_with_progress(Detector& detector, const std::vector<std::string>& inputs, const DetectSettings& settings,
                                  const std::function<void(DetectedImage&)>& done, bool quiet);

}  // namespace cytodet::pipeline
