// Kernels on rows write what they say, and nothing behind it.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

#include "exec/kernels/kernels.h"
#include "exec/steps/step.h"
#include "tests/exec/random.h"

namespace cytodet {
namespace {

using namespace test;

constexpr float kUntouched = 12345;

// Room for n results and more behind them.
class Results {
 public:
  explicit Results(int64_t n) : n_(n), data_(static_cast<size_t>(n) + 64, kUntouched) {}
  float* data() { return data_.data(); }
  void expect(const std::vector<double>& wanted) {
    ASSERT_EQ(static_cast<int64_t>(wanted.size()), n_);
    for (size_t i = 0; i < wanted.size(); ++i) ASSERT_NEAR(data_[i], wanted[i], 1e-5 * (1 + std::abs(wanted[i]))) << i;
    EXPECT_EQ(std::count(data_.begin() + n_, data_.end(), kUntouched), 64);
  }

 private:
  int64_t n_;
  std::vector<float> data_;
};

class RowKernels : public ::testing::Test {
 protected:
  // body(channels) for every way that channels end in a vector.
  template <class Body>
  void for_channels(Body body) {
    for (int64_t channels = 1; channels <= set.panel + 1; ++channels) {
      SCOPED_TRACE(channels);
      body(channels);
    }
  }
  std::vector<float> numbers(int64_t n) {
    const Tensor t = normal_tensor({n}, random);
    return {t.data<float>(), t.data<float>() + n};
  }

