// tune.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "core/file.h"
#include "core/messages.h"
#include "core/output_plan.h"
#include "core/progress.h"
#include "core/settings.h"
#include "core/text_width.h"
#include "core/timing.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/evaluate_classifier.h"
#include "pipeline/cli/selection_flags.h"
#include "pipeline/detect/files_read.h"
#include "pipeline/detect/score_detections.h"
#include "pipeline/tune/classification_evaluator.h"
#include "pipeline/tune/evaluator.h"
#include "pipeline/tune/plot.h"

namespace cytodet::pipeline {
namespace {

struct TuneOptions {
  std::string config, picking = "score", out;
  double budget = 0;
  bool exhaustive = false, quiet = false;
  SelectionFlags selection;
};

// Columns of the front: figures, then the settings that differ.
std::string front_table(const TuneSpace& space, const std::vector<TunePoint>& points, size_t picked, const std::string& unit,
                        const std::string& name) {
  std::vector<std::vector<std::string>> rows{{"", name, unit + "/s", "sum"}};
  for (const std::string& c : space.columns()) rows[0].push_back(c);
  const std::vector<double> sums = sum_scores(points);
  auto figure = [](const char* pattern, double v) {
    char text[32];
    std::snprintf(text, sizeof text, pattern, v);
    return std::string(text);
  };
  std::vector<size_t> shown = pareto_front(points);
  if (std::find(shown.begin(), shown.end(), picked) == shown.end()) shown.push_back(picked);
  for (size_t i : shown) {
    rows.push_back(
        {i == picked ? "*" : " ", figure("%.4f", points[i].map), figure("%.3g", points[i].per_second), figure("%.3f", sums[i])});
    for (const std::string& c : space.cells(points[i])) rows.back().push_back(c);
  }
  std::vector<size_t> widths(rows[0].size(), 1);
  for (const auto& row : rows)
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], display_width(row[c]));
  std::string text;
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) text += (c ? "  " : "") + right_aligned(row[c], widths[c]);
    text += "\n";
  }
  return text;
}

Json results_json(const TuneSpace& space, const TuneResult& result, const std::string& unit) {
  Json json{{"complete", result.complete}, {"unit", unit + "/s"}, {"settings", space.grid().points()}, {"pruned", result.pruned}};
  json["failed"] = Json::array();
  for (const TuneFailure& f : result.failures)
    json["failed"].push_back({{"values", space.networks[f.network].values}, {"reason", f.reason}});
  std::vector<char> in_front(result.points.size(), 0);
  for (size_t i : pareto_front(result.points)) in_front[i] = 1;
  const std::vector<double> sums = sum_scores(result.points);
  json["points"] = Json::array();
  for (size_t i = 0; i < result.points.size(); ++i) {
    const TunePoint& p = result.points[i];
    Json one{{"map", p.map}, {"per_second", p.per_second}, {"score", sums[i]}, {"front", in_front[i] != 0}};
    const TuneSetting* settings[] = {&space.networks[p.network], &space.parallel_settings[p.parallel], &space.merges[p.merge]};
    for (size_t side = 0; side < 3; ++side)
      for (size_t k = 0; k < space.keys[side].size(); ++k) one["values"][space.keys[side][k]] = settings[side]->values[k];
    json["points"].push_back(std::move(one));
  }
  return json;
}

// Paths relative to the file, as a run config has them.
void write_picked(RunConfig run, const std::filesystem::path& path) {
  const std::filesystem::path folder = std::filesystem::absolute(path).lexically_normal().parent_path();
  auto relate = [&](std::string& p) {
    if (!p.empty()) p = std::filesystem::absolute(p).lexically_normal().lexically_relative(folder).string();
  };
  relate(run.model);
  relate(run.truth);
  relate(run.output);
  relate(run.detect.roi);
  for (std::string& input : run.inputs) {
    const bool list = input.starts_with('@');
    if (list) input.erase(0, 1);
    relate(input);
    if (list) input.insert(0, 1, '@');
  }
  write_file(path, json_text(write_settings(run)));
}

std::string label_of(const TuneSpace& space, const TunePoint& p) {
  const std::vector<std::string> names = space.columns(), cells = space.cells(p);
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) text += (i ? ", " : "") + names[i] + " " + cells[i];
  return text;
}

// The file that the picked run config is written to.
std::filesystem::path picked_file(const TuneSpace& space, const TuneOptions& o) {
  return o.out.empty() ? std::filesystem::path(space.config.run.output) / "picked.json" : std::filesystem::path(o.out);
}

