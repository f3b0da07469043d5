#include "pipeline/detect/score_detections.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>

#include "core/error.h"
#include "core/messages.h"
#include "eval/bootstrap.h"
#include "pipeline/inputs/companions.h"
#include "pipeline/inputs/list_inputs.h"

namespace cytodet::pipeline {
namespace {

std::string name_of_file(const std::string& path) { return std::filesystem::path(path).filename().string(); }

constexpr int kDeepest = 8;  // folders in folders
constexpr size_t kMaxFiles = 10'000'000;

void add(DetectionSet& set, int32_t image, int32_t category, const Detection& d) {
  set.image.push_back(image);
  set.category.push_back(category);
  set.boxes.insert(set.boxes.end(), {d.box.x0, d.box.y0, d.box.width(), d.box.height()});
  set.scores.push_back(static_cast<double>(d.score));
}

// Whether a file_name has folders before the file's name.
bool names_folders(const GroundTruth& truth) {
  return std::any_of(truth.images.begin(), truth.images.end(),
                     [](const GroundTruthImage& i) { return last_component(i.file_name).size() < i.file_name.size(); });
}

// Files of folders and of the folders in them, sorted in each. Hidden ones are left out; links to folders are followed after all
// else, so that a folder has its own name, and no folder is visited twice.
class FilesBelow {
 public:
  std::vector<std::string> files;

  void add(const std::filesystem::path& folder) {
    visit(folder, 0);
    for (size_t i = 0; i < links_.size(); ++i) visit(links_[i].first, links_[i].second);
    links_.clear();
  }

 private:
  void visit(const std::filesystem::path& folder, int depth) {
    std::error_code error;
    if (depth > kDeepest || !seen_.insert(std::filesystem::canonical(folder, error)).second) return;
    std::vector<std::filesystem::path> found, folders;
    for (const auto& e : std::filesystem::directory_iterator(folder, error)) {
      std::error_code unknown;
      if (e.path().filename().string().starts_with('.')) continue;
      if (!e.is_directory(unknown))
        found.push_back(e.path());
      else if (e.is_symlink(unknown))
        links_.emplace_back(e.path(), depth + 1);
      else
        folders.push_back(e.path());
    }
    if (error) throw Error(folder.string(), "cannot list the folder: " + error.message());
    std::sort(found.begin(), found.end());
    std::sort(folders.begin(), folders.end());
    for (const auto& f : found) files.push_back(f.string());
    if (files.size() > kMaxFiles) throw Error(folder.string(), "holds too many files", "name the folders of the images");
    for (const auto& f : folders) visit(f, depth + 1);
  }

  std::set<std::filesystem::path> seen_;
  std::vector<std::pair<std::filesystem::path, int>> links_;  // and their depth
};

// expand_inputs(), but with all files below each folder.
std::vector<std::string> files_below(const std::vector<std::string>& inputs) {
  FilesBelow below;
  std::error_code ignored;
  for (const std::string& input : inputs)
    if (std::filesystem::is_directory(input, ignored))
      below.add(input);
    else
      below.files.push_back(input);
  return expand_inputs(below.files);
}

std::string strangers_text(size_t count, const std::string& example) {
  return std::to_string(count) + (count == 1 ? " image is" : " images are") +
         " not in the ground truth and not scored: " + example + (count > 1 ? ", ..." : "");
}

std::string size_text(int64_t width, int64_t height) { return std::to_string(width) + " x " + std::to_string(height); }

// Boxes of a ground truth that was made on an image of another size lie elsewhere.
class SizeCheck {
 public:
  void add(const std::string& path, int64_t width, int64_t height, const GroundTruthImage& image) {
    if (width < 1 || height < 1 || image.width < 1 || image.height < 1) return;
    if ((image.width == width && image.height == height) || (image.width == height && image.height == width)) return;
    if (!count_++)
      example_ =
          path + " has " + size_text(width, height) + " pixels, the ground truth says " + size_text(image.width, image.height);
  }
  void report(std::vector<std::string>& warnings) const {
    if (count_)
      warnings.push_back(std::to_string(count_) + (count_ == 1 ? " image is" : " images are") +
                         " of another size than in the ground truth, so boxes may lie elsewhere: " + example_);
  }

