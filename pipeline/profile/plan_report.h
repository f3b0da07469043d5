// What the steps of a compiled network are, before it runs.
#pragma once

#include <string>

#include "core/json_fwd.h"
#include "exec/runtime/plan.h"

namespace cytodet::pipeline {

// Keys: steps, plain_steps, macs, int8_macs, bf16_macs (of one run at the plan's shapes), stream_bytes, kernels [{kernel, steps,
// macs}], list [{name, op, kernel, shape, macs, reason}]; reason only of plain steps.
Json plan_json(const Plan& plan);
// A table of the kernels, then each plain step with the reason; with `structure` every step, in the order they run.
std::string plan_text(const Plan& plan, bool structure);

}  // namespace cytodet::pipeline
