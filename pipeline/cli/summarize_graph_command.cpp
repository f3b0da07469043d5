// cytodet summarize_graph: what is in a graph, by the flags and in the words of TensorFlow's tool of this name.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "core/error.h"
#include "core/text_width.h"
#include "graph/io/read_graph.h"
#include "graph/summarize.h"
#include "pipeline/cli/boolean_flag.h"
#include "pipeline/cli/commands.h"

namespace cytodet::pipeline {

std::function<int()> setup_summarize_graph(CLI::App& app) {
  struct Options {
    std::string graph;
    bool structure = false, binary = true;
  };
  auto o = std::make_shared<Options>();
  app.add_option("GRAPH,-g,--in_graph", o->graph, "Graph, .pb or .pbtxt; SavedModel, checkpoint, ONNX or TensorFlow Lite model");
  add_boolean(app, "--print_structure", o->structure, "One line per node");
  add_boolean(app, "-b,--input_binary", o->binary, "Taken, and not needed: binary and text are distinguished by content");
  return [o] {
    if (o->graph.empty()) throw UsageError("cytodet summarize_graph", "in_graph graph can't be empty.", "--in_graph GRAPH.pb");
    const Graph graph = read_graph(o->graph);
    try {
      std::fputs(printable_lines(summary(graph, o->graph, o->structure)).c_str(), stdout);
    } catch (const Error& e) {
      throw e.within(o->graph);
    }
    return 0;
  };
}

}  // namespace cytodet::pipeline
