#include "exec/lower/lowering.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace cytodet::exec {

std::vector<int> LayerIo::tensors() const {
  std::vector<int> ids;
  for (const StepInput& in : inputs) ids.push_back(in.tensor);
  return ids;
}

namespace {

// visit(value) for every value that a layer reads; values may be replaced.
template <class Kind, class Visit>
void for_each_read(Kind& kind, Visit visit) {
  const auto each = [&](auto& k) {
    using T = std::remove_cvref_t<decltype(k)>;
    if constexpr (std::is_same_v<T, Opaque> || std::is_same_v<T, RowOp>)
      for (auto& v : k.inputs) visit(v);
    if constexpr (std::is_same_v<T, WeightedSum> || std::is_same_v<T, ConvChain>)
      for (auto& t : k.terms) visit(t.value);
    if constexpr (std::is_same_v<T, ConvChain>)
      for (auto* v : {&k.input, &k.gate, &k.residual})
        if (*v != kNoValue) visit(*v);
  };
  std::visit(each, kind);
}

}  // namespace

std::vector<Value> Layer::reads() const {
  std::vector<Value> values;
  for_each_read(kind, [&](const Value& v) { values.push_back(v); });
  return values;
}

void Layer::read_instead(Value of, Value instead) {
  for_each_read(kind, [&](Value& v) {
    if (v == of) v = instead;
  });
}

std::vector<Value> Layer::writes() const {
  std::vector<Value> values{output};
  if (const auto* conv = as<ConvChain>(); conv && conv->pooled != kNoValue) values.push_back(conv->pooled);
  if (const auto* opaque = as<Opaque>(); opaque && opaque->second != kNoValue) values.push_back(opaque->second);
  return values;
}

bool Layer::reads_in_rows(Value v) const {
  if (const auto* conv = as<ConvChain>()) {
    if (conv->only_dense() && !conv->dense->quant && !conv->dense->bf16) return false;
    return v != conv->input && v != conv->gate;
  }
  return !as<Opaque>();
}

Lowering::Lowering(const Graph& g, const std::map<Value, Fact>& known, std::vector<Value> outputs)
    : graph(g),
      facts(g, known),
      uses(g),
      wanted(std::move(outputs)),
      wanted_set_(wanted.begin(), wanted.end()),
      needed_(static_cast<size_t>(g.capacity()), 0),
      taken_(static_cast<size_t>(g.capacity()), 0),
      positions_(static_cast<size_t>(g.capacity()), -1) {
  std::vector<NodeId> stack;
  auto need = [&](Value v) {
    if (constant(v) || needed_[static_cast<size_t>(v.node)]) return;
    needed_[static_cast<size_t>(v.node)] = 1;
    stack.push_back(v.node);
  };
  for (Value v : wanted) need(v);
  while (!stack.empty()) {
    NodeId id = stack.back();
    stack.pop_back();
    if (known.contains({id, 0}) && graph.node(id).op == "Placeholder") continue;
    if (is_quantized(graph, id))
      need(graph.node(id).inputs[0]);  // its filter is quantized: no step makes it
    else
      for (Value v : graph.node(id).inputs) need(v);
  }
  for (NodeId id : graph.topological_order())
    if (needed(id)) {
      positions_[static_cast<size_t>(id)] = static_cast<int>(order.size());
      order.push_back(id);
    }
}

void Lowering::take(const std::vector<NodeId>& nodes) {
  for (NodeId id : nodes) taken_[static_cast<size_t>(id)] = 1;
}

void Lowering::release() {
  std::set<Value> written;
  std::vector<Value> read = wanted;
  for (const Layer& layer : layers) {
    for (Value v : layer.writes()) written.insert(v);
    for (Value v : layer.reads()) read.push_back(v);
  }
  const auto read_by = [&](NodeId id) { read.insert(read.end(), graph.node(id).inputs.begin(), graph.node(id).inputs.end()); };
  for (NodeId id : order)
    if (!taken(id)) read_by(id);
  while (!read.empty()) {
    const Value v = read.back();
    read.pop_back();
    if (constant(v) || written.contains(v) || !taken(v.node)) continue;
    taken_[static_cast<size_t>(v.node)] = 0;
    read_by(v.node);
  }
}

const Tensor* Lowering::constant(Value v) const {
  if (const Tensor* t = graph.constant(v)) return t;
  const Fact& fact = facts.of(v);
  return fact.constant ? &*fact.constant : nullptr;
}

const Shape* Lowering::float_shape(Value v) const {
  const Shape* shape = open_float_shape(v);
  return shape && is_static(*shape) ? shape : nullptr;
}

const Shape* Lowering::open_float_shape(Value v) const {
  const Fact& fact = facts.of(v);
  return fact.dtype == DType::f32 && fact.shape ? &*fact.shape : nullptr;
}

std::vector<Consumers::Use> Lowering::absorbable_uses(Value v) const {
  std::vector<Consumers::Use> found;
  if (is_wanted(v)) return found;
  for (Consumers::Use use : uses.of(v))
    if (needed(use.node)) found.push_back(use);
  return found;
}

NodeId Lowering::sole_reader(Value v) const {
  std::vector<Consumers::Use> readers = absorbable_uses(v);
  return readers.size() == 1 ? readers[0].node : -1;
}

Layer& Lowering::add_layer(Value output, LayerKind kind, const std::vector<NodeId>& nodes) {
  take(nodes);
  Layer& layer = layers.emplace_back();
  layer.root = output.node;
  layer.output = output;
  layer.kind = std::move(kind);
  return layer;
}

int Lowering::producer(Value v) const {
  for (size_t i = 0; i < layers.size(); ++i)
    for (Value written : layers[i].writes())
      if (written == v) return static_cast<int>(i);
  return -1;
}

void Lowering::remove_layer(int index) { layers.erase(layers.begin() + index); }

void require_finite(const Tensor& t, const std::string& node) {
  const float* p = t.data<float>();
  for (int64_t i = 0; i < t.size(); ++i)
    if (!std::isfinite(p[i]))
      throw Error("node " + node, "weight " + std::to_string(i) + " is " + (std::isnan(p[i]) ? "NaN" : "infinite"),
                  "export the graph again from a sound checkpoint");
}

}  // namespace cytodet::exec
