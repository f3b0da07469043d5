// Kernels on packed4 rows against plain loops over quantized values, bit for bit: sums of products of quantized values are exact.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "exec/kernels/kernels.h"
#include "exec/kernels/pack_weights.h"
#include "exec/steps/step.h"
#include "tests/exec/random.h"

namespace cytodet {
namespace {

using namespace test;

const Act kActs[] = {Act::none,
                     Act::relu,
                     Act::relu6,
                     Act::sigmoid,
                     Act::swish,
                     Act::swish_2e3,
                     Act::swish_2e3_bounded,
                     Act::swish_3e5,
                     Act::swish_small_3e5,
                     Act::hard_swish,
                     Act::gelu,
                     Act::gelu_tanh,
                     Act::gelu_2e3};

// The largest |x| that an activation is for, and the factor that makes values up to kSwish3e5MaxInput so small.
float bound_of(Act act) { return act == Act::swish_small_3e5 ? kSwishSmallMaxInput : kSwish3e5MaxInput; }
float shrink_of(Act act) { return act == Act::swish_small_3e5 ? 0x1p-6f : 1; }

double act_of(Act act, double x) {
  const double sigmoid = 1 / (1 + std::exp(-x));
  switch (act) {
    case Act::none:
      return x;
    case Act::relu:
      return std::max(x, 0.0);
    case Act::relu6:
      return std::clamp(x, 0.0, 6.0);
    case Act::sigmoid:
      return sigmoid;
    case Act::hard_swish:
      return x * std::clamp(x + 3, 0.0, 6.0) / 6;
    case Act::gelu:
    case Act::gelu_2e3:
      return x * std::erfc(-x / std::sqrt(2.0)) / 2;
    case Act::gelu_tanh:
      return x / (1 + std::exp(-1.5957691216 * (x + 0.044715 * x * x * x)));
    default:
      return x * sigmoid;
  }
}
double error_of(Act act, double x) {
  return act == Act::swish_2e3 || act == Act::swish_2e3_bounded ? kSwish2e3Error + std::abs(x) / 16384
         : act == Act::swish_small_3e5                          ? swish_small_error(static_cast<float>(std::abs(x)))
         : act == Act::swish_3e5 ? swish_3e5_error(static_cast<float>(std::abs(x))) + std::abs(x) / 16384
         : act == Act::gelu_2e3  ? kGelu2e3Error + std::abs(x) / 16384
         : act == Act::none || act == Act::relu || act == Act::relu6 ? 0
                                                                     : 1e-6 * std::max(1.0, std::abs(x));
}

// The nearest half-precision value, ties to even.
uint16_t half_of(float x) {
  const int sign = std::signbit(x) ? 0x8000 : 0;
  const double size = std::abs(double{x});
  if (size >= 65520) return static_cast<uint16_t>(sign | 0x7c00);
  int exponent = -100;
  if (size > 0) std::frexp(size, &exponent);
  exponent = std::max(exponent - 1, -14);
  return static_cast<uint16_t>(sign + (exponent + 14) * 1024 + static_cast<int>(std::nearbyint(std::ldexp(size, 10 - exponent))));
}
float half_value(uint16_t half) {
  const int exponent = half >> 10 & 31, digits = half & 1023;
  const float size = exponent == 31 ? (digits ? NAN : INFINITY)
                     : exponent     ? std::ldexp(static_cast<float>(1024 + digits), exponent - 25)
                                    : std::ldexp(static_cast<float>(digits), -24);
  return half & 0x8000 ? -size : size;
}

int plain_quantize(float x, const QuantizeParams& params) {
  return static_cast<int>(std::nearbyint(std::clamp(x, params.qmin, params.qmax)) - params.qmin);
}

uint32_t byte_of(uint32_t word, int byte) { return word >> 8 * byte & 255; }
uint32_t without(uint32_t word, int byte) { return word & ~(255u << 8 * byte); }

// A depthwise layer of one panel, over a row of random quantized values.
struct DepthwiseCase {
  int kernel_h, kernel_w, stride = 1, dilation = 1, first_row = 0;
  int64_t width = 1;
  int channels = 1, qmin = -128;
  bool extreme = false;  // quantized values 0 and 255, weights 127 and -127
  int largest = 127;     // weight
};
void PrintTo(const DepthwiseCase& d, std::ostream* os) {
  *os << d.kernel_h << "x" << d.kernel_w << " stride " << d.stride << " dilation " << d.dilation << " first row " << d.first_row
      << ", " << d.width << " pixels of " << d.channels << " channels, lowest " << d.qmin << (d.extreme ? ", extreme" : "");
}

struct Layer {
  Layer(const DepthwiseCase& d, std::mt19937& random)
      : quads((d.kernel_h + 3) / 4),
        row((d.width - 1) * d.stride + (d.kernel_w - 1) * d.dilation + 1),
        packed4((quads * row + kDepthwiseReadAhead * d.stride) * panel),
        taps(int64_t{d.kernel_w} * quads * panel),
        zero_point_corrections(panel),
        scales(panel),
        bias(panel),
        inverse(panel),
        sums(static_cast<size_t>(d.width * d.channels)) {
    const auto q = [&] { return static_cast<int>(d.extreme ? random() % 2 * 255 : random() % 256); };
    const auto weight = [&] {
      return d.extreme ? (random() % 2 ? 127 : -127)
                       : static_cast<int>(random() % static_cast<unsigned>(2 * d.largest + 1)) - d.largest;
    };
    // Rows that are not of the window hold quantized values as well.
    for (int64_t i = 0; i < packed4.size(); ++i)
      for (int byte = 0; byte < 4; ++byte) packed4.data()[i] |= static_cast<uint32_t>(q()) << 8 * byte;
    for (int c = 0; c < d.channels; ++c)
      for (int ky = 0; ky < d.kernel_h; ++ky)
        for (int kx = 0; kx < d.kernel_w; ++kx) {
          const int w = weight(), r = (d.first_row + ky) % (4 * quads);
          taps.data()[(kx * quads + ky / 4) * panel + c] |= static_cast<uint32_t>(static_cast<uint8_t>(w)) << 8 * (ky % 4);
          zero_point_corrections.data()[c] += d.qmin * w;
          for (int64_t x = 0; x < d.width; ++x) {
            const int64_t pixel = x * d.stride + kx * d.dilation;
            const uint32_t word = packed4.data()[(r / 4 * row + pixel) * panel + c];
            sums[static_cast<size_t>(x * d.channels + c)] += (static_cast<int>(byte_of(word, r % 4)) + d.qmin) * w;
          }
        }
    std::fill_n(scales.data(), panel, 1.0f);
    job.packed4 = packed4.data();
    job.quad_stride = row * panel;
    job.pixel_stride = panel;
    job.quads = quads;
    job.first_row = d.first_row;
    job.kernel_w = d.kernel_w, job.stride = d.stride, job.dilation = d.dilation;
    job.taps = taps.data();
    job.zero_point_corrections = zero_point_corrections.data();
    job.scales = scales.data();
    job.bias = bias.data();
    job.width = d.width;
    job.channels = d.channels;
    job.quant = {inverse.data(), static_cast<float>(d.qmin), static_cast<float>(d.qmin + 255)};
  }

