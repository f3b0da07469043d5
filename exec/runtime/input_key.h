// What a plan that is compiled while it runs is compiled for.
#pragma once

#include <span>
#include <string>

#include "core/tensor.h"

namespace cytodet::exec {

// Whole numbers that are sizes, axes and the like rather than data: they become constants of the plan.
bool is_small_integer(const Tensor& t);

// Types and shapes of inputs, and the values of those that become constants.
std::string key_of(std::span<const Tensor> inputs);

}  // namespace cytodet::exec
