#include "graph/quantized/quant_nodes.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "graph/ir/op.h"

namespace cytodet::graph {
namespace {

constexpr float kSmallestScale = 1e-30f;

bool is_conv(const std::string& op) { return op == "Conv2D" || op == "DepthwiseConv2dNative" || op == "MatMul"; }

// Output channels of a filter: the innermost axis, or for depthwise the last two.
int64_t channels_of(const std::string& op, const Shape& filter) {
  return op == "DepthwiseConv2dNative" ? filter[2] * filter[3] : filter.back();
}

Value add(Graph& graph, const std::string& base, std::string op, std::vector<Value> inputs, AttrMap attrs) {
  Node n;
  n.name = graph.unique_name(base);
  n.op = std::move(op);
  n.inputs = std::move(inputs);
  n.attrs = std::move(attrs);
  return {graph.add(std::move(n)), 0};
}

// The attributes that codes and numbers share.
AttrMap coding(const Quant& q) {
  AttrMap attrs;
  attrs["T"] = q.is_signed ? DType::qint8 : DType::quint8;
  attrs["mode"] = std::string(q.is_signed ? "SCALED" : "MIN_FIRST");
  if (q.is_signed) attrs["narrow_range"] = true;
  return attrs;
}

std::string quantize_mode(const Node& n) { return n.attr_or<std::string>("mode", "MIN_COMBINED"); }

std::optional<float> scalar(const Graph& graph, Value v) {
  const Tensor* t = graph.constant(v);
  if (!t || t->size() != 1 || !is_floating(t->dtype())) return {};
  return static_cast<float>(t->as_double());
}

// Equal but for the rounding that a scale takes on its way through a range.
bool same(const Quant& a, const Quant& b) {
  return a.is_signed == b.is_signed && a.zero_point == b.zero_point && std::abs(a.scale - b.scale) <= 1e-6f * a.scale;
}

// What a QuantizeV2 (or its Dequantize) with this range means.
std::optional<Quant> quant_of(const Node& n, DType type, float low, float high) {
  if (!std::isfinite(low) || !std::isfinite(high) || low > high) return {};
  const std::string mode = quantize_mode(n);
  if (type == DType::qint8 && mode == "SCALED") return Quant{std::max(std::abs(low), std::abs(high)) / 127, 0, true};
  if (type == DType::quint8 && mode == "SCALED") return Quant{high / 255, 0, false};
  if (type != DType::quint8 || mode != "MIN_FIRST" || high <= low) return {};
  const float scale = (high - low) / 255;
  const int zero_point = static_cast<int>(-std::round(low / scale));
  if (zero_point < 0 || zero_point > 255) return {};
  return Quant{scale, zero_point, false};
}

// The constants behind a Dequantize of a filter.
struct CodedFilter {
  const Tensor *codes, *low, *high;
};

std::optional<CodedFilter> coded_filter(const Graph& graph, Value v) {
  const Node& d = graph.node(v.node);
  if (v.slot != 0 || d.op != "Dequantize" || d.inputs.size() != 3 || quantize_mode(d) != "SCALED") return {};
  const Tensor *codes = graph.constant(d.inputs[0]), *low = graph.constant(d.inputs[1]), *high = graph.constant(d.inputs[2]);
  if (!codes || !low || !high || codes->dtype() != DType::qint8 || low->size() != high->size() || low->size() == 0) return {};
  return CodedFilter{codes, low, high};
}

QuantWeights weights_of(const CodedFilter& f, const Shape& shape) {
  QuantWeights w;
  w.codes = Tensor(DType::i8, shape);
  std::memcpy(w.codes.raw(), f.codes->raw(), static_cast<size_t>(f.codes->size()));
  w.scales.reserve(static_cast<size_t>(f.low->size()));
  for (int64_t i = 0; i < f.low->size(); ++i) {
    const float low = static_cast<float>(f.low->as_double(i)), high = static_cast<float>(f.high->as_double(i));
    w.scales.push_back(std::max(std::abs(low), std::abs(high)) / 127);
  }
  return w;
}

// Depthwise filters are stored as [h, w, 1, channels * multiplier] codes, since Dequantize has one axis, and reshaped after.
Value filter_behind(const Graph& graph, Value v) {
  const Node& n = graph.node(v.node);
  return n.op == "Reshape" && v.slot == 0 && n.inputs.size() == 2 && graph.constant(n.inputs[1]) ? n.inputs[0] : v;
}

struct CodedConv {
  Value input;
  Quant quant;
  CodedFilter filter;
  Shape shape;  // of the filter
};

// Where the codes of a conv lie; nothing is copied.
std::optional<CodedConv> coded_conv(const Graph& graph, NodeId conv) {
  const Node& n = graph.node(conv);
  if (!is_conv(n.op) || n.inputs.size() < 2 || (n.op == "MatMul" && n.attr_or("transpose_b", false))) return {};
  const std::optional<CodedValue> input = coded_value(graph, n.inputs[0]);
  if (!input) return {};
  const Value behind = filter_behind(graph, n.inputs[1]);
  const std::optional<CodedFilter> filter = coded_filter(graph, behind);
  if (!filter) return {};
  Shape shape = filter->codes->shape();
  if (behind != n.inputs[1]) {
    shape.clear();
    for (int64_t size : graph.constant(graph.node(n.inputs[1].node).inputs[1])->as_ints()) shape.push_back(size);
    if (elements(shape) != filter->codes->size()) return {};
  }
  if (shape.size() < (n.op == "DepthwiseConv2dNative" ? 4u : 1u)) return {};
  if (filter->low->size() != 1 && filter->low->size() != channels_of(n.op, shape)) return {};
  return CodedConv{input->input, input->quant, *filter, std::move(shape)};
}

// visit(channel, for_each_row) for every sum of products in 16 bits of a filter of `size` codes; for_each_row(f): f(k) of its
// rows.
template <class Visit>
void for_each_narrow_sum(int64_t size, int64_t channels, Visit visit) {
  const int64_t rows = channels > 0 ? size / channels : 0;
  for (int64_t block = 0; block < rows; block += kNarrowRows)
    for (int64_t lane = 0; lane < 4; lane += 2)
      for (int64_t channel = 0; channel < channels; ++channel)
        visit(channel, [&](auto f) {
          const int64_t end = std::min(rows, block + kNarrowRows);
          for (int64_t k = block + lane; k < end; k += 4)
            for (int64_t i = k; i < std::min(end, k + 2); ++i) f(i);
        });
}

// Moves codes of this sign towards zero, those first that rounding moved most the other way, until they sum to no more than
// kNarrowSum.
template <class ForEachRow>
void lower_sum(const float* w, int8_t* codes, int64_t stride, float scale, int sign, const ForEachRow& for_each_row) {
  for (;;) {
    int sum = 0;
    float most = -1;
    int64_t at = 0;
    for_each_row([&](int64_t k) {
      const int code = sign * codes[k * stride];
      if (code <= 0) return;
      sum += code;
      const float rounded_up = static_cast<float>(code) - static_cast<float>(sign) * w[k * stride] / scale;
      if (rounded_up > most) {
        most = rounded_up;
        at = k;
      }
    });
    if (sum <= kNarrowSum) return;
    codes[at * stride] = static_cast<int8_t>(codes[at * stride] - sign);
  }
}

}  // namespace

Quant Quant::of_range(float low, float high, bool symmetric) {
  if (!std::isfinite(low) || !std::isfinite(high)) return {1, 0, symmetric};
  low = std::min(low, 0.0f);
  high = std::max(high, 0.0f);
  if (high - low < kSmallestScale) return {1, 0, symmetric};
  if (symmetric) return {std::max(-low, high) / 127, 0, true};
  const float scale = (high - low) / 255;
  return {scale, std::clamp(static_cast<int>(std::lround(-low / scale)), 0, 255), false};
}

int Quant::code(float x) const {
  const double c = std::nearbyint(static_cast<double>(x) / scale) + zero_point;
  return static_cast<int>(std::clamp<double>(std::isnan(c) ? zero_point : c, lowest(), highest()));
}

bool is_narrow(const Tensor& codes, int64_t channels) {
  bool narrow = true;
  const int8_t* w = codes.data<int8_t>();
  for_each_narrow_sum(codes.size(), channels, [&](int64_t channel, const auto& for_each_row) {
    int positive = 0, negative = 0;
    for_each_row([&](int64_t k) {
      const int code = w[k * channels + channel];
      (code > 0 ? positive : negative) += code;
    });
    narrow &= positive <= kNarrowSum && -negative <= kNarrowSum;
  });
  return narrow;
}

QuantWeights quantize_weights(const Tensor& filter, int64_t channels, bool per_channel, const CodeLimits& limits) {
  const float* w = filter.data<float>();
  const int64_t groups = per_channel ? channels : 1;
  std::vector<float> scales(static_cast<size_t>(groups), 0);
  const auto widen = [&](int64_t channel, float scale) {
    float& s = scales[static_cast<size_t>(channel % groups)];
    s = std::max(s, scale);
  };
  for (int64_t i = 0; i < filter.size(); ++i) widen(i % channels, std::abs(w[i]) / static_cast<float>(limits.largest));
  if (limits.narrow)
    for_each_narrow_sum(filter.size(), channels, [&](int64_t channel, const auto& for_each_row) {
      float positive = 0, negative = 0;
      for_each_row([&](int64_t k) {
        const float x = w[k * channels + channel];
        (x > 0 ? positive : negative) += x;
      });
      widen(channel, std::max(positive, -negative) / kNarrowSum);
    });
  QuantWeights q{Tensor(DType::i8, filter.shape()), std::move(scales)};
  for (float& scale : q.scales)
    if (!(scale * 127 > kSmallestScale)) scale = 1;
  const float most = static_cast<float>(limits.largest);
  int8_t* codes = q.codes.data<int8_t>();
  for (int64_t i = 0; i < filter.size(); i += groups)
    for (int64_t g = 0; g < groups; ++g)
      codes[i + g] = static_cast<int8_t>(std::clamp(std::nearbyint(w[i + g] / q.scales[static_cast<size_t>(g)]), -most, most));
  if (limits.narrow)
    for_each_narrow_sum(filter.size(), channels, [&](int64_t channel, const auto& for_each_row) {
      const float scale = q.scales[static_cast<size_t>(channel % groups)];
      for (int sign : {1, -1}) lower_sum(w + channel, codes + channel, channels, scale, sign, for_each_row);
    });
  return q;
}

Tensor dequantize_weights(const QuantWeights& weights) {
  Tensor out(DType::f32, weights.codes.shape());
  const int64_t groups = static_cast<int64_t>(weights.scales.size());
  const int8_t* codes = weights.codes.data<int8_t>();
  float* numbers = out.data<float>();
  for (int64_t i = 0; i < out.size(); i += groups)
    for (int64_t g = 0; g < groups; ++g)
      numbers[i + g] = static_cast<float>(codes[i + g]) * weights.scales[static_cast<size_t>(g)];
  return out;
}

std::optional<CodedValue> coded_value(const Graph& graph, Value number) {
  const Node& d = graph.node(number.node);
  if (number.slot != 0 || d.inputs.size() != 3 || d.inputs[0].slot != 0 || d.op != "Dequantize") return {};
  const Node& q = graph.node(d.inputs[0].node);
  if (q.op != "QuantizeV2" || q.inputs.size() != 3 || quantize_mode(q) != quantize_mode(d)) return {};
  if (d.inputs[1] != Value{d.inputs[0].node, 1} || d.inputs[2] != Value{d.inputs[0].node, 2}) return {};
  const std::optional<float> low = scalar(graph, q.inputs[1]), high = scalar(graph, q.inputs[2]);
  if (!low || !high) return {};
  const std::optional<Quant> quant = quant_of(q, q.attr_or("T", DType::quint8), *low, *high);
  if (!quant) return {};
  return CodedValue{q.inputs[0], *quant};
}

Value add_coded(Graph& graph, Value input, const Quant& quant) {
  for (NodeId id : graph.ids()) {
    const std::vector<Value>& codes = graph.node(id).inputs;
    if (codes.size() != 3 || graph.node(codes[0].node).inputs.empty() || graph.node(codes[0].node).inputs[0] != input) continue;
    if (const auto other = coded_value(graph, {id, 0}); other && same(other->quant, quant)) return {id, 0};
  }
  const std::string from = graph.node(input.node).name + (input.slot ? "_" + std::to_string(input.slot) : "");
  // Ranges that give the scale back exactly are those of TensorFlow's own rule: all codes, zero exact.
  const float low = quant.is_signed ? -127 * quant.scale : static_cast<float>(-quant.zero_point) * quant.scale;
  const float high = quant.is_signed ? 127 * quant.scale : static_cast<float>(255 - quant.zero_point) * quant.scale;
  const Value lo = graph.add_const(from + "/quantized/min", Tensor::scalar(low)),
              hi = graph.add_const(from + "/quantized/max", Tensor::scalar(high));
  AttrMap attrs = coding(quant);
  attrs["round_mode"] = std::string(quant.is_signed ? "HALF_TO_EVEN" : "HALF_AWAY_FROM_ZERO");
  attrs["ensure_minimum_range"] = 0.0f;
  const Value codes = add(graph, from + "/quantized", "QuantizeV2", {input, lo, hi}, attrs);
  return add(graph, from + "/dequantized", "Dequantize", {codes, {codes.node, 1}, {codes.node, 2}}, coding(quant));
}

void set_quantized(Graph& graph, NodeId conv, const Quant& quant, const QuantWeights& weights) {
  const std::string op = graph.node(conv).op, name = graph.node(conv).name;
  const Value number = add_coded(graph, graph.node(conv).inputs.at(0), quant);
  const Shape shape = weights.codes.shape();
  const int64_t channels = channels_of(op, shape);
  const bool depthwise = op == "DepthwiseConv2dNative";
  Tensor codes(DType::qint8, depthwise ? Shape{shape[0], shape[1], 1, channels} : shape);
  std::memcpy(codes.raw(), weights.codes.raw(), static_cast<size_t>(codes.size()));
  const bool per_channel = weights.scales.size() > 1 || channels == 1;
  std::vector<float> low, high;
  for (float s : weights.scales) low.push_back(-127 * s), high.push_back(127 * s);
  const Shape ranges = per_channel ? Shape{channels} : Shape{};
  const Value c = graph.add_const(name + "/filter_codes", codes),
              lo = graph.add_const(name + "/filter_min", Tensor::from(ranges, low)),
              hi = graph.add_const(name + "/filter_max", Tensor::from(ranges, high));
  AttrMap attrs;
  attrs["T"] = DType::qint8;
  attrs["mode"] = std::string("SCALED");
  attrs["axis"] = static_cast<int64_t>(per_channel ? codes.rank() - 1 : -1);
  Value filter = add(graph, name + "/filter", "Dequantize", {c, lo, hi}, attrs);
  if (depthwise && shape != codes.shape()) {
    AttrMap reshape;
    reshape["T"] = DType::f32;
    reshape["Tshape"] = DType::i32;
    const std::vector<int32_t> sizes(shape.begin(), shape.end());
    const Value to = graph.add_const(name + "/filter_shape", Tensor::from({4}, sizes));
    filter = add(graph, name + "/filter_depthwise", "Reshape", {filter, to}, reshape);
  }
  graph.node(conv).inputs[0] = number;
  graph.node(conv).inputs[1] = filter;
}

std::optional<QuantConv> quantized(const Graph& graph, NodeId conv) {
  const std::optional<CodedConv> c = coded_conv(graph, conv);
  if (!c) return {};
  return QuantConv{c->input, c->quant, weights_of(c->filter, c->shape)};
}

bool is_quantized(const Graph& graph, NodeId conv) { return coded_conv(graph, conv).has_value(); }

bool has_quantized(const Graph& graph) {
  for (NodeId id : graph.ids())
    if (is_quantized(graph, id)) return true;
  return false;
}

}  // namespace cytodet::graph
