#include <algorithm>
#include <cmath>
#include <limits>

#include "exec/lower/lowering.h"

namespace cytodet::exec {
namespace {

// How a reader wants a feature map quantized; nothing: it wants floats.
using StorageRequest = std::optional<QuantizeSpec>;

class StorageAssigner {
 public:
  explicit StorageAssigner(Lowering& low) : low_(low), refused_(low.layers.size(), 0) {
    for (size_t i = 0; i < low.layers.size(); ++i) {
      writer_[low.layers[i].output] = i;
      for (Value v : low.layers[i].reads()) readers_[v].push_back(i);
    }
  }

  void run(bool quantized_inputs) {
    while (refuse_one()) requests_.clear();
    if (quantized_inputs)
      for (NodeId id : low_.order)
        if (low_.graph.node(id).op == "Placeholder")
          if (const StorageRequest q8 = common_request({id, 0})) low_.quantized_inputs[{id, 0}] = *q8;
    for (Layer& layer : low_.layers) {
      layer.storage_quant = requested(layer.output);
      if (!layer.storage_quant) choose_16bit(layer);
    }
  }

 private:
  // Stores the output as f16 or bf16 where all readers take it.
  void choose_16bit(Layer& layer) {
    if (!writes_16bit(layer)) return;
    const float scale = kernels().f32_to_f16 && all_take(layer.output, StorageType::f16) ? fp16_scale_of(bound(layer.output)) : 0;
    if (scale > 0) {
      layer.float_storage = StorageType::f16;
      layer.fp16_scale = scale;
    } else if (low_.bf16 && all_take(layer.output, StorageType::bf16)) {
      layer.float_storage = StorageType::bf16;
    }
  }

  // Whether the layer's step can store its output so. Float products write f32 straight away.
  static bool stores(const Layer& layer, StorageType storage) {
    if (const auto* opaque = layer.as<Opaque>()) return opaque->stores_rows;
    const auto* conv = layer.as<ConvChain>();
    return !conv || !conv->only_dense() || conv->dense->quant || (conv->dense->bf16 && storage != StorageType::q8);
  }

  // Depthwise kernels write 16 bits themselves, and products in 8 bits write and read them; other layers do in a pass of its own,
  // which pays where a map does not stay in cache.
  bool writes_16bit(const Layer& layer) {
    const auto* conv = layer.as<ConvChain>();
    if (conv && conv->depthwise && !conv->pointwise) return true;
    if (is_int8_product(layer) && all_readers(layer.output, is_int8_product)) return true;
    const Shape* shape = low_.float_shape(layer.output);
    return shape && elements(*shape) >= kLargeMapElements && stores(layer, StorageType::f16);
  }

  // The scale of fp16 values of magnitude at most `bound`: the power of two for which bound / scale lies in [2^14, 2^15), below
  // the largest fp16 value, 65504. Values down to bound / 2^28 keep all 11 bits. 0: no bound is known.
  static float fp16_scale_of(double bound) {
    if (!(bound < 1e30)) return 0;
    return static_cast<float>(std::ldexp(1.0, bound > 0 ? std::max(std::ilogb(bound), -100) - 14 : 0));
  }

  bool all_take(Value v, StorageType storage) {
    if (low_.is_wanted(v) || read_plainly(v) || readers_[v].empty()) return false;
    return all_readers(v, [&](const Layer& reader) { return takes(reader, v, storage); });
  }

  template <class Test>
  bool all_readers(Value v, Test test) {
    return std::all_of(readers_[v].begin(), readers_[v].end(), [&](size_t reader) { return test(low_.layers[reader]); });
  }

  static bool is_int8_product(const Layer& layer) {
    const auto* conv = layer.as<ConvChain>();
    return conv && conv->only_dense() && conv->dense->quant;
  }

  static bool takes(const Layer& layer, Value v, StorageType storage) {
    const auto* conv = layer.as<ConvChain>();
    if (!conv || (v != conv->gate && v != conv->input)) return layer.reads_in_rows(v);
    if (v == conv->gate) return false;
    const auto conv_takes = [&](const auto& c) { return storage == StorageType::bf16 ? c.bf16 : c.quant.has_value(); };
    return conv->dense ? conv_takes(*conv->dense) : conv_takes(*conv->depthwise);
  }

