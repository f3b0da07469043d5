// RNN, GRU and LSTM: one matrix product for the inputs of all steps, then one step after another (repeat.h).
#include <algorithm>
#include <array>

#include "graph/io/onnx/op_table.h"
#include "graph/io/onnx/ops/repeat.h"

namespace cytodet::graph::onnx {
namespace {

constexpr int64_t kGateAxis = 1;  // of [batch, gates * units]

// One direction of a layer, its values as a step sees them.
struct Cell {
  Builder& b;
  int64_t gates, units;
  std::vector<std::string> activations;
  Value weights;                     // [units, gates * units]: of the state before
  std::optional<Value> peepholes;    // [3 * units], LSTM: for the gates i, o, f
  std::optional<Value> hidden_bias;  // [gates * units], GRU with linear_before_reset: added to the product with the state

  Value product(Value h) const { return b.add("MatMul", {h, weights}); }
  std::vector<Value> parts(Value x) const {
    if (gates == 1) return {x};
    const Value split = b.add("Split", {b.int32(kGateAxis), x}, {{"num_split", gates}});
    std::vector<Value> all;
    for (int64_t g = 0; g < gates; ++g) all.push_back(Builder::output(split, static_cast<int>(g)));
    return all;
  }
  Value activated(size_t which, Value x) const { return b.add(activations[which], {x}); }
  Value sum(Value x, Value y) const { return b.add("AddV2", {x, y}); }
  Value times(Value x, Value y) const { return b.add("Mul", {x, y}); }
};

// A step: what the inputs give to the gates, [batch, gates * units], and the states -> the states after it.
using Step = std::vector<Value> (*)(const Cell&, Value x, const std::vector<Value>& states);

std::vector<Value> rnn_step(const Cell& k, Value x, const std::vector<Value>& states) {
  return {k.activated(0, k.sum(x, k.product(states[0])))};
}

// z, r, h: new h = (1 - z) * candidate + z * h = candidate + z * (h - candidate).
std::vector<Value> gru_step(const Cell& k, Value x, const std::vector<Value>& states) {
  const Value h = states[0];
  const std::vector<Value> in = k.parts(x);
  Value z, candidate;
  if (k.hidden_bias) {  // linear_before_reset: the product is reset
    const std::vector<Value> own = k.parts(k.sum(k.product(h), *k.hidden_bias));
    z = k.activated(0, k.sum(in[0], own[0]));
    const Value r = k.activated(0, k.sum(in[1], own[1]));
    candidate = k.activated(1, k.sum(in[2], k.times(r, own[2])));
  } else {  // what is multiplied is reset
    const Value zr = k.b.slice(k.weights, 1, 0, 2 * k.units), c = k.b.slice(k.weights, 1, 2 * k.units, 3 * k.units);
    const Value own = k.b.add("MatMul", {h, zr});
    z = k.activated(0, k.sum(in[0], k.b.slice(own, kGateAxis, 0, k.units)));
    const Value r = k.activated(0, k.sum(in[1], k.b.slice(own, kGateAxis, k.units, 2 * k.units)));
    candidate = k.activated(1, k.sum(in[2], k.b.add("MatMul", {k.times(r, h), c})));
  }
  return {k.sum(candidate, k.times(z, k.b.add("Sub", {h, candidate})))};
}

// i, o, f, c. Peepholes: i and f look at the cell before, o at the one after.
std::vector<Value> lstm_step(const Cell& k, Value x, const std::vector<Value>& states) {
  const Value cell = states[1];
  std::vector<Value> g = k.parts(k.sum(x, k.product(states[0])));
  const auto look = [&](size_t gate, Value at, int64_t part) {
    if (k.peepholes) g[gate] = k.sum(g[gate], k.times(at, k.b.slice(*k.peepholes, 0, part * k.units, (part + 1) * k.units)));
  };
  look(0, cell, 0), look(2, cell, 2);
  const Value i = k.activated(0, g[0]), f = k.activated(0, g[2]), candidate = k.activated(1, g[3]);
  const Value after = k.sum(k.times(f, cell), k.times(i, candidate));
  look(1, after, 1);
  return {k.times(k.activated(0, g[1]), k.activated(2, after)), after};
}

struct CellKind {
  int64_t gates;
  size_t states;
  std::vector<const char*> activations;  // when none are stated
  Step step;
};

// A whole layer: X [steps, batch, inputs], W [directions, gates * units, inputs], R [directions, gates * units, units],
// B [directions, 2 * gates * units], sequence_lens [batch], initial_h and initial_c [directions, batch, units], P. The state is
// what a sequence has at its end; outputs past it are 0. Steps of the other direction come from the last to the first: those past
// the end leave the state as it is.
class Layer {
 public:
  Layer(Call& c, const CellKind& kind) : c_(c), b_(c.b), kind_(kind), rows_first_(c.flag("layout", false)) {
    refuse_attributes();
    const std::string direction = c.text("direction", "forward");
    if (direction != "forward" && direction != "reverse" && direction != "bidirectional")
      refuse("has direction " + direction, "the model is damaged");
    directions_ = direction == "bidirectional" ? 2 : 1;
    reverse_ = direction == "reverse";
    x_ = turned(c.in_of_rank(0, 3));
    if (b_.rank(c.in(2)) != 3)
      refuse("has weights of " + std::to_string(b_.rank(c.in(2))) + " dimensions", "the model is damaged");
    units_ = b_.dims(c.in(2))[2];
    check_shapes();
    steps_ = b_.dimension(x_, 0);
    if (c.has(4)) lengths_ = b_.cast(c.in(4), DType::i64);
  }

