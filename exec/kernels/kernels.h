// The kernels: one KernelSet per instruction set, compiled in targets/, chosen at run time by core/cpu.h isa(). Every kernel
// computes what the plain evals of graph/ops compute: in float to rounding, in 8 bits exactly (sums of products in 32 bits), and
// swish to the tolerance that its name says. All maps are NHWC; a "pixel" is the channels of one (n, y, x).
#pragma once

#include <cstdint>

#include "core/cpu.h"

namespace cytodet::exec {

// Activations. Approximations, of swish, x * sigmoid(x), and of GELU, are named by their absolute error; they are for layers in
// 8 bits and on bf16, which cannot show less. All but swish_small_3e5 have a relative error of 2^-14 besides.
enum class Act : int {
  none,
  relu,
  relu6,
  sigmoid,
  swish,              // to float rounding
  swish_2e3,          // to kSwish2e3Error = 2.4e-3, of any x
  swish_2e3_bounded,  // swish_2e3 for |x| <= kSwish2e3MaxInput; where results are requantized, kSwishMin is not below qmin
  swish_3e5,          // to swish_3e5_error(max |x|), at most 2.9e-5, where |x| <= kSwish3e5MaxInput
  swish_small_3e5,    // to swish_small_error(max |x|), at most 2.7e-5, where |x| <= kSwishSmallMaxInput
  hard_swish,         // x * relu6(x + 3) / 6
  // Computed only in the epilogues of dense and grouped products:
  gelu,       // x * (1 + erf(x / sqrt 2)) / 2, to 1.2e-7 * |x| and 1e-8; of minus infinity 0
  gelu_tanh,  // x * sigmoid(1.5957691 * (x + 0.044715 * x^3)), to float rounding
  gelu_2e3,   // either, to kGelu2e3Error = 2e-3, of any x
};
constexpr float kSwish2e3MaxInput = 160, kSwish3e5MaxInput = 80, kSwishSmallMaxInput = 1.5f;
constexpr float kSwishMin = -0.2809f;  // the smallest result of the approximations; that of swish itself is -0.2785
constexpr float kSwish2e3Error = 2.4e-3f, kGelu2e3Error = 2e-3f;
constexpr float swish_3e5_error(float max_abs) { return max_abs < 0.3f ? 1.1e-3f * max_abs * max_abs * max_abs : 2.9e-5f; }
constexpr float swish_small_error(float max_abs) { return 5.2e-6f * max_abs * max_abs * max_abs * max_abs + 2e-7f * max_abs; }
// swish_small_3e5 with u = x / 2 and s = u * u: u + s * (k[0] + s * (k[1] + s * (k[2] + s * k[3]))), the minimax polynomial.
constexpr float kSwishSmallPoly[4] = {1.0f, -0.33325312f, 0.13057728f, -0.03955712f};

// Uniform 8-bit quantization of floats, per channel: q = clamp(round(x * inverse_scales[c]), qmin, qmax). q counts from the zero
// point, so that the float 0 is q = 0; what is stored as an unsigned byte is q - qmin.
struct QuantizeParams {
  const float* inverse_scales = nullptr;  // [columns padded to a multiple of `panel`]
  float qmin = -127, qmax = 127;
};

// How the values of a feature map lie in memory: float, IEEE 754 half precision times the map's scale, bfloat16, or quantized
// bytes (q - qmin of QuantizeParams).
enum class StorageType : int { f32, f16, bf16, q8 };

// Half-precision values: x[i] = data[i] * scale. Scales are powers of two, so that x of any size keeps all 11 bits of an fp16
// value.
struct Fp16Values {
  const uint16_t* data = nullptr;
  float scale = 1;
};

// Results of a product of q8 values that are quantized again in the epilogue, per column c: the 32-bit sum is
// y = sum * scales[c] + bias[c] in units of the results' scale, where scales = PackedQ8Weights::scales * inverse scale and
// bias = Epilogue::bias * inverse scale. Stored as floats that hold whole numbers, or, where the set has depthwise_packed4,
// into byte `byte` of the 32-bit elements of a packed4 row (see DepthwisePacked4).
// curve: constants of the activation in these units: curve[0] = -log2(e) / inverse scale for an approximate swish, 1 / (6 *
// inverse scale) for hard_swish; for swish_small_3e5 curve[i] = kSwishSmallPoly[i] / inverse scale^(2i + 1), and scales and bias
// are half as large.
struct RequantizeParams {
  QuantizeParams quant;
  const float *scales, *bias, *curve[4];  // [columns padded to a multiple of `panel`]
  int byte = 0;
};

// How the products of q8 values store their results where not as floats: as q8, or as fp16 in sets that have it. Element
// r * stride + c of `out` is row r and column c.
struct StoredResults {
  StorageType storage = StorageType::f32;  // f32: floats, `out` is not used; q8 or f16
  QuantizeParams quant;                    // of q8
  float fp16_scale = 1;                    // of f16
  void* out = nullptr;
  int64_t stride = 0;
};

// Bytes of an element that products store: of q8 or fp16.
static inline constexpr int64_t stored_bytes(StorageType storage) { return storage == StorageType::q8 ? 1 : 2; }

// A residual as its feature map stores it: fp16 values times `scale` (in sets that have fp16), or bytes, (byte + qmin) * scale.
struct StoredResidual {
  StorageType storage = StorageType::f32;  // f32: there is none; q8 or f16
  const void* data = nullptr;
  float scale = 1, qmin = 0;
};

// What happens to a result while it is in registers: act(x + bias) + residual, or act(x + bias + residual).
struct Epilogue {
  const float* bias = nullptr;  // [columns padded to a multiple of `panel`]; never null
  Act act = Act::none;
  const float* residual = nullptr;  // row-major like the result; null: none
  int64_t residual_stride = 0;      // elements between rows
  bool residual_first = false;      // added before act
  // Read by Q8Kernels::gemm alone, on whole panels and without a residual: how its results are quantized; null: they stay floats.
  const RequantizeParams* requantize = nullptr;
  // Read by Q8Kernels::gemm and gemm_segments alone, without `requantize`: where it is not f32 they store their results there, as
  // KernelSet::quantize or f32_to_f16 would store the floats, and leave c alone.
  StoredResults stored;
  StoredResidual stored_residual;  // instead of `residual`, where `stored` is not f32
};

// A matrix [k, n] cut into panels of `panel` columns, each stored row after row; the last panel is padded with zeros.
struct PackedF32Weights {
  const float* data = nullptr;
  int64_t k = 0, n = 0;
};

// Rows of a matrix [m, k] that lie in memory in segments: row r is segments[0], segments[1], ... one after another, each read
// from element `offset` counted from rows[r]. A convolution reads its image so: rows are windows, segments the rows of a window.
struct RowSegment {
  int64_t offset, length;  // elements
};
struct SegmentedRows {
  const void* const* rows = nullptr;  // [m]
  const RowSegment* segments = nullptr;
  int64_t count = 0;
};

// A matrix [k, n] of few columns (KernelSet::few_columns): column c at data + c * stride. `panel` / 2 floats behind each column
// are finite.
struct FewColumns {
  const float* data = nullptr;
  int64_t n = 0, stride = 0;
};

// Products of elements smaller than a float take 4 bytes of a row and of a column at once: `group` elements. A row of k elements
// is row_groups(k, group) * 4 bytes; the missing last elements are zeros.
static inline int64_t row_groups(int64_t k, int group) { return (k + group - 1) / group; }

// Signed 8-bit weights [k, n]: panels as above, each stored [row_groups][panel][group], group that of the Q8Kernels.
// group 2: rows and weights are 16-bit integers. group 4: both are bytes, and rows hold q - qmin (unsigned): then
// sum((q - qmin) * w) + zero_point_corrections = sum(q * w), with zero_point_corrections[c] = qmin * sum of column c.
struct PackedQ8Weights {
  const void* data = nullptr;
  int64_t k = 0, n = 0;
  const float* scales = nullptr;                    // [padded n]: result = 32-bit sum * scale
  const int32_t* zero_point_corrections = nullptr;  // [padded n]: what sums start from; not read where group is 2
};

// A matrix [k, n] of bfloat16 values: panels as above, each stored [row_groups(k, 2)][panel][2].
struct PackedBf16Weights {
  const void* data = nullptr;
  int64_t k = 0, n = 0;
};

// The output of winograd_output: [pixels][n] floats, of which pixel i begins at c + i * ldc.
struct WinogradResults {
  float* c = nullptr;
  int64_t ldc = 0, n = 0;
  const Epilogue* epilogue = nullptr;
};

// Depthwise kernels compute the output pixels of a row in blocks, the last one as whole as the others: the input of up to so many
// output pixels behind the row must be readable, and is not used.
constexpr int kDepthwiseReadAhead = 7;

// One row of a depthwise convolution, one panel of channels:
// out[x][c] = act(bias[c] + sum over ky, kx of rows[ky][x * stride + kx * dilation][c] * weights[ky][kx][c]).
// A whole panel is read (never stored) at every pixel, so rows need `panel` floats of slack behind their last channel, and the
// pixels of kDepthwiseReadAhead.
struct DepthwiseRow {
  const float* const* rows = nullptr;  // kernel_h pointers to the panel's first channel of pixel 0
  int64_t pixel_stride = 0;            // floats between pixels of a row
  int kernel_h = 0, kernel_w = 0, stride = 1, dilation = 1;
  const float* weights = nullptr;  // [kernel_h * kernel_w][panel]
  const float* bias = nullptr;     // [panel]
  Act act = Act::none;
  StorageType storage = StorageType::f32;  // of the results: f32, or bf16 in sets that have it
  void* out = nullptr;                     // pixel x at element x * out_stride
  int64_t out_stride = 0, width = 0;
  int channels = 0;       // valid channels of the panel
  float* sums = nullptr;  // [panel]: += the row's results, before they are stored, per channel; null: none
};

// One row of a depthwise convolution of q8 values, one panel of channels, with sums exact in 32 bits. Four input rows are
// interleaved to 32-bit elements (packed4), so that one instruction multiplies four taps: row r lies in packed4[(r / 4) % quads],
// in byte r % 4, as q - qmin. Whole panels are read, and the pixels of kDepthwiseReadAhead.
struct DepthwisePacked4 {
  const uint32_t* packed4 = nullptr;  // [quads][pixels][channels]: the panel's first channel of pixel 0, quad 0
  int64_t quad_stride = 0, pixel_stride = 0;
  int quads = 1;      // kernel_h <= 4 * quads
  int first_row = 0;  // r of the window's first row, less than 4 * quads
  int kernel_w = 0, stride = 1, dilation = 1;
  const uint32_t* taps = nullptr;  // [kernel_w][quads][panel]: signed weights, row r of the window in byte r % 4 of quad r / 4
  const int32_t* zero_point_corrections = nullptr;  // [panel]: qmin * sum of the channel's weights, which undoes the - qmin
  const float* scales = nullptr;                    // [panel]: result = act((corrections + sum) * scale + bias)
  const float* bias = nullptr;                      // [panel]
  Act act = Act::none;
  StorageType storage = StorageType::f32;  // of the results
  QuantizeParams quant;                    // of q8 results; inverse_scales of the panel
  float fp16_scale = 1;                    // of f16 results
  void* out = nullptr;                     // pixel x at element x * out_stride
  int64_t out_stride = 0, width = 0;
  int channels = 0;       // valid channels of the panel
  float* sums = nullptr;  // [panel]: += the row's results, before they are stored, per channel; null: none
};
constexpr int kMaxPacked4Taps = 8;  // of kernel_w, and of 4 * quads

// One input of a weighted sum, upsampled to the nearest: each pixel is read `repeat` times in x (in y the caller chooses rows).
struct WeightedRow {
  const float* data = nullptr;
  float weight = 1;
  int repeat = 1;
};

// Pooling windows over rows of pixels: out pixel x reads pixels x * stride - pad + kx, 0 <= kx < kernel_w, that are inside the
// rows; at least one is.
template <class T>
struct PoolRow {
  const T* const* rows = nullptr;  // the `count` rows of the windows that are inside the map
  int count = 1, kernel_w = 1, stride = 1, pad = 0;
  int64_t in_w = 0, width = 0, channels = 0;
  T* out = nullptr;  // [width][channels]
};

// A row of the result of a convolution of groups, each of as many channels in as out: 4, 8 or 16, at most a vector (`panel` / 2).
// Bytes are q - qmin, and a vector of them is read beyond a pixel's last channel.
template <class T>
struct GroupedRow {
  const T* const* pixels =
      nullptr;  // [taps][width]: channel 0 of the pixel that a tap of a result reads, also outside of the map
  int taps = 1, group = 4;
  int64_t width = 0, channels = 0;
  // A block for each vector of channels, one behind the other, the last padded with zeros: [taps][group][vector] floats, or
  // [taps][group / 4][vector][4] signed bytes.
  const void* weights = nullptr;
  const float* bias = nullptr;                      // [padded channels]
  const float* scales = nullptr;                    // of bytes: result = 32-bit sum * scale + bias
  const int32_t* zero_point_corrections = nullptr;  // of bytes: what sums start from
  Act act = Act::none;
  float* out = nullptr;  // [width][channels]
};

// A position between two pixels of a row: pixel `low` plus `share` of the way to pixel `high`.
struct BetweenPixels {
  int32_t low, high;
  float share;
};

// Bilinear interpolation between two rows of pixels, times `scale`.
struct BilinearRow {
  const float *top = nullptr, *bottom = nullptr;  // rows of pixels
  float share = 0;                                // of the way from top to bottom
  const BetweenPixels* columns = nullptr;         // [width]
  float scale = 1;
  float* out = nullptr;  // [width][channels]
  int64_t width = 0, channels = 0;
};

// Products of q8 values in one of their layouts (PackedQ8Weights). Functions that pack rows write [rows][row_groups(k, group) * 4
// bytes], what `gemm` reads.
struct Q8Kernels {
  int group = 0;
  // c[m, n] = epilogue((a[m, k] * b) * scales[column]) of packed rows a; panels, c and ldc as in KernelSet::gemm.
  void (*gemm)(const void* a, int64_t m, const PackedQ8Weights& b, int64_t first_panel, int64_t last_panel, float* c, int64_t ldc,
               const Epilogue& epilogue) = nullptr;
  // gemm of packed rows that lie in segments, each a whole number of groups (of 16-bit-safe weights: of pairs of groups).
  // Epilogue::requantize is not read.
  void (*gemm_segments)(const SegmentedRows& a, int64_t m, const PackedQ8Weights& b, int64_t first_panel, int64_t last_panel,
                        float* c, int64_t ldc, const Epilogue& epilogue) = nullptr;
  // Quantizes in[rows][lda], column i multiplied by gate[i] first (null: 1), and packs.
  void (*pack_q8)(const float* in, int64_t lda, int64_t rows, int64_t k, const float* gate, const QuantizeParams& params,
                  void* out) = nullptr;
  // pack_q8 of fp16 values; null where the set has none.
  void (*pack_q8_f16)(const Fp16Values& in, int64_t lda, int64_t rows, int64_t k, const float* gate, const QuantizeParams& params,
                      void* out) = nullptr;
  // Packs rows that are quantized already: bytes [rows][k] that count from qmin.
  void (*repack_q8)(const uint8_t* in, int64_t rows, int64_t k, float qmin, void* out) = nullptr;
};

struct KernelSet {
  const char* name;
  int panel;     // columns per panel and channels per depthwise block: two vectors
  Q8Kernels q8;  // for any weights
  // Faster kernels for weights whose products may be summed in 16 bits (graph/quantized/quant_nodes.h is_16bit_safe); or none.
  Q8Kernels q8_16bit_safe;

