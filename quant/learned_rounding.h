// Rounding of weights that looks at what the layer reads: each rounding error is made up for by the weights that are not yet
// rounded ("OPTQ: Accurate Quantization for Generative Pre-trained Transformers", Frantar et al. 2023).
#pragma once

#include <vector>

#include "graph/quantized/quant_nodes.h"
#include "quant/moments.h"

namespace cytodet::quant {

struct RoundingInput {
  std::vector<float> factors;  // that the input channels were multiplied by, and the filter divided; empty: none
  float step = 0;              // of the input's own values: its rounding adds noise of step^2 / 12 to each
  std::vector<float> scales;   // that codes are for, one or one per channel; empty: the best are looked for
};

// Codes of a float filter (in the order of quantize_weights: [.., channels], of a depthwise layer [h, w, inputs, multiplier]),
// such that E[(sum of x * (code * scale - weight))^2] is small for each output channel: by the factor U of H = U'U, where H holds
// the second moments of the window's numbers x, codes are chosen from the last row on, each as near as possible to the weight
// plus what the errors of the rows before it ask for; then single codes move by one step while that gains. H off the diagonal is
// weighed by windows / (windows + size), and the diagonal gets 1 % of its mean. Scales: the best of a few shares of those of
// quantize_weights(). `levels`: the codes that may occur, ascending; empty: all within the limits. Without moments (null) H is
// the identity.
RoundedLayer round_learned(const Tensor& filter, int64_t channels, bool per_channel, const WeightLimits& limits,
                           const std::vector<int>& levels, const InputMoments* moments, const RoundingInput& input);

}  // namespace cytodet::quant
