// Flags of TensorFlow's tools that may stand alone or have a word behind them: --x, --x=true, --x False, --x 0.
#pragma once

#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace cytodet::pipeline {

// `value` must live as long as the command line.
void add_boolean(CLI::App& app, const std::string& flag, bool& value, const std::string& help);
void add_boolean(CLI::App& app, const std::string& flag, std::optional<bool>& value, const std::string& help);

}  // namespace cytodet::pipeline