int report(const TuneSpace& space, const TuneResult& result, const TuneEvaluator& measurer, const std::string& unit,
           const TuneOptions& o) {
  const std::filesystem::path folder = space.config.run.output;
  for (const TuneFailure& f : result.failures) print_error(f.reason);
  write_file(folder / "tune.json", json_text(results_json(space, result, unit)));
  const size_t points = space.grid().points();
  std::printf("%zu of %zu settings measured, %zu given up early, on %zu images\n", result.points.size(), points, result.pruned,
              measurer.images());
  if (!result.complete) std::printf("stopped by the budget; the same command goes on\n");
  const size_t picked = pick(result.points, o.picking, measurer.figure(), unit);
  std::fputs(front_table(space, result.points, picked, unit, measurer.figure()).c_str(), stdout);
  TunePlot plot{unit, result.points, {}, picked, measurer.figure()};
  for (const TunePoint& p : result.points) plot.labels.push_back(label_of(space, p));
  write_file(folder / "front.svg", to_svg(plot));
  const std::filesystem::path out = picked_file(space, o);
  write_picked(space.at(result.points[picked]), out);
  std::printf("* picked by %s: %s; all settings in %s, plot in %s\n", o.picking.c_str(), out.c_str(),
              (folder / "tune.json").c_str(), (folder / "front.svg").c_str());
  return static_cast<int>(result.failures.empty() ? Exit::ok : Exit::partial);
}

void check_files(const TuneSpace& space, const TuneOptions& o) {
  const std::filesystem::path folder = space.config.run.output;
  OutputPlan plan;
  plan.add_input(o.config, "the run config");
  add_config(plan.inputs(), space.config.run);
  for (const TuneSetting& n : space.networks) add_model(plan.inputs(), n.run.model);
  for (const char* name : {"tune.json", "front.svg", "journal.json"}) plan.add_output(folder / name, "a result");
  plan.add_output(picked_file(space, o), "the picked run config");
  plan.check();
}

std::unique_ptr<TuneEvaluator> evaluator_of(const TuneSpace& space) {
  if (is_classification_model(space.networks[0].run.model)) return std::make_unique<ClassificationMeasurer>(space);
  if (space.config.run.truth.empty()) throw UsageError("truth", "is missing", "name the COCO ground truth of the inputs");
  return std::make_unique<TuneMeasurer>(space);
}

int tune(const TuneOptions& o) {
  check_pick(o.picking);
  Stopwatch watch;
  TuneSpace space = read_tune_space(o.config);
  o.selection.apply(space.config.run.detect.selection);
  for (auto* side : {&space.networks, &space.parallel_settings, &space.merges})
    for (TuneSetting& s : *side) o.selection.apply(s.run.detect.selection);
  check_files(space, o);
  if (!o.out.empty()) AtomicFile{o.out};  // before the long work
  const std::unique_ptr<TuneEvaluator> evaluator = evaluator_of(space);
  TuneEvaluator& measurer = *evaluator;
  TuneMeasure measure;
  measure.stages = measurer.stages();
  measure.seconds = [&](size_t network, size_t parallel) { return measurer.seconds(network, parallel); };
  measure.accuracy = [&](size_t network, int stage, const std::vector<size_t>& merges) {
    return measurer.accuracy(network, stage, merges);
  };
  measure.stop = [&] { return o.budget > 0 && watch.ms() > o.budget * 60'000; };
  TuneResult result;
  {
    Progress progress("tune", static_cast<int64_t>(tune_steps(space.grid(), measure.stages)), "measurements", o.quiet);
    measure.step = [&](size_t n) { progress.add(static_cast<int64_t>(n)); };
    result = search(space.grid(), measure, !o.exhaustive);
  }
  const TuneWork work = measurer.work();
  for (TunePoint& p : result.points) p.per_second = round_speed(p.per_second * work.amount);
  return report(space, result, measurer, work.unit, o);
}

}  // namespace

std::function<int()> setup_tune(CLI::App& app) {
  auto o = std::make_shared<TuneOptions>();
  app.add_option("CONFIG", o->config, "Run config (.json) with lists of values in \"search\"")->required();
  std::string rules;
  for (const PickRule& r : pick_rules())
    rules += (rules.empty() ? "" : ", ") + std::string(r.name) + (r.takes_limit ? "X" : "") + " (" + r.summary + ")";
  app.add_option("--pick", o->picking,
                 "Setting to write as a run config, where mAP is top-1 of classification networks: " + rules);
  app.add_option("-o,--out", o->out, "Where to write it (default: picked.json in the output folder)");
  app.add_option("--budget", o->budget, "Minutes after which nothing more is begun")->check(CLI::Range(0.0, 1e6));
  o->selection.add(app);
  app.add_flag("--exhaustive", o->exhaustive, "Give up nothing early");
  app.add_flag("--quiet", o->quiet, "No progress");
  return [o] { return tune(*o); };
}

}  // namespace cytodet::pipeline
