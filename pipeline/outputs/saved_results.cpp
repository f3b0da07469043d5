#include "pipeline/outputs/saved_results.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "eval/results.h"
#include "eval/truth.h"
#include "tiling/tile_reading.h"

namespace cytodet {
namespace {

bool is_file(const std::filesystem::path& p) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(p, ignored);
}
bool is_folder(const std::filesystem::path& p) {
  std::error_code ignored;
  return std::filesystem::is_directory(p, ignored);
}

// Runs of earlier versions tell none: they took what open_slide takes.
ImageSelection selection_of(const RunState& run, const std::string& where) {
  ImageSelection selection;
  if (!run.settings.is_object()) return selection;
  const auto detect = run.settings.find("detect");
  if (detect == run.settings.end() || !detect->is_object()) return selection;
  if (const auto found = detect->find("selection"); found != detect->end()) {
    read_settings(*found, selection, where + ": settings.detect.selection");
    check(selection);
  }
  return selection;
}

}  // namespace

SavedResults::SavedResults(const std::filesystem::path& path, ResultsHints hints) : path_(path), hints_(std::move(hints)) {
  if (path_.filename() == "run.json") path_ = path_.has_parent_path() ? path_.parent_path() : std::filesystem::path(".");
  if (is_folder(path_)) {
    run_ = RunFolder{path_}.read();
    for (size_t c = 0; c < run_->model.classes.size(); ++c) classes_.add(run_->model.category_ids[c], run_->model.classes[c]);
    pictures_ = run_->inputs;
    hints_.selection = selection_of(*run_, (path_ / "run.json").string());
    loaded_ = true;
  } else if (!is_file(path_)) {
    throw Error(path_.string(), "is neither a run folder nor a file of results", "check the path");
  }
  if (!hints_.truth.empty()) {
    const Truth truth = read_truth(hints_.truth);
    for (const TruthCategory& c : truth.categories) classes_.add(c.id, c.name);
    for (const TruthImage& i : truth.images) {
      SlideState s = state_of(i.id);
      s.path = i.file_name;
      if (const std::string stem = std::filesystem::path(i.file_name).stem().string(); !stem.empty()) s.name = stem;
      s.width = i.width;
      s.height = i.height;
      known_[i.id] = std::move(s);
    }
  }
  for (size_t c = 0; c < hints_.classes.size(); ++c) classes_.add(static_cast<int64_t>(c) + 1, hints_.classes[c]);
  if (run_) check_one_slide();
}

SlideState SavedResults::state_of(int64_t image_id) const {
  if (auto it = known_.find(image_id); it != known_.end()) return it->second;
  SlideState s;
  s.image_id = image_id;
  s.state = "done";
  s.name = "image_" + std::to_string(image_id);
  return s;
}

void SavedResults::load() {
  if (loaded_) return;
  loaded_ = true;
  for (const auto& [id, s] : known_) boxes_[id];
  Classes met;
  std::map<int64_t, int> unknown;  // by id: colours and columns do not depend on the order of the boxes
  read_coco_results(path_, [&](const CocoResult& r) {
    unknown[r.category_id] = met.index_of(r.category_id);
    boxes_[r.image_id].push_back({r.box, unknown[r.category_id], static_cast<float>(r.score)});
  });
  std::vector<int> final_index(met.all().size());
  for (const auto& [id, index] : unknown) final_index[static_cast<size_t>(index)] = classes_.index_of(id);
  for (auto& [id, boxes] : boxes_)
    for (Detection& d : boxes) d.category = final_index[static_cast<size_t>(d.category)];
  std::set<std::string> taken;
  for (const auto& [id, boxes] : boxes_) {
    SlideState s = state_of(id);
    if (!taken.insert(s.name).second) taken.insert(s.name += "_" + std::to_string(id));
    s.detections = static_cast<int64_t>(boxes.size());
    pictures_.push_back(std::move(s));
  }
  check_one_slide();
}

