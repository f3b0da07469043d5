#include "graph/io/onnx/read_model.h"

#include <google/protobuf/arena.h>

#include <set>
#include <type_traits>

#include "core/error.h"
#include "graph/io/onnx/local_functions.h"
#include "graph/io/onnx/tensor_proto.h"
#include "graph/io/parse_message.h"
#include "onnx_model.pb.h"

namespace cytodet::graph::onnx {
namespace {

namespace proto = cytodet::onnx_proto;

// Graphs within graphs (the branches of If): far below what the message's own depth limit lets through.
constexpr int kMaxDepth = 16;

OnnxGraph graph_of_message(const proto::GraphProto& m, ExternalData& external, int depth);

OnnxAttr attr_of(const proto::AttributeProto& m, ExternalData& external, int depth) {
  if (!m.ref_attr_name().empty())
    throw Error("", "refers to an attribute of a function, but stands in none", "the model is damaged");
  enum Kind { none, f, i, s, t, g, tensors = 9, floats = 6, ints = 7, strings = 8 };
  int kind = m.type();
  if (kind == none)  // models before IR version 3 state no type
    kind = m.has_t()          ? t
           : m.has_g()        ? g
           : m.floats_size()  ? floats
           : m.ints_size()    ? ints
           : m.strings_size() ? strings
           : !m.s().empty()   ? s
           : m.f() != 0       ? f
                              : i;
  switch (kind) {
    case f:
      return m.f();
    case i:
      return int64_t{m.i()};
    case s:
      return m.s();
    case t:
      return decode_onnx_tensor(m.t(), external);
    case g:
      return std::make_shared<OnnxGraph>(graph_of_message(m.g(), external, depth + 1));
    case floats:
      return std::vector<float>(m.floats().begin(), m.floats().end());
    case ints:
      return std::vector<int64_t>(m.ints().begin(), m.ints().end());
    case strings:
      return std::vector<std::string>(m.strings().begin(), m.strings().end());
    default:
      return std::monostate();
  }
}

OnnxNode node_of(const proto::NodeProto& m, ExternalData& external, int depth) {
  OnnxNode node{m.name(), m.op_type(), m.domain(), {m.input().begin(), m.input().end()}, {m.output().begin(), m.output().end()},
                {}};
  if (node.domain == "ai.onnx") node.domain.clear();
  for (const auto& a : m.attribute()) {
    try {
      node.attrs.emplace(a.name(), attr_of(a, external, depth));
    } catch (const Error& e) {
      throw e.within(node.text() + ": attribute " + a.name());
    }
  }
  return node;
}

OnnxValue value_of(const proto::ValueInfoProto& m, bool needs_type) {
  OnnxValue value{m.name(), DType::invalid, {}};
  if (!m.type().has_tensor_type()) {
    if (needs_type && m.type().value_case() != proto::TypeProto::VALUE_NOT_SET)
      throw Error("input " + m.name(), "is no tensor, but a sequence or an optional value", "such inputs are not read");
    return value;
  }
  const auto& type = m.type().tensor_type();
  value.dtype = dtype_of_onnx(type.elem_type());
  if (needs_type && value.dtype == DType::invalid)
    throw Error("input " + m.name(), "is of type " + name_of_onnx_type(type.elem_type()), "inputs of this type are not read");
  if (!type.has_shape()) return value;
  value.shape.emplace();
  for (const auto& d : type.shape().dim()) {
    const bool number = d.value_case() == proto::TensorShapeProto::Dimension::kDimValue && d.dim_value() >= 0;
    value.shape->push_back(number ? int64_t{d.dim_value()} : -1);
  }
  return value;
}

OnnxGraph graph_of_message(const proto::GraphProto& m, ExternalData& external, int depth) {
  if (depth > kMaxDepth) throw Error("", "graphs lie in graphs more than " + std::to_string(kMaxDepth) + " deep");
  OnnxGraph graph;
  if (m.sparse_initializer_size() > 0)
    throw Error("tensor " + m.sparse_initializer(0).values().name(), "is sparse", "export the model with dense weights");
  for (const auto& t : m.initializer()) {
    try {
      graph.initializers.emplace_back(t.name(), decode_onnx_tensor(t, external));
    } catch (const Error& e) {
      throw e.within("tensor " + t.name());
    }
  }
  for (const auto& n : m.node()) graph.nodes.push_back(node_of(n, external, depth));
  for (const auto& v : m.input()) graph.inputs.push_back(value_of(v, true));
  for (const auto& v : m.output()) graph.outputs.push_back(value_of(v, false));
  return graph;
}

proto::ModelProto& parsed(std::string_view bytes, const std::string& where, google::protobuf::Arena& arena) {
  auto& message = *google::protobuf::Arena::CreateMessage<proto::ModelProto>(&arena);
  if (bytes.empty()) throw Error(where, "is empty", "name an ONNX model (.onnx)");
  parse_message(bytes, where, "ONNX model", message, UnknownFields::skipped);
  return message;
}

void list_external(const proto::TensorProto& t, std::set<std::string>& names) {
  for (const auto& entry : t.external_data())
    if (t.data_location() == 1 && entry.key() == "location") names.insert(entry.value());
}

// For the nodes of a graph or function, and of the graphs within them.
template <class Nodes>
void list_external(const Nodes& m, std::set<std::string>& names) {
  if constexpr (std::is_same_v<Nodes, proto::GraphProto>)
    for (const auto& t : m.initializer()) list_external(t, names);
  for (const auto& n : m.node())
    for (const auto& a : n.attribute()) {
      list_external(a.t(), names);
      if (a.has_g()) list_external(a.g(), names);
    }
}

}  // namespace

std::string OnnxNode::called() const {
  return "node " + (!name.empty() ? name : outputs.empty() ? "without a name" : "of output " + outputs[0]);
}

std::string OnnxNode::text() const { return called() + " (" + (domain.empty() ? "" : domain + ".") + op + ")"; }

OnnxModel parse_model(std::string_view bytes, const std::string& where, const std::filesystem::path& folder) {
  google::protobuf::Arena arena;
  proto::ModelProto& message = parsed(bytes, where, arena);
  try {
    if (!message.has_graph()) throw Error("", "holds no graph", "name an ONNX model (.onnx)");
    expand_local_functions(message);
    OnnxModel model;
    for (const auto& set : message.opset_import()) model.opsets[set.domain() == "ai.onnx" ? "" : set.domain()] = set.version();
    ExternalData external(folder);
    model.graph = graph_of_message(message.graph(), external, 0);
    return model;
  } catch (const Error& e) {
    throw e.within(where);
  }
}

std::map<std::string, std::string> metadata_of_model(std::string_view bytes, const std::string& where) {
  google::protobuf::Arena arena;
  std::map<std::string, std::string> metadata;
  for (const auto& entry : parsed(bytes, where, arena).metadata_props()) metadata[entry.key()] = entry.value();
  return metadata;
}

std::vector<std::filesystem::path> external_files(std::string_view bytes, const std::string& where,
                                                  const std::filesystem::path& folder) {
  google::protobuf::Arena arena;
  std::set<std::string> names;
  const proto::ModelProto& model = parsed(bytes, where, arena);
  list_external(model.graph(), names);
  for (const auto& f : model.functions()) list_external(f, names);
  std::vector<std::filesystem::path> files;
  for (const std::string& name : names) files.push_back(folder / name);
  return files;
}

}  // namespace cytodet::graph::onnx
