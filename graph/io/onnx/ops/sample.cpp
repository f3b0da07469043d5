// Maps read at places that the model computes.
#include <array>
#include <cmath>

#include "graph/io/onnx/op_table.h"

namespace cytodet::graph::onnx {
namespace {

// GridArithmetic of float values.
struct GridArithmetic {
  Builder& b;
  Value number(double v) const { return b.number(v, DType::f32); }
  Value plus(Value x, Value y) const { return b.add("AddV2", {x, y}); }
  Value minus(Value x, Value y) const { return b.add("Sub", {x, y}); }
  Value times(Value x, Value y) const { return b.add("Mul", {x, y}); }
  Value clamped(Value x, Value low, Value high) const { return b.add("Minimum", {b.add("Maximum", {x, low}), high}); }
};

struct GridOptions {
  bool corners = false;
  std::string padding;
};

// One coordinate of the grid, -1 to 1, in pixels of a side.
Value pixels(const GridArithmetic& a, const GridOptions& o, Value g, Value size) {
  const Value one = a.number(1), half = a.number(0.5), shifted = a.plus(g, one);
  if (o.corners) return a.times(a.times(shifted, half), a.minus(size, one));
  return a.times(a.minus(a.times(shifted, size), one), half);
}

// Mirrored at both ends: about the outermost pixels, or their outer edges.
Value reflected(const GridArithmetic& a, const GridOptions& o, Value x, Value size) {
  const Value low = a.number(o.corners ? 0 : -0.5);
  const Value span = o.corners ? a.minus(size, a.number(1)) : size;
  const Value safe = a.b.add("Maximum", {span, a.number(1e-6)});
  const Value from_low = a.b.add("Abs", {a.minus(x, low)});
  const Value period = a.times(safe, a.number(2)), within = a.b.add("FloorMod", {from_low, period});
  return a.plus(a.b.add("Minimum", {within, a.minus(period, within)}), low);
}

Value placed(const GridArithmetic& a, const GridOptions& o, Value x, Value size) {
  const Value last = a.minus(size, a.number(1));
  if (o.padding == "border") return a.clamped(x, a.number(0), last);
  if (o.padding == "reflection") return a.clamped(reflected(a, o, x, size), a.number(0), last);
  return x;
}

// The pixels [n, ..., c] at whole places y, x [n, ...] of a map [n, h, w, c]; those outside are 0.
Value pixels_at(const GridArithmetic& a, Value map, Value y, Value x, Value h, Value w) {
  Builder& b = a.b;
  const Value zero = a.number(0), one = a.number(1);
  const Value rows = a.clamped(y, zero, a.minus(h, one)), columns = a.clamped(x, zero, a.minus(w, one));
  const int64_t rank = b.rank(y);
  Shape wide(static_cast<size_t>(rank), 1);
  wide[0] = -1;
  const Value line = b.add("Reshape", {b.add("Range", {b.int64(0), b.dimension(map, 0), b.int64(1)}), b.ints(wide)});
  const Value batch = b.add("BroadcastTo", {line, b.shape(y)});
  const Value at = b.add("Pack", {batch, b.cast(rows, DType::i64), b.cast(columns, DType::i64)}, {{"axis", rank}});
  const auto inside = [&](Value v, Value kept) { return b.cast(b.add("Equal", {v, kept}), DType::f32); };
  const Value held = b.add("ExpandDims", {a.times(inside(y, rows), inside(x, columns)), b.int32(rank)});
  return a.times(b.add("GatherNd", {map, at}), held);
}

// Weights of the four elements about a place, `t` behind the second of them.
std::array<Value, 4> cubic_weights(const GridArithmetic& a, Value t) {
  constexpr double k = -0.75;
  const auto near = [&](Value d) {  // up to one away
    const Value line = a.minus(a.times(a.number(k + 2), d), a.number(k + 3));
    return a.plus(a.times(a.times(line, d), d), a.number(1));
  };
  const auto far = [&](Value d) {  // one to two away
    const Value first = a.minus(a.times(a.number(k), d), a.number(5 * k));
    return a.minus(a.times(a.plus(a.times(first, d), a.number(8 * k)), d), a.number(4 * k));
  };
  const Value one = a.number(1), back = a.minus(one, t);
  return {far(a.plus(t, one)), near(t), near(back), far(a.plus(back, one))};
}

void grid_sample(Call& c) {
  Builder& b = c.b;
  const GridArithmetic a{b};
  if (b.rank(c.in(0)) != 4) refuse("samples a map of " + std::to_string(b.rank(c.in(0)) - 2) + " dimensions", "planes are read");
  const DType type = b.type(c.in(0));
  const Value map = b.cast(b.to_last(c.in(0)), DType::f32), grid = b.cast(c.in(1), DType::f32);
  const GridOptions o{c.flag("align_corners", false), c.text("padding_mode", "zeros")};
  if (o.padding != "zeros" && o.padding != "border" && o.padding != "reflection") refuse("has padding_mode " + o.padding);
  const std::string mode = c.text("mode", "linear");
  const auto coordinate = [&](int64_t i) { return b.squeeze(b.slice(grid, 3, i, i + 1), {3}); };
  const auto size = [&](int64_t axis) { return b.cast(b.dimension(map, axis), DType::f32); };
  const Value h = size(1), w = size(2);
  Value x = pixels(a, o, coordinate(0), w), y = pixels(a, o, coordinate(1), h);
  Value sum;
  const auto add_part = [&](Value part, Value weight) {
    const Value p = a.times(part, b.add("ExpandDims", {weight, b.int32(3)}));
    sum = sum.node < 0 ? p : a.plus(sum, p);
  };
  if (mode == "nearest") {
    x = placed(a, o, x, w);
    y = placed(a, o, y, h);
    sum = pixels_at(a, map, b.add("Round", {y}), b.add("Round", {x}), h, w);
  } else if (mode == "bilinear" || mode == "linear") {
    x = placed(a, o, x, w);
    y = placed(a, o, y, h);
    const Value left = b.add("Floor", {x}), top = b.add("Floor", {y}), one = a.number(1);
    const Value dx = a.minus(x, left), dy = a.minus(y, top);
    const Value xs[] = {left, a.plus(left, one)}, ys[] = {top, a.plus(top, one)};
    const Value wx[] = {a.minus(one, dx), dx}, wy[] = {a.minus(one, dy), dy};
    for (int i = 0; i < 2; ++i)
      for (int j = 0; j < 2; ++j) add_part(pixels_at(a, map, ys[i], xs[j], h, w), a.times(wy[i], wx[j]));
  } else if (mode == "bicubic" || mode == "cubic") {
    const Value left = b.add("Floor", {x}), top = b.add("Floor", {y});
    const auto wx = cubic_weights(a, a.minus(x, left)), wy = cubic_weights(a, a.minus(y, top));
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j) {
        const Value row = placed(a, o, a.plus(top, a.number(i - 1)), h), column = placed(a, o, a.plus(left, a.number(j - 1)), w);
        add_part(pixels_at(a, map, row, column, h, w), a.times(wy[static_cast<size_t>(i)], wx[static_cast<size_t>(j)]));
      }
  } else {
    refuse("has mode " + mode, "known are linear, nearest, cubic");
  }
  c.set(0, b.cast(b.from_last(sum), type));
}

}  // namespace

const std::vector<OnnxOp>& sample_entries() {
  static const std::vector<OnnxOp> entries = {
      {"GridSample", 16, grid_sample},
  };
  return entries;
}

}  // namespace cytodet::graph::onnx
