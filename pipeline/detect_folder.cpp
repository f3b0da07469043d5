#include "pipeline/detect_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "core/cpu.h"
#include "core/file.h"
#include "core/hash.h"
#include "eval/results.h"
#include "eval/truth.h"
#include "pipeline/outputs/saved_results.h"
#include "pipeline/timing_report.h"
#include "tiling/image_io.h"
#include "tiling/overlay.h"
#include "tiling/roi.h"
#include "tiling/tile_reading.h"

namespace cytodet {
namespace {

namespace fs = std::filesystem;

// One process at a time writes into a folder; the lock goes with the process, however it ends.
class FolderLock {
 public:
  explicit FolderLock(const fs::path& folder) : fd_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (fd_ >= 0 && ::flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      ::close(fd_);
      throw Error(folder.string(), "another cytodet is writing into this folder", "wait for it, or name another folder");
    }
  }
  ~FolderLock() {
    if (fd_ >= 0) ::close(fd_);
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int fd_;
};

// What a killed process left: NAME.part-PID-N, see AtomicFile.
void remove_partial_files(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> partial;
  for (const auto& e : fs::directory_iterator(folder, error)) {
    const std::string name = e.path().filename().string();
    const size_t at = name.rfind(".part-");
    if (at == std::string::npos || name.find_first_not_of("0123456789-", at + 6) != std::string::npos) continue;
    partial.push_back(e.path());
  }
  for (const fs::path& p : partial) fs::remove(p, error);
}

// The stem, made such that no file of a slide is another slide's: beside "a", "a.coco" becomes "a.coco_2".
std::string result_name(const std::string& path, std::set<std::string>& taken) {
  static const std::set<std::string> kOurs{"",       "run",     "detections", "scores", "comparison",
                                           "report", "summary", "boxes",      "masks"};
  std::string stem = fs::path(path).stem().string(), name = stem;
  if (kOurs.contains(name)) name += "_picture";
  std::vector<std::string> suffixes{".png", ".jpg"};
  for (const Output& o : outputs()) suffixes.emplace_back(o.suffix);
  const auto is_taken = [&](const std::string& suffix) { return taken.contains(name + suffix); };
  for (int i = 2; std::any_of(suffixes.begin(), suffixes.end(), is_taken); ++i) name = stem + "_" + std::to_string(i);
  for (const std::string& s : suffixes) taken.insert(name + s);
  return name;
}

struct FileIdentity {
  int64_t bytes = 0, time_ns = 0;
};
FileIdentity identity(const std::string& path) {
  std::error_code error;
  FileIdentity id;
  id.bytes = static_cast<int64_t>(fs::file_size(path, error));
  if (error) id.bytes = 0;
  const auto time = fs::last_write_time(path, error);
  if (!error) id.time_ns = static_cast<int64_t>(time.time_since_epoch().count());
  return id;
}

class FolderBatch {
 public:
  FolderBatch(Detector& detector, const RunConfig& config, const FolderOptions& options)
      : detector_(detector), config_(config), options_(options), folder_{config.output}, log_(options.log) {
    if (config.overlay_format != "png" && config.overlay_format != "jpg")
      throw UsageError("overlay_format", "must be png or jpg, not \"" + config.overlay_format + "\"");
    for (const std::string& name : std::set<std::string>(config.outputs.begin(), config.outputs.end()))
      outputs_.emplace_back(output_named(name).name);
    if (!config.detect.roi.empty()) roi_.emplace(config.detect.roi);
  }

  FolderRun run() {
    make_folder(folder_.path / "boxes");
    if (options_.mask_picture) make_folder(folder_.path / "masks");
    FolderLock lock(folder_.path);
    for (const fs::path& f : {folder_.path, folder_.path / "boxes", folder_.path / "masks"}) remove_partial_files(f);
    describe_settings();
    list_slides();
    keep_done();
    folder_.write(run_.state);
    std::vector<std::string> paths;
    std::vector<int64_t> bytes;
    for (size_t i : todo_) {
      paths.push_back(run_.state.inputs[i].path);
      bytes.push_back(identity(paths.back()).bytes);
    }
    log_.start(bytes, static_cast<int>(run_.state.inputs.size() - todo_.size()));
    DetectHooks hooks;
    hooks.masks = options_.mask_picture;
    hooks.started = [&](size_t i, int tiles) { log_.started(i, tiles); };
    hooks.tile = [&](size_t) { log_.tile(); };
    hooks.done = [&](PictureResult& r) { finish(run_.state.inputs[todo_[r.index]], r); };
    run_.report = detect(detector_, paths, config_.detect, hooks);
    assemble_detections(folder_, run_.state);
    run_.state.timing = timing_json(run_.report);
    folder_.write(run_.state);
    log_.end(run_.state);
    return std::move(run_);
  }

