#include "graph/ir/frames.h"

#include <algorithm>
#include <iterator>
#include <optional>

namespace cytodet::graph {
namespace {

constexpr size_t kMaxWays = 128;  // of a Merge that are looked at

using Guard = Frames::Guard;
using Guards = Frames::Guards;

// "Ref" in front: the form for references, such as RefSwitch.
std::string_view plain_name(const std::string& op) { return std::string_view(op).substr(op.starts_with("Ref") ? 3 : 0); }
bool is(const Node& n, const char* op) { return plain_name(n.op) == op; }

bool holds(const Guards& all, const Guards& some) { return std::includes(all.begin(), all.end(), some.begin(), some.end()); }

Guards both(const Guards& a, const Guards& b) {
  Guards out;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

// What two alternatives have in common when they differ in the two ways of one condition alone.
std::optional<Guards> joined(const Guards& a, const Guards& b) {
  if (a.size() != b.size()) return {};
  Guards left, right;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(left));
  std::set_difference(b.begin(), b.end(), a.begin(), a.end(), std::back_inserter(right));
  if (left.size() != 1 || right.size() != 1 || left[0].condition != right[0].condition) return {};
  Guards common;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(common));
  return common;
}

// Whether the guards (sorted by condition) ask for both outcomes of one condition, so that the node never runs.
bool is_never(const Guards& guards) {
  for (size_t i = 1; i < guards.size(); ++i)
    if (guards[i].condition == guards[i - 1].condition) return true;
  return false;
}

// Alternatives, any of which may hold, as few as can be seen.
void simplify(std::vector<Guards>& ways) {
  for (bool again = true; again;) {
    again = false;
    for (size_t i = 0; i < ways.size() && !again; ++i)
      for (size_t j = 0; j < ways.size() && !again; ++j) {
        if (i == j) continue;
        std::optional<Guards> one = holds(ways[j], ways[i]) ? std::optional<Guards>(ways[i]) : joined(ways[i], ways[j]);
        if (!one) continue;
        ways[i] = std::move(*one);
        ways.erase(ways.begin() + static_cast<long>(j));
        again = true;
      }
  }
}

// Stands for "the first turn of this loop", in which alone an Enter that is no loop constant gives its value.
Guard first_turn(int frame) { return {{-2 - frame, 0}, 0}; }

}  // namespace

bool is_switch(const Node& n) { return is(n, "Switch") || n.op == "_SwitchN"; }

bool is_control_flow_op(const std::string& op) {
  static constexpr std::string_view kOps[] = {"Switch", "Merge", "Enter", "Exit", "NextIteration", "LoopCond", "_SwitchN"};
  return std::find(std::begin(kOps), std::end(kOps), plain_name(op)) != std::end(kOps);
}

Frames::Frames(const Graph& graph) : graph_(graph) {
  const std::vector<NodeId> ids = graph.ids();
  trivial_ = std::none_of(ids.begin(), ids.end(), [&](NodeId id) { return is_control_flow_op(graph.node(id).op); });
  if (trivial_) return;
  nodes_.resize(static_cast<size_t>(graph.capacity()));
  for (NodeId id : graph.topological_order()) place(id);
}

const Guards& Frames::guards(NodeId id) const {
  return sets_[knows(id) ? static_cast<size_t>(nodes_[static_cast<size_t>(id)].guards) : 0];
}

Guards Frames::guards(Value v) const {
  if (!knows(v.node) || !graph_.alive(v.node) || !is_switch(graph_.node(v.node)) || graph_.node(v.node).inputs.size() < 2)
    return guards(v.node);
  return added(guards(v.node), {source_of(graph_.node(v.node).inputs[1]), v.slot});
}

// Copies of a condition are that condition.
Value Frames::source_of(Value condition) const {
  for (int hops = 0; hops < 64; ++hops) {
    const Node& n = graph_.node(condition.node);
    if (n.op != "Identity" || n.inputs.size() != 1) break;
    condition = n.inputs[0];
  }
  return condition;
}

Guards Frames::added(const Guards& guards, Guard more) const { return both(guards, {more}); }

int Frames::keep(Guards guards) {
  const auto [it, fresh] = index_.emplace(std::move(guards), static_cast<int>(sets_.size()));
  if (fresh) sets_.push_back(it->first);
  return it->second;
}

void Frames::complain(NodeId id, const std::string& problem) {
  if (problem_.empty()) problem_ = node_text(graph_.node(id)) + " " + problem;
}

