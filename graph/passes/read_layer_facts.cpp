// What is known of nodes on quantized values: ranges, filters, biases.
#include <algorithm>
#include <cmath>

#include "graph/ir/conv_node.h"
#include "graph/passes/raise_int8.h"

namespace cytodet::graph::raise {
namespace {

constexpr const char* kDynamic = "its ranges are computed when it runs: freeze them (freeze_requantization_ranges)";

// Whether these are the two ends of the range that QuantizeV2 states for values that it makes as integer layers read them.
bool is_range_of_quantize(const Graph& g, const Node& layer, Value low, Value high) {
  const Value v = layer.inputs[0];
  const Node& q = g.node(v.node);
  return q.op == "QuantizeV2" && v.slot == 0 && low == Value{v.node, 1} && high == Value{v.node, 2} &&
         q.attr_or<std::string>("mode", "MIN_COMBINED") == "SCALED" && q.attr_or("axis", int64_t{-1}) == -1;
}

// The filter as [in, out]; the quantized values of a transposed one are moved.
Tensor upright(const Node& n, const Tensor& filter) {
  Tensor quantized = filter.bitcast(DType::i8);
  if (!n.attr_or("transpose_b", false) || quantized.rank() != 2) return quantized;
  const int64_t rows = quantized.dim(0), columns = quantized.dim(1);
  Tensor out(DType::i8, {columns, rows});
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) out.data<int8_t>()[c * rows + r] = quantized.data<int8_t>()[r * columns + c];
  return out;
}

}  // namespace

std::optional<Ends> Int8Rewriter::ends_of(Value low, Value high) const {
  if (low.node == high.node && low.slot == 1 && high.slot == 2)
    if (const auto it = ends_.find(low.node); it != ends_.end()) return it->second;
  const Tensor *a = g_.constant(low), *b = g_.constant(high);
  if (!a || !b || a->size() != 1 || b->size() != 1) return {};
  const Ends e{static_cast<float>(a->as_double()), static_cast<float>(b->as_double())};
  return std::isfinite(e.top()) && e.top() > 0 ? std::optional(e) : std::nullopt;
}

// QuantizeV2 may widen the range of its inputs: the range that it states is taken from its evaluation.
void Int8Rewriter::note_quantize(NodeId id) {
  const Node& n = g_.node(id);
  if (n.inputs.size() != 3 || frames_.frame(id) != 0 || waits(id)) return;
  const Tensor *low = g_.constant(n.inputs[1]), *high = g_.constant(n.inputs[2]);
  if (!low || !high || low->size() != 1 || high->size() != 1 || n.attr_or("axis", int64_t{-1}) != -1) return;
  Ends e{0, 0};
  try {
    const std::vector<Tensor> out = evaluate(n, std::vector<Tensor>{Tensor::scalar(0.0f), *low, *high});
    e = {static_cast<float>(out[1].as_double()), static_cast<float>(out[2].as_double())};
  } catch (const Error&) {
    return;  // running it reports why
  }
  ends_[id] = e;
  const DType type = n.attr_or("T", DType::quint8);
  const std::string mode = n.attr_or<std::string>("mode", "MIN_COMBINED");
  QuantParams q{1, 0, type == DType::qint8};
  if (mode == "SCALED" && (type == DType::qint8 || type == DType::quint8)) {
    q.scale = e.high / static_cast<float>(type == DType::qint8 ? 127 : 255);
  } else if (type == DType::quint8 && (mode == "MIN_FIRST" || e.low == 0)) {
    q.scale = (e.high - e.low) / 255;
    q.zero_point = static_cast<int>(-std::round(e.low / q.scale));
  } else {
    return;
  }
  if (q.scale > 0 && q.zero_point >= 0 && q.zero_point <= 255) quantized_by_value_[{id, 0}] = {n.inputs[0], q, e};
}

