#include "exec/runtime/node_kernels.h"

#include <algorithm>
#include <cstring>

#include "exec/runtime/compile.h"
#include "exec/runtime/input_key.h"

namespace cytodet::exec {
namespace {

// Ops of one output that have kernels, and whose small whole numbers are sizes or axes: where they are indices, as of slices,
// every iteration of a loop would be compiled anew.
constexpr const char* kNodeOps[] = {"Add",
                                    "AddV2",
                                    "AvgPool",
                                    "BatchMatMulV2",
                                    "Cast",
                                    "ConcatV2",
                                    "Conv2D",
                                    "Conv2DBackpropInput",
                                    "DepthwiseConv2dNative",
                                    "Exp",
                                    "MatMul",
                                    "Max",
                                    "MaxPool",
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

bool has_kernel(const Node& node) {
  return std::any_of(std::begin(kNodeOps), std::end(kNodeOps), [&](const char* op) { return node.op == op; });
}

// Convolutions read their weights, which kernels pack once, as input 1.
bool is_convolution(const Node& node) { return node.op.starts_with("Conv2D") || node.op == "DepthwiseConv2dNative"; }
bool is_constant(const Node& node, std::span<const Tensor> inputs, size_t i) {
  return is_small_integer(inputs[i]) || (i == 1 && is_convolution(node));
}

bool are_equal(const Tensor& a, const Tensor& b) { return std::memcmp(a.raw(), b.raw(), a.bytes()) == 0; }

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
    if (is_constant(node, inputs, i)) {
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
  Compiled compiled{Runner(plan), {}, plan->stream_bytes()};
  for (const TensorSpec& spec : plan->inputs()) compiled.inputs.push_back(std::stoi(spec.name.substr(5)));
  return compiled;
}

bool NodeKernels::Signature::fits(std::span<const Tensor> inputs) const {
  if (inputs.size() != types.size()) return false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].dtype() != types[i] || inputs[i].shape() != shapes[i]) return false;
    if (constants[i].defined() && !are_equal(constants[i], inputs[i])) return false;
  }
  return true;
}

NodeKernels::Entry& NodeKernels::entry(const Node& node, std::span<const Tensor> inputs) {
  std::vector<Entry>& own = entries_[&node];
  for (Entry& e : own)
    if (e.signature.fits(inputs)) return e;
  Signature signature;
  int64_t bytes = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    signature.types.push_back(inputs[i].dtype());
    signature.shapes.push_back(inputs[i].shape());
    signature.constants.push_back(is_constant(node, inputs, i) ? inputs[i].clone() : Tensor());
    if (signature.constants.back().defined()) bytes += static_cast<int64_t>(inputs[i].bytes());
  }
  Entry fresh{std::move(signature), compile(node, inputs)};
  if (fresh.compiled) bytes += fresh.compiled->bytes;
  bytes_ += bytes;
  if (kept_ >= kMaxPlans || bytes_ > kMaxBytes) {
    for (auto& [of, list] : entries_) list.clear();
    kept_ = 0;
    bytes_ = bytes;
  }
  ++kept_;
  return own.emplace_back(std::move(fresh));
}

NodeEvaluator NodeKernels::evaluator_of(const Node& node) {
  if (!has_kernel(node)) return {};
  return [this, &node](std::span<const Tensor> inputs) { return evaluate(node, inputs); };
}

std::vector<Tensor> NodeKernels::evaluate(const Node& node, std::span<const Tensor> inputs) {
  int64_t elements = 0;
  for (const Tensor& t : inputs) elements += t.size();
  return elements >= kLarge && has_kernel(node) ? run(node, inputs) : graph::evaluate(node, inputs);
}

std::vector<Tensor> NodeKernels::run(const Node& node, std::span<const Tensor> inputs) {
  std::optional<Compiled>& compiled = entry(node, inputs).compiled;
  if (!compiled) return graph::evaluate(node, inputs);
  for (size_t i = 0; i < compiled->inputs.size(); ++i)
    compiled->runner.set_input(static_cast<int>(i), inputs[static_cast<size_t>(compiled->inputs[i])]);
  compiled->runner.run();
  for (size_t i = 0; i < compiled->inputs.size(); ++i) compiled->runner.input(static_cast<int>(i)) = Tensor();  // not kept alive
  return {compiled->runner.output(0).clone()};
}

}  // namespace cytodet::exec
