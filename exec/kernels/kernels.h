// The kernels: one KernelSet per instruction set, chosen once by core/cpu.h isa(). Every kernel computes what the
// plain evals of graph/ops compute, to float rounding.
#pragma once

#include <cstdint>

#include "core/cpu.h"

namespace cytodet::exec {

// swish: x * sigmoid(x). The others are for codes and bfloat16. swish8: the same to kSwish8Error and 2^-14 of itself;
// swish8_bounded: that, where |x| <= kSwishBound is known and, of CodedResults, that the least result kSwishLeast is not below
// the lowest code; swish_fine: to fine_swish_error of the largest |x|, which is at most kFineSwishBound, and 2^-14 of itself;
// swish_small: to small_swish_error of the largest |x|, which is at most kSmallSwishBound.
enum class Act : int { none, relu, relu6, sigmoid, swish, swish8, swish8_bounded, swish_fine, swish_small };
constexpr float kSwishBound = 160, kSwishLeast = -0.2809f, kSwish8Error = 2.4e-3f, kFineSwishBound = 80, kSmallSwishBound = 1.5f;
constexpr float fine_swish_error(float most) { return most < 0.3f ? 1.1e-3f * most * most * most : 2.9e-5f; }
constexpr float small_swish_error(float most) { return 5.2e-6f * most * most * most * most + 2e-7f * most; }
// swish_small: with u = x / 2 and s = u^2 it is u + s * (k[0] + s * (k[1] + s * (k[2] + s * k[3]))), which fits least badly.
constexpr float kSmallSwish[4] = {1.0f, -0.33325312f, 0.13057728f, -0.03955712f};

// How floats become codes: round(x * inverse_scale of its column), clamped. Codes are relative to the zero point, so zero is code
// 0.
struct CodeRule {
  const float* inverse_scales = nullptr;  // padded to a multiple of `panel`
  float lowest = -127, highest = 127;
};

// Numbers of a map: floats, IEEE 754 halves that count in the map's unit, bfloat16 numbers, or codes, bytes that count from
// CodeRule::lowest.
enum class Form : int { floats, halves, bf16, codes };

// Numbers data[i] * unit. Units are powers of two, so that numbers of any size have a half's 11 bits.
struct Halves {
  const uint16_t* data = nullptr;
  float unit = 1;
};

// Results of a product of codes that become codes by `rule`: still floats, or, of a set with depthwise_words, bytes `byte` of the
// words that the result then is. Its sums are in their units when multiplied by
// `scales` (CodeMatrix::scales * inverse scale) and added to `bias` (Epilogue::bias * inverse scale). Of a quick swish curve[0]
// is -log2(e) / inverse scale; of swish_small scales and bias are half as large and curve[i] is kSmallSwish[i] / inverse
// scale^(2i + 1).
struct CodedResults {
  CodeRule rule;
  const float *scales, *bias, *curve[4];  // padded to a multiple of `panel`
  int byte = 0;
};

// What happens to a result while it is in registers: act(x + bias) + residual, or act(x + bias + residual).
struct Epilogue {
  const float* bias = nullptr;  // one per column, padded to a multiple of `panel`; never null
  Act act = Act::none;
  const float* residual = nullptr;      // row-major like the result; null: none
  int64_t residual_stride = 0;          // floats between rows
  bool residual_first = false;          // added before act
  const CodedResults* codes = nullptr;  // of gemm_codes: results become codes, without residual, whole panels; null: they do not
};

// A matrix [k, n] cut into panels of `panel` columns, each stored row after row; the last panel is padded with zeros.
struct PanelMatrix {
  const float* data = nullptr;
  int64_t k = 0, n = 0;
};

// Products of elements smaller than a float take 4 bytes of a row and of a column at once: `group` elements. A row of k is
// row_groups(k, group) * 4 bytes, the missing last ones zeros.
static inline int64_t row_groups(int64_t k, int group) { return (k + group - 1) / group; }

// A matrix [k, n] of 8-bit codes, for products of codes that are exact in 32 bits: panels as above, each stored
// [row_groups][panel][group], group that of the CodeKernels. Those of group 2 hold rows and columns as 16-bit numbers; those of
// group 4 as bytes, the rows' counted from CodeRule::lowest, which `starts` takes back.
struct CodeMatrix {
  const void* data = nullptr;
  int64_t k = 0, n = 0;
  const float* scales = nullptr;    // one per column, padded to a multiple of `panel`: number = sum of products * scale
  const int32_t* starts = nullptr;  // as many: lowest * sum of the column; not read where group is 2
};

// A matrix [k, n] of bfloat16 numbers: panels as above, each stored [row_groups(k, 2)][panel][2].
struct Bf16Matrix {
  const void* data = nullptr;
  int64_t k = 0, n = 0;
};

// Depthwise taps over rows of pixels: out pixel x reads pixels x*stride + kx*dilation, kx < kernel_w, of each row. A whole panel
// of channels is read (never stored) at every pixel, so rows need panel floats of slack behind their last channel.
struct DepthwiseRow {
  const float* const* rows = nullptr;  // kernel_h pointers to the panel's first channel of pixel 0
  int64_t pixel_stride = 0;            // floats between pixels of a row
  int kernel_h = 0, kernel_w = 0, stride = 1, dilation = 1;
  const float* weights = nullptr;  // [kernel_h * kernel_w][panel]
  const float* bias = nullptr;     // [panel]
  Act act = Act::none;
  Form form = Form::floats;  // of the results: floats, or bfloat16 numbers of sets that have those
  void* out = nullptr;       // pixel x at number x * out_stride
  int64_t out_stride = 0, width = 0;
  int channels = 0;       // valid channels of the panel
  float* sums = nullptr;  // [panel]: adds the row's results, before they change form, per channel; null: none
};

// The same over rows of codes, exact in 32 bits: four rows to a 32-bit word, row r at byte r % 4 of the words of quad r / 4 %
// quads, bytes counted from CodeRule::lowest. Whole panels of words are read.
struct DepthwiseWords {
  const uint32_t* words = nullptr;  // the panel's first channel of pixel 0, quad 0
  int64_t quad_stride = 0, pixel_stride = 0;
  int quads = 1;      // kernel_h <= 4 * quads
  int first_row = 0;  // r of the window's first row, less than 4 * quads
  int kernel_w = 0, stride = 1, dilation = 1;
  const uint32_t* taps =
      nullptr;  // [kernel_w][quads][panel]: signed weights, byte r % 4 of quad r / 4 that of row r of the window
  const int32_t* starts = nullptr;  // [panel]: lowest * sum of the weights
  const float* scales = nullptr;    // [panel]: number = (starts + sum) * scale + bias
  const float* bias = nullptr;      // [panel]
  Act act = Act::none;
  Form form = Form::floats;  // of the results
  CodeRule rule;             // of codes; inverse_scales of the panel
  float unit = 1;            // of halves
  void* out = nullptr;       // pixel x at number x * out_stride
  int64_t out_stride = 0, width = 0;
  int channels = 0;       // valid channels of the panel
  float* sums = nullptr;  // [panel]: adds the row's results, before they change form, per channel; null: none
};
constexpr int kMostWordTaps = 8;  // kernel_w, and 4 * quads

// One input of a weighted sum, already upsampled by reading each pixel `repeat` times in x (rows are chosen by the caller).
struct WeightedRow {
  const float* data = nullptr;
  float weight = 1;
  int repeat = 1;
};

// Windows over rows of pixels: out pixel x reads pixels x*stride - pad + kx, 0 <= kx < kernel_w, those inside the rows;
// one is.
template <class T>
struct PoolRow {
  const T* const* rows = nullptr;  // the `count` rows of the windows that are inside the map
  int count = 1, kernel_w = 1, stride = 1, pad = 0;
  int64_t in_w = 0, width = 0, channels = 0;
  T* out = nullptr;  // [width][channels]
};

// Where a pixel between two of a row lies: low + share of the way to high.
struct BetweenPixels {
  int32_t low, high;
  float share;
};

// Pixels between four, linear in height and width, times `scale`.
struct BilinearRow {
  const float *top = nullptr, *bottom = nullptr;  // rows of pixels
  float share = 0;                                // of the way from the one to the other
  const BetweenPixels* columns = nullptr;         // of every output pixel
  float scale = 1;
  float* out = nullptr;  // [width][channels]
  int64_t width = 0, channels = 0;
};

// Products of codes in one of their layouts.
struct CodeKernels {
  int group = 0;
  // As KernelSet::gemm on m rows of codes, the epilogue on sum * scales[column] + bias.
  void (*gemm)(const void* a, int64_t m, const CodeMatrix& b, int64_t first_panel, int64_t last_panel, float* c, int64_t ldc,
               const Epilogue& epilogue) = nullptr;
  // Rows of codes of in[rows][lda], each column times gate[column] first (null: 1).
  void (*quantize_rows)(const float* in, int64_t lda, int64_t rows, int64_t k, const float* gate, const CodeRule& rule,
                        void* out) = nullptr;
  // The same of halves; null where the set has none.
  void (*rows_of_halves)(const Halves& in, int64_t lda, int64_t rows, int64_t k, const float* gate, const CodeRule& rule,
                         void* out) = nullptr;
  // The same rows of a map of codes [rows][k].
  void (*rows_of_codes)(const uint8_t* in, int64_t rows, int64_t k, float lowest, void* out) = nullptr;
};

struct KernelSet {
  const char* name;
  int panel;           // columns per panel and channels per depthwise block
  CodeKernels codes;   // of any matrix
  CodeKernels narrow;  // of narrow ones (graph/quantized/quant_nodes.h is_narrow), faster; gemm null where there are none

