#include <algorithm>

#include "exec/lower/match.h"
#include "exec/steps/lstm_step.h"
#include "graph/ir/lstm_form.h"

namespace cytodet::exec {
namespace {

// Inputs and outputs of BlockLSTM and BlockLSTMV2.
enum LstmInput : size_t { kLength, kX, kCs, kH, kWeights, kPeepholes, kBias = 8 };
enum LstmOutput { kCsOut = 1, kHOut = 6, kLstmOutputs };

// Whether nobody reads an output besides h and cs.
bool gates_are_unread(const Lowering& low, NodeId id) {
  for (int slot = 0; slot < kLstmOutputs; ++slot)
    if (slot != kCsOut && slot != kHOut && (low.is_wanted({id, slot}) || !low.uses.of(Value{id, slot}).empty())) return false;
  return true;
}

const Tensor* float_constant(const Lowering& low, Value v, int64_t rank) {
  const Tensor* t = low.constant(v);
  return t && t->dtype() == DType::f32 && t->rank() == rank ? t : nullptr;
}

}  // namespace

//   length, x [steps, batch, inputs], cs, h, constant w [inputs + units, 4 * units], ... ─▶ BlockLSTM | BlockLSTMV2 ─▶ cs, h
bool match_lstm(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  const LstmForm form = graph::lstm_form(n);
  if ((n.op != "BlockLSTM" && n.op != "BlockLSTMV2") || n.inputs.size() != 9 || form.use_peephole) return false;
  const Tensor *weights = float_constant(low, n.inputs[kWeights], 2), *bias = float_constant(low, n.inputs[kBias], 1);
  if (!weights || !bias || !gates_are_unread(low, id)) return false;
  const int64_t units = bias->size() / 4;
  if (units < 1 || bias->size() != 4 * units || weights->dim(1) != 4 * units || weights->dim(0) <= units) return false;
  for (size_t i : {kX, kCs, kH})
    if (!low.open_float_shape(n.inputs[i])) return false;
  require_finite(*weights, n.name);
  require_finite(*bias, n.name);
  Lstm lstm{*weights, {bias->data<float>(), bias->data<float>() + bias->size()}, units};
  for (const auto& [gate, block] : {std::pair(0, form.i), {1, form.f}, {2, form.o}, {3, form.c}}) lstm.gate[gate] = block;
  for (int64_t u = 0; u < units; ++u) lstm.bias[static_cast<size_t>(form.f * units + u)] += form.forget_bias;
  lstm.clip = std::max(0.0f, form.cell_clip);
  const Value h{id, kHOut}, cs{id, kCsOut};
  const bool cs_read = low.is_wanted(cs) || !low.uses.of(cs).empty();
  Opaque kind{{n.inputs[kLength], n.inputs[kX], n.inputs[kCs], n.inputs[kH]}, {}};
  kind.second = cs_read ? cs : kNoValue;
  kind.make = [lstm](const LayerIo& io) {
    const auto in = [&](size_t i) { return io.inputs[i].tensor; };
    return make_lstm(lstm, {in(0), in(1), in(2), in(3), io.output.tensor, io.second});
  };
  low.add_layer(h, std::move(kind), {id});
  return true;
}

}  // namespace cytodet::exec
