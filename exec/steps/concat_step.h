// The step of concatenations.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "exec/steps/row_io.h"

namespace cytodet::exec {

// One of the tensors that are joined: `row` elements of it stand in each of the `outer` rows of the output.
struct ConcatPart {
  int64_t row;
  std::optional<Tensor> constant = {};  // f32; else the next of the step's inputs
};

struct Concat {
  std::vector<ConcatPart> parts;
  int64_t outer = 1;
  int64_t channels = 1;         // the output's last dimension
  bool along_channels = false;  // parts are channels; otherwise whole pixels
};

// Kernel "concat". Parts that are stored as the output is are copied, all others converted; a q8 output's q8 parts are quantized
// as their channels of the output are. Constants go with floats alone.
std::unique_ptr<Step> make_concat(Concat concat, const std::vector<StepInput>& inputs, const StepOutput& output);

}  // namespace cytodet::exec
