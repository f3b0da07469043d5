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

// Whether both read a value that only one makes codes of.
bool codes_differ(const Layer& a, const Layer& b) {
  const auto differ_in = [](const Layer& one, const Layer& other) {
    return std::any_of(one.codes.begin(), one.codes.end(), [&](const auto& coded) {
      const std::vector<Value> reads = other.reads();
      const auto same = other.codes.find(coded.first);
      return std::count(reads.begin(), reads.end(), coded.first) > 0 &&
             (same == other.codes.end() || same->second != coded.second);
    });
  };
  return differ_in(a, b) || differ_in(b, a);
}

// Whether the layer only makes codes of its input, and numbers of them again.
bool only_codes(const Lowering& low, const Layer& layer) {
  return layer.only_sum() && !layer.codes.empty() && low.graph.node(layer.root).op == "Dequantize";
}

}  // namespace

void fuse_codes(Lowering& low) {
  for (size_t i = 0; i < low.layers.size(); ++i) {
    if (!only_codes(low, low.layers[i])) continue;
    const Value number = low.layers[i].output, input = low.layers[i].terms[0].value;
    const Quant quant = low.layers[i].codes.at(input);
    bool read = low.is_wanted(number);
    for (Consumers::Use use : low.uses.of(number)) read |= low.needed(use.node) && !low.taken(use.node);
    for (Layer& reader : low.layers) {
      const std::vector<Value> reads = reader.reads();
      if (std::count(reads.begin(), reads.end(), number) == 0) continue;
      if (!reader.reads_in_rows(number) || reader.codes.contains(number) || std::count(reads.begin(), reads.end(), input) > 0) {
        read = true;
        continue;
      }
      reader.read_instead(number, input);
      reader.codes[input] = quant;
      reader.moves = Moves::no;
    }
    if (!read) low.remove_layer(static_cast<int>(i--));
  }
}

void fuse_pooled_mean(Lowering& low) {
  for (size_t i = 0; i < low.layers.size(); ++i) {
    if (!low.layers[i].only_depthwise() || low.layers[i].pooled != kNoValue) continue;
    for (Consumers::Use use : low.uses.of(low.layers[i].output)) {
      if (!low.needed(use.node) || use.input != 0 || !reads_height_width_mean(low, low.graph.node(use.node))) continue;
      Value mean{use.node, 0};
      int reader = low.producer(mean);
      if (!low.float_shape(mean) || (low.taken(use.node) && reader < 0)) continue;
      low.layers[i].pooled = mean;
      low.take({use.node});
      if (reader >= 0) {
        low.remove_layer(reader);
        if (static_cast<size_t>(reader) < i) --i;
      }
      break;
    }
  }
}

void fuse_gate_into_pointwise(Lowering& low) {
  for (size_t i = 0; i < low.layers.size(); ++i) {
    Layer& conv = low.layers[i];
    if (!conv.only_dense() || !conv.dense->shape.pointwise() || conv.gate != kNoValue) continue;
    int g = low.producer(conv.input);
    if (g < 0 || low.layers[static_cast<size_t>(g)].gate == kNoValue || low.layers[static_cast<size_t>(g)].dense) continue;
    Layer& gated = low.layers[static_cast<size_t>(g)];
    if (gated.depthwise || !gated.terms.empty() || !gated.codes.empty() || conv.codes.contains(gated.input) ||
        sole_reading_layer(low, gated.output) != static_cast<int>(i))
      continue;
    conv.input = gated.input;
    conv.gate = gated.gate;
    low.remove_layer(g);
    if (static_cast<size_t>(g) < i) --i;
  }
}

void fuse_expand_depthwise(Lowering& low) {
  for (size_t i = 0; i < low.layers.size(); ++i) {
    Layer& dw = low.layers[i];
    if (!dw.only_depthwise() || !dw.terms.empty()) continue;
    int e = low.producer(dw.input);
    if (e < 0) continue;
    Layer& expand = low.layers[static_cast<size_t>(e)];
    if (!expand.only_dense() || expand.gate != kNoValue || expand.residual != kNoValue || expand.output != dw.input) continue;
    if (sole_reading_layer(low, expand.output) != static_cast<int>(i)) continue;
    dw.dense = std::move(expand.dense);
    dw.input = expand.input;
    low.remove_layer(e);
    if (static_cast<size_t>(e) < i) --i;
  }
}

void fuse_sum_depthwise(Lowering& low) {
  for (size_t i = 0; i < low.layers.size(); ++i) {
    Layer& dw = low.layers[i];
    if (!dw.only_depthwise() || !dw.terms.empty()) continue;
    int s = low.producer(dw.input);
    if (s < 0) continue;
    Layer& sum = low.layers[static_cast<size_t>(s)];
    if (!sum.only_sum() || sole_reading_layer(low, sum.output) != static_cast<int>(i)) continue;
    dw.terms = sum.terms;
    dw.terms_act = sum.terms_act;
    dw.codes = sum.codes;
    dw.input = kNoValue;
    low.remove_layer(s);
    if (static_cast<size_t>(s) < i) --i;
  }
}

void fuse_depthwise_pointwise(Lowering& low) {
  for (size_t i = 0; i < low.layers.size(); ++i) {
    Layer& pw = low.layers[i];
    if (!pw.only_dense() || !pw.dense->shape.pointwise() || pw.gate != kNoValue) continue;
    int d = low.producer(pw.input);
    if (d < 0) continue;
    Layer& dw = low.layers[static_cast<size_t>(d)];
    if (!dw.only_depthwise() || dw.pooled != kNoValue || sole_reading_layer(low, dw.output) != static_cast<int>(i)) continue;
    if (codes_differ(pw, dw)) continue;
    pw.codes.insert(dw.codes.begin(), dw.codes.end());
    pw.pointwise = std::move(pw.dense);
    pw.dense.reset();
    pw.depthwise = std::move(dw.depthwise);
    pw.terms = dw.terms;
    pw.terms_act = dw.terms_act;
    pw.input = dw.input;
    low.remove_layer(d);
    if (static_cast<size_t>(d) < i) --i;
  }
}

}  // namespace cytodet::exec
