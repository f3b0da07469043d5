#include "pipeline/cli/graph_flags.h"

#include <CLI/CLI.hpp>

#include "pipeline/cli/input_shapes.h"

namespace cytodet::pipeline {

void GraphFlags::add(CLI::App& app, const std::string& of) {
  app.add_option("--inputs", interface.inputs, of + "nodes to feed; the graph is cut there")->delimiter(',');
  app.add_option("--outputs", interface.outputs, of + "nodes to fetch; default: nodes nobody reads")->delimiter(',');
  add_changes(app, of);
}

void GraphFlags::add_changes(CLI::App& app, const std::string& of) {
  app.add_option("--set", set, of + "a placeholder becomes a constant: NAME=VALUE, as is_training=false")
      ->allow_extra_args(false);
  app.add_option("--input", sizes, of + "an input gets the sizes that the graph leaves open: NAME=1,3,640,640")
      ->allow_extra_args(false);
}

GraphChanges GraphFlags::changes() const { return {set, parse_shapes(sizes, "--input")}; }

}  // namespace cytodet::pipeline
