// Options of commands that take a graph: what is fed, fetched and fixed.
#pragma once

#include <string>
#include <vector>

#include "graph/interpret/set_values.h"
#include "graph/ir/endpoints.h"

namespace CLI {
class App;
}

namespace cytodet::pipeline {

struct GraphFlags {
  Interface interface;             // --inputs, --outputs
  std::vector<std::string> set;    // --set NAME=VALUE (graph/interpret/set_values.h)
  std::vector<std::string> sizes;  // --input NAME=1,3,640,640

  void add(CLI::App& app, const std::string& of = "");          // `of` begins the help texts
  void add_changes(CLI::App& app, const std::string& of = "");  // --set, --input
  GraphChanges changes() const;
};

}  // namespace cytodet::pipeline
