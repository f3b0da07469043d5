#include <algorithm>

#include "exec/lower/match.h"

namespace cytodet::exec {
namespace {

// The layer that alone reads v; -1.
int sole_reading_layer(const Lowering& low, Value v) {
  if (low.is_wanted(v)) return -1;
  int found = -1;
  for (size_t i = 0; i < low.layers.size(); ++i)
    for (Value read : low.layers[i].reads())
      if (read == v) {
        if (found >= 0) return -1;
        found = static_cast<int>(i);
      }
  if (found < 0) return -1;
  // A reader outside the layers (a plain node) also counts.
  for (Consumers::Use use : low.uses.of(v))
    if (low.needed(use.node) && !low.taken(use.node)) return -1;
  return found;
}

bool reads_height_width_mean(const Lowering& low, const Node& n) {
  return n.op == "Mean" && n.inputs.size() == 2 && are_height_and_width(low.constant(n.inputs[1]));
}

// Whether both read a value that they fake-quantize differently.
bool fake_quant_differs(const Layer& a, const Layer& b) {
  const auto differ_in = [](const Layer& one, const Layer& other) {
    return std::any_of(one.fake_quant.begin(), one.fake_quant.end(), [&](const auto& entry) {
      const std::vector<Value> reads = other.reads();
      const auto same = other.fake_quant.find(entry.first);
      return std::count(reads.begin(), reads.end(), entry.first) > 0 &&
             (same == other.fake_quant.end() || same->second != entry.second);
    });
  };
  return differ_in(a, b) || differ_in(b, a);
}

// The value that the layer fake-quantizes, where that is all it does (QuantizeV2 -> Dequantize alone).
std::optional<Value> only_fake_quant(const Lowering& low, const Layer& layer) {
  const auto* sum = layer.as<WeightedSum>();
  if (!sum || layer.fake_quant.empty() || low.graph.node(layer.root).op != "Dequantize") return {};
  return sum->terms[0].value;
}

bool reads(const Layer& layer, Value v) {
  const std::vector<Value> values = layer.reads();
  return std::count(values.begin(), values.end(), v) > 0;
}

// Makes the layer read `input` fake-quantized instead of `dequantized`; false where it cannot.
bool read_fake_quantized(Layer& layer, Value dequantized, Value input, const QuantParams& quant) {
  if (!layer.reads_in_rows(dequantized) || layer.fake_quant.contains(dequantized) || reads(layer, input)) return false;
  if (layer.joins()) return false;  // it hands values on as they are stored
  layer.read_instead(dequantized, input);
  layer.fake_quant[input] = quant;
  layer.movement = DataMovement::none;
  return true;
}

// Whether a plain node reads v, or the plan gives it out.
bool read_outside_layers(const Lowering& low, Value v) {
  bool read = low.is_wanted(v);
  for (Consumers::Use use : low.uses.of(v)) read |= low.needed(use.node) && !low.taken(use.node);
  return read;
}

// join(consumer, producer) for every layer `consumer` whose `input(consumer)` another layer gives to it alone: true where it took
// the producer in, which is then removed.
template <class Input, class Join>
void fuse_producers(Lowering& low, Input input, Join join) {
  for (size_t i = 0; i < low.layers.size(); ++i) {
    const Value v = input(low.layers[i]);
    const int producer = v == kNoValue ? -1 : low.producer(v);
    if (producer < 0 || low.layers[static_cast<size_t>(producer)].output != v) continue;
    if (sole_reading_layer(low, v) != static_cast<int>(i)) continue;
    if (!join(low.layers[i], low.layers[static_cast<size_t>(producer)])) continue;
    low.remove_layer(producer);
    if (static_cast<size_t>(producer) < i) --i;
  }
}

// What a layer of one depthwise convolution reads, or one of one pointwise convolution without a gate; kNoValue for others.
Value depthwise_input(const Layer& layer) {
  const auto* conv = layer.as<ConvChain>();
  return conv && conv->only_depthwise() && conv->terms.empty() ? conv->input : kNoValue;
}
Value pointwise_input(const Layer& layer) {
  const auto* conv = layer.as<ConvChain>();
  return conv && conv->only_dense() && conv->dense->shape.pointwise() && conv->gate == kNoValue ? conv->input : kNoValue;
}

}  // namespace

//   x ─▶ QuantizeV2 ─▶ Dequantize ─▶ sum, product, pool, ... becomes a layer that reads x fake-quantized. The layer of the two
//   nodes is removed when nothing else reads it.
void fuse_fake_quant(Lowering& low) {
  for (size_t i = 0; i < low.layers.size(); ++i) {
    const std::optional<Value> input = only_fake_quant(low, low.layers[i]);
    if (!input) continue;
    const Value dequantized = low.layers[i].output;
    const QuantParams quant = low.layers[i].fake_quant.at(*input);
    bool read = read_outside_layers(low, dequantized);
    for (Layer& reader : low.layers)
      if (reads(reader, dequantized) && !read_fake_quantized(reader, dequantized, *input, quant)) read = true;
    if (!read) low.remove_layer(static_cast<int>(i--));
  }
}

//   depthwise ─┬─▶ ...                   the depthwise epilogue sums its results on the way (squeeze-excite); Mean's own layer is
//              └─▶ Mean(axes 1, 2)       removed
void fuse_pooled_mean(Lowering& low) {
  for (size_t i = 0; i < low.layers.size(); ++i) {
    auto* conv = low.layers[i].as<ConvChain>();
    if (!conv || !conv->only_depthwise() || conv->pooled != kNoValue) continue;
    for (Consumers::Use use : low.uses.of(low.layers[i].output)) {
      if (!low.needed(use.node) || use.input != 0 || !reads_height_width_mean(low, low.graph.node(use.node))) continue;
      const Value mean{use.node, 0};
      const int reader = low.producer(mean);
      if (!low.float_shape(mean) || (low.taken(use.node) && reader < 0)) continue;
      conv->pooled = mean;
      low.take({use.node});
      if (reader >= 0) {
        low.remove_layer(reader);
        if (static_cast<size_t>(reader) < i) --i;
      }
      break;
    }
  }
}

//   x ─▶ Mul ─▶ pointwise conv           the gate scales the rows of the weights instead of x
//   gate ─┘
void fuse_gate_into_pointwise(Lowering& low) {
  fuse_producers(low, pointwise_input, [&](Layer& reader, const Layer& product) {
    auto* conv = reader.as<ConvChain>();
    const auto* gated = product.as<RowOp>();
    if (!gated || !gated->gated || !product.fake_quant.empty() || reader.fake_quant.contains(gated->inputs[0])) return false;
    // A BatchMatMul takes the rows of all images as those of one, but each image has its own gate.
    if (low.float_shape(gated->inputs[1])->front() != conv->dense->shape.batch) return false;
    conv->input = gated->inputs[0];
    conv->gate = gated->inputs[1];
    return true;
  });
}

//   dense conv ─▶ depthwise              the expanded map stays in cache (make_expand_depthwise)
void fuse_expand_depthwise(Lowering& low) {
  fuse_producers(low, depthwise_input, [](Layer& reader, Layer& producer) {
    auto *depthwise = reader.as<ConvChain>(), *expand = producer.as<ConvChain>();
    if (!expand || !expand->only_dense() || expand->gate != kNoValue || expand->residual != kNoValue) return false;
    if (expand->dense->shape.is_volume()) return false;
    const ConvShape &from = expand->dense->shape, &to = depthwise->depthwise->shape;  // a reshape may stand between
    if (from.batch != to.batch || from.out_h != to.in_h || from.out_w != to.in_w) return false;
    depthwise->dense = std::move(expand->dense);
    depthwise->input = expand->input;
    return true;
  });
}

//   weighted sum ─▶ depthwise            the sum is computed row by row, as the depthwise convolution needs it
void fuse_sum_depthwise(Lowering& low) {
  fuse_producers(low, depthwise_input, [](Layer& reader, const Layer& producer) {
    auto* depthwise = reader.as<ConvChain>();
    const auto* sum = producer.as<WeightedSum>();
    if (!sum) return false;
    depthwise->terms = sum->terms;
    depthwise->terms_act = sum->act;
    depthwise->input = kNoValue;
    reader.fake_quant = producer.fake_quant;
    return true;
  });
}

//   [weighted sum ─▶] depthwise ─▶ pointwise conv      a few depthwise rows at a time go into the product
void fuse_depthwise_pointwise(Lowering& low) {
  fuse_producers(low, pointwise_input, [](Layer& reader, Layer& producer) {
    auto *pointwise = reader.as<ConvChain>(), *depthwise = producer.as<ConvChain>();
    if (!depthwise || !depthwise->only_depthwise() || depthwise->pooled != kNoValue) return false;
    if (fake_quant_differs(reader, producer)) return false;
    reader.fake_quant.insert(producer.fake_quant.begin(), producer.fake_quant.end());
    pointwise->pointwise = std::move(pointwise->dense);
    pointwise->dense.reset();
    pointwise->depthwise = std::move(depthwise->depthwise);
    pointwise->terms = depthwise->terms;
    pointwise->terms_act = depthwise->terms_act;
    pointwise->input = depthwise->input;
    return true;
  });
}

}  // namespace cytodet::exec
