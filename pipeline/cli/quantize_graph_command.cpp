// cytodet quantize_graph: layers on 8-bit codes with ranges that each run computes, by the flags of Intel's tool of this name.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "core/enum_names.h"
#include "core/error.h"
#include "core/file.h"
#include "core/output_plan.h"
#include "core/suggest.h"
#include "core/text_width.h"
#include "graph/io/read_graph.h"
#include "graph/io/tensorflow/graph_def.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/tool_flags.h"
#include "pipeline/detect/files_read.h"
#include "pipeline/transform/eightbit.h"
#include "pipeline/transform/transform_table.h"

namespace cytodet::pipeline {
namespace {

struct QuantizeGraphFlags {
  std::string in, out, outputs, mode = "round", excluded_ops, excluded_nodes, model_name, input_dims, fallback_min, fallback_max;
  bool binary_in = true, binary_out = true, print_nodes = false, strip = true, quantized_input = false, intel = false,
       per_channel = false;
  int depth = 8;
  float input_min = 0, input_max = 1;
};

enum class GraphMode { eightbit, weights, of_tests };
constexpr EnumName<GraphMode> kModes[] = {{GraphMode::of_tests, "round"},    {GraphMode::of_tests, "quantize"},
                                          {GraphMode::eightbit, "eightbit"}, {GraphMode::weights, "weights"},
                                          {GraphMode::of_tests, "test"},     {GraphMode::of_tests, "weights_rounded"}};

std::set<std::string> set_of(const std::string& text) {
  const std::vector<std::string> names = names_between_commas(text);
  return {names.begin(), names.end()};
}

float number_of(const char* flag, const std::string& text) {
  size_t end = 0;
  float v = 0;
  try {
    v = std::stof(text, &end);
  } catch (const std::exception&) {
  }
  if (end == 0 || end != text.size()) throw Error(flag, "is \"" + text + "\", which is no number");
  return v;
}

GraphMode mode_of(const QuantizeGraphFlags& f) {
  const GraphMode* mode = value_in(kModes, f.mode);
  if (!mode) throw Error("", "mode is '" + f.mode + "', not in round, quantize, eightbit, weights, test, weights_rounded.");
  if (*mode == GraphMode::of_tests)
    throw Error("--mode", "is " + f.mode + ", which serves tests of the source tool alone", "eightbit or weights");
  return *mode;
}

void check_flags(const QuantizeGraphFlags& f, GraphMode mode) {
  if (f.quantized_input) throw Error("--quantized_input", "is not taken: inputs stay floats", "leave it out");
  if (f.depth != 8) throw Error("--bitdepth", "is " + std::to_string(f.depth), "8");
  if (f.fallback_min.empty() != f.fallback_max.empty())
    throw Error("--quantized_fallback_min", "needs --quantized_fallback_max beside it, and the other way round");
  if (!f.fallback_min.empty() && mode != GraphMode::eightbit) throw Error("--quantized_fallback_min", "is for --mode=eightbit");
  if (f.out.empty()) throw Error("", "needs a name for the result", "--output=GRAPH.pb");
  if (f.outputs.empty()) throw Error("", "needs the outputs", "--output_node_names=a,b");
}

void quantize_eightbit(Graph& graph, const QuantizeGraphFlags& f) {
  EightbitOptions options;
  options.outputs = names_between_commas(f.outputs);
  options.excluded_ops = set_of(f.excluded_ops);
  options.excluded_nodes = set_of(f.excluded_nodes);
  options.per_channel = f.per_channel;
  if (!f.fallback_min.empty())
    options.fallback = {number_of("--quantized_fallback_min", f.fallback_min),
                        number_of("--quantized_fallback_max", f.fallback_max)};
  const EightbitReport r = to_eightbit(graph, options);
  std::printf("%d of %d convolutions on 8-bit codes, %d pools, %d concatenations\n", r.convolutions, r.convolutions + r.in_float,
              r.pools, r.concatenations);
  if (r.signed_depthwise > 0)
    std::printf(
        "%d depthwise convolutions read signed values: TensorFlow has no kernel for them; "
        "--excluded_ops=DepthwiseConv2dNative leaves all in float\n",
        r.signed_depthwise);
}

int run(const QuantizeGraphFlags& f) {
  std::error_code ignored;
  if (!std::filesystem::exists(f.in, ignored)) throw Error("", "Input graph file '" + f.in + "' does not exist!");
  const GraphMode mode = mode_of(f);
  check_flags(f, mode);
  OutputPlan plan;
  add_graph(plan.inputs(), f.in);
  plan.add_output(f.out, "the quantized graph");
  check_outputs(plan);
  Graph graph = read_graph(f.in);
  const auto quiet = [](const std::string&) {};
  try {
    const Interface io{{}, names_between_commas(f.outputs)};
    for (const std::string& name : io.outputs) graph.value(name);
    if (mode == GraphMode::weights) {
      apply_transforms(graph, io, parse_transforms("quantize_weights(minimum_size=16)"), quiet);
    } else {
      apply_transforms(graph, io, parse_transforms("strip_unused_nodes remove_nodes(op=Identity, op=CheckNumerics)"), quiet);
      quantize_eightbit(graph, f);
    }
    if (f.print_nodes)
      for (NodeId id : graph.topological_order())
        std::printf("%s", printable_lines(graph.node(id).name + " " + graph.node(id).op + "\n").c_str());
  } catch (const Error& e) {
    throw e.within(f.in);
  }
  write_file(f.out, f.binary_out ? encode_as(graph, f.out) : encode_graph_text(graph));
  write_model_file_beside(f.in, f.out);
  return 0;
}

}  // namespace

std::function<int()> setup_quantize_graph(CLI::App& app) {
  auto o = std::make_shared<QuantizeGraphFlags>();
  app.add_option("--input", o->in, "Graph, .pb or .pbtxt; SavedModel, checkpoint, ONNX or TensorFlow Lite model");
  app.add_option("--output", o->out, "The quantized graph; text when it ends in .pbtxt");
  app.add_option("--output_node_names", o->outputs, "Nodes that are asked for, between commas");
  app.add_option("--mode", o->mode, "eightbit, or weights: 8-bit constants that are read as floats");
  app.add_option("--excluded_ops", o->excluded_ops, "Ops that stay in float, between commas");
  app.add_option("--excluded_nodes", o->excluded_nodes, "Nodes that stay in float, between commas");
  app.add_option("--quantized_fallback_min", o->fallback_min, "A range for all results, instead of one that each run computes");
  app.add_option("--quantized_fallback_max", o->fallback_max, "Its other end");
  app.add_option("--bitdepth", o->depth, "8");
  app.add_option("--model_name", o->model_name, "Taken, and not needed: all networks are quantized by the same rules");
  app.add_option("--test_input_dims", o->input_dims, "Taken, and not needed");
  app.add_option("--quantized_input_min", o->input_min, "Taken, and not needed: inputs stay floats");
  app.add_option("--quantized_input_max", o->input_max, "Taken, and not needed: inputs stay floats");
  add_absl_boolean(app, "per_channel", o->per_channel, "A range of the filter for each output channel; default: one for all");
  add_absl_boolean(app, "print_nodes", o->print_nodes, "A line for each node of the result");
  add_absl_boolean(app, "input_binary", o->binary_in, "Taken, and not needed: binary and text are distinguished by content");
  add_absl_boolean(app, "output_binary", o->binary_out, "false: write text");
  add_absl_boolean(app, "intel_cpu_eightbitize", o->intel, "Taken, and not needed: codes are always those of Intel's kernels");
  add_absl_boolean(app, "strip_redundant_quantization", o->strip, "Taken, and not needed: codes go straight from layer to layer");
  add_absl_boolean(app, "quantized_input", o->quantized_input, "Not taken: inputs stay floats");
  return [o] { return run(*o); };
}

}  // namespace cytodet::pipeline
