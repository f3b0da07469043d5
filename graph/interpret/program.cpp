#include "graph/interpret/program.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <unordered_map>

#include "core/error.h"
#include "graph/interpret/control_flow.h"
#include "graph/interpret/loop_order.h"
#include "graph/interpret/tensor_arrays.h"
#include "graph/interpret/tensor_lists.h"
#include "graph/ir/frames.h"

namespace cytodet::graph {
namespace {

// Nodes that the fetches need, inputs first (but for the back edges of loops); feeds cut the walk. Throws Error on a cycle.
std::vector<NodeId> needed_order(const Graph& graph, const std::set<Value>& fed, const std::vector<Value>& fetches) {
  enum : char { fresh, open, done };
  std::vector<char> state(at(graph.capacity()), fresh);
  std::vector<NodeId> order;
  std::vector<std::pair<NodeId, size_t>> stack;
  const auto visit = [&](NodeId id) {
    char& s = state[at(id)];
    if (s == open) throw Error(node_text(graph.node(id)), "is on a cycle", "the graph must be acyclic");
    if (s == fresh) {
      s = open;
      stack.emplace_back(id, 0);
    }
  };
  std::vector<NodeId> roots;  // fetches, then the ends of back edges
  for (Value fetch : fetches)
    if (!fed.contains(fetch)) roots.push_back(fetch.node);
  for (size_t r = 0; r < roots.size(); ++r) {
    if (state[at(roots[r])] == done) continue;
    visit(roots[r]);
    while (!stack.empty()) {
      auto& [id, next] = stack.back();
      const Node& n = graph.node(id);
      if (next < n.inputs.size() + n.controls.size()) {
        const size_t i = next++;
        if (i < n.inputs.size() && fed.contains(n.inputs[i])) continue;
        const NodeId from = i < n.inputs.size() ? n.inputs[i].node : n.controls[i - n.inputs.size()];
        if (is_back_edge(n, graph.node(from)))
          roots.push_back(from);
        else if (state[at(from)] != done)
          visit(from);
      } else {
        state[at(id)] = done;
        order.push_back(id);
        stack.pop_back();
      }
    }
  }
  return order;
}

constexpr size_t kSmallConstant = 64;  // bytes

// Whether two attributes are known to be equal; large tensors are not compared.
bool are_equal(const Attr& a, const Attr& b) {
  if (const Tensor* x = a.get<Tensor>(), *y = b.get<Tensor>(); x && y)
    return x->dtype() == y->dtype() && x->dtype() != DType::string && x->shape() == y->shape() && x->bytes() <= kSmallConstant &&
           std::memcmp(x->raw(), y->raw(), x->bytes()) == 0;
  if (a.wire() && b.wire()) return *a.wire() == *b.wire();
  if (a.value().index() != b.value().index()) return false;
  return std::visit(
      [&]<class T>(const T& value) {
        if constexpr (std::equality_comparable<T> && !std::same_as<T, std::monostate>)
          return value == *b.get<T>();
        else
          return false;
      },
      a.value());
}

bool have_equal_attrs(const Node& a, const Node& b) {
  return std::equal(a.attrs.begin(), a.attrs.end(), b.attrs.begin(), b.attrs.end(),
                    [](const auto& x, const auto& y) { return x.first == y.first && are_equal(x.second, y.second); });
}

class Preparer {
 public:
  Preparer(const Graph& graph, const std::vector<Value>& fed, const std::vector<Value>& fetches)
      : graph_(graph), fed_(fed.begin(), fed.end()), fetches_(fetches), steps_of_(at(graph.capacity()), -1) {
    const std::vector<NodeId> nodes = needed_order(graph, fed_, fetches);
    program_.straight = !has_control_flow(graph, nodes);
    order_ = program_.straight ? in_one_frame(nodes) : order_loops(graph, nodes, fed_);
  }

