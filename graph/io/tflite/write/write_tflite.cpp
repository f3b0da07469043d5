#include "graph/io/tflite/write/write_tflite.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/error.h"
#include "core/join.h"
#include "graph/io/tflite/write/emit.h"
#include "graph/io/tflite/write/encode.h"
#include "graph/io/tflite/write/modes.h"
#include "graph/ir/endpoints.h"

namespace cytodet::graph {
namespace {

using lite::LiteEmitEntry;

const LiteEmitEntry* lite_emit_entry(const std::string& op) {
  for (const auto* entries :
       {&lite::lite_emit_layer_entries(), &lite::lite_emit_math_entries(), &lite::lite_emit_shape_entries()})
    for (const LiteEmitEntry& entry : *entries)
      if (op == entry.op) return &entry;
  return nullptr;
}

std::map<Value, Fact> sizes_of(const Graph& graph, const std::map<std::string, Shape>& stated) {
  std::map<Value, Fact> known;
  for (NodeId id : graph.ids()) {
    const Node& n = graph.node(id);
    if (n.op != "Placeholder") continue;
    const ShapeAttr shape = n.attr_or("shape", ShapeAttr{false, {}});
    Shape dims = shape.dims;
    if (const auto it = stated.find(n.name); it != stated.end()) dims = it->second;
    if (!dims.empty() && dims[0] < 0) dims[0] = 1;
    if ((shape.known_rank || stated.contains(n.name)) && is_static(dims)) known[{id, 0}] = {n.attr<DType>("dtype"), dims, {}};
  }
  return known;
}

void refuse_unwritten(const Graph& graph, lite::Writing& w) {
  std::map<std::string, std::string> missing;
  for (NodeId id : graph.ids()) {
    const Node& n = graph.node(id);
    if (n.op != "Const" && n.op != "Placeholder" && !lite_emit_entry(n.op) && !w.constant({id, 0}))
      missing.emplace(n.op, n.op + " (node " + n.name + ")");
  }
  if (missing.empty()) return;
  std::vector<std::string> names;
  for (const auto& [op, text] : missing) names.push_back(text);
  const bool open =
      missing.contains("Shape") || missing.contains("Rank") || missing.contains("Size");  // of a known size: constants
  throw Error("", "these ops are not written as TensorFlow Lite: " + listed(names),
              open ? "TensorFlow Lite wants fixed sizes: state those of the inputs, --input NAME=1,224,224,3"
                   : "cut the graph before them with --outputs");
}

lite::Grid grid_of_range(float low, float high) {
  low = std::min(low, 0.0f);
  high = std::max(high, 0.0f);
  lite::Grid g{(high - low) / 255, 0, -128, 127, DType::i8};
  if (!(g.scale > 1e-30f) || !std::isfinite(g.scale)) return {1, 0, -128, 127, DType::i8};
  g.zero_point = std::clamp<int64_t>(std::lround(-128 - low / g.scale), -128, 127);
  return g;
}

// The network in float, with the grids that the graph states.
lite::LiteNet lowered(const Graph& graph, const std::vector<std::string>& outputs, const LiteOptions& options) {
  const Facts facts(graph, sizes_of(graph, options.shapes));
  const Consumers uses(graph);
  std::set<NodeId> ends;
  for (const std::string& name : outputs) ends.insert(graph.value(name).node);
  lite::Writing w{graph, facts, uses, ends, {}, {}, {}, {}};
  refuse_unwritten(graph, w);
  for (NodeId id : graph.ids()) {
    if (graph.node(id).op != "Placeholder") continue;
    lite::LiteEmit e(w, id);
    with_node_named(e.n, [&] { w.net.inputs.push_back(e.out()); });
  }
  for (NodeId id : graph.topological_order()) {
    const Node& n = graph.node(id);
    if (n.op == "Const" || n.op == "Placeholder" || w.covered.contains(id) || w.constant({id, 0})) continue;
    lite::LiteEmit e(w, id);
    with_node_named(n, [&] { lite_emit_entry(n.op)->emit(e); });
  }
  for (const std::string& name : outputs) {
    const Value v = graph.value(name);
    lite::LiteEmit e(w, v.node);
    const int tensor = with_node_named(e.n, [&] { return e.tensor_of(v); });
    const bool taken = std::count(w.net.outputs.begin(), w.net.outputs.end(), tensor) ||
                       std::count(w.net.inputs.begin(), w.net.inputs.end(), tensor) || w.net.at(tensor).data;
    w.net.outputs.push_back(taken ? e.copy_of(tensor) : tensor);
    w.net.at(w.net.outputs.back()).name = name;
  }
  for (const auto& [v, tensor] : w.tensors)
    if (const auto it = options.ranges.find(graph.name_of(v)); it != options.ranges.end() && !w.net.at(tensor).grid)
      w.net.at(tensor).grid = grid_of_range(it->second.first, it->second.second);
  return std::move(w.net);
}

}  // namespace

std::string encode_tflite(const Graph& whole, const std::vector<std::string>& outputs, const LiteOptions& options) {
  Graph graph = whole;
  std::vector<NodeId> kept;
  for (const std::string& name : outputs) kept.push_back(graph.value(name).node);
  for (const std::string& name : find_inputs(graph)) kept.push_back(graph.require(name));
  graph.sweep(kept);
  lite::LiteNet net = lowered(graph, outputs, options);
  switch (options.mode) {
    case LiteMode::weights:
      lite::to_weights(net);
      break;
    case LiteMode::float16:
      lite::to_float16(net);
      break;
    case LiteMode::as_is:
    case LiteMode::int8:
      lite::to_int8(net, lite::Stored::as_float);
      break;
    case LiteMode::full_int8:
      lite::to_int8(net, lite::Stored::int8);
      break;
    case LiteMode::full_uint8:
      lite::to_int8(net, lite::Stored::uint8);
      break;
  }
  return lite::encode(net);
}

}  // namespace cytodet::graph
