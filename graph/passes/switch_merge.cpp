#include <algorithm>

#include "graph/ir/frames.h"
#include "graph/passes/node_edits.h"
#include "graph/passes/passes.h"

namespace cytodet::graph {
namespace {

// The predicate as a constant, looking through Identity and a default that nobody is going to feed.
const Tensor* predicate(const Graph& g, Value v, const std::set<NodeId>& fed) {
  for (int hops = 0; hops < 64; ++hops) {
    if (const Tensor* t = g.constant(v)) return t->dtype() == DType::boolean && t->size() == 1 ? t : nullptr;
    const Node& n = g.node(v.node);
    bool pass = n.op == "Identity" || (n.op == "PlaceholderWithDefault" && !fed.contains(v.node));
    if (!pass || n.inputs.empty()) return nullptr;
    v = n.inputs[0];
  }
  return nullptr;
}

// Switches with a constant predicate, and what never lives because of them.
struct Decided {
  std::vector<NodeId> switches;
  std::set<Value> ways;    // not taken
  std::set<NodeId> nodes;  // that read one
  bool is_dead(Value v) const { return ways.contains(v) || nodes.contains(v.node); }
};

bool is_back_edge(const Graph& g, Value v) { return g.node(v.node).op == "NextIteration"; }

Decided decide(const Graph& g, const std::set<NodeId>& fed) {
  Decided d;
  for (NodeId id : g.ids()) {
    const Node& n = g.node(id);
    if (n.op != "Switch" || n.inputs.size() != 2) continue;
    if (const Tensor* p = predicate(g, n.inputs[1], fed)) {
      d.ways.insert({id, p->data<bool>()[0] ? 0 : 1});
      d.switches.push_back(id);
    }
  }
  if (d.switches.empty()) return d;
  for (NodeId id : g.topological_order()) {
    const Node& n = g.node(id);
    const auto dead = [&](Value v) { return d.is_dead(v); };
    // A Merge lives on one live input, whatever its controls are; a loop that nothing enters never turns.
    const bool gone =
        n.op == "Merge"
            ? std::all_of(n.inputs.begin(), n.inputs.end(), [&](Value v) { return is_back_edge(g, v) || d.is_dead(v); })
            : std::any_of(n.inputs.begin(), n.inputs.end(), dead) ||
                  std::any_of(n.controls.begin(), n.controls.end(), [&](NodeId c) { return d.nodes.contains(c); });
    if (gone) d.nodes.insert(id);
  }
  return d;
}

// The inputs of a Merge that may still live.
std::vector<size_t> alive_inputs(const Node& merge, const Decided& d) {
  std::vector<size_t> alive;
  for (size_t i = 0; i < merge.inputs.size(); ++i)
    if (!d.is_dead(merge.inputs[i])) alive.push_back(i);
  return alive;
}

// Without its dead inputs. The Merge stays where two or more may live: its second output would count anew.
void shrink(Graph& g, const Frames& frames, NodeId id, const Decided& d) {
  std::erase_if(g.node(id).controls, [&](NodeId c) { return d.nodes.contains(c); });
  const std::vector<size_t> alive = alive_inputs(g.node(id), d);
  if (alive.empty() || alive.size() == g.node(id).inputs.size()) return;
  std::vector<Value> kept;
  for (size_t i : alive) kept.push_back(g.node(id).inputs[i]);
  Node& merge = g.node(id);
  merge.inputs = kept;
  if (alive.size() > 1) {
    merge.attrs.insert_or_assign("N", Attr(static_cast<int64_t>(alive.size())));
    return;
  }
  // An Identity, unlike a Merge, lives only when all that it waits for does.
  std::erase_if(merge.controls, [&](NodeId c) { return frames.is_inside(c); });
  merge.op = "Identity";
  merge.attrs.erase("N");
  const Value number = g.add_const(merge.name + "/value_index", Tensor::scalar(static_cast<int32_t>(alive[0])));
  if (frames.is_inside(id)) g.node(number.node).controls = {id};
  g.replace_uses({id, 1}, number);
}

// What stands for a Switch that always goes one way: what it reads, behind an Identity where more must live for it.
Value stand_in(Graph& g, const Frames& frames, NodeId id) {
  const Node& n = g.node(id);
  const Value data = n.inputs[0];
  std::vector<NodeId> controls = n.controls;
  if (!frames.guards(n.inputs[1]).empty() && !frames.agree(n.inputs[1], data))
    if (const NodeId anchor = anchor_of(g, frames, n.inputs[1]); anchor >= 0) controls.push_back(anchor);
  if (controls.empty() && !is_switch(g.node(data.node))) return data;
  AttrMap attrs;
  attrs.emplace("T", n.attr_or("T", DType::f32));
  const Value copy = g.add_new(n.name + "/taken", "Identity", {data}, std::move(attrs));
  wait_for(g.node(copy.node), controls);
  return copy;
}

// Whether all that is dead goes: nobody asks for it, no Merge of several live inputs counts them, no loop ends by it.
bool goes_whole(const Graph& g, const Decided& d, const std::set<NodeId>& outputs) {
  if (std::any_of(outputs.begin(), outputs.end(), [&](NodeId id) { return d.nodes.contains(id); })) return false;
  const Consumers uses(g);
  for (NodeId id : g.ids()) {
    const Node& n = g.node(id);
    if (n.op != "Merge" || d.nodes.contains(id)) continue;
    const size_t alive = alive_inputs(n, d).size();
    if (alive == n.inputs.size()) continue;
    if (alive > 1 && !uses.of(Value{id, 1}).empty()) return false;
    if (std::any_of(n.inputs.begin(), n.inputs.end(), [&](Value v) { return is_back_edge(g, v); })) return false;
  }
  return true;
}

}  // namespace

//   x ──────────────────┐        ┌▶ ... ─┐
//   constant predicate ─┴▶ Switch┤       ├▶ Merge ─▶
//                                └▶ ... ─┘
// becomes x ─▶ ... ─▶, the branch that the predicate takes; a Merge keeps those of its inputs that may live.
bool pass_fold_switch_merge(Graph& g, const Interface& io) {
  std::set<NodeId> fed;
  for (const std::string& name : io.inputs) fed.insert(g.value(name).node);
  const Decided d = decide(g, fed);
  if (d.switches.empty() || !goes_whole(g, d, output_ids(g, io))) return false;
  const Frames frames(g);
  for (NodeId id : g.ids())
    if (g.node(id).op == "Merge" && !d.nodes.contains(id)) shrink(g, frames, id, d);
  for (NodeId id : d.switches) {
    if (d.nodes.contains(id)) continue;
    const Value taken = stand_in(g, frames, id);
    g.replace_uses({id, 0}, taken);
    g.replace_uses({id, 1}, taken);
  }
  sweep(g, io);
  return true;
}

}  // namespace cytodet::graph
