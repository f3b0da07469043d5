#include "pipeline/cli/evaluate_figures.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "core/error.h"
#include "core/messages.h"
#include "core/settings.h"
#include "core/text_width.h"
#include "eval/screening_report.h"
#include "pipeline/detect/detector.h"
#include "pipeline/detect/slide_labels.h"

namespace cytodet::pipeline {
namespace {

std::filesystem::path model_file_of(const std::string& model) {
  std::filesystem::path path = model;
  return path.extension() == ".json" ? path : path.replace_extension(".json");
}

FigureReached reached(const Estimate& e) {
  // Rounded to what is far below the width of an interval.
  const auto known = [](double v) { return std::isfinite(v) ? std::optional(std::round(v * 1e6) / 1e6) : std::nullopt; };
  FigureReached f;
  f.value = known(e.value);
  if (e.interval) f.low = known(e.interval->low), f.high = known(e.interval->high);
  return f;
}

OperatingScore operating_score_of(const std::string& name, const OperatingPoint& p) {
  OperatingScore s;
  s.name = name;
  s.problem = p.problem;
  if (!p.score) return s;
  s.score = *p.score;
  if (p.interval) s.low = std::round(p.interval->low * 1e6) / 1e6, s.high = std::round(p.interval->high * 1e6) / 1e6;
  s.precision = reached(p.figures.precision);
  s.recall = reached(p.figures.recall);
  s.f1 = reached(p.figures.f1);
  s.false_positives_per_image = reached(p.figures.fp_per_image);
  return s;
}

// The operating points of the model's classes. Throws where a class that has ground truth does not reach the rule.
OperatingScores find_points(const FigureFlags& flags, const FigureInputs& in, const ModelFile& model) {
  const OperatingRule rule = operating_rule(flags.operating_point);
  const std::vector<ClassOutcomes> outcomes = find_class_outcomes(in.truth, in.set, {flags.iou, flags.bootstrap.threads});
  const Bootstrap bootstrap(in.truth.images.size(), flags.bootstrap);
  OperatingScores all;
  all.rule = rule.text;
  all.iou = flags.iou;
  all.truth = std::filesystem::path(in.truth_file).filename().string();
  all.data_hash = in.data_hash;
  all.graph_hash = in.graph_hash;
  all.images = static_cast<int>(in.truth.images.size());
  all.resamples = bootstrap.has_intervals() ? flags.bootstrap.resamples : 0;
  all.level = flags.bootstrap.level;
  std::string unmet;
  for (int c = 0; c < model.class_count(); ++c) {
    const std::string& name = model.classes[static_cast<size_t>(c)];
    const int category = in.truth.category_of_class(model.category_id(c), name);
    OperatingPoint p;
    p.problem = "the ground truth has no such category";
    if (category >= 0) p = find_operating_point(outcomes[static_cast<size_t>(category)], rule, in.images.mm2, bootstrap);
    all.classes.push_back(operating_score_of(name, p));
    if (p.score && *p.score > 1)
      throw Error("--operating-point", "chooses score " + Json(*p.score).dump() + " for " + name + ", and scores are 0 to 1",
                  "divide the scores of the detections by their largest possible one");
    if (p.score) continue;
    const bool has_truth = category >= 0 && outcomes[static_cast<size_t>(category)].truth_count > 0;
    if (has_truth)
      unmet += (unmet.empty() ? "" : "; ") + name + ": " + p.problem;
    else
      print_warning(name + ": " + p.problem + "; its operating point is the default, " + Json(kDefaultOperatingScore).dump());
  }
  if (!unmet.empty())
    throw Error("--operating-point " + rule.text, "is not met, and nothing is written: " + unmet, "choose a rule that is");
  return all;
}

ScreeningOptions screening_options(const FigureFlags& flags, const FigureInputs& in, std::vector<double> scores,
                                   const ScoreOptions& options) {
  ScreeningOptions o;
  o.score = options;
  o.iou = flags.iou;
  o.bootstrap = flags.bootstrap;
  o.operating_scores = std::move(scores);
  o.mm2 = in.images.mm2;
  if (!flags.slide_labels.empty()) o.labels = read_slide_labels(flags.slide_labels, in.truth);
  return o;
}

std::string point_text(const CountingScores& counting, const std::vector<std::string>& classes) {
  const std::string text = text_of(counting, classes);
  return "boxes count " + printable(text.empty() ? "from score 0.4 on: default, as the results say nothing of it" : text) + "\n";
}

}  // namespace

void FigureFlags::add(CLI::App& app) {
  app.add_flag("--figures", figures, "Figures for screening and counting, with intervals (docs/operating_point.md)");
  app.add_option(
      "--operating-point", operating_point,
      "Find the score from which boxes count by a rule, and write it into the model file: f1, fbeta:2, count, recall>=0.95, "
      "precision>=0.9, fp-per-image<=1, fp-per-mm2<=5");
  app.add_option("--model-out", model_out,
                 "With --operating-point: model file (.json) that is written instead of the model's own");
  app.add_option("--operating-score", operating_score, "Score from which boxes of all classes count, instead of the model file's")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--against", against, "Other results of the same images (COCO results or run folder): is one set better?");
  app.add_option("--slide-labels", slide_labels, "Table (.csv) of image and label 1 or 0: how well slide scores tell them apart");
  app.add_option("--bootstrap", bootstrap.resamples, "Resamples of the images for intervals; 0: none")
      ->check(CLI::Range(0, 100000))
      ->capture_default_str();
  app.add_option("--seed", bootstrap.seed, "Seed of the resamples")->capture_default_str();
  app.add_option("--match-iou", iou, "Least overlap of a box with the truth that it finds, for these figures")
      ->check(CLI::Range(0.01, 1.0))
      ->capture_default_str();
}

CountingScores run_figures(const FigureFlags& flags, const FigureInputs& in, const ScoreOptions& options, Json& report) {
  CountingScores counting = in.counting;
  if (!flags.operating_point.empty()) {
    const ModelFile model = load_model(in.model);
    const OperatingScores points = find_points(flags, in, model);
    ModelFile with = model;
    with.operating_scores = points;
    const std::filesystem::path file = flags.model_out.empty() ? model_file_of(in.model) : std::filesystem::path(flags.model_out);
    if (flags.model_out.empty())
      write_operating_scores(file, points);
    else
      write_model_file(with, file);
    counting = counting_scores(with, {}, in.graph_hash);
    report["operating_point"] = write_settings(points);
    std::printf("\n%s found on %zu images and written into %s\n", flags.operating_point.c_str(), in.truth.images.size(),
                file.c_str());
  }
  const std::optional<OperatingScores> known = in.model.empty() ? std::nullopt : load_model(in.model).operating_scores;
  if (!flags.operating_point.empty() || (known && known->data_hash == in.data_hash))
    print_warning("the operating point was chosen on these images: what it reaches on others may be less");
  std::fputs(("\n" + point_text(counting, in.classes.names())).c_str(), stdout);
  const Screening s =
      screen(in.truth, in.set, screening_options(flags, in, scores_of_categories(in.truth, counting, in.classes), options));
  std::fputs(to_text(s).c_str(), stdout);
  report["figures"] = to_json(s);
  return counting;
}

void FigureFlags::check() const {
  if (!model_out.empty() && operating_point.empty()) throw UsageError("--model-out", "goes with --operating-point");
  if (!model_out.empty() && std::filesystem::path(model_out).extension() != ".json")
    throw UsageError("--model-out " + model_out, "must end in .json, as model files do");
  if (!operating_point.empty()) operating_rule(operating_point);
}

void run_comparison(const FigureFlags& flags, const FigureInputs& in, const DetectionSet& other, const ScoreOptions& options,
                    Json& report) {
  ComparisonOptions o;
  o.score = options;
  o.iou = flags.iou;
  o.bootstrap = flags.bootstrap;
  o.operating_scores = scores_of_categories(in.truth, in.counting, in.classes);
  const Comparison c = compare(in.truth, in.set, other, o);
  std::fputs(("\nagainst " + printable(flags.against) + ", boxes that count in both alike\n" + to_text(c, in.truth)).c_str(),
             stdout);
  report["against"] = to_json(c, in.truth);
  report["against"]["results"] = flags.against;
}

}  // namespace cytodet::pipeline
