#include "exec/steps/lstm_step.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "exec/kernels/pack_weights.h"

namespace cytodet::exec {
namespace {

// Columns of the weights that one product computes: [k, n] packed, and the bias padded.
struct PackedColumns {
  int64_t k = 0, n = 0;
  FloatBuffer weights, bias;
  PackedF32Weights matrix() const { return {weights.data(), k, n}; }
};

// The gates i, f and o are one product with a sigmoid behind it. c is another with columns twice as large, for tanh(x) = 2 *
// sigmoid(2 x) - 1: absolute error 2e-7.
class LstmStep : public Step {
 public:
  LstmStep(const Lstm& lstm, const LstmTensors& tensors)
      : t_(tensors), set_(kernels()), units_(lstm.units), inputs_(lstm.weights.dim(0) - lstm.units), clip_(lstm.clip) {
    inputs = {t_.length, t_.x, t_.cs, t_.h};
    outputs = {t_.out_h};
    if (t_.out_cs >= 0) outputs.push_back(t_.out_cs);
    info.kernel = "lstm";
    info.macs = lstm.weights.size();  // of one step of one row
    info.bytes = lstm.weights.size() * int64_t{sizeof(float)};
    const std::vector<int> sigmoids(lstm.gate, lstm.gate + 3), candidate(lstm.gate + 3, lstm.gate + 4);
    for (int part : {0, 1}) {
      const int64_t first = part == 0 ? 0 : inputs_, rows = part == 0 ? inputs_ : units_;
      gates_[part] = columns(lstm, sigmoids, first, rows, 1, part == 0);
      candidates_[part] = columns(lstm, candidate, first, rows, 2, part == 0);
    }
  }

  void run(RunContext& context) const override {
    const Tensor &x = at(context, t_.x), &cs = at(context, t_.cs), &h = at(context, t_.h);
    const int64_t length = require(at(context, t_.length), x, cs, h);
    const int64_t steps = x.dim(0), batch = x.dim(1);
    float* out_h = open_output(context, t_.out_h, {steps, batch, units_}).data<float>();
    float* out_cs = t_.out_cs < 0 ? nullptr : open_output(context, t_.out_cs, {steps, batch, units_}).data<float>();
    const int64_t state = batch * units_;  // elements
    Memory m(length * batch, batch, units_);
    product_of_inputs(context, x.data<float>(), length * batch, m);
    std::memcpy(m.cs.data(), cs.data<float>(), static_cast<size_t>(state) * sizeof(float));
    for (int64_t t = 0; t < length; ++t) {
      const float* before = t == 0 ? h.data<float>() : out_h + (t - 1) * state;
      product_of_state(before, t * batch, batch, m);
      advance(batch, m, out_h + t * state);
      if (out_cs) std::memcpy(out_cs + t * state, m.cs.data(), static_cast<size_t>(state) * sizeof(float));
    }
    std::fill(out_h + length * state, out_h + steps * state, 0.0f);
    if (out_cs) std::fill(out_cs + length * state, out_cs + steps * state, 0.0f);
  }

 private:
  struct Memory {
    FloatBuffer x_gates, x_candidates;  // [steps * batch][3 * units], [steps * batch][units]: what the inputs give
    FloatBuffer gates, candidates;      // [batch][3 * units], [batch][units]: of one step, with what the state gives
    FloatBuffer cs, tanh_cs;            // [batch][units]
    Memory(int64_t rows, int64_t batch, int64_t units)
        : x_gates(rows * 3 * units),
          x_candidates(rows * units),
          gates(batch * 3 * units),
          candidates(batch * units),
          cs(batch * units),
          tanh_cs(batch * units) {}
  };

  static const Tensor& at(const RunContext& context, int id) { return context.tensors[static_cast<size_t>(id)]; }

  // How many steps run.
  int64_t require(const Tensor& length, const Tensor& x, const Tensor& cs, const Tensor& h) const {
    if (x.rank() != 3 || x.dim(2) != inputs_ || cs.shape() != Shape{x.dim(1), units_} || h.shape() != cs.shape())
      throw Error("node " + info.name, "x " + to_string(x.shape()) + ", cs_prev " + to_string(cs.shape()) + " and h_prev " +
                                           to_string(h.shape()) + " do not fit weights of " + std::to_string(inputs_) +
                                           " inputs and " + std::to_string(units_) + " units");
    const int64_t steps = length.size() == 1 ? length.as_int() : -1;
    if (steps < 0 || steps > x.dim(0)) throw Error("node " + info.name, "seq_len_max is out of range");
    return steps;
  }

