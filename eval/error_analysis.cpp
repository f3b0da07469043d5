#include "eval/error_analysis.h"

#include <algorithm>
#include <cstdio>

#include "core/error.h"
#include "core/settings.h"
#include "core/text_width.h"
#include "eval/error_costs.h"
#include "eval/error_matching.h"

namespace cytodet::eval {
namespace {

constexpr const char* kNames[kErrorKinds] = {"Cls", "Loc", "Both", "Dupe", "Bkg", "Miss"};
constexpr const char* kSizes[] = {"small", "medium", "large"};

std::string row(const std::string& title, const ErrorRow& r) {
  char text[64];
  std::string line = title;
  for (size_t k = 0; k < kErrorKinds; ++k) {
    std::snprintf(text, sizeof text, " %7lld %7.4f", static_cast<long long>(r.count[k]), r.gain[k]);
    line += text;
  }
  return line + "\n";
}

std::string padded(const std::string& name) { return left_aligned(name, 20); }

Json json_of(const ErrorRow& r) {
  Json j;
  for (size_t k = 0; k < kErrorKinds; ++k) j[kNames[k]] = {{"count", r.count[k]}, {"dAP", r.gain[k]}};
  return j;
}

}  // namespace

const char* name_of(ErrorKind kind) { return kNames[static_cast<size_t>(kind)]; }

Errors find_errors(const GroundTruth& truth, const DetectionSet& detections, const ErrorOptions& options) {
  if (!(options.positive > 0 && options.positive <= 1 && options.background > 0 && options.background <= options.positive))
    throw UsageError("errors", "thresholds must be 0 < background <= positive <= 1");
  if (options.max_dets < 1) throw UsageError("errors", "max_dets must be at least 1");
  Errors errors;
  errors.detections.assign(detections.size(), DetectionOutcome::left_out);
  errors.kinds.assign(detections.size(), ErrorKind::bkg);
  errors.found.assign(truth.size(), 0);
  errors.images.assign(truth.images.size(), {});
  std::vector<int64_t> truths(truth.categories.size(), 0);
  for (size_t t = 0; t < truth.size(); ++t) truths[static_cast<size_t>(truth.category[t])] += !truth.crowd[t];
  for (size_t c = 0; c < truths.size(); ++c) {
    errors.classes.emplace_back();
    errors.classes[c].name = truth.categories[c].name;
    errors.classes[c].truths = truths[c];
  }
  const std::vector<Outcome> outcomes = find_outcomes(truth, detections, options);
  for (const Outcome& o : outcomes) {
    if (o.correct) errors.found[static_cast<size_t>(o.truth)] = 1;
    const bool of_detection = o.detection >= 0;
    if (of_detection) {
      const auto d = static_cast<size_t>(o.detection);
      errors.detections[d] = o.correct   ? DetectionOutcome::right
                             : o.ignored ? DetectionOutcome::ignored
                                         : DetectionOutcome::wrong;
      errors.kinds[d] = o.kind;
      ++errors.classes[static_cast<size_t>(o.category)].detections;
    }
    if (o.correct || o.ignored) continue;
    const size_t image = static_cast<size_t>(of_detection ? detections.image[static_cast<size_t>(o.detection)]
                                                          : truth.image[static_cast<size_t>(o.truth)]);
    ++errors.images[image][static_cast<size_t>(o.kind)];
  }
  compute_costs(outcomes, truths, errors);
  return errors;
}

std::string to_text(const Errors& e) {
  char text[200];
  std::snprintf(text, sizeof text, "AP %.4f; without false positives +%.4f, with every ground truth box found +%.4f\n", e.ap,
                e.false_positives_gain, e.false_negatives_gain);
  std::string table = text + padded("errors, dAP");
  for (const char* name : kNames) {
    std::snprintf(text, sizeof text, " %15s", name);
    table += text;
  }
  table += "\n" + row(padded("all"), e.all);
  for (size_t s = 0; s < e.sizes.size(); ++s) table += row(padded(kSizes[s]), e.sizes[s]);
  for (const ClassErrors& c : e.classes) table += row(padded(c.name), c);
  return table;
}

Json to_json(const Errors& e, const ErrorOptions& options) {
  Json j{
      {"iou", options.positive}, {"background_iou", options.background}, {"max_dets_per_image", options.max_dets}, {"AP", e.ap}};
  j["types"] = json_of(e.all);
  j["FalsePos"] = {{"dAP", e.false_positives_gain}};
  j["FalseNeg"] = {{"dAP", e.false_negatives_gain}};
  for (size_t s = 0; s < e.sizes.size(); ++s) j["sizes"][kSizes[s]] = json_of(e.sizes[s]);
  j["classes"] = Json::array();
  for (const ClassErrors& c : e.classes)
    j["classes"].push_back(
        {{"name", c.name}, {"truths", c.truths}, {"detections", c.detections}, {"AP", c.ap}, {"types", json_of(c)}});
  return j;
}

}  // namespace cytodet::eval
