#include "exec/packed_conv.h"

#include <algorithm>
#include <cstring>

namespace cytodet {
namespace {

FloatBuffer padded_bias(const std::vector<float>& bias, int64_t n, int panel) {
  FloatBuffer out((n + panel - 1) / panel * panel);
  std::copy(bias.begin(), bias.end(), out.data());
  return out;
}

}  // namespace

CodeTable::CodeTable(const Quant& quant, const std::vector<float>& factors, int64_t columns, int panel)
    : inverse_scales((columns + panel - 1) / panel * panel),
      lowest(static_cast<float>(quant.lowest() - quant.zero_point)),
      highest(static_cast<float>(quant.highest() - quant.zero_point)) {
  for (int64_t i = 0; i < columns; ++i)
    inverse_scales.data()[i] = (factors.empty() ? 1.0f : factors[static_cast<size_t>(i) % factors.size()]) / quant.scale;
}

PackedDense::PackedDense(const KernelSet& set, const DenseConv& conv)
    : k(conv.shape.taps() * conv.shape.in_c),
      n(conv.shape.out_c),
      coded(conv.quant.has_value()),
      converts(coded || conv.bf16),
      panel(set.panel),
      set_(set),
      bias_(padded_bias(conv.bias, n, panel)) {
  if (!converts) {
    weights_ = FloatBuffer(packed_size(k, n, panel));
    pack_panels(conv.weights.data<float>(), k, n, panel, weights_.data());
    return;
  }
  packed_ = Buffer<uint8_t>(packed_bytes(k, n, panel, coded ? set.code_group : 2));
  if (!coded) {
    pack_bf16(conv.weights.data<float>(), k, n, panel, packed_.data());
    return;
  }
  const QuantWeights& w = conv.quant->weights;
  input_ = CodeTable(conv.quant->quant, conv.factors, k, panel);
  pack_codes(w.codes.data<int8_t>(), k, n, set, packed_.data());
  starts_ = Buffer<int32_t>(bias_.size());
  column_starts(w.codes.data<int8_t>(), k, n, static_cast<int>(input_.lowest), starts_.data());
  scales_ = FloatBuffer(bias_.size());
  for (int64_t i = 0; i < n; ++i)
    scales_.data()[i] = conv.quant->quant.scale * w.scales[w.scales.size() == 1 ? 0 : static_cast<size_t>(i)];
}

void PackedDense::convert(const float* in, int64_t rows, const float* gate, uint8_t* out) const {
  if (coded)
    set_.quantize_rows(in, k, rows, k, gate, input_.rule(), out);
  else
    set_.bf16_rows(in, k, rows, k, gate, out);
}

void PackedDense::multiply(const uint8_t* rows, int64_t m, int64_t first_panel, int64_t last_panel, float* c, int64_t ldc,
                           const Epilogue& epilogue) const {
  if (coded)
    set_.gemm_codes(rows, m, {packed_.data(), k, n, scales_.data(), starts_.data()}, first_panel, last_panel, c, ldc, epilogue);
  else
    set_.gemm_bf16(rows, m, {packed_.data(), k, n}, first_panel, last_panel, c, ldc, epilogue);
}

PackedDepthwise::PackedDepthwise(const KernelSet& set, const DepthwiseConv& conv)
    : panel(set.panel),
      channels(conv.shape.in_c),
      taps(conv.shape.taps()),
      coded(conv.quant.has_value()),
      weights(packed_size(taps, channels, panel)),
      bias(padded_bias(conv.bias, channels, panel)) {
  pack_panels(conv.weights.data<float>(), taps, channels, panel, weights.data());
  if (!coded) return;
  input = CodeTable(conv.quant->quant, conv.factors, channels, panel);
  for (int64_t i = 0; i < weights.size(); ++i) weights.data()[i] *= conv.quant->quant.scale;
}

DepthwiseRow PackedDepthwise::job(const ConvShape& s, int64_t p, Act act) const {
  DepthwiseRow job;
  job.kernel_h = s.kernel_h;
  job.kernel_w = s.kernel_w;
  job.stride = s.stride_w;
  job.dilation = s.dilation_w;
  job.weights = weights.data() + p * taps * panel;
  job.bias = bias.data() + p * panel;
  job.act = act;
  job.out_stride = channels;
  job.width = s.out_w;
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

void fill_patches(const ConvShape& s, const float* in, int64_t oy, float* out) {
  const int64_t tap = s.in_c;
  for (int64_t ox = 0; ox < s.out_w; ++ox)
    for (int ky = 0; ky < s.kernel_h; ++ky) {
      int64_t iy = oy * s.stride_h - s.pad_top + int64_t{ky} * s.dilation_h;
      int64_t ix = ox * s.stride_w - s.pad_left;
      bool inside_y = iy >= 0 && iy < s.in_h;
      const float* row = in + (inside_y ? iy : 0) * s.in_w * tap;
      if (inside_y && s.dilation_w == 1 && ix >= 0 && ix + s.kernel_w <= s.in_w) {
        std::memcpy(out, row + ix * tap, static_cast<size_t>(s.kernel_w * tap) * sizeof(float));
        out += s.kernel_w * tap;
        continue;
      }
      for (int kx = 0; kx < s.kernel_w; ++kx, out += tap) {
        int64_t x = ix + int64_t{kx} * s.dilation_w;
        if (inside_y && x >= 0 && x < s.in_w)
          std::memcpy(out, row + x * tap, static_cast<size_t>(tap) * sizeof(float));
        else
          std::fill_n(out, tap, 0.0f);
      }
    }
}

}  // namespace cytodet
