#include "pipeline/quantize/quantize_modes.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>

#include "core/enum_names.h"
#include "core/error.h"
#include "core/messages.h"
#include "core/suggest.h"
#include "exec/runtime/plan.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/io/tflite/tflite.h"
#include "graph/io/tflite/write/write_tflite.h"
#include "graph/passes/pass.h"
#include "graph/quantized/quant_nodes.h"
#include "pipeline/quantize/tf_stages.h"
#include "quant/calibrate.h"
#include "quant/graph_hash.h"
#include "quant/weight_modes.h"

namespace cytodet::pipeline {
namespace {

constexpr EnumName<QuantizeMode> kModes[] = {{QuantizeMode::int8, "int8"},
                                             {QuantizeMode::weights, "weights"},
                                             {QuantizeMode::float16, "float16"},
                                             {QuantizeMode::full_int8, "full-int8"},
                                             {QuantizeMode::dynamic, "dynamic"}};

std::vector<std::string> fetched_names(const QuantizationTarget& target) {
  return target.interface.outputs.empty() ? find_outputs(target.graph) : target.interface.outputs;
}

std::string megabytes(int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", static_cast<double>(bytes) / 1e6);
  return text;
}
std::string did_text(const WeightReport& r, const char* what) {
  return std::to_string(r.changed) + what + ", constants " + megabytes(r.before) + " -> " + megabytes(r.after) + " MB";
}

// Quantized as with ranges, which each run then takes from its own numbers.
Graph dynamic_graph(const QuantizationTarget& target, bool per_channel) {
  Ranges any;
  any.method = "minmax";
  any.graph_hash = graph_hash(target.graph);
  for (const std::string& name : values_of_layers(target.graph)) any.values[name] = Range{-1, 1, {}, {}, {}};
  QuantizeOptions options;
  options.per_channel = per_channel;
  options.bias_correction = options.equalize = false;
  const Quantized q = quantize_target(target, any, options);
  require_int8_layers(target.path, q.report);
  return with_dynamic_ranges(q.graph, false);
}

// The stored values that stand for floats at an input or output of the network: number = (value - zero_point) * scale.
struct StoredGrid {
  float scale;
  int zero_point;  // of stored values
  int low, high;
};

const Range* range_of(const QuantizationTarget& target, const Ranges& ranges, std::string name) {
  for (;;) {
    if (const auto it = ranges.values.find(name); it != ranges.values.end()) return &it->second;
    const Value v = target.graph.value(name);
    const Node& n = target.graph.node(v.node);
    if (n.op != "Identity" || n.inputs.empty()) return nullptr;
    name = target.graph.name_of(n.inputs[0]);
  }
}

StoredGrid grid_of(const QuantizationTarget& target, const Ranges& ranges, const std::string& name, DType stored) {
  const bool sign = stored == DType::i8;
  const int low = sign ? -128 : 0;
  const std::string& op = target.graph.node(target.graph.value(name).node).op;
  if (op == "Softmax" || op == "Sigmoid") return {1.0f / 256, low, low, low + 255};
  const Range* range = range_of(target, ranges, name);
  if (!range) throw Error(target.path, name + " has no range", "calibrate on --images, or with calibrate --values all");
  const QuantParams q = QuantParams::of_range(range->low, range->high, false);
  return {q.scale, q.zero_point + low, low, low + 255};
}

std::string stored_text(const std::string& kind, const std::string& name, DType stored, const StoredGrid& g) {
  char text[96];
  std::snprintf(text, sizeof text, ", number = (value - %d) * %.9g", g.zero_point, static_cast<double>(g.scale));
  return kind + " " + name + ": " + core::name_of(stored) + text + "\n";
}

// Inputs and outputs that are floats hold stored values instead, under the same names.
Graph with_stored_ends(const QuantizationTarget& target, const Ranges& ranges, const Graph& int8, DType stored,
                       std::string& takes) {
  Graph g = int8;
  const auto number = [&](double v) { return g.add_const("stored/number", Tensor::scalar(static_cast<float>(v))); };
  const auto binary = [&](const char* op, const std::string& name, Value x, Value y) {
    return g.add_new(name, op, {x, y}, {{"T", DType::f32}});
  };
  for (const std::string& name : find_inputs(int8)) {
    const NodeId id = g.require(name);
    if (g.node(id).attr<DType>("dtype") != DType::f32) continue;
    const StoredGrid grid = grid_of(target, ranges, name, stored);
    g.node(id).attrs.insert_or_assign("dtype", stored);
    const Value cast = g.add_new(name + "/float", "Cast", {{id, 0}}, {{"SrcT", stored}, {"DstT", DType::f32}});
    const Value x =
        binary("Mul", name + "/number", binary("Sub", name + "/centred", cast, number(grid.zero_point)), number(grid.scale));
    g.replace_uses({id, 0}, x);
    g.node(cast.node).inputs[0] = {id, 0};
    takes += stored_text("input", name, stored, grid);
  }
  for (const std::string& name : fetched_names(target)) {
    const Value v = g.value(name);
    const Fact fact = Facts(g).of(v);
    if (fact.dtype != DType::f32) continue;
    if (v.slot != 0) throw Error(target.path, "output " + name + " is not the first of its node", "name another with --outputs");
    const StoredGrid grid = grid_of(target, ranges, name, stored);
    const std::string own = g.node(v.node).name;
    g.rename(v.node, g.unique_name(own + "/number"));
    Value q =
        g.add_new(own + "/rounded", "Round", {binary("RealDiv", own + "/scaled", v, number(grid.scale))}, {{"T", DType::f32}});
    q = binary("AddV2", own + "/shifted", q, number(grid.zero_point));
    q = binary("Maximum", own + "/above", binary("Minimum", own + "/below", q, number(grid.high)), number(grid.low));
    g.add_new(own, "Cast", {q}, {{"SrcT", DType::f32}, {"DstT", stored}});
    takes += stored_text("output", name, stored, grid);
  }
  return g;
}

LiteOptions lite_options(const QuantizationTarget& target, const ModeRequest& request, const Ranges& ranges) {
  LiteOptions o;
  o.shapes = target.plan.input_shapes;
  switch (request.mode) {
    case QuantizeMode::weights:
    case QuantizeMode::dynamic:
      o.mode = LiteMode::weights;
      break;
    case QuantizeMode::float16:
      o.mode = LiteMode::float16;
      break;
    case QuantizeMode::int8:
      o.mode = LiteMode::int8;
      break;
    case QuantizeMode::full_int8:
      o.mode = request.stored == DType::i8 ? LiteMode::full_int8 : LiteMode::full_uint8;
      break;
  }
  for (const auto& [name, range] : ranges.values) o.ranges[name] = {range.low, range.high};
  return o;
}

ModeFile lite_file(const QuantizationTarget& target, const ModeRequest& request, const Ranges& ranges, const std::string& out) {
  const std::vector<std::string> outputs = fetched_names(target);
  LiteOptions options = lite_options(target, request, ranges);
  ModeFile file;
  file.bytes = encode_tflite(target.graph, outputs, options);
  if (request.mode == QuantizeMode::full_int8) {
    options.mode = LiteMode::int8;
    file.graph = parse_tflite(encode_tflite(target.graph, outputs, options), out);
    const std::vector<std::string> inputs = find_inputs(target.graph);
    const Facts facts = facts_of(target.graph, target.plan);
    for (const auto* names : {&inputs, &outputs})
      for (const std::string& name : *names)
        if (facts.of(target.graph.value(name)).dtype == DType::f32)
          file.takes += stored_text(names == &outputs ? "output" : "input", name, request.stored,
                                    grid_of(target, ranges, name, request.stored));
  } else {
    file.graph = parse_tflite(file.bytes, out);
  }
  file.did = "TensorFlow Lite model of " + megabytes(static_cast<int64_t>(file.bytes.size())) + " MB";
  return file;
}

}  // namespace

const char* name_of(QuantizeMode mode) { return name_in(kModes, mode); }

std::optional<QuantizeMode> find_quantize_mode(const std::string& name) {
  const QuantizeMode* mode = value_in(kModes, name);
  return mode ? std::optional(*mode) : std::nullopt;
}

QuantizeMode quantize_mode_named(const std::string& name) {
  if (const auto mode = find_quantize_mode(name)) return *mode;
  throw UsageError("--mode " + name, "there is no such mode", suggest(name, names_of(kModes)));
}

Ranges ranges_of_all_values(QuantizationTarget& target, const QuantizeSettings& s, bool quiet) {
  if (!s.ranges.empty()) return ranges_of(target, s, quiet);
  CalibrationData data = calibration_data(target, s.images, s.max_images);
  CalibrateOptions options = calibrate_options(s, quiet);
  options.all_values = true;
  try {
    const Calibration c = calibrate(target.graph, target.plan, data, options);
    for (const std::string& problem : c.problems) print_warning(problem);
    return c.ranges;
  } catch (const Error& e) {
    throw e.within(target.path);
  }
}

namespace {

// Whether all that reads an input adds to it, multiplies it or brings it to another type.
bool is_normalised(const Graph& g, const std::string& input) {
  static const std::set<std::string> kArithmetic = {"Add", "AddV2", "Cast", "Div", "Mul", "RealDiv", "Sub"};
  const Consumers uses(g);
  const auto& readers = uses.of(g.require(input));
  return !readers.empty() && std::all_of(readers.begin(), readers.end(),
                                         [&](Consumers::Use use) { return kArithmetic.contains(g.node(use.node).op); });
}

bool are_pixels(const Tensor& t) {
  if (t.dtype() != DType::f32 || t.size() < 64) return false;
  float high = 0;
  for (float v : t.span<float>()) {
    if (v < 0 || v > 255 || v != std::floor(v)) return false;
    high = std::max(high, v);
  }
  return high > 16;
}

}  // namespace

std::string raw_pixels_in(const QuantizationTarget& target, const CalibrationData& data) {
  if (target.model || data.samples.empty()) return {};  // a model file says how pixels become numbers
  Runner runner(Plan::compile(target.graph, target.plan));
  data.feed(0, runner);
  for (size_t i = 0; i < runner.plan().inputs().size(); ++i) {
    const std::string& name = runner.plan().inputs()[i].name;
    if (are_pixels(runner.input(static_cast<int>(i))) && !is_normalised(target.graph, name))
      return data.samples[0] + ": input " + name +
             " is fed whole numbers of 0 to 255, as pixels are: a network that was trained on 0 to 1 or -1 to 1 must be "
             "calibrated on such numbers";
  }
  return {};
}

bool needs_ranges(QuantizeMode mode) { return mode == QuantizeMode::int8 || mode == QuantizeMode::full_int8; }

ModeFile make_mode(const QuantizationTarget& target, const ModeRequest& request, const Ranges& ranges, const Graph* int8,
                   const std::filesystem::path& out) {
  try {
    if (request.lite) return lite_file(target, request, ranges, out.string());
    ModeFile file{{}, target.graph, {}, {}};
    if (request.mode == QuantizeMode::weights)
      file.did = did_text(weights_to_int8(file.graph, request.per_channel), " filters as int8");
    if (request.mode == QuantizeMode::float16) file.did = did_text(constants_to_float16(file.graph), " constants as float16");
    if (request.mode == QuantizeMode::dynamic) {
      file.graph = dynamic_graph(target, request.per_channel);
      file.did = "8-bit layers with the ranges of each run's own numbers";
    }
    if (request.mode == QuantizeMode::full_int8) {
      file.graph = *int8;
      file.bytes = encode_as(with_stored_ends(target, ranges, *int8, request.stored, file.takes), out);
      file.did = "8-bit layers, inputs and outputs";
    } else {
      file.bytes = encode_as(file.graph, out);
    }
    return file;
  } catch (const Error& e) {
    throw e.code() == Exit::usage || e.where().starts_with(target.path) ? e : e.within(target.path);
  }
}

}  // namespace cytodet::pipeline
