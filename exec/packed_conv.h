// Weights and bias in the layout of this machine's kernels.
#pragma once

#include "exec/conv_steps.h"

namespace cytodet {

struct PackedDense {
  PackedDense(const KernelSet& set, const DenseConv& conv);
  PanelMatrix matrix() const { return {weights.data(), k, n}; }
  int64_t panels() const { return (n + panel - 1) / panel; }

  int panel;
  int64_t k, n;  // kernel_h * kernel_w * in_c, out_c
  FloatBuffer weights, bias;
};

struct PackedDepthwise {
  PackedDepthwise(const KernelSet& set, const DepthwiseConv& conv);
  int64_t panels() const { return (channels + panel - 1) / panel; }
  const float* panel_weights(int64_t p) const { return weights.data() + p * taps * panel; }
  const float* panel_bias(int64_t p) const { return bias.data() + p * panel; }

  int panel;
  int64_t channels, taps;
  FloatBuffer weights, bias;  // [panels][taps][panel], [panels][panel]
};

// Patches of output row oy of image `in` ([in_h, in_w, in_c]): out[out_w][kernel_h * kernel_w * in_c], zero outside.
void fill_patches(const ConvShape& s, const float* in, int64_t oy, float* out);

}  // namespace cytodet
