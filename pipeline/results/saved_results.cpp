#include "pipeline/results/saved_results.h"

#include <algorithm>
#include <cstdio>
#include <set>

#include "core/error.h"
#include "core/messages.h"
#include "core/settings.h"
#include "eval/ground_truth.h"
#include "eval/results.h"
#include "tiling/tiles/slide_geometry.h"
#include "tiling/tiles/tile_reading.h"

namespace cytodet::pipeline {
namespace {

constexpr int64_t kLargestNumbered = int64_t{1} << 62;  // ids above are never met by numbers that are given to texts

bool is_file(const std::filesystem::path& p) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(p, ignored);
}
bool is_folder(const std::filesystem::path& p) {
  std::error_code ignored;
  return std::filesystem::is_directory(p, ignored);
}

// Runs of earlier versions report none: they took what open_slide takes.
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

// A text among the settings of a run, which may be of any form; empty: there is none.
std::string detect_setting(const Json& settings, const char* key) {
  if (!settings.is_object()) return "";
  const auto detect = settings.find("detect");
  if (detect == settings.end() || !detect->is_object()) return "";
  const auto value = detect->find(key);
  return value != detect->end() && value->is_string() ? value->get<std::string>() : "";
}

}  // namespace

SavedResults::SavedResults(const std::filesystem::path& path, ResultsHints hints) : path_(path), hints_(std::move(hints)) {
  if (path_.filename() == "run.json") path_ = path_.has_parent_path() ? path_.parent_path() : std::filesystem::path(".");
  if (is_folder(path_)) {
    run_ = RunFolder{path_}.read();
    for (size_t c = 0; c < run_->model.classes.size(); ++c) classes_.add(run_->model.category_ids[c], run_->model.classes[c]);
    results_ = run_->inputs;
    hints_.selection = selection_of(*run_, (path_ / "run.json").string());
    loaded_ = true;
  } else if (!is_file(path_)) {
    throw Error(path_.string(), "is neither a run folder nor a file of results", "check the path");
  }
  std::optional<GroundTruth> truth_read;
  if (!hints_.truth.empty()) {
    const GroundTruth& truth = truth_read.emplace(read_ground_truth(hints_.truth));
    for (const GroundTruthCategory& c : truth.categories) {
      classes_.add(c.id, c.name);
      category_ids_.try_emplace(c.name, c.id);
    }
    for (const GroundTruthCategory& c : truth.categories)
      if (!c.key.empty()) category_ids_[c.key] = c.id;
    for (const GroundTruthImage& i : truth.images) {
      ImageResult s = state_of(i.id);
      s.path = i.file_name;
      const std::string file(last_component(i.file_name)), stem = std::filesystem::path(file).stem().string();
      if (!stem.empty()) s.name = stem;
      s.width = i.width;
      s.height = i.height;
      known_[i.id] = std::move(s);
    }
  }
  for (size_t c = 0; c < hints_.classes.size(); ++c) {
    classes_.add(static_cast<int64_t>(c) + 1, hints_.classes[c]);
    category_ids_.try_emplace(hints_.classes[c], static_cast<int64_t>(c) + 1);
  }
  choose_counting();
  if (run_)
    check_one_slide();
  else
    read_ids(truth_read ? &*truth_read : nullptr);
}

// The scores from which boxes count: those of a results file by category ids, as its classes may be known only when it is read.
void SavedResults::choose_counting() {
  const auto by_id = [&](const CountingScores& s, const std::vector<int>& ids, const std::vector<std::string>& names) {
    counting_.source = s.source;
    for (size_t c = 0; c < ids.size(); ++c) {
      classes_.add(ids[c], names[c]);
      if (c < s.scores.size()) counting_by_id_[ids[c]] = s.scores[c];  // else all of them count
    }
  };
  std::optional<ModelFile> model;
  if (!hints_.score && !hints_.model.empty()) {
    model = read_model_file(hints_.model);
    if (run_ && model->classes != run_->model.classes)
      throw UsageError(hints_.model, "has other classes than the run's model", "name the model that the run was made with");
  }
  if (run_) {
    counting_ = hints_.score ? CountingScores{kChosenPoint, std::vector<double>(run_->model.classes.size(), *hints_.score)}
                : model      ? counting_scores(*model, {})
                             : counting_of(*run_);
  } else if (hints_.score) {
    counting_.source = kChosenPoint;
  } else if (model) {
    std::vector<int> ids;
    for (int c = 0; c < model->class_count(); ++c) ids.push_back(model->category_id(c));
    by_id(counting_scores(*model, {}), ids, model->classes);
  } else if (const std::optional<RunState> beside = run_beside(path_)) {
    by_id(counting_of(*beside), beside->model.category_ids, beside->model.classes);
  }
}

