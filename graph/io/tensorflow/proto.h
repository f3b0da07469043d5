// Between protobuf messages and the Graph's own types. Included by sources of this folder only.
#pragma once

#include <string>

#include "graph/ir/graph.h"
#include "graph_def.pb.h"

namespace cytodet::graph {

Tensor decode_tensor(const proto::TensorProto& message);
Attr decode_attr(const proto::AttrValue& message);
void encode_attr(const Attr& attr, proto::AttrValue& message);
// Empties the message on its way.
Graph graph_of(proto::GraphDef& message);
AttrMap decode_attrs(const google::protobuf::Map<std::string, proto::AttrValue>& attrs);

}  // namespace cytodet::graph
