#include "pipeline/amct/amct_calibrate.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "core/error.h"
#include "core/file.h"
#include "core/messages.h"
#include "core/settings.h"
#include "core/suggest.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/ir/conv_node.h"
#include "pipeline/detect/files_read.h"
#include "pipeline/quantize/quantize_model.h"
#include "pipeline/results/folder_manifest.h"
#include "quant/clusters.h"
#include "quant/graph_hash.h"
#include "quant/layout.h"
#include "quant/moments.h"

namespace cytodet::pipeline {
namespace {

namespace fs = std::filesystem;

bool is_quantizable(const Node& n) {
  return (n.op == "Conv2D" || n.op == "DepthwiseConv2dNative" || n.op == "MatMul") && n.inputs.size() == 2;
}

// How each layer of the graph that can be quantized is to be.
AmctPlan plan_for(const Graph& graph, const AmctRequest& r, std::vector<std::string>& notes) {
  std::map<std::string, std::string> types;
  std::vector<std::string> names, known_types;
  for (NodeId id : graph.ids()) {
    const Node& n = graph.node(id);
    if (!is_quantizable(n) || !graph.constant(n.inputs[1])) continue;
    types[n.name] = n.op;
    names.push_back(n.name);
    known_types.push_back(n.op);
  }
  if (names.empty()) throw Error(r.model, "has no convolution or matrix product with a constant filter");
  const auto require = [](const std::string& where, const std::string& name, const std::vector<std::string>& known) {
    if (std::find(known.begin(), known.end(), name) == known.end())
      throw Error(where, name + " is no layer of the graph", suggest(name, known));
  };
  if (fs::path(r.config).extension() == ".json") {
    AmctPlan plan = parse_amct_json(read_file(r.config), r.config);
    for (const auto& [name, layer] : plan.layers) require(r.config, name, names);
    for (const std::string& name : names)
      if (!plan.layers.contains(name)) plan.layers[name].enabled = false;
    return plan;
  }
  AmctConfig config;
  if (!r.config.empty()) try {
      config = parse_amct_cfg(read_file(r.config));
    } catch (const Error& e) {
      throw e.where().starts_with(r.config) ? e : e.within(r.config);
    }
  notes = config.notes;
  for (const std::string& type : config.skip_layer_types)
    if (std::find(known_types.begin(), known_types.end(), type) == known_types.end())
      notes.push_back("skip_layer_types: no layer is a " + type);
  for (const std::string& name : config.skip_layers) require(r.config, name, names);
  for (const auto& [name, layer] : config.by_layer) require(r.config, name, names);
  AmctPlan plan{config.batch_num, config.activation_offset, config.do_fusion, {}};
  for (const auto& [name, type] : types) plan.layers[name] = config.layer(name, type);
  return plan;
}

std::vector<std::string> files_of(const AmctInput& input) {
  std::vector<std::string> files;
  std::error_code problem;
  for (fs::directory_iterator it(input.folder, problem), end; !problem && it != end; it.increment(problem))
    if (it->path().extension() == ".bin") files.push_back(it->path().string());
  if (problem)
    throw Error(input.folder, "cannot be listed: " + problem.message(), "name the folder of the .bin files with --data_dir");
  if (files.empty()) throw Error(input.folder, "holds no .bin files", "write each sample's bytes into one");
  std::sort(files.begin(), files.end());
  return files;
}

Tensor tensor_of(const std::string& file, const AmctInput& input) {
  Tensor t(input.type, input.shape);
  const std::string bytes = read_file(file);
  if (bytes.size() != t.bytes())
    throw Error(file,
                "holds " + std::to_string(bytes.size()) + " bytes, and " + to_string(input.shape) + " of " +
                    core::name_of(input.type) + " takes " + std::to_string(t.bytes()),
                "check --input_shape and --data_type");
  std::memcpy(t.raw(), bytes.data(), bytes.size());
  return t;
}

// The samples: the first file of each input's folder together, then the second, ...
CalibrationData raw_data(const AmctRequest& r, int wanted) {
  std::vector<std::vector<std::string>> files;
  for (const AmctInput& input : r.inputs) {
    files.push_back(files_of(input));
    if (files.back().size() != files.front().size())
      throw Error(input.folder, "holds " + std::to_string(files.back().size()) + " .bin files, and " + r.inputs[0].folder + " " +
                                    std::to_string(files.front().size()));
  }
  if (wanted > static_cast<int>(files[0].size()))
    throw Error(r.inputs[0].folder,
                "holds " + std::to_string(files[0].size()) + " .bin files, and batch_num is " + std::to_string(wanted),
                "ask for fewer, or add files");
  if (wanted > 0)
    for (auto& list : files) list.resize(static_cast<size_t>(wanted));
  CalibrationData data;
  data.name = fs::path(r.inputs[0].folder).lexically_normal().filename().string();
  data.samples = files[0];
  data.feed = [&r, files](size_t sample, Runner& runner) {
    for (size_t i = 0; i < r.inputs.size(); ++i)
      for (size_t in = 0; in < runner.plan().inputs().size(); ++in)
        if (runner.plan().inputs()[in].name == r.inputs[i].name)
          runner.set_input(static_cast<int>(in), tensor_of(files[i][sample], r.inputs[i]));
  };
  return data;
}

QuantizationTarget target_of(const AmctRequest& r) {
  TargetOptions options;
  options.interface.outputs = r.outputs;
  for (const AmctInput& input : r.inputs) options.interface.inputs.push_back(input.name);
  QuantizationTarget target = read_target(r.model, options);
  for (const AmctInput& input : r.inputs) {
    const Node& n = target.graph.node(target.graph.require(input.name));
    const DType type = n.attr_or("dtype", DType::f32);
    if (type != input.type)
      throw Error(r.model, "its input " + input.name + " is " + core::name_of(type) + ", not " + core::name_of(input.type),
                  "--data_type " + core::name_of(type));
    target.plan.input_shapes[input.name] = input.shape;
  }
  return target;
}

// Algorithms with other settings are other calibrations.
std::string calibration_key(const AmctLayer& l) {
  const IfmrOptions& s = l.search;
  if (l.act_algo == "hfmg") return "hfmg " + std::to_string(s.bins);
  return "ifmr " + json_line(Json{s.search_start, s.search_end, s.search_step, s.max_percentile, s.min_percentile});
}

// The ranges of what layers read, each by its layer's algorithm, and of all results by that of most layers.
Ranges ranges_by_layer(const QuantizationTarget& target, const AmctPlan& plan, const CalibrationData& data, bool quiet) {
  std::map<std::string, std::vector<std::string>> layers;
  for (const auto& [name, layer] : plan.layers)
    if (layer.enabled) layers[calibration_key(layer)].push_back(name);
  Ranges all;
  size_t max_layers = 0;
  std::map<std::string, Range> own;
  for (const auto& [key, names] : layers) {
    const AmctLayer& first = plan.layers.at(names[0]);
    CalibrateOptions options;
    options.method = first.act_algo;
    options.observer.ifmr = first.search;
    options.quiet = quiet;
    Calibration c = calibrate(target.graph, target.plan, data, options);
    for (const std::string& problem : c.problems) throw Error("", problem);
    for (const std::string& name : names) {
      const std::string input = target.graph.name_of(target.graph.node(target.graph.require(name)).inputs[0]);
      if (const auto it = c.ranges.values.find(input); it != c.ranges.values.end()) own[input] = it->second;
    }
    if (names.size() > max_layers) max_layers = names.size(), all = std::move(c.ranges);
  }
  for (auto& [value, range] : own) all.values[value] = std::move(range);
  if (all.graph_hash.empty()) all.graph_hash = graph_hash(target.graph);
  return all;
}

// The filter as its codes lie: [in, out] of a matrix.
Tensor filter_of(const Graph& graph, const std::string& layer) {
  Graph g = graph;
  const NodeId id = g.require(layer);
  store_transposed(g, id);
  return *g.constant(g.node(id).inputs[1]);
}

Records records_for(const QuantizationTarget& target, const AmctPlan& plan, const Ranges& ranges) {
  Records records;
  for (const auto& [name, layer] : plan.layers) {
    if (!layer.enabled) continue;
    const Node& n = target.graph.node(target.graph.require(name));
    const auto range = ranges.values.find(target.graph.name_of(n.inputs[0]));
    if (range == ranges.values.end() || is_degenerate(range->second)) continue;
    QuantParams quant = QuantParams::of_range(range->second.low, range->second.high, !layer.asymmetric);
    const Tensor filter = filter_of(target.graph, name);
    const QuantizedWeights w = quantize_weights(filter, output_channels(n.op, filter.shape()), layer.channel_wise);
    LayerRecord& r = records[name];
    r.scale_d = quant.scale;
    r.offset_d = quant.is_signed ? 0 : quant.zero_point - 128;
    r.scale_w = w.scales;
    r.learned = layer.wts_algo == "ada_quantize";
    if (layer.wts_algo == "nuq_quantize") r.cluster = best_clusters(value_counts(w.values), layer.num_steps).levels;
  }
  return records;
}

std::string log_line(const std::string& where, const std::string& what) {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm parts{};
  localtime_r(&seconds, &parts);
  char time[40], all[64];
  std::strftime(time, sizeof time, "%Y-%m-%d %H:%M:%S", &parts);
  std::snprintf(all, sizeof all, "%s,%03d", time,
                static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000));
  return std::string(all) + " - INFO - [AMCT]:[" + where + "]: " + what;
}

}  // namespace

