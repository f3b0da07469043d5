#include "exec/runtime/partition.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "graph/interpret/tensor_arrays.h"
#include "graph/interpret/tensor_lists.h"
#include "graph/ir/frames.h"

namespace cytodet::exec {
namespace {

size_t at(NodeId id) { return static_cast<size_t>(id); }

bool is_layer_op(const std::string& op) {
  static const char* const kLargeOps[] = {
      "Conv2D", "Conv3D",      "DepthwiseConv2dNative", "Conv2DBackpropInput", "Conv3DBackpropInputV2",
      "MatMul", "BatchMatMul", "BatchMatMulV2"};
  return std::any_of(std::begin(kLargeOps), std::end(kLargeOps), [&](const char* layer) { return op == layer; });
}

// Arrays and lists of tensors, whose handles live as long as one run of the interpreter.
bool makes_handles(const Node& n) { return TensorArrays::handles(n) || TensorLists::handles(n); }

// What is read off arrays and lists, as a tensor.
bool gives_tensor(const Node& n) { return TensorArrays::gives_tensor(n) || TensorLists::gives_tensor(n); }

// The node whose value a chain of Identity passes on.
NodeId before_identities(const Graph& graph, NodeId id) {
  for (int left = graph.capacity(); left > 0 && graph.node(id).op == "Identity"; --left) id = graph.node(id).inputs[0].node;
  return id;
}

// What cannot be a step: nodes of loops and conditions, what works on handles, and what passes them on.
bool is_interpreted(const Graph& graph, const Frames& frames, NodeId id) {
  const Node& n = graph.node(id);
  if (frames.is_inside(id) || is_control_flow_op(n.op) || makes_handles(n)) return true;
  if (n.op != "Identity" && n.op != "IdentityN") return false;
  return std::any_of(n.inputs.begin(), n.inputs.end(),
                     [&](Value v) { return makes_handles(graph.node(before_identities(graph, v.node))); });
}

// Sets of nodes, joined.
class Groups {
 public:
  explicit Groups(int count) : parent_(static_cast<size_t>(count)) { std::iota(parent_.begin(), parent_.end(), 0); }
  int of(NodeId id) {
    int root = id;
    while (parent_[at(root)] != root) root = parent_[at(root)];
    while (parent_[at(id)] != root) id = std::exchange(parent_[at(id)], root);
    return root;
  }
  void join(NodeId a, NodeId b) { parent_[at(of(a))] = of(b); }

 private:
  std::vector<int> parent_;
};

class Partitioner {
 public:
  Partitioner(const Graph& graph, const std::vector<Value>& fed, const std::vector<Value>& wanted)
      : graph_(graph),
        fed_(fed.begin(), fed.end()),
        wanted_(wanted),
        nodes_(needed_nodes(graph, fed, wanted)),
        groups_(graph.capacity()),
        interpreted_(at(graph.capacity()), 0) {
    find_constants();
    std::erase_if(nodes_, [&](NodeId id) { return constant_[at(id)]; });
    member_.assign(at(graph.capacity()), 0);
    for (NodeId id : nodes_) member_[at(id)] = 1;
  }

  std::vector<Part> run() {
    join_control_flow();
    join_cycles();
    rank();
    std::map<int, std::vector<NodeId>> by_rank;
    for (NodeId id : nodes_) by_rank[rank_.at(groups_.of(id))].push_back(id);
    std::vector<Part> parts;
    for (const auto& [rank, nodes] : by_rank) parts.push_back(cut_out(nodes, rank % 2 == 1));
    return parts;
  }

 private:
  // Constants and what is made of them alone, as the filter of an 8-bit convolution: each part that reads it has a copy.
  void find_constants() {
    constant_.assign(at(graph_.capacity()), 0);
    std::set<NodeId> kept;
    for (Value v : wanted_) kept.insert(v.node);
    for (Value v : fed_) kept.insert(v.node);
    const std::set<NodeId> needed(nodes_.begin(), nodes_.end());
    for (NodeId id : graph_.topological_order()) {
      const Node& n = graph_.node(id);
      if (!needed.contains(id) || !n.controls.empty() || (kept.contains(id) && n.op != "Const")) continue;
      if (n.op == "Const") constant_[at(id)] = 1;
      const Op* op = find_op(n.op);
      if (!op || op->stateful || n.inputs.empty() || is_control_flow_op(n.op) || makes_handles(n)) continue;
      int depth = 1;
      for (Value v : n.inputs) depth = constant_[at(v.node)] ? std::max(depth, constant_[at(v.node)] + 1) : kMaxDepth + 1;
      if (depth <= kMaxDepth) constant_[at(id)] = static_cast<char>(depth);
    }
  }