 private:
  size_t count_ = 0;
  std::string example_;
};

}  // namespace

std::vector<std::string> images_in_ground_truth(const GroundTruth& truth, const std::vector<std::string>& inputs,
                                                const std::string& where, std::vector<std::string>& warnings) {
  const std::vector<std::string> files = names_folders(truth) ? files_below(inputs) : expand_inputs(inputs);
  const PathAssignment found = truth.images_of(files);
  std::vector<std::string> images;
  size_t strangers = 0;
  std::string example;
  for (size_t i = 0; i < files.size(); ++i)
    if (found.name_of[i] >= 0)
      images.push_back(files[i]);
    else if (named_as_image(files[i]) && !strangers++)
      example = files[i];
  if (images.empty()) throw Error(where, "names none of the given images", "give the folder that its file_name fields refer to");
  warnings.insert(warnings.end(), found.warnings.begin(), found.warnings.end());
  if (strangers) warnings.push_back(strangers_text(strangers, example));
  return images;
}

GroundTruth truth_of(const GroundTruth& truth, const std::vector<std::string>& images) {
  std::vector<int> place(truth.images.size(), -1);
  for (const int i : truth.images_of(images).name_of)
    if (i >= 0) place[static_cast<size_t>(i)] = 0;
  GroundTruth some;
  some.categories = truth.categories;
  some.where = truth.where;
  for (size_t i = 0; i < place.size(); ++i) {
    if (place[i] < 0) continue;
    place[i] = static_cast<int>(some.images.size());
    some.images.push_back(truth.images[i]);
  }
  for (size_t a = 0; a < truth.size(); ++a) {
    const int image = place[static_cast<size_t>(truth.image[a])];
    if (image < 0) continue;
    some.image.push_back(image);
    some.category.push_back(truth.category[a]);
    some.boxes.insert(some.boxes.end(), truth.boxes.begin() + static_cast<std::ptrdiff_t>(4 * a),
                      truth.boxes.begin() + static_cast<std::ptrdiff_t>(4 * a + 4));
    some.areas.push_back(truth.areas[a]);
    some.crowd.push_back(truth.crowd[a]);
    some.ids.push_back(truth.ids[a]);
  }
  return some;
}

DetectionSet to_set(const DetectReport& report, const GroundTruth& truth, const ModelFile& model) {
  DetectionSet set;
  std::vector<std::string> paths;
  for (const DetectedImage& r : report.images) paths.push_back(r.path);
  const std::vector<int> images = truth.images_of(paths).name_of;
  std::vector<int> categories;  // by class
  for (int c = 0; c < model.class_count(); ++c)
    categories.push_back(truth.category_of_class(model.category_id(c), model.classes[static_cast<size_t>(c)]));
  SizeCheck sizes;
  size_t unknown = 0;
  std::string example;
  for (size_t i = 0; i < paths.size(); ++i) {
    const DetectedImage& r = report.images[i];
    if (!r.done()) continue;
    if (images[i] < 0) {
      if (!unknown++) example = r.path;
      continue;
    }
    sizes.add(r.path, r.width, r.height, truth.images[static_cast<size_t>(images[i])]);
    for (const Detection& d : r.detections)
      if (const int category = categories.at(static_cast<size_t>(d.category)); category >= 0) add(set, images[i], category, d);
  }
  if (unknown) set.warnings.push_back(strangers_text(unknown, example));
  sizes.report(set.warnings);
  return set;
}

DetectionSet to_set(const RunFolder& folder, const RunState& state, const GroundTruth& truth) {
  DetectionSet set;
  std::vector<std::string> paths;
  for (const ImageResult& s : state.inputs) paths.push_back(s.path);
  const PathAssignment images = truth.images_of(paths);
  set.warnings = images.warnings;
  std::vector<int> categories;  // by class
  for (size_t c = 0; c < state.model.category_ids.size(); ++c)
    categories.push_back(
        truth.category_of_class(state.model.category_ids[c], c < state.model.classes.size() ? state.model.classes[c] : ""));
  SizeCheck sizes;
  size_t unknown = 0;
  std::string example;
  for_each_done(folder, state, [&](const ImageResult& s, BoxesReader& reader) {
    const int image = images.name_of[static_cast<size_t>(&s - state.inputs.data())];
    if (image < 0 && !unknown++) example = s.path;
    if (image >= 0) sizes.add(s.path, s.width, s.height, truth.images[static_cast<size_t>(image)]);
    for (Detection d; image >= 0 && reader.next(d);) {
      const auto c = static_cast<size_t>(d.category);
      if (c < categories.size() && categories[c] >= 0) add(set, image, categories[c], d);
    }
  });
  if (unknown) set.warnings.push_back(strangers_text(unknown, example));
  sizes.report(set.warnings);
  return set;
}

RoiPlaces places_of(Origin origin, const std::vector<std::string>& files) {
  std::map<std::string, std::string> by_name;
  for (const std::string& f : files) by_name.emplace(name_of_file(f), f);
  return {
      origin, [by_name](const std::string& file_name) -> std::optional<PixelArea> {
        const auto known = by_name.find(name_of_file(file_name));
        if (known != by_name.end()) return bounds_of_file(known->second);
        if (may_have_bounds(file_name))
          warn({file_name + " is not at hand: where its regions lie is not known, if what was scanned is a part of it; name the "
                            "folder of the slides, or give --origin slide"});
        return std::nullopt;
      }};
}

RoiPlaces places_of(const RunState& state, Origin origin) {
  std::vector<std::string> files;  // of an earlier version, which does not give bounds
  std::map<std::string, std::optional<PixelArea>> bounds;
  for (const ImageResult& s : state.inputs)
    if (s.analysed_px)
      bounds[name_of_file(s.path)] = s.bounds;
    else
      files.push_back(s.path);
  return {origin, [bounds, others = places_of(origin, files)](const std::string& file_name) {
            const auto known = bounds.find(name_of_file(file_name));
            return known == bounds.end() ? others.bounds(file_name) : known->second;
          }};
}

std::vector<std::string> files_beside(const GroundTruth& truth, const std::string& truth_file) {
  std::vector<std::string> files;
  std::error_code ignored;
  for (const GroundTruthImage& image : truth.images)
    if (const auto file = std::filesystem::path(truth_file).parent_path() / image.file_name;
        std::filesystem::is_regular_file(file, ignored))
      files.push_back(file.string());
  return files;
}

void keep_in_roi(const RoiSource& regions, const RoiPlaces& places, GroundTruth& truth, DetectionSet& set) {
  std::vector<std::optional<Roi>> of_image;
  std::set<std::string> notes;
  for (const GroundTruthImage& image : truth.images) {
    std::optional<Roi>& roi = of_image.emplace_back(regions.of(image.file_name));
    if (roi && !roi->note.empty() && notes.insert(roi->note).second) set.warnings.push_back(roi->note);
    if (roi && roi->frame == RoiFrame::viewer && places.origin == Origin::bounds && places.bounds)
      roi->to_slide_frame(places.bounds(image.file_name), places.origin);
  }
  auto inside = [&](int32_t image, const double* b) {
    const std::optional<Roi>& roi = of_image[static_cast<size_t>(image)];
    return roi && roi->contains(b[0] + b[2] / 2, b[1] + b[3] / 2);
  };
  size_t n = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    const std::string& category = truth.categories[static_cast<size_t>(truth.category[i])].name;
    if (category == "roi" || category == "ROI" || !inside(truth.image[i], &truth.boxes[4 * i])) continue;
    truth.image[n] = truth.image[i];
    truth.category[n] = truth.category[i];
    std::copy_n(truth.boxes.begin() + static_cast<std::ptrdiff_t>(4 * i), 4,
                truth.boxes.begin() + static_cast<std::ptrdiff_t>(4 * n));
    truth.areas[n] = truth.areas[i];
    truth.crowd[n] = truth.crowd[i];
    truth.ids[n++] = truth.ids[i];
  }
  truth.image.resize(n);
  truth.category.resize(n);
  truth.boxes.resize(4 * n);
  truth.areas.resize(n);
  truth.crowd.resize(n);
  truth.ids.resize(n);
  n = 0;
  for (size_t i = 0; i < set.size(); ++i) {
    if (!inside(set.image[i], &set.boxes[4 * i])) continue;
    set.image[n] = set.image[i];
    set.category[n] = set.category[i];
    std::copy_n(set.boxes.begin() + static_cast<std::ptrdiff_t>(4 * i), 4,
                set.boxes.begin() + static_cast<std::ptrdiff_t>(4 * n));
    set.scores[n++] = set.scores[i];
  }
  set.image.resize(n);
  set.category.resize(n);
  set.boxes.resize(4 * n);
  set.scores.resize(n);
}