  // c[m, n] = epilogue(a[m, k] * b). a, c row-major with strides lda, ldc. Columns of panels [first_panel, last_panel) only; c
  // and residual point at column 0 of the whole result.
  void (*gemm)(const float* a, int64_t lda, int64_t m, const PackedF32Weights& b, int64_t first_panel, int64_t last_panel,
               float* c, int64_t ldc, const Epilogue& epilogue);
  // gemm of rows that lie in segments. A sum of more than some hundred products is added up in parts. Segments of up to some
  // hundred elements are fastest.
  void (*gemm_segments)(const SegmentedRows& a, int64_t m, const PackedF32Weights& b, int64_t first_panel, int64_t last_panel,
                        float* c, int64_t ldc, const Epilogue& epilogue);
  // c[m, n] = epilogue(a[m, k] * b) of up to few_columns columns; c and the residual are contiguous. Segments of panel / 2 and
  // more elements are fastest.
  int few_columns;
  void (*gemm_columns)(const SegmentedRows& a, int64_t m, const FewColumns& b, float* c, const Epilogue& epilogue);
  // A 3x3 convolution as 16 products (Winograd's F(2x2, 3x3)): component i of the transformed windows [tiles][channels] is
  // multiplied by component i of the transformed filter. A tile is 2x2 results; its window's pixels, row by row, are
  // pixels[tile][16], its results' pixels[tile][4] (below 0: there is none). Component i of the input begins at out + i *
  // component_stride, its rows are ldo apart. winograd_output reads the sums [16][tiles][panel] of one panel of columns.
  void (*winograd_input)(const float* const* pixels, int64_t tiles, int64_t channels, float* out, int64_t ldo,
                         int64_t component_stride);
  void (*winograd_output)(const float* sums, int64_t tiles, const int64_t* pixels, const WinogradResults& to, int64_t panel);
  // On bf16 values; gemm_bf16, pack_bf16, repack_bf16, f32_to_bf16 and bf16_to_f32 are null where the CPU has no bf16 products.
  // c[m, n] = epilogue(a[m, k] * b) of bf16 rows [m][row_groups(k, 2) * 2], with sums in float; else as gemm.
  void (*gemm_bf16)(const void* a, int64_t m, const PackedBf16Weights& b, int64_t first_panel, int64_t last_panel, float* c,
                    int64_t ldc, const Epilogue& epilogue);
  // Rows for gemm_bf16, column i multiplied by gate[i] (null: 1): of floats in[rows][lda], and of bf16 values in[rows][k].
  void (*pack_bf16)(const float* in, int64_t lda, int64_t rows, int64_t k, const float* gate, void* out);
  void (*repack_bf16)(const uint16_t* in, int64_t rows, int64_t k, const float* gate, void* out);
  // out[rows][ldo] = in[rows][lda], k columns of each, rounded to the nearest, ties to even; and back.
  void (*f32_to_bf16)(const float* in, int64_t lda, int64_t rows, int64_t k, uint16_t* out, int64_t ldo);
  void (*bf16_to_f32)(const uint16_t* in, int64_t n, float* out);

