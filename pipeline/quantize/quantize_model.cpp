#include "pipeline/quantize/quantize_model.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>

#include "core/cpu.h"
#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/messages.h"
#include "core/settings.h"
#include "exec/runtime/partitioned_plan.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/ir/conv_node.h"
#include "graph/passes/tf_int8.h"
#include "graph/quantized/packed_filters.h"
#include "pipeline/inputs/slide_files.h"
#include "pipeline/quantize/answer_check.h"
#include "pipeline/quantize/callback.h"
#include "quant/clusters.h"
#include "quant/fake_quant.h"
#include "quant/graph_hash.h"
#include "quant/rounding_state.h"

namespace cytodet::pipeline {

CalibrateOptions calibrate_options(const QuantizeSettings& s, bool quiet) {
  CalibrateOptions options;
  options.method = first_observer(s);
  options.observer.percentile = s.percentile;
  options.quiet = quiet;
  return options;
}

Ranges ranges_of(QuantizationTarget& target, const QuantizeSettings& s, bool quiet) {
  check_names(target.graph, s.layers);
  if (!s.ranges.empty()) {
    Ranges ranges = read_ranges(s.ranges);
    if (const std::string hash = graph_hash(target.graph); !has_quantized(target.graph) && ranges.graph_hash != hash)
      throw Error(
          s.ranges,
          "the ranges belong to another graph (hash " + ranges.graph_hash + ", that of " + target.path + " is " + hash + ")",
          "calibrate this graph");
    return ranges;
  }
  if (s.images.empty() && s.callback.empty()) {  // records say all that is needed
    Ranges none;
    none.method = "record";
    none.graph_hash = graph_hash(target.graph);
    return none;
  }
  if (!s.callback.empty()) return ranges_by_callback(target, {s.callback, s.callback_timeout, s.callback_folder, quiet});
  CalibrationData data = calibration_data(target, s.images, s.max_images);
  try {
    Calibration c = calibrate(target.graph, target.plan, data, calibrate_options(s, quiet));
    for (const std::string& problem : c.problems) print_warning(problem);
    return c.ranges;
  } catch (const Error& e) {
    throw e.within(target.path);
  }
}

std::filesystem::path rounding_state(const std::filesystem::path& out) { return out.string() + ".rounding"; }

void end_rounding(const std::shared_ptr<const Moments>& moments) {
  if (moments && moments->state) moments->state->remove();
}

namespace {

// All that second moments, and weights rounded by them, depend on besides what Moments::rounded() is asked by.
std::string rounding_settings(const QuantizationTarget& target, const CalibrationData& data) {
  Hash hash;
  hash.add(CYTODET_VERSION).add(name_of(isa())).add(graph_hash(target.graph));
  for (const auto& [name, shape] : target.plan.input_shapes) hash.add(name).add(to_string(shape));
  for (const std::string& name : target.plan.outputs) hash.add(name);
  if (target.model) hash.add(json_line(write_settings(*target.model)));
  std::set<std::string> seen;
  for (size_t i = 0; i < data.samples.size(); ++i) {
    hash.add(data.samples[i]);
    if (!seen.insert(data.files[i]).second) continue;
    const SlideIdentity file = slide_identity(data.files[i]);
    hash.add(std::to_string(file.bytes)).add(std::to_string(file.time_ns)).add(file.hash);
  }
  return hash.text();
}

std::string going_on(const RoundingState& state) {
  return "going on with the sums of " + std::to_string(state.kept_samples()) + " images and " +
         std::to_string(state.kept_layers()) + " rounded layers in " + state.file().string();
}

std::shared_ptr<const Moments> moments_of(QuantizationTarget& target, const QuantizeSettings& s, bool quiet,
                                          const std::filesystem::path& state) {
  if (s.rounding == Rounding::nearest || s.images.empty()) return {};
  MomentOptions options;
  options.quiet = quiet;
  const CalibrationData data = calibration_data(target, s.images, s.max_images);
  if (!state.empty()) {
    options.state = std::make_shared<RoundingState>(state, rounding_settings(target, data));
    if (options.state->kept_samples() + static_cast<int64_t>(options.state->kept_layers()) > 0) {
      std::printf("%s\n", going_on(*options.state).c_str());
      std::fflush(stdout);
    }
  }
  try {
    return second_moments(target.graph, target.plan, data, options);
  } catch (const Error& e) {
    throw e.within(target.path);
  }
}

}  // namespace

QuantizeOptions layers_of(QuantizationTarget& target, const QuantizeSettings& s, bool quiet, const std::filesystem::path& state) {
  QuantizeOptions layers = s.layers;
  if (const std::string unknown = unknown_exclusions(target.graph, layers); !unknown.empty()) print_warning(unknown);
  layers.moments = moments_of(target, s, quiet, state);
  if (s.record.empty()) return layers;
  layers.records = std::make_shared<const Records>(read_records(s.record));
  layers.equalize = false;  // records say what layers read
  return layers;
}

namespace {

std::vector<std::string> outputs_of(const QuantizationTarget& target) {
  return target.interface.outputs.empty() ? find_outputs(target.graph) : target.interface.outputs;
}

void sweep_target(const QuantizationTarget& target, Graph& graph) {
  std::vector<NodeId> kept;
  for (const std::string& name : outputs_of(target)) kept.push_back(graph.value(name).node);
  for (const std::string& name : target.interface.inputs) kept.push_back(graph.require(name));
  graph.sweep(kept);
}

}  // namespace

Graph trainable_graph(const QuantizationTarget& target, const Quantized& quantized, int& layers) {
  Graph graph = quantized.graph;
  layers = to_fake_quant(graph);
  sweep_target(target, graph);
  return graph;
}

Quantized quantize_target(const QuantizationTarget& target, const Ranges& ranges, const QuantizeOptions& options) {
  Quantized q{target.graph, {}};
  try {
    q.report = quantize(q.graph, ranges, options);
    sweep_target(target, q.graph);  // float filters and biases
  } catch (const Error& e) {
    throw e.code() == Exit::usage ? e : e.within(target.path);
  }
  return q;
}

Records records_of(const Quantized& quantized) {
  Records records;
  for (const QuantizedLayer& l : quantized.report.layers) {
    if (l.precision != LayerPrecision::int8) continue;
    std::string node = l.name;
    std::optional<QuantizedConv> conv = quantized_conv(quantized.graph, quantized.graph.require(node));
    if (!conv) {  // channels first: the convolution bears another name
      const NodeId last = quantized.graph.find(node + "/channels_last");
      if (last >= 0) conv = quantized_conv(quantized.graph, last);
    }
    if (!conv) continue;  // a pool or resize: AMCT has records of layers with weights
    if (quantized.graph.node(conv->input.node).name.ends_with("/equalized"))
      throw Error(l.name, "its input channels are equalized, which records cannot say", "quantize with --no-equalization");
    LayerRecord& r = records[l.name];
    r.scale_d = conv->quant.scale;
    r.offset_d = conv->quant.is_signed ? 0 : conv->quant.zero_point - 128;
    r.scale_w = conv->weights.scales;
    if (l.weight_bits < 8) {
      const std::vector<int64_t> counts = value_counts(conv->weights.values);
      for (size_t code = 0; code < counts.size(); ++code)
        if (counts[code] > 0) r.cluster.push_back(static_cast<int>(code) - 128);
    }
  }
  return records;
}

void require_int8_layers(const std::string& graph, const QuantizeReport& report) {
  if (report.int8_layers()) return;
  std::map<std::string, int> by_reason;
  for (const QuantizedLayer& l : report.layers) ++by_reason[l.why];
  const auto most =
      std::max_element(by_reason.begin(), by_reason.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  const std::string why = most == by_reason.end() ? "it has no convolution or matrix product"
                                                  : most->first + " (" + std::to_string(most->second) + " layers)";
  throw Error(graph, "no layer is left that can be INT8: " + why, "calibrate on images like those it will see, or exclude less");
}

std::set<std::string> last_layers(const QuantizationTarget& target) {
  const Graph& g = target.graph;
  std::set<std::string> found;
  for (const std::string& name : outputs_of(target)) {
    NodeId at = g.value(name).node;
    while (at >= 0) {
      const Node& n = g.node(at);
      if (has_int8_form(n.op)) {
        found.insert(n.name);
        break;
      }
      // On, through whatever has one computed input.
      NodeId next = -1;
      int computed = 0;
      for (const Value& v : n.inputs)
        if (!g.constant(v)) ++computed, next = v.node;
      at = computed == 1 ? next : -1;
    }
  }
  return found;
}

namespace {

struct TensorFlowForm {
  OutputRanges ranges;
  TfInt8Options options;
};
TensorFlowForm tensorflow_form(const QuantizationTarget& target, const Graph& quantized, const Ranges& ranges,
                               std::set<std::string> precise) {
  const std::vector<std::string> outputs = outputs_of(target);
  precise.merge(last_layers(target));
  return {output_ranges(quantized, ranges, {outputs.begin(), outputs.end()}), {target.interface, std::move(precise)}};
}

}  // namespace

Graph to_tf_int8(const QuantizationTarget& target, const Quantized& quantized, const Ranges& ranges,
                 const std::set<std::string>& precise) {
  Graph g = quantized.graph;
  const TensorFlowForm form = tensorflow_form(target, g, ranges, precise);
  to_tensorflow_int8(g, form.ranges, form.options);
  const auto is_packed = [](const QuantizedLayer& l) { return l.weight_bits < 8; };
  if (std::any_of(quantized.report.layers.begin(), quantized.report.layers.end(), is_packed)) pack_filters(g);
  return g;
}

void round_as_tensorflow(const QuantizationTarget& target, Graph& quantized, const Ranges& ranges,
                         const std::set<std::string>& precise) {
  const TensorFlowForm form = tensorflow_form(target, quantized, ranges, precise);
  round_results_to_int8(quantized, form.ranges, form.options);
}

namespace {

// The mean over channels of the square of the range that all are rounded by in their own: what the noise of that rounding is to a
// channel's energy, but for a factor. 0: not known.
double coarseness(const Range& result) {
  const size_t channels = std::min(result.channel_low.size(), result.channel_high.size());
  double sum = 0;
  for (size_t c = 0; c < channels; ++c) {
    const double size = std::max(std::abs(result.channel_low[c]), std::abs(result.channel_high[c]));
    if (size > 0) sum += std::pow((static_cast<double>(result.high) - result.low) / size, 2);
  }
  return channels ? sum / static_cast<double>(channels) : 0;
}

}  // namespace

std::vector<std::string> most_coarsely_rounded(const QuantizationTarget& target, const Quantized& quantized,
                                               const Ranges& ranges) {
  const std::vector<std::string> outputs = outputs_of(target);
  const std::set<std::string> last = last_layers(target);
  std::vector<std::pair<double, std::string>> layers;
  for (const auto& [layer, result] : result_ranges(quantized.graph, ranges, {outputs.begin(), outputs.end()}))
    if (!last.contains(layer)) layers.emplace_back(-coarseness(result), layer);
  std::sort(layers.begin(), layers.end());
  std::vector<std::string> names;
  for (const auto& [score, name] : layers) names.push_back(name);
  return names;
}

Graph from_tf_int8(const QuantizationTarget& target, Graph file) {
  PassOptions passes;
  passes.interface = {target.interface.inputs, outputs_of(target)};
  for (const std::string& name : network_outputs(target.graph, target.plan))  // by which it is measured
    if (std::vector<std::string>& kept = passes.interface.outputs; std::find(kept.begin(), kept.end(), name) == kept.end())
      kept.push_back(name);
  run_passes(file, passes);
  return file;
}

std::filesystem::path model_file_beside(const std::filesystem::path& graph) {
  return std::filesystem::path(graph).replace_extension(".json");
}

namespace {

void refuse_source(const std::filesystem::path& source, const std::filesystem::path& out) {
  std::error_code ignored;
  if (std::filesystem::equivalent(source, out, ignored))
    throw UsageError(out.string(), "is the network that is to be quantized", "choose another name");
}

// Nobody typed this name: a file of somebody else that has it stays.
void refuse_other_than_model(const std::filesystem::path& file) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(file, ignored)) return;
  try {
    read_model_file(file);
  } catch (const Error&) {
    throw UsageError(file.string(), "stands where the model file of the INT8 graph is written, and is none",
                     "name another graph, or move that file away");
  }
}

}  // namespace

