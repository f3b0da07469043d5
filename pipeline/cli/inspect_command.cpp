// cytodet inspect: what is in a graph.
#include <CLI/CLI.hpp>
#include <cstdio>
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

namespace cytodet::pipeline {
namespace {

std::string plain_text(const std::vector<UnraisedNode>& nodes) {
  if (nodes.empty()) return {};
  std::string text = std::to_string(nodes.size()) + " nodes on 8-bit codes run plainly, without a kernel:\n";
  for (const UnraisedNode& n : nodes) text += "  " + n.name + " (" + n.op + "): " + n.why + "\n";
  return text;
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
  app.add_option("GRAPH", o->graph, "Frozen graph, .pb or .pbtxt; SavedModel, checkpoint, ONNX or TensorFlow Lite model")
      ->required();
  app.add_option("--shape", o->shapes, "Shape of an input: name=1,512,512,3");
  o->flags.add_changes(app);
  app.add_flag("--structure", o->structure, "One line per node");
  app.add_flag("--json", o->json, "JSON instead of text");
  return [o] {
    const Graph graph = read_graph(o->graph, o->flags.changes());
    try {
      const Description d = describe(graph, parse_shapes(o->shapes));
      const std::string text = o->json ? to_json(d).dump(1) + "\n"
                                       : printable_lines(to_text(d.report, o->graph, o->structure) +
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
