// Functions of cytodet/c.h on ground truths and scores.
#include <memory>

#include "api/detections.h"
#include "api/model_handle.h"
#include "core/settings.h"
#include "core/text_width.h"
#include "eval/coco.h"
#include "pipeline/detect/score_detections.h"

struct cytodet_ground_truth {
  cytodet::eval::GroundTruth truth;
  std::string file;  // that it was read from; empty: none
};

struct cytodet_scores {
  std::vector<std::string> names;  // of the figures
  cytodet::eval::Scores scores;
  std::vector<std::string> warnings;
};

namespace cytodet::api {
namespace {

struct EvaluateSettings {
  eval::ScoreOptions score;
  std::string roi;
  tiling::Origin origin = tiling::Origin::bounds;
  tiling::RoiChoice choice;
};

EvaluateSettings evaluate_settings(core::Json json) {
  EvaluateSettings s;
  s.score.max_dets = take(json, "max_dets", s.score.max_dets);
  s.score.use_categories = !take(json, "pooled", false);
  s.roi = take(json, "roi", s.roi);
  s.origin = tiling::origin_named(take(json, "origin", std::string(tiling::name_of(s.origin))), "origin");
  s.choice.classes = take(json, "roi_class", s.choice.classes);
  s.choice.ignored = take(json, "roi_ignore", s.choice.ignored);
  refuse_rest(json, {"max_dets", "pooled", "roi", "origin", "roi_class", "roi_ignore"});
  int before = 0;
  for (const int n : s.score.max_dets) {
    if (n <= before) throw core::UsageError("max_dets", "must be ascending and 1 or more");
    before = n;
  }
  if (s.score.max_dets.empty()) throw core::UsageError("max_dets", "is empty");
  return s;
}

// The names of Scores::stats.
std::vector<std::string> figure_names(const std::vector<int>& max_dets) {
  std::vector<std::string> names = {"AP", "AP50", "AP75", "APs", "APm", "APl"};
  for (const int n : max_dets) names.push_back("AR" + std::to_string(n));
  names.insert(names.end(), {"ARs", "ARm", "ARl"});
  return names;
}

// `files`: of the images, where they are known.
cytodet_scores* score(const cytodet_ground_truth& ground_truth, eval::DetectionSet set, const std::vector<std::string>& files,
                      const EvaluateSettings& s) {
  auto scores = std::make_unique<cytodet_scores>();
  const core::MessageCapture capture([&](std::string_view m) { scores->warnings.push_back(core::valid_utf8(m)); });
  eval::GroundTruth inside = ground_truth.truth;
  const std::vector<std::string> slides =
      files.empty() && !ground_truth.file.empty() ? pipeline::files_beside(inside, ground_truth.file) : files;
  pipeline::keep_in_roi(s.roi, pipeline::places_of(s.origin, slides), inside, set, s.choice);
  scores->scores = eval::score(inside, set, s.score);
  for (const std::string& w : scores->scores.warnings) scores->warnings.push_back(core::valid_utf8(w));
  scores->names = figure_names(s.score.max_dets);
  return scores.release();
}

// What evaluation looks at, as detection reported it.
pipeline::DetectReport report_of(const cytodet_results& results) {
  pipeline::DetectReport report;
  for (const cytodet_result& r : results.inputs) {
    pipeline::DetectedImage one;
    one.index = static_cast<int64_t>(report.images.size());
    one.path = r.path;
    one.state = r.state == CYTODET_INPUT_FAILED ? pipeline::ImageState::failed
                : r.state == CYTODET_SKIPPED    ? pipeline::ImageState::skipped
                                                : pipeline::ImageState::done;
    one.width = r.width;
    one.height = r.height;
    for (const cytodet_detection& d : r.detections) one.detections.push_back({{d.x0, d.y0, d.x1, d.y1}, d.class_index, d.score});
    report.images.push_back(std::move(one));
  }
  return report;
}

pipeline::DetectReport report_of(const std::vector<cytodet_image_detections>& images) {
  pipeline::DetectReport report;
  for (const cytodet_image_detections& image : images) {
    pipeline::DetectedImage one;
    one.index = static_cast<int64_t>(report.images.size());
    one.path = image.name;
    one.state = pipeline::ImageState::done;
    one.width = image.width;
    one.height = image.height;
    one.detections = detections_of(image);
    report.images.push_back(std::move(one));
  }
  return report;
}

cytodet_scores* evaluate_detections(const cytodet_ground_truth& truth, const std::vector<cytodet_image_detections>& images,
                                    const char* const* classes, size_t class_count, const EvaluateSettings& s) {
  const ClassList list = classes_of(images, classes, class_count);
  models::ModelFile model;
  model.classes = list.names;
  model.category_ids = list.ids;
  std::vector<std::string> names;
  for (const cytodet_image_detections& image : images) names.emplace_back(image.name);
  return score(truth, pipeline::to_set(report_of(images), truth.truth, model), names, s);
}

std::vector<std::string> files_of(const cytodet_results& results) {
  std::vector<std::string> files;
  for (const cytodet_result& r : results.inputs) files.push_back(r.path);
  return files;
}

const eval::ClassScores* class_at(const cytodet_scores* s, size_t index) {
  return s && index < s->scores.classes.size() ? &s->scores.classes[index] : nullptr;
}

}  // namespace
}  // namespace cytodet::api

