// Writes the results of slides into a run folder as they come, and its state: safe against kill at any moment, a full disk, and
// files of others under the same names. Knows nothing of networks.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/timing.h"
#include "pipeline/detect/image_pipeline.h"
#include "pipeline/results/formats/output.h"
#include "pipeline/results/run_files.h"
#include "pipeline/results/run_plan.h"

namespace cytodet::pipeline {

struct WriterSettings {
  RunLayout layout;
  double overlay_score = 0.4;  // least score of a box in the overlay
  ImageSelection selection;    // of the image in a slide's file that is drawn
  OutputSettings output;       // of the files of --outputs
  bool regions = false;        // only regions of interest were looked at
  std::string pictures;        // BoxesHeader's
  bool overwrite = false;      // also what an earlier version left without a list, if its bytes tell that it is ours
  bool resume = false;
  std::function<void(const std::string&)> warn;
};

class RunWriter {
 public:
  // `hashes`: BoxesHeader::settings_hash per slide of `state`. All outlive the writer.
  RunWriter(RunFiles& files, RunState& state, const std::vector<std::string>& hashes, WriterSettings settings);

  // Decides what is kept and what is done (todo()), checks the plan against `read` and what stands in the folder, tries the
  // longest name, removes our files of what is done anew, writes run.json. Throws before anything is changed.
  void begin(const ReadFiles& read);
  const std::vector<size_t>& todo() const { return todo_; }  // places in state.inputs
  int kept() const { return kept_; }
  const std::map<std::string, int>& not_kept() const { return not_kept_; }  // why, with resume

  // The slide's state of a result, and its files. What cannot be written is the slide's failure; where no other could be written
  // either, the slide waits, and stopped() tells why.
  void finish(SlideState& s, PictureResult& r);
  bool stopped() const { return is_stopped_; }  // from any thread
  const Error& why_stopped() const { return *stopped_; }

  // detections.json of the slides that are done. Throws Error; the run's state is not lost by it.
  void assemble();
  void end();  // the last run.json

 private:
  void choose_slides();
  void take_over_lists();
  void remove_old(const ReadFiles& read);
  void warn_of_others();
  void stage(const SlideState& s, const PictureResult& r);
  void write(SlideState& s, const PictureResult& r);
  void stop(const Error& why);
  void save();
  std::vector<const SlideState*> slides_to_do() const;

  RunFiles& files_;
  RunState& state_;
  const std::vector<std::string>& hashes_;
  WriterSettings settings_;
  std::vector<size_t> todo_;
  int kept_ = 0;
  std::map<std::string, int> not_kept_;
  std::optional<Error> stopped_;
  std::atomic<bool> is_stopped_{false};
  Stopwatch since_save_;
  double save_ms_ = 0;
};

// A file that a command adds to a finished run: "scores.json". Throws Error where one stands that is not ours.
void add_run_file(const std::filesystem::path& folder, const std::string& name, std::string_view bytes);

// Our files of these slides, of which a new run writes others; what was changed since, or is one of `read`, is left. Returns the
// names of what was left.
std::vector<std::string> remove_files_of(RunFiles& files, const std::vector<const SlideState*>& slides, const ReadFiles& read);

// What is listed, is there, and belongs to none of the slides of `state`.
std::vector<OwnFile> files_of_no_slide(const RunFiles& files, const RunState& state);

}  // namespace cytodet::pipeline