  // No value of v is larger in magnitude; infinity where that is not known.
  double bound(Value v) {
    auto [it, fresh] = bounds_.try_emplace(v, std::numeric_limits<double>::infinity());
    if (!fresh) return it->second;
    const auto writer = writer_.find(v);
    return bounds_[v] = writer == writer_.end() ? std::numeric_limits<double>::infinity() : bound_of(low_.layers[writer->second]);
  }

  static double largest(const QuantParams& quant) { return std::max(std::abs(quant.low()), std::abs(quant.high())); }

  double read_bound(const Layer& layer, Value v) {
    const auto quant = layer.fake_quant.find(v);
    return quant == layer.fake_quant.end() ? bound(v) : largest(quant->second);
  }

  double bound_of(const Layer& layer) {
    return std::visit([&](const auto& kind) { return bound_of(layer, kind); }, layer.kind);
  }
  double bound_of(const Layer&, const Opaque&) { return std::numeric_limits<double>::infinity(); }
  // A product of two values is bounded by the product of their bounds; a pool, a resize or an activation of one value by its
  // bound, or by 1.
  double bound_of(const Layer& layer, const RowOp& op) {
    if (op.unbounded) return std::numeric_limits<double>::infinity();
    double product = 1, largest = 0;
    for (Value v : op.inputs) {
      product *= read_bound(layer, v);
      largest = std::max(largest, read_bound(layer, v));
    }
    return op.joins ? largest : op.inputs.size() == 1 ? std::max(product, 1.0) : product;
  }
  double bound_of(const Layer& layer, const WeightedSum& sum) {
    double max_abs = 0;
    for (const Term& t : sum.terms) max_abs += std::abs(t.weight) * read_bound(layer, t.value);
    return bounded_by(sum.act, max_abs);
  }
  double bound_of(const Layer& layer, const ConvChain& conv) {
    const double max_abs = conv.pointwise   ? bound_of(*conv.pointwise, conv.pointwise->shape.out_c)
                           : conv.depthwise ? bound_of(*conv.depthwise, conv.depthwise->shape.in_c)
                                            : bound_of(*conv.dense, conv.dense->shape.out_c);
    return conv.residual == kNoValue ? max_abs : max_abs + read_bound(layer, conv.residual);
  }

  // max |output| of a convolution in 8 bits, whose input is bounded by its range; infinity for a convolution in float.
  template <class Conv>
  static double bound_of(const Conv& conv, int64_t channels) {
    if (!conv.quant) return std::numeric_limits<double>::infinity();
    std::vector<double> sums(static_cast<size_t>(channels), 0);
    const float* w = conv.weights.template data<float>();
    for (int64_t i = 0; i < conv.weights.size(); ++i) sums[static_cast<size_t>(i % channels)] += std::abs(w[i]);
    double max_abs = 0;
    for (size_t c = 0; c < sums.size(); ++c)
      max_abs = std::max(max_abs, sums[c] * largest(conv.quant->quant) + std::abs(conv.bias.empty() ? 0.0f : conv.bias[c]));
    return bounded_by(conv.act, max_abs);
  }

  static double bounded_by(Act act, double max_abs) {
    return act == Act::sigmoid ? 1 : act == Act::relu6 ? std::min(max_abs, 6.0) : max_abs;
  }

  bool read_plainly(Value v) const {
    const auto& uses = low_.uses.of(v);
    return std::any_of(uses.begin(), uses.end(),
                       [&](Consumers::Use use) { return low_.needed(use.node) && !low_.taken(use.node); });
  }

  // Whether it does to quantized values what it does to floats. Otherwise it reads floats.
  bool moves(size_t layer) const { return low_.layers[layer].movement != DataMovement::none && !refused_[layer]; }

