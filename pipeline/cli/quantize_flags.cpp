#include "pipeline/cli/quantize_flags.h"

#include <CLI/CLI.hpp>

#include "core/output_plan.h"
#include "pipeline/detect/files_read.h"

namespace cytodet::pipeline {

void QuantizeFlags::add(CLI::App& app) {
  app.add_option("GRAPH", graph, "Model file (.json), graph with one beside it, or bare graph")->required();
  app.add_option("--ranges", settings.ranges, "Ranges that cytodet calibrate wrote");
  app.add_option("--images", settings.images, "Folder of images; for a bare graph, of feeds (.json)");
  CLI::Option* channel = app.add_flag("--per-channel", per_channel, "A scale per output channel of a filter (the default)");
  app.add_flag("--per-tensor", per_tensor, "One scale per filter")->excludes(channel);
  app.add_flag("--symmetric", settings.layers.symmetric, "Signed 8-bit values without a zero point for what layers read");
  app.add_flag("--no-bias-correction", no_bias_correction, "Leave the shift that rounding the weights brings");
  CLI::Option* full = app.add_flag("--full-range", settings.layers.full_range,
                                   "Dense filters use all 255 values: a little more exact, slower on CPUs without VNNI");
  app.add_flag("--reduce-range", settings.layers.reduce_range,
               "Dense filters in 7 bits: TensorFlow's sums stay exact on machines without VNNI")
      ->excludes(full);
  app.add_flag("--no-equalization", no_equalization, "Quantize input channels as they are, large and small with one scale");
  app.add_flag("--elementwise", settings.layers.elementwise,
               "Sums, products and activations read INT8 too: less memory, less exact");
  app.add_option("--exclude-ops", settings.layers.exclude_ops, "TensorFlow ops that stay in float")->delimiter(',');
  app.add_option("--exclude-nodes", settings.layers.exclude_nodes, "Nodes that stay in float")->delimiter(',');
  target.add(app, "Of a bare graph: ");
  app.add_flag("--quiet", quiet, "No progress and no table");
}

void QuantizeFlags::finish() {
  settings.layers.per_channel = !per_tensor;
  settings.layers.bias_correction = !no_bias_correction;
  settings.layers.equalize = !no_equalization;
  check(settings);
}

QuantizationTarget read_target(const QuantizeFlags& flags) {
  return read_target(flags.graph, {flags.target.set, flags.target.interface});
}

void add_inputs(OutputPlan& plan, const QuantizeFlags& o) {
  add_model(plan.inputs(), o.graph);
  add_images(plan.inputs(), {o.settings.images}, true);
  plan.add_input(o.settings.ranges, "the ranges");
  plan.add_input(o.truth, "the ground truth");
}

}  // namespace cytodet::pipeline
