// Functions that a model brings with it (ModelProto.functions): every call becomes the function's nodes.
#pragma once

namespace cytodet::onnx_proto {
class ModelProto;
}

namespace cytodet::graph::onnx {

// Nodes of a call are named "<call>/<inner>", tensors inside it alike. Throws Error: functions that call themselves, that make
// more nodes than a model may have, or that are of another operator set than the model.
void expand_local_functions(onnx_proto::ModelProto& model);

}  // namespace cytodet::graph::onnx
