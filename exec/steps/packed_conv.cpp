#include "exec/steps/packed_conv.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace cytodet::exec {
namespace {

FloatBuffer padded_bias(const std::vector<float>& bias, int64_t n, int panel) {
  FloatBuffer out((n + panel - 1) / panel * panel);
  std::copy(bias.begin(), bias.end(), out.data());
  return out;
}

// The least and the greatest sum of products of weights with codes.
struct Reach {
  float low = 0, high = 0;
  void add(float weight, const CodeTable& codes) {
    low += std::min(weight * codes.lowest, weight * codes.highest);
    high += std::max(weight * codes.lowest, weight * codes.highest);
  }
  float largest() const { return std::max(-low, high); }
};

}  // namespace

PackedDense::PackedDense(const KernelSet& set, const DenseConv& conv)
    : k(conv.shape.taps() * conv.shape.in_c),
      n(conv.shape.out_c),
      coded(conv.quant.has_value()),
      converts(coded || conv.bf16),
      panel(set.panel),
      set_(set),
      codes_(coded && set.narrow.gemm && is_narrow(conv.quant->weights.codes, n) ? set.narrow : set.codes),
      bias_(padded_bias(conv.bias, n, panel)) {
  if (!converts) {
    weights_ = FloatBuffer(packed_size(k, n, panel));
    pack_panels(conv.weights.data<float>(), k, n, panel, weights_.data());
    return;
  }
  packed_ = Buffer<uint8_t>(packed_bytes(k, n, panel, group()));
  if (!coded) {
    pack_bf16(conv.weights.data<float>(), k, n, panel, packed_.data());
    return;
  }
  const QuantWeights& w = conv.quant->weights;
  input_ = CodeTable(conv.quant->quant, conv.factors, k, panel);
  if (!conv.shape.pointwise()) image_ = CodeTable(conv.quant->quant, conv.factors, conv.shape.in_w * conv.shape.in_c, panel);
  pack_codes(w.codes.data<int8_t>(), k, n, panel, group(), packed_.data());
  starts_ = Buffer<int32_t>(bias_.size());
  column_starts(w.codes.data<int8_t>(), k, n, static_cast<int>(input_.lowest), starts_.data());
  scales_ = FloatBuffer(bias_.size());
  for (int64_t i = 0; i < n; ++i)
    scales_.data()[i] = conv.quant->quant.scale * w.scales[w.scales.size() == 1 ? 0 : static_cast<size_t>(i)];
  std::vector<Reach> reach(static_cast<size_t>(n));
  for (int64_t row = 0; row < k; ++row)
    for (int64_t i = 0; i < n; ++i)
      reach[static_cast<size_t>(i)].add(static_cast<float>(w.codes.data<int8_t>()[row * n + i]), input_);
  most_.resize(static_cast<size_t>(panels()));
  for (int64_t i = 0; i < n; ++i) {
    float& most = most_[static_cast<size_t>(i / panel)];
    most = std::max(most, reach[static_cast<size_t>(i)].largest() * scales_.data()[i] + std::abs(bias_.data()[i]));
  }
}

Act PackedDense::act_of(Act act, int64_t first, int64_t last) const {
  if (!converts) return act;
  return coarse_act(
      act, coded ? *std::max_element(most_.begin() + first, most_.begin() + last) : std::numeric_limits<float>::infinity());
}

CodedTable::CodedTable(const PackedDense& product, const CodeTable& codes, Act act)
    : rule_(codes.rule()), scales_(codes.inverse_scales.size()), bias_(codes.inverse_scales.size()) {
  for (FloatBuffer& c : curve_) c = FloatBuffer(codes.inverse_scales.size());
  for (int64_t p = 0; p < product.panels(); ++p) acts_.push_back(exact_enough(product, act, p));
  for (int64_t i = 0; i < product.n; ++i) {
    const bool small = act_of(i / product.panel) == Act::swish_small;
    const float inverse = rule_.inverse_scales[i], unit = small ? inverse / 2 : inverse;
    scales_.data()[i] = product.scales()[i] * unit;
    bias_.data()[i] = product.bias()[i] * unit;
    for (int k = 0; small && k < 4; ++k)
      curve_[k].data()[i] = static_cast<float>(kSmallSwish[k] / std::pow(double{inverse}, 2 * k + 1));
    if (!small) curve_[0].data()[i] = -1.44269504f / inverse;
  }
}