  const int panel = kernels().panel, quads;
  const int64_t row;
  Buffer<uint32_t> packed4, taps;
  Buffer<int32_t> zero_point_corrections;
  FloatBuffer scales, bias, inverse;
  std::vector<int64_t> sums;  // wanted, [width][channels]
  DepthwisePacked4 job;
};

// The results of the job as stored, [width][channels]; between the pixels' channels and behind them nothing is written.
template <class Element>
std::vector<Element> results_of(DepthwisePacked4 job, StorageType storage, Element guard) {
  const int64_t gap = 3, channels = job.channels;
  std::vector<Element> out(static_cast<size_t>(job.width * (channels + gap) + 64), guard), results;
  job.storage = storage;
  job.out = out.data();
  job.out_stride = channels + gap;
  kernels().depthwise_packed4(job);
  for (int64_t i = 0; i < static_cast<int64_t>(out.size()); ++i)
    if (i / job.out_stride < job.width && i % job.out_stride < channels)
      results.push_back(out[static_cast<size_t>(i)]);
    else if (out[static_cast<size_t>(i)] != guard)
      ADD_FAILURE() << "number " << i % job.out_stride << " behind pixel " << i / job.out_stride << " is written";
  return results;
}

void expect_exact(const DepthwiseCase& d, std::mt19937& random) {
  SCOPED_TRACE(::testing::PrintToString(d));
  Layer layer(d, random);
  DepthwisePacked4 job = layer.job;
  const std::vector<float> floats = results_of(job, StorageType::f32, -0.25f);
  for (size_t i = 0; i < layer.sums.size(); ++i) ASSERT_EQ(floats[i], static_cast<float>(layer.sums[i])) << "number " << i;

  std::fill_n(layer.scales.data(), layer.panel, 1.0f / 64);
  for (float unit : {1.0f, 0.25f, 2048.0f}) {
    job.fp16_scale = unit;
    const std::vector<uint16_t> halves = results_of(job, StorageType::f16, uint16_t{0x7e55});
    for (size_t i = 0; i < layer.sums.size(); ++i)
      ASSERT_EQ(halves[i], half_of(static_cast<float>(layer.sums[i]) / 64 / unit)) << "half " << i << " of " << unit;
  }

  if (kernels().f32_to_bf16) {
    const std::vector<uint16_t> bf16 = results_of(job, StorageType::bf16, uint16_t{0x7e55});
    for (size_t i = 0; i < layer.sums.size(); ++i)
      ASSERT_EQ(bf16[i], BFloat16(static_cast<float>(layer.sums[i]) / 64).bits) << "bfloat16 number " << i;
  }

  for (int c = 0; c < layer.panel; ++c) layer.inverse.data()[c] = 1.0f / static_cast<float>(1 << (c % 3 * 4));
  const std::vector<uint8_t> quantized = results_of(job, StorageType::q8, uint8_t{77});
  for (size_t i = 0; i < layer.sums.size(); ++i) {
    const float number = static_cast<float>(layer.sums[i]) / 64 * layer.inverse.data()[i % static_cast<size_t>(d.channels)];
    ASSERT_EQ(quantized[i], plain_quantize(number, job.quant)) << "code " << i;
  }
}

class Packed4 : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!kernels().depthwise_packed4) GTEST_SKIP() << kernels().name << " has no packed4";
  }
  const int panel = kernels().panel;
  const std::vector<int> widths{1, 7, 8, 9, 64, 65, 130}, channels{1, panel / 2, panel - 1, panel};
  const int qmins[4] = {-255, -128, 0, -127};
  std::mt19937 random{11};
};

