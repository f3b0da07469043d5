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
#include "pipeline/detect/folder_options.h"
#include "pipeline/detect/image_pipeline.h"
#include "pipeline/detect/resume.h"
#include "pipeline/results/run_files.h"
#include "pipeline/results/run_plan.h"

namespace cytodet::pipeline {

// What a run with these settings writes per slide.
RunLayout layout_of(const RunConfig& config, const FolderOptions& options);

class RunWriter {
 public:
  // `hashes`: BoxesHeader::settings_hash per slide of `state`. `warn`: hears warnings; may be empty. All outlive the writer.
  RunWriter(RunFiles& files, RunState& state, const std::vector<std::string>& hashes, const RunConfig& config,
            const FolderOptions& options, std::function<void(const std::string&)> warn = {});

  // Decides what is kept and what is done (todo()), checks the plan against `read` and what stands in the folder, tries the
  // longest name, removes our files of what is done anew, writes run.json. Throws before anything is changed.
  void begin(const InputFiles& read);
  const std::vector<size_t>& todo() const { return todo_; }  // places in state.inputs
  int kept() const { return kept_; }
  const std::map<NotKept, int>& not_kept() const { return not_kept_; }  // why, with resume

  // Takes a slide's result and writes its files. What cannot be written is the slide's failure; where no other could be written
  // either, the slide waits, and stopped() says why.
  void finish(ImageResult& s, DetectedImage& r);
  bool stopped() const { return is_stopped_; }  // from any thread
  const Error& why_stopped() const { return *stopped_; }

  // detections.json of the slides that are done. Throws Error; the run's state is not lost by it.
  void assemble();
  void end();  // the last run.json

 private:
  void choose_slides();
  void count_kept(ImageResult& s) const;
  void take_over_lists();
  void remove_old(const InputFiles& read);
  void warn_of_others();
  void stage(const ImageResult& s, const DetectedImage& r);
  void stage_outputs(const ImageResult& s, const DetectedImage& r);
  void stage_boxes(const ImageResult& s, const DetectedImage& r);
  void write(ImageResult& s, const DetectedImage& r);
  void stop(const Error& why);
  void save();
  std::vector<const ImageResult*> slides_to_do() const;

  RunFiles& files_;
  RunState& state_;
  const std::vector<std::string>& hashes_;
  const RunConfig& config_;
  const FolderOptions& options_;
  std::function<void(const std::string&)> warn_;
  RunLayout layout_;
  std::string forms_;  // BoxesHeader::images
  std::vector<size_t> todo_;
  int kept_ = 0;
  std::map<NotKept, int> not_kept_;
  std::optional<Error> stopped_;
  std::atomic<bool> is_stopped_{false};
  Stopwatch since_save_;
  double save_ms_ = 0;
};

// A file that a command adds to a finished run: "scores.json". Throws Error where one stands that is not ours.
void add_run_file(const std::filesystem::path& folder, const std::string& name, std::string_view bytes);

// Our files of these slides, of which a new run writes others; what was changed since, or is one of `read`, is left. Returns the
// names of what was left.
std::vector<std::string> remove_files_of(RunFiles& files, const std::vector<const ImageResult*>& slides, const InputFiles& read);

// What is listed, is there, and belongs to none of the slides of `state`.
std::vector<OwnFile> files_of_no_slide(const RunFiles& files, const RunState& state);

}  // namespace cytodet::pipeline