const CountingScores& SavedResults::counting() {
  if (run_ || counting_.source.empty()) return counting_;
  for (size_t c = counting_.scores.size(); c < classes_.all().size(); ++c) {
    const auto known = counting_by_id_.find(classes_.all()[c].id);
    counting_.scores.push_back(hints_.score ? *hints_.score : known == counting_by_id_.end() ? 0 : known->second);
  }
  return counting_;
}

// A file whose first element has numbers alone is not read twice, unless there is a ground truth to match.
void SavedResults::read_ids(const GroundTruth* truth) {
  struct Enough {};
  int64_t largest_category = 0;
  try {
    read_coco_results(path_, [&](const CocoResult& r) {
      const bool plain = r.has_image && r.image_key.empty() && r.file_name.empty() && r.category_key.empty();
      if (plain && !truth && all_numbers_) throw Enough{};
      all_numbers_ = false;
      images_.observe({r.image_id, r.image_key, r.file_name, r.has_image});
      if (r.category_id < kLargestNumbered) largest_category = std::max(largest_category, r.category_id);
    });
  } catch (const Enough&) {
  }
  if (all_numbers_) return;
  for (const Classes::Class& c : classes_.all()) largest_category = std::max(largest_category, c.id);
  next_category_ = largest_category + 1;
  name_images(truth);
}

void SavedResults::name_images(const GroundTruth* truth) {
  const std::vector<ImageRef>& refs = images_.refs();
  const bool one_unnamed = refs.size() == 1 && !refs[0].has_id && refs[0].file_name.empty();
  if (one_unnamed && hints_.image) {
    image_ids_ = {*hints_.image};
    return;
  }
  if (truth && !refs.empty()) {
    if (const PathsOfIds paths = paths_beside(path_); paths.empty())
      images_.settle(*truth, path_.string(), true);
    else
      images_.settle_run(*truth, path_.string(), paths, true);
    for (const std::string& w : images_.warnings) print_warning(path_.string() + ": " + w);
  }
  int64_t next = truth ? truth->free_id() : 1;
  for (const ImageRef& r : refs)
    if (r.number < kLargestNumbered) next = std::max(next, r.number + 1);
  for (size_t i = 0; i < refs.size(); ++i) {
    const ImageRef& r = refs[i];
    if (!r.has_id && r.file_name.empty() && !truth) refuse_no_image(path_.string(), images_.first_element(i));
    int64_t id = r.number;
    if (truth && images_.image(i) >= 0)
      id = truth->images[static_cast<size_t>(images_.image(i))].id;
    else if (!r.has_id || !r.key.empty() || known_.contains(r.number))
      id = next++;
    if (!truth || images_.image(i) < 0) add_named(id, r);
    image_ids_.push_back(id);
  }
}

void SavedResults::add_named(int64_t id, const ImageRef& r) {
  const std::string& name = r.file_name.empty() ? r.key : r.file_name;
  if (name.empty()) return;
  ImageResult s = state_of(id);
  s.path = r.file_name;
  s.name = without_image_extension(last_component(name));
  if (s.name.empty()) s.name = "image_" + std::to_string(id);
  known_[id] = std::move(s);
}

int64_t SavedResults::image_of(const CocoResult& r) {
  if (all_numbers_ && r.image_key.empty() && r.has_image) return r.image_id;
  const size_t ref = images_.observe({r.image_id, r.image_key, r.file_name, r.has_image});
  if (ref >= image_ids_.size())
    throw Error(path_.string(), "image_id is a text or null after others that are numbers", "write ids of one kind");
  return image_ids_[ref];
}

int64_t SavedResults::category_of(const CocoResult& r) {
  if (r.category_key.empty()) return r.category_id;
  const auto [it, fresh] = category_ids_.try_emplace(r.category_key, next_category_);
  if (fresh) classes_.add(next_category_++, r.category_key);
  return it->second;
}