TEST_F(Packed4, SumsOfEveryWindowAreExact) {
  size_t turn = 0;
  for (int h = 1; h <= kMaxPacked4Taps; ++h)
    for (int w = 1; w <= kMaxPacked4Taps; ++w)
      for (int stride = 1; stride <= 3; ++stride)
        for (int dilation = 1; dilation <= 2; ++dilation)
          for (int first = 0; first < (h + 3) / 4 * 4; ++first, ++turn)
            expect_exact({h, w, stride, dilation, first, widths[turn % 5], channels[turn / 5 % 4], qmins[turn / 3 % 4]}, random);
}

TEST_F(Packed4, SumsOfEveryWidthAndChannelsAreExact) {
  size_t turn = 0;
  for (int kernel : {3, 5, 7})
    for (int stride : {1, 2})
      for (int width : widths)
        for (int c : channels)
          for (int first = 0; first < (kernel + 3) / 4 * 4; first += 3, ++turn)
            expect_exact({kernel, kernel, stride, 1, first, width, c, qmins[turn % 4]}, random);
}

TEST_F(Packed4, ExtremeValuesAreExact) {
  for (int kernel : {3, 5, 8})
    for (int stride : {1, 2, 3})
      for (int qmin : qmins)
        for (int first : {0, 1, 3}) expect_exact({kernel, kernel, stride, 1, first, 19, panel, qmin, true}, random);
  // All of one sign.
  for (const bool negative : {false, true}) {
    Layer layer({8, 8, 1, 1, 0, 9, panel, 0}, random);
    std::fill_n(layer.packed4.data(), layer.packed4.size(), 0xffffffffu);
    std::fill_n(layer.taps.data(), layer.taps.size(), negative ? 0x81818181u : 0x7f7f7f7fu);
    std::fill_n(layer.zero_point_corrections.data(), panel, 0);
    for (float sum : results_of(layer.job, StorageType::f32, -0.25f)) ASSERT_EQ(sum, (negative ? -127 : 127) * 255 * 64);
  }
}

