#include "pipeline/cli/evaluate_classifier.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/messages.h"
#include "core/output_plan.h"
#include "core/settings.h"
#include "models/registry.h"
#include "pipeline/classify/accuracy.h"
#include "pipeline/classify/class_list.h"
#include "pipeline/detect/detector.h"
#include "pipeline/detect/files_read.h"

namespace cytodet::pipeline {
namespace {

void check_files(const LabelEvaluation& o) {
  OutputPlan plan;
  add_model(plan.inputs(), o.model);
  for (const std::string& model : o.compare) add_model(plan.inputs(), model);
  add_labelled_images(plan.inputs(), o.images);
  plan.add_output(o.out, "the report");
  plan.add_output(o.results_file, "the list of predictions");
  check_outputs(plan);
}

// `problems`: those that were printed.
AccuracyRun score_model(const LabelEvaluation& o, const std::string& model, const std::vector<LabelledImage>& images, bool first,
                        std::set<std::string>& problems) {
  const ModelFile loaded = load_model(model);
  Classifier classifier(first ? with_settings(loaded, o.settings) : loaded, o.flags.options());
  const std::string name = std::filesystem::path(model).stem().string();
  ClassList list(ClassListFormat::csv, 1, images, classifier.model().classes);
  std::optional<AtomicFile> file;
  if (first && !o.results_file.empty()) file.emplace(o.results_file);
  if (file) file->write(list.begin());
  AccuracyHooks hooks;
  hooks.problem = [&](const std::string& problem) {
    if (problems.insert(problem).second) print_error(problem);  // the others meet the same ones
  };
  if (file) hooks.batch = [&](const ClassifiedBatch& batch) { file->write(list.add(batch)); };
  if (!o.quiet)
    hooks.progress = [](const std::string& line) {
      std::fputs(line.c_str(), stdout);
      std::fflush(stdout);
    };
  if (!o.quiet && !o.compare.empty()) std::printf("%s\n", name.c_str());
  AccuracyRun run = run_accuracy(name, classifier, images, hooks);
  if (file) file->commit();
  return run;
}

}  // namespace

bool is_classification_model(const std::string& model) try {
  return has_model_file(model) && family_of(load_model(model)).kind == NetworkKind::classification;
} catch (const Error&) {
  return false;
}

void LabelEvaluation::add(CLI::App& app) {
  app.add_option("--compare", compare, "Further models on the same images, and what each loses against the first");
  app.add_option("--results-file,--results-file-path", results_file, "Classification: CSV of file, label and best class");
  flags.add_batch(app);
}

int LabelEvaluation::run() const {
  if (images.empty())
    throw UsageError("cytodet evaluate", "needs labelled images", "--images: a folder per class, a CSV or TFRecords");
  check_files(*this);
  const LabelledImages inputs = list_labelled_images(images);
  std::set<std::string> problems;
  std::vector<AccuracyRun> runs{score_model(*this, model, inputs.images, true, problems)};
  for (const std::string& other : compare) runs.push_back(score_model(*this, other, inputs.images, false, problems));
  const size_t rest = inputs.images.size() % static_cast<size_t>(flags.batch);
  std::printf("\n%lld images scored%s\n", static_cast<long long>(runs[0].scores.images()),
              rest ? (", the last batch of " + std::to_string(rest) + " among them").c_str() : "");
  std::fputs(accuracy_table(runs).c_str(), stdout);
  if (const std::string problem = compared_alike(runs); !problem.empty()) print_warning(problem);
  const ClassificationScores& last = runs.back().scores;
  if (runs.size() > 1) std::printf("\nof %s:\n", runs.back().name.c_str());
  std::fputs(("\n" + class_table(last) + "\n" + confusion_text(last)).c_str(), stdout);
  if (!out.empty()) write_file(out, json_text(Json{{"models", accuracy_json(runs)}}));
  const bool all = std::all_of(runs.begin(), runs.end(), [](const AccuracyRun& run) { return run.report.failed == 0; });
  return static_cast<int>(all ? Exit::ok : Exit::partial);
}

}  // namespace cytodet::pipeline