  // Rows [first, first + rows) of the weights, the columns of some gates one after another, all times `factor`.
  PackedColumns columns(const Lstm& lstm, const std::vector<int>& gates, int64_t first, int64_t rows, float factor,
                        bool biased) const {
    PackedColumns c;
    c.k = rows;
    c.n = static_cast<int64_t>(gates.size()) * units_;
    std::vector<float> chosen(static_cast<size_t>(c.k * c.n));
    c.bias = FloatBuffer((c.n + set_.panel - 1) / set_.panel * set_.panel);
    for (size_t g = 0; g < gates.size(); ++g)
      for (int64_t u = 0; u < units_; ++u) {
        const int64_t from = gates[g] * units_ + u, to = static_cast<int64_t>(g) * units_ + u;
        for (int64_t r = 0; r < rows; ++r)
          chosen[static_cast<size_t>(r * c.n + to)] = lstm.weights.data<float>()[(first + r) * 4 * units_ + from] * factor;
        if (biased) c.bias.data()[to] = lstm.bias[static_cast<size_t>(from)] * factor;
      }
    c.weights = FloatBuffer(packed_f32_size(c.k, c.n, set_.panel));
    pack_f32_weights(chosen.data(), c.k, c.n, set_.panel, c.weights.data());
    return c;
  }

  void multiply(const float* a, int64_t rows, const PackedColumns& b, float* c, const Epilogue& e) const {
    set_.gemm(a, b.k, rows, b.matrix(), 0, (b.n + set_.panel - 1) / set_.panel, c, b.n, e);
  }

  void product_of_inputs(RunContext& context, const float* x, int64_t rows, Memory& m) const {
    for_each_chunk(context.threads, rows, kRows, [&](int64_t begin, int64_t end, int) {
      const auto part = [&](const PackedColumns& b, float* c) {
        multiply(x + begin * inputs_, end - begin, b, c + begin * b.n, {b.bias.data(), Act::none});
      };
      part(gates_[0], m.x_gates.data());
      part(candidates_[0], m.x_candidates.data());
    });
  }

  // The gates and the candidate of the step whose inputs' rows begin at `first`.
  void product_of_state(const float* before, int64_t first, int64_t batch, Memory& m) const {
    const auto part = [&](const PackedColumns& b, const float* of_inputs, float* c) {
      Epilogue e{b.bias.data(), Act::sigmoid};
      e.residual = of_inputs + first * b.n;
      e.residual_stride = b.n;
      e.residual_first = true;
      multiply(before, batch, b, c, e);
    };
    part(gates_[1], m.x_gates.data(), m.gates.data());
    part(candidates_[1], m.x_candidates.data(), m.candidates.data());
  }

  // cs and h after a step.
  void advance(int64_t batch, Memory& m, float* h) const {
    for (int64_t row = 0; row < batch; ++row) {
      const float *i = m.gates.data() + row * 3 * units_, *f = i + units_, *c = m.candidates.data() + row * units_;
      float* cs = m.cs.data() + row * units_;
      for (int64_t u = 0; u < units_; ++u) cs[u] = f[u] * cs[u] + i[u] * (2 * c[u] - 1);
      if (clip_ > 0)
        for (int64_t u = 0; u < units_; ++u) cs[u] = std::clamp(cs[u], -clip_, clip_);
    }
    const WeightedRow twice{m.cs.data(), 2};
    set_.weighted_sum_row(&twice, 1, Act::sigmoid, m.tanh_cs.data(), batch, units_);
    for (int64_t row = 0; row < batch; ++row) {
      const float *o = m.gates.data() + (row * 3 + 2) * units_, *s = m.tanh_cs.data() + row * units_;
      for (int64_t u = 0; u < units_; ++u) h[row * units_ + u] = o[u] * (2 * s[u] - 1);
    }
  }

  static constexpr int64_t kRows = 28;  // whole tiles of rows

  const LstmTensors t_;
  const KernelSet& set_;
  const int64_t units_, inputs_;
  const float clip_;
  PackedColumns gates_[2], candidates_[2];  // of the inputs, with the bias; of the state before
};

}  // namespace

std::unique_ptr<Step> make_lstm(const Lstm& lstm, const LstmTensors& tensors) {
  return std::make_unique<LstmStep>(lstm, tensors);
}

}  // namespace cytodet::exec
