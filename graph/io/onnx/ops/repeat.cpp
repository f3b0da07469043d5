#include "graph/io/onnx/ops/repeat.h"

#include <algorithm>

namespace cytodet::graph::onnx {
namespace {

constexpr int64_t kMaxRounds = 64;   // that become copies of the body
constexpr int kMaxCopied = 1 << 14;  // nodes and constants of all the copies
constexpr int kTries = 6;            // after which shapes of states are taken for unknown

using OptionalShape = std::optional<Shape>;

// A bool that is known; nothing: it is computed.
std::optional<bool> known_truth(const Builder& b, const std::optional<Value>& v) {
  if (!v) return true;
  const Tensor* t = b.constant(*v);
  if (!t || t->size() != 1) return {};
  return t->as_int() != 0;
}

void check_states(const Builder& b, const std::vector<Value>& before, const std::vector<Value>& after) {
  if (before.size() != after.size())
    refuse("has a body that gives another number of values than it is given", "the model is damaged");
  for (size_t i = 0; i < before.size(); ++i)
    if (b.type(before[i]) != b.type(after[i]))
      refuse("has a body that makes " + name_of(b.type(after[i])) + " of value " + std::to_string(i) + ", which is " +
                 name_of(b.type(before[i])),
             "the model is damaged");
}

// The iterations one after another, where their number follows from constants.
class Copies {
 public:
  Copies(Call& c, const Repetition& r) : c_(c), b_(c.b), r_(r), first_(c.b.graph.capacity()) {}

  std::optional<Repeated> run() {
    const std::optional<int64_t> max_rounds = rounds();
    if (!max_rounds) return {};
    if (*max_rounds == 0) return none();
    Repeated out{r_.states, {}};
    std::vector<std::vector<Value>> lists;
    const std::string scope = b_.scope;
    bool more = true;
    for (int64_t k = 0; k < *max_rounds && more; ++k) {
      b_.scope = scope + "/" + std::to_string(k);
      const RoundResult round = r_.body({b_.int64(k), out.states, {{}, {}, c_.anchor}});
      b_.scope = scope;
      const std::optional<bool> go_on = known_truth(b_, round.go_on);
      if (!go_on || b_.graph.capacity() - first_ > kMaxCopied) return given_up();
      check_states(b_, out.states, round.states);
      out.states = round.states;
      lists.resize(round.items.size());
      for (size_t i = 0; i < round.items.size(); ++i) lists[i].push_back(round.items[i]);
      more = *go_on;
    }
    for (const std::vector<Value>& list : lists) out.items.push_back(b_.add("Pack", list, {{"axis", 0}}));
    return out;
  }

 private:
  std::optional<int64_t> rounds() const {
    const std::optional<bool> begin = known_truth(b_, r_.condition);
    if (begin && !*begin) return 0;
    const Tensor* t = r_.rounds ? b_.constant(*r_.rounds) : nullptr;
    if (!t || t->size() != 1) return {};
    const int64_t max_rounds = std::max<int64_t>(0, t->as_int());
    return max_rounds == 0 || (begin && max_rounds <= kMaxRounds) ? std::optional(max_rounds) : std::nullopt;
  }

  std::optional<Repeated> given_up() {
    b_.remove_since(first_);
    return {};
  }

  // Empty lists of what the body would make; of dimensions that are not known 0, as ONNX Runtime has them.
  std::optional<Repeated> none() {
    const std::string scope = b_.scope;
    const RoundResult round = r_.body({b_.int64(0), r_.states, {{}, {}, c_.anchor}});
    b_.scope = scope;
    std::vector<std::pair<DType, Shape>> items;
    for (size_t i = 0; i < round.items.size(); ++i) {
      Shape s = b_.fact(round.items[i]).shape.value_or(i < r_.item_shapes.size() ? r_.item_shapes[i].value_or(Shape{}) : Shape{});
      for (int64_t& d : s) d = std::max<int64_t>(d, 0);
      s.insert(s.begin(), 0);
      items.emplace_back(b_.type(round.items[i]), s);
    }
    b_.remove_since(first_);
    Repeated out{r_.states, {}};
    for (const auto& [type, shape] : items) out.items.push_back(b_.constant(Tensor(type, shape)));
    return out;
  }

