// Constants, types, sequences of numbers, and the branch of If that a constant chooses.
#include "graph/io/onnx/op_table.h"
#include "graph/io/onnx/tensor_proto.h"

namespace cytodet::graph::onnx {
namespace {

void constant(Call& c) {
  Builder& b = c.b;
  if (const OnnxAttr* a = c.find("value"); a && std::get_if<Tensor>(a)) return c.set(0, b.constant(std::get<Tensor>(*a)));
  if (c.has_attr("value_float")) return c.set(0, b.constant(Tensor::scalar<float>(c.real("value_float", 0))));
  if (c.has_attr("value_int")) return c.set(0, b.int64(c.integer("value_int", 0)));
  if (c.has_attr("value_ints")) return c.set(0, b.ints(c.integers("value_ints")));
  if (c.has_attr("value_floats")) {
    const std::vector<float> values = c.reals("value_floats");
    return c.set(0, b.constant(Tensor::from<float>({static_cast<int64_t>(values.size())}, values)));
  }
  if (c.has_attr("value_string")) {
    Tensor t(DType::string, {});
    t.strings()[0] = c.text("value_string", "");
    return c.set(0, b.constant(std::move(t)));
  }
  refuse("has a value that is not read (sparse, or a list of texts)");
}

void constant_of_shape(Call& c) {
  Builder& b = c.b;
  const OnnxAttr* a = c.find("value");
  const Tensor* given = a ? std::get_if<Tensor>(a) : nullptr;
  if (a && (!given || given->size() != 1)) refuse("has a value that is not one number", "the model is damaged");
  const Value value = given ? b.constant(given->reshaped({})) : b.number(0, DType::f32);
  c.set(0, b.add("Fill", {c.in(0), value}));
}

Value converted(Builder& b, Value x, DType to) {
  const DType from = b.type(x);
  if (to == DType::string || from == DType::string)
    refuse("makes " + name_of(to) + " of " + name_of(from), "such casts are not read");
  return from == to ? b.add("Identity", {x}) : b.cast(x, to);
}
void cast(Call& c) {
  const int64_t to = c.integer("to", 0);
  const DType type = dtype_of_onnx(static_cast<int>(to));
  if (type == DType::invalid) refuse("casts to " + name_of_onnx_type(static_cast<int>(to)), "tensors of this type are not read");
  c.set(0, converted(c.b, c.in(0), type));
}
void cast_like(Call& c) { c.set(0, converted(c.b, c.in(0), c.b.type(c.in(1)))); }

void range(Call& c) {
  const auto number = [&](size_t i) { return c.b.reshape(c.in(i), {}); };
  c.set(0, c.b.add("Range", {number(0), number(1), number(2)}));
}

void eye_like(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  if (b.rank(x) != 2) refuse("needs a matrix", "the model is damaged");
  const DType type = c.has_attr("dtype") ? dtype_of_onnx(static_cast<int>(c.integer("dtype", 0))) : b.type(x);
  if (type == DType::invalid) refuse("is of a type that is not read");
  const auto numbers = [&](int64_t axis, int64_t along) {
    return b.add("ExpandDims", {b.add("Range", {b.int64(0), b.dimension(x, axis), b.int64(1)}), b.int32(along)});
  };
  const Value column = numbers(1, 0), row = b.add("AddV2", {numbers(0, 1), b.int64(c.integer("k", 0))});
  c.set(0, b.cast(b.add("Equal", {column, row}), type));
}

std::vector<Value> branch_of(Call& c, bool then, const Call::Inside& inside) {
  std::vector<Value> values = c.run(c.graph(then ? "then_branch" : "else_branch", "a branch"), inside);
  if (values.size() != c.out.size()) refuse("has a branch with another number of outputs", "the model is damaged");
  return values;
}

// A condition that is computed: what either branch reads, and what it gives, passes a Switch, and a Merge takes what is alive.
// What a branch gives passes one, too, since it may be made of constants alone, which are always alive.
void choose_while_running(Call& c) {
  Builder& b = c.b;
  const Value condition = b.reshape(b.type(c.in(0)) == DType::boolean ? c.in(0) : b.cast(c.in(0), DType::boolean), Shape{});
  std::map<std::pair<Value, bool>, Value> entered;
  const auto passed = [&](Value v, bool then) {
    const auto [it, fresh] = entered.try_emplace({v, then});
    if (fresh || !b.graph.alive(it->second.node)) it->second = {b.add("Switch", {v, condition}).node, then ? 1 : 0};
    return it->second;
  };
  const auto outputs_of = [&](bool then) {
    const Value alive = b.add("Identity", {passed(condition, then)});
    return branch_of(c, then, {{}, [&, then](Value v) { return passed(v, then); }, alive.node});
  };
  const std::vector<Value> yes = outputs_of(true), no = outputs_of(false);
  for (size_t i = 0; i < c.out.size(); ++i) {
    if (!c.wants(i)) continue;
    if (b.type(yes[i]) != b.type(no[i])) refuse("has branches whose outputs differ in type", "the model is damaged");
    c.set(i, b.add("Merge", {passed(no[i], false), passed(yes[i], true)}));
  }
}

void choose(Call& c) {
  const Tensor* condition = c.constant(0);
  if (!condition) return choose_while_running(c);
  if (condition->size() != 1) refuse("has a condition that is not one value", "the model is damaged");
  const std::vector<Value> values = branch_of(c, condition->as_int() != 0, {});
  for (size_t i = 0; i < values.size(); ++i) c.set(i, values[i]);
}

}  // namespace

const std::vector<OnnxOp>& constant_entries() {
  static const std::vector<OnnxOp> entries = {
      {"Cast", 6, cast},        {"CastLike", 15, cast_like}, {"Constant", 1, constant}, {"ConstantOfShape", 9, constant_of_shape},
      {"EyeLike", 9, eye_like}, {"If", 1, choose},           {"Range", 11, range},
  };
  return entries;
}

}  // namespace cytodet::graph::onnx
