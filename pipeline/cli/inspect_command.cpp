// cytodet inspect: what is in a graph.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>

#include "core/error.h"
#include "core/settings.h"
#include "core/text_width.h"
#include "graph/description.h"
#include "graph/interpret/set_values.h"
#include "graph/io/read_graph.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/graph_flags.h"
#include "pipeline/cli/input_shapes.h"
#include "pipeline/profile/bench_network.h"
#include "pipeline/profile/plan_report.h"

namespace cytodet::pipeline {
namespace {

std::string plain_text(const std::vector<UnraisedNode>& nodes) {
  if (nodes.empty()) return {};
  std::string text = std::to_string(nodes.size()) + " nodes on 8-bit codes run without an 8-bit kernel:\n";
  for (const UnraisedNode& n : nodes) text += "  " + n.name + " (" + n.op + "): " + n.why + "\n";
  return text;
}

// Ops that no run of the graph here gets past.
std::string unknown_text(const Graph& graph) {
  std::map<std::string, int> unknown;
  for (NodeId id : graph.ids())
    if (const Node& n = graph.node(id); n.op.starts_with("_Mkl")) ++unknown[n.op];
  std::string text;
  for (const auto& [op, count] : unknown) text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + op;
  return text.empty() ? text : "Ops that are not known here: " + text + "\n";
}

struct InspectOptions {
  std::string graph;
  std::vector<std::string> shapes, outputs;
  GraphFlags flags;
  bool plan = false, structure = false, json = false;
};

// Prints the plan of a model, compiled as bench and detect do, or of a bare graph at the shapes that it or the user states.
int inspect_plan(const InspectOptions& o) {
  BenchOptions network{o.graph, parse_shapes(o.shapes), {}, o.flags.changes()};
  network.interface.outputs = o.outputs;
  const BenchNetwork compiled(network, 1, 1);
  std::fputs(o.json ? (plan_json(compiled.plan()).dump(1) + "\n").c_str()
                    : printable_lines(plan_text(compiled.plan(), o.structure)).c_str(),
             stdout);
  return 0;
}

}  // namespace

std::function<int()> setup_inspect(CLI::App& app) {
  auto o = std::make_shared<InspectOptions>();
  app.add_option("GRAPH", o->graph, "Frozen graph, .pb or .pbtxt; SavedModel, checkpoint, ONNX or TensorFlow Lite model")
      ->required();
  app.add_option("--shape", o->shapes, "Shape of an input: name=1,512,512,3");
  o->flags.add_changes(app);
  app.add_flag("--plan", o->plan, "Compiles it for this CPU, and lists the kernels and what runs without one");
  app.add_option("--outputs", o->outputs, "Of --plan: nodes that are fetched, a,b; else all that nothing reads")->delimiter(',');
  app.add_flag("--structure", o->structure, "One line per node, or per step of --plan");
  app.add_flag("--json", o->json, "JSON instead of text");
  return [o] {
    if (o->plan) return inspect_plan(*o);
    if (!o->outputs.empty()) throw UsageError("--outputs", "is for --plan");
    const Graph graph = read_graph(o->graph, o->flags.changes());
    try {
      const Description d = describe(graph, parse_shapes(o->shapes));
      const std::string text = o->json ? to_json(d).dump(1) + "\n"
                                       : printable_lines(to_text(d.report, o->graph, o->structure) + unknown_text(graph) +
                                                         plain_text(d.plain_integer_nodes) + to_text(d.map_transposes));
      std::fputs(text.c_str(), stdout);
    } catch (const UsageError&) {
      throw;
    } catch (const Error& e) {
      throw e.within(o->graph);
    }
    return 0;
  };
}

}  // namespace cytodet::pipeline