// A node that stays states a constant range for the quantized values that it gives, where it was given one: those that read them
// need not stay.
void Int8Rewriter::note_range(NodeId id) {
  const Node& n = g_.node(id);
  if (frames_.frame(id) != 0) return;
  std::optional<Ends> ends;
  if (const auto layer = integer_layer(n)) {
    if (layer->result == IntegerLayer::Result::quantized && n.inputs.size() == layer->inputs) {
      const size_t at = static_cast<size_t>(layer->result_range);
      ends = ends_of(n.inputs[at], n.inputs[at + 1]);
    }
  } else if (n.op == "RequantizePerChannel" && n.inputs.size() == 5) {
    ends = ends_of(n.inputs[3], n.inputs[4]);
  } else if (n.op == "QuantizedMaxPool" || n.op == "QuantizedAvgPool") {
    ends = n.inputs.size() == 3 ? ends_of(n.inputs[1], n.inputs[2]) : std::nullopt;
  }
  if (ends) ends_[id] = *ends;
}

// How Requantize and RequantizePerChannel write quantized values.
Why Int8Rewriter::read_requantize(LayerFacts& facts) const {
  const Node& n = g_.node(facts.last);
  const DType type = n.attr_or("out_type", DType::quint8);
  const auto requested = ends_of(n.inputs[3], n.inputs[4]);
  if (!requested) return kDynamic;
  Ends& e = facts.result_ends = *requested;
  if (n.op == "RequantizePerChannel") {
    facts.result = {e.top() / static_cast<float>(type == DType::qint8 ? 127 : 255), 0, type == DType::qint8};
    return {};
  }
  e.low = std::min(0.0f, e.low);
  if (!(e.high > e.low)) return "the requested range is empty";
  const float scale = (e.high - e.low) / 255;
  const double zero = -std::round(e.low / scale) + (type == DType::qint8 ? -128 : 0);
  if (type == DType::qint8 && zero != 0) return "its signed quantized values have a zero point";
  if (zero > 255) return "its range does not hold 0";
  facts.result = {scale, static_cast<int>(zero), type == DType::qint8};
  return {};
}

//   integer layer ─▶ floats | quantized values and their range
//   integer layer ─▶ 32-bit sums and their range ─▶ Requantize | RequantizePerChannel, which alone reads them
Why Int8Rewriter::read_result(LayerFacts& facts) const {
  const Node& n = g_.node(facts.node);
  facts.observed = n.attr_or("_observed", false);
  if (facts.layer.result == IntegerLayer::Result::floats) return {};
  if (facts.layer.result == IntegerLayer::Result::sums) {
    const std::vector<Consumers::Use>& uses = uses_.of(facts.node);
    const auto requantizes = [&](Consumers::Use use) {
      const Node& r = g_.node(use.node);
      return (r.op == "Requantize" || r.op == "RequantizePerChannel") && r.inputs.size() == 5 && use.node == uses[0].node &&
             use.input == r.inputs[static_cast<size_t>(use.input)].slot;
    };
    if (uses.size() != 3 || !std::all_of(uses.begin(), uses.end(), requantizes) || outputs_.contains(facts.node))
      return std::any_of(uses.begin(), uses.end(),
                         [&](Consumers::Use use) { return g_.node(use.node).op.starts_with("RequantizationRange"); })
                 ? kDynamic
                 : "its 32-bit sums are not read by one Requantize alone";
    facts.last = uses[0].node;
    facts.observed = g_.node(facts.last).attr_or("_observed", facts.observed);
    if (waits(facts.last) || !frames_.agree(Value{facts.node, 0}, facts.last)) return "a control input holds it";
    return read_requantize(facts);
  }
  const size_t at = static_cast<size_t>(facts.layer.result_range);
  const auto range = ends_of(n.inputs[at], n.inputs[at + 1]);
  if (!range) return kDynamic;
  const DType type = n.attr_or("out_type", n.attr_or("Toutput", DType::quint8));
  facts.result_ends = *range;
  facts.result = {range->top() / static_cast<float>(type == DType::qint8 ? 127 : 255), 0, type == DType::qint8};
  return {};
}

