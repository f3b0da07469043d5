// Affine chains behind a linear op: Conv2D, DepthwiseConv2dNative or MatMul with constant weights, followed by nodes that scale
// or shift each output channel by a constant. A chain is folded into the weights and one bias.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "graph/passes/passes.h"

namespace cytodet::graph {

bool is_batch_norm(const std::string& op);

struct Affine {
  Value input;
  std::vector<double> scale, offset;  // per channel of the output; one entry: the same for all
};

// y = input * scale + offset for Mul, RealDiv, Sub, Add, AddV2, BiasAdd with a per-channel constant, and for inference batch
// norms.
std::optional<Affine> affine_at(const Graph& g, NodeId id, int64_t channels);

// Channels of a linear op's output; 0 when the node is none (or its weights are not constant).
int64_t linear_channels(const Graph& g, NodeId id);

// Folds the chain that ends in `last` into the linear op (or ops: through ConcatV2 and BatchToSpaceND) in front of it. `accept`
// sees the ops of the chain, first to last. The folded result carries last's name. `uses` may be older than the last fold: nodes
// made since then are never part of a chain.
bool fold_chain(Graph& g, const Consumers& uses, NodeId last, const std::set<NodeId>& outputs,
                bool (*accept)(const std::vector<std::string>&));

}  // namespace cytodet::graph