  void run() {
    std::vector<Value> lists;
    std::vector<std::vector<Value>> last(kind_.states);
    for (int64_t d = 0; d < directions_; ++d) {
      const Repeated done = run_direction(d, reverse_ || d == 1);
      lists.push_back(done.items.at(0));
      for (size_t s = 0; s < kind_.states; ++s) last[s].push_back(done.states[s]);
    }
    if (c_.wants(0)) {  // [steps, directions, batch, units]
      const Value y = b_.add("Pack", lists, {{"axis", 1}});
      c_.set(0, rows_first_ ? b_.transpose(y, {2, 0, 1, 3}) : y);
    }
    for (size_t s = 0; s < kind_.states; ++s) c_.set(s + 1, turned(b_.add("Pack", last[s], {{"axis", 0}})));
  }

 private:
  // v [steps, batch, ...] of a model that gives it as [batch, steps, ...] with layout 1, and back. Throws where v has not three
  // dimensions.
  Value turned(Value v) const {
    if (b_.rank(v) != 3) refuse("has an input of " + std::to_string(b_.rank(v)) + " dimensions, not 3", "the model is damaged");
    return rows_first_ ? b_.transpose(v, {1, 0, 2}) : v;
  }

  void refuse_attributes() const {
    for (const char* name : {"activation_alpha", "activation_beta"})
      if (!c_.reals(name).empty()) refuse(std::string("has the attribute ") + name);
    if (c_.has_attr("clip")) refuse("has the attribute clip");
    if (c_.flag("input_forget", false)) refuse("has the attribute input_forget");
  }

  void check_shapes() const {
    const int64_t gates = kind_.gates * units_;
    const auto check = [&](size_t input, const Shape& wanted) {
      if (!c_.has(input) || !b_.fact(c_.in(input)).shape) return;
      const Shape s = b_.dims(c_.in(input));
      bool good = s.size() == wanted.size();
      for (size_t d = 0; good && d < s.size(); ++d) good = wanted[d] < 0 || s[d] < 0 || s[d] == wanted[d];
      if (!good)
        refuse("has an input " + std::to_string(input) + " of shape " + to_string(s) + ", not " + to_string(wanted),
               "the model is damaged");
    };
    if (units_ < 1 || c_.integer("hidden_size", units_) != units_)
      refuse("has weights that do not fit its hidden_size", "the model is damaged");
    check(1, {directions_, gates, -1});
    check(2, {directions_, gates, units_});
    check(3, {directions_, 2 * gates});
    check(4, {-1});
    for (size_t s = 0; s < kind_.states; ++s)
      check(5 + s, rows_first_ ? Shape{-1, directions_, units_} : Shape{directions_, -1, units_});
    if (kind_.states == 2) check(7, {directions_, 3 * units_});
  }

