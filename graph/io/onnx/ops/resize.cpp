// Resizing. What TensorFlow's ops do becomes one of them; the rest becomes, one axis after another, a choice of elements or a
// product with the matrix of their weights.
#include <cmath>

#include "graph/io/onnx/op_table.h"

namespace cytodet::graph::onnx {
namespace {

// One axis; values are float64 numbers, constants where the model says enough.
struct Side {
  int64_t axis = 0;
  Value in, out, scale;           // out: a whole number
  std::optional<Value> from, to;  // the part of the axis that is read, of tf_crop_and_resize
};

struct Method {
  std::string mode, coordinates, nearest;
  double cubic = -0.75;
  bool antialias = false, exclude_outside = false;
  float outside = 0;
};

// Arithmetic of float64 values.
struct Arithmetic {
  Builder& b;
  Value of(double v) const { return b.number(v, DType::f64); }
  Value plus(Value x, Value y) const { return b.add("AddV2", {x, y}); }
  Value minus(Value x, Value y) const { return b.add("Sub", {x, y}); }
  Value times(Value x, Value y) const { return b.add("Mul", {x, y}); }
  Value over(Value x, Value y) const { return b.add("RealDiv", {x, y}); }
  Value smaller(Value x, Value y) const { return b.add("Minimum", {x, y}); }
  Value larger(Value x, Value y) const { return b.add("Maximum", {x, y}); }
  Value where(const char* comparison, Value x, Value y, Value then, Value otherwise) const {
    return b.add("SelectV2", {b.add(comparison, {x, y}), then, otherwise});
  }
  Value range(Value from, Value to) const { return b.add("Range", {from, to, of(1)}); }
  Value column(Value x) const { return b.add("ExpandDims", {x, b.int32(1)}); }
};

// For each element of the result its coordinate in the input, [out].
Value places(const Arithmetic& n, const Method& m, const Side& s) {
  const Value i = n.range(n.of(0), s.out), one = n.of(1), half = n.of(0.5);
  const Value size = n.times(s.scale, s.in);  // of the result, before it is rounded down
  const Value half_pixel = n.minus(n.over(n.plus(i, half), s.scale), half);
  if (m.coordinates == "half_pixel") return half_pixel;
  if (m.coordinates == "tf_half_pixel_for_nn") return n.plus(half_pixel, half);
  if (m.coordinates == "asymmetric") return n.over(i, s.scale);
  if (m.coordinates == "pytorch_half_pixel")
    return n.where("Greater", s.out, one, half_pixel, n.of(m.mode == "nearest" ? 0 : -0.5));
  if (m.coordinates == "half_pixel_symmetric") {
    const Value shift = n.times(n.over(s.in, n.of(2)), n.minus(one, n.over(s.out, size)));
    return n.plus(shift, half_pixel);
  }
  const Value last = n.minus(s.in, one);
  const auto stretched = [&](Value length, Value alone) {
    const Value step = n.over(length, n.where("Equal", size, one, one, n.minus(size, one)));
    return n.where("Equal", size, one, alone, n.times(i, step));
  };
  if (m.coordinates == "align_corners") return stretched(last, n.of(0));
  if (m.coordinates == "tf_crop_and_resize") {
    if (!s.from) refuse("has coordinate_transformation_mode tf_crop_and_resize without a region", "the model is damaged");
    const Value length = n.times(n.minus(*s.to, *s.from), last);
    return n.plus(stretched(length, n.over(length, n.of(2))), n.times(*s.from, last));
  }
  refuse("has coordinate_transformation_mode " + m.coordinates, "it is not read");
}

// The nearest elements, [out] int64.
Value nearest(const Arithmetic& n, const Method& m, const Side& s, Value at) {
  Value chosen;
  if (m.nearest == "floor")
    chosen = n.b.add("Floor", {at});
  else if (m.nearest == "ceil")
    chosen = n.b.add("Ceil", {at});
  else if (m.nearest == "round_prefer_floor")
    chosen = n.b.add("Ceil", {n.minus(at, n.of(0.5))});
  else if (m.nearest == "round_prefer_ceil")
    chosen = n.b.add("Floor", {n.plus(at, n.of(0.5))});
  else
    refuse("has nearest_mode " + m.nearest, "known are floor, ceil, round_prefer_floor, round_prefer_ceil");
  return n.b.cast(n.smaller(n.larger(chosen, n.of(0)), n.minus(s.in, n.of(1))), DType::i64);
}

// The weight of an element at a distance.
Value linear_weight(const Arithmetic& n, Value distance) { return n.larger(n.minus(n.of(1), distance), n.of(0)); }
Value cubic_weight(const Arithmetic& n, Value d, double a) {
  const auto polynomial = [&](double c3, double c2, double c1, double c0) {
    const Value first = n.plus(n.times(n.plus(n.times(n.of(c3), d), n.of(c2)), d), n.of(c1));
    return n.plus(n.times(first, d), n.of(c0));
  };
  const Value near = polynomial(a + 2, -(a + 3), 0, 1), far = polynomial(a, -5 * a, 8 * a, -4 * a);
  return n.where("LessEqual", d, n.of(1), near, n.where("Less", d, n.of(2), far, n.of(0)));
}

// [out, in]: the weight of every element of the input in one of the result. Elements outside are those at the edge, or none.
Value weights(const Arithmetic& n, const Method& m, const Side& s, Value at) {
  const Value shrink = m.antialias ? n.smaller(s.scale, n.of(1)) : n.of(1), last = n.minus(s.in, n.of(1));
  const double reach = m.mode == "cubic" ? 2 : 1;
  // Elements beyond the edges that windows reach, as far as the first and last places lie outside.
  const Value margin = m.exclude_outside ? n.of(0) : n.plus(n.b.add("Ceil", {n.over(n.of(reach), shrink)}), n.of(2));
  const Value taps = n.range(n.b.add("Neg", {margin}), n.plus(s.in, margin));
  const Value inside = n.smaller(n.larger(at, n.of(-1)), s.in);  // farther out nothing changes
  const Value place = m.mode == "cubic" || m.exclude_outside || m.antialias ? at : inside;
  const Value distance = n.times(n.b.add("Abs", {n.minus(taps, n.column(place))}), shrink);
  Value w = m.mode == "cubic" ? cubic_weight(n, distance, m.cubic) : linear_weight(n, distance);
  w = n.over(w, n.b.add("Sum", {w, n.b.int32s({1})}, {{"keep_dims", true}}));
  if (m.exclude_outside) return w;
  const Value clamped = n.column(n.smaller(n.larger(taps, n.of(0)), last));
  const Value fold = n.b.cast(n.b.add("Equal", {clamped, n.range(n.of(0), s.in)}), DType::f64);
  return n.b.add("MatMul", {w, fold}, {{"transpose_a", false}, {"transpose_b", false}});
}

Value resize_axis(const Arithmetic& n, const Method& m, const Side& s, Value x) {
  Builder& b = n.b;
  const Value at = places(n, m, s);
  Value y;
  if (m.mode == "nearest") {
    y = b.add("GatherV2", {x, nearest(n, m, s, at), b.int32(s.axis)});
  } else {
    const int64_t rank = b.rank(x);
    std::vector<int64_t> perm;
    for (int64_t d = 0; d < rank; ++d)
      if (d != s.axis) perm.push_back(d);
    perm.push_back(s.axis);
    Value w = b.cast(b.transpose(weights(n, m, s, at), {1, 0}), b.type(x));
    const Value rows = rank == 1 ? b.expand_dims(x, {0}) : b.transpose(x, perm);
    y = b.add("BatchMatMulV2", {rows, w}, {{"adj_x", false}, {"adj_y", false}});
    y = rank == 1 ? b.squeeze(y, {0}) : b.transpose(y, inverse_perm(perm));
  }
  if (m.coordinates != "tf_crop_and_resize") return y;
  Shape wide(static_cast<size_t>(b.rank(x)), 1);
  wide[static_cast<size_t>(s.axis)] = -1;
  const Value low = b.add("GreaterEqual", {at, n.of(0)}), high = b.add("LessEqual", {at, n.minus(s.in, n.of(1))});
  const Value held = b.add("Reshape", {b.add("LogicalAnd", {low, high}), b.ints(wide)});
  return b.add("SelectV2", {held, y, b.number(m.outside, y)});
}

// Attributes of TensorFlow's resizes: align_corners, half_pixel_centers.
struct ResizeGrid {
  bool corners, half;
};
constexpr ResizeGrid kResizeGrids[] = {{false, true}, {false, false}, {true, false}};

// Whether TensorFlow's op with a grid takes the same elements, or gives them the same weights, along an axis of known sizes.
bool takes_same(const Method& m, const ResizeGrid& f, const Tensor& wanted, int64_t in, int64_t out) {
  if (m.mode == "nearest") {
    const float factor = f.corners && out > 1 ? static_cast<float>(in - 1) / static_cast<float>(out - 1)
                                              : static_cast<float>(in) / static_cast<float>(out);
    for (int64_t i = 0; i < out; ++i) {
      const float at = (static_cast<float>(i) + (f.half ? 0.5f : 0.0f)) * factor;
      const int64_t taken = static_cast<int64_t>(f.corners ? std::round(at) : std::floor(at));
      if (std::clamp<int64_t>(taken, 0, in - 1) != wanted.as_int(i)) return false;
    }
    return true;
  }
  Node op;
  op.attrs = {{"align_corners", f.corners}, {"half_pixel_centers", f.half}};
  const std::vector<ResizeTap> taps = resize_taps(op, in, out);
  std::vector<double> row(static_cast<size_t>(in));
  for (int64_t o = 0; o < out; ++o) {
    std::fill(row.begin(), row.end(), 0);
    const ResizeTap& t = taps[static_cast<size_t>(o)];
    row[static_cast<size_t>(t.low)] += 1 - static_cast<double>(t.share);
    row[static_cast<size_t>(t.high)] += static_cast<double>(t.share);
    for (int64_t i = 0; i < in; ++i)
      if (std::abs(row[static_cast<size_t>(i)] - wanted.as_double(o * in + i)) > 2e-5) return false;
  }
  return true;
}

// The grid for maps whose size is not known, by the names of the modes. With half_pixel the nearest elements are the same ones
// only at whole scales, where no place lies halfway between two.
std::optional<ResizeGrid> grid_by_name(const Builder& b, const Method& m, const std::vector<Side>& sides) {
  const std::string& c = m.coordinates;
  const bool linear = m.mode == "linear";
  if (c == "align_corners" && linear) return ResizeGrid{true, false};
  if (c == "asymmetric" && (linear || m.nearest == "floor")) return ResizeGrid{false, false};
  if (c != "half_pixel" && c != "pytorch_half_pixel") return std::nullopt;
  for (const Side& s : sides) {
    const Tensor* scale = b.constant(s.scale);
    if (!linear && (!scale || scale->as_double() < 1 || scale->as_double() != std::floor(scale->as_double())))
      return std::nullopt;
  }
  return ResizeGrid{false, true};
}

std::optional<ResizeGrid> grid_of(const Arithmetic& n, const Method& m, const std::vector<Side>& sides, Value x) {
  Builder& b = n.b;
  if (b.rank(x) != 4 || sides.size() != 2 || sides[0].axis != 2 || sides[1].axis != 3 || m.antialias || m.exclude_outside)
    return {};
  if (m.mode == "cubic" || (m.mode == "linear" && b.type(x) != DType::f32)) return {};
  std::vector<const Tensor*> wanted;
  for (const Side& s : sides) {
    if (!b.constant(s.in)) return grid_by_name(b, m, sides);
    if (!b.constant(s.out)) return {};
    const Value at = places(n, m, s);
    wanted.push_back(b.constant(m.mode == "nearest" ? nearest(n, m, s, at) : weights(n, m, s, at)));
    if (!wanted.back()) return {};
  }
  for (const ResizeGrid& f : kResizeGrids) {
    bool same = true;
    for (size_t i = 0; i < 2; ++i)
      same = same && takes_same(m, f, *wanted[i], b.constant(sides[i].in)->as_int(), b.constant(sides[i].out)->as_int());
    if (same) return f;
  }
  return {};
}

// Throws where the result is known to be larger than any tensor: before its rows and columns are listed one by one.
void refuse_vast(const Builder& b, const std::vector<Side>& sides, Value x) {
  double values = 1;
  std::vector<double> size;
  for (const int64_t d : b.dims(x)) size.push_back(static_cast<double>(std::max<int64_t>(d, 1)));
  for (const Side& s : sides)
    if (const Tensor* out = b.constant(s.out); out && static_cast<size_t>(s.axis) < size.size())
      size[static_cast<size_t>(s.axis)] = out->as_double();
  for (const double d : size) values *= std::max(d, 1.0);
  const double bytes = values * static_cast<double>(std::max<size_t>(1, size_of(b.type(x))));
  if (bytes > static_cast<double>(max_tensor_bytes()))
    refuse("gives more than the " + std::to_string(max_tensor_bytes() >> 20) + " MiB of a tensor", "use smaller scales or sizes");
}

void resize_sides(Call& c, const Method& m, const std::vector<Side>& sides) {
  Builder& b = c.b;
  const Arithmetic n{b};
  Value x = c.in(0);
  refuse_vast(b, sides, x);
  if (m.mode != "nearest" && m.mode != "linear" && m.mode != "cubic")
    refuse("has mode " + m.mode, "known are nearest, linear, cubic");
  if (const auto grid = grid_of(n, m, sides, x)) {
    const Value size =
        b.add("Pack", {b.cast(sides[0].out, DType::i32), b.cast(sides[1].out, DType::i32)}, {{"axis", int64_t{0}}});
    const Value y = b.add(m.mode == "nearest" ? "ResizeNearestNeighbor" : "ResizeBilinear", {b.to_last(x), size},
                          {{"align_corners", grid->corners}, {"half_pixel_centers", grid->half}});
    return c.set(0, b.from_last(y));
  }
  const DType type = b.type(x);
  if (m.mode != "nearest" && !is_floating(type)) x = b.cast(x, DType::f32);
  for (const Side& s : sides) x = resize_axis(n, m, s, x);
  if (sides.empty()) x = b.add("Identity", {x});
  c.set(0, b.cast(x, type));
}

// Element i of a list as a float64 value.
Value element(const Arithmetic& n, Value list, int64_t i) {
  return n.b.cast(n.b.reshape(n.b.slice(list, 0, i, i + 1), {}), DType::f64);
}

// One size for both axes of a image that keeps its proportions.
Value common_scale(const Arithmetic& n, const std::vector<Side>& sides, const std::vector<Value>& sizes, bool larger) {
  Value scale = n.over(sizes[0], sides[0].in);
  for (size_t i = 1; i < sides.size(); ++i) {
    const Value other = n.over(sizes[i], sides[i].in);
    scale = larger ? n.larger(scale, other) : n.smaller(scale, other);
  }
  return scale;
}

// `scales` or `sizes` for the axes that are named; axes that are known to stay are left out.
void resize_by(Call& c, const Method& m, std::optional<Value> scales, std::optional<Value> sizes, std::optional<Value> roi) {
  Builder& b = c.b;
  const Arithmetic n{b};
  const Value x = c.in(0);
  const int64_t rank = b.rank(x);
  std::vector<int64_t> axes = c.integers("axes");
  if (axes.empty())
    for (int64_t d = 0; d < rank; ++d) axes.push_back(d);
  for (int64_t& a : axes) a = Call::axis_in(a, rank);
  if (!scales && !sizes) refuse("has neither scales nor sizes", "the model is damaged");
  const int64_t count = static_cast<int64_t>(axes.size());
  if (const Shape s = b.dims(scales ? *scales : *sizes); s != Shape{count})
    refuse("has scales or sizes for another number of axes", "the model is damaged");
  std::vector<Side> sides;
  std::vector<Value> wanted;
  for (int64_t i = 0; i < count; ++i) {
    Side s;
    s.axis = axes[static_cast<size_t>(i)];
    s.in = b.cast(b.dimension(x, s.axis), DType::f64);
    if (roi && b.dims(*roi) == Shape{2 * count}) s.from = element(n, *roi, i), s.to = element(n, *roi, i + count);
    if (scales) {
      s.scale = element(n, *scales, i);
      s.out = b.add("Floor", {n.times(s.in, s.scale)});
    } else {
      wanted.push_back(element(n, *sizes, i));
      s.out = wanted.back();
      s.scale = n.over(s.out, s.in);
    }
    sides.push_back(s);
  }
  const std::string policy = c.text("keep_aspect_ratio_policy", "stretch");
  if (sizes && policy != "stretch") {
    if (policy != "not_larger" && policy != "not_smaller") refuse("has keep_aspect_ratio_policy " + policy, "it is not read");
    const Value scale = common_scale(n, sides, wanted, policy == "not_smaller");
    for (Side& s : sides) {
      s.scale = scale;
      s.out = b.add("Floor", {n.plus(n.times(scale, s.in), n.of(0.5))});
    }
  }
  std::vector<Side> changed;
  for (const Side& s : sides) {
    const Tensor* scale = b.constant(s.scale);
    if (!scale || scale->as_double() != 1 || s.from) changed.push_back(s);
  }
  resize_sides(c, m, changed);
}

void resize(Call& c) {
  Method m{c.text("mode", "nearest"), c.text("coordinate_transformation_mode", "half_pixel"),
           c.text("nearest_mode", "round_prefer_floor")};
  m.cubic = c.real("cubic_coeff_a", -0.75f);
  m.antialias = c.flag("antialias", false) && m.mode != "nearest";
  m.exclude_outside = c.flag("exclude_outside", false);
  m.outside = c.real("extrapolation_value", 0);
  const auto given = [&](size_t i) -> std::optional<Value> {
    if (!c.has(i) || c.b.dims(c.in(i)) == Shape{0}) return {};
    return c.in(i);
  };
  resize_by(c, m, given(2), given(3), m.coordinates == "tf_crop_and_resize" ? given(1) : std::nullopt);
}

// Upsample, and Resize of operator set 10: pixel i lies at i / scale.
void resize_asymmetric(Call& c) {
  const Method m{c.text("mode", "nearest"), "asymmetric", "floor"};
  if (c.has(1)) return resize_by(c, m, c.in(1), {}, {});
  const std::vector<float> scales = c.reals("scales");
  resize_by(c, m, c.b.constant(Tensor::from<float>({static_cast<int64_t>(scales.size())}, scales)), {}, {});
}

}  // namespace

const std::vector<OnnxOp>& resize_entries() {
  static const std::vector<OnnxOp> entries = {
      {"Resize", 10, resize_asymmetric},
      {"Resize", 11, resize},
      {"Upsample", 7, resize_asymmetric},
  };
  return entries;
}

}  // namespace cytodet::graph::onnx
