// Kernels for single nodes of parts that are interpreted, as the body of a loop over images.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "exec/runtime/plan.h"
#include "graph/interpret/interpreter.h"

namespace cytodet::exec {

// The kernels that the interpreter of one stream uses. A node of large inputs is compiled alone, once for each set of its inputs'
// shapes (the last kMaxPlans of all nodes, and kMaxBytes of them, are kept); small ones, and those without a kernel, are
// evaluated plainly.
class NodeKernels {
 public:
  explicit NodeKernels(int threads) : threads_(threads) {}
  NodeKernels(const NodeKernels&) = delete;

  // The kernel of this node, which must outlive the result; empty where there is none.
  NodeEvaluator evaluator_of(const Node& node);
  // The node's outputs, by a kernel or plainly; it must outlive this.
  std::vector<Tensor> evaluate(const Node& node, std::span<const Tensor> inputs);

  static constexpr size_t kMaxPlans = 64;
  static constexpr int64_t kMaxBytes = 256 << 20;
  static constexpr int64_t kLarge = 16 * 1024;  // elements of all inputs

 private:
  // What a plan is compiled for: types and shapes, and the values of small whole numbers and of a convolution's weights.
  struct Signature {
    std::vector<DType> types;
    std::vector<Shape> shapes;
    std::vector<Tensor> constants;  // undefined: any values
    bool fits(std::span<const Tensor> inputs) const;
  };
  struct Compiled {
    Runner runner;
    std::vector<int> inputs;  // of the node, by the plan's
    int64_t bytes;            // of a stream
  };
  struct Entry {
    Signature signature;
    std::optional<Compiled> compiled;  // nothing: plainly
  };
  std::vector<Tensor> run(const Node& node, std::span<const Tensor> inputs);
  Entry& entry(const Node& node, std::span<const Tensor> inputs);
  std::optional<Compiled> compile(const Node& node, std::span<const Tensor> inputs) const;

  int threads_;
  size_t kept_ = 0;
  int64_t bytes_ = 0;  // of those that are kept
  std::map<const Node*, std::vector<Entry>> entries_;
};

}  // namespace cytodet::exec
