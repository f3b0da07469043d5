#include "pipeline/measure.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <set>

#include "core/error.h"

namespace cytodet {
namespace {

std::string name_of_file(const std::string& path) { return std::filesystem::path(path).filename().string(); }

void add(DetectionSet& set, int32_t image, int32_t category, const Detection& d) {
  set.image.push_back(image);
  set.category.push_back(category);
  set.boxes.insert(set.boxes.end(), {d.box.x0, d.box.y0, d.box.width(), d.box.height()});
  set.scores.push_back(static_cast<double>(d.score));
}

}  // namespace

std::vector<std::string> pictures_of(const Truth& truth, const std::vector<std::string>& inputs, const std::string& where) {
  std::vector<std::string> pictures;
  for (const std::string& file : expand_inputs(inputs))
    if (truth.image_named(name_of_file(file)) >= 0) pictures.push_back(file);
  if (pictures.empty())
    throw Error(where, "names none of the given images", "give the folder that its file_name fields refer to");
  return pictures;
}

Truth truth_of(const Truth& truth, const std::vector<std::string>& pictures) {
  std::vector<int> place(truth.images.size(), -1);
  for (const std::string& p : pictures)
    if (int i = truth.image_named(name_of_file(p)); i >= 0) place[static_cast<size_t>(i)] = 0;
  Truth some;
  some.categories = truth.categories;
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

DetectionSet to_set(const DetectReport& report, const Truth& truth, const ModelFile& model) {
  DetectionSet set;
  int unknown = 0;
  for (const PictureResult& r : report.pictures) {
    if (!r.done()) continue;
    int image = truth.image_named(std::filesystem::path(r.path).filename().string());
    if (image < 0) {
      ++unknown;
      continue;
    }
    for (const Detection& d : r.detections) {
      int category = truth.category_index(model.category_id(d.category));
      if (category < 0) continue;
      add(set, image, category, d);
    }
  }
  if (unknown) set.warnings.push_back(std::to_string(unknown) + " pictures are not in the truth; they are not scored");
  return set;
}

DetectionSet to_set(const RunFolder& folder, const RunState& state, const Truth& truth) {
  DetectionSet set;
  int unknown = 0;
  for_each_done(folder, state, [&](const SlideState& s, BoxesReader& reader) {
    const int image = truth.image_named(name_of_file(s.path));
    unknown += image < 0;
    for (Detection d; image >= 0 && reader.next(d);) {
      const auto c = static_cast<size_t>(d.category);
      const int category = c < state.model.category_ids.size() ? truth.category_index(state.model.category_ids[c]) : -1;
      if (category >= 0) add(set, image, category, d);
    }
  });
  if (unknown) set.warnings.push_back(std::to_string(unknown) + " pictures are not in the truth; they are not scored");
  return set;
}

void keep_in_roi(const RoiSource& regions, Truth& truth, DetectionSet& set) {
  std::vector<std::optional<Roi>> of_image;
  std::set<std::string> notes;
  for (const TruthImage& image : truth.images) {
    of_image.push_back(regions.of(image.file_name));
    if (of_image.back() && !of_image.back()->note.empty() && notes.insert(of_image.back()->note).second)
      set.warnings.push_back(of_image.back()->note);
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

void keep_in_roi(const std::string& regions, Truth& truth, DetectionSet& set, const RoiChoice& choice) {
  if (!regions.empty()) keep_in_roi(RoiSource(regions, choice), truth, set);
}

double measure_ap(Detector& detector, const Truth& truth, const std::vector<std::string>& pictures,
                  const DetectSettings& settings, const ScoreOptions& options) {
  DetectReport report = detect(detector, pictures, settings, {}, true);
  for (const PictureResult& r : report.pictures)
    if (!r.problem.empty()) throw Error("", r.problem);
  DetectionSet set = to_set(report, truth, detector.model());
  if (settings.roi.empty()) return score(truth, set, options).stats.at(0);
  Truth inside = truth;
  keep_in_roi(settings.roi, inside, set, roi_choice(settings));
  return score(inside, set, options).stats.at(0);
}

int exit_of(const DetectReport& report) {
  int failed = report.failed();
  if (failed == 0) return static_cast<int>(Exit::ok);
  return static_cast<int>(failed == static_cast<int>(report.pictures.size()) ? Exit::failed : Exit::partial);
}

void warn(const std::vector<std::string>& warnings) {
  for (const std::string& w : warnings) std::fprintf(stderr, "cytodet: warning: %s\n", w.c_str());
}

}  // namespace cytodet
