#include "pipeline/classify/classify.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/error.h"
#include "core/parallel.h"
#include "core/suggest.h"
#include "core/timing.h"

namespace cytodet::pipeline {
namespace {

constexpr const char* kHowToLabel = "name a folder per class, a CSV of images and labels, or TFRecords with labels";

Error why_without_label(const LabelledImage& image) {
  std::error_code error;
  if (!std::filesystem::exists(image.path, error))
    return UsageError(image.name, "cannot open: no such file or folder", "check the path");
  if (std::filesystem::is_regular_file(image.path, error) && std::filesystem::file_size(image.path, error) == 0)
    return UsageError(image.name, "is empty", kHowToLabel);
  return UsageError(image.name, "has no label", kHowToLabel);
}

// Labels of records are known when they are read.
void check_labels(const ClassificationModel& network, const std::vector<LabelledImage>& images, bool needed) {
  for (const LabelledImage& image : images)
    if (image.label.given())
      channel_of(network, image.label, image.name);
    else if (needed && image.record_offset < 0)
      throw why_without_label(image);
}

// Reads an image into its place in the batch.
ClassifiedImage load_into(const ClassificationModel& network, const LabelledImage& image, bool labels_needed, float* input) try {
  ClassifiedImage result;
  const LoadedImage loaded = load_labelled_image(image, network.jpeg());
  result.label = loaded.label.text();
  if (loaded.label.given()) try {
      result.channel = channel_of(network, loaded.label, image.name);
    } catch (const Error& e) {
      result.problem = e.what();
      result.is_miss = true;
      return result;
    }
  else if (labels_needed)
    throw Error(image.name, "has no label", kHowToLabel);
  try {
    network.preprocess(loaded.image, input);
  } catch (const Error& e) {
    throw e.within(image.name);
  }
  return result;
} catch (const Error& e) {
  ClassifiedImage failed;
  failed.problem = e.what();
  return failed;
}

void take_scores(ClassifiedImage& image, std::vector<float> scores, const std::string& name) {
  if (std::all_of(scores.begin(), scores.end(), [](float s) { return std::isfinite(s); }))
    image.scores = std::move(scores);
  else
    image.problem =
        Error(name, "the network gives it scores that are no finite numbers", "check the graph and its model file").what();
  image.is_miss = !image.problem.empty();
}

}  // namespace

double ClassifyReport::images_per_s() const { return wall_ms > 0 ? 1000 * static_cast<double>(images - failed) / wall_ms : 0; }

int channel_of(const ClassificationModel& network, const ImageLabel& label, const std::string& where) {
  const std::vector<std::string>& classes = network.file().classes;
  if (!label.name.empty() && network.file().numbered_classes == 0)
    if (const auto found = std::find(classes.begin(), classes.end(), label.name); found != classes.end()) {
      if (std::find(found + 1, classes.end(), label.name) != classes.end())
        throw UsageError(where, "label " + label.name + " is the name of several classes", "label images by the class's number");
      return static_cast<int>(found - classes.begin());
    }
  if (label.number)
    if (const std::optional<int> channel = network.channel_of(*label.number)) return *channel;
  const std::string hint = label.number ? "check label_offset and classes in the model file" : suggest(label.name, classes);
  throw UsageError(where, "label " + label.text() + " is none of the " + std::to_string(classes.size()) + " classes", hint);
}

ClassifyReport classify(Classifier& classifier, const std::vector<LabelledImage>& images, const ClassifyHooks& hooks) {
  check_labels(classifier.network(), images, hooks.labels_needed);
  struct Job {
    size_t first = 0;
    ClassifiedBatch batch;
  };
  const auto max_images = static_cast<size_t>(classifier.batch());
  size_t next = 0;
  ClassifyReport report;
  Stopwatch watch;
  Pipeline<Job> pipeline;
  pipeline.produce = [&]() -> std::optional<Job> {
    if (next >= images.size()) return std::nullopt;
    Job job;
    job.first = next;
    job.batch.images.resize(std::min(max_images, images.size() - next));
    next += job.batch.images.size();
    return job;
  };
  pipeline.work = [&](Job& job, int stream) {
    std::vector<ClassifiedImage>& rows = job.batch.images;
    for (size_t i = 0; i < rows.size(); ++i) {
      float* input = classifier.input(stream, static_cast<int>(i));
      rows[i] = load_into(classifier.network(), images[job.first + i], hooks.labels_needed, input);
      rows[i].index = job.first + i;
      if (!rows[i].problem.empty()) std::fill_n(input, elements(classifier.network().input_shape()), 0.0f);
    }
    for (size_t i = rows.size(); i < max_images; ++i)
      std::fill_n(classifier.input(stream, static_cast<int>(i)), elements(classifier.network().input_shape()), 0.0f);
    Stopwatch network;
    classifier.run(stream);
    job.batch.network_ms = network.ms();
    for (size_t i = 0; i < rows.size(); ++i)
      if (rows[i].problem.empty())
        take_scores(rows[i], classifier.scores(stream, static_cast<int>(i)), images[job.first + i].name);
  };
  pipeline.consume = [&](Job& job) {
    report.images += job.batch.images.size();
    report.network_ms += job.batch.network_ms;
    report.rows += max_images;
    for (const ClassifiedImage& image : job.batch.images) report.failed += !image.problem.empty();
    if (hooks.batch) hooks.batch(job.batch);
  };
  pipeline.run(classifier.streams(), classifier.streams() + 1);
  report.wall_ms = watch.ms();
  return report;
}

bool add_to(ClassificationScores& scores, const ClassifiedImage& image) {
  if (image.problem.empty())
    scores.add(image.scores, *image.channel);
  else if (image.is_miss)
    scores.add_miss(image.channel);
  return image.problem.empty() || image.is_miss;
}

ClassificationScores measure_accuracy(Classifier& classifier, const std::vector<LabelledImage>& images) {
  ClassificationScores scores(classifier.model().classes);
  ClassifyHooks hooks;
  hooks.labels_needed = true;
  hooks.batch = [&](const ClassifiedBatch& batch) {
    for (const ClassifiedImage& image : batch.images)
      if (!add_to(scores, image)) throw Error("", image.problem);
  };
  classify(classifier, images, hooks);
  return scores;
}

int exit_of(const ClassifyReport& report) {
  if (!report.failed) return static_cast<int>(Exit::ok);
  return static_cast<int>(report.failed == report.images ? Exit::failed : Exit::partial);
}

}  // namespace cytodet::pipeline
