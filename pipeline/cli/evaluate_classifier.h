// cytodet evaluate on a classification network: labels instead of boxes.
#pragma once

#include <string>
#include <vector>

#include "pipeline/cli/classify_flags.h"

namespace CLI {
class App;
}

namespace cytodet::pipeline {

// What evaluate was asked for, as far as it concerns classification.
struct LabelEvaluation {
  std::string model, out;
  std::vector<std::string> images, compare;  // compare: further networks, against the first
  std::string results_file;                  // best class per image, of the first network
  bool quiet = false;
  ClassifyFlags flags;
  ClassifySettings settings;  // of the first network

  // --compare, --batch, --results-file; the rest evaluate has for detection, too.
  void add(CLI::App& app);
  int run() const;
};

// Whether a model is one of a classification network; false for what cannot be read, which reading in earnest reports.
bool is_classification_model(const std::string& model);

}  // namespace cytodet::pipeline
