// Recurrent layers.
#include <algorithm>
#include <array>

#include "core/error.h"
#include "graph/io/onnx/write/emit.h"
#include "graph/ir/lstm_form.h"

namespace cytodet::graph::onnx {
namespace {

// For each gate in ONNX's order, i, o, f, c: its block of columns in the weights (LstmForm).
using GateBlocks = std::array<int, 4>;

// Rows [first, first + rows) of w [.., 4 * units], transposed and in ONNX's order: [1, 4 * units, rows].
Tensor gate_rows(const Tensor& w, const GateBlocks& blocks, int64_t first, int64_t rows) {
  const int64_t columns = w.dim(1), units = columns / 4;
  Tensor out(DType::f32, {1, columns, rows});
  for (int64_t gate = 0; gate < 4; ++gate)
    for (int64_t u = 0; u < units; ++u)
      for (int64_t r = 0; r < rows; ++r)
        out.data<float>()[(gate * units + u) * rows + r] =
            w.data<float>()[(first + r) * columns + blocks[static_cast<size_t>(gate)] * units + u];
  return out;
}

const Tensor& float_constant(const Emit& e, size_t input, int64_t rank) {
  const Tensor& t = e.need_constant(input);
  if (t.dtype() != DType::f32 || t.rank() != rank)
    throw Error("", "has weights of another shape or type", "the graph is damaged");
  return t;
}

// length, x, cs, h, w, wci, wcf, wco, b -> LSTM, of which the states h are written.
void emit_block_lstm(Emit& e) {
  if (e.n.inputs.size() != 9) throw Error("", "has not nine inputs", "the graph is damaged");
  const LstmForm form = lstm_form(e.n);
  for (NodeId id : e.graph.ids())
    for (Value v : e.graph.node(id).inputs)
      if (v.node == e.id && v.slot != 6) throw Error("", "gives more than its states h", "ONNX has them of the last step alone");
  const Tensor &w = float_constant(e, 4, 2), &b = float_constant(e, 8, 1), &length = e.need_constant(0);
  const Shape x = e.fact(1).shape.value_or(Shape{});
  if (x.size() != 3 || length.size() != 1 || length.as_int() != x[0])
    throw Error("", "runs over a part of its sequence, or its length is not known", "state the sizes of the inputs: --input");
  if (form.cell_clip > 0) throw Error("", "clips its cells", "ONNX's LSTM does not");
  const GateBlocks blocks = {form.i, form.o, form.f, form.c};
  const int64_t units = b.size() / 4, inputs = w.dim(0) - units;
  if (units < 1 || inputs < 1 || b.size() != 4 * units || w.dim(1) != b.size())
    throw Error("", "has weights that do not fit each other", "the graph is damaged");
  const Tensor biases = gate_rows(b.reshaped({1, b.size()}), blocks, 0, 1);
  Tensor both(DType::f32, {1, 8 * units});  // of the inputs, and zeros of the states
  std::copy_n(biases.data<float>(), 4 * units, both.data<float>());
  for (int64_t u = 0; u < units; ++u) both.data<float>()[2 * units + u] += form.forget_bias;
  const auto state = [&](size_t input) { return e.add("Unsqueeze", {e.in(input), e.ints({0})}); };
  std::vector<std::string> in{e.in(1),
                              e.held("W", gate_rows(w, blocks, 0, inputs)),
                              e.held("R", gate_rows(w, blocks, inputs, units)),
                              e.held("B", both),
                              "",
                              state(3),
                              state(2)};
  if (form.use_peephole) {
    Tensor peepholes(DType::f32, {1, 3 * units});
    for (size_t i : {0, 1, 2}) {  // i, o, f
      const Tensor& p = float_constant(e, i == 0 ? 5 : i == 1 ? 7 : 6, 1);
      if (p.size() != units) throw Error("", "has peepholes that do not fit its units", "the graph is damaged");
      std::copy_n(p.data<float>(), units, peepholes.data<float>() + static_cast<int64_t>(i) * units);
    }
    in.push_back(e.held("P", peepholes));
  }
  e.one_of("Squeeze", {e.add("LSTM", in, {{"hidden_size", units}}), e.ints({1})}, {}, 6);
}

}  // namespace

const std::vector<EmitEntry>& emit_recurrent_entries() {
  static const std::vector<EmitEntry> entries = {{"BlockLSTM", emit_block_lstm}, {"BlockLSTMV2", emit_block_lstm}};
  return entries;
}

}  // namespace cytodet::graph::onnx