  // A layer that moves quantized values needs all of its inputs quantized as its output is; one that joins them quantizes the
  // rest.
  bool refuse_one() {
    for (size_t i = 0; i < low_.layers.size(); ++i) {
      const Layer& layer = low_.layers[i];
      if (!moves(i) || layer.joins() || !requested(layer.output)) continue;
      for (Value v : layer.reads())
        if (!requested(v) || requested(v) != request_of(i, v)) {
          refused_[i] = 1;
          return true;
        }
    }
    return false;
  }

  const StorageRequest& requested(Value v) {
    auto [it, fresh] = requests_.try_emplace(v);
    if (fresh) it->second = agreed(v);  // layers have no cycles
    return it->second;
  }

  // How all readers of v would quantize it, where its writer can store it so.
  StorageRequest agreed(Value v) {
    const auto writer = writer_.find(v);
    if (writer == writer_.end()) return {};
    return moves(writer->second) || stores(low_.layers[writer->second], StorageType::q8) ? common_request(v) : StorageRequest{};
  }

  StorageRequest common_request(Value v) {
    if (low_.is_wanted(v) || read_plainly(v)) return {};
    StorageRequest common;
    for (size_t reader : readers_[v]) {
      const StorageRequest one = request_of(reader, v);
      if (!one || (common && common != one)) return {};
      common = one;
    }
    return common;
  }

  StorageRequest request_of(size_t reader, Value v) {
    const Layer& layer = low_.layers[reader];
    if (moves(reader)) {
      const StorageRequest& whole = requested(layer.output);
      return whole ? part_of(*whole, layer, v) : StorageRequest{};
    }
    if (const auto fake = layer.fake_quant.find(v); fake != layer.fake_quant.end()) return QuantizeSpec{fake->second, {}};
    const auto* conv = layer.as<ConvChain>();
    if (!conv || v != conv->input || conv->gate != kNoValue || conv->residual == v) return {};
    return conv->dense ? request_of(*conv->dense) : request_of(*conv->depthwise);
  }
  template <class Conv>
  static StorageRequest request_of(const Conv& conv) {
    return conv.quant ? StorageRequest{{conv.quant->quant, conv.factors}} : StorageRequest{};
  }

  // How input v of a layer that moves data is quantized, when its output is quantized as `whole`; nothing where their channels do
  // not correspond.
  StorageRequest part_of(const QuantizeSpec& whole, const Layer& layer, Value v) const {
    if (whole.factors.empty()) return whole;
    const Shape& shape = *low_.float_shape(v);
    const int64_t channels = shape.empty() ? 0 : shape.back();
    if (layer.movement == DataMovement::other_channels) return before_copy(whole, layer.channels_after, channels);
    int64_t first = 0;
    if (layer.movement == DataMovement::joined_channels) {
      const std::vector<Value> inputs = layer.reads();
      if (std::count(inputs.begin(), inputs.end(), v) > 1) return {};
      for (auto input = inputs.begin(); *input != v; ++input) first += low_.float_shape(*input)->back();
    } else if (static_cast<size_t>(channels) != whole.factors.size()) {
      return {};
    }
    return QuantizeSpec{whole.quant, {whole.factors.begin() + first, whole.factors.begin() + first + channels}};
  }

  static StorageRequest before_copy(const QuantizeSpec& whole, const std::vector<int64_t>& after, int64_t channels) {
    if (after.empty()) return {};
    QuantizeSpec part{whole.quant, {}};
    for (size_t c = 0; c < static_cast<size_t>(channels); ++c) {
      const int64_t to = after[c % after.size()];
      part.factors.push_back(to < 0 ? 1 : whole.factors[static_cast<size_t>(to)]);
    }
    return part;
  }

  static constexpr int64_t kLargeMapElements = 512 * 1024;

  Lowering& low_;
  std::map<Value, size_t> writer_;
  std::map<Value, std::vector<size_t>> readers_;
  std::map<Value, StorageRequest> requests_;
  std::map<Value, double> bounds_;
  std::vector<char> refused_;
};

}  // namespace

void assign_storage(Lowering& low, bool quantized_inputs) { StorageAssigner(low).run(quantized_inputs); }

}  // namespace cytodet::exec