Why Int8Rewriter::read_weights(LayerFacts& facts) const {
  const Node& n = g_.node(facts.node);
  const size_t at = static_cast<size_t>(facts.layer.filter_range);
  Value low = n.inputs[at], high = n.inputs[at + 1];
  if (const Node& neg = g_.node(low.node); neg.op == "Neg" && neg.inputs.size() == 1) low = neg.inputs[0];
  const Tensor *filter = g_.constant(n.inputs[1]), *lo = g_.constant(low), *hi = g_.constant(high);
  if (!filter) return "its filter is not constant";
  if (!lo || !hi) return "the range of its filter is not constant";
  if (filter->dtype() != DType::qint8) return "its filter is of unsigned quantized values";
  const bool matmul = facts.layer.product == IntegerLayer::Product::matmul;
  if (filter->rank() != (matmul ? 2 : 4)) return "its filter has an unusual rank";
  facts.weights.values = upright(n, *filter);
  const Shape& shape = facts.weights.values.shape();
  const int64_t channels = facts.layer.product == IntegerLayer::Product::depthwise ? shape[2] * shape[3] : shape.back();
  if (lo->size() != hi->size() || (lo->size() != 1 && lo->size() != channels))
    return "its filter has an unusual number of ranges";
  for (int64_t i = 0; i < lo->size(); ++i)
    facts.weights.scales.push_back(static_cast<float>(std::max(std::abs(lo->as_double(i)), std::abs(hi->as_double(i))) / 127));
  facts.bias.assign(static_cast<size_t>(channels), 0);
  return {};
}

Why Int8Rewriter::read_bias(LayerFacts& facts) const {
  if (facts.layer.bias < 0) return {};
  const Tensor* bias = g_.constant(g_.node(facts.node).inputs[static_cast<size_t>(facts.layer.bias)]);
  if (!bias || bias->size() != static_cast<int64_t>(facts.bias.size())) return "its bias is not constant";
  facts.whole_bias = bias->dtype() == DType::qint32;
  if (facts.whole_bias && facts.computes_range) return kComputesRange;
  for (size_t c = 0; c < facts.bias.size(); ++c) {
    const double w = facts.weights.scale_of(c);
    facts.bias[c] = bias->as_double(static_cast<int64_t>(c)) * (facts.whole_bias ? facts.step * w : 1);
  }
  return {};
}

//   values, constant range ───────────┐
//   constant filter, constant range ──┼▶ integer layer [─▶ Requantize | RequantizePerChannel of a constant range]
//   [constant bias] ──────────────────┘
Why Int8Rewriter::read_layer_facts(NodeId id, LayerFacts& facts) const {
  const Node& n = g_.node(id);
  const std::optional<IntegerLayer> layer = integer_layer(n);
  if (!layer) return "it fuses what is not known";
  if (n.inputs.size() != layer->inputs) return "it has an unusual number of inputs";
  if (frames_.frame(id) != 0) return "it lies in a loop";
  if (waits(id)) return "a control input holds it";
  if (!is_channels_last(n)) return "its map is channels first (NCHW)";
  if (n.attr_or("transpose_a", false)) return "its left side is transposed";
  facts.layer = *layer;
  facts.node = facts.last = id;
  const size_t at = static_cast<size_t>(layer->input_range);
  const auto in = ends_of(n.inputs[at], n.inputs[at + 1]);
  const bool by_quantize = is_range_of_quantize(g_, n, n.inputs[at], n.inputs[at + 1]);
  if (!in && !by_quantize) return kDynamic;
  facts.computes_range = !in;
  const bool matmul = layer->product == IntegerLayer::Product::matmul;
  facts.is_signed = n.attr_or(matmul ? "T1" : "Tinput", DType::quint8) == DType::qint8;
  facts.min_first = matmul && !facts.is_signed && n.attr_or<std::string>("input_quant_mode", "MIN_FIRST") == "MIN_FIRST";
  if (facts.computes_range && facts.min_first) return kComputesRange;
  if (in) {
    facts.input = *in;
    facts.step = static_cast<float>(facts.min_first ? (double{in->high} - in->low) / 255
                                                    : double{in->top()} / (facts.is_signed ? 127 : 255));
    if (!(facts.step > 0)) return "the range of its input is empty";
  }
  for (const auto read : {&Int8Rewriter::read_weights, &Int8Rewriter::read_bias, &Int8Rewriter::read_result})
    if (Why why = (this->*read)(facts); !why.empty()) return why;
  return {};
}

bool Int8Rewriter::waits(NodeId id) const {
  const auto held = [&](Value v) { return g_.constant(v) && !g_.node(v.node).controls.empty(); };
  const Node& n = g_.node(id);
  return !n.controls.empty() || std::any_of(n.inputs.begin(), n.inputs.end(), held);
}

}  // namespace cytodet::graph::raise
