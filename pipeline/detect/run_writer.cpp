#include "pipeline/detect/run_writer.h"

#include <algorithm>
#include <unordered_set>

#include "core/error.h"
#include "core/file.h"
#include "eval/results.h"
#include "pipeline/detect/resume.h"
#include "pipeline/inputs/slide_files.h"
#include "pipeline/results/saved_results.h"
#include "tiling/draw/overlay.h"
#include "tiling/slides/image_io.h"
#include "tiling/tiles/tile_reading.h"

namespace cytodet::pipeline {
namespace {

namespace fs = std::filesystem;

constexpr int kOverlaySide = 2048;  // pixels

void describe(SlideState& s, const PictureResult& r) {
  s.state = r.done() ? "done" : r.problem.empty() ? "skipped" : "failed";
  s.reason = r.problem.empty() ? r.skipped : r.problem;
  s.tiled = r.slide;
  s.width = r.width;
  s.height = r.height;
  s.mpp = r.mpp;
  s.mpp_y = r.mpp_y;
  s.mpp_source = r.mpp_source;
  s.mpp_warning = r.mpp_warning;
  if (r.bounds) s.bounds = {r.bounds->x, r.bounds->y, r.bounds->width, r.bounds->height};
  s.analysed_px = r.analysed_px;
  s.run_px = r.run_px;
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

}  // namespace

std::vector<std::string> remove_files_of(RunFiles& files, const std::vector<const SlideState*>& slides, const ReadFiles& read) {
  std::vector<std::string> left;
  if (files.listed().empty()) return left;
  for (const SlideState* s : slides)
    for (const std::string& name : all_files_of(s->name)) {
      if (!files.listed().contains(name) || files.whose(name) == RunFiles::Whose::nobody) continue;
      if (read.find(files.folder() / name) || !files.remove(name)) left.push_back(name);
    }
  return left;
}

std::vector<OwnFile> files_of_no_slide(const RunFiles& files, const RunState& state) {
  std::unordered_set<std::string> claimed;
  if (!files.listed().empty())
    for (const SlideState& s : state.inputs)
      if (s.state != "skipped")  // what an earlier start made of it stays, and is still ours
        for (std::string& name : all_files_of(s.name)) claimed.insert(std::move(name));
  std::vector<OwnFile> free;
  std::error_code ignored;
  for (const auto& [name, file] : files.listed())
    if (name != RunFolder::kRunJson && !claimed.contains(name) && fs::exists(files.folder() / name, ignored))
      free.push_back(file);
  return free;
}

RunWriter::RunWriter(RunFiles& files, RunState& state, const std::vector<std::string>& hashes, WriterSettings settings)
    : files_(files), state_(state), hashes_(hashes), settings_(std::move(settings)) {}

std::vector<const SlideState*> RunWriter::slides_to_do() const {
  std::vector<const SlideState*> slides;
  for (const size_t i : todo_) slides.push_back(&state_.inputs[i]);
  return slides;
}

void RunWriter::begin(const ReadFiles& read) {
  if (files_.unlisted_before() && (settings_.overwrite || settings_.resume)) list_by_content(files_);
  choose_slides();
  const std::vector<const SlideState*> slides = slides_to_do();
  check_plan(files_, settings_.layout, slides, read);
  if (!slides.empty()) files_.try_name(longest_name(settings_.layout, slides));
  warn_of_others();
  remove_old(read);
  take_over_lists();
  files_.begin(state_);
}

void RunWriter::choose_slides() {
  std::map<std::string, const SlideState*> before;
  if (files_.before())
    for (const SlideState& s : files_.before()->inputs) before[s.name] = &s;
  const RunFolder folder{files_.folder()};
  for (size_t i = 0; i < state_.inputs.size(); ++i) {
    SlideState& s = state_.inputs[i];
    if (s.state == "skipped") continue;
    const auto old = before.find(s.name);
    std::string why;
    if (settings_.resume && keep_slide(folder, settings_.layout, {hashes_[i], settings_.pictures}, s, why)) {
      if (old != before.end() && old->second->state == "done") s.seconds = old->second->seconds;
      ++kept_;
      continue;
    }
    if (settings_.resume) ++not_kept_[why == "unfinished" && old == before.end() ? "new" : why];
    todo_.push_back(i);
  }
}

// What an earlier start left of slides that this list lacks is not removed, and may be of other settings.
void RunWriter::warn_of_others() {
  if (!files_.before()) return;
  std::error_code ignored;
  std::unordered_set<std::string> mine;
  for (const SlideState& s : state_.inputs) mine.insert(s.name);
  std::string names;
  int count = 0;
  for (const SlideState& s : files_.before()->inputs)
    if (!mine.contains(s.name) && fs::exists(RunFolder{files_.folder()}.boxes(s), ignored) && ++count <= 3)
      names += (count > 1 ? ", " : "") + s.name;
  if (count && settings_.warn)
    settings_.warn(files_.folder().string() + ": still holds the files of " + std::to_string(count) +
                   (count == 1 ? " slide" : " slides") + " of an earlier start that this one was not given: " + names +
                   (count > 3 ? ", ..." : ""));
}

void RunWriter::remove_old(const ReadFiles& read) {
  for (const std::string& name : remove_files_of(files_, slides_to_do(), read))
    if (settings_.warn)
      settings_.warn((files_.folder() / name).string() +
                     ": is left as it is: it was changed since the run wrote it, or is read by this one");
}

void RunWriter::take_over_lists() {
  for (SlideState& s : state_.inputs) {
    if (s.state != "done" || files_.listed().empty()) continue;
    for (const std::string& name : settings_.layout.files_of(s.name))
      if (const auto [first, last] = files_.listed().equal_range(name); first != last) s.files.push_back(std::prev(last)->second);
    for (const std::string& name : all_files_of(s.name)) {
      const auto [first, last] = files_.listed().equal_range(name);
      const auto is_name = [&](const OwnFile& f) { return f.name == name; };
      if (first != last && std::none_of(s.files.begin(), s.files.end(), is_name)) s.files.push_back(std::prev(last)->second);
    }
  }
  state_.files = files_of_no_slide(files_, state_);
}

void RunWriter::finish(SlideState& s, PictureResult& r) {
  if (stopped_) return;
  Stopwatch watch;
  describe(s, r);
  if (s.state == "done") try {
      write(s, r);
    } catch (const Error& e) {
      files_.discard_staged();
      s.detections = 0;
      s.state = "failed";
      s.reason = r.problem = r.path + ": " + e.what();
      if (e.cause() == Cause::disk_full)
        stop(e);
      else
        try {
          files_.try_name(RunFolder::kRunJson);
        } catch (const Error& folder) {
          stop(folder);
        }
    }
  if (stopped_) {
    s.state = "waiting";
    s.reason.clear();
  }
  r.times.write_ms = watch.ms();
  s.seconds.write = r.times.write_ms / 1000;
  r.detections = {};
  save();
}

void RunWriter::stop(const Error& why) {
  if (!stopped_) stopped_ = why;
  is_stopped_ = true;
}

void RunWriter::stage(const SlideState& s, const PictureResult& r) {
  const RunLayout& layout = settings_.layout;
  write_competition_results(r.detections, files_.staged(s.name + ".json"));
  if (!layout.overlay.empty())
    write_image(draw_overlay(*with_damage_filled(open_slide(r.path, settings_.selection)), r.detections, state_.model.classes,
                             {settings_.overlay_score, kOverlaySide}),
                files_.staged(s.name + "." + layout.overlay));
  if (!layout.outputs.empty()) {
    Classes classes;
    for (size_t c = 0; c < state_.model.classes.size(); ++c) classes.add(state_.model.category_ids[c], state_.model.classes[c]);
    OutputPicture picture = output_picture_of(s, r.path, classes, settings_.selection);
    picture.regions = settings_.regions;
    write_outputs(layout.outputs, picture, r.detections, settings_.output, files_.staged("x").parent_path(), s.name);
  }
  if (layout.mask && r.mask.width > 0) write_image(r.mask, files_.staged("masks/" + s.name + ".png"));
  const SlideIdentity id = slide_identity(s.path);
  BoxesHeader header;
  header.settings_hash = hashes_[static_cast<size_t>(&s - state_.inputs.data())];
  header.slide_bytes = id.bytes;
  header.slide_time_ns = id.time_ns;
  header.slide_hash = id.hash;
  header.pictures = settings_.pictures;
  header.slide = s;
  write_boxes(header, r.detections, files_.staged("boxes/" + s.name + ".boxes"));
}

void RunWriter::write(SlideState& s, const PictureResult& r) {
  files_.make([&] { stage(s, r); });
  std::vector<std::string> names = settings_.layout.files_of(s.name);
  if (r.mask.width == 0) std::erase(names, "masks/" + s.name + ".png");
  s.files = files_.place(names);
}

// After every slide, unless writing a long list would take more than a twentieth of the time: .boxes files say what is done.
void RunWriter::save() {
  if (!stopped_ && since_save_.ms() < 20 * save_ms_) return;
  Stopwatch watch;
  try {
    files_.write_state(state_);
  } catch (const Error& e) {
    if (e.cause() == Cause::disk_full)
      stop(e);
    else if (!stopped_ && settings_.warn)
      settings_.warn(e.what());
  }
  save_ms_ = watch.ms();
  since_save_.restart();
}

void RunWriter::assemble() {
  files_.make([&] { assemble_detections(RunFolder{files_.folder()}, state_, files_.staged(RunFolder::kDetections)); });
  const std::vector<OwnFile> placed = files_.place({RunFolder::kDetections});
  std::erase_if(state_.files, [](const OwnFile& f) { return f.name == RunFolder::kDetections; });
  state_.files.push_back(placed.at(0));
}

void RunWriter::end() { files_.end(state_); }

void add_run_file(const fs::path& folder, const std::string& name, std::string_view bytes) {
  RunFiles files(folder);
  if (!files.before()) throw Error(folder.string(), "is no run folder: it holds no run.json", "detect first");
  RunState state = *files.before();
  files.begin(state);
  files.make([&] { write_file(files.staged(name), bytes); });
  const std::vector<OwnFile> placed = files.place({name});
  std::erase_if(state.files, [&](const OwnFile& f) { return f.name == name; });
  state.files.push_back(placed.at(0));
  files.end(state);
}

}  // namespace cytodet::pipeline
