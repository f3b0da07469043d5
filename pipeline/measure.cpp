#include "pipeline/measure.h"

#include <cstdio>
#include <filesystem>

#include "core/error.h"

namespace cytodet {
namespace {

std::string name_of_file(const std::string& path) { return std::filesystem::path(path).filename().string(); }

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
    if (!r.problem.empty()) continue;
    int image = truth.image_named(std::filesystem::path(r.path).filename().string());
    if (image < 0) {
      ++unknown;
      continue;
    }
    for (const Detection& d : r.detections) {
      int category = truth.category_index(model.category_id(d.category));
      if (category < 0) continue;
      set.image.push_back(image);
      set.category.push_back(category);
      set.boxes.insert(set.boxes.end(), {d.box.x0, d.box.y0, d.box.width(), d.box.height()});
      set.scores.push_back(static_cast<double>(d.score));
    }
  }
  if (unknown) set.warnings.push_back(std::to_string(unknown) + " pictures are not in the truth; they are not scored");
  return set;
}

double measure_ap(Detector& detector, const Truth& truth, const std::vector<std::string>& pictures,
                  const DetectSettings& settings, const ScoreOptions& options) {
  DetectReport report = detect(detector, pictures, settings, {}, true);
  for (const PictureResult& r : report.pictures)
    if (!r.problem.empty()) throw Error("", r.problem);
  return score(truth, to_set(report, truth, detector.model()), options).stats.at(0);
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
