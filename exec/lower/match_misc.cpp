#include <algorithm>
#include <cstring>
#include <numeric>

#include "exec/lower/match.h"
#include "exec/steps/concat_step.h"

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

}  // namespace

bool is_alias(const std::string& op) {
  static const char* const kOps[] = {"Identity",     "Reshape",         "Squeeze",  "ExpandDims",
                                     "StopGradient", "PreventGradient", "Snapshot", "EnsureShape"};
  return std::any_of(std::begin(kOps), std::end(kOps), [&](const char* known) { return op == known; });
}

//   x ─▶ Identity | Reshape | Squeeze | ExpandDims | ...: the same elements in the same order
bool match_alias(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (!is_alias(n.op)) return false;
  const Shape* in = low.float_shape(n.inputs[0]);
  const Shape* out = low.float_shape({id, 0});
  if (!in || !out || low.constant(n.inputs[0]) || elements(*in) != elements(*out)) return false;
  Layer& layer = claim(low, id, {n.inputs[0]},
                       [](const LayerIo& io) { return std::make_unique<AliasStep>(io.inputs[0].tensor, io.output.tensor); });
  layer.movement = DataMovement::same_channels;
  const int64_t before = in->empty() ? 1 : in->back(), after = out->empty() ? 1 : out->back();
  if (before != after && after > 0 && before % after == 0) {  // channels become pixels
    layer.movement = DataMovement::other_channels;
    layer.channels_after.resize(static_cast<size_t>(after));
    std::iota(layer.channels_after.begin(), layer.channels_after.end(), 0);
  }
  return true;
}

//   x [n, h, w, c] ─▶ Mean(axes 1, 2)
bool match_mean(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.op != "Mean" || n.inputs.size() != 2 || !are_height_and_width(low.constant(n.inputs[1]))) return false;
  const Shape* in = low.float_shape(n.inputs[0]);
  if (!in || in->size() != 4 || !low.float_shape({id, 0}) || elements(*in) == 0 || low.constant(n.inputs[0])) return false;
  claim_rows(low, id, {n.inputs[0]}, [shape = *in](const LayerIo& io) { return make_mean(shape, io.inputs[0], io.output); });
  return true;
}

//   a ─▶ Mul ◀─ b      b of a's shape, or [n, 1, 1, c]: a gate, one value per image and channel
bool match_product(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.op != "Mul") return false;
  for (int first = 0; first < 2; ++first) {
    const Value map = n.inputs[static_cast<size_t>(first)], other = n.inputs[static_cast<size_t>(1 - first)];
    const Shape *m = low.float_shape(map), *o = low.float_shape(other);
    if (!m || !o || m->empty() || low.constant(map) || low.constant(other) || elements(*m) == 0) continue;
    const bool gated = m->size() == 4 && *m != *o && *o == Shape{(*m)[0], 1, 1, (*m)[3]};
    if (!gated && *m != *o) continue;
    const auto make = [shape = *m, gated](const LayerIo& io) {
      return make_product(shape, io.inputs[0], io.inputs[1], gated, io.output);
    };
    claim_rows(low, id, {map, other}, make).as<RowOp>()->gated = gated;
    return true;
  }
  return false;
}

//   a, b, ... ─▶ ConcatV2(constant axis) | Pack; not all of them constant
bool match_concat(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  const bool stacks = n.op == "Pack";
  if (n.op != "ConcatV2" && !stacks) return false;
  const Shape* out = low.float_shape({id, 0});
  if (!out || n.inputs.size() < (stacks ? 1 : 2)) return false;
  const std::optional<size_t> axis = stacks ? dimension_of(n.attr_or("axis", int64_t{0}), out->size())
                                            : known_dimension(low, n, n.inputs.size() - 1, out->size());
  if (!axis) return false;
  const auto a = static_cast<int64_t>(*axis);
  Concat concat{.outer = elements(Shape(out->begin(), out->begin() + a)), .channels = out->empty() ? 1 : out->back()};
  concat.along_channels = a + 1 == static_cast<int64_t>(out->size());
  std::vector<Value> inputs;
  for (auto v = n.inputs.begin(); v != n.inputs.end() - (stacks ? 0 : 1); ++v) {
    const Shape* in = low.float_shape(*v);
    if (!in || in->size() + (stacks ? 1 : 0) != out->size()) return false;
    concat.parts.push_back({elements(Shape(in->begin() + a, in->end()))});
    if (const Tensor* constant = low.constant(*v))
      concat.parts.back().constant = *constant;
    else
      inputs.push_back(*v);
  }
  if (inputs.empty()) return false;
  const bool of_floats = stacks || inputs.size() < concat.parts.size() || elements(*out) == 0;
  const DataMovement movement = concat.along_channels ? DataMovement::joined_channels : DataMovement::same_channels;
  const auto make = [concat = std::move(concat)](const LayerIo& io) { return make_concat(concat, io.inputs, io.output); };
  if (of_floats) {
    claim(low, id, inputs, make);
    return true;
  }
  Layer& layer = claim_rows(low, id, inputs, make);
  layer.movement = movement;
  layer.as<RowOp>()->joins = true;
  return true;
}

//   x ─▶ QuantizeV2 ─▶ Dequantize
bool match_fake_quant(Lowering& low, NodeId id) {
  const std::optional<FakeQuantValue> fake_quant = fake_quant_value(low.graph, {id, 0});
  if (!fake_quant || low.constant(fake_quant->input)) return false;
  const Shape *in = low.float_shape(fake_quant->input), *out = low.float_shape({id, 0});
  if (!in || !out || elements(*out) == 0) return false;
  Layer& layer = low.add_layer({id, 0}, WeightedSum{{{fake_quant->input}}}, {id, low.graph.node(id).inputs[0].node});
  layer.fake_quant[fake_quant->input] = fake_quant->quant;
  return true;
}

}  // namespace cytodet::exec