  // c[m, n] = epilogue(a[m, k] * b). a, c row-major with strides lda, ldc. Columns [first_panel*panel, ...) of panels
  // [first_panel, last_panel) only; c and residual point at column 0 of the whole result.
  void (*gemm)(const float* a, int64_t lda, int64_t m, const PanelMatrix& b, int64_t first_panel, int64_t last_panel, float* c,
               int64_t ldc, const Epilogue& epilogue);
  // The same on rows of bfloat16 numbers, and these of floats as CodeKernels makes codes; null where the CPU has no products of
  // them.
  void (*gemm_bf16)(const void* a, int64_t m, const Bf16Matrix& b, int64_t first_panel, int64_t last_panel, float* c, int64_t ldc,
                    const Epilogue& epilogue);
  void (*bf16_rows)(const float* in, int64_t lda, int64_t rows, int64_t k, const float* gate, void* out);
  // The same of bfloat16 numbers [rows][k].
  void (*rows_of_bf16)(const uint16_t* in, int64_t rows, int64_t k, const float* gate, void* out);
  // Maps of bfloat16 numbers, as codes_of_rows and floats_of_codes; null where bf16_rows is.
  void (*bf16_of_rows)(const float* in, int64_t lda, int64_t rows, int64_t k, uint16_t* out, int64_t ldo);
  void (*floats_of_bf16)(const uint16_t* in, int64_t n, float* out);
  // out[pixels][channels]: the codes of `in`, still floats; `out` may be `in`.
  void (*round_to_codes)(const float* in, float* out, int64_t pixels, int64_t channels, const CodeRule& rule);
  // Maps of codes are bytes that count from CodeRule::lowest. out[rows][ldo] of in[rows][lda], k columns of each; and out[n],
  // codes that are floats.
  void (*codes_of_rows)(const float* in, int64_t lda, int64_t rows, int64_t k, const CodeRule& rule, uint8_t* out, int64_t ldo);
  void (*floats_of_codes)(const uint8_t* in, int64_t n, float lowest, float* out);
  void (*depthwise_row)(const DepthwiseRow& job);
  // Null where the CPU has no products of bytes summed in 32 bits; then also the next five, which make words and halves.
  void (*depthwise_words)(const DepthwiseWords& job);
  void (*words_of_floats)(const float* in, int64_t pixels, int64_t channels, const CodeRule& rule, int byte, uint32_t* out,
                          int64_t pixel_stride);
  void (*words_of_codes)(const uint8_t* in, int64_t pixels, int64_t channels, int byte, uint32_t* out, int64_t pixel_stride);
  void (*fill_words)(uint32_t* words, int64_t n, int byte, uint8_t code);
  void (*halves_of_rows)(const float* in, int64_t lda, int64_t rows, int64_t k, float unit, uint16_t* out, int64_t ldo);
  void (*floats_of_halves)(const Halves& in, int64_t n, float* out);
  // out[width, channels] = act(sum_i weight_i * in_i), 1 to 4 inputs.
  void (*weighted_sum_row)(const WeightedRow* in, int count, Act act, float* out, int64_t width, int64_t channels);
  // out[pixels][channels] = a * b * scale; b_stride: floats between pixels of b.
  void (*product_row)(const float* a, const float* b, int64_t b_stride, float scale, float* out, int64_t pixels,
                      int64_t channels);
  // The mean of the pixels that a window holds, times `scale`.
  void (*average_pool_row)(const PoolRow<float>& job, float scale);
  void (*bilinear_row)(const BilinearRow& job);
  void (*max_pool_row)(const PoolRow<float>& job);
  void (*max_pool_codes)(const PoolRow<uint8_t>& job);
  // out[k * n panels] = b scaled per row by scale[k].
  void (*scale_rows)(const PanelMatrix& b, const float* scale, float* out);
};

extern const KernelSet kSse2Kernels, kAvx2Kernels, kAvx2VnniKernels, kAvx512Kernels, kAvx512VnniKernels, kAvx512Bf16Kernels;
const KernelSet& kernels(Isa isa);
const KernelSet& kernels();              // of isa(), unless use_kernels chose others
void use_kernels(const KernelSet& set);  // in plans compiled from now on; for tests of sets that this CPU lacks

// Floats that a packed [k, n] takes, and packing from row-major; `panel` as in the KernelSet.
int64_t packed_size(int64_t k, int64_t n, int panel);
void pack_panels(const float* b, int64_t k, int64_t n, int panel, float* out);
// Bytes of a packed matrix of `group` elements in 4 bytes, and packing from row-major.
int64_t packed_bytes(int64_t k, int64_t n, int panel, int group);
void pack_codes(const int8_t* b, int64_t k, int64_t n, int panel, int group, void* out);
void pack_bf16(const float* b, int64_t k, int64_t n, int panel, void* out);
// CodeMatrix::starts; out is padded with zeros to whole panels already.
void column_starts(const int8_t* b, int64_t k, int64_t n, int lowest, int32_t* out);
// The nearest bfloat16 number, ties to even.
uint16_t to_bf16(float x);

}  // namespace cytodet::exec
