// The run folder: what `cytodet detect -o RUN` leaves behind, and what all later commands read.
//
//   RUN/run.json            RunState below: settings, versions, hashes, and the state of every slide
//   RUN/detections.json     COCO results of all done slides, in the order of the list
//   RUN/boxes/NAME.boxes    a done slide's detections, exact; its presence says that the slide is done
//   RUN/NAME.json           the same in the competition's form
//   RUN/NAME.png|.jpg       with --overlay: the slide with its boxes
//   RUN/NAME.csv, ...       with --outputs: rows of outputs()
//   RUN/masks/NAME.png      with --mask-picture: the slide, small, with what the background method skips darkened
//
// Every file is written aside and renamed; a slide's .boxes file comes last, so that a run killed at any moment can go on.
// run.json lists the files of the run, see pipeline/results/run_files.h; nothing else in the folder is ever replaced or removed.
// Nothing but run.json holds times, so the rest is equal byte for byte however often a run was interrupted.
#pragma once

#include <array>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/box.h"
#include "core/settings.h"
#include "eval/truth.h"
#include "tiling/slides/slide.h"

namespace cytodet::pipeline {

struct StageSeconds {
  double open = 0, read = 0, resize = 0, network = 0, decode = 0, merge = 0, write = 0;  // open: and mask; summed over threads
};
void fields(Fields& f, StageSeconds& s);

// A file of a run, as it was written.
struct OwnFile {
  std::string name;  // in the run folder: "S1.csv", "boxes/S1.boxes"
  int64_t bytes = 0;
  std::string hash;  // of its bytes
};
void fields(Fields& f, OwnFile& s);
// Names that lead out of the run folder are an Error.
void check_files(const std::vector<OwnFile>& files, const std::string& where);

struct SlideState {
  int64_t index = 0;              // place in the whole list, from 0; shards keep it
  std::string path;               // as given; in JSON with the key path_bytes beside it, escaped(), where it is not UTF-8
  std::string name;               // NAME of its files; no two in a list are equal
  int64_t image_id = 0;           // in detections.json
  std::string state = "waiting";  // waiting, done, failed, skipped
  std::string reason;             // of failed and skipped
  bool tiled = false;             // false: shrunk as one picture
  int64_t width = 0, height = 0;  // level-0 pixels
  std::optional<double> mpp;      // micrometres per level-0 pixel across, where known, assumed or set
  std::optional<double> mpp_y;    // and down; files of earlier versions lack it
  std::string mpp_source;         // property that gave them, "assumed", or "--set-mpp"
  std::string mpp_warning;        // why they may be wrong
  std::optional<std::array<int64_t, 4>> bounds;  // x, y, width, height of what was scanned, where the slide tells it
  // Level-0 pixels that were looked at: of what was scanned, inside the regions of interest; and of these inside the tiles that
  // were run, background being left out. Files of earlier versions lack both.
  std::optional<double> analysed_px, run_px;
  std::string selection;              // in words, which of the images in its file was analysed; empty: there is one
  std::vector<std::string> warnings;  // what of consequence was left out of the file, or looks wrong in it
  int tiles = 0;                      // of the grid; of these
  int background_tiles = 0;           // were skipped as background,
  int outside_tiles = 0;              // touch no region of interest,
  int bad_tiles = 0;                  // have damaged parts, filled with white or from a level over twice as coarse,
  int fallback_tiles = 0;             // are in whole or part from another level, theirs being damaged, and not bad;
  int coarser_tiles = 0;              // bad or fallback, and some of it from a coarser level, enlarged
  std::string damage;                 // the first damage met
  int64_t detections = 0;
  StageSeconds seconds;
  std::vector<OwnFile> files;  // of this slide; in run.json alone
};
void fields(Fields& f, SlideState& s);
std::optional<PixelArea> bounds_of(const SlideState& s);

// "2 tiles bad, 3 read from other levels (1 from a coarser one): " and the first damage; empty where there is none.
std::string damage_text(const SlideState& s);

struct ModelState {
  std::string file, hash;         // model file; of its settings as they were used
  std::string graph, graph_hash;  // graph file; of its bytes
  std::vector<std::string> classes;
  std::vector<int> category_ids;  // by class
  Json suppression;               // SuppressionSettings as they were used
};
void fields(Fields& f, ModelState& s);

struct ShardState {
  int index = 1, count = 1;  // index from 1
  std::string list_hash;     // of the whole list's names and paths
};
void fields(Fields& f, ShardState& s);

struct RunState {
  std::string version, isa;
  std::string settings_hash;  // of all that decides on results: version, model, graph, detect settings, regions of interest
  Json settings;              // the effective run config
  ModelState model;
  ShardState shard;
  std::vector<SlideState> inputs;  // in the order of the list
  std::vector<OwnFile> files;      // of the run: detections.json; what earlier starts made of slides that are not in the list
  Json timing;                     // of the last start, see timing_json()
  int count(std::string_view state) const;
};
void fields(Fields& f, RunState& s);

struct RunFolder {
  std::filesystem::path path;

