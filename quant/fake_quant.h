// A quantized network as one that can be trained: floats that are rounded in place.
#pragma once

#include "graph/ir/graph.h"

namespace cytodet::quant {

// Every value that is quantized and dequantized becomes FakeQuantWithMinMaxVars of it, and every quantized layer
// (graph/quantized/quant_nodes.h) reads such of its input, and a float filter behind FakeQuantWithMinMaxVarsPerChannel (of one
// scale: FakeQuantWithMinMaxVars), narrow, of the bits that its quantized values need: 8, or 4 if all lie in -7..7. Ranges are
// constants
// "<layer>/input_min", "/input_max", "/filter_min", "/filter_max", the filter is
// "<layer>/filter_float". TensorFlow trains such a graph; the pass raise_fake_quant makes 8-bit layers of it again. Returns how
// many layers were rewritten.
int to_fake_quant(Graph& graph);

}  // namespace cytodet::quant