using namespace cytodet;
using namespace cytodet::api;

cytodet_ground_truth* cytodet_ground_truth_open(const char* path, cytodet_error** error) {
  return guarded(error, [&] {
    require(path, "path");
    return new cytodet_ground_truth{eval::read_ground_truth(path), path};
  });
}
cytodet_ground_truth* cytodet_ground_truth_parse(const char* json, cytodet_error** error) {
  return guarded(error, [&] {
    require(json, "json");
    return new cytodet_ground_truth{eval::parse_ground_truth(json, "the ground truth"), ""};
  });
}
size_t cytodet_ground_truth_image_count(const cytodet_ground_truth* t) { return t ? t->truth.images.size() : 0; }
size_t cytodet_ground_truth_annotation_count(const cytodet_ground_truth* t) { return t ? t->truth.size() : 0; }
void cytodet_ground_truth_free(cytodet_ground_truth* t) { delete t; }

cytodet_scores* cytodet_evaluate_file(const cytodet_ground_truth* ground_truth, const char* detections,
                                      const cytodet_settings* settings, cytodet_error** error) {
  return guarded(error, [&] {
    require(ground_truth, "ground_truth");
    require(detections, "detections");
    const EvaluateSettings s = evaluate_settings(json_of(settings));
    return score(*ground_truth, eval::read_detections(detections, ground_truth->truth, pipeline::paths_beside(detections)), {},
                 s);
  });
}
cytodet_scores* cytodet_evaluate_json(const cytodet_ground_truth* ground_truth, const char* detections,
                                      const cytodet_settings* settings, cytodet_error** error) {
  return guarded(error, [&] {
    require(ground_truth, "ground_truth");
    require(detections, "detections");
    const EvaluateSettings s = evaluate_settings(json_of(settings));
    return score(*ground_truth, eval::parse_detections(detections, "the detections", ground_truth->truth), {}, s);
  });
}
cytodet_scores* cytodet_evaluate_results(const cytodet_ground_truth* ground_truth, const cytodet_results* results,
                                         const cytodet_settings* settings, cytodet_error** error) {
  return guarded(error, [&] {
    require(ground_truth, "ground_truth");
    require(results, "results");
    const EvaluateSettings s = evaluate_settings(json_of(settings));
    return score(*ground_truth, pipeline::to_set(report_of(*results), ground_truth->truth, results->model), files_of(*results),
                 s);
  });
}
cytodet_scores* cytodet_evaluate_detections(const cytodet_ground_truth* ground_truth, const cytodet_image_detections* images,
                                            size_t count, const char* const* classes, size_t class_count,
                                            const cytodet_settings* settings, cytodet_error** error) {
  return guarded(error, [&] {
    require(ground_truth, "ground_truth");
    const EvaluateSettings s = evaluate_settings(json_of(settings));
    return evaluate_detections(*ground_truth, image_detections_of(images, count), classes, class_count, s);
  });
}

size_t cytodet_scores_count(const cytodet_scores* s) { return s ? s->scores.stats.size() : 0; }
const char* cytodet_scores_name(const cytodet_scores* s, size_t index) { return s ? text_at(s->names, index) : ""; }
double cytodet_scores_value(const cytodet_scores* s, size_t index) {
  return index < cytodet_scores_count(s) ? s->scores.stats[index] : -1;
}
size_t cytodet_scores_class_count(const cytodet_scores* s) { return s ? s->scores.classes.size() : 0; }
const char* cytodet_scores_class_name(const cytodet_scores* s, size_t index) {
  const eval::ClassScores* c = class_at(s, index);
  return c ? c->name.c_str() : "";
}
int64_t cytodet_scores_class_annotations(const cytodet_scores* s, size_t index) {
  const eval::ClassScores* c = class_at(s, index);
  return c ? c->truths : 0;
}
double cytodet_scores_class_ap(const cytodet_scores* s, size_t index) {
  const eval::ClassScores* c = class_at(s, index);
  return c ? c->ap : -1;
}
double cytodet_scores_class_ap50(const cytodet_scores* s, size_t index) {
  const eval::ClassScores* c = class_at(s, index);
  return c ? c->ap50 : -1;
}
double cytodet_scores_class_ap75(const cytodet_scores* s, size_t index) {
  const eval::ClassScores* c = class_at(s, index);
  return c ? c->ap75 : -1;
}
double cytodet_scores_class_ar(const cytodet_scores* s, size_t index) {
  const eval::ClassScores* c = class_at(s, index);
  return c ? c->ar : -1;
}
size_t cytodet_scores_warning_count(const cytodet_scores* s) { return s ? s->warnings.size() : 0; }
const char* cytodet_scores_warning(const cytodet_scores* s, size_t index) { return s ? text_at(s->warnings, index) : ""; }
void cytodet_scores_free(cytodet_scores* s) { delete s; }
