// Graph without loops and conditions -> CompiledPlan.
#pragma once

#include "exec/runtime/plan.h"

namespace cytodet::exec {

// As Plan::compile; control flow is an unknown op here.
std::shared_ptr<const Plan> compile_straight(const Graph& graph, const PlanOptions& options);

}  // namespace cytodet::exec
