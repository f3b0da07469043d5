#include "graph/interpret/interpreter.h"

#include <algorithm>

#include "core/error.h"
#include "core/stop.h"
#include "graph/interpret/loop_order.h"

namespace cytodet::graph {
namespace {

using Kind = Program::Kind;

constexpr int64_t kMaxIterations = int64_t{1} << 24;

}  // namespace

Interpreter::Interpreter(const Graph& graph, const std::vector<Value>& fed, const std::vector<Value>& fetches,
                         const EvaluatorOf& evaluator_of)
    : graph_(graph), fetches_(fetches), program_(prepare(graph, fed, fetches)) {
  registers_.resize(at(program_.registers));
  std::copy(program_.constants.begin(), program_.constants.end(), registers_.begin());
  ran_.resize(program_.steps.size());
  kept_.resize(program_.steps.size());
  evaluators_.resize(program_.steps.size());
  for (size_t s = 0; evaluator_of && s < program_.steps.size(); ++s)
    if (program_.steps[s].kind == Kind::compute && program_.steps[s].op) evaluators_[s] = evaluator_of(*program_.steps[s].node);
  for (const Program::Frame& frame : program_.frames)
    carried_.push_back({std::vector<Tensor>(at(frame.carried)), std::vector<Tensor>(at(frame.carried))});
}

std::vector<Tensor> Interpreter::run(std::span<const Tensor> feeds) {
  clear();
  for (size_t i = 0; i < program_.fed.size(); ++i) registers_[at(program_.fed[i])] = feeds[i];
  run_iteration(program_.frames[0], 0);
  std::vector<Tensor> results;
  for (size_t i = 0; i < fetches_.size(); ++i) {
    const int r = program_.fetched[i];
    if (r < 0 || !registers_[at(r)].defined())
      throw Error("output " + graph_.name_of(fetches_[i]),
                  program_.straight ? "the node gives fewer outputs"
                                    : "has no value: it lies on a branch that is not taken or inside a loop, or its node gives "
                                      "fewer outputs");
    results.push_back(registers_[at(r)]);
  }
  clear();
  return results;
}

// All that a run leaves, also one that failed.
void Interpreter::clear() {
  std::fill(registers_.begin() + static_cast<long>(program_.constants.size()), registers_.end(), Tensor());
  std::fill(ran_.begin(), ran_.end(), 0);
  for (size_t s = at(program_.frames[0].end_step); s < kept_.size(); ++s) kept_[s].clear();
  for (Carried& c : carried_) {
    std::fill(c.now.begin(), c.now.end(), Tensor());
    std::fill(c.next.begin(), c.next.end(), Tensor());
  }
  inputs_.clear();
  arrays_ = {};
  lists_ = {};
}

void Interpreter::run_iteration(const Program::Frame& frame, int64_t iteration) {
  for (int s = frame.first_step; s < frame.end_step; ++s) {
    const Program::Step& step = program_.steps[at(s)];
    if (step.kind == Kind::exit) {
      if (step.loop >= 0) run_loop(step.loop);
    } else if (step.kind == Kind::merge) {
      merge(s);
    } else if (!(step.first_only && iteration > 0) && is_live(step)) {
      run_step(s);
    }
  }
}

void Interpreter::run_loop(int loop) {
  const Program::Frame& frame = program_.frames[at(loop)];
  Carried& carried = carried_[at(loop)];
  for (int64_t iteration = 0;; ++iteration) {
    clear_iteration(frame, iteration);
    run_iteration(frame, iteration);
    carried.now.swap(carried.next);
    std::fill(carried.next.begin(), carried.next.end(), Tensor());
    if (std::none_of(carried.now.begin(), carried.now.end(), [](const Tensor& t) { return t.defined(); })) break;
    if (iteration >= kMaxIterations)
      throw Error("loop " + frame.name, "does not end within " + std::to_string(kMaxIterations) + " iterations");
  }
  for (int exit : frame.exits) {
    const Program::Read& read = program_.steps[at(exit)].in[0];
    if (read.at >= 0 && registers_[at(read.at)].defined()) {
      ran_[at(exit)] = 1;
      set(program_.steps[at(exit)], 0, registers_[at(read.at)]);
    }
  }
  clear_iteration(frame, 0);
  for (int s = frame.first_step; s < frame.end_step; ++s) kept_[at(s)].clear();
}

// What the iteration before left; before the first one also the loop's constants.
void Interpreter::clear_iteration(const Program::Frame& frame, int64_t iteration) {
  for (int r = frame.first_register; r < frame.end_register; ++r)
    if (registers_[at(r)].defined() && (iteration == 0 || !program_.register_stays[at(r)])) registers_[at(r)] = Tensor();
  for (int s = frame.first_step; s < frame.end_step; ++s)
    if (iteration == 0 || !program_.step_stays[at(s)]) ran_[at(s)] = 0;
}

// In a graph without conditions a value that does not exist is an Error.
bool Interpreter::is_live(const Program::Step& step) const {
  for (int c : step.controls)
    if (!ran_[at(c)]) return false;
  for (size_t i = 0; i < step.in.size(); ++i) {
    if (step.in[i].at >= 0 && registers_[at(step.in[i].at)].defined()) continue;
    if (program_.straight)
      throw Error(node_text(*step.node),
                  "input " + graph_.name_of(step.node->inputs[i]) + " has no value: its node gives fewer outputs");
    return false;
  }
  return true;
}

Tensor Interpreter::take(const Program::Read& read) {
  Tensor& t = registers_[at(read.at)];
  return read.last ? std::move(t) : t;
}

void Interpreter::set(const Program::Step& step, size_t slot, Tensor value) {
  if (slot < step.out.size() && step.out[slot] >= 0) registers_[at(step.out[slot])] = std::move(value);
}

void Interpreter::run_step(int number) {
  const Program::Step& step = program_.steps[at(number)];
  ran_[at(number)] = 1;
  switch (step.kind) {
    case Kind::constant:
      return set(step, 0, step.value);
    case Kind::pass:
      return set(step, 0, take(step.in[0]));
    case Kind::next:
      set(step, 0, registers_[at(step.in[0].at)]);
      carried_[at(step.frame)].next[at(step.carried)] = take(step.in[0]);
      return;
    case Kind::route:
      return route(step);
    default:
      return compute(number);
  }
}

// Switch: gives the value to the output that its condition chooses; the other output stays without a value.
void Interpreter::route(const Program::Step& step) {
  const Tensor& condition = registers_[at(step.in[1].at)];
  if (condition.dtype() != DType::boolean || condition.size() != 1)
    throw Error(node_text(*step.node), "the condition must be one bool");
  const bool way = condition.data<bool>()[0];
  set(step, way ? 1 : 0, step.in[0].at == step.in[1].at ? condition : take(step.in[0]));
}

void Interpreter::merge(int number) {
  const Program::Step& step = program_.steps[at(number)];
  for (size_t i = 0; i < step.in.size(); ++i) {
    const Program::Read& read = step.in[i];
    if (read.at < 0) continue;
    Tensor& value = read.back ? carried_[at(step.frame)].now[at(read.at)] : registers_[at(read.at)];
    if (!value.defined()) continue;
    ran_[at(number)] = 1;
    set(step, 0, value);
    set(step, 1, step.out.size() > 1 && step.out[1] >= 0 ? Tensor::scalar(static_cast<int32_t>(i)) : Tensor());
    return;
  }
}

void Interpreter::compute(int number) {
  const Program::Step& step = program_.steps[at(number)];
  std::vector<Tensor>& kept = kept_[at(number)];
  if (!kept.empty()) return give(step, kept);
  inputs_.clear();
  for (const Program::Read& read : step.in) inputs_.push_back(take(read));
  std::vector<Tensor> outputs = outputs_of(number);
  inputs_.clear();
  if (step.once) kept = outputs;
  give(step, std::move(outputs));
}

std::vector<Tensor> Interpreter::outputs_of(int number) {
  const Program::Step& step = program_.steps[at(number)];
  if (step.kind == Kind::array || step.kind == Kind::list) {
    try {
      return step.kind == Kind::list ? lists_.run(*step.node, inputs_) : arrays_.run(*step.node, inputs_);
    } catch (const Error& e) {
      throw e.within(node_text(*step.node));
    }
  }
  check_stop();
  if (const NodeEvaluator& evaluator = evaluators_[at(number)]) return evaluator(inputs_);
  if (!step.op) return evaluate(*step.node, inputs_);  // says which ops are like it
  OpCall call{*step.node, inputs_, {}};
  with_node_named(*step.node, [&] { step.op->eval(call); });
  return std::move(call.out);
}

void Interpreter::give(const Program::Step& step, std::vector<Tensor> outputs) {
  for (size_t slot = 0; slot < outputs.size() && slot < step.out.size(); ++slot) set(step, slot, std::move(outputs[slot]));
}

}  // namespace cytodet::graph