void keep_in_roi(const std::string& regions, const RoiPlaces& places, GroundTruth& truth, DetectionSet& set,
                 const RoiChoice& choice) {
  if (!regions.empty()) keep_in_roi(RoiSource(regions, choice), places, truth, set);
}

ScoredImages scored_images(const std::vector<const ImageResult*>& results, const GroundTruth& truth) {
  ScoredImages all;
  all.mm2.assign(truth.images.size(), -1);
  all.tiled.assign(truth.images.size(), 0);
  std::vector<std::string> paths;
  for (const ImageResult* r : results) paths.push_back(r->path);
  const std::vector<int> image_of = truth.images_of(paths).name_of;
  for (size_t i = 0; i < results.size(); ++i) {
    const ImageResult& r = *results[i];
    if (image_of[i] < 0 || !r.done()) continue;
    const auto image = static_cast<size_t>(image_of[i]);
    all.tiled[image] = r.tiled;
    all.mm2[image] = r.seen_mm2().value_or(-1);
  }
  if (std::any_of(all.mm2.begin(), all.mm2.end(), [](double v) { return !(v > 0); })) all.mm2.clear();
  return all;
}

ScoredImages scored_images(const RunState& state, const GroundTruth& truth) {
  std::vector<const ImageResult*> results;
  for (const ImageResult& s : state.inputs) results.push_back(&s);
  return scored_images(results, truth);
}