  static constexpr const char* kRunJson = "run.json";
  static constexpr const char* kDetections = "detections.json";
  static constexpr const char* kJournal = "run.journal";  // see pipeline/results/run_files.h
  std::filesystem::path run_json() const { return path / kRunJson; }
  std::filesystem::path detections_json() const { return path / kDetections; }
  std::filesystem::path boxes(const SlideState& s) const { return path / "boxes" / (s.name + ".boxes"); }
  std::filesystem::path competition(const SlideState& s) const { return path / (s.name + ".json"); }
  std::filesystem::path overlay(const SlideState& s, const std::string& format) const { return path / (s.name + "." + format); }
  std::filesystem::path output(const SlideState& s, const std::string& suffix) const { return path / (s.name + suffix); }
  std::filesystem::path mask(const SlideState& s) const { return path / "masks" / (s.name + ".png"); }

  // Errors name the file: missing, damaged, of a newer version. Names that a version before this one wrote with U+FFFD for bytes
  // that are not UTF-8 are those of the files in the folder.
  RunState read() const;
  void write(const RunState& state) const;
  static std::string text(const RunState& state);  // of run.json
};

// boxes/NAME.boxes: one line of JSON, BoxesHeader, then per detection, ranked, five little-endian values: x0, y0, x1, y1
// (float64, level-0 pixels), class index (int32), score (float32).
struct BoxesHeader {
  std::string format = "cytodet boxes 1";
  std::string settings_hash;                   // RunState's
  int64_t slide_bytes = 0, slide_time_ns = 0;  // size and time of change of the slide's file
  std::string slide_hash;                      // of parts of it and of its companions, see pipeline/inputs/slide_files.h
  std::string pictures;                        // how its pictures were made
  SlideState slide;                            // without times, index and image id: those are run.json's
};
void fields(Fields& f, BoxesHeader& s);

void write_boxes(const BoxesHeader& header, const Detections& detections, const std::filesystem::path& path);

// Reads in constant memory. Errors name the file: missing, cut short, not of this form, a box that cannot be.
class BoxesReader {
 public:
  explicit BoxesReader(const std::filesystem::path& path);
  const BoxesHeader& header() const { return header_; }
  bool next(Detection& d);  // false: no more

 private:
  [[noreturn]] void damaged(const std::string& what) const;
  std::filesystem::path path_;
  std::ifstream file_;
  BoxesHeader header_;
  int64_t left_ = 0;
};

// Calls `each` for every done slide in order, with a reader of its detections.
void for_each_done(const RunFolder& folder, const RunState& state,
                   const std::function<void(const SlideState&, BoxesReader&)>& each);

// COCO results from the .boxes files, as in RUN/detections.json.
void assemble_detections(const RunFolder& folder, const RunState& state, const std::filesystem::path& to);

// A table of slides, failed and skipped ones with their reasons, and the totals.
std::string run_table(const RunState& state);

// Whether a slide of run.json stands for a file that is no image (pipeline/inputs/companions.h).
bool is_companion(const SlideState& s);

// The paths of the images of RUN/detections.json by id, read from run.json beside it; empty for any other file.
PathsOfIds paths_beside(const std::filesystem::path& results);

}  // namespace cytodet::pipeline
