#include "graph/io/tensorflow/graph_def.h"

#include <google/protobuf/arena.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/suggest.h"
#include "graph/io/parse_message.h"
#include "graph/io/tensorflow/fused_ops.h"
#include "graph/io/tensorflow/proto.h"

namespace cytodet::graph {
namespace {

struct InputRef {
  std::string_view name;
  int slot = 0;
  bool control = false;
};

InputRef parse_input(std::string_view text, const std::string& node) {
  InputRef ref;
  if (!text.empty() && text[0] == '^') {
    ref.control = true;
    ref.name = text.substr(1);
    return ref;
  }
  size_t colon = text.rfind(':');
  ref.name = text.substr(0, colon);
  if (colon != std::string_view::npos) {
    auto [end, error] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), ref.slot);
    if (error != std::errc() || end != text.data() + text.size() || ref.slot < 0 || ref.slot > 65535)
      throw Error("node " + node, "input \"" + std::string(text) + "\" is not \"name\" or \"name:slot\"");
  }
  return ref;
}

}  // namespace

Graph graph_of(proto::GraphDef& message) {
  Graph graph;
  for (const auto& n : message.node()) {
    Node node;
    node.name = n.name();
    node.op = n.op();
    node.device = n.device();
    try {
      node.attrs = decode_attrs(n.attr());
    } catch (const Error& e) {
      throw e.within("node " + n.name() + " (" + n.op() + ")");
    }
    const auto& unknown = n.GetReflection()->GetUnknownFields(n);
    if (n.has_experimental_debug_info() || n.has_experimental_type() || !unknown.empty()) {
      proto::NodeDef rest;
      rest.GetReflection()->MutableUnknownFields(&rest)->MergeFrom(unknown);
      if (n.has_experimental_debug_info()) *rest.mutable_experimental_debug_info() = n.experimental_debug_info();
      if (n.has_experimental_type()) *rest.mutable_experimental_type() = n.experimental_type();
      node.extra = rest.SerializeAsString();
    }
    if (node.name.empty()) throw Error("node " + std::to_string(graph.size()) + " of op " + node.op, "has no name");
    graph.add(std::move(node));
  }
  NodeId id = 0;
  for (const auto& n : message.node()) {
    Node& node = graph.node(id++);
    for (const std::string& text : n.input()) {
      InputRef ref = parse_input(text, n.name());
      NodeId from = graph.find(ref.name);
      if (from < 0) {
        std::vector<std::string> known;
        for (const auto& other : message.node()) known.push_back(other.name());
        throw Error("node " + n.name() + " (" + n.op() + ")", "invalid input \"" + text + "\": there is no such node",
                    suggest(ref.name, known));
      }
      if (ref.control)
        node.controls.push_back(from);
      else if (!node.controls.empty())
        throw Error("node " + n.name(), "data input \"" + text + "\" stands behind a control input");
      else
        node.inputs.push_back({from, ref.slot});
    }
  }
  if (message.has_library()) graph.library = message.library().SerializeAsString();
  message.clear_node();
  message.clear_library();
  graph.extra = message.SerializeAsString();
  return graph;
}

namespace {

// Nodes as they are written: ends of the graph that are not in the order of outputs, which no other part of a GraphDef tells,
// follow all other nodes in it.
std::vector<NodeId> written_order(const Graph& graph) {
  std::vector<NodeId> ids = graph.ids();
  if (graph.output_order.size() < 2) return ids;
  std::set<NodeId> read;
  for (NodeId id : ids) {
    for (Value v : graph.node(id).inputs) read.insert(v.node);
    read.insert(graph.node(id).controls.begin(), graph.node(id).controls.end());
  }
  std::vector<NodeId> ends;
  std::set<NodeId> listed;  // an output may be named twice
  for (const std::string& name : graph.output_order)
    if (const NodeId id = graph.find(name); id >= 0 && !read.contains(id) && listed.insert(id).second) ends.push_back(id);
  if (std::is_sorted(ends.begin(), ends.end())) return ids;
  std::erase_if(ids, [&](NodeId id) { return std::find(ends.begin(), ends.end(), id) != ends.end(); });
  ids.insert(ids.end(), ends.begin(), ends.end());
  return ids;
}

void to_message(const Graph& graph, proto::GraphDef& message) {
  if (!message.ParseFromString(graph.extra)) throw Error("", "the graph's versions could not be encoded again");
  if (!graph.library.empty() && !message.mutable_library()->ParseFromString(graph.library))
    throw Error("", "the graph's function library could not be encoded again");
  for (NodeId id : written_order(graph)) {
    const Node& node = graph.node(id);
    proto::NodeDef& n = *message.add_node();
    if (!node.extra.empty() && !n.ParseFromString(node.extra)) throw Error("node " + node.name, "could not be encoded again");
    n.set_name(node.name);
    n.set_op(node.op);
    n.set_device(node.device);
    for (Value v : node.inputs) n.add_input(graph.name_of(v));
    for (NodeId control : node.controls) n.add_input("^" + graph.node(control).name);
    for (const auto& [key, attr] : node.attrs) encode_attr(attr, (*n.mutable_attr())[key]);
  }
}

}  // namespace

Graph parse_graph(std::string_view bytes, const std::string& where) {
  google::protobuf::Arena arena;
  auto& message = *google::protobuf::Arena::CreateMessage<proto::GraphDef>(&arena);
  if (bytes.empty()) throw Error(where, "is empty", "name a frozen GraphDef (.pb or .pbtxt)");
  parse_message(bytes, where, "GraphDef", message);
  try {
    if (message.node_size() == 0 && message.library().function_size() == 0)
      throw Error("", "holds no nodes", "name a frozen GraphDef (.pb or .pbtxt)");
    Graph graph = graph_of(message);
    split_fused_ops(graph);
    rename_mkl_ops(graph);
    return graph;
  } catch (const Error& e) {
    throw e.within(where);
  }
}

std::string encode_graph(const Graph& graph) {
  google::protobuf::Arena arena;
  auto& message = *google::protobuf::Arena::CreateMessage<proto::GraphDef>(&arena);
  to_message(graph, message);
  if (message.ByteSizeLong() > (size_t{2} << 30) - 1) throw Error("graph", "is over 2 GiB, more than a GraphDef can hold");
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return bytes;
}

std::string encode_graph_text(const Graph& graph) {
  google::protobuf::Arena arena;
  auto& message = *google::protobuf::Arena::CreateMessage<proto::GraphDef>(&arena);
  to_message(graph, message);
  std::string text;
  google::protobuf::TextFormat::Printer printer;
  printer.PrintToString(message, &text);
  return text;
}

void write_graph(const Graph& graph, const std::filesystem::path& path) { write_file(path, encode_as(graph, path)); }

std::string encode_as(const Graph& graph, const std::filesystem::path& path) {
  return path.extension() == ".pbtxt" ? encode_graph_text(graph) : encode_graph(graph);
}

}  // namespace cytodet::graph
