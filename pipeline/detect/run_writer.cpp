#include "pipeline/detect/run_writer.h"

#include <algorithm>
#include <set>
#include <unordered_set>

#include "core/error.h"
#include "core/file.h"
#include "core/settings.h"
#include "eval/results.h"
#include "pipeline/detect/resume.h"
#include "pipeline/inputs/slide_files.h"
#include "pipeline/results/formats/output.h"
#include "pipeline/results/saved_results.h"
#include "tiling/draw/overlay.h"
#include "tiling/slides/image_io.h"
#include "tiling/tiles/tile_reading.h"

namespace cytodet::pipeline {
namespace {

namespace fs = std::filesystem;

constexpr int kOverlaySide = 2048;  // pixels

// Which image it is stays as it is in the list of the run.
void take_result(ImageResult& s, const ImageResult& found) {
  ImageResult result = found;
  result.index = s.index;
  result.path = std::move(s.path);
  result.name = std::move(s.name);
  result.image_id = s.image_id;
  result.files = std::move(s.files);
  s = std::move(result);
}

// What is made of an image beside its boxes, in words: a slide is kept by --resume if they are the same.
std::string forms_of(const RunConfig& config, const FolderOptions& options, const RunLayout& layout, const RunState& state) {
  std::string forms;
  if (config.overlay)
    forms = std::string("overlay ") + name_of(config.overlay_format) +
            (config.overlay_score ? " " + Json(*config.overlay_score).dump() : "");
  if (options.mask_image) forms += forms.empty() ? "mask" : ", mask";
  for (const std::string& name : layout.outputs) forms += (forms.empty() ? "" : ", ") + name;
  if (config.density_area != DensityOf::regions && !layout.outputs.empty())
    forms += std::string(", density of ") + name_of(config.density_area);
  // How boxes are chosen, where a file depends on it.
  const bool counts = std::any_of(layout.outputs.begin(), layout.outputs.end(),
                                  [](const std::string& name) { return output_named(name).boxes == Boxes::counted; });
  if (state.counting && (counts || (config.overlay && !config.overlay_score)))
    forms += ", boxes " + text_of(*state.counting, state.model.classes);
  return forms;
}

}  // namespace

std::vector<std::string> remove_files_of(RunFiles& files, const std::vector<const ImageResult*>& slides, const InputFiles& read) {
  std::vector<std::string> left;
  if (files.listed().empty()) return left;
  for (const ImageResult* s : slides)
    for (const std::string& name : all_files_of(s->name)) {
      if (!files.listed().contains(name) || files.whose(name) == RunFiles::Whose::nobody) continue;
      if (read.find(files.folder() / name) || !files.remove(name)) left.push_back(name);
    }
  return left;
}

std::vector<OwnFile> files_of_no_slide(const RunFiles& files, const RunState& state) {
  std::unordered_set<std::string> claimed;
  if (!files.listed().empty())
    for (const ImageResult& s : state.inputs)
      if (!s.skipped())  // what an earlier start made of it stays, and is still ours
        for (std::string& name : all_files_of(s.name)) claimed.insert(std::move(name));
  std::vector<OwnFile> free;
  std::error_code ignored;
  for (const auto& [name, file] : files.listed())
    if (name != RunFolder::kRunJson && !claimed.contains(name) && fs::exists(files.folder() / name, ignored))
      free.push_back(file);
  return free;
}

RunLayout layout_of(const RunConfig& config, const FolderOptions& options) {
  RunLayout layout;
  for (const std::string& name : std::set<std::string>(config.outputs.begin(), config.outputs.end()))
    layout.outputs.emplace_back(output_named(name).name);
  if (config.overlay) layout.overlay = config.overlay_format;
  layout.mask = options.mask_image;
  layout.run_also = options.run_also;
  return layout;
}

RunWriter::RunWriter(RunFiles& files, RunState& state, const std::vector<std::string>& hashes, const RunConfig& config,
                     const FolderOptions& options, std::function<void(const std::string&)> warn)
    : files_(files),
      state_(state),
      hashes_(hashes),
      config_(config),
      options_(options),
      warn_(std::move(warn)),
      layout_(layout_of(config, options)),
      forms_(forms_of(config, options, layout_, state)) {}

std::vector<const ImageResult*> RunWriter::slides_to_do() const {
  std::vector<const ImageResult*> slides;
  for (const size_t i : todo_) slides.push_back(&state_.inputs[i]);
  return slides;
}

void RunWriter::begin(const InputFiles& read) {
  if (files_.unlisted_before() && (options_.overwrite || options_.resume)) list_by_content(files_);
  choose_slides();
  const std::vector<const ImageResult*> slides = slides_to_do();
  check_plan(files_, layout_, slides, read);
  if (!slides.empty()) files_.try_name(longest_name(layout_, slides));
  warn_of_others();
  remove_old(read);
  take_over_lists();
  files_.begin(state_);
}

void RunWriter::choose_slides() {
  std::map<std::string, const ImageResult*> before;
  if (files_.before())
    for (const ImageResult& s : files_.before()->inputs) before[s.name] = &s;
  const RunFolder folder{files_.folder()};
  for (size_t i = 0; i < state_.inputs.size(); ++i) {
    ImageResult& s = state_.inputs[i];
    if (s.skipped()) continue;
    const auto old = before.find(s.name);
    if (options_.resume) {
      std::optional<NotKept> reason = keep_slide(folder, layout_, {hashes_[i], forms_}, s);
      if (!reason) {
        if (old != before.end() && old->second->done()) s.times = old->second->times;
        count_kept(s);
        ++kept_;
        continue;
      }
      if (reason == NotKept::unfinished && old == before.end()) reason = NotKept::is_new;
      ++not_kept_[*reason];
    }
    todo_.push_back(i);
  }
}

// Boxes that count may be others than when the slide was done.
void RunWriter::count_kept(ImageResult& s) const {
  if (!s.done() || !state_.counting) return;
  Detections all;
  BoxesReader reader(RunFolder{files_.folder()}.boxes(s));
  for (Detection d; reader.next(d);) all.push_back(d);
  s.counted = counts_of_classes(all, *state_.counting, state_.model.classes.size());
}

// What an earlier start left of slides that this list lacks is not removed, and may be of other settings.
void RunWriter::warn_of_others() {
  if (!files_.before()) return;
  std::error_code ignored;
  std::unordered_set<std::string> mine;
  for (const ImageResult& s : state_.inputs) mine.insert(s.name);
  std::string names;
  int count = 0;
  for (const ImageResult& s : files_.before()->inputs)
    if (!mine.contains(s.name) && fs::exists(RunFolder{files_.folder()}.boxes(s), ignored) && ++count <= 3)
      names += (count > 1 ? ", " : "") + s.name;
  if (count && warn_)
    warn_(files_.folder().string() + ": still holds the files of " + std::to_string(count) + (count == 1 ? " slide" : " slides") +
          " of an earlier start that this one was not given: " + names + (count > 3 ? ", ..." : ""));
}

void RunWriter::remove_old(const InputFiles& read) {
  for (const std::string& name : remove_files_of(files_, slides_to_do(), read))
    if (warn_)
      warn_((files_.folder() / name).string() +
            ": is left as it is: it was changed since the run wrote it, or is read by this one");
}

void RunWriter::take_over_lists() {
  for (ImageResult& s : state_.inputs) {
    if (!s.done() || files_.listed().empty()) continue;
    for (const std::string& name : layout_.files_of(s.name))
      if (const auto [first, last] = files_.listed().equal_range(name); first != last) s.files.push_back(std::prev(last)->second);
    for (const std::string& name : all_files_of(s.name)) {
      const auto [first, last] = files_.listed().equal_range(name);
      const auto is_name = [&](const OwnFile& f) { return f.name == name; };
      if (first != last && std::none_of(s.files.begin(), s.files.end(), is_name)) s.files.push_back(std::prev(last)->second);
    }
  }
  state_.files = files_of_no_slide(files_, state_);
}

void RunWriter::finish(ImageResult& s, DetectedImage& r) {
  if (stopped_) return;
  Stopwatch watch;
  take_result(s, r);
  s.detection_count = static_cast<int64_t>(r.detections.size());
  if (s.done() && state_.counting) s.counted = counts_of_classes(r.detections, *state_.counting, state_.model.classes.size());
  s.times.write = 0;
  if (s.done()) try {
      write(s, r);
    } catch (const Error& e) {
      files_.discard_staged();
      s.detection_count = 0;
      s.counted.clear();
      r.fail(r.path + ": " + e.what());
      s.fail(r.reason);
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
    s.state = ImageState::waiting;
    s.reason.clear();
  }
  s.times.write = r.times.write = watch.ms() / 1000;
  r.detections = {};
  save();
}

void RunWriter::stop(const Error& why) {
  if (!stopped_) stopped_ = why;
  is_stopped_ = true;
}

void RunWriter::stage(const ImageResult& s, const DetectedImage& r) {
  write_box_list(r.detections, files_.staged(s.name + ".json"));
  if (layout_.overlay) {
    const Detections drawn = config_.overlay_score || !state_.counting ? r.detections : counted(r.detections, *state_.counting);
    write_image(draw_overlay(*with_damage_filled(open_slide(r.path, config_.detect.selection)), drawn, state_.model.classes,
                             {config_.overlay_score.value_or(0), kOverlaySide}),
                files_.staged(s.name + "." + name_of(*layout_.overlay)));
  }
  if (!layout_.outputs.empty()) stage_outputs(s, r);
  if (layout_.mask && r.mask.width > 0) write_image(r.mask, files_.staged("masks/" + s.name + ".png"));
  stage_boxes(s, r);
}

void RunWriter::stage_outputs(const ImageResult& s, const DetectedImage& r) {
  Classes classes;
  for (size_t c = 0; c < state_.model.classes.size(); ++c) classes.add(state_.model.category_ids[c], state_.model.classes[c]);
  OutputImage image = output_image_of(s, r.path, classes, config_.detect.selection);
  image.regions = !config_.detect.roi.empty();
  const OutputSettings settings{.origin = config_.detect.origin,
                                .density_area = config_.density_area,
                                .counting = state_.counting.value_or(CountingScores{})};
  fs::path folder;
  for (const std::string& form : layout_.outputs) folder = files_.staged(s.name + output_named(form).suffix).parent_path();
  write_outputs(layout_.outputs, image, r.detections, settings, folder, s.name);
}

void RunWriter::stage_boxes(const ImageResult& s, const DetectedImage& r) {
  const SlideIdentity id = slide_identity(s.path);
  BoxesHeader header;
  header.settings_hash = hashes_[static_cast<size_t>(&s - state_.inputs.data())];
  header.slide_bytes = id.bytes;
  header.slide_time_ns = id.time_ns;
  header.slide_hash = id.hash;
  header.image_options = forms_;
  header.slide = s;
  header.slide.counted.clear();
  write_boxes(header, r.detections, files_.staged("boxes/" + s.name + ".boxes"));
}

void RunWriter::write(ImageResult& s, const DetectedImage& r) {
  files_.make([&] { stage(s, r); });
  std::vector<std::string> names = layout_.files_of(s.name);
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
    else if (!stopped_ && warn_)
      warn_(e.what());
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
