// What a step of a plan does, for reports.
#pragma once

#include <cstdint>
#include <string>

#include "core/tensor.h"

namespace cytodet::exec {

struct StepInfo {
  std::string name;    // node that gives the output
  std::string op;      // its op
  std::string kernel;  // row of the kernel table, "plain" for a fallback
  std::string reason;  // of a plain step: why no kernel computes it
  Shape shape;         // of the output
  int64_t macs = 0;
  int64_t int8_macs = 0;  // those of macs that are computed in 8 bits
  int64_t bf16_macs = 0;  // those computed on bf16
  int64_t bytes = 0;      // read + written, weights (a byte each in 8 bits, two on bf16) and biases included
};

}  // namespace cytodet::exec
