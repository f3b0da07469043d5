// Graph without loops and conditions -> CompiledPlan.
#pragma once

#include "exec/runtime/plan.h"

namespace cytodet::exec {

// Plan::compile of a graph without control flow, whose ops are unknown ops here.
std::shared_ptr<const Plan> compile_straight(const Graph& graph, const PlanOptions& options);

}  // namespace cytodet::exec
