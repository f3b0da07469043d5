// An image becomes the input of a compiled network, in the type that the plan takes.
#pragma once

#include <optional>

#include "exec/runtime/plan.h"
#include "models/detection_model.h"

namespace cytodet::pipeline {

// Makes a graph take an image alone, and give floats: the placeholder input.size_node becomes a constant, width and height of the
// input in this order; an image and outputs of float16 are cast. Throws Error where the former takes something else.
void fit_to_image(Graph& graph, const NetworkModel& network);
// The image is all that networks of a model file are fed. Throws Error where the compiled network does not read it, and naming
// what else it reads.
void check_inputs(const Plan& plan, const InputSettings& settings);

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

}  // namespace cytodet::pipeline