  const KernelSet& set = kernels();
  std::mt19937 random{51};
};

TEST_F(RowKernels, Product) {
  for_channels([&](int64_t channels) {
    const int64_t pixels = 5;
    const std::vector<float> a = numbers(pixels * channels), b = numbers(pixels * channels);
    for (const int64_t stride : {int64_t{0}, channels}) {
      Results out(pixels * channels);
      set.product_row(a.data(), b.data(), stride, 0.3f, out.data(), pixels, channels);
      std::vector<double> wanted;
      for (int64_t i = 0; i < pixels * channels; ++i)
        wanted.push_back(double{a[static_cast<size_t>(i)]} * b[static_cast<size_t>(stride ? i : i % channels)] * 0.3f);
      out.expect(wanted);
    }
  });
}

TEST_F(RowKernels, AveragePool) {
  const int64_t in_w = 9, width = 5;
  for_channels([&](int64_t channels) {
    const std::vector<float> upper = numbers(in_w * channels), lower = numbers(in_w * channels);
    const float* rows[] = {upper.data(), lower.data()};
    Results out(width * channels);
    const PoolRow<float> job{rows, 2, 4, 2, 1, in_w, width, channels, out.data()};
    set.average_pool_row(job, 0.7f);
    std::vector<double> wanted;
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < channels; ++c) {
        double sum = 0;
        int count = 0;
        for (int64_t i = std::max<int64_t>(0, 2 * x - 1); i < std::min(in_w, 2 * x + 3); ++i)
          for (const float* row : rows) sum += row[i * channels + c], ++count;
        wanted.push_back(sum / count * 0.7f);
      }
    out.expect(wanted);
  });
}

TEST_F(RowKernels, SumsOfBytes) {
  for (int count : {1, 2, 3, 4, 7, 64}) {
    std::vector<std::vector<uint8_t>> bytes(static_cast<size_t>(count), std::vector<uint8_t>(101));
    std::vector<const uint8_t*> rows;
    std::vector<double> wanted(101, -128.0 * count);
    for (std::vector<uint8_t>& row : bytes) {
      for (size_t i = 0; i < row.size(); ++i) wanted[i] += row[i] = static_cast<uint8_t>(255 - i * 37 % 256 * rows.size() % 251);
      rows.push_back(row.data());
    }
    Results out(101);
    set.sum_q8(rows.data(), count, 101, -128, out.data());
    out.expect(wanted);
  }
}

TEST_F(RowKernels, Bilinear) {
  const BetweenPixels columns[] = {{0, 0, 0}, {0, 1, 0.25f}, {1, 2, 0.9f}, {2, 2, 0.5f}};
  for_channels([&](int64_t channels) {
    const std::vector<float> top = numbers(3 * channels), bottom = numbers(3 * channels);
    Results out(4 * channels);
    set.bilinear_row({top.data(), bottom.data(), 0.3f, columns, 1.7f, out.data(), 4, channels});
    std::vector<double> wanted;
    for (const BetweenPixels& x : columns)
      for (int64_t c = 0; c < channels; ++c) {
        const auto at = [&](const std::vector<float>& row) {
          const double low = row[static_cast<size_t>(x.low * channels + c)],
                       high = row[static_cast<size_t>(x.high * channels + c)];
          return low + (high - low) * x.share;
        };
        wanted.push_back((at(top) + (at(bottom) - at(top)) * 0.3f) * 1.7f);
      }
    out.expect(wanted);
  });
}

// Every half-precision value that is not NaN, and every length.
TEST_F(RowKernels, F16ToF32) {
  if (!set.depthwise_packed4) {
    EXPECT_TRUE(!set.f16_to_f32 && !set.f32_to_f16 && !set.q8.pack_q8_f16) << "a part of them is no use";
    return;
  }
  std::vector<uint16_t> halves;
  std::vector<double> wanted;
  for (int half = 0; half < 0x10000; ++half) {
    const int exponent = half >> 10 & 31, digits = half & 1023;
    if (exponent == 31) continue;
    halves.push_back(static_cast<uint16_t>(half));
    const double size = exponent ? std::ldexp(1024 + digits, exponent - 25) : std::ldexp(digits, -24);
    wanted.push_back(half & 0x8000 ? -size : size);
  }
  const auto expect_all = [&](float unit) {
    Results all(static_cast<int64_t>(halves.size()));
    set.f16_to_f32({halves.data(), unit}, static_cast<int64_t>(halves.size()), all.data());
    std::vector<double> numbers;
    for (double x : wanted) numbers.push_back(x * unit);
    all.expect(numbers);
  };
  for (int exponent : {0, -3, -80, 90}) expect_all(std::ldexp(1.0f, exponent));
  for (int64_t n = 0; n <= 2 * set.panel; ++n) {
    Results some(n);
    set.f16_to_f32({halves.data() + 15000}, n, some.data());
    some.expect({wanted.begin() + 15000, wanted.begin() + 15000 + n});
  }
}

float bf16_value(uint16_t bf16) { return std::bit_cast<float>(static_cast<uint32_t>(bf16) << 16); }

TEST_F(RowKernels, Bf16ConversionsRoundToNearestEven) {
  if (!set.gemm_bf16) {
    EXPECT_TRUE(!set.pack_bf16 && !set.repack_bf16 && !set.f32_to_bf16 && !set.bf16_to_f32) << "a part of them is no use";
    return;
  }
  for_channels([&](int64_t channels) {
    const int64_t rows = 3, lda = channels + 2, ldo = channels + 5, even = (channels + 1) / 2 * 2;
    const std::vector<float> in = numbers(rows * lda), gate = numbers(channels);
    std::vector<uint16_t> map(static_cast<size_t>(rows * ldo + 64), 0x5555), packed;
    set.f32_to_bf16(in.data(), lda, rows, channels, map.data(), ldo);
    for (int64_t i = 0; i < static_cast<int64_t>(map.size()); ++i) {
      const bool inside = i / ldo < rows && i % ldo < channels;
      ASSERT_EQ(map[static_cast<size_t>(i)], inside ? BFloat16(in[static_cast<size_t>(i / ldo * lda + i % ldo)]).bits : 0x5555)
          << i;
      if (inside) packed.push_back(map[static_cast<size_t>(i)]);
    }
    Results floats(rows * channels);
    set.bf16_to_f32(packed.data(), rows * channels, floats.data());
    std::vector<double> wanted;
    for (uint16_t x : packed) wanted.push_back(bf16_value(x));
    floats.expect(wanted);
    for (const float* factors : {static_cast<const float*>(nullptr), gate.data()}) {
      std::vector<uint16_t> out(static_cast<size_t>(rows * even + 64), 0x5555);
      set.repack_bf16(packed.data(), rows, channels, factors, out.data());
      for (int64_t i = 0; i < static_cast<int64_t>(out.size()); ++i) {
        const int64_t row = i / even, c = i % even;
        uint16_t bits = row < rows ? 0 : 0x5555;
        if (row < rows && c < channels)
          bits = BFloat16(bf16_value(packed[static_cast<size_t>(row * channels + c)]) * (factors ? factors[c] : 1.0f)).bits;
        ASSERT_EQ(out[static_cast<size_t>(i)], bits) << i;
      }
    }
  });
}

// Depthwise results as bf16 values are those as floats, rounded; their sums are those of the floats.
TEST_F(RowKernels, DepthwiseRowsInBf16) {
  if (!set.f32_to_bf16) return;  // floats are what the networks test
  for (int kernel : {1, 3, 5, 7})
    for (int stride : {1, 2})
      for (int64_t width : {1, 7, 8, 19})
        for (int channels : {1, 15, 16, 17, 31, 32}) {
          SCOPED_TRACE(::testing::Message() << kernel << " stride " << stride << " width " << width << " channels " << channels);
          const int64_t in_w = (width - 1) * stride + kernel, panel = set.panel;
          const std::vector<float> map = numbers((kernel * in_w + kDepthwiseReadAhead * stride) * panel),
                                   weights = numbers(kernel * kernel * panel), bias = numbers(panel);
          std::vector<const float*> rows;
          for (int r = 0; r < kernel; ++r) rows.push_back(map.data() + r * in_w * panel);
          DepthwiseRow job;
          job.rows = rows.data();
          job.pixel_stride = panel;
          job.kernel_h = job.kernel_w = kernel;
          job.stride = stride;
          job.weights = weights.data();
          job.bias = bias.data();
          job.act = Act::swish_2e3;
          job.out_stride = channels + 3;
          job.width = width;
          job.channels = channels;
          const auto numbers_out = static_cast<size_t>(width * job.out_stride + 64);
          std::vector<float> floats(numbers_out, kUntouched), sums[2];
          std::vector<uint16_t> bf16(numbers_out, BFloat16(kUntouched).bits);
          for (StorageType storage : {StorageType::f32, StorageType::bf16}) {
            std::vector<float>& sum = sums[storage == StorageType::bf16];
            sum.assign(static_cast<size_t>(panel), 0.5f);
            job.storage = storage;
            job.out = storage == StorageType::bf16 ? static_cast<void*>(bf16.data()) : floats.data();
            job.sums = sum.data();
            set.depthwise_row(job);
          }
          for (size_t i = 0; i < numbers_out; ++i) ASSERT_EQ(bf16[i], BFloat16(floats[i]).bits) << i;
          for (int c = 0; c < channels; ++c) ASSERT_EQ(sums[0][static_cast<size_t>(c)], sums[1][static_cast<size_t>(c)]);
        }
}

}  // namespace
}  // namespace cytodet