  // out[pixels][channels] = q of `in` (QuantizeParams), still as floats; `out` may be `in`.
  void (*fake_quantize)(const float* in, float* out, int64_t pixels, int64_t channels, const QuantizeParams& params);
  // Bytes out[rows][ldo] = q - qmin of in[rows][lda], k columns of each; and out[n] = q of such bytes, as floats.
  void (*quantize)(const float* in, int64_t lda, int64_t rows, int64_t k, const QuantizeParams& params, uint8_t* out,
                   int64_t ldo);
  void (*dequantize)(const uint8_t* in, int64_t n, float qmin, float* out);

  void (*depthwise_row)(const DepthwiseRow& job);
  // depthwise_packed4, pack4_f32, pack4_q8, pack4_fill, f32_to_f16 and f16_to_f32 are null where the CPU does not sum products of
  // four bytes in 32 bits (VNNI).
  void (*depthwise_packed4)(const DepthwisePacked4& job);
  // Set byte `byte` of 32-bit elements: of out[pixels][pixel_stride], `channels` of each pixel, to the quantized floats or the q8
  // values of `in`; of packed4[n] to `value`.
  void (*pack4_f32)(const float* in, int64_t pixels, int64_t channels, const QuantizeParams& params, int byte, uint32_t* out,
                    int64_t pixel_stride);
  void (*pack4_q8)(const uint8_t* in, int64_t pixels, int64_t channels, int byte, uint32_t* out, int64_t pixel_stride);
  void (*pack4_fill)(uint32_t* packed4, int64_t n, int byte, uint8_t value);
  // out[rows][ldo] = in[rows][lda] / scale in half precision, k columns of each; and back.
  void (*f32_to_f16)(const float* in, int64_t lda, int64_t rows, int64_t k, float scale, uint16_t* out, int64_t ldo);
  void (*f16_to_f32)(const Fp16Values& in, int64_t n, float* out);

