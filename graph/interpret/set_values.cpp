#include "graph/interpret/set_values.h"

#include <set>

#include "core/error.h"
#include "core/settings.h"
#include "core/suggest.h"
#include "graph/interpret/feed_check.h"
#include "graph/io/named_tensors.h"

namespace cytodet::graph {
namespace {

bool is_placeholder(const Node& n) { return n.op == "Placeholder" || n.op == "PlaceholderWithDefault"; }

NodeId placeholder_named(const Graph& graph, const std::string& name) {
  const NodeId id = graph.find(name.ends_with(":0") ? name.substr(0, name.size() - 2) : name);
  if (id >= 0 && is_placeholder(graph.node(id))) return id;
  std::vector<std::string> known;
  for (NodeId other : graph.ids())
    if (is_placeholder(graph.node(other))) known.push_back(graph.node(other).name);
  const std::string is =
      id < 0 ? "there is no node of this name" : "is a " + graph.node(id).op + "; only placeholders can be set";
  throw UsageError("--set " + name, is, suggest(name, known));
}

// Bare text is a text.
Json value_of(const std::string& text) {
  Json value = Json::parse(text, nullptr, false);
  return value.is_discarded() || value.is_object() ? Json(text) : value;
}

// The placeholder's shape, where all of it is known.
std::optional<Shape> whole_shape(const Node& n) {
  const ShapeAttr* shape = n.find_attr<ShapeAttr>("shape");
  if (!shape || !shape->known_rank || !is_static(shape->dims)) return {};
  return shape->dims;
}

void set_value(Graph& graph, const std::string& name, const std::string& text) {
  const NodeId id = placeholder_named(graph, name);
  const Node& n = graph.node(id);
  const std::string where = "--set " + name + "=" + text;
  try {
    const Tensor value = nested_tensor(value_of(text), n.attr_or("dtype", DType::f32), whole_shape(n), where);
    check_feed(graph, {id, 0}, value);
    graph.become_const(id, value);
  } catch (const Error& e) {
    throw UsageError(where, e.problem(), e.fix());
  }
}

}  // namespace

Graph read_graph(const std::filesystem::path& path, const GraphChanges& changes) {
  Graph graph = read_graph(path, changes.sizes);
  set_values(graph, changes.set);
  return graph;
}

void set_values(Graph& graph, const std::vector<std::string>& assignments) {
  std::set<std::string> names;
  for (const std::string& text : assignments) {
    const size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos)
      throw UsageError("--set " + text, "is not NAME=VALUE", "as in --set is_training=false");
    const std::string name = text.substr(0, equals);
    if (!names.insert(name).second) throw UsageError("--set " + name, "is given twice", "give it once");
    set_value(graph, name, text.substr(equals + 1));
  }
}

}  // namespace cytodet::graph
