// Graphs that take more than an image, or other types than a detector or classifier feeds and reads.
#pragma once

#include "exec/runtime/plan.h"
#include "graph/ir/graph.h"
#include "models/network_model.h"

namespace cytodet::pipeline {

// Makes a graph take an image alone, and give floats: the placeholder input.size_node becomes a constant, width and height of the
// input in this order; an image and outputs of float16 are cast. Throws Error where the former takes something else.
void fit_to_image(Graph& graph, const NetworkModel& network);
// The image is all that networks of a model file are fed. Throws Error where the compiled network does not read it, and naming
// what else it reads.
void check_inputs(const Plan& plan, const InputSettings& settings);

}  // namespace cytodet::pipeline
