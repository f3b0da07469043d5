#include <algorithm>
#include <cmath>

#include "exec/lowering.h"

namespace cytodet {
namespace {

// The codes that a map may be stored as; nothing: floats.
using Wish = std::optional<Coding>;

class Forms {
 public:
  explicit Forms(Lowering& low) : low_(low), refused_(low.layers.size(), 0) {
    for (size_t i = 0; i < low.layers.size(); ++i) {
      writer_[low.layers[i].output] = i;
      for (Value v : low.layers[i].reads()) readers_[v].push_back(i);
    }
  }

  void run(bool coded_inputs) {
    while (refuse_one()) wishes_.clear();
    if (coded_inputs)
      for (NodeId id : low_.order)
        if (low_.graph.node(id).op == "Placeholder")
          if (const Wish codes = common_wish({id, 0})) low_.coded_inputs[{id, 0}] = *codes;
    for (Layer& layer : low_.layers) {
      layer.coding = wish(layer.output);
      layer.halves = !layer.coding && kernels().halves_of_rows && fits_halves(layer) && only_gated(layer.output);
    }
  }

 private:
  // Every number that a depthwise layer on codes can give.
  static bool fits_halves(const Layer& layer) {
    if (!layer.depthwise || layer.pointwise || !layer.depthwise->quant) return false;
    const DepthwiseConv& conv = *layer.depthwise;
    const Quant& codes = conv.quant->quant;
    const double most_in = std::max(std::abs(codes.low()), std::abs(codes.high()));
    for (int64_t c = 0; c < conv.shape.in_c; ++c) {
      double most = std::abs(conv.bias.empty() ? 0.0f : conv.bias[static_cast<size_t>(c)]);
      for (int64_t t = 0; t < conv.shape.taps(); ++t)
        most += most_in * std::abs(conv.weights.data<float>()[t * conv.shape.in_c + c]);
      if (!(most < 65504)) return false;
    }
    return true;
  }

  // Every reader multiplies it by a gate and makes codes of it.
  bool only_gated(Value v) {
    if (low_.is_wanted(v) || read_plainly(v)) return false;
    for (size_t reader : readers_[v]) {
      const Layer& layer = low_.layers[reader];
      if (!layer.only_dense() || !layer.dense->quant || !layer.dense->shape.pointwise() || layer.gate == kNoValue ||
          layer.gate == v || layer.residual == v)
        return false;
    }
    return true;
  }

  bool read_plainly(Value v) const {
    const auto& uses = low_.uses.of(v);
    return std::any_of(uses.begin(), uses.end(),
                       [&](Consumers::Use use) { return low_.needed(use.node) && !low_.taken(use.node); });
  }

  // A layer that moves codes needs all of its inputs as such.
  bool refuse_one() {
    for (size_t i = 0; i < low_.layers.size(); ++i) {
      const Layer& layer = low_.layers[i];
      if (layer.moves == Moves::no || refused_[i] || !wish(layer.output)) continue;
      for (Value v : layer.reads())
        if (!wish(v) || wish(v) != wish_of(i, v)) {
          refused_[i] = 1;
          return true;
        }
    }
    return false;
  }

  const Wish& wish(Value v) {
    auto [it, fresh] = wishes_.try_emplace(v);
    if (fresh) it->second = agreed(v);  // layers have no cycles
    return it->second;
  }

  // What all readers of v would make of it alike.
  Wish agreed(Value v) {
    const auto writer = writer_.find(v);
    if (writer == writer_.end() || refused_[writer->second]) return {};
    const Layer& layer = low_.layers[writer->second];
    if (layer.moves == Moves::no && (layer.make || layer.only_sum() || (layer.only_dense() && !layer.dense->quant))) return {};
    return common_wish(v);
  }

  Wish common_wish(Value v) {
    if (low_.is_wanted(v) || read_plainly(v)) return {};
    Wish common;
    for (size_t reader : readers_[v]) {
      const Wish one = wish_of(reader, v);
      if (!one || (common && common != one)) return {};
      common = one;
    }
    return common;
  }

  Wish wish_of(size_t reader, Value v) {
    const Layer& layer = low_.layers[reader];
    if (layer.moves != Moves::no) {
      const Wish& whole = wish(layer.output);
      return whole ? part_of(*whole, layer, v) : Wish{};
    }
    const bool again = std::any_of(layer.terms.begin(), layer.terms.end(), [&](const Term& t) { return t.value == v; });
    if (layer.make || again || layer.gate != kNoValue || layer.residual == v) return {};
    if (layer.dense) return layer.dense->quant ? Wish{{layer.dense->quant->quant, layer.dense->factors}} : Wish{};
    return layer.depthwise && layer.depthwise->quant ? Wish{{layer.depthwise->quant->quant, layer.depthwise->factors}} : Wish{};
  }

  // Of input v of a layer that moves numbers, when its output is coded so; nothing where the channels of one are not those of the
  // other.
  Wish part_of(const Coding& whole, const Layer& layer, Value v) const {
    if (whole.factors.empty()) return whole;
    const Shape& shape = *low_.float_shape(v);
    const int64_t channels = shape.empty() ? 0 : shape.back();
    int64_t first = 0;
    if (layer.moves == Moves::into_channels) {
      if (std::count(layer.inputs.begin(), layer.inputs.end(), v) > 1) return {};
      for (auto input = layer.inputs.begin(); *input != v; ++input) first += low_.float_shape(*input)->back();
    } else if (static_cast<size_t>(channels) != whole.factors.size()) {
      return {};
    }
    return Coding{whole.quant, {whole.factors.begin() + first, whole.factors.begin() + first + channels}};
  }

  Lowering& low_;
  std::map<Value, size_t> writer_;
  std::map<Value, std::vector<size_t>> readers_;
  std::map<Value, Wish> wishes_;
  std::vector<char> refused_;
};

}  // namespace

void choose_forms(Lowering& low, bool coded_inputs) { Forms(low).run(coded_inputs); }

}  // namespace cytodet
