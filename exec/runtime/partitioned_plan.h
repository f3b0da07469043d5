// Plans of graphs with loops and conditions (partition.h): compiled parts and interpreted ones, run in turn.
#pragma once

#include "exec/runtime/plan.h"

namespace cytodet::exec {

// Whether the outputs need a node of a loop or a condition.
bool needs_partition(const Graph& graph, const PlanOptions& options);

// Plan::compile of a graph with loops or conditions. A part whose input shapes are known before data is compiled at once. A part
// with convolutions or products whose shapes come from a loop is compiled when they are known, once for each set of shapes; the
// last kMaxSizes are kept, and integers that the part reads (sizes, as a rule) are its constants. A part of such shapes without
// convolutions and products is interpreted. A tap inside a loop or a condition is an Error.
std::shared_ptr<const Plan> compile_partitioned(const Graph& graph, const PlanOptions& options);

constexpr size_t kMaxSizes = 8;

// StepInfo::kernel of a part as a whole.
constexpr const char* kInterpretedPart = "interpreted";
constexpr const char* kPartNotCompiled = "compiled when it runs";

// The float values by which a network is measured. Without loops and conditions: its outputs. Otherwise what leaves the parts
// with convolutions or products: what loops make of it, such as suppressed boxes, jumps where a score changes in its last digit.
std::vector<std::string> network_outputs(const Graph& graph, const PlanOptions& options);

}  // namespace cytodet::exec
