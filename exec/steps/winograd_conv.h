// 3x3 convolutions of stride 1 in float by Winograd's F(2x2, 3x3): 16 products of channels for 4 results instead of 36.
#pragma once

#include "exec/steps/conv_steps.h"

namespace cytodet::exec {

// Whether that is faster than the products of windows: where channels are many enough to pay for the transforms, and results to
// pay for reading 16 instead of 9 weights.
bool prefers_winograd(const ConvShape& shape);

// The step of make_dense_conv, for convolutions in float that prefer it: kernel "winograd".
std::unique_ptr<Step> make_winograd_conv(const DenseConv& conv, const ConvIo& io);

}  // namespace cytodet::exec
