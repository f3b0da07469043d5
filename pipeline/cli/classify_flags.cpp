#include "pipeline/cli/classify_flags.h"

#include <CLI/CLI.hpp>

namespace cytodet::pipeline {

void ClassifyFlags::add_batch(CLI::App& app) {
  app.add_option("--batch,--batch-size", batch, "Images that a classification network takes at once (1)")
      ->check(CLI::Range(1, 4096));
}

void ClassifyFlags::add_parallel(CLI::App& app) {
  app.add_option("--streams", streams, "Networks at work at once; 0: one per core")->check(CLI::Range(0, 256));
  app.add_option("--threads", threads, "Threads inside one network")->check(CLI::Range(1, 256));
  app.add_option_function<std::string>(
      "--precision", [this](const std::string& name) { precision = precision_named(name); },
      "What layers in float are computed in: graph (as they are) or bf16");
}

ClassifierOptions ClassifyFlags::options() const { return {batch, streams, threads, true, precision}; }

}  // namespace cytodet::pipeline
