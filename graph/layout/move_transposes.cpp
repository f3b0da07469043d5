#include "graph/layout/move_transposes.h"

#include <algorithm>
#include <optional>
#include <set>

#include "core/error.h"
#include "graph/ir/frames.h"
#include "graph/layout/move_rules.h"

namespace cytodet::graph {
namespace {

class Layout {
 public:
  explicit Layout(const Graph& graph) : from_(graph), mover_(b_) {}

  Graph run(const std::vector<NodeId>& outputs) {
    for (NodeId id : from_.ids())
      if (from_.node(id).op == "Placeholder") copied_[id] = copy(id, {}).node;
    const std::set<NodeId> last(outputs.begin(), outputs.end());
    for (NodeId id : from_.topological_order())
      if (!last.contains(id) && from_.node(id).op != "Placeholder") run_node(id);
    for (const auto& [merge, next] : back_edges_) b_.graph.node(copied_.at(merge)).inputs[1] = {copied_.at(next), 0};
    std::vector<NodeId> kept;
    for (NodeId id : from_.ids())
      if (from_.node(id).op == "Placeholder") kept.push_back(copied_.at(id));
    for (NodeId id : outputs) kept.push_back(add_output(id));
    b_.graph.extra = from_.extra;
    b_.graph.library = from_.library;
    b_.graph.output_order = from_.output_order;
    b_.graph.sweep(kept);
    return std::move(b_.graph);
  }

 private:
  Permuted input(Value v) const {
    const auto it = known_.find(v);
    return it != known_.end() ? it->second : Permuted{{copied_.at(v.node), v.slot}, {}, {}};
  }

  Value copy(NodeId id, std::vector<Value> inputs) {
    const Node& n = from_.node(id);
    const Tensor* t = from_.constant(id);
    const Value v = t ? b_.named_constant(n.name, *t) : b_.add_as(n.name, n.op, std::move(inputs), n.attrs);
    for (NodeId c : n.controls) b_.graph.node(v.node).controls.push_back(waited_for(c));
    if (t) return v;
    b_.graph.node(v.node).device = n.device;
    b_.graph.node(v.node).extra = n.extra;
    return v;
  }

  // A node that others wait for; of one that was moved through, a copy of what it gives.
  NodeId waited_for(NodeId id) {
    const auto it = copied_.find(id);
    return it != copied_.end() ? it->second : b_.add("Identity", {mover_.made(input({id, 0}))}).node;
  }

  void run_node(NodeId id) {
    const Node& n = from_.node(id);
    if (is_loop_merge(n)) return begin_loop(id);
    std::vector<Permuted> in;
    for (Value v : n.inputs) in.push_back(input(v));
    b_.scope = n.name;
    Move move{mover_, n, in, {}};
    if (n.controls.empty() && moved_through(move)) {
      for (size_t slot = 0; slot < move.out.size(); ++slot) known_[{id, static_cast<int>(slot)}] = move.out[slot];
      return;
    }
    std::vector<Value> inputs;
    for (const Permuted& p : in) inputs.push_back(mover_.made(p));
    b_.scope = n.name;
    copied_[id] = copy(id, std::move(inputs)).node;
  }

  bool is_loop_merge(const Node& n) const { return n.inputs.size() == 2 && is_back_edge(n, from_.node(n.inputs[1].node)); }
  // What the Merge of a loop takes from the iteration before is connected when that is there.
  void begin_loop(NodeId id) {
    const Value enter = mover_.made(input(from_.node(id).inputs[0]));
    copied_[id] = copy(id, {enter, enter}).node;
    back_edges_.emplace_back(id, from_.node(id).inputs[1].node);
  }

  // Under its own name, which another node gives up. A node that nobody else reads takes the name itself.
  NodeId add_output(NodeId id) {
    const Node& n = from_.node(id);
    b_.scope = n.name;
    const Value y = mover_.made(input(n.inputs.at(0)));
    const NodeId other = b_.graph.find(n.name);
    if (other >= 0 && b_.graph.node(other).op != "Placeholder") b_.graph.rename(other, b_.graph.unique_name(n.name));
    return b_.add_as(n.name, "Identity", {y}, {}).node;
  }