AmctFiles amct_files(const AmctRequest& r) {
  fs::path prefix = r.save_path;
  std::error_code ignored;
  if (!prefix.has_filename() || fs::is_directory(prefix, ignored)) prefix /= fs::path(r.model).stem();
  const fs::path folder = fs::absolute(prefix).parent_path();
  const std::string name = prefix.filename().string();
  return {folder / (name + "_quantized.pb"),
          folder / (name + "_quant.json"),
          folder / "config.json",
          folder / "record.txt",
          folder / "amct_tensorflow_nuq_record.txt",
          folder / "amct_log" / "amct_tensorflow.log"};
}

Json quant_layers_json(const QuantizeReport& report, const Records& records) {
  Json layers = Json::array();
  for (const QuantizedLayer& l : report.layers) {
    Json j{{"name", l.name}, {"original", {l.name}}, {"int8", l.precision == LayerPrecision::int8}, {"nuq", false}};
    if (const auto r = records.find(l.name); r != records.end()) {
      j["nuq"] = !r->second.cluster.empty();
      j["scale_d"] = r->second.scale_d;
      j["offset_d"] = r->second.offset_d;
    } else {
      j["why"] = l.why;
    }
    layers.push_back(std::move(j));
  }
  return {{"layers", std::move(layers)}};
}