TEST_F(Packed4, EveryActivationInEveryStorageType) {
  for (Act act : kActs) {
    if (act >= Act::gelu) continue;  // of products alone
    for (int kernel : {3, 4})
      for (int c : channels) {
        SCOPED_TRACE(::testing::Message() << "act " << static_cast<int>(act) << " kernel " << kernel << " channels " << c);
        Layer layer({kernel, kernel, 1, 1, 1, 67, c, -120}, random);
        for (int i = 0; i < panel; ++i) {
          layer.scales.data()[i] = shrink_of(act) / static_cast<float>(1 << (13 + i % 4));
          layer.bias.data()[i] = (static_cast<float>(i % 5) - 2) * shrink_of(act);
          layer.inverse.data()[i] = static_cast<float>(4 << i % 5);  // swish's least result is above qmin
        }
        DepthwisePacked4 job = layer.job;
        job.act = act;
        const std::vector<float> floats = results_of(job, StorageType::f32, -0.25f);
        const std::vector<uint16_t> halves = results_of(job, StorageType::f16, uint16_t{0x7e55});
        const std::vector<uint8_t> quantized = results_of(job, StorageType::q8, uint8_t{77});
        for (size_t i = 0; i < floats.size(); ++i) {
          const size_t column = i % static_cast<size_t>(c);
          const float x = static_cast<float>(layer.sums[i]) * layer.scales.data()[column] + layer.bias.data()[column];
          ASSERT_LE(std::abs(x), bound_of(act));
          ASSERT_NEAR(floats[i], act_of(act, x), error_of(act, x)) << x;
          ASSERT_EQ(halves[i], half_of(floats[i])) << x;
          ASSERT_EQ(quantized[i], plain_quantize(floats[i] * layer.inverse.data()[column], job.quant)) << x;
        }
      }
  }
}

// The values lie beyond the range of the bounded swish.
TEST_F(Packed4, SwishOfLargeValues) {
  Layer layer({5, 5, 1, 1, 2, 70, panel, -128, true}, random);
  DepthwisePacked4 job = layer.job;
  for (Act act : {Act::swish, Act::swish_2e3}) {
    job.act = act;
    const std::vector<float> results = results_of(job, StorageType::f32, -0.25f);
    for (size_t i = 0; i < results.size(); ++i) {
      const auto x = static_cast<double>(layer.sums[i]);
      ASSERT_NEAR(results[i], act_of(act, x), error_of(act, x)) << x;
    }
  }
}

// Whole numbers, few enough that any order of addition is exact.
TEST_F(Packed4, SumsOfChannelsAreAdded) {
  for (StorageType storage : {StorageType::f32, StorageType::f16, StorageType::q8})
    for (int kernel : {3, 5, 6})
      for (int width : widths)
        for (int c : channels) {
          Layer layer({kernel, kernel, 1, 1, 1, width, c, -128, false, 3}, random);
          for (int i = 0; i < panel; ++i) layer.inverse.data()[i] = 0.5f;
          FloatBuffer sums(panel);
          for (int i = 0; i < panel; ++i) sums.data()[i] = static_cast<float>(1000 + i);
          DepthwisePacked4 job = layer.job;
          job.act = Act::relu;
          job.sums = sums.data();
          if (storage == StorageType::f32) results_of(job, storage, -0.25f);
          if (storage == StorageType::f16) results_of(job, storage, uint16_t{0x7e55});
          if (storage == StorageType::q8) results_of(job, storage, uint8_t{77});
          for (int i = 0; i < c; ++i) {
            int64_t wanted = 1000 + i;
            for (int64_t x = 0; x < width; ++x) wanted += std::max<int64_t>(0, layer.sums[static_cast<size_t>(x * c + i)]);
            ASSERT_EQ(sums.data()[i], static_cast<float>(wanted)) << "form " << static_cast<int>(storage) << " kernel " << kernel
                                                                  << " width " << width << " channel " << i << " of " << c;
          }
        }
}