ImageResult SavedResults::state_of(int64_t image_id) const {
  if (auto it = known_.find(image_id); it != known_.end()) return it->second;
  ImageResult s;
  s.image_id = image_id;
  s.state = ImageState::done;
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
    const int64_t category = category_of(r);
    unknown[category] = met.index_of(category);
    boxes_[image_of(r)].push_back({r.box, unknown[category], static_cast<float>(r.score)});
  });
  std::vector<int> final_index(met.all().size());
  for (const auto& [id, index] : unknown) final_index[static_cast<size_t>(index)] = classes_.index_of(id);
  for (auto& [id, boxes] : boxes_)
    for (Detection& d : boxes) d.category = final_index[static_cast<size_t>(d.category)];
  std::set<std::string> taken;
  for (const auto& [id, boxes] : boxes_) {
    ImageResult s = state_of(id);
    if (!taken.insert(s.name).second) taken.insert(s.name += "_" + std::to_string(id));
    s.detection_count = static_cast<int64_t>(boxes.size());
    results_.push_back(std::move(s));
  }
  check_one_slide();
}

bool SavedResults::is_slide_of(const ImageResult& s) const {
  return results_.size() <= 1 || hints_.image == s.image_id || last_component(s.path) == last_component(hints_.slides);
}

void SavedResults::check_one_slide() const {
  if (hints_.slides.empty() || hints_.image || !is_file(hints_.slides)) return;
  if (std::none_of(results_.begin(), results_.end(), [&](const ImageResult& s) { return is_slide_of(s); }))
    throw UsageError(hints_.slides, "is one slide, and none of the " + std::to_string(results_.size()) + " images is called so",
                     "name the folder of their slides, and --truth for what images of a results file are called");
}

const std::vector<ImageResult>& SavedResults::images() {
  load();
  return results_;
}

Detections SavedResults::detections(const ImageResult& image) {
  load();
  if (!run_) {
    auto it = boxes_.find(image.image_id);
    return it == boxes_.end() ? Detections{} : it->second;
  }
  Detections all;
  if (!image.done()) return all;
  BoxesReader reader(RunFolder{path_}.boxes(image));
  for (Detection d; reader.next(d);) all.push_back(d);
  return all;
}

void SavedResults::stream(const std::function<void(const ImageResult&, const Detection&)>& each) {
  if (run_) {
    for_each_done(RunFolder{path_}, *run_, [&](const ImageResult& s, BoxesReader& reader) {
      for (Detection d; reader.next(d);) each(s, d);
    });
    return;
  }
  ImageResult s;
  bool any = false;
  read_coco_results(path_, [&](const CocoResult& r) {
    const int64_t image = image_of(r);
    if (!any || s.image_id != image) s = state_of(image);
    any = true;
    each(s, {r.box, classes_.index_of(category_of(r)), static_cast<float>(r.score)});
  });
}

// Longest suffix of the path first; the bare name only where no other image has it.
std::vector<std::filesystem::path> SavedResults::places_below(const std::filesystem::path& folder,
                                                              const std::string& path) const {
  if (name_counts_.empty())
    for (const ImageResult& s : results_) ++name_counts_[std::string(last_component(s.path))];
  std::vector<std::filesystem::path> places;
  std::string relative = path;
  std::replace(relative.begin(), relative.end(), '\\', '/');
  for (size_t at = relative.find_first_not_of('/'); at != relative.npos;) {
    const size_t slash = relative.find('/', at);
    const auto same = name_counts_.find(relative.substr(at));
    if (slash != relative.npos || same == name_counts_.end() || same->second < 2 || at == 0)
      places.push_back(folder / relative.substr(at));
    at = slash == relative.npos ? slash : relative.find_first_not_of('/', slash);
  }
  return places;
}

// A file of the folder that is called as no other image, but for normal form, case or encoding.
std::filesystem::path SavedResults::alike_in(const std::filesystem::path& folder, const std::string& path) const {
  const std::string name(last_component(path));
  if (const auto same = name_counts_.find(name); same != name_counts_.end() && same->second > 1) return {};
  if (!listed_) {
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& e : std::filesystem::directory_iterator(folder, error))
      if (std::string file = e.path().filename().string(); !file.starts_with('.') && is_file(e.path())) names.push_back(file);
    listed_ = std::make_shared<const PathIndex>(std::move(names));
  }
  const PathIndex::Match m = listed_->find(name);
  if (m.name() < 0 || m.spelling > Spelling::encoding) return {};
  return folder / listed_->names()[static_cast<size_t>(m.name())];
}