  Call& c_;
  Builder& b_;
  const Repetition& r_;
  const NodeId first_;
};

// A while loop. Shapes of states are guessed to stay, and those that do not are forgotten in the next try.
class While {
 public:
  While(Call& c, const Repetition& r) : c_(c), b_(c.b), r_(r) {
    for (size_t i = 0; i < r.states.size(); ++i) {
      shapes_.push_back(b_.fact(r.states[i]).shape);
      if (const OptionalShape word = stated(i); !shapes_[i] && word) shapes_[i] = Shape(word->size(), -1);
    }
    asks_ = !r.rounds || known_truth(b_, r.condition) != std::optional(true);
  }

  Repeated run() {
    const NodeId first = b_.graph.capacity();
    const std::string scope = b_.scope;
    for (tries_ = 0;; ++tries_) {
      frame_ = b_.graph.unique_name(scope + "/round");
      begin();
      const RoundResult round = r_.body({inside_[0], {inside_.begin() + 1, inside_.begin() + 1 + states()}, within()});
      b_.scope = scope;
      check_states(b_, r_.states, round.states);
      if (holds(round)) return finish(round);
      b_.remove_since(first);
    }
  }

 private:
  long states() const { return static_cast<long>(r_.states.size()); }

  Value enter(Value v, DType type, bool constant) {
    return b_.add_as(constant ? frame_ + "/enter" : frame_, "Enter", {c_.anchored(v)}, enter_attrs(type, frame_, constant));
  }
  Value enter(Value v, bool constant) { return enter(v, b_.type(v), constant); }

  // The heads of the loop: the number of the iteration, the states, and the condition where it is computed.
  void begin() {
    heads_.clear(), switches_.clear(), inside_.clear(), entered_.clear();
    const auto add_head = [&](Value v, const OptionalShape& shape) {
      heads_.push_back(b_.add_loop_merge(enter(v, false), shape));
    };
    add_head(b_.int64(0), Shape{});
    for (size_t i = 0; i < r_.states.size(); ++i) add_head(r_.states[i], shapes_[i]);
    std::vector<Value> conditions;
    if (asks_) {
      add_head(r_.condition ? *r_.condition : truth(true), Shape{});
      conditions.push_back(heads_.back());
    }
    if (r_.rounds) {
      const Value max_rounds = b_.constant(*r_.rounds) ? *r_.rounds : enter(*r_.rounds, true);
      conditions.push_back(b_.add("Less", {heads_[0], max_rounds}));
    }
    go_on_ = b_.add("LoopCond", {conditions.size() == 2 ? b_.add("LogicalAnd", conditions) : conditions[0]});
    for (Value head : heads_) {
      switches_.push_back(b_.add("Switch", {head, go_on_}));
      inside_.push_back(b_.add("Identity", {{switches_.back().node, 1}}));
    }
  }

  Value truth(bool value) {
    Tensor t(DType::boolean, {});
    t.data<bool>()[0] = value;
    return b_.constant(std::move(t));
  }

  // What lies around is seen only where an iteration runs: an iteration that does not must not fail on it.
  Call::Inside within() {
    return {{},
            [this](Value v) {
              if (b_.constant(v)) return v;
              const auto [it, fresh] = entered_.try_emplace(v);
              if (fresh || !b_.graph.alive(it->second.node)) it->second = {b_.add("Switch", {enter(v, true), go_on_}).node, 1};
              return it->second;
            },
            inside_[0].node};
  }

  // Whether what was taken for known of the states holds after an iteration; what does not is forgotten.
  bool holds(const RoundResult& round) {
    bool good = true;
    for (size_t i = 0; i < round.states.size(); ++i) {
      const OptionalShape wider = widened(i, b_.fact(round.states[i]).shape);
      good = good && wider == shapes_[i];
      shapes_[i] = wider;
    }
    if (!asks_ && known_truth(b_, round.go_on) != std::optional(true)) {
      asks_ = true;
      good = false;
    }
    if (asks_ && !r_.rounds && known_truth(b_, round.go_on) == std::optional(true) && good)
      refuse("has a loop that never ends", "the model is damaged");
    return good;
  }

  OptionalShape stated(size_t i) const { return i < r_.state_shapes.size() ? r_.state_shapes[i] : std::nullopt; }

  OptionalShape widened(size_t i, const OptionalShape& after) const {
    const OptionalShape& before = shapes_[i];
    if (!before) return {};
    const bool same_rank = after && after->size() == before->size();
    if (!same_rank) {
      // The model's word for the number of dimensions, once, unless it is shown to be wrong.
      const OptionalShape word = stated(i);
      if (!word || (after && after->size() != word->size())) return {};
      return Shape(word->size(), -1);
    }
    Shape wider = *before;
    for (size_t d = 0; d < wider.size(); ++d)
      if (tries_ >= kTries || wider[d] != (*after)[d]) wider[d] = -1;
    return wider;
  }

