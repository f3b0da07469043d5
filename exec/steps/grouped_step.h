// Convolutions of several groups: output channels of group g read only the input channels of group g. Depthwise convolutions with
// several results per channel are such, a group for each channel.
#pragma once

#include <memory>

#include "exec/steps/conv_steps.h"

namespace cytodet::exec {

// weights [kernel_h, kernel_w, in_c / groups, out_c], bias [out_c].
struct GroupedConv {
  ConvShape shape;
  int64_t groups = 1;
  Tensor weights;
  std::vector<float> bias;
  Act act = Act::none;
  bool residual_first = false;
  std::optional<QuantizedConv> quant;  // computed in 8 bits; `weights` are its dequantized weights
};

// act(conv(inputs[0]) + bias) [+ inputs[1], or added before act]: kernel "grouped_conv", in 8 bits "int8_grouped_conv".
std::unique_ptr<Step> make_grouped_conv(const GroupedConv& conv, const std::vector<StepInput>& inputs, const StepOutput& output);

}  // namespace cytodet::exec
