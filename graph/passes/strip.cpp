#include <algorithm>
#include <utility>

#include "core/error.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/ir/frames.h"
#include "graph/passes/node_edits.h"
#include "graph/passes/passes.h"

namespace cytodet::graph {
namespace {

void drop_duplicate_controls(Node& n) {
  std::sort(n.controls.begin(), n.controls.end());
  n.controls.erase(std::unique(n.controls.begin(), n.controls.end()), n.controls.end());
}

// Whether readers of `id` may read `values` instead: they live in the same loop and on the same conditions, and who waits for it
// can wait for the first. What reads a Switch stays (see is_switch). A Merge lives whatever its control inputs are.
bool may_bypass(const Graph& g, const Frames& frames, NodeId id, const std::vector<Value>& values) {
  if (frames.trivial()) return true;
  if (std::any_of(values.begin(), values.end(), [&](Value v) { return !frames.agree(v, id) || is_switch(g.node(v.node)); }))
    return false;
  if (g.node(id).controls.empty()) return true;
  const std::vector<NodeId> all = g.ids();
  return std::none_of(all.begin(), all.end(), [&](NodeId reader) {
    const Node& n = g.node(reader);
    return is_control_flow_op(n.op) && std::any_of(n.inputs.begin(), n.inputs.end(), [&](Value v) { return v.node == id; });
  });
}

// Consumers of `id` read `values[slot]` instead and wait for what it waited for.
void bypass(Graph& g, NodeId id, const std::vector<Value>& values) {
  std::vector<NodeId> controls = g.node(id).controls;
  for (NodeId other : g.ids()) {
    if (other == id) continue;
    Node& n = g.node(other);
    bool read = false;
    for (Value& v : n.inputs)
      if (v.node == id) {
        if (static_cast<size_t>(v.slot) >= values.size())
          throw Error("node " + n.name, "reads output " + g.name_of(v) + ", which does not exist");
        v = values[static_cast<size_t>(v.slot)];
        read = true;
      }
    if (std::erase(n.controls, id) > 0) {  // a node may wait for another twice
      n.controls.push_back(values[0].node);
      read = true;
    }
    if (!read) continue;
    n.controls.insert(n.controls.end(), controls.begin(), controls.end());
    drop_duplicate_controls(n);
  }
  g.remove(id);
}

void wait_through_constants(Graph& g, NodeId id) {
  const std::vector<NodeId> before = std::exchange(g.node(id).controls, {});
  for (NodeId c : before) {
    const Node& n = g.node(c);
    const bool nothing = n.op == "Const" || n.op == "Placeholder";
    wait_for(g.node(id), nothing ? n.controls : std::vector<NodeId>{c});
  }
}

bool is_reshape_to_same(const Facts& facts, const Node& n, NodeId id) {
  const Fact &in = facts.of(n.inputs[0]), &out = facts.of({id, 0});
  if (!in.shape || !out.shape || *in.shape != *out.shape) return false;
  return std::count(in.shape->begin(), in.shape->end(), -1) == 0;
}

bool all_equal(const Tensor* t, float wanted) {
  if (!t || t->dtype() != DType::f32 || t->size() == 0) return false;
  return std::all_of(t->data<float>(), t->data<float>() + t->size(), [&](float v) { return v == wanted; });
}

}  // namespace

bool pass_inline_functions(Graph& g, const Interface&) { return inline_functions(g, InlineFor::tensorflow) > 0; }

bool pass_strip_unused_nodes(Graph& g, const Interface& io) {
  int before = g.size();
  bool changed = false;
  std::set<NodeId> inputs = input_ids(g, io);
  Facts facts(g);
  const Frames frames(g);
  for (NodeId id : inputs) {
    Node& n = g.node(id);
    if (n.op == "Placeholder") continue;
    if (frames.frame(id) != 0)
      throw Error("input " + n.name, "lies inside a loop, where nothing can be fed", "name a node before the loop");
    const Fact& f = facts.of({id, 0});
    n.op = "Placeholder";
    n.inputs.clear();
    n.controls.clear();
    n.attrs.clear();
    n.attrs.emplace("dtype", f.dtype == DType::invalid ? DType::f32 : f.dtype);
    n.attrs.emplace("shape", f.shape ? ShapeAttr{true, *f.shape} : ShapeAttr{false, {}});
    changed = true;
  }
  std::vector<NodeId> keep(inputs.begin(), inputs.end());
  if (io.inputs.empty()) keep.clear();
  for (NodeId id : output_ids(g, io)) keep.push_back(id);
  g.sweep(keep);
  return changed || g.size() != before;
}

//   x ─▶ Identity | IdentityN | CheckNumerics | StopGradient | PreventGradient | Snapshot ─▶ ...  becomes  x ─▶ ...
bool pass_remove_training_nodes(Graph& g, const Interface& io) {
  static const char* const kPass[] = {"Identity", "IdentityN", "CheckNumerics", "StopGradient", "PreventGradient", "Snapshot"};
  std::set<NodeId> kept = output_ids(g, io);
  for (NodeId id : input_ids(g, io)) kept.insert(id);
  bool changed = false;
  const Frames frames(g);
  for (NodeId id : g.ids()) {
    const Node& n = g.node(id);
    if (kept.contains(id) || n.inputs.empty()) continue;
    if (std::none_of(std::begin(kPass), std::end(kPass), [&](const char* op) { return n.op == op; })) continue;
    if (n.op != "IdentityN" && n.inputs.size() != 1) continue;
    std::vector<Value> values = n.inputs;
    if (std::any_of(values.begin(), values.end(), [&](Value v) { return v.node == id; })) continue;
    if (!may_bypass(g, frames, id, values)) continue;
    bypass(g, id, values);
    changed = true;
  }
  // Waiting for a constant or an input is waiting for nothing but what that waits for.
  for (NodeId id : g.ids()) wait_through_constants(g, id);
  if (changed) sweep(g, io);
  return changed;
}

//   x ─▶ Reshape | Cast | Squeeze to its own shape and type ─▶ ...
//   x ─▶ Mul 1 | RealDiv 1 ─▶ ...
// become x ─▶ ...
bool pass_remove_no_ops(Graph& g, const Interface& io) {
  std::set<NodeId> kept = output_ids(g, io);
  Facts facts(g);
  const Frames frames(g);
  bool changed = false;
  for (NodeId id : g.ids()) {
    const Node& n = g.node(id);
    if (kept.contains(id) || n.inputs.empty()) continue;
    Value through{-1, 0};
    if ((n.op == "Reshape" || n.op == "Cast" || n.op == "Squeeze") && is_reshape_to_same(facts, n, id) &&
        facts.of(n.inputs[0]).dtype == facts.of({id, 0}).dtype && facts.of({id, 0}).dtype != DType::invalid) {
      through = n.inputs[0];
    } else if (n.op == "Mul" || n.op == "RealDiv") {
      // x * 1 and x / 1 where the constant does not widen the shape.
      for (size_t side : {size_t{1}, size_t{0}}) {
        if (side == 0 && n.op == "RealDiv") continue;
        const Tensor* t = g.constant(n.inputs[side]);
        const Fact &in = facts.of(n.inputs[1 - side]), &out = facts.of({id, 0});
        bool scalar = t && t->rank() == 0;
        if (all_equal(t, 1.0f) && (scalar || (in.shape && out.shape && *in.shape == *out.shape && is_static(*in.shape)))) {
          through = n.inputs[1 - side];
          break;
        }
      }
    }
    if (through.node < 0 || !may_bypass(g, frames, id, {through})) continue;
    bypass(g, id, {through});
    changed = true;
  }
  if (changed) sweep(g, io);
  return changed;
}

}  // namespace cytodet::graph
