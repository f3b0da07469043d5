// cytodet inspect: what is in a graph.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "core/error.h"
#include "core/settings.h"
#include "core/text_width.h"
#include "graph/inspect.h"
#include "graph/interpret/set_values.h"
#include "graph/io/tensorflow/graph_def.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/graph_flags.h"
#include "pipeline/cli/input_shapes.h"

namespace cytodet::pipeline {
namespace {

Json inspect_json(const InspectReport& r) {
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
  app.add_option("GRAPH", o->graph, "Frozen graph, .pb or .pbtxt; SavedModel or checkpoint")->required();
  app.add_option("--shape", o->shapes, "Shape of an input: name=1,512,512,3");
  o->flags.add_set(app);
  app.add_flag("--structure", o->structure, "One line per node");
  app.add_flag("--json", o->json, "JSON instead of text");
  return [o] {
    Graph graph = read_graph(o->graph);
    set_values(graph, o->flags.set);
    try {
      InspectReport r = inspect(graph, parse_shapes(o->shapes));
      std::string text = o->json ? inspect_json(r).dump(1) + "\n" : printable_lines(to_text(r, o->graph, o->structure));
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
