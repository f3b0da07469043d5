// cytodet evaluate: detections scored against COCO ground truth, classes against labels.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/messages.h"
#include "core/output_plan.h"
#include "core/settings.h"
#include "core/text_width.h"
#include "eval/coco.h"
#include "models/registry.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/detect_flags.h"
#include "pipeline/cli/evaluate_cascade.h"
#include "pipeline/cli/evaluate_classifier.h"
#include "pipeline/cli/evaluate_figures.h"
#include "pipeline/detect/files_read.h"
#include "pipeline/detect/score_detections.h"
#include "pipeline/detect/slide_labels.h"
#include "pipeline/detect/timing_table.h"
#include "pipeline/inputs/slide_files.h"
#include "pipeline/report/error_report.h"

namespace cytodet::pipeline {
namespace {

struct EvaluateOptions : DetectFlags {
  std::string truth, detections_file, out;
  std::vector<std::string> images;
  std::vector<int> max_dets;
  bool map = false, timing = false, curves = false, id0 = false, pooled = false;
  ErrorReport errors;
  FigureFlags figures;
  LabelEvaluation labels;
};

void add_options(CLI::App& app, EvaluateOptions* o) {
  o->add(app);
  o->errors.add(app);
  o->figures.add(app);
  o->labels.add(app);
  app.remove_option(app.get_option("--detections"));
  app.add_option("--truth", o->truth, "COCO ground truth of detections");
  app.add_option("--detections", o->detections_file, "COCO results to score, or a run folder");
  app.add_option("--images", o->images,
                 "Images, slides or folders: with --model to detect on, with --worst to draw; for a classification network "
                 "labelled images: a folder per class, tables (.csv), TFRecord files");
  app.add_flag("--map", o->map, "COCO's figures and the table per class (the default)");
  app.add_flag("--timing", o->timing, "The timing table");
  app.add_option("--max-dets", o->max_dets, "Detections per image and class that are scored: one number, or an ascending list")
      ->delimiter(',');
  app.add_flag("--pooled", o->pooled, "All classes as one");
  app.add_flag("--pycocotools-id0", o->id0, "Count matches with annotation id 0 as misses, as pycocotools does");
  app.add_flag("--curves", o->curves, "Precision-recall data in the report");
  app.add_option("-o,--out", o->out, "Report (.json)");
}

void check_files(const EvaluateOptions& o) {
  OutputPlan plan;
  if (!o.config.empty()) add_config(plan.inputs(), read_run_config(o.config));
  plan.add_input(o.config, "the run config");
  add_model(plan.inputs(), o.model);
  for (const std::string& model : o.labels.compare) add_model(plan.inputs(), model);
  plan.add_input(o.truth, "the ground truth");
  plan.add_input(o.detections_file, "the detections");
  plan.add_input(o.figures.against, "the results that are compared");
  plan.add_input(o.figures.slide_labels, "the labels of slides");
  add_images(plan.inputs(), o.images);
  add_regions(plan.inputs(), o.roi);
  plan.add_output(o.out, "the report");
  plan.add_output(o.figures.model_out, "the model file");
  plan.add_output(o.errors.worst, "the picture of errors");
  check_outputs(plan);
}

ScoreOptions score_options(const EvaluateOptions& o) {
  ScoreOptions options;
  if (o.max_dets.size() == 1)
    options.max_dets = {std::min(1, o.max_dets[0]), std::min(10, o.max_dets[0]), o.max_dets[0]};
  else if (!o.max_dets.empty())
    options.max_dets = o.max_dets;
  options.use_categories = !o.pooled;
  options.pycocotools_id0 = o.id0;
  return options;
}

// What is scored, and where it comes from.
struct Scored {
  DetectionSet set;
  std::vector<std::string> inputs;  // files of the ground truth's images; may be empty
  std::string roi;
  Origin origin = Origin::bounds;
  RoiChoice choice;
  ImageSelection selection;
  Json report = Json::object();  // timing and settings, where the program detected
  std::string timing_table;
  ScoredImages images;
  CountingScores counting;  // of `classes`
  Classes classes;
  std::string data_hash, graph_hash;
  std::optional<CascadeRuns> cascade;
  int code = 0;
};

// COCO results, also where a run folder is named.
std::string results_file(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) return path;
  return RunFolder{path}.detections_json().string();
}

Classes classes_of(const ModelFile& model) {
  Classes classes;
  for (int c = 0; c < model.class_count(); ++c) classes.add(model.category_id(c), model.classes[static_cast<size_t>(c)]);
  return classes;
}

Classes classes_of(const RunState& run) {
  Classes classes;
  for (size_t c = 0; c < run.model.classes.size(); ++c) classes.add(run.model.category_ids[c], run.model.classes[c]);
  return classes;
}

Classes classes_of(const GroundTruth& truth) {
  Classes classes;
  for (const GroundTruthCategory& c : truth.categories) classes.add(c.id, c.name);
  return classes;
}

Scored read_given(const EvaluateOptions& o, const GroundTruth& truth) {
  if ((!o.images.empty() && o.errors.worst.empty()) || (!o.model.empty() && !o.figures.wanted()))
    throw UsageError("cytodet evaluate", "takes --detections, or --model and --images, not both");
  Scored s;
  s.roi = o.roi;
  if (!o.origin.empty()) s.origin = origin_named(o.origin, "--origin");
  s.choice = {o.roi_class, o.roi_ignore};
  const std::string file = results_file(o.detections_file);
  s.classes = classes_of(truth);
  s.set = read_detections(file, truth, paths_beside(file));
  if (const std::optional<RunState> run = run_beside(file)) {
    s.images = scored_images(*run, truth);
    if (!o.roi.empty()) s.images.mm2.clear();  // of other regions than those of the run
    s.classes = classes_of(*run);
    s.counting = counting_of(*run);
    s.graph_hash = run->model.graph_hash;
  }
  if (!o.model.empty()) {
    const ModelFile model = load_model(o.model);
    s.classes = classes_of(model);
    s.counting = counting_scores(model, {}, s.graph_hash);
  }
  if (o.figures.operating_score)
    s.counting = {kChosenPoint, std::vector<double>(s.classes.all().size(), *o.figures.operating_score)};
  if (o.figures.wanted()) s.data_hash = Hash().add(read_file(o.truth)).add(read_file(file)).text();
  if (!o.images.empty()) s.inputs = images_in_ground_truth(truth, o.images, o.truth, s.set.warnings);
  o.selection.apply(s.selection);
  if (o.timing) std::fputs("cytodet: warning: --timing needs --model and --images\n", stderr);
  return s;
}

Scored detect_now(const EvaluateOptions& o, const GroundTruth& truth) {
  RunConfig c = o.settings();
  if (!o.images.empty()) c.inputs = o.images;
  if (c.inputs.empty()) throw UsageError("cytodet evaluate", "needs --detections, or --model and --images");
  Scored s;
  s.roi = c.detect.roi;
  s.selection = c.detect.selection;
  s.choice = roi_choice(c.detect);
  s.origin = c.detect.origin;
  Detector detector = o.detector(c);
  std::vector<std::string> matching;
  s.inputs = images_in_ground_truth(truth, c.inputs, o.truth, matching);
  const auto report_problems = [](DetectedImage& r) {
    if (r.failed()) print_error(r.reason);
    for (const std::string& w : r.warnings) print_warning(r.path + ": " + w);
  };
  const DetectReport report = detect_with_progress(detector, s.inputs, c.detect, report_problems, o.quiet);
  s.set = to_set(report, truth, detector.model());
  s.set.warnings.insert(s.set.warnings.begin(), matching.begin(), matching.end());
  if (s.inputs.size() < truth.images.size())
    s.set.warnings.push_back(std::to_string(truth.images.size() - s.inputs.size()) +
                             " images of the ground truth were not given; their cells count as missed");
  std::vector<const ImageResult*> results;
  for (const DetectedImage& r : report.images) results.push_back(&r);
  s.images = scored_images(results, truth);
  s.classes = classes_of(detector.model());
  if (o.figures.wanted()) {
    s.graph_hash = Hash().add(read_file(detector.model().graph)).text();
    Hash data;
    data.add(read_file(o.truth));
    for (const std::string& file : s.inputs) data.add(slide_identity(file).hash);
    s.data_hash = data.text();
  }
  s.counting = counting_scores(detector.model(), o.figures.operating_score, s.graph_hash);
  s.report["timing"] = timing_json(report);
  s.report["timing"]["load_ms"] = detector.load_ms();
  s.report["settings"] = write_settings(c);
  if (o.timing) s.timing_table = timing_table(report);
  s.code = exit_of(report);
  if (c.detect.cascade) s.cascade = run_all_tiles(detector, truth, s.inputs, c.detect, report, o.quiet);
  return s;
}

int evaluate_labels(const EvaluateOptions& o, const RunConfig& c) {
  if (!o.truth.empty() || !o.detections_file.empty())
    throw UsageError(o.truth.empty() ? "--detections" : "--truth",
                     "is for detections, and " + c.model + " is a classification network",
                     "labels come with the images: a folder per class, a CSV or TFRecords");
  LabelEvaluation e = o.labels;
  e.model = c.model;
  e.images = o.images.empty() ? c.inputs : o.images;
  e.out = o.out;
  e.quiet = o.quiet;
  if (e.flags.batch == ClassifyFlags().batch) e.flags.batch = c.classify.batch;
  e.settings = c.classify;
  e.flags.streams = c.detect.streams;
  e.flags.threads = c.detect.threads_per_stream;
  e.flags.precision = c.detect.precision;
  return e.run();
}

// What is asked for fits together, which is said before any work.
void check_task(const EvaluateOptions& o) {
  if (!o.labels.results_file.empty()) throw UsageError("--results-file", "is for classification networks");
  if (!o.labels.compare.empty() && !o.detections_file.empty())
    throw UsageError("--compare", "needs --model and --images", "to compare results that are there: --against");
  if (o.truth.empty()) throw UsageError("cytodet evaluate", "needs --truth", "name the COCO ground truth");
}
void check_options(const EvaluateOptions& o) {
  o.figures.check();
  if (!o.figures.operating_point.empty() && o.model.empty() && o.config.empty())
    throw UsageError("--operating-point", "needs --model", "name the model file that it is written into");
  if (!o.errors.worst.empty() && !o.detections_file.empty() && o.images.empty())
    throw UsageError("--worst", "needs --images", "name the folder of the ground truth's images");
}

void keep_regions(const EvaluateOptions& o, const Scored& s, GroundTruth& truth, DetectionSet& set) {
  keep_in_roi(s.roi, places_of(s.origin, s.inputs.empty() ? files_beside(truth, o.truth) : s.inputs), truth, set, s.choice);
}

// The results of --against; nothing without it.
DetectionSet read_other(const EvaluateOptions& o, const Scored& s, GroundTruth& truth) {
  DetectionSet other;
  if (o.figures.against.empty()) return other;
  const std::string file = results_file(o.figures.against);
  other = read_detections(file, truth, paths_beside(file));
  keep_regions(o, s, truth, other);
  for (const std::string& warning : other.warnings) print_warning(o.figures.against + ": " + warning);
  return other;
}

void print_scores(const EvaluateOptions& o, const Scores& scores, Scored& s) {
  warn(scores.warnings);
  std::fputs((to_text(scores) + "\n" + class_table(scores)).c_str(), stdout);
  if (!s.timing_table.empty()) std::fputs(("\n" + s.timing_table).c_str(), stdout);
  const Json figures = to_json(scores, o.curves);
  for (auto it = figures.begin(); it != figures.end(); ++it) s.report[it.key()] = it.value();
}

// Figures for screening, at the operating point that is found here or known, and the comparison at the same one.
void run_all_figures(const EvaluateOptions& o, Scored& s, const GroundTruth& truth, const DetectionSet& other,
                     const ScoreOptions& options) {
  const std::string model = o.model.empty() && !o.config.empty() ? o.settings().model : o.model;
  FigureInputs in{truth, s.set, s.images, s.counting, s.classes, o.truth, model, s.data_hash, s.graph_hash};
  if (o.figures.tables()) in.counting = run_figures(o.figures, in, options, s.report);
  if (!o.figures.against.empty()) run_comparison(o.figures, in, other, options, s.report);
}

void report_cascade(const EvaluateOptions& o, Scored& s, GroundTruth& truth, const ScoreOptions& options) {
  keep_regions(o, s, truth, s.cascade->all_tiles);
  s.report["cascade"] = cascade_json(*s.cascade, truth, s.set, options, scores_of_categories(truth, s.counting, s.classes));
  std::fputs(("\n" + cascade_text(s.report["cascade"])).c_str(), stdout);
}

// A detector in the table of --compare.
struct ComparedRow {
  std::string name;
  double ap = 0, ap50 = 0, ap75 = 0, ms_per_image = 0, megabytes = 0;
};

ComparedRow compared_row(const std::string& model, const Scored& s, const Scores& scores) {
  const Json& timing = s.report["timing"];
  const auto images = timing["images"].get<double>();
  std::error_code error;
  const auto bytes = static_cast<double>(std::filesystem::file_size(load_model(model).graph, error));
  return {std::filesystem::path(model).stem().string(),
          scores.stats.at(0),
          scores.stats.at(1),
          scores.stats.at(2),
          images > 0 ? 1000 * timing["wall_s"].get<double>() / images : 0,
          error ? 0 : bytes / 1e6};
}

// The further detectors can be opened, which is known before the first has worked for hours.
void check_compared(const EvaluateOptions& o) {
  for (const std::string& model : o.labels.compare) {
    const ModelFile file = load_model(model);
    if (!std::filesystem::exists(file.graph)) throw Error(file.graph, "cannot open: no such file").within(model);
    make_detection_model(file);
  }
}

// What the further detectors find on the same images.
std::vector<Scored> detect_compared(const EvaluateOptions& o, GroundTruth& truth) {
  std::vector<Scored> all;
  for (const std::string& model : o.labels.compare) {
    EvaluateOptions other = o;
    other.model = model;
    Scored s = detect_now(other, truth);
    keep_regions(o, s, truth, s.set);
    all.push_back(std::move(s));
  }
  return all;
}

// The further detectors beside the first, and what each loses against it.
int compare_detectors(const EvaluateOptions& o, Scored& first, const Scores& first_scores, const std::vector<Scored>& others,
                      const GroundTruth& truth, const ScoreOptions& options) {
  std::vector<ComparedRow> rows{compared_row(o.settings().model, first, first_scores)};
  int code = 0;
  for (size_t i = 0; i < others.size(); ++i) {
    const Scores scores = score(truth, others[i].set, options);
    warn(scores.warnings);
    rows.push_back(compared_row(o.labels.compare[i], others[i], scores));
    code = std::max(code, others[i].code);
  }
  size_t width = 8;
  for (const ComparedRow& row : rows) width = std::max(width, std::min<size_t>(display_width(row.name), 40));
  std::printf("\n%s       AP     AP50     AP75  ms/image  file MB\n", left_aligned("", width).c_str());
  for (const ComparedRow& row : rows) {
    std::printf("%s  %7.4f  %7.4f  %7.4f  %8.1f  %7.2f\n", left_aligned(row.name, width).c_str(), row.ap, row.ap50, row.ap75,
                row.ms_per_image, row.megabytes);
    Json j{{"model", row.name}, {"AP", row.ap}, {"AP50", row.ap50}, {"AP75", row.ap75}, {"ms_per_image", row.ms_per_image}};
    if (&row != &rows.front()) {
      std::printf("%s  %7.4f  %7.4f  %7.4f\n", left_aligned("  drop", width).c_str(), rows[0].ap - row.ap,
                  rows[0].ap50 - row.ap50, rows[0].ap75 - row.ap75);
      j["AP_drop"] = rows[0].ap - row.ap;
    }
    first.report["compare"].push_back(j);
  }
  return code;
}

int evaluate(const EvaluateOptions& o) {
  if (!o.model.empty() || !o.config.empty()) {
    const RunConfig c = o.settings();
    if (is_classification_model(c.model)) {
      if (o.figures.wanted()) throw UsageError("--figures, --operating-point and --against", "are for detections");
      return evaluate_labels(o, c);
    }
    if (o.truth.empty()) load_model(c.model);  // what it cannot be read for comes before what is missing
  }
  check_task(o);
  check_files(o);
  check_options(o);
  check_compared(o);
  GroundTruth truth = read_ground_truth(o.truth);
  if (!o.figures.slide_labels.empty()) read_slide_labels(o.figures.slide_labels, truth);  // its errors come before the work
  ScoreOptions options = score_options(o);
  Scored s = o.detections_file.empty() ? detect_now(o, truth) : read_given(o, truth);
  keep_regions(o, s, truth, s.set);
  const DetectionSet other = read_other(o, s, truth);
  const std::vector<Scored> compared = detect_compared(o, truth);
  if (o.max_dets.empty()) {
    follow_slides(options, s.set, s.images);
    follow_slides(options, other, s.images);
    if (s.cascade) follow_slides(options, s.cascade->all_tiles, s.images);
    for (const Scored& c : compared) follow_slides(options, c.set, c.images);
  }
  const Scores scores = score(truth, s.set, options);
  print_scores(o, scores, s);
  if (s.cascade) report_cascade(o, s, truth, options);
  if (o.errors.wanted()) {
    ErrorOptions what;
    what.max_dets = options.max_dets.back();
    o.errors.run(truth, s.set, what, s.inputs, s.selection, s.report);
  }
  if (o.figures.wanted()) run_all_figures(o, s, truth, other, options);
  if (!o.labels.compare.empty()) s.code = std::max(s.code, compare_detectors(o, s, scores, compared, truth, options));
  if (!o.out.empty()) write_file(o.out, json_text(s.report));
  return s.code;
}

}  // namespace

std::function<int()> setup_evaluate(CLI::App& app) {
  auto o = std::make_shared<EvaluateOptions>();
  add_options(app, o.get());
  return [o] { return evaluate(*o); };
}

}  // namespace cytodet::pipeline
