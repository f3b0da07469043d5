// Steps over the channels of each pixel: local response normalisation, softmax, and the channel with the largest or smallest
// value.
#pragma once

#include <memory>

#include "exec/steps/row_io.h"

namespace cytodet::exec {

struct ResponseNorm {
  int64_t pixels = 1, channels = 1, radius = 5;
  float bias = 1, alpha = 1, beta = 0.5f;
};
// x / (bias + alpha * sum of the squares of the channels up to `radius` away) ^ beta: kernel "lrn".
std::unique_ptr<Step> make_response_norm(const ResponseNorm& norm, const StepInput& input, const StepOutput& output);

// Softmax along the last dimension: kernel "softmax".
std::unique_ptr<Step> make_softmax(int64_t pixels, int64_t channels, const StepInput& input, const StepOutput& output);

// The first of the largest (or smallest) values along the last dimension, as i32 or i64 by `type`: kernel "arg_extreme".
std::unique_ptr<Step> make_arg_extreme(int64_t pixels, int64_t channels, bool largest, DType type, const StepInput& input,
                                       const StepOutput& output);

}  // namespace cytodet::exec
