// cytodet classify: images in, their best classes out.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>

#include "core/error.h"
#include "core/file.h"
#include "core/messages.h"
#include "core/output_plan.h"
#include "core/text_width.h"
#include "pipeline/classify/class_list.h"
#include "pipeline/cli/classify_flags.h"
#include "pipeline/cli/commands.h"
#include "pipeline/detect/detector.h"
#include "pipeline/detect/files_read.h"
#include "pipeline/inputs/companions.h"

namespace cytodet::pipeline {
namespace {

struct ClassifyOptions : ClassifyFlags {
  std::string model, out, format = "text";
  std::vector<std::string> inputs, compare;
  int top = 5;
  bool quiet = false;
};

void check_files(const ClassifyOptions& o) {
  OutputPlan plan;
  add_model(plan.inputs(), o.model);
  for (const std::string& model : o.compare) add_model(plan.inputs(), model);
  add_labelled_images(plan.inputs(), o.inputs);
  plan.add_output(o.out, "the list of classes");
  check_outputs(plan);
}

struct Prediction {
  std::string problem;  // empty: none
  size_t index = 0;
  float probability = 0;
};

struct Predictions {
  std::vector<Prediction> images;  // the best class of each
  size_t classes = 0;              // scores of an image; 0 where none could be read
  int exit = 0;
};

Predictions predictions_of(const std::string& model, const ClassifyOptions& o, const LabelledImages& inputs) {
  Classifier classifier(load_model(model), o.options());
  Predictions found;
  ClassifyHooks hooks;
  hooks.batch = [&](const ClassifiedBatch& batch) {
    for (const ClassifiedImage& image : batch.images) {
      Prediction p{image.problem, 0, 0};
      if (p.problem.empty()) {
        const auto best = std::max_element(image.scores.begin(), image.scores.end());
        p.index = static_cast<size_t>(best - image.scores.begin());
        p.probability = *best;
        found.classes = image.scores.size();
      }
      found.images.push_back(std::move(p));
    }
  };
  found.exit = exit_of(classify(classifier, inputs.images, hooks));
  return found;
}

// What AMCT's samples print of a float network and its quantized form, for each image.
int compare_predictions(const ClassifyOptions& o) {
  check_files(o);
  const LabelledImages inputs = list_labelled_images(o.inputs);
  const Predictions origin = predictions_of(o.compare[0], o, inputs), quantized = predictions_of(o.compare[1], o, inputs);
  if (origin.classes > 0 && quantized.classes > 0 && origin.classes != quantized.classes)
    throw Error(o.compare[1],
                "tells " + std::to_string(quantized.classes) + " classes apart, and " + o.compare[0] + " " +
                    std::to_string(origin.classes),
                "compare a network with its quantized form");
  std::string text;
  size_t alike = 0, compared = 0;
  const auto add = [&](const char* title, const Prediction& p) {
    char line[96];
    std::snprintf(line, sizeof line, "%s Model Prediction:\n\tcategory index: %zu\n\tcategory prob: %.3f\n", title, p.index,
                  static_cast<double>(p.probability));
    text += line;
  };
  for (size_t i = 0; i < inputs.images.size(); ++i) {
    const Prediction &of_origin = origin.images[i], &of_quantized = quantized.images[i];
    if (const std::string& problem = of_origin.problem.empty() ? of_quantized.problem : of_origin.problem; !problem.empty()) {
      print_error(problem);
      continue;
    }
    if (inputs.images.size() > 1) text += printable(inputs.images[i].name) + "\n";
    add("Origin", of_origin);
    add("Quantized", of_quantized);
    ++compared;
    alike += of_origin.index == of_quantized.index;
  }
  if (compared > 1) text += std::to_string(alike) + " of " + std::to_string(compared) + " images have one best class in both\n";
  if (o.out.empty())
    std::fputs(text.c_str(), stdout);
  else
    write_file(o.out, text);
  if (compared == 0 && !inputs.images.empty()) return static_cast<int>(Exit::failed);
  return std::max(origin.exit, quantized.exit);
}

int classify_command(const ClassifyOptions& o) {
  if (!o.compare.empty()) return compare_predictions(o);
  if (o.model.empty()) throw UsageError("--model", "is needed", "a model file (.json), or --compare ORIGIN QUANTIZED");
  const ClassListFormat format = class_list_format_named(o.format);
  check_files(o);
  Classifier classifier(load_model(o.model), o.options());
  const LabelledImages inputs = list_labelled_images(o.inputs);
  if (!inputs.companions.empty() && !o.quiet) print_warning("no images: " + names_of_files(inputs.companions));
  ClassList list(format, o.top, inputs.images, classifier.model().classes);
  std::optional<AtomicFile> file;
  if (!o.out.empty()) file.emplace(o.out);
  const auto write = [&](const std::string& text) {
    if (file)
      file->write(text);
    else
      std::fputs(text.c_str(), stdout);
  };
  write(list.begin());
  ClassifyHooks hooks;
  hooks.batch = [&](const ClassifiedBatch& batch) {
    for (const ClassifiedImage& image : batch.images)
      if (!image.problem.empty()) print_error(image.problem);
    write(list.add(batch));
  };
  const ClassifyReport report = classify(classifier, inputs.images, hooks);
  write(list.end(o.model));
  if (file) file->commit();
  if (!o.quiet && file)
    std::printf("%zu of %zu images classified in %s; %.1f images/s\n", report.images - report.failed, report.images,
                o.out.c_str(), report.images_per_s());
  return exit_of(report);
}

}  // namespace

std::function<int()> setup_classify(CLI::App& app) {
  auto o = std::make_shared<ClassifyOptions>();
  app.add_option("--model", o->model, "Model file (.json) of a classification network, or a graph with one beside it");
  app.add_option("--compare", o->compare, "A network and its quantized form, instead of --model: both best classes of each image")
      ->expected(2)
      ->allow_extra_args(false)  // images follow
      ->excludes("--model");
  app.add_option("INPUT", o->inputs, "Images, folders, a folder per class, tables of images and labels (.csv), TFRecord files")
      ->required();
  app.add_option("--top", o->top, "Classes per image (5)")->check(CLI::Range(1, 100000));
  app.add_option("--format", o->format, "text, json or csv");
  app.add_option("-o,--out", o->out, "File; default: standard output");
  o->add_batch(app);
  o->add_parallel(app);
  app.add_flag("--quiet", o->quiet, "No summary");
  return [o] { return classify_command(*o); };
}

}  // namespace cytodet::pipeline
