#include <algorithm>

#include "core/error.h"
#include "graph/ir/op.h"

namespace cytodet::graph {
namespace {

bool small(const Fact& f, int64_t limit) {
  if (!f.shape || !is_static(*f.shape)) return true;
  return elements(*f.shape) * static_cast<int64_t>(std::max<size_t>(1, size_of(f.dtype))) <= limit;
}

}  // namespace

Facts::Facts(const Graph& graph, const std::map<Value, Fact>& known, int64_t fold_bytes)
    : facts_(static_cast<size_t>(graph.capacity())) {
  for (NodeId id : graph.topological_order()) {
    const Node& n = graph.node(id);
    std::vector<Fact>& out = facts_[static_cast<size_t>(id)];
    std::vector<Fact> in;
    bool constant = !n.inputs.empty();
    for (Value v : n.inputs) {
      in.push_back(of(v));
      constant = constant && in.back().constant;
    }
    const Op* op = find_op(n.op);
    if (op) {
      try {
        if (op->infer) {
          InferCall call{n, in, {}};
          if (!(n.inputs.empty() && n.op != "Const" && n.op != "Placeholder" && n.op != "NoOp")) op->infer(call);
          out = std::move(call.out);
        }
        if (const Tensor* t = graph.constant(id); t && t->bytes() <= static_cast<size_t>(fold_bytes)) {
          out = {Fact{t->dtype(), t->shape(), *t}};
        } else if (constant && !op->stateful && op->eval &&
                   std::all_of(out.begin(), out.end(), [&](const Fact& f) { return small(f, fold_bytes); })) {
          std::vector<Tensor> tensors;
          for (const Fact& f : in) tensors.push_back(*f.constant);
          std::vector<Tensor> values = evaluate(n, tensors);
          out.assign(values.size(), {});
          for (size_t i = 0; i < values.size(); ++i) {
            out[i] = {values[i].dtype(), values[i].shape(), {}};
            if (values[i].bytes() <= static_cast<size_t>(fold_bytes)) out[i].constant = values[i];
          }
        }
      } catch (const Error&) {
        out.clear();  // nothing is known of a node that cannot be evaluated; running it reports why
      }
    }
    for (const auto& [value, fact] : known)
      if (value.node == id) {
        if (static_cast<int>(out.size()) <= value.slot) out.resize(static_cast<size_t>(value.slot) + 1);
        out[static_cast<size_t>(value.slot)] = fact;
      }
  }
}

const Fact& Facts::of(Value v) const {
  static const Fact nothing;
  if (v.node < 0 || static_cast<size_t>(v.node) >= facts_.size()) return nothing;
  const auto& out = facts_[static_cast<size_t>(v.node)];
  return static_cast<size_t>(v.slot) < out.size() ? out[static_cast<size_t>(v.slot)] : nothing;
}

}  // namespace cytodet::graph
