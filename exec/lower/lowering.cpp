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

std::vector<Value> Layer::reads() const {
  std::vector<Value> values = inputs;
  for (const Term& t : terms) values.push_back(t.value);
  for (Value v : {input, gate, residual})
    if (v != kNoValue) values.push_back(v);
  return values;
}

void Layer::read_instead(Value of, Value instead) {
  std::replace(inputs.begin(), inputs.end(), of, instead);
  for (Term& t : terms)
    if (t.value == of) t.value = instead;
  for (Value* v : {&input, &gate, &residual})
    if (*v == of) *v = instead;
}

std::vector<Value> Layer::writes() const {
  std::vector<Value> values{output};
  if (pooled != kNoValue) values.push_back(pooled);
  return values;
}

Lowering::Lowering(const Graph& g, const std::map<Value, Fact>& known, std::vector<Value> outputs)
    : graph(g),
      facts(g, known),
      uses(g),
      wanted(std::move(outputs)),
      wanted_set_(wanted.begin(), wanted.end()),
      needed_(static_cast<size_t>(g.capacity()), 0),
      taken_(static_cast<size_t>(g.capacity()), 0) {
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
      need(graph.node(id).inputs[0]);  // its filter is codes: no step makes it
    else
      for (Value v : graph.node(id).inputs) need(v);
  }
  for (NodeId id : graph.topological_order())
    if (needed(id)) order.push_back(id);
}

