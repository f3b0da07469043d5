// quantize, sensitivity.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "core/error.h"
#include "core/file.h"
#include "core/messages.h"
#include "core/text_width.h"
#include "pipeline/cli/command_files.h"
#include "pipeline/cli/commands.h"
#include "pipeline/quantize/quantize_report.h"
#include "pipeline/quantize/tf_stages.h"
#include "quant/sensitivity.h"

namespace cytodet::pipeline {
namespace {

struct QuantizeFlags {
  std::string graph, out, dump_dir, report, truth;
  QuantizeSettings settings;
  DetectSettings detection;
  bool per_tensor = false, per_channel = false, no_bias_correction = false, no_equalization = false, quiet = false,
       no_check = false;

  // What says how layers are coded; of both commands.
  void add(CLI::App& app) {
    app.add_option("GRAPH", graph, "Model file (.json), graph with one beside it, or bare graph")->required();
    app.add_option("--ranges", settings.ranges, "Ranges that cytodet calibrate wrote");
    app.add_option("--images", settings.images, "Folder of images; for a bare graph, of feeds (.json)");
    CLI::Option* channel = app.add_flag("--per-channel", per_channel, "A scale per output channel of a filter (the default)");
    app.add_flag("--per-tensor", per_tensor, "One scale per filter")->excludes(channel);
    app.add_flag("--symmetric", settings.layers.symmetric, "Signed codes without a zero point for what layers read");
    app.add_flag("--no-bias-correction", no_bias_correction, "Leave the shift that coding the weights brings");
    CLI::Option* full = app.add_flag("--full-range", settings.layers.full_range,
                                     "Dense filters use every code: a little more exact, slower on CPUs without VNNI");
    app.add_flag("--reduce-range", settings.layers.reduce_range,
                 "Dense filters in 7 bits: TensorFlow's sums stay exact on machines without VNNI")
        ->excludes(full);
    app.add_flag("--no-equalization", no_equalization, "Code input channels as they are, large and small with one scale");
    app.add_flag("--elementwise", settings.layers.elementwise,
                 "Sums, products and activations read codes too: less memory, less exact");
    app.add_option("--exclude-ops", settings.layers.exclude_ops, "TensorFlow ops that stay in float")->delimiter(',');
    app.add_option("--exclude-nodes", settings.layers.exclude_nodes, "Nodes that stay in float")->delimiter(',');
    app.add_flag("--quiet", quiet, "No progress and no table");
  }
  void finish() {
    settings.layers.per_channel = !per_tensor;
    settings.layers.bias_correction = !no_bias_correction;
    settings.layers.equalize = !no_equalization;
    check(settings);
  }
};

void warn_of_floats(const QuantizeReport& report) {
  std::map<std::string, std::vector<std::string>> by_reason;
  for (const QuantizedLayer& l : report.layers)
    if (l.precision == "float" && !l.why.starts_with("excluded")) by_reason[l.why].push_back(l.name);
  for (const auto& [why, names] : by_reason)
    print_warning(names.front() + (names.size() > 1 ? " and " + std::to_string(names.size() - 1) + " more" : "") +
                  " stays in float: " + why);
}

// What the decibels were taken on, and whether those images also gave the ranges, which flatters.
std::string samples_text(const QuantizeFlags& o, const HeldBack& samples) {
  const std::string count = std::to_string(samples.data.samples.size());
  if (!o.settings.ranges.empty())
    return count + " of the images; " + o.settings.ranges + " does not tell whether it was calibrated on them";
  return samples.calibrated_on ? count + " images that were calibrated on: others come out lower"
                               : count + " images held back from calibration";
}

using Decibels = std::vector<std::pair<std::string, double>>;

Json report_json(const QuantizeFlags& o, const Ranges& ranges, const std::vector<LayerRow>& rows, const Decibels& outputs,
                 const Accuracy& accuracy, const std::string& samples_text) {
  Json j{{"graph", o.graph}, {"graph_hash", ranges.graph_hash}, {"settings", write_settings(o.settings)}};
  j["ranges"] = {{"method", ranges.method}, {"data", ranges.data}, {"images", ranges.images}};
  if (accuracy.float_ap >= 0) {
    j["accuracy"] = {{"float_ap", accuracy.float_ap}, {"int8_ap", accuracy.int8_ap}, {"trials", accuracy.trials}};
    j["accuracy"]["returned_to_float"] = accuracy.in_float;
  }
  for (const auto& [name, db] : outputs) j["outputs_sqnr_db"][name] = db;
  if (!samples_text.empty()) j["outputs_sqnr_on"] = samples_text;
  j["layers"] = layers_json(rows);
  return j;
}

std::filesystem::path state_of(const std::string& out) { return out + ".search.json"; }

Accuracy search(const QuantizeFlags& o, Subject& subject, const Ranges& ranges) {
  if (o.settings.max_drop < 0) return {};
  return keep_accuracy(subject, ranges, o.settings, o.truth, o.detection, state_of(o.out), o.quiet);
}

void add_inputs(OutputPlan& plan, const QuantizeFlags& o) {
  add_model(plan, o.graph);
  add_pictures(plan, {o.settings.images}, true);
  plan.add_input(o.settings.ranges, "the ranges");
  plan.add_input(o.truth, "the truth");
}

OutputPlan plan_of(const QuantizeFlags& o, const Subject& subject) {
  OutputPlan plan;
  add_inputs(plan, o);
  plan.add_output(o.out, "the INT8 graph");
  if (subject.model) plan.add_output(model_file_beside(o.out), "the model file of the INT8 graph");
  if (o.settings.max_drop >= 0) plan.add_output(state_of(o.out), "the state of the search");
  plan.add_output(o.report, "the report");
  return plan;
}

int quantize_command(QuantizeFlags& o) {
  o.finish();
  if (o.settings.max_drop >= 0 && (o.truth.empty() || o.settings.images.empty()))
    throw UsageError("--max-drop", "needs --truth and --images", "name the COCO truth and the images that it is about");
  Subject subject = read_subject(o.graph);
  if (o.settings.max_drop >= 0 && !subject.model)
    throw UsageError("--max-drop", "needs a model file", "write one beside " + subject.path + ", see docs/model_file.md");
  check_writable(subject, o.out);
  check_outputs(plan_of(o, subject));
  if (!o.dump_dir.empty()) {
    OutputPlan plan = plan_of(o, subject);
    for (const std::filesystem::path& file : stage_files(o.dump_dir)) plan.add_output(file, "the graph of a stage");
    plan.check();
    make_folder(o.dump_dir);
  }
  const Ranges ranges = ranges_of(subject, o.settings, o.quiet);
  QuantizeOptions options = o.settings.layers;
  require_int8_layers(o.graph, quantize_subject(subject, ranges, options).report);  // its errors come before a long search
  const Accuracy accuracy = search(o, subject, ranges);
  options.exclude_nodes.insert(options.exclude_nodes.end(), accuracy.in_float.begin(), accuracy.in_float.end());
  const Quantized q = quantize_subject(subject, ranges, options);
  require_int8_layers(o.graph, q.report);
  const Graph file = file_form(subject, q, ranges);
  std::optional<HeldBack> samples;
  if (!o.settings.images.empty()) samples = held_back(subject, o.settings.images, o.settings.max_images, 4);
  const std::vector<LayerRow> rows = layer_rows(subject, q, samples ? &samples->data : nullptr);
  Decibels outputs;
  if (samples) outputs = OutputSqnr(subject.graph, subject.plan, samples->data).each(read_back(subject, file));
  if (!o.no_check) check_file(subject, q, file, o.out);
  if (!o.dump_dir.empty()) write_stages({subject.graph, q.graph, file}, o.dump_dir);
  if (!o.report.empty())
    write_file(o.report,
               report_json(o, ranges, rows, outputs, accuracy, samples ? samples_text(o, *samples) : "").dump(1) + "\n");
  write_quantized(subject, file, o.out);
  std::error_code ignored;
  if (o.settings.max_drop >= 0) std::filesystem::remove(state_of(o.out), ignored);
  if (!o.quiet) std::fputs(layer_table(rows).c_str(), stdout);
  warn_of_floats(q.report);
  if (accuracy.float_ap >= 0)
    std::printf("AP %.4f, in float %.4f; %zu layers returned to float after %zu trials\n", accuracy.int8_ap, accuracy.float_ap,
                accuracy.in_float.size(), accuracy.trials);
  for (const auto& [name, db] : outputs)
    if (!o.quiet) std::printf("%s: %.1f dB\n", name.c_str(), db);
  if (samples && !o.quiet) std::printf("dB on %s\n", samples_text(o, *samples).c_str());
  std::printf("%d of %zu layers in INT8, %s\n", q.report.int8_layers(), rows.size(), o.out.c_str());
  return 0;
}

std::string ranking_table(const std::vector<LayerSensitivity>& layers) {
  std::string text = "    dB  layer\n";
  for (const LayerSensitivity& l : layers) {
    char line[32];
    std::snprintf(line, sizeof line, "%6.1f  ", l.sqnr_db);
    text += line + printable(l.name) + "\n";
  }
  return text;
}

}  // namespace

std::function<int()> setup_quantize(CLI::App& app) {
  auto o = std::make_shared<QuantizeFlags>();
  o->add(app);
  app.add_option("-o,--out", o->out, "INT8 graph (.pb); of a model, its model file is written beside it")->required();
  app.add_option("--method", o->settings.method, "Of calibration, without --ranges; default minmax");
  app.add_option("--percentile", o->settings.percentile, "Of --method percentile; default 99.9999")
      ->check(CLI::Range(50.0, 100.0));
  app.add_option("--max-images", o->settings.max_images, "To calibrate on, without --ranges; default 100")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--max-drop", o->settings.max_drop, "Most AP to lose; layers return to float until it is met")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--truth", o->truth, "With --max-drop: COCO truth of --images");
  app.add_option("--streams", o->detection.streams, "With --max-drop: networks at work at once; 0: one per core")
      ->check(CLI::Range(0, 256));
  app.add_option("--dump-dir", o->dump_dir, "Write the graph of each stage here");
  app.add_option("--report", o->report, "What became of each layer (.json)");
  app.add_flag("--no-check", o->no_check, "Do not run the file beside the network before it is written");
  return [o] { return quantize_command(*o); };
}