void follow_slides(ScoreOptions& options, const DetectionSet& set, const ScoredImages& images) {
  std::map<std::pair<int32_t, int32_t>, int> counts;  // of tiled images alone
  int max_per_image = 0;
  for (size_t i = 0; i < set.size(); ++i)
    if (const auto image = static_cast<size_t>(set.image[i]); image < images.tiled.size() && images.tiled[image])
      max_per_image = std::max(max_per_image, ++counts[{set.image[i], options.use_categories ? set.category[i] : 0}]);
  if (max_per_image <= options.max_dets.back()) return;
  options.max_dets.back() = max_per_image;
  options.follows_slides = true;
}

std::vector<double> scores_of_categories(const GroundTruth& truth, const CountingScores& counting, const Classes& classes) {
  std::vector<double> scores(truth.categories.size(), classes.all().empty() ? kDefaultOperatingScore : kUndefined);
  for (size_t c = 0; c < classes.all().size(); ++c) {
    const int category = truth.category_of_class(classes.all()[c].id, classes.all()[c].name);
    if (category >= 0)
      scores[static_cast<size_t>(category)] = c < counting.scores.size() ? counting.scores[c] : kDefaultOperatingScore;
  }
  return scores;
}

double measure_ap(Detector& detector, const GroundTruth& truth, const std::vector<std::string>& images,
                  const DetectSettings& settings, const ScoreOptions& options) {
  DetectReport report = detect(detector, images, settings);
  for (const DetectedImage& r : report.images)
    if (r.failed()) throw Error("", r.reason);
  DetectionSet set = to_set(report, truth, detector.model());
  std::vector<const ImageResult*> results;
  for (const DetectedImage& r : report.images) results.push_back(&r);
  ScoreOptions scored = options;
  if (options.max_dets == ScoreOptions().max_dets) follow_slides(scored, set, scored_images(results, truth));
  if (settings.roi.empty()) return score(truth, set, scored).stats.at(0);
  GroundTruth inside = truth;
  keep_in_roi(settings.roi, places_of(settings.origin, images), inside, set, roi_choice(settings));
  return score(inside, set, scored).stats.at(0);
}

int exit_of(const DetectReport& report) {
  int failed = report.failed();
  if (failed == 0) return static_cast<int>(Exit::ok);
  return static_cast<int>(failed == static_cast<int>(report.images.size()) ? Exit::failed : Exit::partial);
}

void warn(const std::vector<std::string>& warnings) {
  for (const std::string& w : warnings) print_warning(w);
}

}  // namespace cytodet::pipeline
