// Kernels for single nodes of parts that are interpreted, as the body of a loop over images.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "exec/runtime/plan.h"
#include "graph/ir/op.h"

namespace cytodet::exec {

// Of one stream. A node of large inputs is compiled alone, once for each set of its inputs' shapes (the last kMaxPlans are kept);
// small ones, and those without a kernel, are evaluated plainly.
class NodeKernels {
 public:
  explicit NodeKernels(int threads) : threads_(threads) {}
  // As evaluate().
  std::vector<Tensor> run(const Node& node, std::span<const Tensor> inputs);

  static constexpr size_t kMaxPlans = 64;
  static constexpr int64_t kLarge = 16 * 1024;  // elements of all inputs

 private:
  struct Compiled {
    Runner runner;
    std::vector<int> inputs;  // of the node, by the plan's
  };
  std::optional<Compiled> compile(const Node& node, std::span<const Tensor> inputs) const;

  int threads_;
  std::map<std::string, std::optional<Compiled>> plans_;  // nothing: plainly
};

}  // namespace cytodet::exec