void check_writable(const QuantizationTarget& target, const std::filesystem::path& out) {
  if (out.extension() != ".pb" && out.extension() != ".pbtxt" && out.extension() != ".tflite")
    throw UsageError(out.string(), "must end in .pb, .pbtxt or .tflite", "name the INT8 graph, such as int8.pb");
  refuse_source(target.path, out);
  { AtomicFile writable(out); }
  if (!target.model) return;
  refuse_source(model_file_beside(target.path), model_file_beside(out));
  refuse_other_than_model(model_file_beside(out));
  { AtomicFile writable(model_file_beside(out)); }
}

namespace {

void check_file(const QuantizationTarget& target, const Quantized& quantized, const Graph& file,
                const std::filesystem::path& out) {
  AnswerOptions options;
  options.interface = {target.interface.inputs, network_outputs(target.graph, target.plan)};
  options.shapes = target.plan.input_shapes;
  options.min_sqnr_db = kMinFileDb;
  options.plain_macs = 300000000;  // plain loops over quantized values are slow
  try {
    const AnswerCheck check = check_answers(quantized.graph, parse_graph(encode_as(file, out), out.string()), options);
    if (!check.skipped.empty()) print_warning(out.string() + ": could not be compared with the network: " + check.skipped);
  } catch (const Error& e) {
    throw e.within(target.path);
  }
}

}  // namespace

void write_quantized(const QuantizationTarget& target, const Quantized& quantized, const Graph& file,
                     const std::filesystem::path& out, FileCheck check) {
  if (check == FileCheck::yes) check_file(target, quantized, file, out);
  write_network(target, file, out);
}

void write_network(const QuantizationTarget& target, const Graph& graph, const std::filesystem::path& out) {
  write_graph(graph, out);
  if (target.model) write_model_file_beside(target, out);
}

void write_model_file_beside(const QuantizationTarget& target, const std::filesystem::path& out) {
  ModelFile m = *target.model;
  m.graph = out.string();
  write_model_file(m, model_file_beside(out));
}

}  // namespace cytodet::pipeline
