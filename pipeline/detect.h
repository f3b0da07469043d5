// Slides and images -> detections, in one bounded pipeline.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/image.h"
#include "pipeline/detector.h"
#include "tiling/grid.h"
#include "tiling/merge.h"
#include "tiling/roi.h"

namespace cytodet {

struct DetectSettings {
  std::string mode = "auto";  // image: whole picture shrunk to the input; slide: tiles; auto: slide when pyramidal or over twice
                              // the input's side
  ImageSelection selection;   // of files that hold several images
  TilingSettings tiling;
  MergeSettings merge;
  std::string background = "none";                 // a row of background_methods(); of slides
  std::string roi;                                 // regions of interest, see RoiSource; empty: all is looked at
  std::vector<std::string> roi_class, roi_ignore;  // of these classes, without these; see RoiChoice
  std::string origin = "bounds";                   // of coordinates in GeoJSON, read and written, see Origin
  std::string max_bad_tiles = "5%";                // a number of tiles, or a share of those run; a slide with more has failed
  int streams = 0;
  int threads_per_stream = 1;
  std::string precision = "graph";  // or bf16, see Precision
  std::optional<double> score;      // least score of a detection; none: the model file's
  bool raw_only = false;            // for programs, not in files: fill PictureResult::raw and leave merging to merge_raw
};
void fields(Fields& f, DetectSettings& s);
void check(const DetectSettings& s);
RoiChoice roi_choice(const DetectSettings& s);

// Most bad tiles of `tiles` that are tolerated. Throws UsageError when the text is neither a number nor a share.
int bad_tile_limit(const std::string& max_bad_tiles, int tiles);

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
};

// Runs all inputs; a bad one is reported in its result and never stops the others. The next picture is opened, and its tiles are
// run, while the last one's are merged and written. Memory is bounded by streams and tile size, and the detections that are kept.
// The result depends neither on streams nor on the order in which tiles are done.
DetectReport detect(Detector& detector, const std::vector<std::string>& inputs, const DetectSettings& settings,
                    const DetectHooks& hooks);

// With progress on stderr.
DetectReport detect(Detector& detector, const std::vector<std::string>& inputs, const DetectSettings& settings,
                    const std::function<void(PictureResult&)>& done = {}, bool quiet = false);

// What a user names, as files, each once and sorted within a folder or pattern.
struct InputList {
  std::vector<std::string> files;       // to be opened: named, or pictures by name or content
  std::vector<std::string> companions;  // found in a folder or by a pattern, and no pictures (pipeline/companions.h)
};
// Files, folders (not nested), patterns ("slides/*.svs") and lists ("@list.txt": one of these a line, relative to the list; empty
// lines and those that start with # do not count). Throws Error on a folder without files, a pattern that matches nothing, a list
// that cannot be read.
InputList list_inputs(const std::vector<std::string>& inputs);
// Throws Error where there are companions alone, too.
InputList list_pictures(const std::vector<std::string>& inputs);
// The files of list_pictures.
std::vector<std::string> expand_inputs(const std::vector<std::string>& inputs);

}  // namespace cytodet
