// Detections against a COCO ground truth.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cytodet/detail.h"
#include "cytodet/model.h"

namespace cytodet {

// Images, categories and annotated boxes. Several threads may evaluate with one at once.
class GroundTruth {
 public:
  // A COCO file. Throws Error, which names the file and the element.
  explicit GroundTruth(const std::string& path)
      : handle_(detail::call([&](cytodet_error** error) { return cytodet_ground_truth_open(path.c_str(), error); })) {}
  // Parses a COCO ground truth from JSON text, UTF-8. Throws Error, which names the element.
  static GroundTruth parse(const std::string& json) {
    return GroundTruth(detail::call([&](cytodet_error** error) { return cytodet_ground_truth_parse(json.c_str(), error); }));
  }
  std::size_t image_count() const { return cytodet_ground_truth_image_count(handle_.get()); }
  std::size_t annotation_count() const { return cytodet_ground_truth_annotation_count(handle_.get()); }
  const cytodet_ground_truth* handle() const { return handle_.get(); }

 private:
  explicit GroundTruth(cytodet_ground_truth* owned) : handle_(owned) {}
  detail::Handle<cytodet_ground_truth, cytodet_ground_truth_free> handle_;
};

struct EvaluateOptions {
  std::vector<int> max_dets = {1, 10, 100};  // detections per image and class that are scored, ascending; AP is at the last
  bool pooled = false;                       // all classes as one
  std::string roi = {};                      // only what lies in these regions of interest (file or folder) is scored
};

struct Figure {
  std::string name;   // "AP", "AP50", ...
  double value = -1;  // 0 to 1; -1: nothing to score
};
struct ClassScores {
  std::string name;
  std::int64_t annotations = 0;  // that count
  double ap = -1, ap50 = -1, ap75 = -1, ar = -1;
};
struct Scores {
  // COCO's, in COCO's order: AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100 (one per number of max_dets), ARs, ARm, ARl.
  std::vector<Figure> figures;
  std::vector<ClassScores> classes;  // in the order of the ground truth's category ids
  std::vector<std::string> warnings;

  // The value of a figure; -1 where there is none of that name.
  double operator[](const std::string& name) const {
    for (const Figure& f : figures)
      if (f.name == name) return f.value;
    return -1;
  }
};

namespace detail {

// f(settings, &error) as Scores.
template <class F>
Scores evaluate(const EvaluateOptions& options, F f) {
  Settings s;
  s.set_numbers("max_dets", options.max_dets);
  s.set_flag("pooled", options.pooled);
  s.set("roi", options.roi);
  const Handle<cytodet_scores, cytodet_scores_free> owned(call([&](cytodet_error** error) { return f(s.get(), error); }));
  const cytodet_scores* c = owned.get();
  Scores scores;
  for (std::size_t i = 0; i < cytodet_scores_count(c); ++i)
    scores.figures.push_back({cytodet_scores_name(c, i), cytodet_scores_value(c, i)});
  for (std::size_t i = 0; i < cytodet_scores_class_count(c); ++i)
    scores.classes.push_back({cytodet_scores_class_name(c, i), cytodet_scores_class_annotations(c, i),
                              cytodet_scores_class_ap(c, i), cytodet_scores_class_ap50(c, i), cytodet_scores_class_ap75(c, i),
                              cytodet_scores_class_ar(c, i)});
  scores.warnings = texts<cytodet_scores>(c, cytodet_scores_warning_count, cytodet_scores_warning);
  return scores;
}

}  // namespace detail

// COCO's box figures, as pycocotools' COCOeval computes them (Lin et al., "Microsoft COCO", 2014;
// cocodataset.org/#detection-eval). Images of the ground truth without detections count as missed. Results of files are found in
// the ground truth by the ends of their paths. Throws Error: a file that cannot be read, an image that the ground truth lacks.
inline Scores evaluate(const GroundTruth& ground_truth, const Results& results, const EvaluateOptions& options = {}) {
  return detail::evaluate(options, [&](const cytodet_settings* s, cytodet_error** error) {
    return cytodet_evaluate_results(ground_truth.handle(), results.handle(), s, error);
  });
}
// Detections of one image that a program holds, of any origin.
struct ImageDetections {
  std::string name;                    // path or name: the image is found in the ground truth by its end
  std::int64_t width = 0, height = 0;  // level-0 pixels; 0: not known
  std::vector<Detection> detections;
};

namespace detail {

// `images` for C; points into it, and into `names` and `detections`, which are filled.
struct DetectionsForC {
  std::vector<cytodet_image_detections> images;
  std::vector<std::vector<cytodet_detection>> detections;
  std::vector<std::string> names;  // by class index