  std::vector<std::string> activations_of(int64_t direction) const {
    static constexpr std::array<std::pair<const char*, const char*>, 5> kKnown = {
        {{"relu", "Relu"}, {"sigmoid", "Sigmoid"}, {"softplus", "Softplus"}, {"softsign", "Softsign"}, {"tanh", "Tanh"}}};
    const size_t count = kind_.activations.size();
    std::vector<std::string> names(kind_.activations.begin(), kind_.activations.end());
    if (const OnnxAttr* a = c_.find("activations")) {
      const auto* stated = std::get_if<std::vector<std::string>>(a);
      if (!stated || stated->size() != count * static_cast<size_t>(directions_))
        refuse("has activations that do not fit its directions", "the model is damaged");
      const auto first = stated->begin() + direction * static_cast<long>(count);
      names.assign(first, first + static_cast<long>(count));
    }
    for (std::string& name : names) {
      std::string lower = name;
      std::transform(lower.begin(), lower.end(), lower.begin(),
                     [](char ch) { return ch >= 'A' && ch <= 'Z' ? static_cast<char>(ch + 32) : ch; });
      const auto it = std::find_if(kKnown.begin(), kKnown.end(), [&](const auto& entry) { return lower == entry.first; });
      if (it == kKnown.end()) refuse("has the activation " + name, "Relu, Sigmoid, Softplus, Softsign and Tanh are read");
      name = it->second;
    }
    return names;
  }

  // Entry d of what there is one of per direction.
  Value of_direction(Value v, int64_t d) const { return b_.squeeze(b_.slice(v, 0, d, d + 1), {0}); }

  Cell cell_of(int64_t d) const {
    Cell cell{b_, kind_.gates, units_, activations_of(d), b_.transpose(of_direction(c_.in(2), d), {1, 0}), {}, {}};
    if (kind_.states == 2 && c_.has(7)) cell.peepholes = of_direction(c_.in(7), d);
    if (kind_.gates == 3 && c_.flag("linear_before_reset", false)) cell.hidden_bias = bias(d, 1);
    return cell;
  }

  // Biases of the inputs (0) or of the state before (1): [gates * units].
  Value bias(int64_t d, int64_t which) const {
    const int64_t gates = kind_.gates * units_;
    if (!c_.has(3)) return b_.add("Fill", {b_.ints({gates}), b_.number(0, x_)});
    return b_.slice(of_direction(c_.in(3), d), 0, which * gates, (which + 1) * gates);
  }

  // What the inputs of all steps give to the gates, with all biases that may be added here: [steps, batch, gates * units].
  Value products_of_inputs(int64_t d, const Cell& cell) const {
    const int64_t inputs = b_.dims(c_.in(1)).at(2), gates = kind_.gates * units_;
    Value y = b_.add("MatMul", {b_.reshape(x_, {-1, inputs}), b_.transpose(of_direction(c_.in(1), d), {1, 0})});
    if (c_.has(3)) y = b_.add("AddV2", {y, cell.hidden_bias ? bias(d, 0) : b_.add("AddV2", {bias(d, 0), bias(d, 1)})});
    const Shape s = b_.dims(x_);
    if (s[0] >= 0 || s[1] >= 0) return b_.reshape(y, {s[0], s[1], gates});
    const Value sizes = b_.add("ConcatV2", {b_.ints({-1}), b_.reshape(b_.dimension(x_, 1), {1}), b_.ints({gates}), b_.int32(0)});
    return b_.add("Reshape", {y, sizes});
  }

  Value first_state(size_t input, int64_t d) const {
    if (c_.has(input)) return of_direction(turned(c_.in_of_rank(input, 3)), d);
    const Value sizes = b_.add("ConcatV2", {b_.reshape(b_.dimension(x_, 1), {1}), b_.ints({units_}), b_.int32(0)});
    return b_.add("Fill", {sizes, b_.number(0, x_)});
  }

  // Whether it is what BlockLSTMV2 computes: sequences of one length, and the usual activations.
  bool is_block_lstm(const Cell& cell) const {
    static const std::vector<std::string> kUsual = {"Sigmoid", "Tanh", "Tanh"};
    const bool may_be_empty = b_.dims(x_)[0] < 1 && (c_.wants(1) || c_.wants(2));  // then there is no last step to give
    return kind_.states == 2 && !lengths_ && cell.activations == kUsual && !may_be_empty && b_.type(x_) == DType::f32;
  }

  // [4 * units, ...], gates i, o, f, c -> i, f, c, o.
  Value in_block_order(Value v) const {
    std::vector<Value> parts;
    for (int64_t gate : {0, 2, 3, 1}) parts.push_back(b_.slice(v, 0, gate * units_, (gate + 1) * units_));
    parts.push_back(b_.int32(0));
    return b_.add("ConcatV2", parts);
  }

