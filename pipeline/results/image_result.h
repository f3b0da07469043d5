// What became of one image: the same struct from the moment it is opened until it is an entry of run.json.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "tiling/slides/slide.h"

namespace cytodet::pipeline {

enum class ImageState { waiting, done, failed, skipped };
const char* name_of(ImageState state);  // as run.json has it
// Throws Error with the known ones.
ImageState state_named(const std::string& name);

// Seconds per stage, summed over an image's tiles, so over all threads.
struct StageTimes {
  double open = 0;                                                                  // the file, and its background mask
  double read = 0;                                                                  // tiles: decoding and scaling
  double resize = 0;                                                                // and normalisation: pixels to network input
  double network = 0;                                                               // one forward pass per tile
  double decode = 0;                                                                // network output to boxes
  double merge = 0;                                                                 // boxes of overlapping tiles
  double write = 0;                                                                 // result files
  double total() const { return open + read + resize + network + decode + merge; }  // without write
};
// In the order in which an image passes them; names as run.json and reports have them.
struct Stage {
  const char* name;
  double StageTimes::*seconds;
};
constexpr std::array<Stage, 7> kStages = {{{"open", &StageTimes::open},
                                           {"read", &StageTimes::read},
                                           {"resize", &StageTimes::resize},
                                           {"network", &StageTimes::network},
                                           {"decode", &StageTimes::decode},
                                           {"merge", &StageTimes::merge},
                                           {"write", &StageTimes::write}}};
void fields(Fields& f, StageTimes& s);

// A file of a run, as it was written.
struct OwnFile {
  std::string name;  // in the run folder: "S1.csv", "boxes/S1.boxes"
  int64_t bytes = 0;
  std::string hash;  // of its bytes
};
void fields(Fields& f, OwnFile& s);
// Throws Error where a name leads out of the run folder.
void check_files(const std::vector<OwnFile>& files, const std::string& where);

// Keys of an entry of "inputs" in run.json are the field names, where not said otherwise.
struct ImageResult {
  // Which image.
  int64_t index = 0;     // place in the whole list, from 0; shards keep it
  std::string path;      // as given; in JSON with the key path_bytes beside it, escaped(), where it is not UTF-8
  std::string name;      // NAME of its files; no two in a list are equal
  int64_t image_id = 0;  // in detections.json

  // What became of it.
  ImageState state = ImageState::waiting;
  std::string reason;  // of failed and skipped

  // The slide's file. Level-0 pixels.
  bool tiled = false;  // false: scaled down as one image
  int64_t width = 0, height = 0;
  std::optional<double> mpp;        // micrometres per level-0 pixel across, where known, assumed or set
  std::optional<double> mpp_y;      // and down; files of earlier versions lack it
  std::string mpp_source;           // property that gave them, "assumed", or "--set-mpp"
  std::string mpp_warning;          // why they may be wrong
  std::optional<PixelArea> bounds;  // of what was scanned, where the slide gives it; in JSON [x, y, width, height]
  // Area that was looked at: of what was scanned, inside the regions of interest; and the part of it inside the tiles that were
  // run, background and silence being left out. Files of earlier versions lack both.
  std::optional<double> analysed_px, run_px;
  double seen_px() const;                  // analysed_px, or where it lacks all of the image
  std::optional<double> seen_mm2() const;  // the same, where the size of a pixel is known
  std::string selection;                   // in words, which of the images in its file was analysed; empty: there is one
  std::vector<std::string> warnings;       // what of consequence was left out of the file, or looks wrong in it

  // Numbers of tiles.
  int tiles = 0;             // of the grid
  int background_tiles = 0;  // of the grid, skipped as background
  int outside_tiles = 0;     // of the grid, in no region of interest
  int silent_tiles = 0;      // of the grid, not run as the first look of a cascade found nothing in them
  int bad_tiles = 0;         // run, but with damaged parts that were filled with white or from a level over twice as coarse
  int fallback_tiles = 0;    // run, not bad, but in whole or part from another level, their own being damaged
  int coarser_tiles = 0;     // bad or fallback, and some of it from a coarser level, enlarged
  std::string damage;        // the first damage met

  int64_t detection_count = 0;  // JSON: "detections"; all, from the low score of the model file on
  // How many detections count, per class (RunState::counting); in run.json alone. Empty: a run of an earlier version.
  std::vector<int64_t> counted;
  StageTimes times;            // JSON: "seconds"
  std::vector<OwnFile> files;  // its result files; in run.json alone

  bool done() const { return state == ImageState::done; }
  bool failed() const { return state == ImageState::failed; }
  bool skipped() const { return state == ImageState::skipped; }
  int64_t counted_sum() const;  // detection_count where `counted` is empty
  int tiles_run() const { return tiles - background_tiles - outside_tiles - silent_tiles; }
  void fail(std::string why) { state = ImageState::failed, reason = std::move(why); }
  void skip(std::string why) { state = ImageState::skipped, reason = std::move(why); }
};
void fields(Fields& f, ImageResult& s);
// Throws Error with `where` (file and entry) where a field holds what no run writes.
void check(const ImageResult& s, const std::string& where);

// "2 tiles bad, 3 read from other levels (1 from a coarser one): " and the first damage; empty where there is none.
std::string damage_text(const ImageResult& s);

}  // namespace cytodet::pipeline
