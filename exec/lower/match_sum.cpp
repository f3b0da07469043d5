#include <algorithm>
#include <cmath>

#include "exec/lower/conv_tail.h"
#include "exec/lower/match.h"

namespace cytodet::exec {
namespace {

const Tensor* scalar(const Lowering& low, Value v) {
  const Tensor* t = low.constant(v);
  return t && t->dtype() == DType::f32 && t->size() == 1 && t->rank() <= 1 && std::isfinite(t->data<float>()[0]) ? t : nullptr;
}

// Repeat factor of a ResizeNearestNeighbor whose output pixel y reads input pixel y / factor; 0 otherwise.
int nearest_factor(const Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.op != "ResizeNearestNeighbor" || n.attr_or("align_corners", false)) return 0;
  const Shape* in = low.float_shape(n.inputs[0]);
  const Shape* out = low.float_shape({id, 0});
  if (!in || !out || in->size() != 4 || out->size() != 4 || (*in)[1] == 0 || (*in)[2] == 0) return 0;
  int64_t f = (*out)[1] / (*in)[1];
  return f >= 1 && f < 1024 && (*in)[1] * f == (*out)[1] && (*in)[2] * f == (*out)[2] ? static_cast<int>(f) : 0;
}

// A node of one input that multiplies by a finite constant: that constant and the input.
struct Scaling {
  float factor;
  Value input;
};
std::optional<Scaling> scaling(const Lowering& low, const Node& n) {
  if (n.op == "Mul")
    for (size_t i : {1u, 0u})
      if (const Tensor* t = scalar(low, n.inputs[i])) return Scaling{t->data<float>()[0], n.inputs[1 - i]};
  return {};
}
std::optional<Scaling> division(const Lowering& low, const Node& n) {
  const Tensor* t = n.op == "RealDiv" ? scalar(low, n.inputs[1]) : nullptr;
  return t && t->data<float>()[0] != 0 ? std::optional(Scaling{t->data<float>()[0], n.inputs[0]}) : std::nullopt;
}

// Walks back from v through nodes that scale or upsample and have no other reader:
//
//   x ─▶ [Mul constant | RealDiv constant | ResizeNearestNeighbor]* ─▶ v
Term trace(const Lowering& low, Value v, std::vector<NodeId>& nodes) {
  Term term{v};
  while (low.absorbable_uses(term.value).size() == 1 && !low.taken(term.value.node) && term.value.slot == 0) {
    const NodeId id = term.value.node;
    const Node& n = low.graph.node(id);
    if (const auto by = scaling(low, n)) {
      term.weight *= by->factor;
      term.value = by->input;
    } else if (const auto of = division(low, n)) {
      term.weight /= of->factor;
      term.value = of->input;
    } else if (const int factor = nearest_factor(low, id); factor > 0 && term.repeat * factor < 1024) {
      term.repeat *= factor;
      term.value = n.inputs[0];
    } else {
      break;
    }
    nodes.push_back(id);
  }
  return term;
}

constexpr size_t kMaxTerms = 4;

bool is_sum(const std::string& op) { return op == "Add" || op == "AddV2"; }

// The terms of the sum `id` and of the sums of its shape that it alone reads; empty when there are none, too many, or a constant.
std::vector<Term> terms_of(const Lowering& low, NodeId id, const Shape& shape, std::vector<NodeId>& nodes) {
  const auto has_shape = [&](Value v) { return low.float_shape(v) && *low.float_shape(v) == shape && !low.constant(v); };
  const Node& n = low.graph.node(id);
  std::vector<Value> pending(n.inputs.rbegin(), n.inputs.rend());
  std::vector<Term> terms;
  while (!pending.empty()) {
    const Value v = pending.back();
    pending.pop_back();
    if (!has_shape(v)) return {};
    const Node& m = low.graph.node(v.node);
    if (is_sum(m.op) && v.slot == 0 && !low.taken(v.node) && low.sole_reader(v) >= 0 &&
        terms.size() + pending.size() + m.inputs.size() <= kMaxTerms) {
      nodes.push_back(v.node);
      pending.insert(pending.end(), m.inputs.rbegin(), m.inputs.rend());
      continue;
    }
    terms.push_back(trace(low, v, nodes));
    if (low.constant(terms.back().value) || !low.float_shape(terms.back().value)) return {};
  }
  return terms.size() <= kMaxTerms ? terms : std::vector<Term>();
}

// v ─▶ Relu | Relu6 | swish, which alone reads v: its activation; `v` becomes its output.
Act activation_behind(const Lowering& low, Value& v, std::vector<NodeId>& nodes) {
  NodeId sigmoid = -1;
  if (const NodeId swish = swish_after(low, v, sigmoid); swish >= 0) {
    nodes.insert(nodes.end(), {sigmoid, swish});
    v = {swish, 0};
    return Act::swish;
  }
  const NodeId next = low.sole_reader(v);
  if (next < 0 || low.taken(next)) return Act::none;
  const std::string& op = low.graph.node(next).op;
  const Act act = op == "Relu" ? Act::relu : op == "Relu6" ? Act::relu6 : Act::none;
  if (act == Act::none) return act;
  nodes.push_back(next);
  v = {next, 0};
  return act;
}

}  // namespace

//   a [─▶ scale, upsample] ─┐
//   b [─▶ scale, upsample] ─┴▶ Add | AddN [─▶ Relu | Relu6 | swish]     up to four terms, nested sums included
bool match_sum(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (!is_sum(n.op) && n.op != "AddN") return false;
  const Shape* out = low.float_shape({id, 0});
  if (!out || out->empty() || elements(*out) == 0) return false;
  std::vector<NodeId> nodes{id};
  WeightedSum sum{terms_of(low, id, *out, nodes)};
  if (sum.terms.empty()) return false;
  Value output{id, 0};
  sum.act = activation_behind(low, output, nodes);
  low.add_layer(output, std::move(sum), nodes);
  return true;
}

//   x ─▶ ResizeNearestNeighbor by a whole factor
bool match_resize_nearest(Lowering& low, NodeId id) {
  const int factor = nearest_factor(low, id);
  if (factor == 0 || elements(*low.float_shape({id, 0})) == 0) return false;
  WeightedSum sum{{Term{low.graph.node(id).inputs[0], 1, factor}}};
  low.add_layer({id, 0}, std::move(sum), {id}).movement = DataMovement::same_channels;
  return true;
}

//   x ─▶ Relu | Relu6 | Sigmoid | swish
bool match_activation(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  Act act = n.op == "Relu" ? Act::relu : n.op == "Relu6" ? Act::relu6 : n.op == "Sigmoid" ? Act::sigmoid : Act::none;
  if (act == Act::none || low.constant(n.inputs[0]) || !low.float_shape({id, 0}) || !low.float_shape(n.inputs[0])) return false;
  if (elements(*low.float_shape({id, 0})) == 0) return false;
  Value output{id, 0};
  std::vector<NodeId> nodes{id};
  NodeId sigmoid = -1;
  if (const NodeId swish = act == Act::sigmoid ? swish_after(low, n.inputs[0], sigmoid) : -1; swish >= 0) {
    act = Act::swish;
    output = {swish, 0};
    nodes.push_back(swish);
  }
  const auto make = [act, shape = *low.float_shape(output)](const LayerIo& io) {
    return make_weighted_sum(shape, {{io.inputs[0]}}, act, io.output);
  };
  low.add_layer(output, RowOp{{n.inputs[0]}, make}, nodes);
  return true;
}

}  // namespace cytodet::exec
