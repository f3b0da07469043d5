#include "pipeline/detect/run_detection.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "core/cpu.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/messages.h"
#include "core/settings.h"
#include "eval/ground_truth.h"
#include "pipeline/detect/files_read.h"
#include "pipeline/detect/open_image.h"
#include "pipeline/detect/run_writer.h"
#include "pipeline/detect/scheduler_shard.h"
#include "pipeline/detect/stop_signal.h"
#include "pipeline/detect/timing_table.h"
#include "pipeline/inputs/companions.h"
#include "pipeline/inputs/list_inputs.h"
#include "pipeline/inputs/slide_files.h"
#include "pipeline/results/result_names.h"
#include "pipeline/results/run_plan.h"
#include "tiling/regions/roi.h"

namespace cytodet::pipeline {
namespace {

bool has_no_region(const ImageResult& s) { return s.skipped() && s.reason.ends_with(kNoRegion); }

class FolderBatch {
 public:
  FolderBatch(Detector& detector, const RunConfig& config, const FolderOptions& options)
      : detector_(detector), config_(config), options_(options), log_(options.log) {
    layout_of(config, options);  // what it refuses is reported before anything is done
    if (!config.detect.roi.empty()) roi_.emplace(config.detect.roi, roi_choice(config.detect));
  }

  FolderRun run() {
    std::optional<StopSignals> signals;
    if (options_.catch_signals) signals.emplace();
    const auto caught = [&] { return signals ? signals->caught() : 0; };
    describe_settings();
    list_slides();
    RunFiles files = opened_files();
    RunWriter writer(files, run_.state, hashes_, config_, options_, [this](const std::string& w) { log_.warning(w); });
    writer.begin(files_read());
    run_.report = detect_slides(writer, caught);
    run_.signal = caught();
    if (!run_.signal) assemble(writer);
    run_.state.timing = timing_json(run_.report);
    report_nothing_analysed();
    end(writer);
    log_.end(run_.state);
    return std::move(run_);
  }

 private:
  RunFiles opened_files() {
    const MessageCapture capture([this](std::string_view message) { log_.warning(std::string(message)); });
    return RunFiles(config_.output);
  }

  InputFiles files_read() const {
    std::vector<std::string> slides;
    for (const ImageResult& s : run_.state.inputs) slides.push_back(s.path);
    InputFiles read;
    add_config(read, config_, &slides);
    add_graph(read, detector_.model().graph);
    for (const std::string& file : options_.read_also) read.add(file, "the config");
    return read;
  }

  // `caught`: the signal that asks to stop, or 0.
  DetectReport detect_slides(RunWriter& writer, const std::function<int()>& caught) {
    std::vector<std::string> paths;
    std::vector<int64_t> bytes;
    for (const size_t i : writer.todo()) {
      paths.push_back(run_.state.inputs[i].path);
      bytes.push_back(slide_stamp(paths.back()).bytes);
    }
    log_.start(bytes, writer.kept(), writer.not_kept());
    DetectHooks hooks;
    hooks.masks = options_.mask_image;
    hooks.started = [&](size_t i, int tiles) {
      log_.started(i, tiles);
      if (options_.also.started) options_.also.started(i, tiles);
    };
    hooks.tile = [&](size_t i) {
      log_.tile();
      if (options_.also.tile) options_.also.tile(i);
    };
    hooks.stop = [&] { return writer.stopped() || caught() != 0 || (options_.also.stop && options_.also.stop()); };
    hooks.done = [&](DetectedImage& r) {
      ImageResult& s = run_.state.inputs[writer.todo()[static_cast<size_t>(r.index)]];
      writer.finish(s, r);
      if (s.state != ImageState::waiting) log_.slide(s);
    };
    DetectReport report = detect(detector_, paths, config_.detect, hooks);
    if (writer.stopped()) report_stopped(writer.why_stopped());
    return report;
  }

  void report_nothing_analysed() {
    const RunState& s = run_.state;
    if (!nothing_to_look_at(s) || s.count(ImageState::failed) + s.count(ImageState::waiting) > 0) return;
    const auto without = std::count_if(s.inputs.begin(), s.inputs.end(), has_no_region);
    log_.error("nothing was looked at: " + config_.detect.roi + " has a region of interest for none of " +
               std::to_string(without) + (without == 1 ? " slide" : " slides") +
               "; see docs/slides.md for the names of files of regions");
  }