 private:
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
    m.graph.clear();
    s.model.hash = Hash().add(write_settings(m).dump()).text();
    DetectSettings d = config_.detect;
    d.streams = 0;
    d.threads_per_stream = 1;
    d.roi.clear();
    base_hash_ = Hash().add(s.version).add(s.model.hash).add(s.model.graph_hash).add(write_settings(d).dump()).text();
    pictures_ = config_.overlay ? "overlay " + config_.overlay_format + " " + Json(config_.overlay_score).dump() : "";
    if (options_.mask_picture) pictures_ += pictures_.empty() ? "mask" : ", mask";
    for (const std::string& name : outputs_) pictures_ += (pictures_.empty() ? "" : ", ") + name;
  }

  void list_slides() {
    RunState& s = run_.state;
    const std::vector<std::string> files = expand_inputs(config_.inputs);
    const std::set<std::string> named(config_.inputs.begin(), config_.inputs.end());
    Truth truth;
    if (!config_.truth.empty()) truth = read_truth(config_.truth);
    std::set<std::string> taken;
    Hash list, regions;
    for (size_t i = 0; i < files.size(); ++i) {
      SlideState one;
      one.index = static_cast<int64_t>(i);
      one.path = files[i];
      one.name = result_name(files[i], taken);
      const int known = truth.image_named(fs::path(files[i]).filename().string());
      one.image_id = known >= 0 ? truth.images[static_cast<size_t>(known)].id : one.index + 1;
      list.add(one.name);
      std::string hash = base_hash_;
      if (roi_) {
        const std::optional<Roi> roi = roi_->of(one.path);
        const std::string own = roi ? roi->hash() : "none";
        regions.add(own);
        hash = Hash().add(base_hash_).add(own).text();
      }
      if (static_cast<int>(i % static_cast<size_t>(options_.shards)) != options_.shard - 1) continue;
      if (!named.contains(one.path)) skip_text(one);
      s.inputs.push_back(std::move(one));
      hashes_.push_back(std::move(hash));
    }
    s.shard = {options_.shard, options_.shards, list.text()};
    s.settings_hash = roi_ ? Hash().add(base_hash_).add(regions.text()).text() : base_hash_;
    if (s.inputs.empty())
      throw UsageError("--shard", "leaves no slide: the list has " + std::to_string(files.size()), "use fewer shards");
  }

  static void skip_text(SlideState& s) {
    if (!is_text(s.path)) return;
    try {
      open_slide(s.path);
    } catch (const Error& e) {
      s.state = "skipped";
      s.reason = "no slide, by name and content: " + e.problem();
    }
  }

  RunState read_before() const {
    std::error_code ignored;
    if (!fs::exists(folder_.run_json(), ignored)) return {};
    try {
      return folder_.read();
    } catch (const Error&) {
      if (options_.resume) throw;
      return {};  // it is written anew
    }
  }

  // What an earlier start left of slides that this list lacks is not removed, and may be of other settings.
  void tell_others(const RunState& before) {
    std::error_code ignored;
    std::set<std::string> mine;
    for (const SlideState& s : run_.state.inputs) mine.insert(s.name);
    std::string names;
    int count = 0;
    for (const SlideState& s : before.inputs)
      if (!mine.contains(s.name) && fs::exists(folder_.boxes(s), ignored) && ++count <= 3)
        names += (count > 1 ? ", " : "") + s.name;
    if (count)
      log_.warning(folder_.path.string() + ": still holds the files of " + std::to_string(count) +
                   (count == 1 ? " slide" : " slides") + " of an earlier start that this one was not given: " + names +
                   (count > 3 ? ", ..." : ""));
  }

  // Slides that an earlier start finished stay; of the others, what it left is removed.
  void keep_done() {
    std::error_code ignored;
    const RunState before = read_before();
    tell_others(before);
    std::map<std::string, const SlideState*> by_name;
    for (const SlideState& s : before.inputs) by_name[s.name] = &s;
    for (size_t i = 0; i < run_.state.inputs.size(); ++i) {
      SlideState& s = run_.state.inputs[i];
      if (s.state == "skipped") continue;
      if (options_.resume && kept(s, hashes_[i])) {
        if (auto old = by_name.find(s.name); old != by_name.end() && old->second->state == "done")
          s.seconds = old->second->seconds;
        continue;
      }
      if (fs::remove(folder_.boxes(s), ignored)) {
        for (const char* suffix : {".png", ".jpg"}) fs::remove(folder_.output(s, suffix), ignored);
        for (const Output& o : outputs()) fs::remove(folder_.output(s, o.suffix), ignored);
        fs::remove(folder_.mask(s), ignored);
      }
      todo_.push_back(i);
    }
  }

  bool kept(SlideState& s, const std::string& hash) const {
    std::error_code ignored;
    if (!fs::exists(folder_.boxes(s), ignored) || !fs::exists(folder_.competition(s), ignored)) return false;
    for (const std::string& name : outputs_)
      if (!fs::exists(folder_.output(s, output_named(name).suffix), ignored)) return false;
    try {
      const BoxesReader reader(folder_.boxes(s));
      const BoxesHeader& h = reader.header();
      const FileIdentity now = identity(s.path);
      if (h.settings_hash != hash || h.slide.path != s.path || h.slide.name != s.name || h.slide_bytes != now.bytes ||
          h.slide_time_ns != now.time_ns || (!pictures_.empty() && h.pictures != pictures_))
        return false;
      SlideState done = h.slide;
      done.index = s.index;
      done.image_id = s.image_id;
      s = std::move(done);
      return true;
    } catch (const Error&) {
      return false;  // not ours, or of another version: made anew
    }
  }