Act CodedTable::exact_enough(const PackedDense& product, Act act, int64_t panel) const {
  const Act coarse = product.act_of(act, panel, panel + 1);
  if (coarse == act) return act;
  const float finest = *std::max_element(rule_.inverse_scales + panel * product.panel,
                                         rule_.inverse_scales + std::min(product.n, (panel + 1) * product.panel));
  const float most = product.most(panel);
  const auto shows = [&](float error) { return error * finest > kSwish8Codes; };
  if (coarse == Act::swish_small && !shows(small_swish_error(most))) return coarse;
  if (shows(kSwish8Error)) return most <= kFineSwishBound && !shows(fine_swish_error(most)) ? Act::swish_fine : act;
  return kSwishLeast * finest > rule_.lowest - 0.5f ? coarse : Act::swish8;
}

// Of numbers from `first` on, rows of `columns`.
void PackedDense::convert(const Map& in, int64_t first, int64_t rows, int64_t columns, const CodeTable& table, const float* gate,
                          uint8_t* out) const {
  if (!coded && in.form == Form::bf16)
    set_.rows_of_bf16(in.bf16(first), rows, columns, gate, out);
  else if (!coded)
    set_.bf16_rows(in.floats(first), columns, rows, columns, gate, out);
  else if (in.form == Form::codes)
    codes_.rows_of_codes(in.codes(first), rows, columns, table.lowest, out);
  else if (in.form == Form::halves)
    codes_.rows_of_halves(in.halves(first), columns, rows, columns, gate, table.rule(), out);
  else
    codes_.quantize_rows(in.floats(first), columns, rows, columns, gate, table.rule(), out);
}

const uint8_t* PackedDense::converted(const Map& in, int64_t first, int64_t rows, const float* gate, uint8_t* scratch) const {
  if (reads_directly(in.form) && !gate) return direct(in, first * k);
  convert(in, first * k, rows, k, input_, gate, scratch);
  return scratch;
}

void PackedDense::multiply(const uint8_t* rows, int64_t m, int64_t first_panel, int64_t last_panel, float* c, int64_t ldc,
                           const Epilogue& epilogue) const {
  if (coded)
    codes_.gemm(rows, m, {packed_.data(), k, n, scales_.data(), starts_.data()}, first_panel, last_panel, c, ldc, epilogue);
  else
    set_.gemm_bf16(rows, m, {packed_.data(), k, n}, first_panel, last_panel, c, ldc, epilogue);
}

PackedDepthwise::PackedDepthwise(const KernelSet& set, const DepthwiseConv& conv)
    : panel(set.panel),
      kernel_h(conv.shape.kernel_h),
      kernel_w(conv.shape.kernel_w),
      channels(conv.shape.in_c),
      taps(conv.shape.taps()),
      coded(conv.quant.has_value()),
      coarse(coded || conv.bf16),
      most(static_cast<size_t>(panels()), coded ? 0 : std::numeric_limits<float>::infinity()),
      weights(packed_size(taps, channels, panel)),
      bias(padded_bias(conv.bias, channels, panel)) {
  pack_panels(conv.weights.data<float>(), taps, channels, panel, weights.data());
  if (!coded) return;
  input = CodeTable(conv.quant->quant, conv.factors, channels, panel);
  for (int64_t i = 0; i < weights.size(); ++i) weights.data()[i] *= conv.quant->quant.scale;
  for (int64_t c = 0; c < bias.size(); ++c) {
    Reach reach;
    for (int64_t t = 0; t < taps; ++t) reach.add(weights.data()[(c / panel * taps + t) * panel + c % panel], input);
    float& largest = most[static_cast<size_t>(c / panel)];
    largest = std::max(largest, reach.largest() + std::abs(bias.data()[c]));
  }
  if (set.depthwise_words && std::max(kernel_h, kernel_w) <= kMostWordTaps && conv.shape.dilation_h == 1) pack_words(*conv.quant);
}