std::function<int()> setup_sensitivity(CLI::App& app) {
  struct Options : QuantizeFlags {
    int max_images = 4;
    SensitivityOptions sensitivity;
  };
  auto o = std::make_shared<Options>();
  o->add(app);
  app.add_option("--max-images", o->max_images, "To compare on, evenly spaced over the sorted list; default 4")
      ->check(CLI::Range(1, 10000));
  app.add_flag("--alone-float", o->sensitivity.alone_float, "One layer in float and all others INT8, instead of one INT8");
  app.add_option("--streams", o->sensitivity.threads, "Trials at once; 0: one per core")->check(CLI::Range(0, 256));
  app.add_option("-o,--out", o->out, "Ranking (.json)");
  return [o] {
    o->finish();
    if (o->settings.images.empty()) throw UsageError("cytodet sensitivity", "needs --images DIR");
    OutputPlan plan;
    add_inputs(plan, *o);
    plan.add_output(o->out, "the ranking");
    check_outputs(plan);
    Subject subject = read_subject(o->graph);
    const Ranges ranges = ranges_of(subject, o->settings, o->quiet);
    o->sensitivity.quantize = o->settings.layers;
    o->sensitivity.quiet = o->quiet;
    const Quantized all = quantize_subject(subject, ranges, o->sensitivity.quantize);
    const OutputSqnr outputs(subject.graph, subject.plan, data_of(subject, o->settings.images, o->max_images));
    const std::vector<LayerSensitivity> layers = sensitivity(subject.graph, ranges, outputs, o->sensitivity);
    Json j{{"graph", o->graph}, {"all_int8_db", outputs.of(all.graph)}, {"outputs", Json::object()}};
    for (const auto& [name, db] : outputs.each(all.graph)) j["outputs"][name] = db;
    j["alone"] = o->sensitivity.alone_float ? "float" : "int8";
    j["layers"] = Json::array();
    for (const LayerSensitivity& l : layers) j["layers"].push_back({{"name", l.name}, {"op", l.op}, {"sqnr_db", l.sqnr_db}});
    if (!o->out.empty()) write_file(o->out, j.dump(1) + "\n");
    std::fputs(ranking_table(layers).c_str(), stdout);
    std::printf("all %zu layers in INT8: outputs at %.1f dB\n", layers.size(), j["all_int8_db"].get<double>());
    return 0;
  };
}

}  // namespace cytodet::pipeline
