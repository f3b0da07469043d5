// Cells of recurrent networks. LSTM's gates lie in the weights as LstmForm says; GRU's as r, u.
#include "graph/ir/lstm_form.h"
#include "graph/ops/eval_helpers.h"

namespace cytodet::graph::ops {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

struct Lstm {
  const Tensor &w, &wci, &wcf, &wco, &b;
  const LstmForm form;
  int64_t units, inputs;

  Lstm(const OpCall& call, size_t first, int64_t inputs_, int64_t units_)
      : w(input(call, first)),
        wci(input(call, first + 1)),
        wcf(input(call, first + 2)),
        wco(input(call, first + 3)),
        b(input(call, first + 4)),
        form(lstm_form(call.node)),
        units(units_),
        inputs(inputs_) {
    need(w.rank() == 2 && w.dim(0) == inputs + units && w.dim(1) == 4 * units && b.size() == 4 * units,
         "weights do not fit inputs and units");
    need(!form.use_peephole || (wci.size() == units && wcf.size() == units && wco.size() == units),
         "peephole weights do not fit the units");
    need(w.dtype() == b.dtype() &&
             (!form.use_peephole || (wci.dtype() == w.dtype() && wcf.dtype() == w.dtype() && wco.dtype() == w.dtype())),
         "weights differ in type");
  }

