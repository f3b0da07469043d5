// Detector: a model file compiled for detection, one Runner per stream; images become its input and its outputs become boxes.
#pragma once

#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/lru_cache.h"
#include "exec/runtime/plan.h"
#include "graph/ir/graph.h"
#include "graph/passes/input_size.h"
#include "models/detection_model.h"
#include "pipeline/config/detect_settings.h"
#include "pipeline/results/image_result.h"

namespace cytodet::pipeline {

// An image becomes the input of a compiled network, in the type that the plan takes.
class NetworkInput {
 public:
  // The plan's only input. Throws Error as check_inputs() does, where it is neither floats nor bytes, and where it is bytes of
  // pixels, which the graph itself normalises, but the model file asks for a normalisation.
  NetworkInput(const Plan& plan, const InputSettings& settings);

  // Fills the runner's input with the image, which lies in it as `box` says.
  void put(const DetectionModel& network, const Image& image, const Letterbox& box, Runner& runner) const;

 private:
  std::optional<InputQuantization> bytes_;  // nothing: floats
};

class Detector {
 public:
  // Throws Error: the model file, its graph, outputs that do not exist or do not fit.
  // From `settings`: streams and threads, precision, the network's input, fit_edges, and the cascade's least score. Without
  // `quantized_input` the input is floats even where the network quantizes it; detections are the same.
  Detector(ModelFile model, const DetectSettings& settings, bool quantized_input = true);
  // `graph` as it is, without passes, instead of the model's.
  Detector(ModelFile model, Graph graph, const DetectSettings& settings);

  int streams() const { return streams_; }
  // The model file, with the input that the network was compiled for; as many more detections of an image are kept as it is
  // larger.
  const ModelFile& model() const { return model_->file(); }
  const DetectionModel& network() const { return *model_; }
  // The input that the graph was frozen for; an image longer than its longest_whole_side() is a slide.
  const InputSettings& frozen_input() const { return frozen_->input(); }
  // What tiles must be like: square where the network is as it was frozen.
  const TileShape& tile_shape() const { return tile_shape_; }
  const Plan& plan() const { return *main_->plan; }
  double load_ms() const { return load_ms_; }  // read, passes, compile

  // Detections of one image in its own pixels. `box` says how it lies in the input; stream in [0, streams()). Sets the times of
  // resize, network and decode.
  // `fit`: by the smallest network that holds it. With a cascade, detections that the model file would not give are left out.
  Detections run(const Image& image, const Letterbox& box, int stream, StageTimes& times, bool fit = false);
  // Detections of an image that is shown whole: as it is where the network takes images of any size, else as input.placement
  // says.
  Detections run_whole(const Image& image, int stream, StageTimes& times);
  // The network alone on such an image: its outputs, in the order of plan().outputs().
  std::vector<Tensor> values_of_whole(const Image& image, int stream);
  // run() for a first look: all detections above the cascade's score.
  Detections look(const Image& image, const Letterbox& box, int stream, StageTimes& times, bool fit);
  // The network alone on whatever lies in the input; for benches.
  Runner& runner(int stream) { return main_->runners[static_cast<size_t>(stream)].value(); }
  // Memory that networks for other sizes may take in all streams together. The one that was used last is kept whatever it takes.
  static constexpr size_t kMaxOtherBytes = size_t{4} << 30;
  size_t other_bytes();  // what those that are kept may take; the least that one is counted as is a share of the limit

 private:
  static constexpr size_t kMaxOther = 12;  // networks for other sizes that are kept: last rows and columns, whole images

  // The network for images of one size.
  struct Sized {
    std::shared_ptr<const DetectionModel> model;
    std::shared_ptr<const Plan> plan;
    std::optional<NetworkInput> input;
    std::vector<std::optional<Runner>> runners;  // per stream, made when it first needs one
    double min_score = 0;                        // of detections, but for a first look
    size_t max_detections = 0;                   // the same
  };

  void prepare(Graph graph);
  ModelFile model_of(MapSize size) const;
  std::shared_ptr<Sized> compile(Graph graph, MapSize size) const;
  // The network of the smallest size that holds the image; compiled when it is first asked for.
  std::shared_ptr<Sized> fitting(const Letterbox& box);
  std::shared_ptr<Sized> of_size(MapSize size);
  // The network that an image is shown whole, and how it lies in the input.
  std::pair<std::shared_ptr<Sized>, Letterbox> whole(const Image& image);
  static Runner& runner_of(Sized& sized, int stream);
  Detections ranked(Detections found, const Sized& sized) const;
  Detections run(Sized& sized, const Image& image, const Letterbox& box, int stream, StageTimes& times) const;

  const DetectSettings settings_;
  const bool optimize_, quantized_input_;
  std::shared_ptr<const DetectionModel> frozen_, model_;  // of the model file; of what was compiled
  std::shared_ptr<Sized> main_;
  TileShape tile_shape_;
  MapSize step_;
  int streams_ = 0;
  double load_ms_ = 0;
  std::mutex fitting_mutex_;                 // of others_; not held while a network is compiled
  bool any_size_ = false;                    // the graph takes images as they are
  Graph graph_;                              // as it was read, where fit_edges or any_size_
  using Size = std::pair<int64_t, int64_t>;  // height and width
  LruCache<Size, std::shared_future<std::shared_ptr<Sized>>> others_{kMaxOtherBytes};
};

// What of the settings a Detector depends on, as a text.
std::string detector_key(const DetectSettings& settings);

// Whether the path is a model file (.json) or a graph with one beside it. JSON of the graph's name that has no key of a model
// file, such as feeds (docs/infer.md) or what another program keeps about the graph, is none.
bool has_model_file(const std::string& path);
// Model file (.json), or a bare graph (.pb, .pbtxt) beside which a model file of the same name lies.
ModelFile load_model(const std::string& path);

}  // namespace cytodet::pipeline