bool SavedResults::is_slide_of(const SlideState& s) const {
  return pictures_.size() <= 1 || hints_.image == s.image_id ||
         std::filesystem::path(s.path).filename() == std::filesystem::path(hints_.slides).filename();
}

void SavedResults::check_one_slide() const {
  if (hints_.slides.empty() || hints_.image || !is_file(hints_.slides)) return;
  if (std::none_of(pictures_.begin(), pictures_.end(), [&](const SlideState& s) { return is_slide_of(s); }))
    throw UsageError(hints_.slides,
                     "is one slide, and none of the " + std::to_string(pictures_.size()) + " pictures is called so",
                     "name the folder of their slides, and --truth for what pictures of a results file are called");
}

const std::vector<SlideState>& SavedResults::pictures() {
  load();
  return pictures_;
}

Detections SavedResults::detections(const SlideState& picture) {
  load();
  if (!run_) {
    auto it = boxes_.find(picture.image_id);
    return it == boxes_.end() ? Detections{} : it->second;
  }
  Detections all;
  if (picture.state != "done") return all;
  BoxesReader reader(RunFolder{path_}.boxes(picture));
  for (Detection d; reader.next(d);) all.push_back(d);
  return all;
}

void SavedResults::stream(const std::function<void(const SlideState&, const Detection&)>& each) {
  if (run_) {
    for_each_done(RunFolder{path_}, *run_, [&](const SlideState& s, BoxesReader& reader) {
      for (Detection d; reader.next(d);) each(s, d);
    });
    return;
  }
  SlideState s;
  bool any = false;
  read_coco_results(path_, [&](const CocoResult& r) {
    if (!any || s.image_id != r.image_id) s = state_of(r.image_id);
    any = true;
    each(s, {r.box, classes_.index_of(r.category_id), static_cast<float>(r.score)});
  });
}

std::filesystem::path SavedResults::slide_file(const SlideState& picture) const {
  const bool one_slide = !hints_.slides.empty() && is_file(hints_.slides);
  if (one_slide && is_slide_of(picture)) return hints_.slides;
  if (picture.path.empty()) return {};
  const std::filesystem::path given = picture.path;
  std::vector<std::filesystem::path> places;
  if (!hints_.slides.empty() && !one_slide)
    places = {std::filesystem::path(hints_.slides) / given, std::filesystem::path(hints_.slides) / given.filename()};
  places.push_back(given);
  if (run_) places.push_back(path_ / given.filename());
  if (!hints_.truth.empty()) places.push_back(std::filesystem::path(hints_.truth).parent_path() / given);
  for (const auto& p : places)
    if (is_file(p)) return p;
  return {};
}

OutputPicture SavedResults::output_picture(const SlideState& s, bool pixels) const {
  return output_picture_of(s, pixels ? slide_file(s) : std::filesystem::path{}, classes_, selection());
}

OutputPicture SavedResults::measured_picture(const SlideState& s) const {
  OutputPicture picture = output_picture(s, false);
  const bool sized = s.width > 0 && s.height > 0;
  if (sized ? run_ || s.mpp : run_ && s.state != "done") return picture;
  const std::filesystem::path file = slide_file(s);
  if (file.empty()) return picture;
  const std::shared_ptr<Slide> slide = sized ? open_measured_slide(file, selection()) : open_slide(file, selection());
  if (!slide) return picture;
  picture = picture_of(s.name, s.image_id, slide, classes_);
  picture.slide.reset();
  return picture;
}

OutputPicture output_picture_of(const SlideState& s, const std::filesystem::path& file, const Classes& classes,
                                const ImageSelection& selection) {
  if (file.empty()) return {s.name, s.image_id, s.width, s.height, s.mpp, s.mpp, nullptr, &classes};
  std::unique_ptr<Slide> slide = with_damage_filled(open_slide(file, selection));
  if (!slide->mpp_x) slide->mpp_x = slide->mpp_y = s.mpp;
  return picture_of(s.name, s.image_id, std::move(slide), classes);
}

}  // namespace cytodet
