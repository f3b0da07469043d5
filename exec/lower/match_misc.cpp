#include <algorithm>
#include <cstring>

#include "exec/lower/match.h"

namespace cytodet::exec {
namespace {

// The output is the input's bytes: no work when both lie in the arena, a copy otherwise.
class AliasStep : public Step {
 public:
  AliasStep(int input, int output) {
    inputs = {input};
    outputs = {output};
    info.kernel = "alias";
  }
  void run(RunContext& context) const override {
    const Tensor& in = context.tensors[static_cast<size_t>(inputs[0])];
    Tensor& out = context.tensors[static_cast<size_t>(outputs[0])];
    if (in.raw() != out.raw()) std::memcpy(out.raw(), in.raw(), out.bytes());
  }
};

class ConcatStep : public Step {
 public:
  // rows: numbers of each input, `outer` times.
  ConcatStep(std::vector<int64_t> rows, int64_t outer, std::vector<int> in, int out) : rows_(std::move(rows)), outer_(outer) {
    inputs = std::move(in);
    outputs = {out};
    info.kernel = "concat";
  }
  void run(RunContext& context) const override {
    char* out = static_cast<char*>(context.tensors[static_cast<size_t>(outputs[0])].raw());
    for (int64_t o = 0; o < outer_; ++o)
      for (size_t i = 0; i < inputs.size(); ++i) {
        const Map in = context.map(inputs[i]);
        const int64_t bytes = rows_[i] * static_cast<int64_t>(size_of(type_of(in.form)));
        std::memcpy(out, static_cast<const char*>(in.data) + o * bytes, static_cast<size_t>(bytes));
        out += bytes;
      }
  }

 private:
  std::vector<int64_t> rows_;
  int64_t outer_;
};

}  // namespace

void claim(Lowering& low, NodeId id, std::vector<Value> inputs, std::function<std::unique_ptr<Step>(const LayerIo&)> make) {
  Layer layer;
  layer.root = id;
  layer.output = {id, 0};
  layer.inputs = std::move(inputs);
  layer.make = std::move(make);
  low.take({id});
  low.layers.push_back(std::move(layer));
}

bool match_alias(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  static const char* const kOps[] = {"Identity",     "Reshape",         "Squeeze", "ExpandDims",
                                     "StopGradient", "PreventGradient", "Snapshot"};
  if (std::none_of(std::begin(kOps), std::end(kOps), [&](const char* op) { return n.op == op; })) return false;
  const Shape* in = low.float_shape(n.inputs[0]);
  const Shape* out = low.float_shape({id, 0});
  if (!in || !out || low.constant(n.inputs[0]) || elements(*in) != elements(*out)) return false;
  claim(low, id, {n.inputs[0]},
        [](const LayerIo& io) { return std::make_unique<AliasStep>(io.inputs[0].tensor, io.output.tensor); });
  low.layers.back().moves = Moves::in_channels;
  return true;
}

bool match_mean(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.op != "Mean" || n.inputs.size() != 2 || !are_height_and_width(low.constant(n.inputs[1]))) return false;
  const Shape* in = low.float_shape(n.inputs[0]);
  if (!in || in->size() != 4 || !low.float_shape({id, 0}) || elements(*in) == 0 || low.constant(n.inputs[0])) return false;
  claim(low, id, {n.inputs[0]}, [shape = *in](const LayerIo& io) { return make_mean(shape, io.inputs[0], io.output); });
  low.layers.back().in_rows = true;
  return true;
}

bool match_product(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.op != "Mul") return false;
  for (int first = 0; first < 2; ++first) {
    const Value map = n.inputs[static_cast<size_t>(first)], other = n.inputs[static_cast<size_t>(1 - first)];
    const Shape *m = low.float_shape(map), *o = low.float_shape(other);
    if (!m || !o || m->empty() || low.constant(map) || low.constant(other) || elements(*m) == 0) continue;
    const bool gate = m->size() == 4 && *m != *o && *o == Shape{(*m)[0], 1, 1, (*m)[3]};
    if (!gate && *m != *o) continue;
    Layer layer;
    layer.root = id;
    layer.output = {id, 0};
    layer.in_rows = true;
    layer.make = [shape = *m, gate](const LayerIo& io) {
      return make_product(shape, io.inputs[0], io.inputs[1], gate, io.output);
    };
    if (gate) {
      layer.input = map;
      layer.gate = other;
    } else {
      layer.inputs = {map, other};
    }
    low.take({id});
    low.layers.push_back(std::move(layer));
    return true;
  }
  return false;
}

bool match_concat(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.op != "ConcatV2" || n.inputs.size() < 2) return false;
  const Tensor* axis = low.constant(n.inputs.back());
  const Shape* out = low.float_shape({id, 0});
  if (!axis || axis->size() != 1 || !out || out->empty()) return false;
  int64_t a = axis->as_int();
  a = a < 0 ? a + static_cast<int64_t>(out->size()) : a;
  if (a < 0 || a >= static_cast<int64_t>(out->size())) return false;
  std::vector<Value> inputs(n.inputs.begin(), n.inputs.end() - 1);
  std::vector<int64_t> rows;
  int64_t outer = elements(Shape(out->begin(), out->begin() + a));
  for (Value v : inputs) {
    const Shape* in = low.float_shape(v);
    if (!in || in->size() != out->size() || low.constant(v)) return false;
    rows.push_back(elements(Shape(in->begin() + a, in->end())));
  }
  claim(low, id, inputs,
        [rows, outer](const LayerIo& io) { return std::make_unique<ConcatStep>(rows, outer, io.tensors(), io.output.tensor); });
  low.layers.back().moves = a + 1 == static_cast<int64_t>(out->size()) ? Moves::into_channels : Moves::in_channels;
  return true;
}

bool match_coded(Lowering& low, NodeId id) {
  const std::optional<CodedValue> coded = coded_value(low.graph, {id, 0});
  if (!coded || low.constant(coded->input)) return false;
  const Shape *in = low.float_shape(coded->input), *out = low.float_shape({id, 0});
  if (!in || !out || elements(*out) == 0) return false;
  Layer layer;
  layer.root = id;
  layer.output = {id, 0};
  layer.terms = {{coded->input}};
  layer.codes[coded->input] = coded->quant;
  low.take({id, low.graph.node(id).inputs[0].node});
  low.layers.push_back(std::move(layer));
  return true;
}

}  // namespace cytodet::exec
