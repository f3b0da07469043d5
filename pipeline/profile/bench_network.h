// What bench measures: a model as detect compiles it, or a bare graph on random inputs.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "graph/interpret/set_values.h"
#include "graph/ir/endpoints.h"
#include "pipeline/classify/classifier.h"
#include "pipeline/detect/detector.h"

namespace cytodet::pipeline {

struct BenchOptions {
  std::string path;                     // model file, graph with one beside it, or bare graph
  std::map<std::string, Shape> shapes;  // of a bare graph's inputs, where the graph leaves them open
  Interface interface;                  // of a bare graph; no outputs: all
  GraphChanges changes;                 // of a bare graph
  Precision precision = Precision::graph;
};

class BenchNetwork {
 public:
  // Throws Error: files, and inputs of a bare graph whose shapes are open and not given.
  BenchNetwork(const BenchOptions& options, int streams, int threads);

  int streams() const { return static_cast<int>(runners_.size()); }
  Runner& runner(int stream) { return *runners_[static_cast<size_t>(stream)]; }
  const Plan& plan() const { return *plan_; }
  double load_ms() const { return load_ms_; }  // read, passes, compile

 private:
  void compile_classifier(ModelFile model, Precision precision, int streams, int threads);
  void compile_graph(const BenchOptions& options, int streams, int threads);

  std::unique_ptr<Detector> detector_;      // of a model that detects
  std::unique_ptr<Classifier> classifier_;  // of one that classifies
  std::vector<Runner> own_;                 // of a bare graph
  std::vector<Runner*> runners_;
  std::shared_ptr<const Plan> shared_;
  const Plan* plan_ = nullptr;
  double load_ms_ = 0;
};

}  // namespace cytodet::pipeline
