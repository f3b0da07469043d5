// Steps on oneDNN primitives: tensors are f32, NHWC or plain row-major. A shape that oneDNN refuses is an Error without a place.
#pragma once

#include <memory>
#include <vector>

#include "exec/steps/deconv_step.h"

namespace cytodet::exec {

// Any deconvolution: kernel "onednn_deconv".
std::unique_ptr<Step> make_onednn_deconv(const Deconv& deconv, int input, int output);

}  // namespace cytodet::exec