std::filesystem::path SavedResults::slide_file(const ImageResult& image) const {
  const bool one_slide = !hints_.slides.empty() && is_file(hints_.slides);
  if (one_slide && is_slide_of(image)) return hints_.slides;
  if (image.path.empty()) return {};
  const std::filesystem::path given = image.path;
  std::vector<std::filesystem::path> places;
  if (!hints_.slides.empty() && !one_slide) places = places_below(hints_.slides, image.path);
  places.push_back(given);
  if (run_) places.push_back(path_ / given.filename());
  if (!hints_.truth.empty()) places.push_back(std::filesystem::path(hints_.truth).parent_path() / given);
  for (const auto& p : places)
    if (is_file(p)) return p;
  return hints_.slides.empty() || one_slide ? std::filesystem::path{} : alike_in(hints_.slides, image.path);
}

OutputImage SavedResults::output_image_at(const ImageResult& s, const std::filesystem::path& file) const {
  OutputImage image = output_image_of(s, file, classes_, selection());
  image.regions = run_ && has_regions(run_->settings);
  return image;
}

OutputImage SavedResults::output_image(const ImageResult& s, bool pixels) const {
  return output_image_at(s, pixels ? slide_file(s) : std::filesystem::path{});
}

OutputImage SavedResults::measured_image(const ImageResult& s) const {
  OutputImage image = output_image(s, false);
  const bool sized = s.width > 0 && s.height > 0;
  if (run_ && (!s.done() || s.analysed_px)) return image;
  if (!run_ && sized && s.mpp) return image;
  const std::filesystem::path file = slide_file(s);
  if (file.empty()) return image;
  try {
    const std::shared_ptr<Slide> slide = sized ? open_measured_slide(file, selection()) : open_slide(file, selection());
    if (!slide) return image;
    if (!run_ || !sized) {
      image = output_image_of(s.name, s.image_id, slide, classes_);
      image.slide.reset();
      return image;
    }
    // A run of an earlier version: it does not give bounds, nor the size of pixels that are not square.
    image.bounds = slide->bounds;
    if (s.mpp && slide->mpp_x == s.mpp) image.mpp_y = slide->mpp_y;
  } catch (const Error&) {
    if (!run_ || !sized) throw;
  }
  return image;
}

OutputImage SavedResults::bounded_image(const ImageResult& s, bool* unknown) const {
  OutputImage image = output_image(s, false);
  *unknown = false;
  if (run_ && s.analysed_px) return image;
  const std::filesystem::path file = slide_file(s);
  if (file.empty())
    *unknown = may_have_bounds(s.path);
  else
    image.bounds = bounds_of_file(file.string());
  return image;
}

bool has_regions(const Json& settings) { return !detect_setting(settings, "roi").empty(); }

Origin origin_of(const Json& settings) {
  const std::string origin = detect_setting(settings, "origin");
  return origin.empty() ? Origin::bounds : origin_named(origin, "settings.detect.origin");
}

OutputImage output_image_of(const ImageResult& s, const std::filesystem::path& file, const Classes& classes,
                            const ImageSelection& selection) {
  OutputImage image{s.name, s.image_id, s.width, s.height, s.mpp, s.mpp_y ? s.mpp_y : s.mpp, nullptr, &classes};
  image.bounds = s.bounds;
  image.analysed_px = s.analysed_px;
  image.run_px = s.run_px;
  if (file.empty()) return image;
  std::unique_ptr<Slide> slide = with_damage_filled(open_slide(file, selection));
  if (s.mpp && (!slide->mpp_x || s.mpp_y)) {
    slide->mpp_x = image.mpp_x;
    slide->mpp_y = image.mpp_y;
  }
  OutputImage shown = output_image_of(s.name, s.image_id, std::move(slide), classes);
  shown.analysed_px = s.analysed_px;
  shown.run_px = s.run_px;
  return shown;
}

}  // namespace cytodet::pipeline