  // A row of a convolution of groups, of floats and of q8 values; grouped_row_q8 is null without VNNI.
  void (*grouped_row)(const GroupedRow<float>& job);
  void (*grouped_row_q8)(const GroupedRow<uint8_t>& job);
  // out[width, channels] = act(sum of weight_i * in_i), 1 to 4 inputs.
  void (*weighted_sum_row)(const WeightedRow* in, int count, Act act, float* out, int64_t width, int64_t channels);
  // out[pixels][channels] = a * b * scale; b_stride: floats between pixels of b (0: one pixel for all).
  void (*product_row)(const float* a, const float* b, int64_t b_stride, float scale, float* out, int64_t pixels,
                      int64_t channels);
  // The mean of the pixels that a window holds, times `scale`.
  void (*average_pool_row)(const PoolRow<float>& job, float scale);
  void (*bilinear_row)(const BilinearRow& job);
  void (*max_pool_row)(const PoolRow<float>& job);
  void (*max_pool_q8)(const PoolRow<uint8_t>& job);
  // out[n] = the sums of q over `count` rows of q8 values, at least one: exact up to 65,793 rows.
  void (*sum_q8)(const uint8_t* const* rows, int count, int64_t n, float qmin, float* out);
  // Rows of n values, which begin lda floats apart, n a multiple of `panel`: a = e^(a - the row's largest); inverse_sums[row] = 1
  // / their sum. Relative error at most 1e-6 of the larger ones; a value of minus infinity gives 0. NaN in a row makes its sum
  // NaN.
  void (*exp_rows)(float* a, int64_t lda, int64_t rows, int64_t n, float* inverse_sums);
  // out[k * n panels] = b, row i multiplied by scale[i].
  void (*scale_rows)(const PackedF32Weights& b, const float* scale, float* out);
};

// The targets, compiled in targets/.
const KernelSet& sse2_kernels();
const KernelSet& avx2_kernels();
const KernelSet& avx2_vnni_kernels();
const KernelSet& avx512_kernels();
const KernelSet& avx512_vnni_kernels();
const KernelSet& avx512_bf16_kernels();

const KernelSet& kernels(Isa isa);       // of the best target that is built and not better than `isa`
bool has_kernels_of(Isa isa);            // whether that is `isa` itself: CYTODET_KERNELS=native leaves targets out
const KernelSet& kernels();              // of isa(), unless use_kernels chose others
void use_kernels(const KernelSet& set);  // in plans compiled from now on; for tests of sets that this CPU lacks

}  // namespace cytodet::exec
