#include "pipeline/report/screening_section.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "core/shortest_number.h"
#include "pipeline/report/chart.h"
#include "pipeline/report/html.h"

namespace cytodet::pipeline {
namespace {

constexpr std::ptrdiff_t kMaxCharts = 24;
constexpr const char *kPrecisionColour = "#2f6fb0", *kRecallColour = "#d9822b", *kF1Colour = "#5a9e5a";

std::string cell_of(const Estimate& e, int decimals = 3) { return std::isfinite(e.value) ? text_of(e, decimals) : "&ndash;"; }
std::string value_of(const Estimate& e, int decimals = 3) { return cell_of({e.value, std::nullopt}, decimals); }

std::vector<SvgPoint> points_of(const std::vector<Estimate>& list, double Interval::*end) {
  std::vector<SvgPoint> points;
  for (size_t i = 0; i < list.size(); ++i) {
    if (!std::isfinite(list[i].value) || (end && !list[i].interval)) continue;
    points.push_back({static_cast<double>(i) / static_cast<double>(kScoreSteps), end ? (*list[i].interval).*end : list[i].value});
  }
  return points;
}

class Section {
 public:
  explicit Section(const Screening& s) : s_(s) {}

  std::string text() {
    point();
    counts();
    froc();
    confusion();
    calibration();
    slides();
    if (s_.classes.size() > static_cast<size_t>(kMaxCharts))
      out_ += "<p>Charts are of the " + std::to_string(kMaxCharts) + " classes with most cells.</p>\n";
    for (const std::string& note : s_.notes) out_ += "<p class=\"warning\">" + escape_html(note) + "</p>\n";
    return out_;
  }

 private:
  // Among many classes, those with most cells.
  bool has_chart(const ScreeningClass& c) const {
    const auto larger = std::count_if(s_.classes.begin(), s_.classes.end(), [&](const ScreeningClass& k) {
      return k.truths > c.truths || (k.truths == c.truths && &k < &c);
    });
    return larger < kMaxCharts;
  }
  void heading(const std::string& title, const std::string& what) { out_ += "<h3>" + title + "</h3>\n<p>" + what + "</p>\n"; }
  void plots(const std::string& charts) { out_ += "<div class=\"pictures\">" + charts + "</div>\n"; }

  void point() {
    std::string what =
        "For boxes that count; a box is right that overlaps a cell of the truth by an IoU of at least " + shortest(s_.iou) + ".";
    const bool intervals = s_.images > 1 && s_.bootstrap.resamples > 0;
    if (intervals)
      what += " In brackets " + shortest(s_.bootstrap.level * 100) + " % intervals over " + grouped(s_.bootstrap.resamples) +
              " resamples of the " + grouped(static_cast<int64_t>(s_.images)) + " images.";
    out_ += "<p>AP " + cell_of(s_.ap) + ", AP50 " + cell_of(s_.ap50) + ", AP75 " + cell_of(s_.ap75) + ".</p>\n";
    heading("Operating point", what);
    std::vector<std::vector<std::string>> rows;
    const bool areas = std::any_of(s_.classes.begin(), s_.classes.end(),
                                   [](const ScreeningClass& c) { return std::isfinite(c.at_point.fp_per_mm2.value); });
    for (const ScreeningClass& c : s_.classes) {
      rows.push_back({escape_html(c.name), std::isnan(c.operating_score) ? "&ndash;" : shortest(c.operating_score),
                      grouped(c.truths), cell_of(c.at_point.precision), cell_of(c.at_point.recall), cell_of(c.at_point.f1),
                      cell_of(c.at_point.fp_per_image, 2), cell_of(c.ap)});
      if (areas) rows.back().push_back(cell_of(c.at_point.fp_per_mm2, 1));
    }
    std::vector<std::string> head = {"class", "score", "truths", "precision", "recall", "F1", "false per image", "AP"};
    if (areas) head.emplace_back("false per mm&sup2;");
    out_ += table(head, rows);
    std::string charts;
    for (const ScreeningClass& c : s_.classes)
      if (c.detections && has_chart(c)) charts += curves_of(c);
    plots(charts);
  }

  static std::string curves_of(const ScreeningClass& c) {
    Chart chart("precision, recall and F1 over the score", share_axis("score"), share_axis(""), c.name);
    const auto add = [&](const std::vector<Estimate>& list, const char* colour, const char* name) {
      chart.band(points_of(list, &Interval::low), points_of(list, &Interval::high), colour);
      chart.line(points_of(list, nullptr), colour);
      chart.key(name, colour);
    };
    add(c.precision, kPrecisionColour, "precision");
    add(c.recall, kRecallColour, "recall");
    add(c.f1, kF1Colour, "F1");
    if (!std::isnan(c.operating_score)) chart.vertical(c.operating_score, shortest(c.operating_score));
    return chart.finish();
  }

