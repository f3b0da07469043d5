// Deconvolutions (transposed convolutions) whose windows do not overlap.
#pragma once

#include <memory>
#include <vector>

#include "exec/steps/row_steps.h"

namespace cytodet::exec {

// act(deconvolution + bias). `forward` is the convolution whose input gradient this is: it goes from [in_h, in_w, in_c], the
// output here, to [out_h, out_w, out_c], the input here; filter [kernel_h, kernel_w, in_c, out_c], bias [in_c]. Those of a volume
// have a depth before the height.
struct Deconv {
  ConvShape forward;
  Tensor filter;
  std::vector<float> bias;
  Act act = Act::none;
};

// Whether every output pixel comes from one input pixel: kernels as large as their strides, and no padding.
bool is_without_overlap(const ConvShape& forward);
// Such a one, on f32 tensors in NHWC: kernel "deconv".
std::unique_ptr<Step> make_deconv(const Deconv& deconv, int input, int output);

}  // namespace cytodet::exec
