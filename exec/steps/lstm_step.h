// The step of BlockLSTM and BlockLSTMV2.
#pragma once

#include <memory>
#include <vector>

#include "exec/steps/step.h"

namespace cytodet::exec {

// A long short-term memory over `steps` inputs, without peepholes:
//
//   i, f, o = sigmoid([x, h before] * w + b),  c = tanh([x, h before] * w + b),  cs = f * cs before + i * c,  h = o * tanh(cs)
struct Lstm {
  Tensor weights;           // [inputs + units, 4 * units] f32
  std::vector<float> bias;  // [4 * units], that of f with the forget bias
  int64_t units = 0;
  int gate[4] = {0, 1, 2, 3};  // where i, f, o and c lie in the weights, in blocks of `units` columns
  float clip = 0;              // cs is kept within [-clip, clip]; 0: as it is
};
struct LstmTensors {
  int length, x, cs, h;  // read: how many steps, a number; [steps, batch, inputs]; the states before, [batch, units]
  int out_h, out_cs;     // written: [steps, batch, units], 0 past the length; out_cs -1: nobody reads it
};
// Steps and batch may be known only when it runs. Throws there for inputs that do not fit. Kernel "lstm".
std::unique_ptr<Step> make_lstm(const Lstm& lstm, const LstmTensors& tensors);

}  // namespace cytodet::exec
