#include "pipeline/cli/run_classification.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "core/error.h"
#include "core/file.h"
#include "core/messages.h"
#include "core/output_plan.h"
#include "core/progress.h"
#include "core/settings.h"
#include "pipeline/classify/accuracy.h"
#include "pipeline/classify/class_list.h"
#include "pipeline/detect/detector.h"
#include "pipeline/detect/files_read.h"
#include "pipeline/quantize/quantize_run.h"
#include "pipeline/results/folder_manifest.h"

namespace cytodet::pipeline {
namespace {

namespace fs = std::filesystem;

constexpr const char *kClasses = "classes.csv", *kTopScores = "scores.json";

// Records say their labels when they are read.
bool labelled(const LabelledImage& image) { return image.label.given() || image.record_offset >= 0; }

class Run {
 public:
  Run(const RunConfig& c, const std::string& config, bool overwrite, bool quiet)
      : c_(c), config_(config), overwrite_(overwrite), quiet_(quiet), folder_(c.output) {}

  int run() {
    if (!c_.truth.empty())
      throw UsageError(config_ + ": truth", "is for detections, and " + c_.model + " is a classification network",
                       "labels come with the inputs: a folder per class, a CSV or TFRecords");
    check_files();
    images_ = list_labelled_images(c_.inputs).images;
    scored_ = std::any_of(images_.begin(), images_.end(), labelled);
    make_folder(folder_);
    FolderManifest manifest(folder_);
    manifest.list_what_is_written();
    int code = 0;
    if (c_.quantize) {
      QuantizationTarget target = read_target(c_.model);
      const Quantized q = write_both_precisions(target, c_, folder_);
      std::printf("%d of %zu layers in INT8\n", q.report.int8_layers(), q.report.layers.size());
      code = classify_with("fp32", model_file_beside(folder_ / "fp32.pb"), c_.detect.precision, true);
      if (has_precision(Precision::bf16)) classify_with("bf16", model_file_beside(folder_ / "fp32.pb"), Precision::bf16, false);
      classify_with("int8", model_file_beside(folder_ / "int8.pb"), c_.detect.precision, false);
    } else {
      code = classify_with(fs::path(c_.model).stem().string(), c_.model, c_.detect.precision, true);
    }
    finish();
    return code;
  }

 private:
  std::vector<std::string> files() const {
    std::vector<std::string> names{kClasses, kTopScores};
    if (c_.quantize) names.insert(names.end(), {"fp32.pb", "fp32.json", "int8.pb", "int8.json", "ranges.json"});
    return names;
  }

  void check_files() const {
    OutputPlan plan;
    plan.add_input(config_, "the run config");
    add_config(plan.inputs(), c_);
    add_labelled_images(plan.inputs(), c_.inputs);
    for (const std::string& name : files()) plan.add_output(folder_ / name, "a result");
    if (c_.quantize) {
      plan.add_output(folder_ / "int8.pb.search.json", "the state of the search");
      plan.add_output(folder_ / "int8.pb.rounding", "the state of the rounding");
    }
    plan.check();
    if (!overwrite_) FolderManifest(folder_).require_ours(files());
  }

  // `listed`: its classes go into classes.csv.
  int classify_with(const std::string& name, const fs::path& model, Precision precision, bool listed) {
    Classifier classifier(with_settings(load_model(model.string()), c_.classify),
                          {c_.classify.batch, c_.detect.streams, c_.detect.threads_per_stream, true, precision});
    ClassList list(ClassListFormat::csv, c_.classify.top, images_, classifier.model().classes);
    std::optional<AtomicFile> file;
    if (listed) file.emplace(folder_ / kClasses);
    if (file) file->write(list.begin());
    Progress progress(name, static_cast<int64_t>(images_.size()), "images", quiet_);
    const auto batch_done = [&](const ClassifiedBatch& batch) {
      progress.add(static_cast<int64_t>(batch.images.size()));
      if (file) file->write(list.add(batch));
    };
    const auto problem = [&](const std::string& text) {
      if (listed) print_error(text);
    };
    ClassifyReport report;
    if (scored_) {
      runs_.push_back(run_accuracy(name, classifier, images_, {{}, batch_done, problem}));
      report = runs_.back().report;
    } else {
      ClassifyHooks hooks;
      hooks.batch = [&](const ClassifiedBatch& batch) {
        for (const ClassifiedImage& image : batch.images)
          if (!image.problem.empty()) problem(image.problem);
        batch_done(batch);
      };
      report = classify(classifier, images_, hooks);
    }
    if (file) file->commit();
    return exit_of(report);
  }

  void finish() const {
    if (scored_) {
      const Json j{{"settings", write_settings(c_)}, {"models", accuracy_json(runs_)}};
      write_file(folder_ / kTopScores, json_text(j));
      std::fputs(accuracy_table(runs_).c_str(), stdout);
      if (const std::string problem = compared_alike(runs_); !problem.empty()) print_warning(problem);
      if (!c_.quantize)
        std::fputs(("\n" + class_table(runs_[0].scores) + "\n" + confusion_text(runs_[0].scores)).c_str(), stdout);
    }
    std::printf("results in %s\n", c_.output.c_str());
  }

  const RunConfig& c_;
  const std::string& config_;
  const bool overwrite_, quiet_;
  const fs::path folder_;
  std::vector<LabelledImage> images_;
  bool scored_ = false;
  std::vector<AccuracyRun> runs_;
};

}  // namespace

int run_classification(const RunConfig& c, const std::string& config, bool overwrite, bool quiet) {
  return Run(c, config, overwrite, quiet).run();
}

}  // namespace cytodet::pipeline
