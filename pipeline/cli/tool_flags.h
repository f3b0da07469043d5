// What the commands that go by the names of TensorFlow's tools share.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace cytodet::pipeline {

// Names between commas; blanks count for nothing.
std::vector<std::string> names_between_commas(const std::string& text);

// --x, --nox, --x=true, --x False. `value` must live as long as the command line.
void add_absl_boolean(CLI::App& app, const std::string& name, bool& value, const std::string& help);

// If a model file lies beside the graph that was read, writes one that names the new graph beside the new graph, so that
// `detect` and `evaluate` take it. A file of that name that is no model file stays, with a warning.
void write_model_file_beside(const std::string& in, const std::string& out);

}  // namespace cytodet::pipeline
