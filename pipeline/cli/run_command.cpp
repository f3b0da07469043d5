// run.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "core/error.h"
#include "core/file.h"
#include "core/output_plan.h"
#include "core/settings.h"
#include "core/timing.h"
#include "eval/coco.h"
#include "eval/comparison.h"
#include "graph/io/tensorflow/graph_def.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/evaluate_classifier.h"
#include "pipeline/cli/run_classification.h"
#include "pipeline/config/run_config.h"
#include "pipeline/detect/files_read.h"
#include "pipeline/detect/run_detection.h"
#include "pipeline/detect/run_writer.h"
#include "pipeline/detect/score_detections.h"
#include "pipeline/detect/stop_signal.h"
#include "pipeline/detect/timing_table.h"
#include "pipeline/quantize/quantize_run.h"
#include "pipeline/results/folder_manifest.h"

namespace cytodet::pipeline {
namespace {

ScoreOptions score_options(const RunConfig& c, const DetectionSet& set, const ScoredImages& images) {
  ScoreOptions options;
  if (c.evaluate.max_dets == options.max_dets) {
    follow_slides(options, set, images);
    return options;
  }
  options.max_dets = c.evaluate.max_dets;
  return options;
}

constexpr const char* kScores = "scores.json";

int run_float(const RunConfig& c, FolderOptions options) {
  Detector detector(with_settings(load_model(c.model), c.detect), c.detect);
  if (!c.truth.empty()) options.run_also = {kScores};
  const FolderRun run = detect_to_folder(detector, c, options);
  if (run.signal) end_by(run.signal);
  if (!c.truth.empty()) {
    GroundTruth truth = read_ground_truth(c.truth);
    DetectionSet set = to_set({c.output}, run.state, truth);
    keep_in_roi(c.detect.roi, places_of(run.state, c.detect.origin), truth, set, roi_choice(c.detect));
    Scores scores = score(truth, set, score_options(c, set, scored_images(run.state, truth)));
    warn(scores.warnings);
    std::fputs((to_text(scores) + "\n").c_str(), stdout);
    if (c.evaluate.per_class) std::fputs((class_table(scores) + "\n").c_str(), stdout);
    add_run_file(c.output, kScores, to_json(scores, true).dump(1) + "\n");
  }
  std::fputs(timing_table(run.report).c_str(), stdout);
  std::printf("results in %s\n", c.output.c_str());
  return exit_of(run);
}

// One precision of the comparison.
struct Row {
  std::string precision;
  std::vector<double> stats;  // empty without ground truth
  double ms = 0, rate = 0;    // the network's median per image; images per second of the whole pipeline
  int64_t bytes = 0;          // of the graph file
  int code = 0;
  DetectionSet set;     // with ground truth
  ScoreOptions scored;  // and how it was scored
  CountingScores counting;
};

Row measured(const std::string& precision, const std::filesystem::path& model, RunConfig c, FolderOptions options) {
  c.model = model.string();
  c.output = (std::filesystem::path(c.output) / precision).string();
  Detector detector(with_settings(load_model(c.model), c.detect), c.detect);
  if (!c.truth.empty()) options.run_also = {kScores};
  const FolderRun run = detect_to_folder(detector, c, options);
  if (run.signal) end_by(run.signal);
  Row row{precision,    {}, 0,  0, static_cast<int64_t>(std::filesystem::file_size(detector.model().graph)),
          exit_of(run), {}, {}, {}};
  row.counting = counting_of(run.state);
  if (!c.truth.empty()) {
    GroundTruth truth = truth_of(read_ground_truth(c.truth), c.inputs);
    DetectionSet set = to_set({c.output}, run.state, truth);
    keep_in_roi(c.detect.roi, places_of(run.state, c.detect.origin), truth, set, roi_choice(c.detect));
    row.scored = score_options(c, set, scored_images(run.state, truth));
    const Scores scores = score(truth, set, row.scored);
    warn(scores.warnings);
    row.stats = scores.stats;
    row.set = std::move(set);
    add_run_file(c.output, kScores, to_json(scores, true).dump(1) + "\n");
  }
  std::vector<double> ms;
  for (const DetectedImage& r : run.report.images)
    if (r.done()) ms.push_back(1000 * r.times.network);
  row.ms = median(ms);
  row.rate = 1000 * static_cast<double>(ms.size()) / run.report.wall_ms;
  return row;
}

std::string comparison_table(const std::vector<Row>& rows) {
  std::string text = "precision     mAP    AP50    AP75  ms/image  images/s  file MB\n";
  for (const Row& r : rows) {
    char line[120];
    std::snprintf(line, sizeof line, "%-9s", r.precision.c_str());
    text += line;
    for (size_t i = 0; i < 3; ++i) {
      std::snprintf(line, sizeof line, r.stats.empty() ? "%8s" : "%.0s%8.4f", "-", r.stats.empty() ? 0 : r.stats[i]);
      text += line;
    }
    std::snprintf(line, sizeof line, "%10.1f%10.1f%9.2f\n", r.ms, r.rate, static_cast<double>(r.bytes) / 1e6);
    text += line;
  }
  return text;
}

// Whether the last precision is worse than the first, by a paired bootstrap over the images.
Json compared(const Row& last, const Row& first, const RunConfig& c) {
  GroundTruth truth = truth_of(read_ground_truth(c.truth), c.inputs);
  DetectionSet nothing;
  keep_in_roi(c.detect.roi, places_of(c.detect.origin, c.inputs), truth, nothing, roi_choice(c.detect));
  const ModelFile model = load_model(c.model);
  Classes classes;
  for (int k = 0; k < model.class_count(); ++k) classes.add(model.category_id(k), model.classes[static_cast<size_t>(k)]);
  ComparisonOptions options;
  options.score = last.scored.max_dets.back() > first.scored.max_dets.back() ? last.scored : first.scored;
  options.operating_scores = scores_of_categories(truth, first.counting, classes);
  const Comparison result = compare(truth, last.set, first.set, options);
  std::fputs((last.precision + " (this) against " + first.precision + " (other)\n" + to_text(result, truth)).c_str(), stdout);
  return to_json(result, truth);
}

Json comparison_json(const std::vector<Row>& rows, const RunConfig& c, const Quantized& q) {
  Json j{{"settings", write_settings(c)}, {"int8_layers", q.report.int8_layers()}, {"layers", q.report.layers.size()}};
  j["precisions"] = Json::array();
  for (const Row& r : rows) {
    Json one{{"precision", r.precision}, {"ms_per_image", r.ms}, {"images_per_s", r.rate}, {"file_bytes", r.bytes}};
    if (!r.stats.empty()) one.update({{"AP", r.stats[0]}, {"AP50", r.stats[1]}, {"AP75", r.stats[2]}});
    j["precisions"].push_back(std::move(one));
  }
  return j;
}

void check_files(const RunConfig& c, const std::string& config, bool overwrite) {
  const std::filesystem::path folder = c.output;
  OutputPlan plan;
  plan.add_input(config, "the run config");
  add_config(plan.inputs(), c);
  for (const char* name : {"fp32.pb", "fp32.json", "int8.pb", "int8.json", "int8.pb.search.json", "int8.pb.rounding",
                           "ranges.json", "comparison.json"})
    plan.add_output(folder / name, "a result");
  plan.check();
  // The states of a search and of rounding are known by their content.
  if (!overwrite)
    FolderManifest(folder).require_ours({"fp32.pb", "fp32.json", "int8.pb", "int8.json", "ranges.json", "comparison.json"});
}

int run_int8(RunConfig c, const FolderOptions& folder_options) {
  make_folder(c.output);
  const std::filesystem::path folder = c.output, graph32 = folder / "fp32.pb", graph8 = folder / "int8.pb";
  QuantizationTarget target = read_target(c.model);
  if (!target.model) throw UsageError(c.model, "has no model file beside it", "see docs/model_file.md");
  if (c.quantize->max_drop >= 0 && c.truth.empty()) throw UsageError("quantize.max_drop", "needs truth and quantize.images");
  if (!c.truth.empty()) {
    std::vector<std::string> matching;
    c.inputs = images_in_ground_truth(read_ground_truth(c.truth), c.inputs, c.truth, matching);
    warn(matching);
  }
  FolderManifest manifest(folder);
  manifest.list_what_is_written();
  const Quantized q = write_both_precisions(target, c, folder);
  std::vector<Row> rows{measured("fp32", model_file_beside(graph32), c, folder_options)};
  if (has_precision(Precision::bf16)) {
    RunConfig bf16 = c;
    bf16.detect.precision = Precision::bf16;
    rows.push_back(measured("bf16", model_file_beside(graph32), std::move(bf16), folder_options));
  }
  rows.push_back(measured("int8", model_file_beside(graph8), c, folder_options));
  std::fputs(comparison_table(rows).c_str(), stdout);
  Json comparison = comparison_json(rows, c, q);
  if (!c.truth.empty()) comparison["int8_against_fp32"] = compared(rows.back(), rows.front(), c);
  write_file(folder / "comparison.json", json_text(comparison));
  std::printf("%d of %zu layers in INT8; results in %s\n", q.report.int8_layers(), q.report.layers.size(), c.output.c_str());
  return std::max_element(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.code < b.code; })->code;
}

}  // namespace

