// Interpreter: evaluates a graph node by node, with conditions (Switch, Merge), while loops (Enter, NextIteration, Exit), tensor
// arrays and tensor lists. Prepared once, run many times.
#pragma once

#include "graph/interpret/program.h"
#include "graph/interpret/tensor_arrays.h"
#include "graph/interpret/tensor_lists.h"

namespace cytodet::graph {

// What computes a node's outputs as its op's eval does, but sooner; empty: the op's eval.
using NodeEvaluator = std::function<std::vector<Tensor>(std::span<const Tensor>)>;
using EvaluatorOf = std::function<NodeEvaluator(const Node&)>;

class Interpreter {
 public:
  // Evaluates what `fetches` need, when the values of `fed` are given; they override what their nodes would give. The graph must
  // outlive it. Throws Error naming a node on a cycle, and on loops that cannot run.
  Interpreter(const Graph& graph, const std::vector<Value>& fed, const std::vector<Value>& fetches,
              const EvaluatorOf& evaluator_of = {});

  // `feeds` as `fed`. Values are freed after their last use; what depends on constants alone is computed in the first run. A
  // Placeholder that is not fed, an unknown op on the way, a fetch on a branch that is not taken: Error naming the node.
  std::vector<Tensor> run(std::span<const Tensor> feeds);

 private:
  void clear();
  void clear_iteration(const Program::Frame& frame, int64_t iteration);
  void run_iteration(const Program::Frame& frame, int64_t iteration);
  void run_loop(int loop);
  bool is_live(const Program::Step& step) const;
  void run_step(int number);
  void route(const Program::Step& step);
  void merge(int number);
  void compute(int number);
  std::vector<Tensor> outputs_of(int number);  // of inputs_
  void give(const Program::Step& step, std::vector<Tensor> outputs);
  void set(const Program::Step& step, size_t slot, Tensor value);
  Tensor take(const Program::Read& read);

  const Graph& graph_;
  std::vector<Value> fetches_;
  Program program_;
  std::vector<NodeEvaluator> evaluators_;  // by step
  std::vector<Tensor> registers_;
  std::vector<char> ran_;                  // by step
  std::vector<std::vector<Tensor>> kept_;  // by step: outputs of those that are computed once
  struct Carried {
    std::vector<Tensor> now, next;  // by NextIteration
  };
  std::vector<Carried> carried_;  // by frame
  std::vector<Tensor> inputs_;    // of the node that is computed
  TensorArrays arrays_;
  TensorLists lists_;
};

}  // namespace cytodet::graph
