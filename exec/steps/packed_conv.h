// Weights and bias of convolutions in the layout of this machine's kernels.
#pragma once

#include <algorithm>
#include <limits>

#include "exec/steps/conv_steps.h"

namespace cytodet::exec {

constexpr float kMaxSwishErrorSteps = 0.5f;  // an approximation of swish or GELU may be off by so many quantization steps

// The activation of values of magnitude at most max_abs, in 8-bit layers and in bf16 plans: swish to kSwish2e3Error and GELU to
// kGelu2e3Error, which is about what 8 bits show of values around 1.
inline Act approximate_act(Act act, float max_abs) {
  if (act == Act::gelu || act == Act::gelu_tanh) return max_abs <= kSwishSmallMaxInput ? act : Act::gelu_2e3;
  return act != Act::swish                ? act
         : max_abs <= kSwishSmallMaxInput ? Act::swish_small_3e5
         : max_abs <= kSwish2e3MaxInput   ? Act::swish_2e3_bounded
                                          : Act::swish_2e3;
}

// A dense convolution as a product of rows (pixels, or patches of them) with a matrix [k, n]. If `converts`, rows of floats are
// packed to q8 or bf16 values right before their product.
class PackedDense {
 public:
  PackedDense(const KernelSet& set, const DenseConv& conv);

  const int64_t k, n;    // kernel_h * kernel_w * in_c, out_c
  const bool quantized;  // computed in 8 bits
  const bool converts;   // computed in 8 bits or on bf16
  const int panel;
  int64_t panels() const { return (n + panel - 1) / panel; }
  const char* prefix() const { return quantized ? "int8_" : converts ? "bf16_" : ""; }  // of kernel names
  const float* bias() const { return bias_.data(); }                                    // [panels * panel]
  // Only if quantized: PackedQ8Weights::scales, how the input is quantized, and max |result before act| of panel p.
  const float* scales() const { return scales_.data(); }
  const PackedQuantizeParams& input() const { return input_; }
  float max_abs(int64_t p) const { return max_abs_[static_cast<size_t>(p)]; }
  // `act` for the results of panels [first, last), approximate where that is enough. `added`: to them comes a residual first,
  // which has no bound.
  Act act_of(Act act, int64_t first, int64_t last, bool added) const;

  // In float: for KernelSet::gemm, and for KernelSet::scale_rows, which needs matrix_size() floats.
  PackedF32Weights matrix() const { return {weights_.data(), k, n}; }
  int64_t matrix_size() const { return weights_.size(); }

  // Only if converts: bytes of a packed row, and the product of packed rows, as Q8Kernels::gemm.
  int64_t row_bytes() const { return row_groups(k, group()) * 4; }
  void multiply(const uint8_t* rows, int64_t m, int64_t first_panel, int64_t last_panel, float* c, int64_t ldc,
                const Epilogue& epilogue) const;
  // multiply() of 8-bit rows that lie in segments.
  void multiply_segments(const SegmentedRows& rows, int64_t m, int64_t first_panel, int64_t last_panel, float* c, int64_t ldc,
                         const Epilogue& epilogue) const {
    q8_.gemm_segments(rows, m, {packed_.data(), k, n, scales_.data(), corrections_.data()}, first_panel, last_panel, c, ldc,
                      epilogue);
  }
  // Packed rows of pixels [first, first + rows) of a map [pixels][k], channels multiplied by `gate` (null: 1): in `scratch`
  // (rows * row_bytes()), or, without a gate and where it reads_directly, the map's own memory.
  const uint8_t* converted(const FeatureMap& in, int64_t first, int64_t rows, const float* gate, uint8_t* scratch) const;
  bool reads_directly(StorageType storage) const {
    return quantized ? storage == StorageType::q8 && q8_.group == 4 && k % 4 == 0 : storage == StorageType::bf16 && k % 2 == 0;
  }
  static const uint8_t* direct(const FeatureMap& in, int64_t element) {
    return in.storage == StorageType::q8 ? in.q8(element) : reinterpret_cast<const uint8_t*>(in.bf16(element));
  }
  // Packed rows of the patches of output rows [y0, y1) of the image that begins at element `start` of a map. The image's rows are
  // converted once in `scratch`, image_bytes(s, y1 - y0), and patches are cut from there.
  void convert_patches(const ConvShape& s, const FeatureMap& in, int64_t start, int64_t y0, int64_t y1, uint8_t* scratch,
                       uint8_t* out) const;
  int64_t image_bytes(const ConvShape& s, int64_t out_rows) const;
  // In 8 bits, of an image row that begins at element `first` of a map: its packed elements, the map's own or in `scratch`.
  const uint8_t* converted_image_row(const FeatureMap& in, int64_t first, int64_t columns, uint8_t* scratch) const {
    if (reads_directly(in.storage) && columns % 4 == 0) return direct(in, first);
    convert(in, first, 1, columns, image_, nullptr, scratch);
    return scratch;
  }
  int group() const { return quantized ? q8_.group : 2; }                               // elements of 4 bytes of a packed row
  int image_zero() const { return group() == 4 ? static_cast<int>(-image_.qmin) : 0; }  // in 8 bits, outside the image

