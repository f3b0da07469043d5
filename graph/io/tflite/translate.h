// A TensorFlow Lite model as a Graph of TensorFlow's ops.
#pragma once

#include "graph/io/input_sizes.h"
#include "graph/io/tflite/lite_model.h"
#include "graph/ir/graph.h"

namespace cytodet::graph::lite {

// Inputs become Placeholders, outputs nodes that nobody reads, both under their own names as far as those can be names of nodes
// (graph/io/node_name.h) and with the types and stored values that the file says. A quantized tensor between is the float number,
// rounded to its grid by QuantizeV2 -> Dequantize. A variable (READ_VARIABLE, ASSIGN_VARIABLE) becomes an input NAME that need
// not be fed, with what CALL_ONCE puts in it, and an output NAME_next. `sizes`: of inputs that the file leaves open, which are 1
// otherwise. Throws Error: operators that are not read (all of them, with a tensor each), one that is refused.
Graph translate(const LiteModel& model, const InputSizes& sizes = {});

bool is_read(const LiteOp& op);  // whether the operator is read at all

}  // namespace cytodet::graph::lite