  Program run(const std::vector<Value>& fed) {
    for (const LoopOrder::Frame& frame : order_.frames)
      for (NodeId id : frame.order) awaited_.insert(graph_.node(id).controls.begin(), graph_.node(id).controls.end());
    find_twins();
    find_reads();
    add_constants();
    number_steps();
    for (Value v : fed) program_.fed.push_back(add_register(v, kFed));
    for (size_t f = 0; f < order_.frames.size(); ++f) add_frame(static_cast<int>(f));
    for (const auto& [step, value] : exits_) program_.steps[at(step)].in = {read_of(*program_.steps[at(step)].node, value, -1)};
    for (Value v : fetches_) program_.fetched.push_back(fetched(v));
    find_last_reads();
    program_.register_stays.assign(owner_.size(), 0);
    for (const Program::Step& step : program_.steps)
      for (int r : step.out)
        if (step.stays && r >= 0) program_.register_stays[at(r)] = 1;
    program_.registers = static_cast<int>(owner_.size());
    return std::move(program_);
  }

 private:
  static constexpr int kConstant = -1, kFed = -2;  // owners that are no frame

  LoopOrder in_one_frame(const std::vector<NodeId>& nodes) const {
    LoopOrder order;
    order.frames.emplace_back().order = nodes;
    order.frame_of.assign(at(graph_.capacity()), -1);
    order.loop_of.assign(at(graph_.capacity()), -1);
    for (NodeId id : nodes) order.frame_of[at(id)] = 0;
    return order;
  }

  // Its value is that of its input wherever it is read: a copy, or a loop constant.
  bool is_copy(NodeId id) const {
    const Node& n = graph_.node(id);
    if (!n.controls.empty() || n.inputs.size() != 1) return false;
    return n.op == "Identity" || (n.op == "Enter" && n.attr_or("is_constant", false));
  }
  Value source_of(Value v) const {
    for (;;) {
      if (fed_.contains(v)) return v;
      if (v.slot == 0 && is_copy(v.node))
        v = graph_.node(v.node).inputs[0];
      else if (const auto twin = twins_.find(v.node); twin != twins_.end())
        return {twin->second, v.slot};
      else
        return v;
    }
  }
  bool is_back_edge(const Node& reader, Value v) const {
    return !fed_.contains(v) && graph::is_back_edge(reader, graph_.node(v.node));
  }

  // What twins have in common besides their attributes; empty: it is no node that can have one.
  std::string twin_key(NodeId id) const {
    const Node& n = graph_.node(id);
    const Op* op = find_op(n.op);
    if (!op || op->stateful || awaited_.contains(id) || is_copy(id)) return {};
    if (const auto given = fed_.lower_bound({id, 0}); given != fed_.end() && given->node == id) return {};
    std::string key = n.op;
    if (n.inputs.empty()) {
      const Tensor* t = graph_.constant(id);
      if (!t || t->dtype() == DType::string || t->bytes() > kSmallConstant) return {};
      key += to_string(t->shape()) + std::string(static_cast<const char*>(t->raw()), t->bytes());
    }
    std::vector<NodeId> controls = n.controls;
    std::sort(controls.begin(), controls.end());
    for (NodeId c : controls) key += " ^" + std::to_string(c);
    for (Value v : n.inputs) {
      const Value source = source_of(v);
      key += " " + std::to_string(source.node) + ":" + std::to_string(source.slot);
    }
    return key;
  }

  // Nodes that compute what another of their frame computes from the same values, as the slices of each class's boxes.
  void find_twins() {
    for (const LoopOrder::Frame& frame : order_.frames) {
      std::unordered_map<std::string, std::vector<NodeId>> first;
      for (NodeId id : frame.order) {
        std::string key = twin_key(id);
        if (key.empty()) continue;
        std::vector<NodeId>& alike = first[std::move(key)];
        const auto twin =
            std::find_if(alike.begin(), alike.end(), [&](NodeId a) { return have_equal_attrs(graph_.node(a), graph_.node(id)); });
        if (twin == alike.end())
          alike.push_back(id);
        else
          twins_[id] = *twin;
      }
    }
  }

