// Classifier: a model file compiled for batches of images; one Runner per stream.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "exec/runtime/plan.h"
#include "graph/ir/graph.h"
#include "models/classification_model.h"
#include "pipeline/config/run_config.h"

namespace cytodet::pipeline {

struct ClassifierOptions {
  int batch = 1;    // images that the network takes at once
  int streams = 0;  // networks at work at once; 0: one per usable core
  int threads_per_stream = 1;
  bool optimize = true;  // run the passes first
  Precision precision = Precision::graph;
};

// The model with what the settings say of it.
ModelFile with_settings(ModelFile model, const ClassifySettings& s);

class Classifier {
 public:
  // Throws Error: the model file, its graph, an output that does not exist or does not fit.
  Classifier(ModelFile model, const ClassifierOptions& options);
  // `graph` instead of the model's.
  Classifier(ModelFile model, Graph graph, const ClassifierOptions& options);

  int streams() const { return static_cast<int>(runners_.size()); }
  int batch() const { return batch_; }
  const ModelFile& model() const { return model_->file(); }
  const ClassificationModel& network() const { return *model_; }
  const Plan& plan() const { return *plan_; }

  // The network alone on whatever lies in the input; for benches.
  Runner& runner(int stream) { return runners_[static_cast<size_t>(stream)]; }

  // The input of image `row` of a stream's batch, float32 [height, width, 3], to be written before run().
  float* input(int stream, int row);
  // Runs the network on what lies in the input; rows that hold no image give scores that mean nothing.
  void run(int stream);
  // One per class; valid for the rows of the last run().
  std::vector<float> scores(int stream, int row) const;

 private:
  void compile(Graph graph, const ClassifierOptions& options);

  std::shared_ptr<const ClassificationModel> model_;
  std::shared_ptr<const Plan> plan_;
  std::vector<Runner> runners_;
  int batch_ = 1;
};

}  // namespace cytodet::pipeline
