// Loop and Scan.
#include "graph/io/onnx/op_table.h"
#include "graph/io/onnx/ops/repeat.h"

namespace cytodet::graph::onnx {
namespace {

std::vector<std::optional<Shape>> shapes_of(const std::vector<OnnxValue>& values, size_t first, size_t count) {
  std::vector<std::optional<Shape>> shapes;
  for (size_t i = first; i < first + count && i < values.size(); ++i) shapes.push_back(values[i].shape);
  return shapes;
}

// A scalar in the shape that the body states for it: some state [1].
Value as_stated(Builder& b, Value scalar, const OnnxValue& input) {
  return input.shape && input.shape->size() == 1 ? b.reshape(scalar, {1}) : scalar;
}

Value truth(Builder& b, Value v) {
  if (b.type(v) != DType::boolean) refuse("has a condition of type " + name_of(b.type(v)), "the model is damaged");
  return b.reshape(v, {});
}

void check_counts(const OnnxGraph& body, size_t inputs, size_t outputs) {
  if (body.inputs.size() != inputs || body.outputs.size() != outputs)
    refuse("has a body of " + std::to_string(body.inputs.size()) + " inputs and " + std::to_string(body.outputs.size()) +
               " outputs, not " + std::to_string(inputs) + " and " + std::to_string(outputs),
           "the model is damaged");
}

// What a body gives besides the states and `more`; the node may leave out the last of its outputs.
size_t count_of_items(const Call& c, const OnnxGraph& body, size_t states, size_t more) {
  if (body.outputs.size() < states + more || c.out.size() > body.outputs.size() - more)
    refuse("has a body of " + std::to_string(body.outputs.size()) + " outputs for " + std::to_string(states) + " values and " +
               std::to_string(c.out.size()) + " outputs",
           "the model is damaged");
  return body.outputs.size() - states - more;
}

void set_results(Call& c, const std::vector<Value>& states, const std::vector<Value>& items) {
  for (size_t i = 0; i < states.size(); ++i) c.set(i, states[i]);
  for (size_t i = 0; i < items.size(); ++i) c.set(states.size() + i, items[i]);
}

// Inputs: iterations at most, condition (either may be left out), states. The body: number, condition, states -> condition,
// states, items. Without the condition the body's decides, as in ONNX Runtime.
void loop(Call& c) {
  Builder& b = c.b;
  const OnnxGraph& body = c.graph("body", "its body");
  if (c.inputs() < 2) refuse("has too few inputs", "the model is damaged");
  const size_t states = c.inputs() - 2, items = count_of_items(c, body, states, 1);
  check_counts(body, states + 2, states + items + 1);
  Repetition r;
  if (c.has(0)) r.rounds = b.cast(b.reshape(c.in(0), {}), DType::i64);
  if (c.has(1)) r.condition = truth(b, c.in(1));
  for (size_t i = 0; i < states; ++i) r.states.push_back(c.in(i + 2));
  r.state_shapes = shapes_of(body.inputs, 2, states);
  r.item_shapes = shapes_of(body.outputs, states + 1, items);
  r.body = [&](const Round& round) {
    Call::Inside inside = round.inside;
    inside.inputs = {as_stated(b, round.number, body.inputs[0]), as_stated(b, b.number(1, DType::boolean), body.inputs[1])};
    inside.inputs.insert(inside.inputs.end(), round.states.begin(), round.states.end());
    const std::vector<Value> out = c.run(body, inside);
    const auto first_item = out.begin() + 1 + static_cast<long>(states);
    return RoundResult{truth(b, out[0]), {out.begin() + 1, first_item}, {first_item, out.end()}};
  };
  const Repeated done = repeat(c, r);
  set_results(c, done.states, done.items);
}

// An entry per input or output that is scanned; fewer: 0 for each.
std::vector<int64_t> entries(const Call& c, const char* name, size_t count) {
  std::vector<int64_t> values = c.integers(name);
  if (values.empty()) values.resize(count, 0);
  if (values.size() != count)
    refuse("has " + std::to_string(values.size()) + " " + name + " for " + std::to_string(count), "the model is damaged");
  return values;
}

// Elements of an item list [n, ...] in their order, along an axis of the result.
Value arranged(Builder& b, Value list, bool backwards, int64_t axis) {
  if (backwards) list = b.add("ReverseV2", {list, b.int32s({0})});
  if (axis == 0) return list;
  const int64_t rank = b.rank(list);
  std::vector<int64_t> perm;
  for (int64_t d = 1; d < rank; ++d) perm.push_back(d);
  perm.insert(perm.begin() + Call::axis_in(axis, rank), 0);
  return b.transpose(list, perm);
}

// Inputs: states, then lists, of which the body gets one element each: states, elements -> states, items.
void scan(Call& c) {
  Builder& b = c.b;
  const OnnxGraph& body = c.graph("body", "its body");
  const int64_t scanned = c.integer("num_scan_inputs", 0);
  if (scanned < 1 || scanned > static_cast<int64_t>(c.inputs()))
    refuse("scans " + std::to_string(scanned) + " inputs of " + std::to_string(c.inputs()), "the model is damaged");
  const size_t lists = static_cast<size_t>(scanned), states = c.inputs() - lists;
  const size_t items = count_of_items(c, body, states, 0);
  check_counts(body, states + lists, states + items);
  std::vector<int64_t> axes = entries(c, "scan_input_axes", lists);
  const std::vector<int64_t> directions = entries(c, "scan_input_directions", lists),
                             out_axes = entries(c, "scan_output_axes", items),
                             out_directions = entries(c, "scan_output_directions", items);
  for (size_t i = 0; i < lists; ++i) axes[i] = Call::axis_in(axes[i], b.rank(c.in(states + i)));
  Repetition r;
  r.rounds = b.dimension(c.in(states), axes[0]);
  for (size_t i = 0; i < states; ++i) r.states.push_back(c.in(i));
  r.state_shapes = shapes_of(body.inputs, 0, states);
  r.item_shapes = shapes_of(body.outputs, states, items);
  r.body = [&](const Round& round) {
    Call::Inside inside = round.inside;
    inside.inputs = round.states;
    for (size_t i = 0; i < lists; ++i) {
      const Value last = b.add("Sub", {round.enter(*r.rounds), b.int64(1)});
      const Value at = directions[i] ? b.add("Sub", {last, round.number}) : round.number;
      inside.inputs.push_back(element_of(b, round.enter(c.in(states + i)), at, axes[i]));
    }
    const std::vector<Value> out = c.run(body, inside);
    const auto first_item = out.begin() + static_cast<long>(states);
    return RoundResult{{}, {out.begin(), first_item}, {first_item, out.end()}};
  };
  Repeated done = repeat(c, r);
  for (size_t i = 0; i < items; ++i) done.items[i] = arranged(b, done.items[i], out_directions[i] != 0, out_axes[i]);
  set_results(c, done.states, done.items);
}

}  // namespace

const std::vector<OnnxOp>& loop_entries() {
  static const std::vector<OnnxOp> entries = {{"Loop", 1, loop}, {"Scan", 9, scan}};
  return entries;
}

}  // namespace cytodet::graph::onnx
