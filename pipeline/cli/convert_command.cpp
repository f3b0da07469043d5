// cytodet convert: a graph of any format that is read into one that is written.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "core/enum_names.h"
#include "core/error.h"
#include "core/file.h"
#include "core/output_plan.h"
#include "core/text_width.h"
#include "graph/interpret/feed_check.h"
#include "graph/io/onnx/onnx.h"
#include "graph/io/onnx/write/write_onnx.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/io/tflite/tflite.h"
#include "graph/io/tflite/write/write_tflite.h"
#include "graph/map_transposes.h"
#include "graph/passes/pass.h"
#include "graph/quantized/quant_nodes.h"
#include "models/network_model.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/graph_flags.h"
#include "pipeline/detect/detector.h"
#include "pipeline/detect/files_read.h"
#include "pipeline/quantize/answer_check.h"
#include "pipeline/quantize/quantize_modes.h"

namespace cytodet::pipeline {
namespace {

struct ConvertOptions {
  std::string graph, out;
  GraphFlags flags;
  std::string feeds;
  std::string mode;  // of a .tflite
  bool no_check = false;
};

bool ends_in(const std::string& path, const char* extension) { return std::filesystem::path(path).extension() == extension; }

void check_convert_files(const ConvertOptions& o) {
  OutputPlan plan;
  add_graph(plan.inputs(), o.graph);
  plan.add_output(o.out, "the converted graph");
  check_outputs(plan);
}

// What is converted: a graph, or that of a model file, which says what is fetched.
Interface interface_of_convert(ConvertOptions& o) {
  Interface io = o.flags.interface;
  if (!has_model_file(o.graph) || !io.outputs.empty()) return io;
  ModelFile model = load_model(o.graph);
  o.graph = model.graph;
  const auto network = make_model(std::move(model));
  return {{network->input().node}, network->outputs()};
}

// What is written is read back, and answers as the source does.
void write_bytes(const Graph& source, const Graph& again, const std::string& bytes, const ConvertOptions& o,
                 const AnswerOptions& check) {
  if (o.no_check)
    write_file(o.out, bytes);
  else
    write_checked(source, again, bytes, o.out, check, o.graph);
}

void write_onnx(const Graph& source, const Graph& graph, const ConvertOptions& o, const AnswerOptions& check) {
  const std::string bytes = encode_onnx(graph, check.interface.outputs);
  write_bytes(source, parse_onnx(bytes, o.out, std::filesystem::path(o.out).parent_path()), bytes, o, check);
}

constexpr EnumName<LiteMode> kLiteModes[] = {
    {LiteMode::as_is, ""}, {LiteMode::as_is, "float"}, {LiteMode::weights, "weights"}, {LiteMode::float16, "float16"}};

// Throws UsageError where --mode is none that is made without calibration, or is not for this output.
LiteMode lite_mode_of(const ConvertOptions& o) {
  if (!o.mode.empty() && !ends_in(o.out, ".tflite"))
    throw UsageError("--mode", "is for .tflite files", "cytodet quantize --mode writes .pb files");
  if (const LiteMode* mode = value_in(kLiteModes, o.mode)) return *mode;
  if (const auto mode = find_quantize_mode(o.mode); mode && needs_ranges(*mode))
    throw UsageError("--mode " + o.mode, "needs calibration",
                     "cytodet quantize MODEL --mode " + o.mode + " --images DIR -o " + o.out);
  throw UsageError("--mode " + o.mode, "there is no such mode", "known are float, weights and float16");
}

constexpr double kRoundedDb = 20;  // of constants in float16 or int8 to floats, on the feeds of the check

void write_tflite(const Graph& source, const Graph& graph, const ConvertOptions& o, AnswerOptions check) {
  LiteOptions options;
  options.shapes = check.shapes;
  options.mode = lite_mode_of(o);
  const std::string bytes = encode_tflite(graph, check.interface.outputs, options);
  if (options.mode != LiteMode::as_is || has_quantized(graph)) check.min_sqnr_db = kRoundedDb;
  write_bytes(source, parse_tflite(bytes, o.out), bytes, o, check);
}

int convert(ConvertOptions o) {
  if (!ends_in(o.out, ".onnx") && !ends_in(o.out, ".tflite") && !ends_in(o.out, ".pb") && !ends_in(o.out, ".pbtxt"))
    throw UsageError("--out " + o.out, "is of no format that is written", "known are .onnx, .tflite, .pb and .pbtxt");
  lite_mode_of(o);  // a wrong --mode is reported before anything is read
  Interface io = interface_of_convert(o);
  check_convert_files(o);
  const Graph source = read_graph(o.graph, o.flags.changes());
  try {
    PassOptions passes;
    passes.interface = io;
    if (passes.interface.outputs.empty()) passes.interface.outputs = find_outputs(source);
    require_frozen(source, passes.interface.outputs);
    Graph graph = source;
    run_passes(graph, passes);
    inline_functions(graph);
    AnswerOptions check;
    check.interface = passes.interface;
    check.feeds = read_feeds(o.feeds);
    check.shapes = o.flags.changes().sizes;
    if (ends_in(o.out, ".onnx"))
      write_onnx(source, graph, o, check);
    else if (ends_in(o.out, ".tflite"))
      write_tflite(source, graph, o, check);
    else if (o.no_check)
      write_graph(graph, o.out);
    else
      write_checked(source, graph, o.out, check, o.graph);
  } catch (const Error& e) {
    throw e.where().starts_with(o.graph) || e.where().starts_with(o.out) ? e : e.within(o.graph);
  }
  return 0;
}

}  // namespace

std::function<int()> setup_convert(CLI::App& app) {
  auto o = std::make_shared<ConvertOptions>();
  app.add_option("MODEL", o->graph,
                 "ONNX or TensorFlow Lite model; graph, .pb or .pbtxt; SavedModel or checkpoint; model file (.json)")
      ->required();
  app.add_option("-o,--out", o->out, "Result: .onnx (operator set 17), .tflite, .pb or .pbtxt")->required();
  app.add_option("--mode", o->mode, "Of a .tflite: float (default), weights (filters as int8) or float16");
  o->flags.add(app);
  app.add_option("--feeds", o->feeds, "Feeds (.json, as of infer) to check the result on; default: random ones");
  app.add_flag("--no-check", o->no_check, "Do not compare the result's answers with the source's before it is written");
  return [o] { return convert(*o); };
}

}  // namespace cytodet::pipeline