// A packed4 row of which byte `byte` is to be written: what it was before, and what may change.
struct Target {
  Target(int64_t pixels, int64_t channels, int panel, std::mt19937& random)
      : stride((channels + panel - 1) / panel * panel + 5), before(static_cast<size_t>(pixels * stride)) {
    for (uint32_t& word : before) word = static_cast<uint32_t>(random());
    after = before;
  }
  // Byte `byte` of the first `written` elements of a pixel may be anything, all else is as before.
  void expect_others(int64_t written, int byte) const {
    for (size_t i = 0; i < after.size(); ++i) {
      const bool may = static_cast<int64_t>(i) % stride < written;
      ASSERT_EQ(may ? without(after[i], byte) : after[i], may ? without(before[i], byte) : before[i])
          << "word " << static_cast<int64_t>(i) % stride << " byte " << byte;
    }
  }
  uint32_t q(int64_t pixel, int64_t channel, int byte) const {
    return byte_of(after[static_cast<size_t>(pixel * stride + channel)], byte);
  }
  const int64_t stride;
  std::vector<uint32_t> before, after;
};

const float kOddValues[] = {NAN, INFINITY, -INFINITY, 1e30f, -1e30f, 3e9f, -3e9f, 0.0f, -0.0f};
const std::vector<int64_t> kColumns{1, 3, 8, 15, 16, 17, 31, 33, 40, 64, 67};

// Random floats, some of them NaN, infinite, tiny or huge, and the inverse scales of their columns.
std::vector<float> numbers(int64_t count, std::mt19937& random) {
  const Tensor normal = normal_tensor({count}, random, 12);
  std::vector<float> x(normal.data<float>(), normal.data<float>() + count);
  for (float& number : x)
    if (random() % 8 == 0) number = kOddValues[random() % std::size(kOddValues)];
  return x;
}
FloatBuffer inverse_scales(int64_t columns, int panel) {
  FloatBuffer inverse((columns + panel - 1) / panel * panel);
  for (int64_t i = 0; i < columns; ++i) inverse.data()[i] = static_cast<float>(3 + i % 7) * 1.375f;
  return inverse;
}
int q_or_qmin(float x, const QuantizeParams& params) { return std::isnan(x) ? 0 : plain_quantize(x, params); }

TEST_F(Packed4, FloatsArePacked) {
  for (int64_t c : kColumns)
    for (int byte = 0; byte < 4; ++byte)
      for (int qmin : qmins) {
        const int64_t pixels = 9;
        const std::vector<float> in = numbers(pixels * c, random);
        const FloatBuffer inverse = inverse_scales(c, panel);
        const QuantizeParams params{inverse.data(), static_cast<float>(qmin),
                                    static_cast<float>(qmin + (qmin == -127 ? 254 : 255))};
        Target target(pixels, c, panel, random);
        kernels().pack4_f32(in.data(), pixels, c, params, byte, target.after.data(), target.stride);
        target.expect_others((c + panel - 1) / panel * panel, byte);
        for (int64_t i = 0; i < pixels * c; ++i)
          ASSERT_EQ(target.q(i / c, i % c, byte), q_or_qmin(in[static_cast<size_t>(i)] * inverse.data()[i % c], params))
              << in[static_cast<size_t>(i)] << " in column " << i % c << " of " << c << ", byte " << byte << ", lowest " << qmin;
      }
}

TEST_F(Packed4, QuantizedValuesArePacked) {
  for (int64_t c : kColumns)
    for (int byte = 0; byte < 4; ++byte) {
      const int64_t pixels = 9;
      std::vector<uint8_t> in(static_cast<size_t>(pixels * c));
      for (uint8_t& q : in) q = static_cast<uint8_t>(random());
      Target target(pixels, c, panel, random);
      kernels().pack4_q8(in.data(), pixels, c, byte, target.after.data(), target.stride);
      target.expect_others(c, byte);
      for (int64_t i = 0; i < pixels * c; ++i)
        ASSERT_EQ(target.q(i / c, i % c, byte), in[static_cast<size_t>(i)]) << "column " << i % c << " of " << c;
    }
}

