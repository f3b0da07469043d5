#include <algorithm>
#include <cmath>

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

// Walks back through nodes that only scale or upsample and have no other reader.
Term trace(const Lowering& low, Value v, std::vector<NodeId>& nodes) {
  Term term{v};
  while (low.absorbable_uses(term.value).size() == 1 && !low.taken(term.value.node) && term.value.slot == 0) {
    NodeId id = term.value.node;
    const Node& n = low.graph.node(id);
    if (n.op == "Mul" && scalar(low, n.inputs[1])) {
      term.weight *= scalar(low, n.inputs[1])->data<float>()[0];
      term.value = n.inputs[0];
    } else if (n.op == "Mul" && scalar(low, n.inputs[0])) {
      term.weight *= scalar(low, n.inputs[0])->data<float>()[0];
      term.value = n.inputs[1];
    } else if (n.op == "RealDiv" && scalar(low, n.inputs[1]) && scalar(low, n.inputs[1])->data<float>()[0] != 0) {
      term.weight /= scalar(low, n.inputs[1])->data<float>()[0];
      term.value = n.inputs[0];
    } else if (int factor = nearest_factor(low, id); factor > 0 && term.repeat * factor < 1024) {
      term.repeat *= factor;
      term.value = n.inputs[0];
    } else {
      break;
    }
    nodes.push_back(id);
  }
  return term;
}

}  // namespace

bool match_sum(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.op != "Add" && n.op != "AddV2" && n.op != "AddN") return false;
  const Shape* out = low.float_shape({id, 0});
  if (!out || out->empty() || elements(*out) == 0) return false;
  std::vector<Value> pending(n.inputs.rbegin(), n.inputs.rend());
  std::vector<NodeId> nodes{id};
  std::vector<Term> terms;
  while (!pending.empty()) {
    Value v = pending.back();
    pending.pop_back();
    NodeId inner = v.node;
    const Node& m = low.graph.node(inner);
    bool nested = (m.op == "Add" || m.op == "AddV2") && v.slot == 0 && !low.taken(inner) && low.sole_reader(v) >= 0 &&
                  low.float_shape(v) && *low.float_shape(v) == *out && !low.constant(v) &&
                  terms.size() + pending.size() + m.inputs.size() <= 4;
    if (nested) {
      nodes.push_back(inner);
      pending.insert(pending.end(), m.inputs.rbegin(), m.inputs.rend());
      continue;
    }
    if (low.constant(v) || !low.float_shape(v) || *low.float_shape(v) != *out) return false;
    terms.push_back(trace(low, v, nodes));
    if (low.constant(terms.back().value) || !low.float_shape(terms.back().value)) return false;
  }
  if (terms.empty() || terms.size() > 4) return false;
  Layer layer;
  layer.terms = terms;
  layer.output = {id, 0};
  NodeId sigmoid = -1;
  if (NodeId swish = swish_after(low, layer.output, sigmoid); swish >= 0) {
    layer.terms_act = Act::swish;
    layer.output = {swish, 0};
    nodes.insert(nodes.end(), {sigmoid, swish});
  } else if (NodeId next = low.sole_reader(layer.output); next >= 0 && !low.taken(next)) {
    const std::string& op = low.graph.node(next).op;
    if (op == "Relu" || op == "Relu6") {
      layer.terms_act = op == "Relu" ? Act::relu : Act::relu6;
      layer.output = {next, 0};
      nodes.push_back(next);
    }
  }
  layer.root = layer.output.node;
  low.take(nodes);
  low.layers.push_back(std::move(layer));
  return true;
}

bool match_resize_nearest(Lowering& low, NodeId id) {
  int factor = nearest_factor(low, id);
  if (factor == 0 || elements(*low.float_shape({id, 0})) == 0) return false;
  Layer layer;
  layer.terms = {Term{low.graph.node(id).inputs[0], 1, factor}};
  layer.moves = Moves::in_channels;
  layer.output = {id, 0};
  layer.root = id;
  low.take({id});
  low.layers.push_back(std::move(layer));
  return true;
}

bool match_activation(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  Layer layer;
  layer.root = id;
  layer.output = {id, 0};
  std::vector<NodeId> nodes{id};
  Act act = n.op == "Relu" ? Act::relu : n.op == "Relu6" ? Act::relu6 : n.op == "Sigmoid" ? Act::sigmoid : Act::none;
  if (act == Act::none || low.constant(n.inputs[0]) || !low.float_shape({id, 0}) || !low.float_shape(n.inputs[0])) return false;
  if (elements(*low.float_shape({id, 0})) == 0) return false;
  layer.inputs = {n.inputs[0]};
  NodeId sigmoid = -1;
  if (NodeId swish = act == Act::sigmoid ? swish_after(low, n.inputs[0], sigmoid) : -1; swish >= 0) {
    act = Act::swish;
    layer.root = swish;
    layer.output = {swish, 0};
    nodes.push_back(swish);
  }
  layer.in_rows = true;
  layer.make = [act, shape = *low.float_shape(layer.output)](const LayerIo& io) {
    return make_weighted_sum(shape, {{io.inputs[0]}}, act, io.output);
  };
  low.take(nodes);
  low.layers.push_back(std::move(layer));
  return true;
}

}  // namespace cytodet::exec
