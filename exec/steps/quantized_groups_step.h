// Convolutions of several groups in 8 bits.
#pragma once

#include <memory>
#include <vector>

#include "exec/steps/grouped_step.h"

namespace cytodet::exec {

// make_grouped_conv of one that has `quant`: kernel "int8_grouped_conv".
std::unique_ptr<Step> make_quantized_groups(const GroupedConv& conv, const std::vector<StepInput>& inputs,
                                            const StepOutput& output);

}  // namespace cytodet::exec
