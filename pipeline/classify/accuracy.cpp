#include "pipeline/classify/accuracy.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "core/error.h"
#include "core/settings.h"
#include "core/text_width.h"

namespace cytodet::pipeline {
namespace {

template <class... Values>
std::string formatted(const char* format, Values... values) {
  char text[200];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

std::string drop_row(const TopShares& from, const TopShares& to, size_t width) {
  return left_aligned("  drop", width) +
         formatted("  %7.4f  %7.4f  %7.4f\n", from.top1 - to.top1, from.top5 - to.top5, from.strict_top1 - to.strict_top1);
}

}  // namespace

double AccuracyRun::ms_per_image() const { return report.rows ? report.network_ms / static_cast<double>(report.rows) : 0; }

std::string progress_lines(const ClassifiedBatch& batch, const ClassificationScores& scores) {
  const TopShares s = scores.shares();
  return formatted("Iteration time: %.4f ms\n", batch.network_ms) +
         formatted("Processed %lld images. (Top1 accuracy, Top5 accuracy) = (%.4f, %.4f)\n",
                   static_cast<long long>(scores.images()), s.top1, s.top5);
}

AccuracyRun run_accuracy(const std::string& name, Classifier& classifier, const std::vector<LabelledImage>& images,
                         const AccuracyHooks& hooks) {
  AccuracyRun run{name, ClassificationScores(classifier.model().classes), {}, 0};
  std::error_code ignored;
  run.file_bytes = static_cast<int64_t>(std::filesystem::file_size(classifier.model().graph, ignored));
  ClassifyHooks each;
  each.labels_needed = true;
  each.batch = [&](const ClassifiedBatch& batch) {
    for (const ClassifiedImage& image : batch.images) {
      add_to(run.scores, image);
      if (!image.problem.empty() && hooks.problem) hooks.problem(image.problem);
    }
    if (hooks.batch) hooks.batch(batch);
    if (hooks.progress) hooks.progress(progress_lines(batch, run.scores));
  };
  run.report = classify(classifier, images, each);
  if (!run.scores.images()) throw Error(name, "none of the " + std::to_string(images.size()) + " images could be scored");
  return run;
}

std::string accuracy_table(const std::vector<AccuracyRun>& runs) {
  size_t width = 8;
  for (const AccuracyRun& run : runs) width = std::max(width, std::min<size_t>(display_width(run.name), 40));
  std::string text = left_aligned("", width) + "    top-1    top-5   strict  ms/image  images/s  file MB\n";
  for (const AccuracyRun& run : runs) {
    const TopShares s = run.scores.shares();
    text += left_aligned(run.name, width) + formatted("  %7.4f  %7.4f  %7.4f  %8.3f  %8.1f  %7.2f\n", s.top1, s.top5,
                                                      s.strict_top1, run.ms_per_image(), run.report.images_per_s(),
                                                      static_cast<double>(run.file_bytes) / 1e6);
    if (&run != &runs.front()) text += drop_row(runs.front().scores.shares(), s, width);
  }
  for (const AccuracyRun& run : runs)
    if (const int64_t misses = run.scores.misses_without_prediction(); misses > 0)
      text += printable(run.name) + ": " + std::to_string(misses) + " of " + std::to_string(run.scores.images()) +
              " images are misses, as their labels are none of the classes or their scores no finite numbers\n";
  return text;
}

std::string compared_alike(const std::vector<AccuracyRun>& runs) {
  for (const AccuracyRun& run : runs)
    if (run.scores.images() != runs.front().scores.images())
      return run.name + " scored " + std::to_string(run.scores.images()) + " images, " + runs.front().name + " " +
             std::to_string(runs.front().scores.images()) + ": their accuracies are not of the same images";
  return {};
}

Json accuracy_json(const std::vector<AccuracyRun>& runs) {
  Json all = Json::array();
  for (const AccuracyRun& run : runs) {
    Json j{{"model", run.name}, {"failed", run.report.failed}};
    j.update(to_json(run.scores));
    j["ms_per_image"] = run.ms_per_image();
    j["images_per_s"] = run.report.images_per_s();
    j["file_bytes"] = run.file_bytes;
    if (&run != &runs.front()) {
      j["top1_drop"] = runs.front().scores.shares().top1 - run.scores.shares().top1;
      j["top5_drop"] = runs.front().scores.shares().top5 - run.scores.shares().top5;
    }
    all.push_back(std::move(j));
  }
  return all;
}

}  // namespace cytodet::pipeline