  const Graph& from_;
  Builder b_;
  Mover mover_;
  std::vector<std::pair<NodeId, NodeId>> back_edges_;  // Merge, NextIteration
  std::map<NodeId, NodeId> copied_;                    // nodes that read and give what the model means
  std::map<Value, Permuted> known_;                    // outputs of the others
};

// Output k is an Identity: what it reads takes its name where nobody else reads that.
void drop_identities(Graph& graph, const std::vector<std::string>& names) {
  const Consumers uses(graph);
  for (const std::string& name : names) {
    const NodeId id = graph.find(name);
    const Value from = graph.node(id).inputs.at(0);
    const std::string& op = graph.node(from.node).op;
    if (from.slot != 0 || op == "Placeholder" || op == "Const" || !uses.sole(from.node)) continue;
    graph.remove(id);
    graph.rename(from.node, name);
  }
}

// A QuantizeV2 -> Dequantize of one range, whose number at each place is that of x at this place; nothing for other values.
struct OneGrid {
  NodeId quantize, dequantize;
};
std::optional<OneGrid> one_grid(const Graph& g, Value v) {
  const Node& d = g.node(v.node);
  if (d.op != "Dequantize" || v.slot != 0 || d.attr_or("axis", int64_t{-1}) != -1 || d.inputs.size() != 3) return {};
  const NodeId q = d.inputs[0].node;
  if (g.node(q).op != "QuantizeV2" || g.node(q).attr_or("axis", int64_t{-1}) != -1) return {};
  return OneGrid{q, v.node};
}

// x -> QuantizeV2 -> Dequantize -> Transpose | Reshape | ... becomes x -> Transpose | ... -> QuantizeV2 -> Dequantize: who reads
// it finds its numbers on their grid.
void lift_over_grids(Graph& g) {
  static const std::set<std::string> kMoves = {"ExpandDims", "Reshape", "Squeeze", "Transpose"};
  for (NodeId id : g.topological_order()) {
    if (!kMoves.contains(g.node(id).op)) continue;
    const auto grid = one_grid(g, g.node(id).inputs.at(0));
    if (!grid) continue;
    const auto copy_on = [&](NodeId from, Value input) {
      const Node n = g.node(from);
      std::vector<Value> inputs = n.inputs;
      inputs[0] = input;
      for (size_t i = 1; i < inputs.size() && n.op == "Dequantize"; ++i) inputs[i].node = input.node;
      return g.add_new(g.node(id).name + (n.op == "Dequantize" ? "/dequantized" : "/quantized"), n.op, inputs, n.attrs);
    };
    const Value source = g.node(grid->quantize).inputs.at(0), moved{id, 0};
    const Value q = copy_on(grid->quantize, moved);
    const Value d = copy_on(grid->dequantize, q);
    g.replace_uses(moved, d);
    g.node(q.node).inputs[0] = moved;
    g.node(id).inputs[0] = source;
  }
}

}  // namespace

Graph move_transposes(const Graph& graph, const std::vector<NodeId>& outputs) {
  std::vector<std::string> names;
  Graph moved = Layout(graph).run(outputs);
  for (NodeId id : outputs) {
    const std::string& name = graph.node(id).name;
    if (moved.find(name) >= 0 && moved.node(moved.find(name)).op == "Identity") names.push_back(name);
  }
  lift_over_grids(moved);
  std::vector<NodeId> kept;
  for (NodeId id : moved.ids())
    if (moved.node(id).op == "Placeholder") kept.push_back(id);
  for (NodeId id : outputs) kept.push_back(moved.require(graph.node(id).name));
  moved.sweep(kept);
  drop_identities(moved, names);
  return moved;
}

}  // namespace cytodet::graph