  NodeId copy_of_constant(Part& part, std::map<NodeId, NodeId>& copies, NodeId id) const {
    if (const auto it = copies.find(id); it != copies.end()) return it->second;
    Node copy = graph_.node(id);
    copy.name = part.graph.unique_name(copy.name);
    for (Value& v : copy.inputs) v.node = copy_of_constant(part, copies, v.node);
    return copies[id] = part.graph.add(std::move(copy));
  }

  // visit(node) for every node of the partition that this one reads or waits for.
  template <class Visit>
  void for_each_source(NodeId id, Visit visit) const {
    const Node& n = graph_.node(id);
    for (Value v : n.inputs)
      if (!fed_.contains(v) && member_[at(v.node)]) visit(v.node);
    for (NodeId c : n.controls)
      if (member_[at(c)]) visit(c);
  }

  // Interpreted nodes that read each other are one group, for handles and values that may be missing stay within it. But what a
  // loop has stacked is a tensor as any other: loops that only read such tensors of each other stay apart, so that the network
  // between them is no part of a cycle.
  void join_control_flow() {
    const Frames frames(graph_);
    for (NodeId id : nodes_) interpreted_[at(id)] = is_interpreted(graph_, frames, id);
    for (NodeId id : nodes_)
      if (interpreted_[at(id)])
        for_each_source(id, [&](NodeId from) {
          const bool is_tensor = gives_tensor(graph_.node(from)) && !frames.is_inside(from);
          if (interpreted_[at(from)] && !is_tensor) groups_.join(from, id);
        });
  }

  // A way that leaves a loop and comes back to it through other nodes makes those nodes a part of it: groups on a cycle are one.
  // Tarjan's strongly connected components, without recursion.
  void join_cycles() {
    std::map<int, std::set<int>> sources;
    for (NodeId id : nodes_) {
      std::set<int>& of = sources[groups_.of(id)];
      for_each_source(id, [&](NodeId from) {
        if (groups_.of(from) != groups_.of(id)) of.insert(groups_.of(from));
      });
    }
    std::map<int, int> index, low;
    std::vector<int> open;
    std::set<int> on_stack;
    std::vector<std::vector<int>> cycles;
    struct Visit {
      int group;
      std::set<int>::const_iterator next;
    };
    int count = 0;
    for (const auto& [start, unused] : sources) {
      if (index.contains(start)) continue;
      std::vector<Visit> stack;
      const auto enter = [&](int group) {
        index[group] = low[group] = count++;
        open.push_back(group);
        on_stack.insert(group);
        stack.push_back({group, sources[group].begin()});
      };
      enter(start);
      while (!stack.empty()) {
        Visit& top = stack.back();
        if (top.next != sources[top.group].end()) {
          const int from = *top.next++;
          if (!index.contains(from))
            enter(from);
          else if (on_stack.contains(from))
            low[top.group] = std::min(low[top.group], index[from]);
          continue;
        }
        const int group = top.group;
        stack.pop_back();
        if (!stack.empty()) low[stack.back().group] = std::min(low[stack.back().group], low[group]);
        if (low[group] != index[group]) continue;
        std::vector<int> members;
        int last = -1;
        do {
          last = open.back();
          open.pop_back();
          on_stack.erase(last);
          members.push_back(last);
        } while (last != group);
        if (members.size() > 1) cycles.push_back(std::move(members));
      }
    }
    for (const std::vector<int>& members : cycles)
      for (int group : members) {
        interpreted_[at(group)] = 1;
        groups_.join(group, members.front());
      }
    // A group is interpreted when one of its nodes is.
    std::set<int> some;
    for (NodeId id : nodes_)
      if (interpreted_[at(id)]) some.insert(groups_.of(id));
    for (NodeId id : nodes_)
      if (some.contains(groups_.of(id))) interpreted_[at(id)] = 1;
  }

  // Even ranks are compiled, odd ones interpreted; a node's rank is the smallest one of its kind that is not below its sources'.
  void rank() {
    std::map<int, std::vector<NodeId>> members;
    for (NodeId id : nodes_) members[groups_.of(id)].push_back(id);
    std::map<int, std::set<int>> readers;
    std::map<int, int> waiting;
    for (const auto& [group, ids] : members) {
      std::set<int> from;
      for (NodeId id : ids)
        for_each_source(id, [&](NodeId source) {
          if (groups_.of(source) != group) from.insert(groups_.of(source));
        });
      waiting[group] = static_cast<int>(from.size());
      for (int source : from) readers[source].insert(group);
      rank_[group] = interpreted_[at(ids.front())] ? 1 : 0;
    }
    std::vector<int> ready;
    for (const auto& [group, count] : waiting)
      if (count == 0) ready.push_back(group);
    while (!ready.empty()) {
      const int group = ready.back();
      ready.pop_back();
      for (int reader : readers[group]) {
        int& own = rank_[reader];
        const int min_rank = rank_[group] + (rank_[group] % 2 == own % 2 ? 0 : 1);
        own = std::max(own, min_rank);
        if (--waiting[reader] == 0) ready.push_back(reader);
      }
    }
  }

