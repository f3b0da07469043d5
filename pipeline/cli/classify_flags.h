// Options that classify and evaluate share for classification networks.
#pragma once

#include "pipeline/classify/classifier.h"

namespace CLI {
class App;
}

namespace cytodet::pipeline {

struct ClassifyFlags {
  int batch = 1, streams = 0, threads = 1;
  Precision precision = Precision::graph;

  void add_batch(CLI::App& app);
  // Streams, threads and precision, which evaluate has of its own.
  void add_parallel(CLI::App& app);
  ClassifierOptions options() const;
};

}  // namespace cytodet::pipeline