  void counts() {
    heading("Counts",
            "Boxes that count against cells of the truth, per image. Between the limits of agreement (dashed) 95 % of "
            "the differences lie; concordance is Lin's, 1 for equal counts.");
    std::vector<std::vector<std::string>> rows;
    std::string charts;
    for (size_t i = 0; i < s_.classes.size(); ++i) {
      const CountAgreement& a = s_.classes[i].counts;
      rows.push_back({escape_html(s_.classes[i].name), cell_of(a.bias, 2), value_of(a.lower, 2) + " to " + value_of(a.upper, 2),
                      cell_of(a.concordance), cell_of(a.mean_error, 2), cell_of(a.mean_relative_error),
                      cell_of(a.total_relative_error)});
      if (!a.pairs.empty() && has_chart(s_.classes[i])) charts += counts_of(s_.classes[i], css_colour(static_cast<int>(i)));
    }
    out_ += table(
        {"class", "bias", "limits of agreement", "concordance", "mean error", "mean relative error", "error of the sum"}, rows);
    plots(charts);
  }

  static std::string counts_of(const ScreeningClass& c, const std::string& colour) {
    double max = 1;
    for (const CountPair& p : c.counts.pairs) max = std::max({max, p.truth, p.found});
    Chart chart("counts against the truth", linear_axis("cells of the truth", 0, max), linear_axis("boxes that count", 0, max),
                c.name);
    // Parallel to the line of equal counts, cut where it leaves the chart.
    const auto parallel = [&](double shift, const char* attributes) {
      const double first = std::max(0.0, -shift), last = std::min(max, max - shift);
      if (first < last)
        chart.line(std::vector<SvgPoint>{{first, first + shift}, {last, last + shift}}, "currentColor", attributes);
    };
    parallel(0, "stroke-width=\"1\"");
    chart.key("equal", "currentColor");
    if (std::isfinite(c.counts.lower.value)) {
      parallel(c.counts.lower.value, "stroke-width=\"1\" stroke-dasharray=\"4 3\"");
      parallel(c.counts.upper.value, "stroke-width=\"1\" stroke-dasharray=\"4 3\"");
      chart.key("95 % limits", "currentColor", true);
    }
    std::map<std::pair<double, double>, int64_t> dots;  // equal ones are one
    for (const CountPair& p : c.counts.pairs) ++dots[{p.truth, p.found}];
    for (const auto& [dot, images] : dots)
      chart.dot(
          {dot.first, dot.second}, colour,
          shortest(dot.first) + " in truth, " + shortest(dot.second) + (images > 1 ? ": " + grouped(images) + " images" : ""));
    return chart.finish();
  }

  void froc() {
    heading("FROC", "Share of the cells that are found, over false boxes per image, as the score from which boxes count falls.");
    std::vector<std::string> head = {"class"};
    for (const double rate : kFrocRates) head.push_back("at " + shortest(rate));
    head.emplace_back("mean");
    std::vector<std::vector<std::string>> rows;
    std::string charts = froc_chart(&ScreeningClass::per_image, "false boxes per image");
    for (const ScreeningClass& c : s_.classes) rows.push_back(froc_row(c.name, c.per_image));
    const bool areas = !s_.classes.empty() && !s_.classes[0].per_mm2.sensitivity.empty();
    if (areas) {
      for (const ScreeningClass& c : s_.classes) rows.push_back(froc_row(c.name + ", per mm²", c.per_mm2));
      charts += froc_chart(&ScreeningClass::per_mm2, "false boxes per mm²");
    }
    out_ += table(head, rows);
    plots(charts);
  }

  static std::vector<std::string> froc_row(const std::string& name, const Froc& f) {
    std::vector<std::string> row = {escape_html(name)};
    for (const Estimate& e : f.sensitivity) row.push_back(cell_of(e));
    row.push_back(cell_of(f.mean));
    return row;
  }

  std::string froc_chart(Froc ScreeningClass::*which, const char* title) const {
    constexpr double kMinRate = 0.125, kMaxRate = 16;
    Chart chart("FROC", {title, kMinRate, kMaxRate, {kMinRate, 0.5, 2, 8}, true}, share_axis("sensitivity"));
    for (size_t i = 0; i < s_.classes.size(); ++i) {
      std::vector<SvgPoint> points;
      double last = kMinRate;
      for (const FrocPoint& p : (s_.classes[i].*which).curve) {
        if (p.rate > kMaxRate) break;
        last = std::max(kMinRate, p.rate);
        if (p.rate <= kMinRate) points.clear();
        // A step: the sensitivity rises where its false boxes are reached.
        if (!points.empty() && p.sensitivity == points.back().y) continue;
        if (!points.empty()) points.push_back({last, points.back().y});
        points.push_back({last, p.sensitivity});
      }
      if (!points.empty()) points.push_back({last, points.back().y});
      if (points.empty()) continue;
      chart.line(points, css_colour(static_cast<int>(i)));
      if (i < 11) chart.key(s_.classes[i].name, css_colour(static_cast<int>(i)));
    }
    return chart.finish();
  }

