// collect.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "core/error.h"
#include "core/messages.h"
#include "pipeline/cli/commands.h"
#include "pipeline/detect/merge_shards.h"
#include "pipeline/detect/run_detection.h"

namespace cytodet::pipeline {

std::function<int()> setup_collect(CLI::App& app) {
  struct Options {
    std::vector<std::string> runs;
    std::string out;
    bool allow_missing = false;
  };
  auto o = std::make_shared<Options>();
  app.add_option("RUN", o->runs, "Run folders of all shards")->required();
  app.add_option("-o,--out", o->out, "Folder for the joined run")->required();
  app.add_flag("--allow-missing", o->allow_missing, "Join what is there; the exit code is 3 where something is missing");
  return [o] {
    bool whole = true;
    const auto missing = [&](const std::string& what) {
      whole = false;
      print_warning("missing: " + what);
    };
    const RunState state = collect({o->runs.begin(), o->runs.end()}, o->out, {o->allow_missing, missing});
    std::fputs((run_table(state) + "\n").c_str(), stdout);
    std::printf("%zu shards joined in %s\n", o->runs.size(), o->out.c_str());
    const int code = exit_of(state);
    return whole || code != static_cast<int>(Exit::ok) ? code : static_cast<int>(Exit::partial);
  };
}

}  // namespace cytodet::pipeline
