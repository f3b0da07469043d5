// Weights and bias in the layout of this machine's kernels.
#pragma once

#include "exec/conv_steps.h"

namespace cytodet {

// The activation behind a convolution on codes: as exact as 8 bits can show.
inline Act act_on_codes(Act act) { return act == Act::swish ? Act::swish8 : act; }
// How the floats of a value become codes.
struct CodeTable {
  CodeTable() = default;
  // `columns` inverse scales, those of `factors` over and over; empty factors are 1.
  CodeTable(const Quant& quant, const std::vector<float>& factors, int64_t columns, int panel);
  CodeRule rule() const { return {inverse_scales.data(), lowest, highest}; }

  FloatBuffer inverse_scales;
  float lowest = 0, highest = 0;
};

struct PackedDense {
  PackedDense(const KernelSet& set, const DenseConv& conv);
  PanelMatrix matrix() const { return {weights.data(), k, n}; }
  CodeMatrix code_matrix() const { return {codes.data(), k, n, scales.data()}; }
  int64_t panels() const { return (n + panel - 1) / panel; }
  int64_t stride() const { return code_stride(k); }

  int panel;
  int64_t k, n;        // kernel_h * kernel_w * in_c, out_c
  bool coded = false;  // codes and scales hold the weights; else `weights` does
  CodeTable input;     // its codes
  FloatBuffer weights, bias, scales;
  Buffer<int16_t> codes;
};

struct PackedDepthwise {
  PackedDepthwise(const KernelSet& set, const DepthwiseConv& conv);
  int64_t panels() const { return (channels + panel - 1) / panel; }
  const float* panel_weights(int64_t p) const { return weights.data() + p * taps * panel; }
  const float* panel_bias(int64_t p) const { return bias.data() + p * panel; }

  int panel;
  int64_t channels, taps;
  // With codes the input is rounded to codes that stay floats: their products with the (then scaled) weights and the sums of some
  // taps are exact but for the last rounding.
  bool coded = false;
  CodeTable input;
  FloatBuffer weights, bias;  // [panels][taps][panel], [panels][panel]
};

// Patches of output row oy of image `in` ([in_h, in_w, in_c]): out[out_w][kernel_h * kernel_w * in_c], zero outside.
void fill_patches(const ConvShape& s, const float* in, int64_t oy, float* out);

}  // namespace cytodet
