#include <algorithm>
#include <cmath>
#include <limits>

#include "exec/lower/lowering.h"

namespace cytodet::exec {
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
      if (!layer.coding) choose_short(layer);
    }
  }

 private:
  // Halves or bfloat16 numbers, where all readers take such.
  void choose_short(Layer& layer) {
    if (!writes_short(layer)) return;
    const float unit = kernels().halves_of_rows && all_take(layer.output, Form::halves) ? unit_of(bound(layer.output)) : 0;
    if (unit > 0) {
      layer.numbers = Form::halves;
      layer.unit = unit;
    } else if (low_.bf16 && all_take(layer.output, Form::bf16)) {
      layer.numbers = Form::bf16;
    }
  }

  // Depthwise layers make them at once; the others in a pass of its own, which pays where a map does not stay in the cache.
  bool writes_short(const Layer& layer) const {
    if (layer.depthwise && !layer.pointwise) return true;
    const Shape* shape = low_.float_shape(layer.output);
    const bool only_floats = layer.make ? !layer.in_rows : layer.only_dense() && !layer.dense->quant && !layer.dense->bf16;
    return shape && elements(*shape) >= kManyNumbers && !only_floats;
  }

  // The bound is 2^14 to 2^15 units: a half holds up to 65504, and has all of its 11 bits down to 2^-14. 0 where nothing is
  // known.
  static float unit_of(double bound) {
    if (!(bound < 1e30)) return 0;
    return static_cast<float>(std::ldexp(1.0, bound > 0 ? std::max(std::ilogb(bound), -100) - 14 : 0));
  }

  bool all_take(Value v, Form form) {
    if (low_.is_wanted(v) || read_plainly(v) || readers_[v].empty()) return false;
    return std::all_of(readers_[v].begin(), readers_[v].end(),
                       [&](size_t reader) { return takes(low_.layers[reader], v, form); });
  }

  static bool takes(const Layer& layer, Value v, Form form) {
    if (!layer.dense && !layer.depthwise) return layer.reads_in_rows(v);
    if (v == layer.gate) return false;
    if (v != layer.input) return layer.reads_in_rows(v);
    const auto conv_takes = [&](const auto& conv) { return form == Form::bf16 ? conv.bf16 : conv.quant.has_value(); };
    return layer.dense ? conv_takes(*layer.dense) : conv_takes(*layer.depthwise);
  }

  // No number of v is larger in magnitude; infinity where that is not known.
  double bound(Value v) {
    auto [it, fresh] = bounds_.try_emplace(v, std::numeric_limits<double>::infinity());
    if (!fresh) return it->second;
    const auto writer = writer_.find(v);
    return bounds_[v] = writer == writer_.end() ? std::numeric_limits<double>::infinity() : bound_of(low_.layers[writer->second]);
  }

  static double largest(const Quant& quant) { return std::max(std::abs(quant.low()), std::abs(quant.high())); }

  double read_bound(const Layer& layer, Value v) {
    const auto quant = layer.codes.find(v);
    return quant == layer.codes.end() ? bound(v) : largest(quant->second);
  }

  double bound_of(const Layer& layer) {
    double most = std::numeric_limits<double>::infinity();
    if (layer.pointwise) {
      if (layer.pointwise->quant) most = bound_of(*layer.pointwise, layer.pointwise->shape.out_c);
    } else if (layer.depthwise) {
      if (layer.depthwise->quant) most = bound_of(*layer.depthwise, layer.depthwise->shape.in_c);
    } else if (layer.dense) {
      if (layer.dense->quant) most = bound_of(*layer.dense, layer.dense->shape.out_c);
    } else if (layer.only_sum()) {
      most = 0;
      for (const Term& t : layer.terms) most += std::abs(t.weight) * read_bound(layer, t.value);
      most = bounded_by(layer.terms_act, most);
    } else if (layer.in_rows && !layer.unbounded) {
      // A product; or a pool, a resize, an activation.
      most = 1;
      for (Value v : layer.reads()) most *= read_bound(layer, v);
      if (layer.reads().size() == 1) most = std::max(most, 1.0);
    }
    return layer.residual == kNoValue ? most : most + read_bound(layer, layer.residual);
  }

  // Of what a convolution on codes gives.
  template <class Conv>
  static double bound_of(const Conv& conv, int64_t channels) {
    std::vector<double> sums(static_cast<size_t>(channels), 0);
    const float* w = conv.weights.template data<float>();
    for (int64_t i = 0; i < conv.weights.size(); ++i) sums[static_cast<size_t>(i % channels)] += std::abs(w[i]);
    double most = 0;
    for (size_t c = 0; c < sums.size(); ++c)
      most = std::max(most, sums[c] * largest(conv.quant->quant) + std::abs(conv.bias.empty() ? 0.0f : conv.bias[c]));
    return bounded_by(conv.act, most);
  }

  static double bounded_by(Act act, double most) {
    return act == Act::sigmoid ? 1 : act == Act::relu6 ? std::min(most, 6.0) : most;
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
    const bool only_floats = layer.make ? !layer.in_rows : layer.only_dense() && !layer.dense->quant;
    return layer.moves == Moves::no && only_floats ? Wish{} : common_wish(v);
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
    if (const auto coded = layer.codes.find(v); coded != layer.codes.end()) return Coding{coded->second, {}};
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

  static constexpr int64_t kManyNumbers = 512 * 1024;

  Lowering& low_;
  std::map<Value, size_t> writer_;
  std::map<Value, std::vector<size_t>> readers_;
  std::map<Value, Wish> wishes_;
  std::map<Value, double> bounds_;
  std::vector<char> refused_;
};

}  // namespace

void choose_forms(Lowering& low, bool coded_inputs) { Forms(low).run(coded_inputs); }

}  // namespace cytodet::exec
