#include "exec/steps/packed_conv.h"

#include <algorithm>
#include <cmath>

#include "exec/kernels/pack_weights.h"
#include "exec/steps/patches.h"

namespace cytodet::exec {
namespace {

FloatBuffer padded_bias(const std::vector<float>& bias, int64_t n, int panel) {
  FloatBuffer out((n + panel - 1) / panel * panel);
  std::copy(bias.begin(), bias.end(), out.data());
  return out;
}

// Bounds of a sum of weight * q, for any q in [qmin, qmax].
struct AccumulatorBound {
  float low = 0, high = 0;
  void add(float weight, const PackedQuantizeParams& input) {
    low += std::min(weight * input.qmin, weight * input.qmax);
    high += std::max(weight * input.qmin, weight * input.qmax);
  }
  float max_abs() const { return std::max(-low, high); }
};

}  // namespace

PackedDense::PackedDense(const KernelSet& set, const DenseConv& conv)
    : k(conv.shape.taps() * conv.shape.in_c),
      n(conv.shape.out_c),
      quantized(conv.quant.has_value()),
      converts(quantized || conv.bf16),
      panel(set.panel),
      set_(set),
      q8_(quantized && set.q8_16bit_safe.gemm && is_16bit_safe(conv.quant->weights.values, n) ? set.q8_16bit_safe : set.q8),
      bias_(padded_bias(conv.bias, n, panel)) {
  if (!converts) {
    weights_ = FloatBuffer(packed_f32_size(k, n, panel));
    pack_f32_weights(conv.weights.data<float>(), k, n, panel, weights_.data());
    return;
  }
  packed_ = Buffer<uint8_t>(packed_weights_bytes(k, n, panel, group()));
  if (!quantized) {
    pack_bf16_weights(conv.weights.data<float>(), k, n, panel, packed_.data());
    return;
  }
  pack_quantized(conv);
}

void PackedDense::pack_quantized(const DenseConv& conv) {
  const QuantizedWeights& w = conv.quant->weights;
  input_ = PackedQuantizeParams(conv.quant->quant, conv.factors, k, panel);
  if (!conv.shape.pointwise())
    image_ = PackedQuantizeParams(conv.quant->quant, conv.factors, conv.shape.in_w * conv.shape.in_c, panel);
  const int8_t* const values = w.values.data<int8_t>();
  pack_q8_weights(values, k, n, panel, group(), packed_.data());
  corrections_ = Buffer<int32_t>(bias_.size());
  add_zero_point_corrections(values, k, n, static_cast<int>(input_.qmin), corrections_.data());
  scales_ = FloatBuffer(bias_.size());
  for (int64_t i = 0; i < n; ++i) scales_.data()[i] = conv.quant->quant.scale * w.scale_of(static_cast<size_t>(i));
  std::vector<AccumulatorBound> bounds(static_cast<size_t>(n));
  for (int64_t row = 0; row < k; ++row)
    for (int64_t i = 0; i < n; ++i) bounds[static_cast<size_t>(i)].add(static_cast<float>(values[row * n + i]), input_);
  max_abs_.resize(static_cast<size_t>(panels()));
  for (int64_t i = 0; i < n; ++i) {
    float& max_abs = max_abs_[static_cast<size_t>(i / panel)];
    max_abs =
        std::max(max_abs, bounds[static_cast<size_t>(i)].max_abs() * std::abs(scales_.data()[i]) + std::abs(bias_.data()[i]));
  }
}

Act PackedDense::act_of(Act act, int64_t first, int64_t last, bool added) const {
  if (!converts) return act;
  return approximate_act(act, quantized && !added ? *std::max_element(max_abs_.begin() + first, max_abs_.begin() + last)
                                                  : std::numeric_limits<float>::infinity());
}

PackedRequantizeParams::PackedRequantizeParams(const PackedDense& product, const PackedQuantizeParams& quant, Act act)
    : params_(quant.params()), scales_(quant.inverse_scales.size()), bias_(quant.inverse_scales.size()) {
  for (FloatBuffer& c : curve_) c = FloatBuffer(quant.inverse_scales.size());
  for (int64_t p = 0; p < product.panels(); ++p) acts_.push_back(exact_enough(product, act, p));
  for (int64_t i = 0; i < product.n; ++i) {
    const bool small = act_of(i / product.panel) == Act::swish_small_3e5;
    const float inverse = params_.inverse_scales[i], scale = small ? inverse / 2 : inverse;
    scales_.data()[i] = product.scales()[i] * scale;
    bias_.data()[i] = product.bias()[i] * scale;
    for (int k = 0; small && k < 4; ++k)
      curve_[k].data()[i] = static_cast<float>(kSwishSmallPoly[k] / std::pow(double{inverse}, 2 * k + 1));
    if (!small) curve_[0].data()[i] = (act == Act::hard_swish ? 1.0f / 6 : -1.44269504f) / inverse;
  }
}

// Whether 6 is at least the largest quantized value in every channel of a panel, so that quantizing cuts off what relu6 would.
bool PackedRequantizeParams::ends_at_6(const PackedDense& product, int64_t panel) const {
  const int64_t first = panel * product.panel, last = std::min(product.n, first + product.panel);
  return std::all_of(params_.inverse_scales + first, params_.inverse_scales + last,
                     [&](float inverse) { return 6 * inverse >= params_.qmax - 0.5f; });
}

Act PackedRequantizeParams::exact_enough(const PackedDense& product, Act act, int64_t panel) const {
  if (act == Act::relu6) return ends_at_6(product, panel) ? Act::relu : act;
  const Act cheapest = product.act_of(act, panel, panel + 1, false);
  if (cheapest == act) return act;
  const float largest_inverse_scale = *std::max_element(
      params_.inverse_scales + panel * product.panel, params_.inverse_scales + std::min(product.n, (panel + 1) * product.panel));
  const float max_abs = product.max_abs(panel);
  const auto shows = [&](float error) { return error * largest_inverse_scale > kMaxSwishErrorSteps; };
  if (cheapest == Act::gelu_2e3) return shows(kGelu2e3Error) ? act : cheapest;
  if (cheapest == Act::swish_small_3e5 && !shows(swish_small_error(max_abs))) return cheapest;
  if (shows(kSwish2e3Error)) return max_abs <= kSwish3e5MaxInput && !shows(swish_3e5_error(max_abs)) ? Act::swish_3e5 : act;
  return kSwishMin * largest_inverse_scale > params_.qmin - 0.5f ? cheapest : Act::swish_2e3;
}

// Packs `rows` rows of `columns` elements, the first at element `first` of a map.
void PackedDense::convert(const FeatureMap& in, int64_t first, int64_t rows, int64_t columns, const PackedQuantizeParams& params,
                          const float* gate, uint8_t* out) const {
  if (!quantized && in.storage == StorageType::bf16)
    set_.repack_bf16(in.bf16(first), rows, columns, gate, out);
  else if (!quantized)
    set_.pack_bf16(in.f32(first), columns, rows, columns, gate, out);
  else if (in.storage == StorageType::q8)
    q8_.repack_q8(in.q8(first), rows, columns, params.qmin, out);
  else if (in.storage == StorageType::f16)
    q8_.pack_q8_f16(in.f16(first), columns, rows, columns, gate, params.params(), out);
  else
    q8_.pack_q8(in.f32(first), columns, rows, columns, gate, params.params(), out);
}

const uint8_t* PackedDense::converted(const FeatureMap& in, int64_t first, int64_t rows, const float* gate,
                                      uint8_t* scratch) const {
  if (reads_directly(in.storage) && !gate) return direct(in, first * k);
  convert(in, first * k, rows, k, input_, gate, scratch);
  return scratch;
}

void PackedDense::multiply(const uint8_t* rows, int64_t m, int64_t first_panel, int64_t last_panel, float* c, int64_t ldc,
                           const Epilogue& epilogue) const {
  if (quantized)
    q8_.gemm(rows, m, {packed_.data(), k, n, scales_.data(), corrections_.data()}, first_panel, last_panel, c, ldc, epilogue);
  else
    set_.gemm_bf16(rows, m, {packed_.data(), k, n}, first_panel, last_panel, c, ldc, epilogue);
}

PackedDepthwise::PackedDepthwise(const KernelSet& set, const DepthwiseConv& conv)
    : panel(set.panel),
      kernel_h(conv.shape.kernel_h),
      kernel_w(conv.shape.kernel_w),
      channels(conv.shape.in_c),
      taps(conv.shape.taps()),
      quantized(conv.quant.has_value()),
      approximate(quantized || conv.bf16),
      max_abs(static_cast<size_t>(panels()), quantized ? 0 : std::numeric_limits<float>::infinity()),
      weights(packed_f32_size(taps, channels, panel)),
      bias(padded_bias(conv.bias, channels, panel)) {
  pack_f32_weights(conv.weights.data<float>(), taps, channels, panel, weights.data());
  if (!quantized) return;
  input = PackedQuantizeParams(conv.quant->quant, conv.factors, channels, panel);
  for (int64_t i = 0; i < weights.size(); ++i) weights.data()[i] *= conv.quant->quant.scale;
  for (int64_t c = 0; c < bias.size(); ++c) {
    AccumulatorBound bound;
    for (int64_t t = 0; t < taps; ++t) bound.add(weights.data()[(c / panel * taps + t) * panel + c % panel], input);
    float& largest = max_abs[static_cast<size_t>(c / panel)];
    largest = std::max(largest, bound.max_abs() + std::abs(bias.data()[c]));
  }
  if (set.depthwise_packed4 && std::max(kernel_h, kernel_w) <= kMaxPacked4Taps && conv.shape.dilation_h == 1)
    pack_taps(*conv.quant);
}

void PackedDepthwise::pack_taps(const QuantizedConv& quant) {
  weights = {};
  packed4_taps = Buffer<uint32_t>(panels() * kernel_w * quads() * panel);
  zero_point_corrections = Buffer<int32_t>(bias.size());
  scales = FloatBuffer(bias.size());
  const QuantizedWeights& w = quant.weights;
  const int8_t* const values = w.values.data<int8_t>();
  for (int64_t c = 0; c < channels; ++c) {
    const int64_t p = c / panel;
    for (int ky = 0; ky < kernel_h; ++ky)
      for (int kx = 0; kx < kernel_w; ++kx) {
        const int8_t weight = values[(ky * kernel_w + kx) * channels + c];
        uint32_t& tap = packed4_taps.data()[((p * kernel_w + kx) * quads() + ky / 4) * panel + c % panel];
        tap |= static_cast<uint32_t>(static_cast<uint8_t>(weight)) << 8 * (ky % 4);
        zero_point_corrections.data()[c] += static_cast<int32_t>(input.qmin) * weight;
      }
    scales.data()[c] = quant.quant.scale * w.scale_of(static_cast<size_t>(c));
  }
}

DepthwiseRow PackedDepthwise::job(const ConvShape& s, int64_t p, Act act) const {
  DepthwiseRow job;
  job.kernel_h = s.kernel_h;
  job.kernel_w = s.kernel_w;
  job.stride = s.stride_w;
  job.dilation = s.dilation_w;
  job.weights = weights.data() + p * taps * panel;
  job.bias = bias.data() + p * panel;
  job.act = act_of(act, p);
  job.channels = static_cast<int>(std::min<int64_t>(panel, channels - p * panel));
  return job;
}

DepthwisePacked4 PackedDepthwise::packed4_job(const ConvShape& s, int64_t p, Act act) const {
  DepthwisePacked4 job;
  job.quads = quads();
  job.kernel_w = s.kernel_w;
  job.stride = s.stride_w;
  job.dilation = s.dilation_w;
  job.taps = packed4_taps.data() + p * kernel_w * quads() * panel;
  job.zero_point_corrections = zero_point_corrections.data() + p * panel;
  job.scales = scales.data() + p * panel;
  job.bias = bias.data() + p * panel;
  job.act = act_of(act, p);
  job.channels = static_cast<int>(std::min<int64_t>(panel, channels - p * panel));
  return job;
}

void PackedDepthwise::mean_of_sums(const ConvShape& s, const float* sums, int64_t bands, float* mean) const {
  const float scale = 1.0f / static_cast<float>(s.out_h * s.out_w);
  for (int64_t c = 0; c < channels; ++c) {
    float total = 0;
    for (int64_t band = 0; band < bands; ++band) total += sums[band * bias.size() + c];
    mean[c] = total * scale;
  }
}

int64_t PackedDense::image_rows(const ConvShape& s, int64_t out_rows) { return std::min(s.in_h, s.rows_read(out_rows)); }

int64_t PackedDense::image_bytes(const ConvShape& s, int64_t out_rows) const {
  return image_rows(s, out_rows) * row_groups(s.in_w * s.in_c, group()) * 4;
}

void PackedDense::convert_patches(const ConvShape& s, const FeatureMap& in, int64_t start, int64_t y0, int64_t y1,
                                  uint8_t* scratch, uint8_t* out) const {
  const int64_t row = s.in_w * s.in_c, packed_row_bytes = row_groups(row, group()) * 4;
  const int64_t first = std::max<int64_t>(0, y0 * s.stride_h - s.pad_top);
  const int64_t last = std::min(s.in_h - 1, (y1 - 1) * s.stride_h - s.pad_top + int64_t{s.kernel_h - 1} * s.dilation_h);
  const int64_t rows = std::max<int64_t>(0, last - first + 1);
  convert(in, start + first * row, rows, row, image_, nullptr, scratch);
  const auto fill = [&]<class T>(T zero) {
    const T* from = reinterpret_cast<const T*>(scratch);
    const int64_t stride = packed_row_bytes / static_cast<int64_t>(sizeof(T));
    fill_patches(s, ImageRows<T>{from, from + rows * stride, first, stride, zero}, y0, y1,
                 row_bytes() / static_cast<int64_t>(sizeof(T)), reinterpret_cast<T*>(out));
  };
  if (group() == 4)
    fill(static_cast<uint8_t>(image_zero()));
  else
    fill(uint16_t{0});
}

}  // namespace cytodet::exec
