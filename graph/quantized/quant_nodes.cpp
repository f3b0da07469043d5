#include "graph/quantized/quant_nodes.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "graph/ir/conv_node.h"
#include "graph/ir/op.h"
#include "graph/quantized/quantized_filter.h"

namespace cytodet::graph {
namespace {

constexpr float kSmallestScale = 1e-30f;

Value add(Graph& graph, const std::string& base, std::string op, std::vector<Value> inputs, AttrMap attrs) {
  Node n;
  n.name = graph.unique_name(base);
  n.op = std::move(op);
  n.inputs = std::move(inputs);
  n.attrs = std::move(attrs);
  return {graph.add(std::move(n)), 0};
}

// The attributes that QuantizeV2 and Dequantize share.
AttrMap quant_attrs(const QuantParams& q) {
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

// Equal but for the rounding of a scale that was written as a range and read back.
bool same(const QuantParams& a, const QuantParams& b) {
  return a.is_signed == b.is_signed && a.zero_point == b.zero_point && std::abs(a.scale - b.scale) <= 1e-6f * a.scale;
}

// The parameters that a QuantizeV2 (or its Dequantize) with this range stands for; empty: none that QuantParams can hold.
std::optional<QuantParams> quant_of(const Node& n, DType type, float low, float high) {
  if (!std::isfinite(low) || !std::isfinite(high) || low > high) return {};
  const std::string mode = quantize_mode(n);
  if (type == DType::qint8 && mode == "SCALED") return QuantParams{std::max(std::abs(low), std::abs(high)) / 127, 0, true};
  if (type == DType::quint8 && mode == "SCALED") return QuantParams{high / 255, 0, false};
  if (type != DType::quint8 || mode != "MIN_FIRST" || high <= low) return {};
  const float scale = (high - low) / 255;
  const int zero_point = static_cast<int>(-std::round(low / scale));
  if (zero_point < 0 || zero_point > 255) return {};
  return QuantParams{scale, zero_point, false};
}

// The constants behind a Dequantize of a filter.
struct QuantizedFilterNodes {
  const Tensor *values, *low, *high;
};

//   constant qint8 values, constant low and high ─▶ Dequantize SCALED ─▶ v
std::optional<QuantizedFilterNodes> quantized_filter(const Graph& graph, Value v) {
  const Node& d = graph.node(v.node);
  if (v.slot != 0 || d.op != "Dequantize" || d.inputs.size() != 3 || quantize_mode(d) != "SCALED") return {};
  const Tensor *values = graph.constant(d.inputs[0]), *low = graph.constant(d.inputs[1]), *high = graph.constant(d.inputs[2]);
  if (!values || !low || !high || values->dtype() != DType::qint8 || low->size() != high->size() || low->size() == 0) return {};
  return QuantizedFilterNodes{values, low, high};
}

QuantizedWeights weights_of(const QuantizedFilterNodes& f, const Shape& shape) {
  QuantizedWeights w;
  w.values = Tensor(DType::i8, shape);
  std::memcpy(w.values.raw(), f.values->raw(), static_cast<size_t>(f.values->size()));
  w.scales.reserve(static_cast<size_t>(f.low->size()));
  for (int64_t i = 0; i < f.low->size(); ++i) {
    const float low = static_cast<float>(f.low->as_double(i)), high = static_cast<float>(f.high->as_double(i));
    w.scales.push_back(std::max(std::abs(low), std::abs(high)) / 127);
  }
  return w;
}

// Depthwise filters are stored as [h, w, 1, channels * multiplier] values, since Dequantize has one axis, and reshaped after it.
Value filter_behind(const Graph& graph, Value v) {
  const Node& n = graph.node(v.node);
  return n.op == "Reshape" && v.slot == 0 && n.inputs.size() == 2 && graph.constant(n.inputs[1]) ? n.inputs[0] : v;
}

struct QuantizedConvNodes {
  Value input;
  QuantParams quant;
  QuantizedFilterNodes filter;
  Shape shape;  // of the filter
};

// The nodes of a quantized convolution; nothing is copied.
//
//   x ─▶ QuantizeV2 ─▶ Dequantize ───────────────────────────────────┐
//   constant qint8 values ─▶ Dequantize [─▶ Reshape constant sizes] ─┴▶ Conv2D | DepthwiseConv2dNative | MatMul | ...
std::optional<QuantizedConvNodes> quantized_conv_nodes(const Graph& graph, NodeId conv) {
  const Node& n = graph.node(conv);
  if (!has_int8_form(n.op) || n.inputs.size() < 2 || (n.op == "MatMul" && n.attr_or("transpose_b", false))) return {};
  const std::optional<FakeQuantValue> input = fake_quant_value(graph, n.inputs[0]);
  if (!input) return {};
  const Value behind = filter_behind(graph, n.inputs[1]);
  const std::optional<QuantizedFilterNodes> filter = quantized_filter(graph, behind);
  if (!filter) return {};
  Shape shape = filter->values->shape();
  if (behind != n.inputs[1]) {
    shape.clear();
    for (int64_t size : graph.constant(graph.node(n.inputs[1].node).inputs[1])->as_ints()) shape.push_back(size);
    if (elements(shape) != filter->values->size()) return {};
  }
  if (shape.size() < (n.op == "DepthwiseConv2dNative" ? 4u : 1u)) return {};
  if (filter->low->size() != 1 && filter->low->size() != output_channels(n.op, shape)) return {};
  return QuantizedConvNodes{input->input, input->quant, *filter, std::move(shape)};
}

// visit(channel, for_each_row) for every sum of four products that is held in 16 bits (is_16bit_safe), of a filter of `size`
// values; for_each_row(f) calls f(k) for the rows k of the sum.
template <class Visit>
void for_each_16bit_sum(int64_t size, int64_t channels, Visit visit) {
  const int64_t rows = channels > 0 ? size / channels : 0;
  for (int64_t block = 0; block < rows; block += k16BitSafeRows)
    for (int64_t lane = 0; lane < 4; lane += 2)
      for (int64_t channel = 0; channel < channels; ++channel)
        visit(channel, [&](auto f) {
          const int64_t end = std::min(rows, block + k16BitSafeRows);
          for (int64_t k = block + lane; k < end; k += 4)
            for (int64_t i = k; i < std::min(end, k + 2); ++i) f(i);
        });
}

// Moves values of this sign towards zero by one, first those that rounding moved furthest from zero, until they sum to no more
// than kMax16BitSafeSum.
template <class ForEachRow>
void lower_sum(const float* w, int8_t* values, int64_t stride, float scale, int sign, const ForEachRow& for_each_row) {
  for (;;) {
    int sum = 0;
    float max_excess = -1;
    int64_t at = 0;
    for_each_row([&](int64_t k) {
      const int value = sign * values[k * stride];
      if (value <= 0) return;
      sum += value;
      const float rounded_up = static_cast<float>(value) - static_cast<float>(sign) * w[k * stride] / scale;
      if (rounded_up > max_excess) {
        max_excess = rounded_up;
        at = k;
      }
    });
    if (sum <= kMax16BitSafeSum) return;
    values[at * stride] = static_cast<int8_t>(values[at * stride] - sign);
  }
}

}  // namespace

QuantParams QuantParams::of_range(float low, float high, bool symmetric) {
  if (!std::isfinite(low) || !std::isfinite(high)) return {1, 0, symmetric};
  low = std::min(low, 0.0f);
  high = std::max(high, 0.0f);
  if (high - low < kSmallestScale) return {1, 0, symmetric};
  if (symmetric) return {std::max(-low, high) / 127, 0, true};
  const float scale = (high - low) / 255;
  return {scale, std::clamp(static_cast<int>(std::lround(-low / scale)), 0, 255), false};
}

int QuantParams::quantize(float x) const {
  const double c = std::nearbyint(static_cast<double>(x) / scale) + zero_point;
  return static_cast<int>(std::clamp<double>(std::isnan(c) ? zero_point : c, qmin(), qmax()));
}

bool is_16bit_safe(const Tensor& values, int64_t channels) {
  bool safe = true;
  const int8_t* w = values.data<int8_t>();
  for_each_16bit_sum(values.size(), channels, [&](int64_t channel, const auto& for_each_row) {
    int positive = 0, negative = 0;
    for_each_row([&](int64_t k) {
      const int value = int{w[k * channels + channel]};
      (value > 0 ? positive : negative) += value;
    });
    safe &= positive <= kMax16BitSafeSum && -negative <= kMax16BitSafeSum;
  });
  return safe;
}

QuantizedWeights quantize_weights(const Tensor& filter, int64_t channels, bool per_channel, const WeightLimits& limits) {
  const float* w = filter.data<float>();
  const int64_t groups = per_channel ? channels : 1;
  std::vector<float> scales(static_cast<size_t>(groups), 0);
  const auto widen = [&](int64_t channel, float scale) {
    float& s = scales[static_cast<size_t>(channel % groups)];
    s = std::max(s, scale);
  };
  for (int64_t i = 0; i < filter.size(); ++i) widen(i % channels, std::abs(w[i]) / static_cast<float>(limits.max_abs));
  if (limits.safe_16bit)
    for_each_16bit_sum(filter.size(), channels, [&](int64_t channel, const auto& for_each_row) {
      float positive = 0, negative = 0;
      for_each_row([&](int64_t k) {
        const float x = w[k * channels + channel];
        (x > 0 ? positive : negative) += x;
      });
      widen(channel, std::max(positive, -negative) / kMax16BitSafeSum);
    });
  QuantizedWeights q{Tensor(DType::i8, filter.shape()), std::move(scales)};
  for (float& scale : q.scales)
    if (!(scale * 127 > kSmallestScale)) scale = 1;
  const float max_abs = static_cast<float>(limits.max_abs);
  int8_t* values = q.values.data<int8_t>();
  for (int64_t i = 0; i < filter.size(); i += groups)
    for (int64_t g = 0; g < groups; ++g) {
      const float steps = std::nearbyint(w[i + g] / q.scales[static_cast<size_t>(g)]);
      values[i + g] = std::isnan(steps) ? int8_t{0} : static_cast<int8_t>(std::clamp(steps, -max_abs, max_abs));
    }
  if (limits.safe_16bit)
    for_each_16bit_sum(filter.size(), channels, [&](int64_t channel, const auto& for_each_row) {
      const float scale = q.scales[static_cast<size_t>(channel % groups)];
      for (int sign : {1, -1}) lower_sum(w + channel, values + channel, channels, scale, sign, for_each_row);
    });
  return q;
}

Tensor dequantize_weights(const QuantizedWeights& weights) {
  Tensor out(DType::f32, weights.values.shape());
  const int64_t groups = static_cast<int64_t>(weights.scales.size());
  const int8_t* values = weights.values.data<int8_t>();
  float* floats = out.data<float>();
  for (int64_t i = 0; i < out.size(); i += groups)
    for (int64_t g = 0; g < groups; ++g)
      floats[i + g] = static_cast<float>(values[i + g]) * weights.scales[static_cast<size_t>(g)];
  return out;
}

//   x, constant low and high ─▶ QuantizeV2 ─▶ Dequantize ─▶     both nodes of one mode
std::optional<FakeQuantValue> fake_quant_value(const Graph& graph, Value dequantized) {
  const Node& d = graph.node(dequantized.node);
  if (dequantized.slot != 0 || d.inputs.size() != 3 || d.inputs[0].slot != 0 || d.op != "Dequantize") return {};
  const Node& q = graph.node(d.inputs[0].node);
  if (q.op != "QuantizeV2" || q.inputs.size() != 3 || quantize_mode(q) != quantize_mode(d)) return {};
  if (d.inputs[1] != Value{d.inputs[0].node, 1} || d.inputs[2] != Value{d.inputs[0].node, 2}) return {};
  const std::optional<float> low = scalar(graph, q.inputs[1]), high = scalar(graph, q.inputs[2]);
  if (!low || !high) return {};
  const std::optional<QuantParams> quant = quant_of(q, q.attr_or("T", DType::quint8), *low, *high);
  if (!quant) return {};
  return FakeQuantValue{q.inputs[0], *quant};
}

Value add_fake_quant(Graph& graph, Value input, const QuantParams& quant) {
  for (NodeId id : graph.ids()) {
    const std::vector<Value>& values = graph.node(id).inputs;
    if (values.size() != 3 || graph.node(values[0].node).inputs.empty() || graph.node(values[0].node).inputs[0] != input)
      continue;
    if (const auto other = fake_quant_value(graph, {id, 0}); other && same(other->quant, quant)) return {id, 0};
  }
  return new_fake_quant(graph, input, quant);
}

Value new_fake_quant(Graph& graph, Value input, const QuantParams& quant) {
  const std::string from = graph.node(input.node).name + (input.slot ? "_" + std::to_string(input.slot) : "");
  // TensorFlow's own rule for ranges, from which it reads the same scale back: they span all values, and 0 is exact.
  const float low = quant.is_signed ? -127 * quant.scale : static_cast<float>(-quant.zero_point) * quant.scale;
  const float high = quant.is_signed ? 127 * quant.scale : static_cast<float>(255 - quant.zero_point) * quant.scale;
  const Value lo = graph.add_const(from + "/quantized/min", Tensor::scalar(low)),
              hi = graph.add_const(from + "/quantized/max", Tensor::scalar(high));
  AttrMap attrs = quant_attrs(quant);
  attrs["round_mode"] = std::string(quant.is_signed ? "HALF_TO_EVEN" : "HALF_AWAY_FROM_ZERO");
  attrs["ensure_minimum_range"] = 0.0f;
  const Value values = add(graph, from + "/quantized", "QuantizeV2", {input, lo, hi}, attrs);
  return add(graph, from + "/dequantized", "Dequantize", {values, {values.node, 1}, {values.node, 2}}, quant_attrs(quant));
}

void set_quantized(Graph& graph, NodeId conv, const QuantParams& quant, const QuantizedWeights& weights) {
  const std::string op = graph.node(conv).op, name = graph.node(conv).name;
  const Value dequantized = add_fake_quant(graph, graph.node(conv).inputs.at(0), quant);
  const Value filter = add_quantized_filter(graph, name, op, weights);
  graph.node(conv).inputs[0] = dequantized;
  graph.node(conv).inputs[1] = filter;
}

std::optional<QuantizedConv> quantized_conv(const Graph& graph, NodeId conv) {
  const std::optional<QuantizedConvNodes> c = quantized_conv_nodes(graph, conv);
  if (!c) return {};
  return QuantizedConv{c->input, c->quant, weights_of(c->filter, c->shape)};
}

bool is_quantized(const Graph& graph, NodeId conv) { return quantized_conv_nodes(graph, conv).has_value(); }

bool has_quantized(const Graph& graph) {
  for (NodeId id : graph.ids())
    if (is_quantized(graph, id)) return true;
  return false;
}

}  // namespace cytodet::graph
