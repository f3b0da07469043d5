// cytodet quantize: a network with 8-bit layers.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>

#include "core/error.h"
#include "core/file.h"
#include "core/messages.h"
#include "core/output_plan.h"
#include "core/settings.h"
#include "exec/runtime/partitioned_plan.h"
#include "graph/passes/raise_fake_quant.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/quantize_flags.h"
#include "pipeline/quantize/fallback_search.h"
#include "pipeline/quantize/feed_files.h"
#include "pipeline/quantize/feed_labels.h"
#include "pipeline/quantize/int8_search.h"
#include "pipeline/quantize/quantize_model.h"
#include "pipeline/quantize/quantize_modes.h"
#include "pipeline/quantize/quantize_report.h"
#include "pipeline/quantize/tf_stages.h"
#include "pipeline/results/folder_manifest.h"
#include "quant/graph_hash.h"
#include "quant/sensitivity.h"
#include "quant/sqnr.h"

namespace cytodet::pipeline {
namespace {

void warn_of_floats(const QuantizeReport& report) {
  std::map<std::string, std::vector<std::string>> by_reason;
  for (const QuantizedLayer& l : report.layers)
    if (l.precision == LayerPrecision::float32 && !l.why.starts_with("excluded")) by_reason[l.why].push_back(l.name);
  for (const auto& [why, names] : by_reason)
    print_warning(names.front() + (names.size() > 1 ? " and " + std::to_string(names.size() - 1) + " more" : "") +
                  " stays in float: " + why);
}

Json report_json(const QuantizeFlags& o, const Int8Network& n, const std::vector<LayerRow>& rows, const Accuracy& accuracy) {
  Json j{{"graph", o.graph}, {"graph_hash", n.ranges.graph_hash}, {"settings", write_settings(o.settings)}};
  j["ranges"] = {{"method", n.ranges.method}, {"data", n.ranges.data}, {"images", n.ranges.images}};
  if (!accuracy.figure.empty()) {
    const std::string key = accuracy.figure == "AP" ? "ap" : "top1";
    j["accuracy"] = {{"float_" + key, accuracy.of_float}, {"int8_" + key, accuracy.of_int8}, {"trials", accuracy.trials}};
    j["accuracy"]["returned_to_float"] = accuracy.in_float;
  }
  for (const OutputDb& output : n.figures.outputs) {
    j["outputs_sqnr_db"][output.name] = output.here;
    j["outputs_sqnr_db_in_tensorflow"][output.name] = output.tensorflow;
  }
  if (!n.figures.samples.empty()) j["outputs_sqnr_on"] = n.figures.samples;
  j["search"] = n.log;
  j["layers"] = layers_json(rows);
  return j;
}

std::filesystem::path state_of(const std::string& out) { return out + ".search.json"; }

Accuracy search(const QuantizeFlags& o, QuantizationTarget& target, const Ranges& ranges) {
  if (o.settings.max_drop < 0) return {};
  return search_float_fallback(target, ranges, o.settings, o.truth, o.detection, state_of(o.out), o.quiet);
}

OutputPlan plan_of(const QuantizeFlags& o, const QuantizationTarget& target) {
  OutputPlan plan;
  add_inputs(plan, o);
  plan.add_output(o.out, "the INT8 graph");
  if (target.model && o.mode != QuantizeMode::full_int8)
    plan.add_output(model_file_beside(o.out), "the model file of the INT8 graph");
  if (o.settings.max_drop >= 0) plan.add_output(state_of(o.out), "the state of the search");
  if (o.settings.rounding != Rounding::nearest && !o.settings.images.empty())
    plan.add_output(rounding_state(o.out), "the state of the rounding");
  plan.add_output(o.report, "the report");
  plan.add_output(o.write_record, "the records");
  return plan;
}

// The stages that --dump-dir gets: neither the optimized graph where it is the one that is read, nor the last one where that is
// the output.
std::vector<std::string> dumped_stages(const QuantizeFlags& o) {
  std::vector<std::string> names = stage_names();
  std::error_code ignored;
  const std::filesystem::path folder = o.dump_dir;
  if (std::filesystem::equivalent(folder / names.front(), o.graph, ignored)) names.erase(names.begin());
  if (std::filesystem::absolute(folder / names.back()).lexically_normal() == std::filesystem::absolute(o.out).lexically_normal())
    names.pop_back();
  return names;
}

constexpr const char* kWhatIsMeasured =
    "name the COCO ground truth and the images that it is about; of a classification network labelled images alone";

// Everything that can be refused before the work.
QuantizationTarget open_target(const QuantizeFlags& o) {
  const bool drop = o.settings.max_drop >= 0;
  if (drop && o.settings.images.empty()) throw UsageError("--max-drop", "needs --truth and --images", kWhatIsMeasured);
  QuantizationTarget target = read_target(o);
  check_names(target.graph, o.settings.layers);
  if (drop && !target.model)
    throw UsageError("--max-drop", "needs a model file", "write one beside " + target.path + ", see docs/model_file.md");
  if (drop && o.truth.empty() && !classifies(target))
    throw UsageError("--max-drop", "needs --truth and --images", kWhatIsMeasured);
  if (!drop) check_feed_labels(target, o.dump_feeds.empty() ? "" : o.truth);
  check_writable(target, o.out);
  check_outputs(plan_of(o, target));
  if (o.own_name && !o.overwrite) {
    std::vector<std::filesystem::path> written{o.out};
    if (target.model) written.push_back(model_file_beside(o.out));
    require_own_files(written);
  }
  if (!o.dump_dir.empty()) {
    OutputPlan plan = plan_of(o, target);
    const std::vector<std::string> names = dumped_stages(o);
    for (const std::string& name : names) plan.add_output(std::filesystem::path(o.dump_dir) / name, "the graph of a stage");
    plan.check();
    if (!o.overwrite) FolderManifest(o.dump_dir).require_ours(names);
  }
  return target;
}

void print_result(const QuantizeFlags& o, const Int8Network& n, const std::vector<LayerRow>& rows, const Accuracy& accuracy) {
  if (!o.quiet) std::fputs(layer_table(rows).c_str(), stdout);
  warn_of_floats(n.quantized.report);
  if (!accuracy.figure.empty())
    std::printf("%s %.4f, in float %.4f; %zu layers returned to float after %zu trials\n", accuracy.figure.c_str(),
                accuracy.of_int8, accuracy.of_float, accuracy.in_float.size(), accuracy.trials);
  for (const OutputDb& output : n.figures.outputs)
    if (!o.quiet) std::printf("%s: %.1f dB, in TensorFlow %.1f\n", output.name.c_str(), output.here, output.tensorflow);
  if (!n.figures.samples.empty() && !o.quiet) std::printf("dB on %s\n", n.figures.samples.c_str());
  std::printf("%d of %zu layers in INT8, %s\n", n.quantized.report.int8_layers(), rows.size(), o.out.c_str());
}

bool is_lite(const std::string& out) { return std::filesystem::path(out).extension() == ".tflite"; }

ModeRequest request_of(const QuantizeFlags& o) {
  ModeRequest r{o.mode, DType::u8, o.settings.layers.per_channel, is_lite(o.out)};
  if (o.io != "uint8" && o.io != "int8") throw UsageError("--io " + o.io, "there is no such type", "known are uint8 and int8");
  if (o.io == "int8") r.stored = DType::i8;
  return r;
}

// What --mode needs, and does not take.
void check_mode(const QuantizeFlags& o, const ModeRequest& r) {
  const bool ranged = needs_ranges(r.mode);
  if (o.settings.max_drop >= 0) throw UsageError("--max-drop", "is for the INT8 graph alone", "leave out --mode and write a .pb");
  if (!o.dump_dir.empty() || !o.report.empty() || !o.write_record.empty() || !o.settings.record.empty() || o.fake_quant)
    throw UsageError(!o.report.empty()         ? "--report"
                     : !o.dump_dir.empty()     ? "--dump-dir"
                     : !o.write_record.empty() ? "--write-record"
                     : o.fake_quant            ? "--fake-quant"
                                               : "--record",
                     "is for the INT8 graph alone", "leave out --mode and write a .pb");
  if (ranged && o.settings.ranges.empty() && o.settings.images.empty())
    throw UsageError(std::string("--mode ") + name_of(o.mode), "needs ranges",
                     "name images to calibrate on, --images, or ranges of all values, --ranges");
}

// How near its answers are to those in float, on images that calibration did not see where there are enough.
void check_answers_of(const QuantizeFlags& o, QuantizationTarget& target, const ModeFile& file) {
  if (o.settings.images.empty()) return;
  const HeldBack samples = held_back(target, o.settings.images, o.settings.max_images, 4);
  Graph graph = file.graph;
  PassOptions passes;
  passes.interface = Interface{target.interface.inputs, network_outputs(target.graph, target.plan)};
  run_passes(graph, passes);
  double worst = kExactDb;
  for (const auto& [name, db] : OutputSqnr(target.graph, target.plan, samples.data).each(graph)) {
    if (!o.quiet) std::printf("%s: %.1f dB of float\n", name.c_str(), db);
    worst = std::min(worst, db);
  }
  if (worst < kPoorDb && !o.settings.force)
    throw Error(o.out,
                "an output is only " + std::to_string(static_cast<int>(std::floor(worst))) + " dB of float: it is not written",
                "calibrate on images like those it will see; --force writes it all the same");
}

void warn_of_pixels(const QuantizeFlags& o, QuantizationTarget& target) {
  if (o.settings.images.empty()) return;
  if (const std::string warning = raw_pixels_in(target, data_of(target, o.settings.images, 1)); !warning.empty())
    print_warning(warning);
}

int write_mode(QuantizeFlags& o, const ModeRequest& request) {
  check_mode(o, request);
  QuantizationTarget target = open_target(o);
  warn_of_pixels(o, target);
  const Ranges ranges = needs_ranges(request.mode) ? ranges_of_all_values(target, o.settings, o.quiet) : Ranges();
  std::optional<Int8Network> int8;
  if (request.mode == QuantizeMode::full_int8 && !request.lite) {
    o.settings.layers = layers_of(target, o.settings, o.quiet, rounding_state(o.out));
    int8 = make_int8(target, ranges, o.settings, o.settings.layers, o.quiet);
  }
  const ModeFile file = make_mode(target, request, ranges, int8 ? &int8->file : nullptr, o.out);
  check_answers_of(o, target, file);
  write_file(o.out, file.bytes);
  end_rounding(o.settings.layers.moments);
  const bool floats = file.takes.empty();
  if (target.model && floats) write_model_file_beside(target, o.out);
  std::printf("%s: %s\n%s", o.out.c_str(), file.did.c_str(), file.takes.c_str());
  if (target.model && !floats) print_warning("no model file is written: images would have to be fed as stored values");
  return 0;
}

// What is written beside the graph itself.
void write_beside(const QuantizeFlags& o, const QuantizationTarget& target, const Int8Network& n,
                  const std::vector<LayerRow>& rows, const Accuracy& accuracy) {
  if (!o.dump_dir.empty()) write_stages({target.graph, n.quantized.graph, n.file}, o.dump_dir, dumped_stages(o));
  if (!o.write_record.empty()) write_file(o.write_record, records_text(records_of(n.quantized)));
  if (!o.report.empty()) write_file(o.report, report_json(o, n, rows, accuracy).dump(1) + "\n");
}

// A graph that is fake-quantized, and so was read as 8-bit layers: what it says is kept.
int write_fake_quantized(const QuantizeFlags& o, const QuantizationTarget& target) {
  Int8Network n;
  n.ranges.graph_hash = graph_hash(target.graph);
  n.quantized = {target.graph, report_of(target.graph)};
  n.file = to_tf_int8(target, n.quantized, n.ranges);
  write_quantized(target, n.quantized, n.file, o.out, o.no_check ? FileCheck::no : FileCheck::yes);
  const std::vector<LayerRow> rows = layer_rows(target, n.quantized, nullptr);
  write_beside(o, target, n, rows, {});
  print_result(o, n, rows, {});
  return 0;
}

void write_trainable(const QuantizeFlags& o, QuantizationTarget& target, const Int8Network& n) {
  int layers = 0;
  const Graph graph = trainable_graph(target, n.quantized, layers);
  if (!o.dump_feeds.empty()) {
    const int written =
        write_feed_files(target, calibration_data(target, o.settings.images, o.settings.max_images), o.dump_feeds, o.overwrite);
    const int labelled = write_feed_labels(target, o.settings.images, o.settings.max_images, o.truth, o.dump_feeds, o.overwrite);
    std::printf("%d feeds%s, %s\n", written, labelled ? (", " + std::to_string(labelled) + " with labels").c_str() : "",
                o.dump_feeds.c_str());
  }
  write_network(target, graph, o.out);
  std::printf("%d of %zu layers fake-quantized, %s\n", layers, n.quantized.report.layers.size(), o.out.c_str());
}

int quantize_command(QuantizeFlags& o) {
  o.finish();
  if (!o.write_record.empty()) {  // which says nothing of either
    o.settings.layers.equalize = false;
    if (!o.settings.layers.elementwise) o.settings.layers.elementwise = false;
  }
  if (!o.settings.record.empty()) o.settings.search = o.settings.layers.equalize = false;  // all is said
  const ModeRequest request = request_of(o);
  if (request.mode != QuantizeMode::int8 || request.lite) return write_mode(o, request);
  o.settings.callback_folder = std::filesystem::absolute(o.out).parent_path().string();
  QuantizationTarget target = open_target(o);
  const ResultFolder stages(o.dump_dir);
  if (o.settings.ranges.empty() && o.settings.images.empty() && o.settings.callback.empty() && o.settings.record.empty()) {
    if (has_quantized(target.graph)) {
      if (o.fake_quant) throw UsageError("--fake-quant", "is for float networks, and " + target.path + " is fake-quantized");
      return write_fake_quantized(o, target);
    }
    if (const std::string why = why_not_raised(target.graph); !why.empty())
      throw Error(o.graph, "is fake-quantized, but no layer can be read as one in 8 bits: " + why,
                  "train with constant ranges, or calibrate anew with --images");
  }
  check(o.settings);
  warn_of_pixels(o, target);
  const Ranges ranges = ranges_of(target, o.settings, o.quiet);
  o.settings.layers = layers_of(target, o.settings, o.quiet, rounding_state(o.out));
  QuantizeOptions options = o.settings.layers;
  require_int8_layers(o.graph, quantize_target(target, ranges, options).report);  // its errors come before a long search
  const Accuracy accuracy = search(o, target, ranges);
  options.exclude_nodes.insert(options.exclude_nodes.end(), accuracy.in_float.begin(), accuracy.in_float.end());
  const Int8Network n = make_int8(target, ranges, o.settings, options, o.quiet);
  std::optional<HeldBack> samples;
  if (!o.settings.images.empty() && (!o.fake_quant || !o.report.empty()))
    samples = held_back(target, o.settings.images, o.settings.max_images, 4);
  const std::vector<LayerRow> rows = layer_rows(target, n.quantized, samples ? &samples->data : nullptr);
  {
    std::optional<FolderManifest> own;
    if (o.own_name) own.emplace(folder_of(o.out)).list_what_is_written();
    if (o.fake_quant)
      write_trainable(o, target, n);
    else
      write_quantized(target, n.quantized, n.file, o.out, o.no_check || o.settings.force ? FileCheck::no : FileCheck::yes);
  }
  write_beside(o, target, n, rows, accuracy);
  std::error_code ignored;
  if (o.settings.max_drop >= 0) std::filesystem::remove(state_of(o.out), ignored);
  end_rounding(o.settings.layers.moments);
  if (!o.fake_quant) print_result(o, n, rows, accuracy);
  return 0;
}

}  // namespace

std::function<int()> setup_quantize(CLI::App& app) {
  auto o = std::make_shared<QuantizeFlags>();
  o->may_be_quantized = true;
  o->add(app);
  app.add_option("-o,--out", o->out, "INT8 graph (.pb), or .tflite; of a model, its model file is written beside it")->required();
  app.add_option_function<std::string>(
      "--mode", [o](const std::string& name) { o->mode = quantize_mode_named(name); },
      "int8 (default), full-int8 (inputs and outputs too), weights, float16 or dynamic");
  app.add_option("--io", o->io, "With --mode full-int8: what inputs and outputs hold, uint8 (default) or int8");
  app.add_option_function<std::string>(
      "--method", [o](const std::string& name) { o->settings.method = calibration_method_named(name); },
      "Of calibration, without --ranges: an observer; auto (default): minmax, or mse where images gain by it");
  app.add_option("--percentile", o->settings.percentile, "Of --method percentile; default 99.9999")
      ->check(CLI::Range(50.0, 100.0));
  app.add_option("--max-images", o->settings.max_images, "To calibrate on, without --ranges; default 100")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--max-drop", o->settings.max_drop, "Most AP (or top-1) to lose; layers return to float until it is met")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--truth", o->truth,
                 "COCO ground truth of --images: with --max-drop to measure by, with --dump-feeds for labels");
  app.add_option("--streams", o->detection.streams, "With --max-drop: networks at work at once; 0: one per core")
      ->check(CLI::Range(0, 256));
  app.add_option("--dump-dir", o->dump_dir, "Write the graph of each stage here");
  app.add_flag("--overwrite", o->overwrite, kOverwriteHelp);
  app.add_flag("--own-name", o->own_name, kOwnNameHelp);
  CLI::Option* record = app.add_option("--record", o->settings.record,
                                       "Quantize by these records of AMCT (record.txt); ranges and images are then not needed");
  app.add_option("--write-record", o->write_record,
                 "Also write AMCT's records (record.txt); input channels are not equalized then")
      ->excludes(record);
  app.add_flag(
      "--fake-quant", o->fake_quant,
      "Write a graph that TensorFlow trains: floats behind FakeQuant nodes with the ranges and weights of the INT8 graph");
  app.add_option("--dump-feeds", o->dump_feeds,
                 "With --fake-quant and --images: what the network is fed of each, as numpy's files in this folder")
      ->needs("--fake-quant", "--images");
  app.add_option("--report", o->report, "What became of each layer (.json)");
  app.add_flag("!--no-search", o->settings.search, "Do not look for the cause where INT8 is below 20 dB of float");
  app.add_flag("--force", o->settings.force, "Also write a graph whose outputs stay below 10 dB of float");
  app.add_flag("--no-check", o->no_check, "Do not run the file beside the network before it is written");
  return [o] { return quantize_command(*o); };
}

}  // namespace cytodet::pipeline
