#include <algorithm>

#include "core/error.h"
#include "graph/ir/node_facts.h"
#include "graph/ir/op.h"

namespace cytodet::graph {
namespace {

bool small(const Fact& f, int64_t limit) {
  if (!f.has_static_shape()) return true;
  return elements(*f.shape) * static_cast<int64_t>(std::max<size_t>(1, size_of(f.dtype))) <= limit;
}

std::vector<Fact> constants_of(const std::vector<Tensor>& values, int64_t fold_bytes) {
  std::vector<Fact> out;
  for (const Tensor& t : values) {
    out.push_back({t.dtype(), t.shape(), {}});
    if (t.bytes() <= static_cast<size_t>(fold_bytes)) out.back().constant = t;
  }
  return out;
}

}  // namespace

std::vector<Fact> facts_of_node(const Node& n, const std::vector<Fact>& in, const Tensor* value, int64_t fold_bytes) {
  const Op* op = find_op(n.op);
  if (!op) return {};
  if (value && value->bytes() <= static_cast<size_t>(fold_bytes)) return constants_of({*value}, fold_bytes);
  std::vector<Fact> out;
  if (op->infer && !(in.empty() && n.op != "Const" && n.op != "Placeholder" && n.op != "NoOp")) {
    InferCall call{n, in, {}};
    op->infer(call);
    out = std::move(call.out);
  }
  const bool constant = !in.empty() && std::all_of(in.begin(), in.end(), [](const Fact& f) { return f.constant.has_value(); });
  if (!constant || op->stateful || !op->eval) return out;
  if (!std::all_of(out.begin(), out.end(), [&](const Fact& f) { return small(f, fold_bytes); })) return out;
  std::vector<Tensor> tensors;
  for (const Fact& f : in) tensors.push_back(*f.constant);
  return constants_of(evaluate(n, tensors), fold_bytes);
}

Facts::Facts(const Graph& graph, const std::map<Value, Fact>& known, int64_t fold_bytes)
    : facts_(static_cast<size_t>(graph.capacity())) {
  for (NodeId id : graph.topological_order()) {
    const Node& n = graph.node(id);
    std::vector<Fact>& out = facts_[static_cast<size_t>(id)];
    std::vector<Fact> in;
    for (Value v : n.inputs) in.push_back(of(v));
    try {
      out = facts_of_node(n, in, graph.constant(id), fold_bytes);
    } catch (const Error&) {
      out.clear();  // nothing is known of a node that cannot be evaluated; running it reports why
    }
    for (const auto& [value, fact] : known)
      if (value.node == id) {
        if (static_cast<int>(out.size()) <= value.slot) out.resize(static_cast<size_t>(value.slot) + 1);
        out[static_cast<size_t>(value.slot)] = fact;
      }
  }
}

const Fact& Facts::of(Value v) const& {
  static const Fact nothing;
  if (v.node < 0 || static_cast<size_t>(v.node) >= facts_.size()) return nothing;
  const auto& out = facts_[static_cast<size_t>(v.node)];
  return static_cast<size_t>(v.slot) < out.size() ? out[static_cast<size_t>(v.slot)] : nothing;
}

}  // namespace cytodet::graph
