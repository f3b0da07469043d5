// quantize_graph's mode eightbit: layers become layers on 8-bit quantized values with ranges that each run computes, by the
// names of Intel's tool, so that logs that were made elsewhere fit.
//
//   x ─▶ X_eightbit_quantize_IN ─▶ X_eightbit_quantized_conv ─▶ X_eightbit_requantize ─▶ Dequantize, by the last fused node's
//   name └─▶ X_eightbit_reshape_IN ─▶ ..._min_IN, ..._max_IN          └─▶ X_eightbit_requant_range
//
// X is the convolution's name, IN that of what it reads. What is never negative (behind Relu, through pools and concatenations)
// is read as unsigned quantized values, all else as signed ones.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "graph/ir/graph.h"

namespace cytodet::pipeline {

struct EightbitOptions {
  std::vector<std::string> outputs;
  std::set<std::string> excluded_ops, excluded_nodes;  // stay in float
  bool per_channel = false;  // a range of the filter for each output channel; without it depthwise convolutions stay in float
  std::optional<std::pair<float, float>> fallback;  // the range of all results, instead of one that each run computes
};

struct EightbitReport {
  int convolutions = 0, pools = 0, concatenations = 0;
  int in_float = 0;          // convolutions that stay
  int signed_depthwise = 0;  // of the others those that TensorFlow has no kernel for
};

EightbitReport to_eightbit(Graph& graph, const EightbitOptions& options);

}  // namespace cytodet::pipeline