  void report_stopped(const Error& e) {
    const bool full = e.cause() == Cause::disk_full;
    log_.error(Error(e.where(), e.problem() + "; the batch stops with " + done_text(),
                     std::string(full ? "free some space" : "mend that") + ", then go on with --resume")
                   .what());
  }
  std::string done_text() const {
    return std::to_string(run_.state.count(ImageState::done)) + " of " + std::to_string(run_.state.inputs.size()) +
           " slides done";
  }

  // What is done stays done, whatever becomes of the list of all.
  void assemble(RunWriter& writer) {
    try {
      writer.assemble();
    } catch (const Error& e) {
      run_.incomplete = true;
      if (!writer.stopped()) log_.error(e.what());
    }
  }

  void end(RunWriter& writer) {
    try {
      writer.end();
    } catch (const Error& e) {
      run_.incomplete = true;
      if (!writer.stopped()) log_.error(e.what());
    }
    if (run_.signal) log_.warning("stopped with " + done_text() + "; --resume goes on");
  }

  void describe_settings() {
    RunState& s = run_.state;
    s.version = CYTODET_VERSION;
    s.isa = name_of(isa());
    s.settings = write_settings(config_);
    ModelFile m = detector_.model();
    s.model.file = config_.model;
    s.model.graph = m.graph;
    s.model.graph_hash = Hash().add(read_file(m.graph)).text();
    s.model.classes = m.classes;
    for (int c = 0; c < m.class_count(); ++c) s.model.category_ids.push_back(m.category_id(c));
    s.model.suppression = write_settings(m.suppression);
    s.counting = counting_scores(m, config_.operating_score, s.model.graph_hash);
    m.graph.clear();
    m.operating_scores.reset();  // decides on no detection
    s.model.hash = Hash().add(write_settings(m).dump()).text();
    DetectSettings d = config_.detect;
    d.streams = 0;
    d.threads_per_stream = 1;
    d.roi.clear();
    d.roi_class.clear();
    d.roi_ignore.clear();
    base_hash_ = Hash().add(s.version).add(s.model.hash).add(s.model.graph_hash).add(write_settings(d).dump()).text();
  }

  // The ground truth's where it knows the file; others get ids above all of the ground truth's. They are made of the whole list,
  // so that shards have those of one run.
  std::vector<int64_t> image_ids_of(const std::vector<std::string>& files) {
    std::vector<int64_t> ids;
    if (config_.truth.empty()) {
      for (size_t i = 0; i < files.size(); ++i) ids.push_back(static_cast<int64_t>(i) + 1);
      return ids;
    }
    const GroundTruth truth = read_ground_truth(config_.truth);
    const PathAssignment images = truth.images_of(files);
    for (const std::string& w : images.warnings) log_.warning(config_.truth + ": " + w);
    if (std::any_of(truth.images.begin(), truth.images.end(), [](const GroundTruthImage& i) { return !i.key.empty(); }))
      log_.warning(config_.truth + ": its image ids are texts; detections.json has numbers for them, which run.json lists");
    int64_t next = truth.free_id();
    size_t strangers = 0;
    std::string example;
    for (size_t i = 0; i < files.size(); ++i) {
      const int known = images.name_of[i];
      ids.push_back(known >= 0 ? truth.images[static_cast<size_t>(known)].id : next++);
      if (known < 0 && !strangers++) example = files[i] + ", image_id " + std::to_string(ids[i]);
    }
    if (strangers)
      log_.warning(config_.truth + ": lacks " + std::to_string(strangers) +
                   (strangers == 1 ? " image, which gets an id" : " images, which get ids") + " above its own: " + example +
                   (strangers > 1 ? ", ..." : ""));
    return ids;
  }

  void list_slides() {
    RunState& s = run_.state;
    const InputList inputs = list_images(config_.inputs);
    const std::vector<std::string>& files = inputs.files;
    const std::vector<int64_t> image_ids = image_ids_of(files);
    if (roi_)
      for (const std::string& w : roi_->check(files)) log_.warning(w);
    ResultNames names;
    Hash list, regions;
    for (size_t i = 0; i < files.size(); ++i) {
      ImageResult one;
      one.index = static_cast<int64_t>(i);
      one.path = files[i];
      one.name = names.name_for(files[i]);
      one.image_id = image_ids[i];
      list.add(one.name);
      std::string hash = base_hash_;
      if (roi_) {
        const std::string own = hash_of_regions(one.path);
        regions.add(own);
        hash = Hash().add(base_hash_).add(own).text();
      }
      if (!in_shard(i)) continue;
      s.inputs.push_back(std::move(one));
      hashes_.push_back(std::move(hash));
    }
    list_companions(inputs);
    s.shard = {options_.shard, options_.shards, list.text()};
    s.settings_hash = roi_ ? Hash().add(base_hash_).add(regions.text()).text() : base_hash_;
    if (s.inputs.empty())
      throw UsageError("--shard", "leaves no slide: the list has " + std::to_string(files.size()), "use fewer shards");
  }