  void confusion() {
    heading("Confusion", "Rows: what the truth says; columns: what it was taken for, at the operating point.");
    if (s_.confusion.classes > kMaxInTable) {
      std::vector<std::vector<std::string>> confusions;
      for (const FrequentConfusion& f : frequent_confusions(s_.confusion))
        confusions.push_back({escape_html(s_.names[f.truth]), escape_html(s_.names[f.taken_for]), cell_of(f.count, 0)});
      out_ += "<p>The most frequent confusions of classes.</p>\n" + table({"truth", "taken for", "boxes"}, confusions, 2);
      return;
    }
    std::vector<std::string> head = {"truth"};
    for (const std::string& name : s_.names) head.push_back(escape_html(name));
    head.emplace_back("background");
    std::vector<std::vector<std::string>> rows;
    for (size_t r = 0; r <= s_.confusion.classes; ++r) {
      std::vector<std::string> row = {r < s_.names.size() ? escape_html(s_.names[r]) : "background"};
      for (size_t c = 0; c <= s_.confusion.classes; ++c)
        row.push_back(r == c && r == s_.confusion.classes ? "" : cell_of(s_.confusion.at(r, c), 0));
      rows.push_back(std::move(row));
    }
    out_ += table(head, rows);
  }

  void calibration() {
    heading("Calibration",
            "Whether scores are probabilities: the share of boxes that are right, over their mean score, in bins of "
            "a tenth. ECE is the mean distance from the diagonal.");
    std::vector<std::vector<std::string>> rows;
    std::string charts;
    for (size_t i = 0; i < s_.classes.size(); ++i) {
      const ScreeningClass& c = s_.classes[i];
      rows.push_back({escape_html(c.name), grouped(c.detections), cell_of(c.calibration.ece)});
      if (c.detections && has_chart(c)) charts += calibration_of(c, css_colour(static_cast<int>(i)));
    }
    out_ += table({"class", "boxes", "ECE"}, rows);
    plots(charts);
  }

  static std::string calibration_of(const ScreeningClass& c, const std::string& colour) {
    Chart chart("share of right boxes over the score", share_axis("mean score"), share_axis("share that is right"), c.name);
    chart.line(std::vector<SvgPoint>{{0, 0}, {1, 1}}, "currentColor", "stroke-width=\"1\" stroke-dasharray=\"4 3\"");
    chart.key("calibrated", "currentColor", true);
    std::vector<SvgPoint> points;
    for (const CalibrationBin& b : c.calibration.bins) {
      if (!b.detections) continue;
      points.push_back({b.mean_score, b.precision.value});
      if (b.precision.interval) chart.whisker(b.mean_score, b.precision.interval->low, b.precision.interval->high, colour);
    }
    chart.line(points, colour);
    for (const CalibrationBin& b : c.calibration.bins)
      if (b.detections) chart.dot({b.mean_score, b.precision.value}, colour, grouped(b.detections) + " boxes");
    return chart.finish();
  }

  void slides() {
    if (s_.classes.empty() || s_.classes[0].slides.empty()) return;
    heading("Slides", "How well a score of a slide tells positive slides from negative ones.");
    std::vector<std::string> head = {"class", "score of a slide", "AUC"};
    for (const double v : kSpecificities) head.push_back("sensitivity at " + shortest(v) + " specificity");
    std::vector<std::vector<std::string>> rows;
    std::string charts;
    static const char* const kColours[] = {kPrecisionColour, kRecallColour, kF1Colour};
    for (const ScreeningClass& c : s_.classes) {
      Chart chart("ROC", share_axis("1 - specificity"), share_axis("sensitivity"), c.name);
      for (size_t k = 0; k < c.slides.size(); ++k) {
        const Roc& r = c.slides[k];
        std::vector<std::string> row = {escape_html(c.name), name_of(kSlideScores[k]), cell_of(r.auc)};
        for (const Estimate& e : r.sensitivity) row.push_back(cell_of(e));
        rows.push_back(std::move(row));
        std::vector<SvgPoint> points;
        for (const RocPoint& p : r.curve) points.push_back({p.false_positive_rate, p.sensitivity});
        chart.line(points, kColours[k]);
        chart.key(kSlideScores[k] == SlideScore::mean_of_top ? "mean of top" : name_of(kSlideScores[k]), kColours[k]);
      }
      if (has_chart(c)) charts += chart.finish();
    }
    out_ += table(head, rows, 2);
    plots(charts);
  }

  const Screening& s_;
  std::string out_;
};

}  // namespace

std::string screening_section(const Screening& s) { return Section(s).text(); }

}  // namespace cytodet::pipeline
