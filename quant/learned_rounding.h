// Rounding of weights that looks at what the layer reads: each rounding error is made up for by the weights that are not yet
// rounded ("OPTQ: Accurate Quantization for Generative Pre-trained Transformers", Frantar et al. 2023).
#pragma once

#include <vector>

#include "graph/quantized/quant_nodes.h"
#include "quant/moments.h"

namespace cytodet::quant {

struct RoundingInput {
  std::vector<float> factors;  // [input channels] that the input was multiplied by, and the filter divided; empty: none
  float step = 0;              // between quantized values of the input: rounding adds noise of variance step^2 / 12 to each
  std::vector<float> scales;   // of the weights, one or one per output channel; empty: the best are looked for
};

// Quantized values q of a float filter w (in the order of quantize_weights: [.., channels]; of a depthwise layer [h, w, inputs,
// multiplier]), chosen so that E[(sum of x * (q * scale - w))^2] is small for each output channel, x: the window that the layer
// reads, flattened to [size]. H [size, size] holds E[x x'], as measured on `moments`.windows windows; without moments (null) it
// is the identity. With H = U'U each q is rounded in turn, from the last row on, after w was shifted so that it makes up for the
// errors of the rows that are rounded already; then single q move by one step as long as that lowers the error.
// Elements of H off the diagonal are multiplied by windows / (windows + size), and 1 % of the diagonal's mean is added to it.
// The scales are those of quantize_weights() times the best of a few factors. `levels`: the values that q may have, ascending;
// empty: all within the limits.
RoundedLayer round_learned(const Tensor& filter, int64_t channels, bool per_channel, const WeightLimits& limits,
                           const std::vector<int>& levels, const InputMoments* moments, const RoundingInput& input);

}  // namespace cytodet::quant
