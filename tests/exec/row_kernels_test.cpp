// Kernels on rows write what they say, and nothing behind it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "exec/kernels/kernels.h"
#include "exec/step.h"
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

// Every half that is a number, and every length.
TEST_F(RowKernels, FloatsOfHalves) {
  if (!set.floats_of_halves) GTEST_SKIP() << set.name << " has no halves";
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
    set.floats_of_halves({halves.data(), unit}, static_cast<int64_t>(halves.size()), all.data());
    std::vector<double> numbers;
    for (double x : wanted) numbers.push_back(x * unit);
    all.expect(numbers);
  };
  for (int exponent : {0, -3, -80, 90}) expect_all(std::ldexp(1.0f, exponent));
  for (int64_t n = 0; n <= 2 * set.panel; ++n) {
    Results some(n);
    set.floats_of_halves({halves.data() + 15000}, n, some.data());
    some.expect({wanted.begin() + 15000, wanted.begin() + 15000 + n});
  }
}

}  // namespace
}  // namespace cytodet
