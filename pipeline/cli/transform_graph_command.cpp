// cytodet transform_graph: a list of transforms, by the flags, messages and exit codes of TensorFlow's tool of this name.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "core/error.h"
#include "core/file.h"
#include "core/output_plan.h"
#include "core/text_width.h"
#include "graph/io/read_graph.h"
#include "graph/io/tensorflow/graph_def.h"
#include "pipeline/cli/boolean_flag.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/tool_flags.h"
#include "pipeline/detect/files_read.h"
#include "pipeline/transform/transform_table.h"

namespace cytodet::pipeline {
namespace {

struct TransformFlags {
  std::string in, out, inputs, outputs, transforms;
  bool as_text = false;
};

void say(const std::string& line) { std::fprintf(stderr, "%s", printable_lines(line + "\n").c_str()); }

// Inputs and outputs that the graph has; those of a call with several graphs' names are an error of the list.
Interface interface_of(const Graph& graph, const TransformFlags& f) {
  Interface io{names_between_commas(f.inputs), names_between_commas(f.outputs)};
  for (auto* names : {&io.inputs, &io.outputs})
    for (std::string& name : *names) {
      const Value v = graph.value(name);
      if (names == &io.inputs || v.slot == 0) name = graph.node(v.node).name;
    }
  return io;
}

int run(const TransformFlags& f) {
  if (f.in.empty()) throw Error("", "in_graph graph can't be empty.", "--in_graph=GRAPH.pb");
  if (f.out.empty()) throw Error("", "out_graph graph can't be empty.", "--out_graph=GRAPH.pb");
  if (f.transforms.empty()) throw Error("", "You must specify at least one transform.", "--transforms='strip_unused_nodes'");
  std::vector<TransformCall> calls;
  try {
    calls = parse_transforms(f.transforms);
  } catch (const Error& e) {
    throw Error("", std::string("Failed to parse --transform argument, error was ") + e.what());
  }
  if (calls.empty()) throw Error("", "You must specify at least one transform.", "--transforms='strip_unused_nodes'");
  OutputPlan plan;
  add_graph(plan.inputs(), f.in);
  plan.add_output(f.out, "the transformed graph");
  check_outputs(plan);
  Graph graph = read_graph(f.in);
  try {
    apply_transforms(graph, interface_of(graph, f), calls, say);
  } catch (const Error& e) {
    throw e.within(f.in);
  }
  write_file(f.out, f.as_text ? encode_graph_text(graph) : encode_as(graph, f.out));
  write_model_file_beside(f.in, f.out);
  return 0;
}

}  // namespace

std::function<int()> setup_transform_graph(CLI::App& app) {
  auto o = std::make_shared<TransformFlags>();
  app.add_option("--in_graph", o->in, "Graph, .pb or .pbtxt; SavedModel, checkpoint, ONNX or TensorFlow Lite model");
  app.add_option("--out_graph", o->out, "The transformed graph; text when it ends in .pbtxt");
  app.add_option("--inputs", o->inputs, "Nodes that are fed, between commas");
  app.add_option("--outputs", o->outputs, "Nodes that are asked for, between commas: they stay");
  app.add_option("--transforms", o->transforms, "Transforms in their order: 'name name(parameter=value, ...) ...'");
  add_boolean(app, "--output_as_text", o->as_text, "Write text");
  std::string list = "\nTransforms:\n";
  for (const Transform& t : all_transforms()) {
    std::string parameters;
    for (const char* p : t.parameters) parameters += (parameters.empty() ? "(" : ", ") + std::string(p);
    list += "  " + std::string(t.name) + parameters + (parameters.empty() ? "" : ")") + "\n      " +
            (t.run ? "" : "nothing to do: ") + t.summary + "\n";
  }
  app.footer(app.get_footer() + list);
  return [o] { return run(*o); };
}

// shared_node IN OUT: the script of the competition's recipe that gives every layer constants of its own.
std::function<int()> setup_shared_node(CLI::App& app) {
  auto o = std::make_shared<TransformFlags>();
  app.add_option("IN", o->in, "Graph, .pb or .pbtxt; SavedModel, checkpoint, ONNX or TensorFlow Lite model")->required();
  app.add_option("OUT", o->out, "The graph with constants of their own")->required();
  o->transforms = "split_shared_nodes";
  return [o] { return run(*o); };
}

}  // namespace cytodet::pipeline
