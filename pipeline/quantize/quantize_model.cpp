#include "pipeline/quantize/quantize_model.h"

#include <algorithm>
#include <map>

#include "core/error.h"
#include "core/file.h"
#include "core/messages.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/passes/tf_int8.h"
#include "pipeline/quantize/answer_check.h"

namespace cytodet::pipeline {

Ranges ranges_of(Subject& subject, const QuantizeSettings& s, bool quiet) {
  if (!s.ranges.empty()) {
    Ranges ranges = read_ranges(s.ranges);
    if (const std::string hash = graph_hash(subject.graph); !has_quantized(subject.graph) && ranges.graph_hash != hash)
      throw Error(
          s.ranges,
          "the ranges belong to another graph (hash " + ranges.graph_hash + ", that of " + subject.path + " is " + hash + ")",
          "calibrate this graph");
    return ranges;
  }
  CalibrationData data = data_of(subject, s.images, s.max_images);
  CalibrateOptions options;
  options.method = s.method;
  options.observer.percentile = s.percentile;
  options.quiet = quiet;
  try {
    Calibration c = calibrate(subject.graph, subject.plan, data, options);
    for (const std::string& problem : c.problems) print_warning(problem);
    return c.ranges;
  } catch (const Error& e) {
    throw e.within(subject.path);
  }
}

namespace {

std::vector<std::string> outputs_of(const Subject& subject) {
  return subject.interface.outputs.empty() ? find_outputs(subject.graph) : subject.interface.outputs;
}

}  // namespace

Quantized quantize_subject(const Subject& subject, const Ranges& ranges, const QuantizeOptions& options) {
  Quantized q{subject.graph, {}};
  try {
    q.report = quantize(q.graph, ranges, options);
    std::vector<NodeId> kept;
    for (const std::string& name : outputs_of(subject)) kept.push_back(q.graph.value(name).node);
    for (const std::string& name : subject.interface.inputs) kept.push_back(q.graph.require(name));
    q.graph.sweep(kept);  // float filters and biases
  } catch (const Error& e) {
    throw e.code() == Exit::usage ? e : e.within(subject.path);
  }
  return q;
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

std::set<std::string> last_layers(const Subject& subject) {
  const Graph& g = subject.graph;
  std::set<std::string> found;
  for (const std::string& name : outputs_of(subject)) {
    NodeId at = g.value(name).node;
    while (at >= 0) {
      const Node& n = g.node(at);
      if (n.op == "Conv2D" || n.op == "DepthwiseConv2dNative" || n.op == "MatMul") {
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

Graph file_form(const Subject& subject, const Quantized& quantized, const Ranges& ranges) {
  Graph g = quantized.graph;
  const std::vector<std::string> outputs = outputs_of(subject);
  to_tensorflow_int8(g, output_ranges(g, ranges, {outputs.begin(), outputs.end()}), {subject.interface, last_layers(subject)});
  return g;
}

Graph read_back(const Subject& subject, Graph file) {
  PassOptions passes;
  passes.interface = {subject.interface.inputs, outputs_of(subject)};
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

}  // namespace

void check_writable(const Subject& subject, const std::filesystem::path& out) {
  if (out.extension() != ".pb" && out.extension() != ".pbtxt")
    throw UsageError(out.string(), "must end in .pb or .pbtxt", "name the INT8 graph, such as int8.pb");
  refuse_source(subject.path, out);
  { AtomicFile writable(out); }
  if (!subject.model) return;
  refuse_source(model_file_beside(subject.path), model_file_beside(out));
  { AtomicFile writable(model_file_beside(out)); }
}

namespace {

void check_file(const Subject& subject, const Quantized& quantized, const Graph& file, const std::filesystem::path& out) {
  AnswerOptions options;
  options.interface = {subject.interface.inputs, outputs_of(subject)};
  options.shapes = subject.plan.input_shapes;
  options.min_sqnr_db = kMinFileDb;
  options.plain_macs = 300000000;  // plain loops over quantized values are slow
  try {
    const AnswerCheck check = check_answers(quantized.graph, parse_graph(encode_as(file, out), out.string()), options);
    if (!check.skipped.empty()) print_warning(out.string() + ": could not be compared with the network: " + check.skipped);
  } catch (const Error& e) {
    throw e.within(subject.path);
  }
}

}  // namespace

void write_quantized(const Subject& subject, const Quantized& quantized, const Graph& file, const std::filesystem::path& out,
                     FileCheck check) {
  if (check == FileCheck::yes) check_file(subject, quantized, file, out);
  write_network(subject, file, out);
}

void write_network(const Subject& subject, const Graph& graph, const std::filesystem::path& out) {
  write_graph(graph, out);
  if (!subject.model) return;
  ModelFile m = *subject.model;
  m.graph = out.string();
  write_model_file(m, model_file_beside(out));
}

}  // namespace cytodet::pipeline