  // One step of one row; outputs point to `units` values each: i, cs, f, o, ci, co, h.
  template <class T>
  void step(const T* x, const T* cs_prev, const T* h_prev, const std::array<T*, 7>& out) const {
    std::vector<double> gates(static_cast<size_t>(4 * units));
    for (int64_t j = 0; j < 4 * units; ++j) gates[static_cast<size_t>(j)] = widen(b.data<T>()[j]);
    for (int64_t k = 0; k < inputs + units; ++k) {
      const double v = widen(k < inputs ? x[k] : h_prev[k - inputs]);
      for (int64_t j = 0; j < 4 * units; ++j) gates[static_cast<size_t>(j)] += v * widen(w.data<T>()[k * 4 * units + j]);
    }
    auto put = [](T& to, double v) { to = static_cast<T>(static_cast<wide_t<T>>(v)); };
    for (int64_t u = 0; u < units; ++u) {
      auto gate = [&](int64_t g) { return gates[static_cast<size_t>(g * units + u)]; };
      const double before = widen(cs_prev[u]), pi = form.use_peephole ? before * widen(wci.data<T>()[u]) : 0,
                   pf = form.use_peephole ? before * widen(wcf.data<T>()[u]) : 0;
      const double i = sigmoid(gate(form.i) + pi), f = sigmoid(gate(form.f) + double{form.forget_bias} + pf),
                   ci = std::tanh(gate(form.c));
      double cs = ci * i + before * f;
      if (const double clip = form.cell_clip; clip > 0) cs = std::clamp(cs, -clip, clip);
      const double o = sigmoid(gate(form.o) + (form.use_peephole ? cs * widen(wco.data<T>()[u]) : 0)), co = std::tanh(cs);
      put(out[0][u], i), put(out[1][u], cs), put(out[2][u], f), put(out[3][u], o), put(out[4][u], ci), put(out[5][u], co),
          put(out[6][u], co * o);
    }
  }
};

void eval_lstm_cell(OpCall& call) {
  const Tensor &x = input(call, 0), &cs = input(call, 1), &h = input(call, 2);
  need(x.rank() == 2 && cs.rank() == 2 && h.shape() == cs.shape() && x.dim(0) == cs.dim(0) && x.dtype() == cs.dtype() &&
           x.dtype() == h.dtype(),
       "x, cs_prev and h_prev do not fit");
  const Lstm cell(call, 3, x.dim(1), cs.dim(1));
  need(cell.w.dtype() == x.dtype(), "weights differ in type from x");
  call.out.clear();
  for (int k = 0; k < 7; ++k) call.out.emplace_back(x.dtype(), cs.shape());
  on_floats(x.dtype(), [&]<class T>() {
    for (int64_t r = 0; r < x.dim(0); ++r) {
      std::array<T*, 7> out;
      for (size_t k = 0; k < 7; ++k) out[k] = call.out[k].data<T>() + r * cell.units;
      cell.step<T>(x.data<T>() + r * cell.inputs, cs.data<T>() + r * cell.units, h.data<T>() + r * cell.units, out);
    }
  });
}
void infer_lstm_cell(InferCall& call) {
  call.out.assign(7, call.in.size() > 1 ? fact(call.in[1].dtype, call.in[1].shape) : Fact{});
}

// Steps past seq_len_max give zeros.
void eval_block_lstm(OpCall& call) {
  const Tensor &length = input(call, 0), &x = input(call, 1), &cs = input(call, 2), &h = input(call, 3);
  need(x.rank() == 3 && cs.rank() == 2 && h.shape() == cs.shape() && x.dim(1) == cs.dim(0) && x.dtype() == cs.dtype() &&
           x.dtype() == h.dtype(),
       "x, cs_prev and h_prev do not fit");
  const Lstm cell(call, 4, x.dim(2), cs.dim(1));
  need(cell.w.dtype() == x.dtype(), "weights differ in type from x");
  const int64_t steps = length.as_int(), batch = x.dim(1), plane = batch * cell.units;
  need(steps >= 0 && steps <= x.dim(0), "seq_len_max is out of range");
  call.out.clear();
  for (int k = 0; k < 7; ++k) call.out.emplace_back(x.dtype(), Shape{x.dim(0), batch, cell.units});
  on_floats(x.dtype(), [&]<class T>() {
    for (int64_t t = 0; t < steps; ++t)
      for (int64_t r = 0; r < batch; ++r) {
        std::array<T*, 7> out;
        for (size_t k = 0; k < 7; ++k) out[k] = call.out[k].data<T>() + t * plane + r * cell.units;
        cell.step<T>(x.data<T>() + (t * batch + r) * cell.inputs, (t ? out[1] - plane : cs.data<T>() + r * cell.units),
                     (t ? out[6] - plane : h.data<T>() + r * cell.units), out);
      }
  });
}

void infer_block_lstm(InferCall& call) {
  call.out.assign(7, fact(input_type(call, 1), Shape{known_dim(call, 1, 0), known_dim(call, 1, 1), known_dim(call, 2, 1)}));
}

void eval_gru_cell(OpCall& call) {
  const Tensor &x = input(call, 0), &h = input(call, 1), &w_ru = input(call, 2), &w_c = input(call, 3), &b_ru = input(call, 4),
               &b_c = input(call, 5);
  need(x.rank() == 2 && h.rank() == 2 && x.dim(0) == h.dim(0), "x and h_prev do not fit");
  const int64_t inputs = x.dim(1), units = h.dim(1);
  need(w_ru.shape() == Shape({inputs + units, 2 * units}) && w_c.shape() == Shape({inputs + units, units}) &&
           b_ru.size() == 2 * units && b_c.size() == units,
       "weights do not fit");
  for (const Tensor& t : call.in) need(t.dtype() == x.dtype(), "inputs differ in type");
  for (int k = 0; k < 4; ++k) call.out.emplace_back(x.dtype(), h.shape());
  on_floats(x.dtype(), [&]<class T>() {
    auto put = [](T& to, double v) { to = static_cast<T>(static_cast<wide_t<T>>(v)); };
    for (int64_t row = 0; row < x.dim(0); ++row) {
      std::vector<double> ru(static_cast<size_t>(2 * units)), c(static_cast<size_t>(units));
      const T *in = x.data<T>() + row * inputs, *prev = h.data<T>() + row * units;
      for (int64_t j = 0; j < 2 * units; ++j) {
        double sum = widen(b_ru.data<T>()[j]);
        for (int64_t k = 0; k < inputs + units; ++k)
          sum += static_cast<double>(widen(k < inputs ? in[k] : prev[k - inputs])) * widen(w_ru.data<T>()[k * 2 * units + j]);
        ru[static_cast<size_t>(j)] = sigmoid(sum);
      }
      for (int64_t u = 0; u < units; ++u) {
        double sum = widen(b_c.data<T>()[u]);
        for (int64_t k = 0; k < inputs + units; ++k)
          sum +=
              (k < inputs ? static_cast<double>(widen(in[k])) : widen(prev[k - inputs]) * ru[static_cast<size_t>(k - inputs)]) *
              widen(w_c.data<T>()[k * units + u]);
        const double r = ru[static_cast<size_t>(u)], z = ru[static_cast<size_t>(units + u)], candidate = std::tanh(sum);
        const int64_t at = row * units + u;
        put(call.out[0].data<T>()[at], r), put(call.out[1].data<T>()[at], z), put(call.out[2].data<T>()[at], candidate);
        put(call.out[3].data<T>()[at], z * widen(prev[u]) + (1 - z) * candidate);
      }
    }
  });
}
void infer_gru_cell(InferCall& call) {
  call.out.assign(4, call.in.size() > 1 ? fact(call.in[1].dtype, call.in[1].shape) : Fact{});
}

}  // namespace

const std::vector<Op>& rnn_ops() {
  static const std::vector<Op> rows = {
      {"BlockLSTM", infer_block_lstm, eval_block_lstm},
      {"BlockLSTMV2", infer_block_lstm, eval_block_lstm},
      {"GRUBlockCell", infer_gru_cell, eval_gru_cell},
      {"LSTMBlockCell", infer_lstm_cell, eval_lstm_cell},
  };
  return rows;
}

}  // namespace cytodet::graph::ops