bool Layer::reads_in_rows(Value v) const {
  if (only_dense() && !dense->quant && !dense->bf16) return false;
  return dense || depthwise ? v != input && v != gate : in_rows || only_sum();
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
  const Fact& fact = facts.of(v);
  if (fact.dtype != DType::f32 || !fact.shape || !is_static(*fact.shape)) return nullptr;
  return &*fact.shape;
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

int Lowering::producer(Value v) const {
  for (size_t i = 0; i < layers.size(); ++i)
    if (layers[i].output == v || (layers[i].pooled != kNoValue && layers[i].pooled == v)) return static_cast<int>(i);
  return -1;
}

void Lowering::remove_layer(int index) { layers.erase(layers.begin() + index); }

NodeId swish_after(const Lowering& low, Value v, NodeId& sigmoid) {
  std::vector<Consumers::Use> readers = low.absorbable_uses(v);
  if (readers.size() != 2) return -1;
  for (int first = 0; first < 2; ++first) {
    NodeId s = readers[static_cast<size_t>(first)].node, m = readers[static_cast<size_t>(1 - first)].node;
    if (low.graph.node(s).op != "Sigmoid" || low.graph.node(m).op != "Mul" || low.taken(s) || low.taken(m)) continue;
    if (low.sole_reader({s, 0}) != m) continue;
    const auto& in = low.graph.node(m).inputs;
    if ((in[0] == v && in[1] == Value{s, 0}) || (in[1] == v && in[0] == Value{s, 0})) {
      sigmoid = s;
      return m;
    }
  }
  return -1;
}

namespace {

// The constant of a bias-like Add: `channels` values on the last axis, or one.
const Tensor* channel_constant(const Lowering& low, Value v, int64_t channels) {
  const Tensor* t = low.constant(v);
  if (!t || t->dtype() != DType::f32) return nullptr;
  if (t->size() == 1 && t->rank() <= 1) return t;
  return t->size() == channels && t->rank() > 0 && t->dim(-1) == channels ? t : nullptr;
}

bool is_add(const Node& n) { return n.op == "Add" || n.op == "AddV2" || (n.op == "AddN" && n.inputs.size() == 2); }

}  // namespace

Tail absorb_tail(const Lowering& low, Value v, int64_t channels, bool with_residual) {
  Tail tail;
  tail.output = v;
  tail.bias.assign(static_cast<size_t>(channels), 0.0f);
  bool open = true;  // bias may still be added
  while (true) {
    NodeId sigmoid = -1;
    if (tail.act == Act::none && (tail.residual == kNoValue || tail.residual_first)) {
      if (NodeId swish = swish_after(low, tail.output, sigmoid); swish >= 0) {
        tail.act = Act::swish;
        tail.nodes.insert(tail.nodes.end(), {sigmoid, swish});
        tail.output = {swish, 0};
        open = false;
        continue;
      }
    }
    NodeId id = low.sole_reader(tail.output);
    if (id < 0 || low.taken(id)) return tail;
    const Node& n = low.graph.node(id);
    if (!low.float_shape({id, 0}) || *low.float_shape({id, 0}) != *low.float_shape(v)) return tail;
    Value other = n.inputs.size() == 2 ? (n.inputs[0] == tail.output ? n.inputs[1] : n.inputs[0]) : kNoValue;
    bool bias_op = (n.op == "BiasAdd" && n.attr_or<std::string>("data_format", "NHWC") == "NHWC") || is_add(n);
    const Tensor* bias = bias_op && open && other != tail.output ? channel_constant(low, other, channels) : nullptr;
    if (bias) {
      require_finite(*bias, n.name);
      for (int64_t c = 0; c < channels; ++c) tail.bias[static_cast<size_t>(c)] += bias->data<float>()[bias->size() == 1 ? 0 : c];
    } else if (tail.act == Act::none && (n.op == "Relu" || n.op == "Relu6" || n.op == "Sigmoid") &&
               (tail.residual == kNoValue || tail.residual_first)) {
      tail.act = n.op == "Relu" ? Act::relu : n.op == "Relu6" ? Act::relu6 : Act::sigmoid;
      open = false;
    } else if (with_residual && is_add(n) && tail.residual == kNoValue && other != tail.output && !low.constant(other) &&
               low.float_shape(other) && *low.float_shape(other) == *low.float_shape(v)) {
      tail.residual = other;
      tail.residual_first = tail.act == Act::none;
      open = false;
    } else {
      return tail;
    }
    tail.nodes.push_back(id);
    tail.output = {id, 0};
  }
}

std::optional<ConvShape> conv_shape(const Lowering& low, NodeId id, Value input, Value output, const Tensor& filter) {
  const Node& n = low.graph.node(id);
  const Shape* in = low.float_shape(input);
  const Shape* out = low.float_shape(output);
  if (!in || !out || in->size() != 4 || out->size() != 4 || filter.rank() != 4 || filter.dtype() != DType::f32) return {};
  if (n.attr_or<std::string>("data_format", "NHWC") != "NHWC") return {};
  if (elements(*in) == 0 || elements(*out) == 0) return {};
  AttrList strides = n.attr_or("strides", AttrList{}), dilations = n.attr_or("dilations", AttrList{}),
           pads = n.attr_or("explicit_paddings", AttrList{});
  auto at = [](const AttrList& list, size_t i) { return list.ints.size() == 4 ? static_cast<int>(list.ints[i]) : 1; };
  ConvShape s;
  s.batch = (*in)[0];
  s.in_h = (*in)[1];
  s.in_w = (*in)[2];
  s.in_c = (*in)[3];
  s.out_h = (*out)[1];
  s.out_w = (*out)[2];
  s.out_c = (*out)[3];
  s.kernel_h = static_cast<int>(filter.dim(0));
  s.kernel_w = static_cast<int>(filter.dim(1));
  s.stride_h = at(strides, 1);
  s.stride_w = at(strides, 2);
  s.dilation_h = at(dilations, 1);
  s.dilation_w = at(dilations, 2);
  if (at(strides, 0) != 1 || at(strides, 3) != 1 || s.kernel_h > 64 || s.kernel_w > 64) return {};
  auto same = [](int64_t in_size, int64_t out_size, int kernel, int stride, int dilation, int& before, int& after) {
    int64_t total = std::max<int64_t>(0, (out_size - 1) * stride + int64_t{kernel - 1} * dilation + 1 - in_size);
    before = static_cast<int>(total / 2);
    after = static_cast<int>(total - total / 2);
  };
  std::string padding = n.attr_or<std::string>("padding", "VALID");
  if (padding == "SAME") {
    same(s.in_h, s.out_h, s.kernel_h, s.stride_h, s.dilation_h, s.pad_top, s.pad_bottom);
    same(s.in_w, s.out_w, s.kernel_w, s.stride_w, s.dilation_w, s.pad_left, s.pad_right);
  } else if (padding == "EXPLICIT") {
    if (pads.ints.size() != 8) return {};
    s.pad_top = static_cast<int>(pads.ints[2]);
    s.pad_bottom = static_cast<int>(pads.ints[3]);
    s.pad_left = static_cast<int>(pads.ints[4]);
    s.pad_right = static_cast<int>(pads.ints[5]);
  } else if (padding != "VALID") {
    return {};
  }
  return s;
}

void require_finite(const Tensor& t, const std::string& node) {
  const float* p = t.data<float>();
  for (int64_t i = 0; i < t.size(); ++i)
    if (!std::isfinite(p[i]))
      throw Error("node " + node, "weight " + std::to_string(i) + " is " + (std::isnan(p[i]) ? "NaN" : "infinite"),
                  "export the graph again from a sound checkpoint");
}

}  // namespace cytodet::exec