  // A bad file of regions is its slide's failure, when that is opened.
  std::string hash_of_regions(const std::string& slide) {
    try {
      const std::optional<Roi> roi = roi_->of(slide);
      if (!roi) return "none";
      if (!roi->note.empty() && notes_.insert(roi->note).second) log_.warning(roi->note);
      return roi->hash();
    } catch (const Error&) {
      return "bad";
    }
  }

  bool in_shard(size_t index) const {
    return static_cast<int>(index % static_cast<size_t>(options_.shards)) == options_.shard - 1;
  }

  // After the slides, so that neither names nor image ids nor shards of slides depend on what lies beside them.
  void list_companions(const InputList& inputs) {
    std::set<std::string> names;
    for (const ImageResult& s : run_.state.inputs) names.insert(s.name);
    for (size_t i = 0; i < inputs.companions.size(); ++i) {
      ImageResult one;
      one.index = static_cast<int64_t>(inputs.files.size() + i);
      if (!in_shard(static_cast<size_t>(one.index))) continue;
      one.path = inputs.companions[i];
      one.name = std::filesystem::path(one.path).filename().string();
      while (!names.insert(one.name).second) one.name += "_";
      one.skip(kCompanion);
      run_.state.inputs.push_back(std::move(one));
      hashes_.emplace_back();
    }
  }

  Detector& detector_;
  const RunConfig& config_;
  const FolderOptions& options_;
  RunLog log_;
  std::optional<RoiSource> roi_;
  std::set<std::string> notes_;  // of files of regions; each is reported once
  FolderRun run_;
  std::string base_hash_;
  std::vector<std::string> hashes_;  // per slide of the shard
};

}  // namespace

FolderRun detect_to_folder(Detector& detector, const RunConfig& config, const FolderOptions& options) {
  return FolderBatch(detector, config, options).run();
}

bool nothing_to_look_at(const RunState& s) {
  return s.count(ImageState::done) == 0 && std::any_of(s.inputs.begin(), s.inputs.end(), has_no_region);
}

bool is_automatic(const std::string& shard) { return shard == "auto" || shard.starts_with("auto/"); }

std::string shard_folder(const FolderOptions& o) {
  const std::string count = std::to_string(o.shards), index = std::to_string(o.shard);
  return "shard-" + std::string(count.size() - index.size(), '0') + index + "-of-" + count;
}

void parse_shard(const std::string& text, FolderOptions& o) {
  const auto number = [end = text.data() + text.size()](const char*& at, int& value) {
    const auto [stopped, error] = std::from_chars(at, end, value);
    at = stopped;
    return error == std::errc();
  };
  const char *at = text.data(), *end = at + text.size();
  int index = 0, count = 0;
  if (is_automatic(text)) {
    at += 4;
    if (at != end && (!number(++at, count) || at != end || count < 1))
      throw UsageError("--shard", "must be auto or auto/N with N the number of tasks, not \"" + text + "\"");
    const SchedulerShard found = shard_of_scheduler(environment(), count ? std::optional<int>(count) : std::nullopt);
    o.shard = found.index;
    o.shards = found.count;
    return;
  }
  const bool good =
      number(at, index) && at != end && *at == '/' && number(++at, count) && at == end && index >= 1 && index <= count;
  if (!good) throw UsageError("--shard", "must be i/n with i from 1 to n, or auto, not \"" + text + "\"");
  o.shard = index;
  o.shards = count;
}

int exit_of(const FolderRun& run) {
  const int code = exit_of(run.state);
  return run.incomplete && code == static_cast<int>(Exit::ok) ? static_cast<int>(Exit::partial) : code;
}

int exit_of(const RunState& s) {
  if (s.count(ImageState::failed) + s.count(ImageState::waiting) == 0)
    return static_cast<int>(nothing_to_look_at(s) ? Exit::failed : Exit::ok);
  return static_cast<int>(s.count(ImageState::done) ? Exit::partial : Exit::failed);
}

}  // namespace cytodet::pipeline