std::vector<std::string> amct_calibrate(const AmctRequest& r) {
  const AmctFiles files = amct_files(r);
  OutputPlan outputs;
  add_model(outputs.inputs(), r.model);
  outputs.add_input(r.config, "the configuration");
  for (const AmctInput& input : r.inputs)
    for (const std::string& file : files_of(input)) outputs.add_input(file, "a sample");
  for (const fs::path& file : files.all()) outputs.add_output(file, "a result of the calibration");
  outputs.check();
  if (!r.overwrite) require_own_files(files.all());
  QuantizationTarget target = target_of(r);
  std::vector<std::string> log, notes;
  const auto say = [&](const std::string& where, const std::string& what) { log.push_back(log_line(where, what)); };
  AmctPlan plan = plan_for(target.graph, r, notes);
  for (const std::string& note : notes) {
    print_warning(r.config + ": " + note);
    say("create_quant_config", note);
  }
  if (r.batch_num > 0) plan.batch_num = r.batch_num;
  const CalibrationData data = raw_data(r, plan.batch_num);
  if (plan.batch_num == 0) plan.batch_num = static_cast<int>(data.samples.size());
  try {
    const Ranges ranges = ranges_by_layer(target, plan, data, r.quiet);
    const Records records = records_for(target, plan, ranges);
    if (records.empty()) throw Error("", "no layer is left that can be quantized", "skip fewer layers");
    QuantizeOptions options;
    options.records = std::make_shared<const Records>(records);
    if (std::any_of(records.begin(), records.end(), [](const auto& record) { return record.second.learned; }))
      options.moments = second_moments(target.graph, target.plan, data, {MomentOptions().max_bytes, 256, r.quiet});
    const Quantized quantized = quantize_target(target, ranges, options);
    require_int8_layers(r.model, quantized.report);
    make_folder(files.log.parent_path());
    FolderManifest in_folder(files.graph.parent_path()), in_log(files.log.parent_path());
    in_folder.list_what_is_written();
    write_file(files.config, amct_json(plan).dump(2) + "\n");
    say("create_quant_config", "The configuration is saved in " + files.config.string());
    write_file(files.record, records_text(records));
    std::string nuq;
    for (const auto& [name, record] : records)
      if (!record.cluster.empty()) nuq += name + "\n";
    write_file(files.nuq_record, nuq);
    write_file(files.quant_json, quant_layers_json(quantized.report, records).dump(2) + "\n");
    write_quantized(target, quantized, to_tf_int8(target, quantized, ranges), files.graph);
    say("save_model", "The model is saved in " + files.graph.string());
  } catch (const Error& e) {
    throw e.where().starts_with(r.model) ? e : e.within(r.model);
  }
  std::string text;
  for (const std::string& line : log) text += line + "\n";
  FolderManifest in_log(files.log.parent_path());
  in_log.list_what_is_written();
  write_file(files.log, text);
  return log;
}

}  // namespace cytodet::pipeline
