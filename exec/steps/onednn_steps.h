// Steps on oneDNN primitives: tensors are f32, NHWC or plain row-major. A shape that oneDNN refuses is an Error without a place.
#pragma once

#include <memory>
#include <vector>

#include "exec/steps/row_steps.h"

namespace cytodet::exec {

// Softmax over the last axis: kernel "onednn_softmax".
std::unique_ptr<Step> make_onednn_softmax(const Shape& shape, int input, int output);

// c = a * b over the last two axes, each transposed when asked, batched over those before: kernel "onednn_matmul".
struct MatmulShape {
  Shape a, b, c;
  bool transpose_a = false, transpose_b = false;
};
std::unique_ptr<Step> make_onednn_matmul(const MatmulShape& shape, int a, int b, int output);

// act(deconvolution + bias): kernel "onednn_deconv". `forward` is the convolution whose input gradient this is: it goes from
// [in_h, in_w, in_c], the output here, to [out_h, out_w, out_c]; filter [kernel_h, kernel_w, in_c, out_c], bias [in_c].
struct Deconv {
  ConvShape forward;
  Tensor filter;
  std::vector<float> bias;
  Act act = Act::none;
};
std::unique_ptr<Step> make_onednn_deconv(const Deconv& deconv, int input, int output);

}  // namespace cytodet::exec
