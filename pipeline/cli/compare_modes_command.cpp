// cytodet compare-modes: size, accuracy and time of a network in all modes of quantization.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "core/error.h"
#include "core/file.h"
#include "core/messages.h"
#include "core/output_plan.h"
#include "core/settings.h"
#include "core/text_width.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/graph_flags.h"
#include "pipeline/detect/files_read.h"
#include "pipeline/profile/compare_modes.h"

namespace cytodet::pipeline {
namespace {

struct CompareFlags {
  std::string model, labels, json, svg;
  GraphFlags graph;
  CompareModesOptions o;
  bool lite = false;
};

int compare_command(CompareFlags& f) {
  if (!f.labels.empty() && !f.o.quantize.images.empty())
    throw UsageError("--labels", "is given beside --images", "labelled images are calibrated on, too: leave out --images");
  if (!f.labels.empty()) f.o.quantize.images = f.labels;
  if (f.o.quantize.images.empty()) throw UsageError("--images", "is missing", "name images, or feeds (.json) of a bare graph");
  f.o.lite = f.lite;
  OutputPlan plan;
  add_model(plan.inputs(), f.model);
  add_images(plan.inputs(), {f.o.quantize.images}, true);
  plan.add_input(f.o.truth, "the ground truth");
  plan.add_output(f.json, "the tables as JSON");
  plan.add_output(f.svg, "the picture");
  check_outputs(plan);
  QuantizationTarget target = read_target(f.model, {f.graph.changes(), f.graph.interface});
  if (!f.o.truth.empty() && !target.model)
    throw UsageError("--truth", "needs a model file", "write one beside " + target.path + ", see docs/model_file.md");
  const CompareModes c = compare_modes(target, f.o);
  for (const std::string& warning : c.warnings) print_warning(warning);
  if (!f.json.empty()) write_file(f.json, to_json(c).dump(1) + "\n");
  if (!f.svg.empty()) write_file(f.svg, to_svg(c));
  std::fputs(printable_lines(to_text(c)).c_str(), stdout);
  return 0;
}

}  // namespace

std::function<int()> setup_compare_modes(CLI::App& app) {
  auto f = std::make_shared<CompareFlags>();
  f->o.modes = {"float", "weights", "float16", "int8", "full-int8"};
  app.add_option("MODEL", f->model, "Model file (.json), graph with one beside it, or bare graph")->required();
  app.add_option("--images", f->o.quantize.images, "To calibrate and measure on: images; for a bare graph, feeds (.json)");
  app.add_option("--truth", f->o.truth, "COCO ground truth of --images");
  app.add_option("--labels", f->labels, "Of a classification network: labelled images, to calibrate and measure on");
  app.add_option("--modes", f->o.modes, "Of quantize --mode, and float; default all but dynamic")->delimiter(',');
  app.add_flag("--tflite", f->lite, "Files are TensorFlow Lite models, else graphs");
  app.add_option("--threads", f->o.threads, "Numbers of threads; default 1, 2, 4 and so on, up to those of the machine")
      ->delimiter(',')
      ->check(CLI::Range(1, 256));
  app.add_option("--rounds", f->o.rounds, "Inferences of which the median is taken; default 20")->check(CLI::Range(1, 100000));
  app.add_option("--max-images", f->o.quantize.max_images, "To calibrate on; default 100")->check(CLI::Range(1, 1000000));
  f->graph.add(app, "Of a bare graph: ");
  app.add_option("--json", f->json, "The tables as JSON");
  app.add_option("--svg", f->svg, "The tables as a picture");
  app.add_flag("--quiet", f->o.quiet, "No progress");
  return [f] { return compare_command(*f); };
}

}  // namespace cytodet::pipeline