void Frames::place(NodeId id) {
  const Node& n = graph_.node(id);
  Place& p = nodes_[static_cast<size_t>(id)];
  const bool merge = is(n, "Merge");
  Guards all;
  NodeId first = -1;
  const auto look = [&](NodeId from, const Guards& own) {
    const Place& at = nodes_[static_cast<size_t>(from)];
    if (!at.placed) return;  // behind a NextIteration
    if (first >= 0 && at.frame != p.frame)
      complain(id, "has inputs from different loops: " + graph_.node(first).name + " and " + graph_.node(from).name);
    if (first < 0 || at.frame > p.frame) p.frame = at.frame;
    first = from;
    if (!merge) all = both(all, own);
  };
  for (Value v : n.inputs) look(v.node, guards(v));
  for (NodeId c : n.controls) look(c, guards(c));
  if (merge) all = merged(id);
  if (is(n, "Enter")) enter(id, p, all);
  if (is(n, "Exit")) exit(id, p, all);
  p.guards = keep(std::move(all));
  p.placed = true;
}

void Frames::enter(NodeId id, Place& p, Guards& all) {
  const Node& n = graph_.node(id);
  const std::string name = n.attr_or<std::string>("frame_name", "");
  auto it = std::find_if(frames_.begin() + 1, frames_.end(), [&](const Frame& f) { return f.name == name; });
  if (it != frames_.end() && it->parent != p.frame) {
    complain(id, "enters loop \"" + name + "\", which others enter from another loop");
    it = std::find_if(frames_.begin() + 1, frames_.end(), [&](const Frame& f) { return f.name == name && f.parent == p.frame; });
  }
  if (it == frames_.end()) it = frames_.insert(it, {p.frame, name});
  p.frame = static_cast<int>(it - frames_.begin());
  if (!n.attr_or("is_constant", false)) all = added(all, first_turn(p.frame));
}

// Outside of a loop, the loop has ended: its own conditions are no longer asked.
void Frames::exit(NodeId id, Place& p, Guards& all) {
  if (p.frame == 0) complain(id, "leaves a loop, but is in none");
  const int loop = p.frame;
  std::erase_if(all, [&](const Guard& g) {
    if (g.condition.node < 0) return g == first_turn(loop);
    return nodes_[static_cast<size_t>(g.condition.node)].frame == loop;
  });
  p.frame = frames_[static_cast<size_t>(p.frame)].parent;
}

Guards Frames::merged(NodeId id) {
  const Node& n = graph_.node(id);
  std::vector<Guards> ways;
  bool loop = false;
  for (Value v : n.inputs) {
    if (is(graph_.node(v.node), "NextIteration"))
      loop = true;
    else
      ways.push_back(guards(v));
  }
  if (loop) {
    Guards all;
    for (const Guards& w : ways) all = both(all, w);
    std::erase_if(all, [&](const Guard& g) { return g == first_turn(nodes_[static_cast<size_t>(id)].frame); });
    return all;
  }
  std::erase_if(ways, is_never);
  const Guard own{{id, -1}, 0};  // that this Merge lives
  if (ways.empty() || ways.size() > kMaxWays) return {own};
  for (size_t i = 0; i < ways.size(); ++i)
    for (size_t j = 0; j < ways.size(); ++j)
      if (i != j && holds(ways[j], ways[i])) complain(id, "has two inputs that live at once");
  simplify(ways);
  Guards common = ways[0];
  for (const Guards& w : ways) {
    Guards kept;
    std::set_intersection(common.begin(), common.end(), w.begin(), w.end(), std::back_inserter(kept));
    common = std::move(kept);
  }
  return ways.size() == 1 ? common : added(common, own);
}

NodeId anchor_of(Graph& graph, const Frames& frames, Value v) {
  const Guards wanted = frames.guards(v);
  const int frame = frames.frame(v.node);
  if (wanted.empty() && frame == 0) return -1;
  for (int hops = 0; hops < 4096; ++hops) {
    const Node& n = graph.node(v.node);
    const auto same = [&](Value from) { return frames.frame(from.node) == frame && frames.guards(from) == wanted; };
    if (is_switch(n) || is(n, "Merge") || is(n, "Enter")) break;
    if (n.op == "Identity" && n.controls.empty() && !n.inputs.empty() && is_switch(graph.node(n.inputs[0].node))) break;
    Value before{-1, 0};
    for (Value from : n.inputs)
      if (before.node < 0 && same(from)) before = from;
    for (NodeId from : n.controls)
      if (before.node < 0 && !is_switch(graph.node(from)) && same({from, 0})) before = {from, 0};
    if (before.node < 0) break;
    v = before;
  }
  const Node& n = graph.node(v.node);
  if (!is_switch(n)) return v.node;
  AttrMap attrs;
  attrs.emplace("T", n.attr_or("T", DType::f32));
  return graph.add_new(n.name + "/alive_" + std::to_string(v.slot), "Identity", {v}, std::move(attrs)).node;
}

}  // namespace cytodet::graph
