// Detector: a model file compiled for detection; one Runner per stream.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "exec/runtime/plan.h"
#include "graph/ir/graph.h"
#include "models/detection_model.h"
#include "pipeline/detect/network_input.h"
#include "pipeline/results/image_result.h"

namespace cytodet::pipeline {

struct DetectorOptions {
  int streams = 0;  // networks at work at once; 0: one per usable core
  int threads_per_stream = 1;
  bool optimize = true;  // run the passes first
  Precision precision = Precision::graph;
  bool quantized_input =
      true;  // pixels become quantized bytes at once where the network would quantize its input; same detections
};

class Detector {
 public:
  // Throws Error: the model file, its graph, outputs that do not exist or do not fit.
  Detector(ModelFile model, const DetectorOptions& options);
  // `graph` instead of the model's.
  Detector(ModelFile model, Graph graph, const DetectorOptions& options);

  int streams() const { return static_cast<int>(runners_.size()); }
  const ModelFile& model() const { return model_->file(); }
  const DetectionModel& network() const { return *model_; }
  const Plan& plan() const { return *plan_; }
  double load_ms() const { return load_ms_; }  // read, passes, compile

  // Detections of one image in its own pixels. `box` says how it lies in the input; stream in [0, streams()). Sets the times of
  // resize, network and decode.
  Detections run(const Image& image, const Letterbox& box, int stream, StageTimes& times);
  // The network alone on whatever lies in the input; for benches.
  Runner& runner(int stream) { return runners_[static_cast<size_t>(stream)]; }

 private:
  void compile(Graph graph, const DetectorOptions& options);

  std::shared_ptr<const DetectionModel> model_;
  std::shared_ptr<const Plan> plan_;
  std::optional<NetworkInput> input_;
  std::vector<Runner> runners_;
  double load_ms_ = 0;
};

// Whether the path is a model file (.json) or a graph with one beside it. Feeds (docs/infer.md) of the graph's name are none.
bool has_model_file(const std::string& path);
// Model file (.json), or a bare graph (.pb, .pbtxt) beside which a model file of the same name lies.
ModelFile load_model(const std::string& path);

}  // namespace cytodet::pipeline
