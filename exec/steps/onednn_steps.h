// A deconvolution on oneDNN: tensors are f32, channels last. A shape that oneDNN refuses is an Error that does not name the node.
#pragma once

#include <memory>
#include <vector>

#include "exec/steps/deconv_step.h"

namespace cytodet::exec {

// Any deconvolution: kernel "onednn_deconv".
std::unique_ptr<Step> make_onednn_deconv(const Deconv& deconv, int input, int output);

}  // namespace cytodet::exec
