// cytodet inspect: what is in a graph.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "core/error.h"
#include "core/settings.h"
#include "core/text_width.h"
#include "graph/inspect.h"
#include "graph/interpret/set_values.h"
#include "graph/io/read_graph.h"
#include "graph/map_transposes.h"
#include "graph/passes/raise_int8.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/graph_flags.h"
#include "pipeline/cli/input_shapes.h"

namespace cytodet::pipeline {
namespace {

// Nodes on 8-bit codes that no kernel will run, and why.
std::vector<UnraisedNode> plain_integer_nodes(const Graph& graph) {
  Graph g = graph;
  PassOptions before;
  before.only = std::vector<std::string>{"fold_switch_merge", "remove_training_nodes"};  // what the passes do first
  try {
    run_passes(g, before);
    return unraised_nodes(g, {});
  } catch (const Error&) {
    return {};  // nothing runs it at all
  }
}

std::string plain_text(const std::vector<UnraisedNode>& nodes) {
  if (nodes.empty()) return {};
  std::string text = std::to_string(nodes.size()) + " nodes on 8-bit codes run plainly, without a kernel:\n";
  for (const UnraisedNode& n : nodes) text += "  " + n.name + " (" + n.op + "): " + n.why + "\n";
  return text;
}

Json inspect_json(const InspectReport& r, const std::vector<UnraisedNode>& plain, const std::vector<MapTranspose>& turned) {
  Json j{{"inputs", r.inputs},
         {"outputs", r.outputs},
         {"variables", r.variables},
         {"const_parameters", r.const_parameters},
         {"variable_parameters", r.variable_parameters},
         {"control_edges", r.control_edges},
         {"macs", r.macs},
         {"layers_unsized", r.layers_unsized}};
  for (const auto& [op, count] : r.op_counts) j["ops"][op] = count;
  j["nodes"] = Json::array();
  for (const InspectNode& n : r.nodes)
    j["nodes"].push_back({{"name", n.name}, {"op", n.op}, {"inputs", n.inputs}, {"outputs", n.shapes}, {"macs", n.macs}});
  for (const UnraisedNode& n : plain) j["plain_integer_nodes"].push_back({{"name", n.name}, {"op", n.op}, {"why", n.why}});
  for (const MapTranspose& t : turned) j["map_transposes"].push_back({{"name", t.name}, {"why", t.why}});
  return j;
}

}  // namespace

std::function<int()> setup_inspect(CLI::App& app) {
  struct Options {
    std::string graph;
    std::vector<std::string> shapes;
    GraphFlags flags;
    bool structure = false, json = false;
  };
  auto o = std::make_shared<Options>();
  app.add_option("GRAPH", o->graph, "Frozen graph, .pb or .pbtxt; SavedModel, checkpoint or ONNX model")->required();
  app.add_option("--shape", o->shapes, "Shape of an input: name=1,512,512,3");
  o->flags.add_changes(app);
  app.add_flag("--structure", o->structure, "One line per node");
  app.add_flag("--json", o->json, "JSON instead of text");
  return [o] {
    const Graph graph = read_graph(o->graph, o->flags.changes());
    try {
      InspectReport r = inspect(graph, parse_shapes(o->shapes));
      const std::vector<UnraisedNode> plain = plain_integer_nodes(graph);
      const std::vector<MapTranspose> turned = map_transposes(graph);
      const std::string text = o->json
                                   ? inspect_json(r, plain, turned).dump(1) + "\n"
                                   : printable_lines(to_text(r, o->graph, o->structure) + plain_text(plain) + to_text(turned));
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