  Repeated run_block_lstm(int64_t d, bool backwards, const Cell& cell) {
    const auto weights = [&](size_t input) { return b_.transpose(in_block_order(of_direction(c_.in(input), d)), {1, 0}); };
    const Value w = b_.add("ConcatV2", {weights(1), weights(2), b_.int32(0)});
    const Value sum = b_.add("AddV2", {bias(d, 0), bias(d, 1)}), none = b_.add("Fill", {b_.ints({units_}), b_.number(0, x_)});
    const auto peephole = [&](int64_t gate) {
      return cell.peepholes ? b_.slice(*cell.peepholes, 0, gate * units_, (gate + 1) * units_) : none;
    };
    const auto turned_round = [&](Value v) { return backwards ? b_.add("ReverseV2", {v, b_.int32s({0})}) : v; };
    const Value all = b_.add("BlockLSTMV2",
                             {steps_, turned_round(x_), first_state(6, d), first_state(5, d), w, peephole(0), peephole(2),
                              peephole(1), in_block_order(sum)},
                             {{"cell_clip", 0.0f}, {"use_peephole", cell.peepholes.has_value()}});
    const Value h = Builder::output(all, 6), cs = Builder::output(all, 1), last = b_.add("Sub", {steps_, b_.int64(1)});
    const auto at_end = [&](Value v) { return element_of(b_, v, last, 0); };
    return {{at_end(h), c_.wants(2) ? at_end(cs) : at_end(h)}, {turned_round(h)}};
  }

  Repeated run_direction(int64_t d, bool backwards) {
    const Cell cell = cell_of(d);
    if (is_block_lstm(cell)) return run_block_lstm(d, backwards, cell);
    const Value inputs = products_of_inputs(d, cell);
    Repetition r;
    r.rounds = steps_;
    for (size_t s = 0; s < kind_.states; ++s) r.states.push_back(first_state(5 + s, d));
    r.body = [&](const Round& round) {
      Cell within = cell;
      within.weights = round.enter(cell.weights);
      if (cell.peepholes) within.peepholes = round.enter(*cell.peepholes);
      if (cell.hidden_bias) within.hidden_bias = round.enter(*cell.hidden_bias);
      const Value at =
          backwards ? b_.add("Sub", {b_.add("Sub", {round.enter(steps_), b_.int64(1)}), round.number}) : round.number;
      std::vector<Value> states = kind_.step(within, element_of(b_, round.enter(inputs), at, 0), round.states);
      Value item = states[0];
      if (lengths_) {
        const Value lives = b_.add("ExpandDims", {b_.add("Less", {at, round.enter(*lengths_)}), b_.int32(1)});
        for (size_t s = 0; s < states.size(); ++s) states[s] = b_.add("SelectV2", {lives, states[s], round.states[s]});
        item = b_.add("SelectV2", {lives, item, b_.number(0, x_)});
      }
      return RoundResult{{}, states, {item}};
    };
    Repeated done = repeat(c_, r);
    if (backwards) done.items[0] = b_.add("ReverseV2", {done.items[0], b_.int32s({0})});
    return done;
  }

  Call& c_;
  Builder& b_;
  const CellKind& kind_;
  const bool rows_first_;
  int64_t directions_ = 1, units_ = 0;
  bool reverse_ = false;
  Value x_, steps_;  // [steps, batch, inputs]; int64 []
  std::optional<Value> lengths_;
};

void rnn(Call& c) {
  static const CellKind kind{1, 1, {"Tanh"}, rnn_step};
  Layer(c, kind).run();
}
void gru(Call& c) {
  static const CellKind kind{3, 1, {"Sigmoid", "Tanh"}, gru_step};
  Layer(c, kind).run();
}
void lstm(Call& c) {
  static const CellKind kind{4, 2, {"Sigmoid", "Tanh", "Tanh"}, lstm_step};
  Layer(c, kind).run();
}

}  // namespace

const std::vector<OnnxOp>& recurrent_entries() {
  static const std::vector<OnnxOp> entries = {{"GRU", 7, gru}, {"LSTM", 7, lstm}, {"RNN", 7, rnn}};
  return entries;
}

}  // namespace cytodet::graph::onnx
