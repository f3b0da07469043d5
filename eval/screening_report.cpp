#include "eval/screening_report.h"

#include <algorithm>
#include <cstdio>

#include "core/rounded_number.h"
#include "core/settings.h"
#include "core/text_width.h"

namespace cytodet::eval {
namespace {

constexpr size_t kClassColumns = 22, kEstimateColumns = 26;

std::string score_text(double v) { return std::isnan(v) ? "-" : core::rounded(v); }

// A table of a class a line; cells are left aligned, so that intervals stand below each other.
class TextTable {
 public:
  TextTable(const std::string& title, std::vector<std::pair<std::string, size_t>> columns) : columns_(std::move(columns)) {
    text_ = left_aligned(title, kClassColumns);
    for (const auto& [name, width] : columns_) text_ += " " + left_aligned(name, width);
    end();
  }
  void row(const std::string& name, const std::vector<std::string>& cells) {
    text_ += left_aligned(name, kClassColumns);
    for (size_t i = 0; i < cells.size(); ++i) text_ += " " + left_aligned(cells[i], columns_[i].second);
    end();
  }
  const std::string& text() const { return text_; }

 private:
  void end() {
    text_.erase(text_.find_last_not_of(' ') + 1);
    text_ += '\n';
  }
  std::vector<std::pair<std::string, size_t>> columns_;
  std::string text_;
};

std::string ap_line(const Screening& s) {
  return "AP " + text_of(s.ap) + ", AP50 " + text_of(s.ap50) + ", AP75 " + text_of(s.ap75) + "\n\n";
}

std::string point_table(const Screening& s) {
  TextTable t("operating point", {{"score", 7},
                                  {"truths", 7},
                                  {"precision", kEstimateColumns},
                                  {"recall", kEstimateColumns},
                                  {"F1", kEstimateColumns},
                                  {"false per image", kEstimateColumns},
                                  {"AP", kEstimateColumns}});
  for (const ScreeningClass& c : s.classes)
    t.row(c.name, {score_text(c.operating_score), std::to_string(c.truths), text_of(c.at_point.precision),
                   text_of(c.at_point.recall), text_of(c.at_point.f1), text_of(c.at_point.fp_per_image), text_of(c.ap)});
  return t.text();
}

std::string count_table(const Screening& s) {
  TextTable t("counts", {{"bias per image", kEstimateColumns},
                         {"limits of agreement", 20},
                         {"concordance", kEstimateColumns},
                         {"mean error", kEstimateColumns},
                         {"relative, of all", kEstimateColumns}});
  for (const ScreeningClass& c : s.classes)
    t.row(c.name,
          {text_of(c.counts.bias, 2), text_of({c.counts.lower.value, {}}, 2) + " to " + text_of({c.counts.upper.value, {}}, 2),
           text_of(c.counts.concordance), text_of(c.counts.mean_error, 2), text_of(c.counts.total_relative_error)});
  return t.text();
}

std::string froc_table(const Screening& s, Froc ScreeningClass::*which, const char* title) {
  std::vector<std::pair<std::string, size_t>> columns;
  for (const double rate : kFrocRates) columns.emplace_back("at " + score_text(rate), 7);
  columns.emplace_back("mean", kEstimateColumns);
  TextTable t(title, columns);
  for (const ScreeningClass& c : s.classes) {
    std::vector<std::string> cells;
    for (const Estimate& e : (c.*which).sensitivity) cells.push_back(text_of({e.value, {}}));
    cells.push_back(text_of((c.*which).mean));
    t.row(c.name, cells);
  }
  return t.text();
}

std::string calibration_table(const Screening& s) {
  TextTable t("calibration", {{"ECE", kEstimateColumns}});
  for (const ScreeningClass& c : s.classes) t.row(c.name, {text_of(c.calibration.ece)});
  return t.text();
}

std::string confusion_table(const Screening& s) {
  if (s.confusion.classes > kMaxInTable) {
    TextTable t("most confused", {{"taken for", kClassColumns}, {"boxes", kEstimateColumns}});
    for (const FrequentConfusion& f : frequent_confusions(s.confusion))
      t.row(s.names[f.truth], {s.names[f.taken_for], text_of(f.count, 0)});
    return t.text();
  }
  std::vector<std::pair<std::string, size_t>> columns;
  for (const std::string& name : s.names)
    columns.emplace_back(name, std::max<size_t>(7, std::min<size_t>(16, display_width(name))));
  columns.emplace_back("background", 10);
  TextTable t("truth \\ taken for", columns);
  for (size_t row = 0; row <= s.confusion.classes; ++row) {
    std::vector<std::string> cells;
    for (size_t c = 0; c <= s.confusion.classes; ++c)
      cells.push_back(row == s.confusion.classes && c == row ? "" : score_text(s.confusion.at(row, c).value));
    t.row(row < s.names.size() ? s.names[row] : "background", cells);
  }
  return t.text();
}

std::string slide_table(const Screening& s) {
  TextTable t("slides", {{"score of a slide", 20},
                         {"AUC", kEstimateColumns},
                         {"sensitivity at 0.8", kEstimateColumns},
                         {"at 0.9", kEstimateColumns},
                         {"at 0.95 specificity", kEstimateColumns}});
  for (const ScreeningClass& c : s.classes)
    for (size_t i = 0; i < c.slides.size(); ++i) {
      const Roc& r = c.slides[i];
      std::vector<std::string> cells = {name_of(kSlideScores[i]), text_of(r.auc)};
      for (const Estimate& e : r.sensitivity) cells.push_back(text_of(e));
      t.row(c.name, cells);
    }
  return t.text();
}

Json list_json(const std::vector<Estimate>& list) {
  Json j = Json::array();
  for (const Estimate& e : list) j.push_back(to_json(e));
  return j;
}

Json froc_json(const Froc& f) {
  Json j{{"false_positives", kFrocRates}, {"sensitivity", list_json(f.sensitivity)}, {"mean", to_json(f.mean)}};
  Json rates = Json::array(), found = Json::array();
  for (const FrocPoint& p : f.curve) rates.push_back(p.rate), found.push_back(p.sensitivity);
  j["curve"] = {{"false_positives", rates}, {"sensitivity", found}};
  return j;
}

Json counts_json(const CountAgreement& c) {
  Json truths = Json::array(), found = Json::array();
  for (const CountPair& p : c.pairs) truths.push_back(p.truth), found.push_back(p.found);
  return {{"truth", truths},
          {"found", found},
          {"bias", to_json(c.bias)},
          {"standard_deviation", to_json(c.deviation)},
          {"limits_of_agreement", {to_json(c.lower), to_json(c.upper)}},
          {"concordance", to_json(c.concordance)},
          {"mean_absolute_error", to_json(c.mean_error)},
          {"mean_relative_error", to_json(c.mean_relative_error)},
          {"total_relative_error", to_json(c.total_relative_error)}};
}

Json calibration_json(const ScoreCalibration& c) {
  Json bins = Json::array();
  for (const CalibrationBin& b : c.bins)
    bins.push_back(
        {{"detections", b.detections}, {"mean_score", number_or_null(b.mean_score)}, {"precision", to_json(b.precision)}});
  return {{"ece", to_json(c.ece)}, {"bins", bins}};
}

Json slides_json(const std::vector<Roc>& slides) {
  Json j = Json::array();
  for (size_t i = 0; i < slides.size(); ++i) {
    Json rates = Json::array(), found = Json::array();
    for (const RocPoint& p : slides[i].curve) rates.push_back(p.false_positive_rate), found.push_back(p.sensitivity);
    j.push_back({{"score", name_of(kSlideScores[i])},
                 {"auc", to_json(slides[i].auc)},
                 {"specificity", kSpecificities},
                 {"sensitivity", list_json(slides[i].sensitivity)},
                 {"curve", {{"false_positive_rate", rates}, {"sensitivity", found}}}});
  }
  return j;
}

}  // namespace

std::string to_text(const Screening& s) {
  std::string text = ap_line(s) + point_table(s) + "\n" + count_table(s) + "\n" +
                     froc_table(s, &ScreeningClass::per_image, "found, by false/image");
  const bool areas = !s.classes.empty() && !s.classes[0].per_mm2.sensitivity.empty();
  if (areas) text += "\n" + froc_table(s, &ScreeningClass::per_mm2, "by false/mm2");
  text += "\n" + calibration_table(s) + "\n" + confusion_table(s);
  if (!s.classes.empty() && !s.classes[0].slides.empty()) text += "\n" + slide_table(s);
  for (const std::string& note : s.notes) text += note + "\n";
  return text;
}

Json to_json(const Screening& s) {
  Json j{{"iou", s.iou},
         {"images", s.images},
         {"resamples", s.bootstrap.resamples},
         {"seed", s.bootstrap.seed},
         {"level", s.bootstrap.level},
         {"AP", to_json(s.ap)},
         {"AP50", to_json(s.ap50)},
         {"AP75", to_json(s.ap75)}};
  Json scores = Json::array();
  for (size_t i = 0; i <= kScoreSteps; ++i) scores.push_back(static_cast<double>(i) / static_cast<double>(kScoreSteps));
  j["scores"] = scores;
  j["classes"] = Json::array();
  for (const ScreeningClass& c : s.classes) {
    Json k{{"name", c.name}, {"truths", c.truths}, {"detections", c.detections}};
    k["AP"] = to_json(c.ap);
    k["operating_point"] = {{"score", number_or_null(c.operating_score)},
                            {"precision", to_json(c.at_point.precision)},
                            {"recall", to_json(c.at_point.recall)},
                            {"f1", to_json(c.at_point.f1)},
                            {"false_positives_per_image", to_json(c.at_point.fp_per_image)},
                            {"false_positives_per_mm2", to_json(c.at_point.fp_per_mm2)}};
    k["precision"] = list_json(c.precision);
    k["recall"] = list_json(c.recall);
    k["f1"] = list_json(c.f1);
    k["froc_per_image"] = froc_json(c.per_image);
    if (!c.per_mm2.sensitivity.empty()) k["froc_per_mm2"] = froc_json(c.per_mm2);
    k["counts"] = counts_json(c.counts);
    k["calibration"] = calibration_json(c.calibration);
    if (!c.slides.empty()) k["slides"] = slides_json(c.slides);
    j["classes"].push_back(std::move(k));
  }
  Json rows = Json::array();
  for (size_t row = 0; row <= s.confusion.classes; ++row) {
    Json cells = Json::array();
    for (size_t c = 0; c <= s.confusion.classes; ++c) cells.push_back(to_json(s.confusion.at(row, c)));
    rows.push_back(std::move(cells));
  }
  std::vector<std::string> names = s.names;
  names.emplace_back("background");
  j["confusion"] = {{"classes", names}, {"axes", "cells[truth][taken for]"}, {"cells", rows}};
  j["notes"] = s.notes;
  return j;
}

}  // namespace cytodet::eval