std::function<int()> setup_run(CLI::App& app) {
  struct Options {
    std::string config;
    FolderOptions folder;
  };
  auto o = std::make_shared<Options>();
  app.add_option("CONFIG", o->config, "Run config (.json)")->required();
  app.add_flag("--resume", o->folder.resume, "Keep the slides that an earlier start finished with the same settings");
  app.add_flag(
      "--overwrite", o->folder.overwrite,
      "Also replace results of a version that kept no list of its files, where their content proves that they are its own");
  app.add_flag("--quiet", o->folder.log.quiet, "No progress");
  return [o] {
    RunConfig c = read_run_config(o->config);
    o->folder.read_also = {o->config};
    if (is_classification_model(c.model)) {
      if (o->folder.resume) throw UsageError(o->config, "classifies images, which goes without --resume", "leave it out");
      return run_classification(c, o->config, o->folder.overwrite, o->folder.log.quiet);
    }
    if (!c.quantize) {
      OutputPlan plan;
      plan.add_input(o->config, "the run config");
      add_config(plan.inputs(), c);
      if (!c.truth.empty()) plan.add_output(std::filesystem::path(c.output) / "scores.json", "the scores");
      plan.check();
      return run_float(c, o->folder);
    }
    if (o->folder.resume || o->folder.log.quiet)
      throw UsageError(o->config, "compares precisions (quantize), which goes without --resume and --quiet", "leave them out");
    check_files(c, o->config, o->folder.overwrite);
    return run_int8(std::move(c), o->folder);
  };
}

}  // namespace cytodet::pipeline