  Part cut_out(const std::vector<NodeId>& nodes, bool interpreted) {
    Part part;
    part.interpreted = interpreted;
    std::map<NodeId, NodeId> copies;
    for (NodeId id : nodes) {
      Node copy = graph_.node(id);
      part.has_layers = part.has_layers || is_layer_op(copy.op);
      copy.inputs.clear();
      copy.controls.clear();
      copies[id] = part.graph.add(std::move(copy));
    }
    for (NodeId id : nodes) {
      for (Value v : graph_.node(id).inputs) {
        const Value read = source_in(part, copies, v);
        part.graph.node(copies.at(id)).inputs.push_back(read);
      }
      for (NodeId c : graph_.node(id).controls)
        if (const auto it = copies.find(c); it != copies.end()) part.graph.node(copies.at(id)).controls.push_back(it->second);
    }
    part.graph.library = graph_.library;
    add_outputs(part, copies, nodes);
    return part;
  }

  // What a node of the part reads instead of v: a node's copy, a constant's, or a Placeholder.
  Value source_in(Part& part, std::map<NodeId, NodeId>& copies, Value v) const {
    if (!fed_.contains(v)) {
      if (const auto it = copies.find(v.node); it != copies.end()) return {it->second, v.slot};
      if (constant_[at(v.node)]) return {copy_of_constant(part, copies, v.node), v.slot};
    }
    const auto known = std::find(part.inputs.begin(), part.inputs.end(), v);
    if (known != part.inputs.end()) return part.graph.value(part.input_names[static_cast<size_t>(known - part.inputs.begin())]);
    Node input;
    input.name = part.graph.unique_name(graph_.node(v.node).name + (v.slot ? "_" + std::to_string(v.slot) : ""));
    input.op = "Placeholder";
    part.inputs.push_back(v);
    part.input_names.push_back(input.name);
    return {part.graph.add(std::move(input)), 0};
  }

  void add_outputs(Part& part, const std::map<NodeId, NodeId>& copies, const std::vector<NodeId>& nodes) const {
    const std::set<NodeId> own(nodes.begin(), nodes.end());
    std::set<Value> outputs;
    for (Value v : wanted_)
      if (own.contains(v.node) && !fed_.contains(v)) outputs.insert(v);
    for (NodeId id : nodes_)
      if (!own.contains(id))
        for (Value v : graph_.node(id).inputs)
          if (own.contains(v.node) && !fed_.contains(v)) outputs.insert(v);
    for (Value v : outputs) {
      part.outputs.push_back(v);
      part.output_names.push_back(part.graph.name_of({copies.at(v.node), v.slot}));
    }
  }

  const Graph& graph_;
  std::set<Value> fed_;
  std::vector<Value> wanted_;
  std::vector<NodeId> nodes_;
  Groups groups_;
  static constexpr int kMaxDepth = 32;
  std::vector<char> interpreted_, member_;
  std::vector<char> constant_;  // how many nodes deep, 1: a Const; 0: it is none
  std::map<int, int> rank_;     // by group
};

}  // namespace

std::vector<NodeId> needed_nodes(const Graph& graph, const std::vector<Value>& fed, const std::vector<Value>& wanted) {
  const std::set<Value> given(fed.begin(), fed.end());
  std::vector<char> seen(at(graph.capacity()), 0);
  std::vector<NodeId> stack, found;
  const auto need = [&](NodeId id) {
    if (std::exchange(seen[at(id)], 1)) return;
    stack.push_back(id);
    found.push_back(id);
  };
  for (Value v : wanted)
    if (!given.contains(v)) need(v.node);
  while (!stack.empty()) {
    const Node& n = graph.node(stack.back());
    stack.pop_back();
    for (Value v : n.inputs)
      if (!given.contains(v)) need(v.node);
    for (NodeId c : n.controls) need(c);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<Part> partition(const Graph& graph, const std::vector<Value>& fed, const std::vector<Value>& wanted) {
  return Partitioner(graph, fed, wanted).run();
}

}  // namespace cytodet::exec
