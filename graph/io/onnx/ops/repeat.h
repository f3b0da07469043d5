// What Loop, Scan and the recurrent layers have in common: a body that runs again and again on what it gave before. It becomes
// copies of the body where their number is known and small, so that they are compiled and fused, else TensorFlow's while loop.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "graph/io/onnx/call.h"

namespace cytodet::graph::onnx {

// One iteration, as the body sees it.
struct Round {
  Value number;               // int64 []: 0, 1, ...
  std::vector<Value> states;  // what the body gave before, or was given first
  Call::Inside inside;        // how to reach what lies around; without inputs

  Value enter(Value around) const { return inside.enter ? inside.enter(around) : around; }
};

struct RoundResult {
  std::optional<Value> go_on;  // bool []: whether another iteration may follow; nothing: yes
  std::vector<Value> states;
  std::vector<Value> items;  // one element each of the lists that the iterations make
};

struct Repetition {
  std::optional<Value> rounds;     // int64 []: iterations at most; nothing: no bound
  std::optional<Value> condition;  // bool []: whether the first iteration runs; nothing: yes
  std::vector<Value> states;       // at first
  // What the model states of the states and items, or nothing: used where it does not follow from the body.
  std::vector<std::optional<Shape>> state_shapes, item_shapes;
  std::function<RoundResult(const Round&)> body;
};

struct Repeated {
  std::vector<Value> states;  // at last
  std::vector<Value> items;   // [iterations, ...]
};

// Throws Error where types of states change, or the body's results are other in number than before.
Repeated repeat(Call& c, const Repetition& r);

// Element `at` (int64 []) of x along an axis, which goes.
Value element_of(Builder& b, Value x, Value at, int64_t axis);

}  // namespace cytodet::graph::onnx