  // Values that are read.
  void find_reads() {
    for (const LoopOrder::Frame& frame : order_.frames)
      for (NodeId id : frame.order) {
        const Node& n = graph_.node(id);
        for (Value v : n.inputs)
          if (!is_back_edge(n, v)) read_.insert(source_of(v));
      }
    for (Value v : fetches_) read_.insert(source_of(v));
  }

  int add_register(Value v, int owner) {
    const int number = static_cast<int>(owner_.size());
    owner_.push_back(owner);
    fixed_.push_back(owner == kConstant);
    register_[v] = number;
    return number;
  }

  void add_constants() {
    for (const LoopOrder::Frame& frame : order_.frames)
      for (NodeId id : frame.order) {
        const Value v{id, 0};
        if (!graph_.node(id).controls.empty() || !graph_.constant(id) || !read_.contains(v) || fed_.contains(v)) continue;
        add_register(v, kConstant);
        program_.constants.push_back(*graph_.constant(id));
      }
  }

  void number_steps() {
    int next = 0;
    for (const LoopOrder::Frame& frame : order_.frames)
      for (NodeId id : frame.order)
        if (!needs_no_step(id)) steps_of_[at(id)] = next++;
  }

  // Nodes that have always run, and copies that are read at their source.
  bool needs_no_step(NodeId id) const {
    const Node& n = graph_.node(id);
    if (n.op == "Placeholder" && fed_.contains({id, 0})) return true;
    if (n.controls.empty() && graph_.constant(id)) return true;
    return twins_.contains(id) || (is_copy(id) && !awaited_.contains(id));
  }

  void add_frame(int f) {
    const LoopOrder::Frame& order = order_.frames[at(f)];
    Program::Frame frame;
    frame.name = order.name;
    frame.first_step = static_cast<int>(program_.steps.size());
    frame.first_register = static_cast<int>(owner_.size());
    for (NodeId id : order.order)
      if (graph_.node(id).op == "NextIteration") carried_[id] = {f, frame.carried++};
    std::set<int> loops;
    for (NodeId id : order.order) {
      if (steps_of_[at(id)] < 0) continue;
      Program::Step step = step_of(id, f);
      if (step.kind == Program::Kind::exit && loops.insert(order_.loop_of[at(id)]).second) step.loop = order_.loop_of[at(id)];
      program_.step_stays.push_back(step.stays);
      program_.steps.push_back(std::move(step));
    }
    frame.end_step = static_cast<int>(program_.steps.size());
    frame.end_register = static_cast<int>(owner_.size());
    program_.frames.push_back(std::move(frame));
    // Exits are steps of the frame around the loop, which is there already.
    for (NodeId id : order.exits) program_.frames.back().exits.push_back(steps_of_[at(id)]);
  }

  Program::Kind kind_of(const Node& n) const {
    using enum Program::Kind;
    if (TensorArrays::handles(n)) return array;
    if (TensorLists::handles(n)) return list;
    if (n.op == "Merge") return merge;
    if (n.op == "Exit") return exit;
    if (n.op == "Const") return constant;
    if (n.inputs.size() == 2 && n.op == "Switch") return route;
    if (n.inputs.size() != 1) return compute;
    if (n.op == "NextIteration") return next;
    return n.op == "Identity" || n.op == "LoopCond" || n.op == "Enter" ? pass : compute;
  }

  Program::Step step_of(NodeId id, int f) {
    const Node& n = graph_.node(id);
    Program::Step step;
    step.kind = kind_of(n);
    step.frame = f;
    step.node = &n;
    step.op = find_op(n.op);
    if (step.kind == Program::Kind::constant) {
      if (const Tensor* t = graph_.constant(id))
        step.value = *t;
      else
        step.kind = Program::Kind::compute;  // its eval says what is wrong
    }
    if (n.op == "Enter") step.first_only = true, step.stays = n.attr_or("is_constant", false);
    if (step.kind == Program::Kind::next) step.carried = carried_.at(id).second;
    // The values of an Exit lie in a frame whose registers come later.
    if (step.kind == Program::Kind::exit) {
      exits_.emplace_back(steps_of_[at(id)], source_of(n.inputs[0]));
    } else {
      for (Value v : n.inputs) step.in.push_back(read_of(n, v, f));
      for (NodeId c : n.controls)
        if (order_.frame(c) >= 0 && steps_of_[at(c)] >= 0) step.controls.push_back(steps_of_[at(c)]);
    }
    step.once = is_once(step, f);
    add_outputs(step, id, f);
    return step;
  }

