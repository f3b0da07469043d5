#include "exec/runtime/node_kernels.h"

#include <algorithm>

#include "exec/runtime/compile.h"
#include "exec/runtime/input_key.h"

namespace cytodet::exec {
namespace {

// Ops of one output that have kernels, and whose small whole numbers are sizes or axes: where they are indices, as of slices,
// every iteration of a loop would be compiled anew.
constexpr const char* kOps[] = {"Add",
                                "AddV2",
                                "Cast",
                                "ConcatV2",
                                "Exp",
                                "Max",
                                "Maximum",
                                "Mean",
                                "Min",
                                "Minimum",
                                "Mul",
                                "Pad",
                                "RealDiv",
                                "Relu",
                                "Relu6",
                                "ResizeBilinear",
                                "ResizeNearestNeighbor",
                                "Sigmoid",
                                "Softmax",
                                "Sub",
                                "Sum",
                                "Transpose"};

bool is_worth_it(const Node& node, std::span<const Tensor> inputs) {
  if (std::none_of(std::begin(kOps), std::end(kOps), [&](const char* op) { return node.op == op; })) return false;
  int64_t elements = 0;
  for (const Tensor& t : inputs) elements += t.size();
  return elements >= NodeKernels::kLarge;
}

}  // namespace

std::optional<NodeKernels::Compiled> NodeKernels::compile(const Node& node, std::span<const Tensor> inputs) const {
  Graph graph;
  PlanOptions options;
  options.threads = threads_;
  options.outputs = {"node"};
  Node copy = node;
  copy.name = "node";
  copy.inputs.clear();
  copy.controls.clear();
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (is_small_integer(inputs[i])) {
      copy.inputs.push_back(graph.add_const("constant", inputs[i]));
      continue;
    }
    Node input;
    input.name = "input" + std::to_string(i);
    input.op = "Placeholder";
    input.attrs.emplace("dtype", inputs[i].dtype());
    options.input_shapes[input.name] = inputs[i].shape();
    copy.inputs.push_back({graph.add(std::move(input)), 0});
  }
  graph.add(std::move(copy));
  const auto plan = compile_straight(graph, options);
  if (plan->plain_steps() > 0) return {};
  Compiled compiled{Runner(plan), {}};
  for (const TensorSpec& spec : plan->inputs()) compiled.inputs.push_back(std::stoi(spec.name.substr(5)));
  return compiled;
}

std::vector<Tensor> NodeKernels::run(const Node& node, std::span<const Tensor> inputs) {
  if (!is_worth_it(node, inputs)) return evaluate(node, inputs);
  const std::string key = node.name + ";" + key_of(inputs);
  auto it = plans_.find(key);
  if (it == plans_.end()) {
    if (plans_.size() >= kMaxPlans) plans_.clear();
    it = plans_.emplace(key, compile(node, inputs)).first;
  }
  if (!it->second) return evaluate(node, inputs);
  Runner& runner = it->second->runner;
  for (size_t i = 0; i < it->second->inputs.size(); ++i)
    runner.set_input(static_cast<int>(i), inputs[static_cast<size_t>(it->second->inputs[i])]);
  runner.run();
  return {runner.output(0).clone()};
}

}  // namespace cytodet::exec