  explicit DetectionsForC(const std::vector<ImageDetections>& given) {
    for (const ImageDetections& image : given) {
      std::vector<cytodet_detection>& to = detections.emplace_back();
      for (const Detection& d : image.detections) {
        to.push_back({d.box.x0, d.box.y0, d.box.x1, d.box.y1, d.class_id, d.class_index, d.score});
        if (d.class_index < 0) continue;  // refused by the call
        const auto c = static_cast<std::size_t>(d.class_index);
        if (names.size() <= c && c < 10000) names.resize(c + 1);
        if (c < names.size()) names[c] = d.class_name;
      }
    }
    for (std::size_t i = 0; i < given.size(); ++i)
      images.push_back({sizeof(cytodet_image_detections), given[i].name.c_str(), given[i].width, given[i].height,
                        detections[i].data(), detections[i].size()});
  }
};

}  // namespace detail

// evaluate() of detections in memory, of any origin. Throws Error: as evaluate(); boxes, scores and classes that cannot be.
inline Scores evaluate(const GroundTruth& ground_truth, const std::vector<ImageDetections>& images,
                       const EvaluateOptions& options = {}) {
  const detail::DetectionsForC c(images);
  const std::vector<const char*> names = detail::pointers(c.names);
  return detail::evaluate(options, [&](const cytodet_settings* s, cytodet_error** error) {
    return cytodet_evaluate_detections(ground_truth.handle(), c.images.data(), c.images.size(), names.data(), names.size(), s,
                                       error);
  });
}
// Writes all given detections of one image to a file, whose name says in which form (docs/export.md). `cytodet export` and run
// folders leave out those below Model::operating_scores(): give the others alone for the same numbers of cells. Forms: .geojson,
// .geojson.gz, .csv, .coco.json, .heatmap.png, ... Throws Error: a form that is not known, a file that cannot be written.
inline void write_detections(const ImageDetections& image, const std::string& path) {
  const std::vector<ImageDetections> one{image};  // which `c` points into
  const detail::DetectionsForC c(one);
  const std::vector<const char*> names = detail::pointers(c.names);
  detail::call([&](cytodet_error** error) {
    return cytodet_write_detections(c.images.data(), names.data(), names.size(), path.c_str(), nullptr, error);
  });
}
// evaluate() of a COCO results file, such as detections.json of a run folder. Throws Error: as evaluate().
inline Scores evaluate_file(const GroundTruth& ground_truth, const std::string& detections, const EvaluateOptions& options = {}) {
  return detail::evaluate(options, [&](const cytodet_settings* s, cytodet_error** error) {
    return cytodet_evaluate_file(ground_truth.handle(), detections.c_str(), s, error);
  });
}
// evaluate() of the text of a COCO results file, JSON in UTF-8. Throws Error: as evaluate().
inline Scores evaluate_json(const GroundTruth& ground_truth, const std::string& detections, const EvaluateOptions& options = {}) {
  return detail::evaluate(options, [&](const cytodet_settings* s, cytodet_error** error) {
    return cytodet_evaluate_json(ground_truth.handle(), detections.c_str(), s, error);
  });
}

}  // namespace cytodet
