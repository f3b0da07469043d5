// collect.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "pipeline/cli/commands.h"
#include "pipeline/detect/merge_shards.h"
#include "pipeline/detect/run_detection.h"

namespace cytodet::pipeline {

std::function<int()> setup_collect(CLI::App& app) {
  struct Options {
    std::vector<std::string> runs;
    std::string out;
  };
  auto o = std::make_shared<Options>();
  app.add_option("RUN", o->runs, "Run folders of all shards")->required();
  app.add_option("-o,--out", o->out, "Folder for the joined run")->required();
  return [o] {
    const RunState state = collect({o->runs.begin(), o->runs.end()}, o->out);
    std::fputs((run_table(state) + "\n").c_str(), stdout);
    std::printf("%zu shards joined in %s\n", o->runs.size(), o->out.c_str());
    return exit_of(state);
  };
}

}  // namespace cytodet::pipeline
