#include "pipeline/cli/graph_flags.h"

#include <CLI/CLI.hpp>

namespace cytodet::pipeline {

void GraphFlags::add(CLI::App& app, const std::string& of) {
  app.add_option("--inputs", interface.inputs, of + "nodes to feed; the graph is cut there")->delimiter(',');
  app.add_option("--outputs", interface.outputs, of + "nodes to fetch; default: nodes nobody reads")->delimiter(',');
  add_set(app, of);
}

void GraphFlags::add_set(CLI::App& app, const std::string& of) {
  app.add_option("--set", set, of + "a placeholder becomes a constant: NAME=VALUE, as is_training=false")
      ->allow_extra_args(false);
}

}  // namespace cytodet::pipeline
