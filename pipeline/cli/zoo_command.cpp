// cytodet zoo: networks of models.json, from float to INT8 in one command. The flags are those of IntelAI/tools'
// quantize_model_zoo.py.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "core/error.h"
#include "core/file.h"
#include "core/join.h"
#include "core/output_plan.h"
#include "core/settings.h"
#include "core/suggest.h"
#include "pipeline/classify/accuracy.h"
#include "pipeline/cli/commands.h"
#include "pipeline/config/zoo.h"
#include "pipeline/detect/detector.h"
#include "pipeline/detect/files_read.h"
#include "pipeline/quantize/fallback_search.h"
#include "pipeline/quantize/int8_search.h"
#include "pipeline/quantize/tf_stages.h"
#include "pipeline/results/folder_manifest.h"

namespace cytodet::pipeline {
namespace {

namespace fs = std::filesystem;

struct ZooFlags {
  std::string name, model, file, in_graph, out_graph, callback;
  ZooPlaces places;
  double timeout = QuantizeSettings().callback_timeout;
  int max_images = QuantizeSettings().max_images, batch = 1;
  bool list = false, model_file = false, debug = false, evaluate = false, quiet = false, overwrite = false, force = false;
};

std::vector<ZooEntry> read_zoo(const ZooFlags& o) {
  return o.file.empty() ? parse_zoo(shipped_zoo(), "configs/zoo/models.json")
                        : parse_zoo(read_json(o.file, int64_t{16} << 20), o.file);
}

const ZooEntry& entry_of(const std::vector<ZooEntry>& zoo, const std::string& name) {
  if (const ZooEntry* entry = entry_named(zoo, name)) return *entry;
  throw UsageError("cytodet zoo", "\"" + name + "\" is no network of the list", suggest(name, names_of(zoo)));
}

int print_list(const std::vector<ZooEntry>& zoo) {
  const Json models = shipped_zoo_models();
  std::printf("%-14s %-12s %-69s per channel  images are shown by\n", "network", "input", "outputs");
  for (const ZooEntry& e : zoo) {
    std::printf("%-14s %-12s %-69s %-11s  %s\n", e.name.c_str(), e.converter.inputs[0].c_str(),
                join(e.converter.outputs, ",").c_str(), e.converter.per_channel ? "true" : "false",
                models.contains(e.name) ? "the program" : "--callback or --models_zoo_location");
  }
  return 0;
}

void print_config(const std::vector<ZooEntry>& zoo, const ZooEntry& e) {
  const Json json = write_settings(e);
  for (auto it = json.begin(); it != json.end(); ++it)
    std::printf("Model Config: %s:%s\n", it.key().c_str(), it->is_string() ? it->get<std::string>().c_str() : it->dump().c_str());
  std::printf("Model Config: Supported models - ['%s']\n", join(names_of(zoo), "', '").c_str());
}

// How the network is shown images: by a command, else by what is known of its preprocessing, else by feeds.
std::string command_of(const ZooFlags& o, const ZooEntry& e) {
  if (!o.callback.empty()) return o.callback;
  return o.places.models_zoo.empty() ? "" : zoo_command(e, o.places);
}

// By what the program knows of the network.
QuantizationTarget shipped_target(const ZooFlags& o, const ZooEntry& e) {
  Json json = shipped_zoo_models()[e.name];
  json["name"] = e.name;
  json["graph"] = o.in_graph;
  json["input"]["node"] = e.converter.inputs[0];
  return read_target(parse_model_file(json, "configs/zoo/model_files.json: " + e.name), e.converter.outputs);
}

QuantizationTarget target_of(const ZooFlags& o, const ZooEntry& e, bool by_command) {
  if (has_model_file(o.in_graph)) return read_target(load_model(o.in_graph), e.converter.outputs);
  if (!shipped_zoo_models().contains(e.name)) {
    if (!by_command && o.places.data.empty())
      throw UsageError("cytodet zoo", "does not know how " + e.name + " is shown images",
                       "give --callback or --models_zoo_location");
    return read_target(o.in_graph, {{}, {e.converter.inputs, e.converter.outputs}});
  }
  return shipped_target(o, e);
}

// A form of the network on the data, which must have labels; `graph` in place of the float one.
AccuracyRun accuracy_of(const ZooFlags& o, const QuantizationTarget& target, const std::string& name, const std::string& graph) {
  if (!classifies(target)) throw UsageError("--evaluate", "is for networks that classify", "use cytodet evaluate");
  ModelFile model = *target.model;
  if (!graph.empty()) model.graph = graph;
  Classifier classifier(std::move(model), {o.batch, 0, 1});
  AccuracyHooks hooks;
  if (!o.quiet) hooks.progress = [](const std::string& line) { std::fputs(line.c_str(), stdout); };
  return run_accuracy(name, classifier, list_labelled_images({o.places.data}).images, hooks);
}

fs::path stages_of(const ZooFlags& o) { return fs::path(o.out_graph).replace_extension() += "_stages"; }

// Whether all can be written.
void check_files(const ZooFlags& o) {
  OutputPlan plan;
  add_model(plan.inputs(), o.in_graph);
  plan.add_input(o.file, "the list of networks");
  if (!o.places.data.empty()) add_labelled_images(plan.inputs(), {o.places.data});
  plan.add_output(o.out_graph, "the INT8 graph");
  if (has_model_file(o.in_graph) || shipped_zoo_models().contains(o.name))
    plan.add_output(model_file_beside(o.out_graph), "the model file of the INT8 graph");
  if (!o.places.data.empty()) plan.add_output(rounding_state(o.out_graph), "the state of the rounding");
  check_outputs(plan);
  if (!o.debug) return;
  for (const std::string& name : stage_names()) plan.add_output(stages_of(o) / name, "the graph of a stage");
  plan.check();
  if (!o.overwrite) FolderManifest(stages_of(o)).require_ours(stage_names());
}

// The model file of the float graph, by what is known of the network, for detect, classify and evaluate.
int write_float_model(const ZooFlags& o, const ZooEntry& e) {
  if (o.in_graph.empty()) throw UsageError("cytodet zoo", "needs --in_graph", "name the float graph of " + e.name);
  const fs::path to = model_file_beside(o.in_graph);
  std::error_code ignored;
  if (fs::exists(to, ignored) && !o.overwrite)
    throw UsageError(to.string(), "stands there already", "use it, or replace it by --overwrite");
  if (!shipped_zoo_models().contains(e.name))
    throw UsageError("cytodet zoo", "does not know how " + e.name + " is shown images", "see docs/model_file.md");
  write_model_file(*shipped_target(o, e).model, to);
  std::printf("%s\n", to.c_str());
  return 0;
}

int quantize_entry(ZooFlags& o, const std::vector<ZooEntry>& zoo, const ZooEntry& e) {
  if (o.in_graph.empty()) throw UsageError("cytodet zoo", "needs --in_graph", "name the float graph of " + e.name);
  const std::string command = command_of(o, e);
  if (command.empty() && o.places.data.empty())
    throw UsageError("cytodet zoo", "needs --data_location", "name images of the kind that the network will see");
  std::optional<FolderManifest> own;  // of a result whose name was not given
  if (o.out_graph.empty()) {
    o.out_graph = (folder_of(o.in_graph) / "int8_final_fused_graph.pb").string();
    if (!o.overwrite) require_own_files({o.out_graph, model_file_beside(o.out_graph)});
    own.emplace(folder_of(o.out_graph)).list_what_is_written();
  }
  print_config(zoo, e);
  if (!command.empty()) std::printf("Inference Calibration Command: %s\n", command.c_str());
  std::fflush(stdout);
  QuantizationTarget target = target_of(o, e, !command.empty());
  check_writable(target, o.out_graph);
  check_files(o);
  const ResultFolder stages(o.debug ? stages_of(o) : fs::path());
  QuantizeSettings s;
  s.images = command.empty() ? o.places.data : "";
  s.max_images = o.max_images;
  s.callback = command;
  s.callback_timeout = o.timeout;
  s.callback_folder = fs::absolute(o.out_graph).parent_path().string();
  s.layers.per_channel = e.converter.per_channel;
  s.layers.exclude_ops = e.converter.excluded_ops;
  s.layers.exclude_nodes = e.converter.excluded_nodes;
  check(s);
  std::vector<AccuracyRun> accuracies;  // float first, so that missing labels are noticed before the work
  if (o.evaluate) accuracies.push_back(accuracy_of(o, target, "fp32", {}));
  const Ranges ranges = ranges_of(target, s, o.quiet);
  s.force = o.force;
  s.layers = layers_of(target, s, o.quiet, rounding_state(o.out_graph));
  const Int8Network n = make_int8(target, ranges, s, s.layers, o.quiet);
  const Quantized& q = n.quantized;
  write_quantized(target, q, n.file, o.out_graph, o.force ? FileCheck::no : FileCheck::yes);
  end_rounding(s.layers.moments);
  if (o.debug) write_stages({target.graph, q.graph, n.file}, stages_of(o), stage_names());
  if (o.evaluate) {
    accuracies.push_back(accuracy_of(o, target, "int8", o.out_graph));
    std::fputs(accuracy_table(accuracies).c_str(), stdout);
  }
  std::printf("%d of %zu layers in INT8\nConverted graph file is saved to: %s\n", q.report.int8_layers(), q.report.layers.size(),
              o.out_graph.c_str());
  return 0;
}

}  // namespace

std::function<int()> setup_zoo(CLI::App& app) {
  auto o = std::make_shared<ZooFlags>();
  app.add_option("NAME,--model", o->name, "Network of the list");
  app.add_flag("--list", o->list, "Print the list");
  app.add_option("--models-json", o->file,
                 "The list, in the form of IntelAI/tools' models.json; default: the one that comes along");
  app.add_option("--in_graph,--in-graph", o->in_graph, "Its float graph, or a model file of it");
  app.add_option("--out_graph,--out-graph", o->out_graph,
                 "INT8 graph (.pb); default: int8_final_fused_graph.pb beside the float one");
  app.add_option("--data_location,--data-location", o->places.data, "Images to calibrate on, with --evaluate labelled ones");
  app.add_option("--models_zoo_location,--models-zoo-location", o->places.models_zoo,
                 "Folder of IntelAI/models: calibrate by the entry's own command");
  app.add_option("--models_source_dir,--models-source-dir", o->places.source_dir, "Of the entry's own command");
  app.add_option("--callback", o->callback, "Calibrate by this command: it runs the graph in place of {}");
  app.add_option("--callback-timeout", o->timeout, "Seconds after which a command is ended; 0: never")
      ->check(CLI::Range(0.0, 1e7));
  app.add_option("--max-images", o->max_images, "To calibrate on; default 100")->check(CLI::Range(1, 1000000));
  app.add_flag("--model-file", o->model_file,
               "Only write a model file beside the float graph: detect, classify and evaluate then take it");
  app.add_flag("--evaluate", o->evaluate, "Also top-1 and top-5 of both graphs on the data");
  app.add_option("--batch", o->batch, "With --evaluate: images at once")->check(CLI::Range(1, 4096));
  app.add_flag("--debug", o->debug, "Keep the graph of each stage in a folder beside the INT8 graph, of its name with _stages");
  app.add_flag("--force", o->force, "Also write a graph whose outputs stay below 10 dB of float");
  app.add_flag("--overwrite", o->overwrite,
               "Also replace files of names that were not given (the default of --out_graph, those of --debug) that another "
               "program or hand made");
  app.add_flag("--quiet", o->quiet, "No progress");
  return [o] {
    const std::vector<ZooEntry> zoo = read_zoo(*o);
    if (o->list) return print_list(zoo);
    if (o->name.empty()) throw UsageError("cytodet zoo", "needs NAME or --list", suggest("", names_of(zoo)));
    if (o->model_file) return write_float_model(*o, entry_of(zoo, o->name));
    return quantize_entry(*o, zoo, entry_of(zoo, o->name));
  };
}

}  // namespace cytodet::pipeline
