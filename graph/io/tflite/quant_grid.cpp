#include "graph/io/tflite/quant_grid.h"

#include "core/error.h"
#include "graph/quantized/quant_nodes.h"

namespace cytodet::graph::lite {
namespace {

bool is_8bit(const Grid& g) { return g.high - g.low == 255; }

// The value of a number, not yet of the stored type.
Value counted(Builder& b, Value number, const Grid& g) {
  const auto of = [&](double v) { return b.number(v, DType::f32); };
  Value q = b.add("Round", {b.add("RealDiv", {number, of(g.scale)})});
  if (g.zero_point) q = b.add("AddV2", {q, of(static_cast<double>(g.zero_point))});
  return b.add("Maximum", {b.add("Minimum", {q, of(static_cast<double>(g.high))}), of(static_cast<double>(g.low))});
}
Value scaled(Builder& b, Value q, const Grid& g) {
  if (g.zero_point) q = b.add("Sub", {q, b.number(static_cast<double>(g.zero_point), DType::f32)});
  return b.add("Mul", {q, b.number(g.scale, DType::f32)});
}

}  // namespace

bool Grid::equals(const Grid& other) const {
  return scale == other.scale && high - low == other.high - other.low && zero_point - low == other.zero_point - other.low;
}

Grid grid_of(const LiteTensor& t) {
  if (t.quant.scale.size() != 1)
    throw Error("",
                "tensor " + t.name + " has " + std::to_string(t.quant.scale.size()) + " scales, but is computed while it runs",
                "the file is damaged");
  const StoredRange range = stored_range(t);
  return {t.quant.scale[0], t.quant.zero_point[0], range.low, range.high, t.dtype};
}

Value rounded(Builder& b, Value number, const Grid& g) {
  if (!is_8bit(g)) return scaled(b, counted(b, number, g), g);
  return b.adopt(new_fake_quant(b.graph, number, {g.scale, static_cast<int>(g.zero_point - g.low), false}));
}
Value stored_values(Builder& b, Value number, const Grid& g) { return b.cast(counted(b, number, g), g.stored); }
Value numbers(Builder& b, Value stored, const Grid& g) {
  const Value x = scaled(b, b.cast(stored, DType::f32), g);
  return is_8bit(g) ? rounded(b, x, g) : x;
}

}  // namespace cytodet::graph::lite