  void finish(SlideState& s, PictureResult& r) {
    Stopwatch watch;
    describe(s, r);
    if (s.state == "done") try {
        write_results(s, r);
      } catch (const Error& e) {
        s.state = "failed";
        s.reason = r.problem = r.path + ": " + e.what();
        s.detections = 0;
      }
    r.times.write_ms = watch.ms();
    s.seconds.write = r.times.write_ms / 1000;
    r.detections = {};
    log_.slide(s);
    save();
  }

  static void describe(SlideState& s, const PictureResult& r) {
    s.state = r.done() ? "done" : r.problem.empty() ? "skipped" : "failed";
    s.reason = r.problem.empty() ? r.skipped : r.problem;
    s.tiled = r.slide;
    s.width = r.width;
    s.height = r.height;
    s.mpp = r.mpp;
    s.mpp_source = r.mpp_source;
    s.selection = r.selection;
    s.warnings = r.warnings;
    s.tiles = r.tiles;
    s.background_tiles = r.background_tiles;
    s.outside_tiles = r.outside_tiles;
    s.bad_tiles = r.bad_tiles;
    s.fallback_tiles = r.fallback_tiles;
    s.coarser_tiles = r.coarser_tiles;
    s.damage = r.damage;
    s.detections = static_cast<int64_t>(r.detections.size());
    s.seconds = {r.times.open_ms / 1000,
                 r.times.read_ms / 1000,
                 r.times.resize_ms / 1000,
                 r.times.network_ms / 1000,
                 r.times.decode_ms / 1000,
                 r.times.merge_ms / 1000,
                 0};
  }

  void write_results(const SlideState& s, const PictureResult& r) {
    write_competition_results(r.detections, folder_.competition(s));
    if (config_.overlay)
      write_image(draw_overlay(*with_damage_filled(open_slide(r.path, config_.detect.selection)), r.detections,
                               detector_.model().classes, {config_.overlay_score, 2048}),
                  folder_.overlay(s, config_.overlay_format));
    if (!outputs_.empty()) {
      Classes classes;
      for (size_t c = 0; c < run_.state.model.classes.size(); ++c)
        classes.add(run_.state.model.category_ids[c], run_.state.model.classes[c]);
      write_outputs(outputs_, output_picture_of(s, r.path, classes, config_.detect.selection), r.detections, {}, folder_.path,
                    s.name);
    }
    if (r.mask.width > 0) write_image(r.mask, folder_.mask(s));
    const FileIdentity id = identity(s.path);
    write_boxes(
        {BoxesHeader{}.format, hashes_[static_cast<size_t>(&s - run_.state.inputs.data())], id.bytes, id.time_ns, pictures_, s},
        r.detections, folder_.boxes(s));
  }

  // After every slide, unless writing a long list would take more than a twentieth of the time: .boxes files say what is done.
  void save() {
    if (since_save_.ms() < 20 * save_ms_) return;
    Stopwatch watch;
    try {
      folder_.write(run_.state);
    } catch (const Error& e) {
      log_.warning(e.what());
    }
    save_ms_ = watch.ms();
    since_save_.restart();
  }

  Detector& detector_;
  const RunConfig& config_;
  const FolderOptions& options_;
  RunFolder folder_;
  RunLog log_;
  std::optional<RoiSource> roi_;
  FolderRun run_;
  std::string base_hash_, pictures_;
  std::vector<std::string> outputs_;  // rows of outputs() that are wanted, each once
  std::vector<std::string> hashes_;   // per slide of the shard
  std::vector<size_t> todo_;
  Stopwatch since_save_;
  double save_ms_ = 0;
};

}  // namespace

FolderRun detect_to_folder(Detector& detector, const RunConfig& config, const FolderOptions& options) {
  return FolderBatch(detector, config, options).run();
}

void parse_shard(const std::string& text, FolderOptions& o) {
  const char* end = text.data() + text.size();
  int index = 0, count = 0;
  const auto first = std::from_chars(text.data(), end, index);
  bool good = first.ec == std::errc() && first.ptr != end && *first.ptr == '/';
  if (good) {
    const auto second = std::from_chars(first.ptr + 1, end, count);
    good = second.ec == std::errc() && second.ptr == end && index >= 1 && index <= count;
  }
  if (!good) throw UsageError("--shard", "must be i/n with i from 1 to n, not \"" + text + "\"");
  o.shard = index;
  o.shards = count;
}

int exit_of(const RunState& s) {
  if (s.count("failed") == 0) return static_cast<int>(Exit::ok);
  return static_cast<int>(s.count("done") ? Exit::partial : Exit::failed);
}

}  // namespace cytodet
