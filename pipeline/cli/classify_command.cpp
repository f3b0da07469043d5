// cytodet classify: images in, their best classes out.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>

#include "core/error.h"
#include "core/file.h"
#include "core/messages.h"
#include "core/output_plan.h"
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
  std::vector<std::string> inputs;
  int top = 5;
  bool quiet = false;
};

void check_files(const ClassifyOptions& o) {
  OutputPlan plan;
  add_model(plan.inputs(), o.model);
  add_labelled_images(plan.inputs(), o.inputs);
  plan.add_output(o.out, "the list of classes");
  check_outputs(plan);
}

int classify_command(const ClassifyOptions& o) {
  const ClassListForm form = class_list_form_named(o.format);
  check_files(o);
  Classifier classifier(load_model(o.model), o.options());
  const LabelledImages inputs = list_labelled_images(o.inputs);
  if (!inputs.companions.empty() && !o.quiet) print_warning("no images: " + names_of_files(inputs.companions));
  ClassList list(form, o.top, inputs.images, classifier.model().classes);
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
  app.add_option("--model", o->model, "Model file (.json) of a classification network, or a graph with one beside it")
      ->required();
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