 private:
  void pack_quantized(const DenseConv& conv);
  void convert(const FeatureMap& in, int64_t first, int64_t rows, int64_t columns, const PackedQuantizeParams& params,
               const float* gate, uint8_t* out) const;
  static int64_t image_rows(const ConvShape& s, int64_t out_rows);

  const KernelSet& set_;
  const Q8Kernels& q8_;
  PackedQuantizeParams input_, image_;  // per element of a packed row; per element of an image's row, for patches
  FloatBuffer bias_, weights_, scales_;
  Buffer<uint8_t> packed_;  // instead of weights_ where it converts
  Buffer<int32_t> corrections_;
  std::vector<float> max_abs_;  // [panels]
};

// RequantizeParams of a product in 8 bits whose results are quantized with `quant`.
class PackedRequantizeParams {
 public:
  PackedRequantizeParams(const PackedDense& product, const PackedQuantizeParams& quant, Act act);
  // `act` of a panel's results: as approximate as kMaxSwishErrorSteps of `quant` allow; relu for a relu6 that quantizing cuts
  // off.
  Act act_of(int64_t panel) const { return acts_[static_cast<size_t>(panel)]; }
  RequantizeParams results() const {
    return {params_, scales_.data(), bias_.data(), {curve_[0].data(), curve_[1].data(), curve_[2].data(), curve_[3].data()}};
  }

 private:
  Act exact_enough(const PackedDense& product, Act act, int64_t panel) const;
  bool ends_at_6(const PackedDense& product, int64_t panel) const;

  QuantizeParams params_;
  FloatBuffer scales_, bias_, curve_[4];
  std::vector<Act> acts_;
};

// A depthwise convolution, in panels of channels.
struct PackedDepthwise {
  PackedDepthwise(const KernelSet& set, const DepthwiseConv& conv);
  int64_t panels() const { return (channels + panel - 1) / panel; }
  // The work on panel p of an output row, `act` approximate where that is enough; the caller sets where rows and results lie.
  DepthwiseRow job(const ConvShape& s, int64_t p, Act act) const;
  // Whether it reads packed4 rows, and then its work.
  bool packed4() const { return packed4_taps.size() > 0; }
  int quads() const { return (kernel_h + 3) / 4; }
  DepthwisePacked4 packed4_job(const ConvShape& s, int64_t p, Act act) const;
  // mean[channels] over the pixels of an image, of the bands' sums [bands][panels * panel].
  void mean_of_sums(const ConvShape& s, const float* sums, int64_t bands, float* mean) const;

  int panel, kernel_h, kernel_w;
  int64_t channels, taps;
  // Quantized: the input is quantized with `input`. Its values are packed4 rows, or stay floats that hold whole numbers: products
  // with the weights (then multiplied by the input's scale) and sums of few taps are exact but for the last rounding.
  bool quantized = false;
  bool approximate = false;  // activations are approximate_act's
  PackedQuantizeParams input;
  std::vector<float> max_abs;     // [panels], where approximate: bound of |result before act|
  FloatBuffer weights, bias;      // [panels][taps][panel], empty with packed4; [panels][panel]
  Buffer<uint32_t> packed4_taps;  // of DepthwisePacked4, of all panels
  Buffer<int32_t> zero_point_corrections;
  FloatBuffer scales;

 private:
  void pack_taps(const QuantizedConv& quant);
  Act act_of(Act act, int64_t p) const { return approximate ? approximate_act(act, max_abs[static_cast<size_t>(p)]) : act; }
};

}  // namespace cytodet::exec
