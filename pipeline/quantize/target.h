// What calibration and quantization work on: a network's optimized graph, and samples to show it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "exec/runtime/plan.h"
#include "graph/interpret/set_values.h"
#include "graph/passes/pass.h"
#include "models/network_model.h"
#include "pipeline/inputs/labelled_images.h"
#include "quant/calibrate.h"
#include "tiling/slides/slide.h"
#include "tiling/tiles/grid.h"

namespace cytodet::pipeline {

struct QuantizationTarget {
  std::optional<ModelFile> model;
  std::shared_ptr<const NetworkModel> network;  // of the model file
  std::string path;                             // of the graph, for errors
  Graph graph;                                  // optimized as Detector does
  PlanOptions plan;                             // what to feed and fetch
  Interface interface;                          // what the passes kept
};

struct TargetOptions {
  GraphChanges changes;
  // What is fed to a bare graph and fetched from it; the rest is left out. With a model file it may only repeat what the file
  // says, and name further outputs.
  Interface interface;
};
// The network of a model; the graph's other nodes `also` stay outputs of what is written.
QuantizationTarget read_target(ModelFile model, const std::vector<std::string>& also = {});
// Model file (.json), graph with one beside it, or bare graph.
QuantizationTarget read_target(const std::string& path, const TargetOptions& options = {});

// At most `max_samples` samples, evenly spaced over the sorted list: images for a model (of a classification network in any form
// that list_labelled_images() takes), otherwise feeds (.json), whose shapes go into target.plan. The target must outlive the
// result.
CalibrationData data_of(QuantizationTarget& target, const std::string& images, int max_samples);

// data_of for a network that is measured afterwards: of kMinToShare or more samples, if they are no more than `max_samples`, a
// quarter, at most kMaxHeldBack, is left out.
constexpr size_t kMinToShare = 8, kMaxHeldBack = 4;
CalibrationData calibration_data(QuantizationTarget& target, const std::string& images, int max_samples);
// The samples that calibration_data() reads, in their order.
std::vector<LabelledImage> calibration_samples(const QuantizationTarget& target, const std::string& images, int max_samples);

// The part of an image that a detector is shown: all of it; where detection would cut it into tiles, the tile in the middle.
struct InputImage {
  std::unique_ptr<Slide> slide;
  Tile tile;
};
InputImage input_image(const std::string& path, const InputSettings& input);

// Samples to measure on: at most `max_samples` of the samples that calibration_data(target, images, calibrated) leaves out; if it
// leaves out none, some that were calibrated on.
struct HeldBack {
  CalibrationData data;
  bool calibrated_on = false;
};
HeldBack held_back(QuantizationTarget& target, const std::string& images, int calibrated, int max_samples);

}  // namespace cytodet::pipeline
