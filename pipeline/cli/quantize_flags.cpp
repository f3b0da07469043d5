#include "pipeline/cli/quantize_flags.h"

#include <CLI/CLI.hpp>

#include "core/error.h"
#include "core/output_plan.h"
#include "pipeline/cli/boolean_flag.h"
#include "pipeline/detect/files_read.h"

namespace cytodet::pipeline {

void QuantizeFlags::add(CLI::App& app) {
  app.add_option("GRAPH", graph, "Model file (.json), graph with one beside it, or bare graph")->required();
  app.add_option("--ranges", settings.ranges, "Ranges that cytodet calibrate wrote");
  app.add_option("--images", settings.images, "Folder of images; for a bare graph, of feeds (.json)");
  app.add_option("--callback", settings.callback,
                 "Calibrate by a command that runs the graph in place of {}: what the graph's Print nodes write are the ranges");
  app.add_option("--callback-timeout", settings.callback_timeout, "Seconds after which the command is ended; 0: never")
      ->check(CLI::Range(0.0, 1e7));
  CLI::Option* channel = app.add_flag("--per-channel", per_channel_flag, "A scale per output channel of a filter (the default)");
  app.add_flag("--per-tensor", per_tensor, "One scale per filter")->excludes(channel);
  add_boolean(app, "--per_channel", per_channel, "true: as --per-channel; false: as --per-tensor");
  app.add_flag("--symmetric", settings.layers.symmetric, "Signed 8-bit values without a zero point for what layers read");
  app.add_flag("--no-bias-correction", no_bias_correction, "Leave the shift that rounding the weights brings");
  CLI::Option* full = app.add_flag("--full-range", settings.layers.full_range,
                                   "Dense filters use all 255 values: a little more exact, slower on CPUs without VNNI");
  app.add_flag("--reduce-range", settings.layers.reduce_range,
               "Dense filters in 7 bits: TensorFlow's sums stay exact on machines without VNNI")
      ->excludes(full);
  app.add_flag("--no-equalization", no_equalization, "Quantize input channels as they are, large and small with one scale");
  app.add_option_function<std::string>(
      "--rounding", [this](const std::string& name) { settings.rounding = rounding_named(name); },
      "Of weights: gptq, by what layers read of --images (the default with images), or nearest");
  CLI::Option* bits = app.add_option("--weight-bits", settings.layers.weight_bits,
                                     "4: dense filters in 4 bits, two weights a byte in the file; 8 (the default)")
                          ->check(CLI::IsMember({4, 8}));
  app.add_option("--nuq", settings.layers.nuq_steps,
                 "Non-uniform weights: 16 or 32 of the 8-bit values in each dense filter, chosen to fit; 4 or 5 bits in the file")
      ->check(CLI::IsMember({16, 32}))
      ->excludes(bits);
  app.add_option("--eight-bit-nodes", settings.layers.eight_bit_nodes,
                 "With --weight-bits 4 or --nuq: layers whose filters keep 8 bits, such as the first and the last")
      ->delimiter(',');
  CLI::Option* bytes = app.add_flag("--elementwise", elementwise,
                                    "Sums, products and activations read INT8 too: less memory, a little less exact; the "
                                    "default is where images show that it costs little");
  app.add_flag("--no-elementwise", no_elementwise, "They read floats")->excludes(bytes);
  app.add_option("--exclude-ops,--excluded_ops", settings.layers.exclude_ops, "TensorFlow ops that stay in float")
      ->delimiter(',');
  app.add_option("--exclude-nodes,--excluded_nodes", settings.layers.exclude_nodes, "Nodes that stay in float")->delimiter(',');
  target.add(app, "Of a bare graph: ");
  app.add_flag("--quiet", quiet, "No progress and no table");
}

void QuantizeFlags::finish() {
  if (per_channel && (per_channel_flag || per_tensor))
    throw UsageError("--per_channel", "is given beside --per-channel or --per-tensor", "leave out one of them");
  settings.layers.per_channel = !per_tensor && per_channel.value_or(true);
  settings.layers.bias_correction = !no_bias_correction;
  settings.layers.equalize = !no_equalization;
  if (elementwise || no_elementwise) settings.layers.elementwise = elementwise;
  // Other modes need no ranges, nor does a graph that is fake-quantized, which is known once it is read.
  check(settings, !may_be_quantized && needs_ranges(mode));
}

QuantizationTarget read_target(const QuantizeFlags& flags) {
  return read_target(flags.graph, {flags.target.changes(), flags.target.interface});
}

void add_inputs(OutputPlan& plan, const QuantizeFlags& o) {
  add_model(plan.inputs(), o.graph);
  add_images(plan.inputs(), {o.settings.images}, true);
  plan.add_input(o.settings.ranges, "the ranges");
  plan.add_input(o.settings.record, "the records");
  plan.add_input(o.truth, "the ground truth");
}

}  // namespace cytodet::pipeline