TEST_F(Packed4, FloatsBecomeF16) {
  for (int64_t k : kColumns)
    for (const auto& [gap, unit] : {std::pair{0, 1.0f}, {5, 1.0f}, {0, 0.125f}, {5, 1024.0f}}) {
      const int64_t rows = 12, lda = k + gap, ldo = k + 2 * gap;
      std::vector<float> in = numbers(rows * lda, random);
      // Ties, subnormal f16 values and the ends of the range.
      for (float& x : in)
        if (random() % 3 == 0)
          x = std::ldexp(static_cast<float>(2 * (random() % 2048) + 1), static_cast<int>(random() % 40) - 30);
      std::vector<uint16_t> out(static_cast<size_t>(rows * ldo + 32), 0x7e55);
      kernels().f32_to_f16(in.data(), lda, rows, k, unit, out.data(), ldo);
      for (int64_t i = 0; i < static_cast<int64_t>(out.size()); ++i) {
        const uint16_t half = out[static_cast<size_t>(i)];
        if (i / ldo >= rows || i % ldo >= k) {
          ASSERT_EQ(half, 0x7e55) << "written behind row " << i / ldo;
          continue;
        }
        const float x = in[static_cast<size_t>(i / ldo * lda + i % ldo)];
        if (std::isnan(x))
          ASSERT_TRUE(std::isnan(half_value(half)));
        else
          ASSERT_EQ(half, half_of(x / unit)) << x << " in column " << i % ldo << " of " << k;
      }
    }
}

// f16 rows are quantized as the same values in float are.
TEST_F(Packed4, F16RowsAreQuantized) {
  const Q8Kernels& set = kernels().q8;
  ASSERT_EQ(set.group, 4);
  for (int64_t k : {1, 2, 3, 4, 15, 16, 17, 40, 64, 100, 257, 768, 770, 1600})
    for (int64_t gap : {0, 5})
      for (const bool gated : {false, true}) {
        const int64_t rows = 11, lda = k + gap, row_bytes = row_groups(k, 4) * 4;
        std::vector<uint16_t> in(static_cast<size_t>(rows * lda));
        for (uint16_t& half : in)
          half = random() % 8 ? half_of(normal_tensor({1}, random, 9).data<float>()[0]) : static_cast<uint16_t>(random());
        const FloatBuffer inverse = inverse_scales(k, panel);
        const Tensor gate = normal_tensor({k}, random);
        const QuantizeParams params{inverse.data(), -100, 127};
        std::vector<uint8_t> quantized(static_cast<size_t>(rows * row_bytes + 64), 99);
        const float unit = gap ? 0.5f : 4.0f;
        set.pack_q8_f16({in.data(), unit}, lda, rows, k, gated ? gate.data<float>() : nullptr, params, quantized.data());
        for (int64_t i = 0; i < static_cast<int64_t>(quantized.size()); ++i) {
          const int64_t row = i / row_bytes, column = i % row_bytes;
          const int q = quantized[static_cast<size_t>(i)];
          if (row >= rows) {
            ASSERT_EQ(q, 99) << "byte " << i << " past the end";
          } else if (column >= k) {
            ASSERT_EQ(q, 0) << "row " << row << " column " << column << " of " << k;
          } else {
            const float x = half_value(in[static_cast<size_t>(row * lda + column)]);
            const float factor = inverse.data()[column] * (gated ? gate.data<float>()[column] : 1.0f) * unit;
            ASSERT_EQ(q, q_or_qmin(x * factor, params)) << x << " in row " << row << " column " << column << " of " << k;
          }
        }
      }
}

