#include "exec/lower/match.h"

namespace cytodet::exec {

Layer& claim(Lowering& low, NodeId id, std::vector<Value> inputs, MakeStep make) {
  return low.add_layer({id, 0}, Opaque{std::move(inputs), std::move(make)}, {id});
}

Layer& claim_rows(Lowering& low, NodeId id, std::vector<Value> inputs, MakeStep make) {
  return low.add_layer({id, 0}, RowOp{std::move(inputs), std::move(make)}, {id});
}

bool fits_tensor(const Lowering& low, Value v) {
  const Fact& f = low.facts.of(v);
  const auto size = static_cast<int64_t>(std::max<size_t>(1, size_of(f.dtype)));
  return !f.shape || !is_static(*f.shape) || elements(*f.shape) <= max_tensor_bytes() / size;
}

std::optional<std::vector<int64_t>> known_ints(const Lowering& low, const Node& n, size_t input) {
  const Tensor* t = input < n.inputs.size() ? low.constant(n.inputs[input]) : nullptr;
  if (!t || (t->dtype() != DType::i32 && t->dtype() != DType::i64)) return {};
  return t->as_ints();
}

std::optional<size_t> dimension_of(int64_t axis, size_t rank) {
  const auto dimensions = static_cast<int64_t>(rank);
  const int64_t d = axis < 0 ? axis + dimensions : axis;
  return d < 0 || d >= dimensions ? std::optional<size_t>() : static_cast<size_t>(d);
}

std::optional<size_t> known_dimension(const Lowering& low, const Node& n, size_t input, size_t rank) {
  const auto axis = known_ints(low, n, input);
  return axis && axis->size() == 1 ? dimension_of((*axis)[0], rank) : std::optional<size_t>();
}

}  // namespace cytodet::exec