  // A value of the body, also a constant, that is there only when an iteration runs.
  Value of_round(Value v) { return b_.constant(v) ? Call::anchored(b_, v, inside_[0].node) : v; }

  Repeated finish(const RoundResult& round) {
    b_.close_loop(heads_[0], b_.add("AddV2", {inside_[0], b_.int64(1)}));
    for (size_t i = 0; i < round.states.size(); ++i) b_.close_loop(heads_[i + 1], of_round(round.states[i]));
    if (asks_) b_.close_loop(heads_.back(), of_round(round.go_on ? *round.go_on : truth(true)));
    const Value count = b_.add("Exit", {{switches_[0].node, 0}});
    Repeated out;
    for (long i = 0; i < states(); ++i) out.states.push_back(b_.add("Exit", {{switches_[static_cast<size_t>(i) + 1].node, 0}}));
    for (size_t i = 0; i < round.items.size(); ++i)
      out.items.push_back(listed(of_round(round.items[i]), count, i < r_.item_shapes.size() ? r_.item_shapes[i] : std::nullopt));
    return out;
  }

  // The items of all iterations, of which there are `count`: [count, ...], by a tensor array.
  Value listed(Value item, Value count, const OptionalShape& stated) {
    const DType type = b_.type(item);
    const OptionalShape shape = b_.fact(item).shape ? b_.fact(item).shape : stated;
    const ShapeAttr element{shape.has_value(), shape.value_or(Shape())};
    const Value array = b_.add("TensorArrayV3", {c_.anchored(b_.int32(0))},
                               {{"dtype", type},
                                {"element_shape", element},
                                {"dynamic_size", true},
                                {"clear_after_read", false},
                                {"identical_element_shapes", false},
                                {"tensor_array_name", ""}});
    const Value flow = b_.add_loop_merge(enter({array.node, 1}, DType::f32, false), Shape{});
    const Value way = b_.add("Switch", {flow, go_on_}), handle = enter_handle(array);
    b_.close_loop(flow, b_.add("TensorArrayWriteV3", {handle, b_.cast(inside_[0], DType::i32), item, {way.node, 1}}));
    const Value done = b_.add("Exit", {way});
    const auto gather = [&](Value after) {
      return b_.add("TensorArrayGatherV3",
                    {array, b_.add("Range", {b_.int32(0), b_.cast(count, DType::i32), b_.int32(1)}), after},
                    {{"dtype", type}, {"element_shape", element}});
    };
    if (!shape || is_static(*shape)) return gather(done);
    // TensorFlow makes no empty list of elements of unknown size; of no iterations there is one with 0 for each such size.
    Shape none = *shape;
    for (int64_t& d : none) d = std::max<int64_t>(d, 0);
    none.insert(none.begin(), 0);
    const Value empty = b_.add("Equal", {count, b_.int64(0)});
    return b_.add("Merge", {gather({b_.add("Switch", {done, empty}).node, 0}),
                            {b_.add("Switch", {c_.anchored(b_.constant(Tensor(type, none))), empty}).node, 1}});
  }
  Value enter_handle(Value array) {
    return b_.add_as(frame_ + "/enter", "Enter", {array}, enter_attrs(DType::resource, frame_, true));
  }

  Call& c_;
  Builder& b_;
  const Repetition& r_;
  std::vector<OptionalShape> shapes_;  // of the states, in all iterations
  bool asks_;                          // whether the condition is computed by the body
  int tries_ = 0;
  std::string frame_;
  Value go_on_;
  std::vector<Value> heads_, switches_, inside_;  // of the number, the states, the condition: Merge, Switch, what the body reads
  std::map<Value, Value> entered_;
};

}  // namespace

Repeated repeat(Call& c, const Repetition& r) {
  if (std::optional<Repeated> copies = Copies(c, r).run()) return *copies;
  return While(c, r).run();
}

Value element_of(Builder& b, Value x, Value at, int64_t axis) {
  if (const Tensor* t = b.constant(at)) {
    const Shape s = b.dims(x);
    const int64_t k = t->as_int(), size = s[static_cast<size_t>(axis)];
    if (size >= 0 && k >= 0 && k < size) return b.squeeze(b.slice(x, axis, k, k + 1), {axis});
  }
  return b.add("GatherV2", {x, at, b.int32(axis)});
}

}  // namespace cytodet::graph::onnx
