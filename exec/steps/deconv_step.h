// Deconvolutions (transposed convolutions) whose windows do not overlap.
#pragma once

#include <memory>
#include <vector>

#include "exec/steps/row_steps.h"

namespace cytodet::exec {

// act(deconvolution + bias). `forward` is the convolution whose input gradient the deconvolution is: it reads [in_h, in_w, in_c],
// which is the deconvolution's output, and gives [out_h, out_w, out_c], its input; filter [kernel_h, kernel_w, in_c, out_c], bias
// [in_c]. Deconvolutions of volumes have a depth before the height.
struct Deconv {
  ConvShape forward;
  Tensor filter;
  std::vector<float> bias;
  Act act = Act::none;
};

// Whether every output pixel comes from one input pixel: kernels as large as their strides, and no padding.
bool is_without_overlap(const ConvShape& forward);
// A deconvolution without overlap, on f32 tensors in NHWC: kernel "deconv".
std::unique_ptr<Step> make_deconv(const Deconv& deconv, int input, int output);

}  // namespace cytodet::exec
