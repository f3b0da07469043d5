// Pooling, over windows and over the whole map.
#include <algorithm>
#include <limits>
#include <numeric>

#include "graph/io/onnx/op_table.h"
#include "graph/io/onnx/spatial.h"

namespace cytodet::graph::onnx {
namespace {

// The lowest number of a type, which no maximum prefers.
double lowest_of(DType t) {
  switch (t) {
    case DType::i8:
      return -128;
    case DType::u8:
      return 0;
    case DType::f16:
      return -65504;
    case DType::f64:
      return std::numeric_limits<double>::lowest();
    default:
      return std::numeric_limits<float>::lowest();
  }
}

struct Pool {
  Value x;  // [n, ..., c], two or three spatial dimensions
  bool line = false;
  std::vector<Window> windows;
  std::vector<int64_t> stated_after;  // the padding after the map before ceil_mode added to it
};

Pool pool_of(const Call& c) {
  Builder& b = c.b;
  Pool p;
  Value x = c.in(0);
  const Shape in = b.dims(x);
  if (in.size() < 3 || in.size() > 5) refuse("has a map of " + std::to_string(in.size()) + " dimensions", "3 to 5 are read");
  p.windows = windows_of(c, Shape(in.begin() + 2, in.end()), c.integers("kernel_shape"));
  for (const Window& w : p.windows) p.stated_after.push_back(w.after);
  set_outputs(p.windows, c.flag("ceil_mode", false));
  if ((p.line = in.size() == 3)) {
    x = as_plane(b, x);
    p.windows.insert(p.windows.begin(), Window{1, 1, 1, 1, 0, 0, 1});
    p.stated_after.insert(p.stated_after.begin(), 0);
  }
  p.x = b.to_last(x);
  return p;
}

Value finished(Builder& b, const Pool& p, Value y) {
  y = b.from_last(y);
  return p.line ? as_line(b, y) : y;
}

// Windows that skip elements: along one axis after another, all elements of every window, then what is made of them.
Value pooled_by_axis(Builder& b, const Pool& p, Value x, const char* reduction) {
  x = padded(b, x, p.windows, std::string(reduction) == "Max" ? lowest_of(b.type(x)) : 0);
  for (size_t i = 0; i < p.windows.size(); ++i) {
    const Window& w = p.windows[i];
    if (w.out < 0)
      refuse("has dilated windows over a map whose size is not known", "give the model's inputs sizes: --input NAME=1,3,640,640");
    std::vector<int32_t> at;
    for (int64_t o = 0; o < w.out; ++o)
      for (int64_t k = 0; k < w.kernel; ++k) at.push_back(static_cast<int32_t>(o * w.stride + k * w.dilation));
    const int64_t axis = static_cast<int64_t>(i) + 1;
    x = b.add("GatherV2", {x, b.constant(Tensor::from<int32_t>({w.out, w.kernel}, at)), b.int32(axis)});
    x = b.add(reduction, {x, b.int32s({axis + 1})}, {{"keep_dims", false}});
  }
  return x;
}

AttrMap pool_attrs(const Pool& p) {
  AttrMap attrs{{"ksize", around(p.windows, &Window::kernel)}, {"strides", around(p.windows, &Window::stride)}};
  attrs.emplace("data_format", p.windows.size() == 3 ? "NDHWC" : "NHWC");
  return attrs;
}

// The places of the maxima, as ONNX counts them: flat in [n, c, h, w], or with h and w exchanged.
Value places(const Call& c, const Pool& p, Value flat) {
  Builder& b = c.b;
  const Shape s = b.static_dims(p.x);
  const Window &rows = p.windows[0], &columns = p.windows[1];
  const int64_t h = s[1], w = s[2], channels = s[3], wide = w + columns.before + columns.after;
  const auto of = [&](const char* op, Value x, int64_t k) { return b.add(op, {x, b.int64(k)}); };
  const Value pixel = of("FloorDiv", flat, channels), channel = of("FloorMod", flat, channels);
  const Value y = of("Sub", of("FloorDiv", pixel, wide), rows.before), x = of("Sub", of("FloorMod", pixel, wide), columns.before);
  const bool by_column = c.flag("storage_order", false);
  const Value in_map = by_column ? b.add("AddV2", {of("Mul", x, h), y}) : b.add("AddV2", {of("Mul", y, w), x});
  std::vector<int64_t> first;
  for (int64_t n = 0; n < s[0]; ++n) first.push_back(n * channels * h * w);
  const Value batch = b.reshape(b.ints(first), {s[0], 1, 1, 1});
  return b.add("AddV2", {b.add("AddV2", {in_map, of("Mul", channel, h * w)}), batch});
}

void max_pool(Call& c) {
  Builder& b = c.b;
  const Pool p = pool_of(c);
  AttrMap attrs = pool_attrs(p);
  if (c.wants(1)) {
    if (p.windows.size() != 2 || p.line || are_dilated(p.windows))
      refuse("gives the places of the maxima of such windows", "those of planes without dilation are read");
    attrs.insert_or_assign("padding", "VALID");
    attrs.erase("data_format");
    attrs.insert_or_assign("Targmax", DType::i64);
    const Value y = b.add("MaxPoolWithArgmax", {padded(b, p.x, p.windows, lowest_of(b.type(p.x)))}, std::move(attrs));
    c.set(1, b.from_last(places(c, p, Builder::output(y, 1))));
    return c.set(0, finished(b, p, y));
  }
  if (are_dilated(p.windows)) return c.set(0, finished(b, p, pooled_by_axis(b, p, p.x, "Max")));
  if (p.windows.size() == 3) {
    attrs.emplace("padding", "VALID");
    return c.set(0, finished(b, p, b.add("MaxPool3D", {padded(b, p.x, p.windows, lowest_of(b.type(p.x)))}, std::move(attrs))));
  }
  const auto inside = [](const Window& w) { return w.before < w.kernel && w.after < w.kernel; };
  const bool touching = std::all_of(p.windows.begin(), p.windows.end(), inside);
  if (touching) set_padding(attrs, p.windows);
  if (!touching) attrs.emplace("padding", "VALID");
  c.set(0,
        finished(b, p, b.add("MaxPool", {touching ? p.x : padded(b, p.x, p.windows, lowest_of(b.type(p.x)))}, std::move(attrs))));
}

// How many elements the windows of one dimension are averaged over.
std::vector<float> counts(const Window& w, int64_t stated_after, bool with_padding) {
  const int64_t low = with_padding ? -w.before : 0, high = with_padding ? w.in + stated_after : w.in;
  std::vector<float> all;
  for (int64_t o = 0; o < w.out; ++o) {
    int64_t n = 0;
    for (int64_t k = 0; k < w.kernel; ++k) {
      const int64_t at = o * w.stride - w.before + k * w.dilation;
      n += at >= low && at < high;
    }
    all.push_back(static_cast<float>(std::max<int64_t>(1, n)));
  }
  return all;
}

// Sums of all windows divided by what they hold: y is their mean over whole windows (`whole`), or their sum.
Value corrected(Builder& b, const Pool& p, Value y, bool with_padding, bool is_mean) {
  for (size_t i = 0; i < p.windows.size(); ++i) {
    const Window& w = p.windows[i];
    const float kernel = static_cast<float>(w.kernel);
    if (w.out < 0) {
      if (!is_mean || (w.pads() && !with_padding))
        refuse("averages without its padding over a map whose size is not known",
               "give the model's inputs sizes: --input NAME=1,3,640,640");
      continue;
    }
    std::vector<float> factors = counts(w, p.stated_after[i], with_padding);
    for (float& f : factors) f = (is_mean ? kernel : 1.0f) / f;
    if (std::all_of(factors.begin(), factors.end(), [](float f) { return f == 1; })) continue;
    Shape shape(p.windows.size() + 2, 1);
    shape[i + 1] = w.out;
    y = b.add("Mul", {y, b.cast(b.constant(Tensor::from<float>(shape, factors)), b.type(y))});
  }
  return y;
}

Value window_means(Builder& b, const Pool& p, Value x) {
  AttrMap attrs = pool_attrs(p);
  attrs.emplace("padding", "VALID");
  return b.add(p.windows.size() == 3 ? "AvgPool3D" : "AvgPool", {padded(b, x, p.windows)}, std::move(attrs));
}

void average_pool(Call& c) {
  Builder& b = c.b;
  const Pool p = pool_of(c);
  const bool with_padding = c.flag("count_include_pad", false);
  if (are_dilated(p.windows))
    return c.set(0, finished(b, p, corrected(b, p, pooled_by_axis(b, p, p.x, "Sum"), with_padding, false)));
  if (!with_padding && p.windows.size() == 2 && are_same_pads(p.windows)) {
    AttrMap attrs = pool_attrs(p);
    set_padding(attrs, p.windows);
    return c.set(0, finished(b, p, b.add("AvgPool", {p.x}, std::move(attrs))));
  }
  c.set(0, finished(b, p, corrected(b, p, window_means(b, p, p.x), with_padding, true)));
}

// (sum of |x|^p)^(1/p)
Value raised(Builder& b, Value x, double p) {
  if (p == 1) return x;
  return p == 2 ? b.add("Square", {x}) : b.add("Pow", {x, b.number(p, x)});
}
Value rooted(Builder& b, Value x, double p) {
  if (p == 1) return x;
  return p == 2 ? b.add("Sqrt", {x}) : b.add("Pow", {x, b.number(1 / p, x)});
}
void lp_pool(Call& c) {
  Builder& b = c.b;
  Pool p = pool_of(c);
  const double power = static_cast<double>(c.integer("p", 2));
  const Value x = raised(b, b.add("Abs", {p.x}), power);
  Value sums;
  if (are_dilated(p.windows)) {
    sums = pooled_by_axis(b, p, x, "Sum");
  } else {
    int64_t taps = 1;
    for (const Window& w : p.windows) taps *= w.kernel;
    sums = b.add("Mul", {window_means(b, p, x), b.number(static_cast<double>(taps), x)});
  }
  c.set(0, finished(b, p, rooted(b, sums, power)));
}

Value over_map(const Call& c, const char* op, Value x) {
  std::vector<int64_t> axes(static_cast<size_t>(std::max<int64_t>(0, c.b.rank(x) - 2)));
  std::iota(axes.begin(), axes.end(), 2);
  return c.b.add(op, {x, c.b.int32s(axes)}, {{"keep_dims", true}});
}
void global_average(Call& c) { c.set(0, over_map(c, "Mean", c.in(0))); }
void global_max(Call& c) { c.set(0, over_map(c, "Max", c.in(0))); }
void global_lp(Call& c) {
  const double power = static_cast<double>(c.integer("p", 2));
  c.set(0, rooted(c.b, over_map(c, "Sum", raised(c.b, c.b.add("Abs", {c.in(0)}), power)), power));
}

// Every value goes to the place that MaxPool stated; the rest is 0.
void max_unpool(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  const Shape in = b.static_dims(x);
  // The places count in the map that the windows make, which lies at the beginning of a larger one that is asked for.
  Shape own = in;
  const std::vector<Window> windows = windows_of(c, Shape(in.begin() + 2, in.end()), c.integers("kernel_shape"));
  for (size_t i = 0; i < windows.size(); ++i)
    own[i + 2] = (windows[i].in - 1) * windows[i].stride + windows[i].kernel - windows[i].before - windows[i].after;
  const int64_t n = elements(in);
  const Value flat =
      b.add("ScatterNd", {b.reshape(b.cast(c.in(1), DType::i64), {n, 1}), b.reshape(x, {n}), b.ints({elements(own)})});
  Value y = b.reshape(flat, own);
  if (c.has(2)) {
    const Tensor* wanted = c.constant(2);
    for (size_t d = 0; wanted && d < own.size(); ++d)
      if (wanted->size() != static_cast<int64_t>(own.size()) || wanted->as_int(static_cast<int64_t>(d)) < own[d])
        refuse("has an output shape that is smaller than its windows make", "the model is damaged");
    const Value after = b.add("Sub", {b.cast(c.in(2), DType::i64), b.ints(own)});
    const Value before = b.ints(std::vector<int64_t>(own.size(), 0));
    y = b.add("Pad", {y, b.add("Pack", {before, after}, {{"axis", int64_t{1}}})});
  }
  c.set(0, y);
}

}  // namespace

const std::vector<OnnxOp>& pool_entries() {
  static const std::vector<OnnxOp> entries = {
      {"AveragePool", 1, average_pool}, {"GlobalAveragePool", 1, global_average},
      {"GlobalLpPool", 2, global_lp},   {"GlobalMaxPool", 1, global_max},
      {"LpPool", 2, lp_pool},           {"MaxPool", 1, max_pool},
      {"MaxUnpool", 9, max_unpool},
  };
  return entries;
}

}  // namespace cytodet::graph::onnx