  Program::Read read_of(const Node& n, Value v, int f) const {
    if (is_back_edge(n, v)) {  // in a damaged graph from another loop, from which nothing comes
      const auto it = carried_.find(v.node);
      return {it != carried_.end() && it->second.first == f ? it->second.second : -1, true, false};
    }
    const auto it = register_.find(source_of(v));
    return {it == register_.end() ? -1 : it->second, false, false};
  }

  // Whether a register holds the same value in all iterations of a frame (at the root: in all runs).
  bool is_fixed(int r, int f) const {
    if (fixed_[at(r)]) return true;
    return f > 0 && owner_[at(r)] != f;
  }

  bool is_once(const Program::Step& step, int f) const {
    if (step.kind == Program::Kind::constant) return true;
    if (step.kind != Program::Kind::compute || !step.op || step.op->stateful || step.node->op == "Placeholder") return false;
    return std::all_of(step.in.begin(), step.in.end(), [&](const Program::Read& r) { return r.at >= 0 && is_fixed(r.at, f); });
  }

  void add_outputs(Program::Step& step, NodeId id, int f) {
    for (auto it = read_.lower_bound({id, 0}); it != read_.end() && it->node == id; ++it) {
      if (it->slot < 0 || fed_.contains(*it)) continue;
      step.out.resize(std::max(step.out.size(), at(it->slot) + 1), -1);
      const int r = add_register(*it, f);
      fixed_[at(r)] = step.once || step.stays;
      step.out[at(it->slot)] = r;
    }
  }

  // -1: a value inside of a loop, or one that its node does not give.
  int fetched(Value v) const {
    if (!fed_.contains(v) && order_.frame(v.node) != 0) return -1;
    const auto it = register_.find(source_of(v));
    return it == register_.end() ? -1 : it->second;
  }

  // Registers whose value changes with each iteration and is read in its own frame alone end at their last reader.
  void find_last_reads() {
    std::vector<char> ends(owner_.size(), 1);
    for (size_t r = 0; r < ends.size(); ++r) ends[r] = !fixed_[r];
    for (int r : program_.fetched)
      if (r >= 0) ends[at(r)] = 0;
    std::vector<Program::Read*> last(owner_.size(), nullptr);
    for (size_t f = 0; f < program_.frames.size(); ++f)
      for (int s = program_.frames[f].first_step; s < program_.frames[f].end_step; ++s)
        for (Program::Read& read : program_.steps[at(s)].in) {
          if (read.back || read.at < 0) continue;
          if (owner_[at(read.at)] != static_cast<int>(f)) ends[at(read.at)] = 0;
          last[at(read.at)] = &read;
        }
    for (size_t r = 0; r < last.size(); ++r)
      if (last[r]) last[r]->last = ends[r];
  }

  const Graph& graph_;
  std::set<Value> fed_;
  std::vector<Value> fetches_;
  LoopOrder order_;
  Program program_;
  std::set<Value> read_;
  std::set<NodeId> awaited_;                       // that others wait for
  std::map<NodeId, NodeId> twins_;                 // nodes that need not run, and those that compute the same
  std::vector<int> steps_of_;                      // by node; -1: it has none
  std::map<NodeId, std::pair<int, int>> carried_;  // of each NextIteration its loop, and its number there
  std::map<Value, int> register_;
  std::vector<int> owner_;   // by register: its frame, or what it is instead
  std::vector<char> fixed_;  // by register
  std::vector<std::pair<int, Value>> exits_;
};

}  // namespace

Program prepare(const Graph& graph, const std::vector<Value>& fed, const std::vector<Value>& fetches) {
  return Preparer(graph, fed, fetches).run(fed);
}

}  // namespace cytodet::graph
