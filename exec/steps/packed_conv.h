// Weights and bias in the layout of this machine's kernels.
#pragma once

#include <algorithm>
#include <limits>

#include "exec/steps/conv_steps.h"

namespace cytodet::exec {

constexpr float kSwish8Codes = 0.5f;  // at most as many codes may its error be

// The activation of numbers that are at most `most`, in layers on codes and in plans on bfloat16 numbers: an error of up to
// kSwish8Error, about what 8 bits show of numbers around 1.
inline Act coarse_act(Act act, float most) {
  return act != Act::swish          ? act
         : most <= kSmallSwishBound ? Act::swish_small
         : most <= kSwishBound      ? Act::swish8_bounded
                                    : Act::swish8;
}

// A dense convolution as a product of rows (pixels, or patches of them) with a matrix. Where it `converts`, rows of floats become
// rows of codes or bfloat16 numbers first.
class PackedDense {
 public:
  PackedDense(const KernelSet& set, const DenseConv& conv);

  const int64_t k, n;   // kernel_h * kernel_w * in_c, out_c
  const bool coded;     // the product is on codes
  const bool converts;  // it is on codes or on bfloat16 numbers
  const int panel;
  int64_t panels() const { return (n + panel - 1) / panel; }
  const char* prefix() const { return coded ? "int8_" : converts ? "bf16_" : ""; }  // of kernel names
  const float* bias() const { return bias_.data(); }                                // padded to whole panels
  const float* scales() const { return scales_.data(); }                            // of codes: CodeMatrix::scales
  const CodeTable& input() const { return input_; }                                 // of codes
  // `act` of the results of panels [first, last), as exact as it need be.
  Act act_of(Act act, int64_t first, int64_t last) const;
  float most(int64_t p) const { return most_[static_cast<size_t>(p)]; }  // of codes: bound of |result| before act

  // Floats: c = epilogue(a * matrix), as KernelSet::gemm. `gate`: a matrix scaled per row of [k] gets into `scaled`
  // (matrix_size() floats), for the rows of one image.
  PanelMatrix matrix() const { return {weights_.data(), k, n}; }
  int64_t matrix_size() const { return weights_.size(); }

  // Rows that are converted: bytes of one, and their product, as CodeKernels::gemm.
  int64_t row_bytes() const { return row_groups(k, group()) * 4; }
  void multiply(const uint8_t* rows, int64_t m, int64_t first_panel, int64_t last_panel, float* c, int64_t ldc,
                const Epilogue& epilogue) const;
  // Such rows of pixels [first, first + rows) of a map [pixels][k]: in `scratch` (rows * row_bytes()), or, without a gate,
  // the map's own where it reads_directly.
  const uint8_t* converted(const Map& in, int64_t first, int64_t rows, const float* gate, uint8_t* scratch) const;
  bool reads_directly(Form form) const {
    return coded ? form == Form::codes && codes_.group == 4 && k % 4 == 0 : form == Form::bf16 && k % 2 == 0;
  }
  static const uint8_t* direct(const Map& in, int64_t number) {
    return in.form == Form::codes ? in.codes(number) : reinterpret_cast<const uint8_t*>(in.bf16(number));
  }
  // Such rows of patches of output rows [y0, y1) of the image that begins at number `start` of a map; `scratch`, of
  // image_bytes(s, y1 - y0), is for the image's own rows.
  void convert_patches(const ConvShape& s, const Map& in, int64_t start, int64_t y0, int64_t y1, uint8_t* scratch,
                       uint8_t* out) const;
  int64_t image_bytes(const ConvShape& s, int64_t out_rows) const;

 private:
  int group() const { return coded ? codes_.group : 2; }
  void convert(const Map& in, int64_t first, int64_t rows, int64_t columns, const CodeTable& table, const float* gate,
               uint8_t* out) const;
  static int64_t image_rows(const ConvShape& s, int64_t out_rows);

  const KernelSet& set_;
  const CodeKernels& codes_;
  CodeTable input_, image_;  // of the product's rows; of the rows of the image that patches are cut from
  FloatBuffer bias_, weights_, scales_;
  Buffer<uint8_t> packed_;  // instead of weights_ where it converts
  Buffer<int32_t> starts_;
  std::vector<float> most_;  // per panel
};

// What CodedResults need of a product on codes whose results become codes.
class CodedTable {
 public:
  CodedTable(const PackedDense& product, const CodeTable& codes, Act act);
  // product.act_of(act, panel, panel + 1) for results that become codes.
  Act act_of(int64_t panel) const { return acts_[static_cast<size_t>(panel)]; }
  CodedResults results() const {
    return {rule_, scales_.data(), bias_.data(), {curve_[0].data(), curve_[1].data(), curve_[2].data(), curve_[3].data()}};
  }

 private:
  Act exact_enough(const PackedDense& product, Act act, int64_t panel) const;

  CodeRule rule_;
  FloatBuffer scales_, bias_, curve_[4];
  std::vector<Act> acts_;
};

struct PackedDepthwise {
  PackedDepthwise(const KernelSet& set, const DepthwiseConv& conv);
  int64_t panels() const { return (channels + panel - 1) / panel; }
  // Work on panel p of an output row, `act` as exact as it need be; where rows and results lie is the caller's to set.
  DepthwiseRow job(const ConvShape& s, int64_t p, Act act) const;
  // The same where it takes words.
  bool words() const { return word_taps.size() > 0; }
  int quads() const { return (kernel_h + 3) / 4; }
  DepthwiseWords words_job(const ConvShape& s, int64_t p, Act act) const;
  // mean[channels] over the pixels of an image, of bands' sums [bands][panels * panel].
  void mean_of_sums(const ConvShape& s, const float* sums, int64_t bands, float* mean) const;

  int panel, kernel_h, kernel_w;
  int64_t channels, taps;
  // With codes the input is rounded to codes. They are products of words, or stay floats: their products with the (then scaled)
  // weights and the sums of some taps are exact but for the last rounding.
  bool coded = false;
  bool coarse = false;  // activations are coarse_act's
  CodeTable input;
  std::vector<float> most;     // of coarse results, per panel: bound of |result| before act
  FloatBuffer weights, bias;   // [panels][taps][panel], none where it takes words; [panels][panel]
  Buffer<uint32_t> word_taps;  // these as in DepthwiseWords, of all panels
  Buffer<int32_t> starts;
  FloatBuffer scales;

 private:
  void pack_words(const QuantConv& quant);
  Act act_of(Act act, int64_t p) const { return coarse ? coarse_act(act, most[static_cast<size_t>(p)]) : act; }
};

// Patches of output rows [y0, y1) of image `in` ([in_h, in_w, in_c]): out[y1 - y0][out_w][kernel_h * kernel_w * in_c], zero
// outside.
void fill_patches(const ConvShape& s, const float* in, int64_t y0, int64_t y1, float* out);

}  // namespace cytodet::exec
