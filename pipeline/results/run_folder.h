// The run folder: what `cytodet detect -o RUN` leaves behind, and what all later commands read.
//
//   RUN/run.json            RunState below: settings, versions, hashes, and the state of every slide
//   RUN/detections.json     COCO results of all done slides, in the order of the list
//   RUN/boxes/NAME.boxes    a done slide's detections, exact; its presence says that the slide is done
//   RUN/NAME.json           its box list: [{"x", "y", "w", "h", "p"}, ...] in whole pixels, p the score (docs/detect.md)
//   RUN/NAME.png|.jpg       with --overlay: the slide with its boxes
//   RUN/NAME.csv, ...       with --outputs: one file per entry of outputs() that is asked for
//   RUN/masks/NAME.png      with --mask-image: the slide, small, with what the background method skips darkened
//
// Every file is written aside and renamed; a slide's .boxes file comes last, so that a run killed at any moment can go on.
// run.json lists the files of the run, see pipeline/results/run_files.h; nothing else in the folder is ever replaced or removed.
// Nothing but run.json holds times, so the rest is equal byte for byte however often a run was interrupted.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/settings.h"
#include "eval/ground_truth.h"
#include "pipeline/results/boxes_file.h"
#include "pipeline/results/formats/counting_scores.h"
#include "pipeline/results/image_result.h"

namespace cytodet::pipeline {

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
  std::vector<int> missing;  // of a run that was joined without them
};
void fields(Fields& f, ShardState& s);

struct RunState {
  std::string version, isa;
  std::string settings_hash;  // of all that decides on results: version, model, graph, detect settings, regions of interest
  Json settings;              // the effective run config
  ModelState model;
  std::optional<CountingScores> counting;  // JSON: "operating_point"; none: a run of an earlier version
  ShardState shard;
  std::vector<ImageResult> inputs;  // in the order of the list
  std::vector<OwnFile> files;       // of the run: detections.json; what earlier starts made of slides that are not in the list
  Json timing;                      // of the last start, see timing_json()
  int count(ImageState state) const;
};
void fields(Fields& f, RunState& s);

struct RunFolder {
  std::filesystem::path path;

  static constexpr const char* kRunJson = "run.json";
  static constexpr const char* kDetections = "detections.json";
  static constexpr const char* kJournal = "run.journal";  // see pipeline/results/run_files.h
  std::filesystem::path run_json() const { return path / kRunJson; }
  std::filesystem::path detections_json() const { return path / kDetections; }
  std::filesystem::path boxes(const ImageResult& s) const { return path / "boxes" / (s.name + ".boxes"); }
  std::filesystem::path box_list(const ImageResult& s) const { return path / (s.name + ".json"); }
  std::filesystem::path output(const ImageResult& s, const std::string& suffix) const { return path / (s.name + suffix); }
  std::filesystem::path mask(const ImageResult& s) const { return path / "masks" / (s.name + ".png"); }

  // Errors name the file: missing, damaged, of a newer version. Names that a version before this one wrote with U+FFFD for bytes
  // that are not UTF-8 are those of the files in the folder.
  RunState read() const;
  void write(const RunState& state) const;
  static std::string text(const RunState& state);  // of run.json
};

// Calls `each` for every done slide in order, with a reader of its detections.
void for_each_done(const RunFolder& folder, const RunState& state,
                   const std::function<void(const ImageResult&, BoxesReader&)>& each);

// COCO results from the .boxes files, as in RUN/detections.json.
void assemble_detections(const RunFolder& folder, const RunState& state, const std::filesystem::path& to);

// A table of slides, failed and skipped ones with their reasons, and the totals.
std::string run_table(const RunState& state);

// Whether a slide of run.json stands for a file that is no image (pipeline/inputs/companions.h).
bool is_companion(const ImageResult& s);

// Which detections of a run count; kDefaultOperatingScore where it is of an earlier version.
CountingScores counting_of(const RunState& state);

// The run whose detections.json this is; none for any other file.
std::optional<RunState> run_beside(const std::filesystem::path& results);
// The paths of the images of RUN/detections.json by id, read from run.json beside it; empty for any other file.
PathsOfIds paths_beside(const std::filesystem::path& results);

}  // namespace cytodet::pipeline
