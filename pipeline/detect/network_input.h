// An image becomes the input of a compiled network, in the type that the plan takes.
#pragma once

#include <optional>

#include "exec/runtime/plan.h"
#include "models/detection_model.h"

namespace cytodet::pipeline {

class NetworkInput {
 public:
  // The plan's first input. Throws Error where it is neither floats nor bytes, and where it is bytes of pixels, which the graph
  // itself normalises, but the model file asks for a normalisation.
  NetworkInput(const Plan& plan, const InputSettings& settings);

  // Fills the runner's input with the image, which lies in it as `box` says.
  void put(const DetectionModel& network, const Image& image, const Letterbox& box, Runner& runner) const;

 private:
  std::optional<InputQuantization> bytes_;  // nothing: floats
};

}  // namespace cytodet::pipeline