// A product whose results are requantized into a byte of packed4 rows: q of its plain sums.
TEST_F(Packed4, ProductsAreRequantizedIntoAByte) {
  const int64_t k = 37;
  for (Act act : kActs)
    for (int64_t n : {1, panel / 2, panel / 2 + 1, panel, panel + 3})
      for (int64_t m = 1; m <= 20; ++m) {
        const int byte = static_cast<int>(m + n) % 4;
        SCOPED_TRACE(::testing::Message() << "act " << static_cast<int>(act) << ", " << m << " rows, " << n << " columns");
        const int64_t padded = (n + panel - 1) / panel * panel;
        const int qmin = -90;
        std::vector<int8_t> weights(static_cast<size_t>(k * n));
        for (int8_t& w : weights) w = static_cast<int8_t>(random() % 255 - 127);
        std::vector<uint8_t> rows(static_cast<size_t>(m * row_groups(k, 4) * 4));
        for (uint8_t& q : rows) q = static_cast<uint8_t>(random());
        Buffer<uint8_t> packed(packed_weights_bytes(k, n, panel, 4));
        pack_q8_weights(weights.data(), k, n, panel, 4, packed.data());
        Buffer<int32_t> zero_point_corrections(padded);
        add_zero_point_corrections(weights.data(), k, n, qmin, zero_point_corrections.data());
        // Powers of two, so that scaled sums are exact.
        FloatBuffer scales(padded), bias(padded), inverse(padded), unit_scales(padded), unit_bias(padded);
        FloatBuffer curve[4] = {FloatBuffer(padded), FloatBuffer(padded), FloatBuffer(padded), FloatBuffer(padded)};
        for (int64_t i = 0; i < padded; ++i) {
          scales.data()[i] = std::ldexp(shrink_of(act), -13 - static_cast<int>(i % 3));
          bias.data()[i] = (static_cast<float>(i % 5) - 2) * shrink_of(act);
          inverse.data()[i] = std::ldexp(1 / shrink_of(act), 2 + static_cast<int>(i % 4));
          const float unit = inverse.data()[i] * (act == Act::swish_small_3e5 ? 0.5f : 1);
          unit_scales.data()[i] = scales.data()[i] * unit;
          unit_bias.data()[i] = bias.data()[i] * unit;
          for (int j = 0; j < 4; ++j)
            curve[j].data()[i] = act == Act::swish_small_3e5
                                     ? static_cast<float>(kSwishSmallPoly[j] / std::pow(inverse.data()[i], 2 * j + 1))
                                     : (act == Act::hard_swish ? 1.0f / 6 : -1.44269504f) / inverse.data()[i];
        }
        const RequantizeParams quantized{{inverse.data(), -100, 150},
                                         unit_scales.data(),
                                         unit_bias.data(),
                                         {curve[0].data(), curve[1].data(), curve[2].data(), curve[3].data()},
                                         byte};
        Epilogue epilogue{bias.data(), act};
        epilogue.requantize = &quantized;
        Target target(m, n, panel, random);
        kernels().q8.gemm(rows.data(), m, {packed.data(), k, n, scales.data(), zero_point_corrections.data()}, 0, padded / panel,
                          reinterpret_cast<float*>(target.after.data()), target.stride, epilogue);
        target.expect_others(padded, byte);
        for (int64_t i = 0; i < m * n; ++i) {
          const int64_t row = i / n, column = i % n;
          int sum = 0;
          for (int64_t j = 0; j < k; ++j)
            sum +=
                (rows[static_cast<size_t>(row * row_groups(k, 4) * 4 + j)] + qmin) * weights[static_cast<size_t>(j * n + column)];
          const double x = sum * double{scales.data()[column]} + bias.data()[column], unit = inverse.data()[column];
          ASSERT_LE(std::abs(x), bound_of(act));
          const double q = std::clamp(act_of(act, x) * unit, -100.0, 150.0) + 100, got = target.q(row, column, byte);
          if (error_of(act, x) == 0)
            ASSERT_EQ(got, plain_quantize(static_cast<float>(act_of(act, x) * unit), quantized.quant)) << x;
          else
            ASSERT_NEAR(got, q, 0.5 + error_of(act, x) * unit + 1e-5) << x;
        }
      }
}

}  // namespace
}  // namespace cytodet