void PackedDepthwise::pack_words(const QuantConv& quant) {
  weights = {};
  word_taps = Buffer<uint32_t>(panels() * kernel_w * quads() * panel);
  starts = Buffer<int32_t>(bias.size());
  scales = FloatBuffer(bias.size());
  const QuantWeights& w = quant.weights;
  for (int64_t c = 0; c < channels; ++c) {
    const int64_t p = c / panel;
    for (int ky = 0; ky < kernel_h; ++ky)
      for (int kx = 0; kx < kernel_w; ++kx) {
        const int8_t code = w.codes.data<int8_t>()[(ky * kernel_w + kx) * channels + c];
        uint32_t& word = word_taps.data()[((p * kernel_w + kx) * quads() + ky / 4) * panel + c % panel];
        word |= static_cast<uint32_t>(static_cast<uint8_t>(code)) << 8 * (ky % 4);
        starts.data()[c] += static_cast<int32_t>(input.lowest) * code;
      }
    scales.data()[c] = quant.quant.scale * w.scales[w.scales.size() == 1 ? 0 : static_cast<size_t>(c)];
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

DepthwiseWords PackedDepthwise::words_job(const ConvShape& s, int64_t p, Act act) const {
  DepthwiseWords job;
  job.quads = quads();
  job.kernel_w = s.kernel_w;
  job.stride = s.stride_w;
  job.dilation = s.dilation_w;
  job.taps = word_taps.data() + p * kernel_w * quads() * panel;
  job.starts = starts.data() + p * panel;
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

namespace {

// Rows of an image: pixel (x, y) lies at rows + (y - first) * stride + x * in_c.
template <class T>
struct ImageRows {
  const T* rows;
  const T* end;
  int64_t first, stride;
  T zero;  // outside the image
};

// One patch of `patch` elements, those past the window zero bytes.
template <class T>
void fill_patch(const ConvShape& s, const ImageRows<T>& image, int64_t oy, int64_t ox, int64_t patch, T* to) {
  const int64_t tap = s.in_c;
  for (int ky = 0; ky < s.kernel_h; ++ky) {
    const int64_t y = oy * s.stride_h - s.pad_top + int64_t{ky} * s.dilation_h;
    const T* row = y >= 0 && y < s.in_h ? image.rows + (y - image.first) * image.stride : nullptr;
    for (int kx = 0; kx < s.kernel_w; ++kx, to += tap) {
      const int64_t x = ox * s.stride_w - s.pad_left + int64_t{kx} * s.dilation_w;
      if (row && x >= 0 && x < s.in_w)
        std::memcpy(to, row + x * tap, static_cast<size_t>(tap) * sizeof(T));
      else
        std::fill_n(to, tap, image.zero);
    }
  }
  std::fill_n(to, patch - s.taps() * tap, T{0});
}

// `count` patches of windows inside the image, which begin `step` elements apart and have `rows` rows, `stride` apart, of `row`
// elements. kBytes, at least those of such a row, are copied at once: what is too much is overwritten.
template <int kBytes, class T>
void copy_patches(const T* from, int64_t step, int64_t rows, int64_t stride, int64_t row, int64_t count, T* out, int64_t patch) {
  for (int64_t i = 0; i < count; ++i, from += step, out += patch) {
    const T* in = from;
    T* to = out;
    for (int64_t r = 0; r < rows; ++r, in += stride, to += row) std::memcpy(to, in, kBytes);
    if (to < out + patch) std::memset(to, 0, 4);  // patches are of whole groups of 4 bytes
  }
}

// Patches of output row oy.
template <class T>
void fill_patch_row(const ConvShape& s, const ImageRows<T>& image, int64_t oy, int64_t patch, T* out, const T* out_end) {
  constexpr int kLargest = 64;
  const int64_t row = s.kernel_w * s.in_c, bytes = row * static_cast<int64_t>(sizeof(T)), block = bytes <= 16 ? 16 : kLargest;
  const int64_t block_elements = block / static_cast<int64_t>(sizeof(T));
  const int64_t y = oy * s.stride_h - s.pad_top, stride = image.stride * s.dilation_h;
  int64_t x = std::min(s.out_w, (s.pad_left + s.stride_w - 1) / int64_t{s.stride_w});  // the first window inside the image
  for (int64_t ox = 0; ox < x; ++ox) fill_patch(s, image, oy, ox, patch, out + ox * patch);
  if (s.dilation_w == 1 && bytes <= kLargest && y >= 0 && y + int64_t{s.kernel_h - 1} * s.dilation_h < s.in_h) {
    const int64_t step = int64_t{s.stride_w} * s.in_c;
    const int64_t last_zero = s.kernel_h * row + 4 / static_cast<int64_t>(sizeof(T));
    const int64_t ahead =
        std::max((s.kernel_h - 1) * row + block_elements, last_zero);  // what copy_patches writes from a patch on
    const T* from = image.rows + (y - image.first) * image.stride + (x * s.stride_w - s.pad_left) * s.in_c;
    T* to = out + x * patch;
    const int64_t readable = image.end - from - (s.kernel_h - 1) * stride - block_elements, writable = out_end - to - ahead;
    const int64_t last = s.in_w + s.pad_left - s.kernel_w;  // the last window inside the image begins at most here
    const int64_t inside = last < 0 ? 0 : last / s.stride_w + 1;
    int64_t count = std::min(s.out_w, inside) - x;
    count = readable < 0 || writable < 0 ? 0 : std::min({count, readable / step + 1, writable / patch + 1});
    if (count > 0) {
      (block == 16 ? copy_patches<16, T> : copy_patches<kLargest, T>)(from, step, s.kernel_h, stride, row, count, to, patch);
      x += count;
    }
  }
  for (; x < s.out_w; ++x) fill_patch(s, image, oy, x, patch, out + x * patch);
}

}  // namespace

void fill_patches(const ConvShape& s, const float* in, int64_t y0, int64_t y1, float* out) {
  const int64_t row = s.in_w * s.in_c, patch = s.taps() * s.in_c;
  const ImageRows<float> image{in, in + s.in_h * row, 0, row, 0};
  const float* end = out + (y1 - y0) * s.out_w * patch;
  for (int64_t y = y0; y < y1; ++y) fill_patch_row(s, image, y, patch, out + (y - y0) * s.out_w * patch, end);
}

int64_t PackedDense::image_rows(const ConvShape& s, int64_t out_rows) {
  return std::min(s.in_h, (out_rows - 1) * s.stride_h + int64_t{s.kernel_h - 1} * s.dilation_h + 1);
}

int64_t PackedDense::image_bytes(const ConvShape& s, int64_t out_rows) const {
  return image_rows(s, out_rows) * row_groups(s.in_w * s.in_c, group()) * 4;
}

void PackedDense::convert_patches(const ConvShape& s, const Map& in, int64_t start, int64_t y0, int64_t y1, uint8_t* scratch,
                                  uint8_t* out) const {
  const int64_t row = s.in_w * s.in_c, row_bytes_in = row_groups(row, group()) * 4;
  const int64_t first = std::max<int64_t>(0, y0 * s.stride_h - s.pad_top);
  const int64_t last = std::min(s.in_h - 1, (y1 - 1) * s.stride_h - s.pad_top + int64_t{s.kernel_h - 1} * s.dilation_h);
  const int64_t rows = std::max<int64_t>(0, last - first + 1);
  convert(in, start + first * row, rows, row, image_, nullptr, scratch);
  const auto fill = [&]<class T>(T zero) {
    const T* from = reinterpret_cast<const T*>(scratch);
    const int64_t stride = row_bytes_in / static_cast<int64_t>(sizeof(T)), patch = row_bytes() / static_cast<int64_t>(sizeof(T));
    const ImageRows<T> image{from, from + rows * stride, first, stride, zero};
    T* to = reinterpret_cast<T*>(out);
    const T* end = to + (y1 - y0) * s.out_w * patch;
    for (int64_t y = y0; y < y1; ++y) fill_patch_row(s, image, y, patch, to + (y - y0) * s.out_w * patch, end);
  };
  if (group() == 4)
    fill(static_cast<uint8_t>(-image_.lowest));
  else
    fill(uint16_t{0});
}

}  // namespace cytodet::exec
