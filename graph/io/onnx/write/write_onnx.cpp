#include "graph/io/onnx/write/write_onnx.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/join.h"
#include "graph/io/onnx/write/emit.h"
#include "graph/io/onnx/write/lower.h"
#include "graph/ir/endpoints.h"

namespace cytodet::graph {
namespace {

using onnx::EmitEntry;

const EmitEntry* emit_entry(const std::string& op) {
  for (const auto* entries : {&onnx::emit_math_entries(), &onnx::emit_recurrent_entries(), &onnx::emit_shape_entries()})
    for (const EmitEntry& entry : *entries)
      if (op == entry.op) return &entry;
  return nullptr;
}

bool is_written(const std::string& op) { return op == "Const" || op == "Placeholder" || onnx::is_lowered(op) || emit_entry(op); }

void refuse_missing(const Graph& graph, const std::vector<std::string>& outputs) {
  std::map<std::string, std::string> missing;
  for (NodeId id : onnx::needed_nodes(graph, outputs))
    if (const Node& n = graph.node(id); !is_written(n.op)) missing.emplace(n.op, n.op + " (node " + n.name + ")");
  if (missing.empty()) return;
  std::vector<std::string> names;
  for (const auto& [op, text] : missing) names.push_back(text);
  throw Error("", "these ops are not written as ONNX: " + listed(names), "cut the graph before them with --outputs");
}

// Types and shapes of ONNX's own operators are in their attributes.
Facts facts_of(const Graph& graph) {
  std::map<Value, Fact> known;
  for (NodeId id : graph.ids()) {
    const Node& n = graph.node(id);
    if (!is_onnx_op(n.op)) continue;
    const ShapeAttr& shape = n.attr<ShapeAttr>(kOnnxShape);
    known[{id, 0}] = {n.attr<DType>(kOnnxType), shape.known_rank ? std::optional(shape.dims) : std::nullopt, {}};
  }
  return Facts(graph, known);
}

}  // namespace

std::string encode_onnx(const Graph& whole, const std::vector<std::string>& outputs) {
  Graph source = whole;
  const std::set<NodeId> needed = onnx::needed_nodes(source, outputs);
  source.sweep({needed.begin(), needed.end()});
  refuse_missing(source, outputs);
  const Graph graph = onnx::lower(source, outputs, {});
  const Facts facts = facts_of(graph);
  onnx::ModelWriter writer(kWrittenOpset);
  std::map<std::string, int> used;
  for (NodeId id : graph.ids()) {
    const Node& n = graph.node(id);
    if (n.op == "Placeholder") writer.input(n.name, facts.of({id, 0}));
  }
  for (NodeId id : graph.topological_order()) {
    const Node& n = graph.node(id);
    if (n.op == "Placeholder" || n.op == "Const") continue;
    onnx::Emit emit(graph, facts, id, writer, used);
    const EmitEntry* entry = emit_entry(n.op);
    if (!entry) throw Error(node_text(n), "has no form in ONNX", "cut the graph before it with --outputs");
    with_node_named(n, [&] { entry->emit(emit); });
  }
  for (std::string name : outputs) {
    std::replace(name.begin(), name.end(), ':', '_');
    if (graph.find(name) < 0 || graph.node(graph.find(name)).op == "Placeholder") name += "_output";
    writer.output(name, facts.of(graph.value(name)));
  }
  return writer.bytes();
}

}  // namespace cytodet::graph
