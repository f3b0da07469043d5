#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/settings.h"
#include "quant/observers/observer.h"
#include "tests/paths.h"

namespace cytodet {
namespace {

using ::testing::HasSubstr;
using Numbers = std::vector<float>;

constexpr size_t kCount = 20000;

// As in scripts/make_quant_golden.py.
std::vector<double> uniform(uint64_t state, size_t n) {
  std::vector<double> out;
  for (size_t i = 0; i < n; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    out.push_back(static_cast<double>(state >> 11) / 9007199254740992.0);
  }
  return out;
}

std::vector<double> bell() {
  std::vector<double> u = uniform(1, 12 * kCount), out;
  for (size_t i = 0; i < kCount; ++i) {
    double total = 0;
    for (size_t k = 0; k < 12; ++k) total += u[12 * i + k];
    out.push_back(total - 6);
  }
  return out;
}

template <class F>
Numbers map(const std::vector<double>& from, F f) {
  Numbers out;
  for (double v : from) out.push_back(static_cast<float>(f(v)));
  return out;
}

std::map<std::string, Numbers> distributions() {
  std::vector<double> b = bell(), far = b;
  far[0] = 40, far[1] = -35, far[2] = 30;
  auto same = [](double v) { return v; };
  return {{"uniform", map(uniform(2, kCount), same)},
          {"bell", map(b, same)},
          {"relu", map(b, [](double v) { return std::max(v, 0.0); })},
          {"swish_like", map(b, [](double v) { return v > 0 ? v * v : v * 0.1; })},
          {"outliers", map(far, same)},
          {"positive", map(b, [](double v) { return v * v * v * v + 0.5; })}};
}

Range observe(const std::string& method, const std::vector<Numbers>& images, const ObserverOptions& options = {}) {
  auto observer = require_observer(method).make(options);
  for (size_t i = 0; i < images.size(); ++i) observer->observe(images[i], extremes(images[i]), static_cast<int64_t>(i));
  return observer->range();
}

double squared_error(const Numbers& x, const Range& r) {
  double low = std::min(r.low, 0.0f), high = std::max(r.high, 0.0f), scale = (high - low) / 255;
  double zero = std::nearbyint(-low / scale), sum = 0;
  for (double v : x) {
    double code = std::clamp(std::floor(v / scale + 0.5) + zero, 0.0, 255.0);
    sum += (v - (code - zero) * scale) * (v - (code - zero) * scale);
  }
  return sum;
}

double bin_width(const Numbers& x) {
  Extremes e = extremes(x);
  int exponent = 0;
  std::frexp(std::max(-e.low, e.high), &exponent);
  return std::ldexp(1.0, exponent - 12);
}

TEST(Observers, GoldenOfNumpy) {
  Json golden = read_json(cytodet::source_dir() + "/tests/data/quant/observers.json");
  auto all = distributions();
  ASSERT_EQ(golden.size(), all.size());
  for (const auto& [name, x] : all) {
    const Json& g = golden[name];
    SCOPED_TRACE(name);
    auto near = [&](const char* key, const Range& r, double tolerance) {
      EXPECT_NEAR(r.low, g[key][0].get<double>(), tolerance) << key;
      EXPECT_NEAR(r.high, g[key][1].get<double>(), tolerance) << key;
    };
    near("minmax", observe("minmax", {x}), 0);
    near("entropy", observe("entropy", {x}), 1e-6 * std::abs(g["entropy"][1].get<double>()));
    // Between two far neighbours numpy interpolates; the histogram stays in the bin of one of them.
    Range tail = observe("percentile", {x}, {99});
    near("percentile_99", tail, 4 * bin_width(x) + 0.002 * (tail.high - tail.low));
    EXPECT_LE(squared_error(x, observe("mse", {x})), 1.01 * g["least_squared_error"].get<double>());
  }
}

TEST(Observers, KnownAnswers) {
  auto all = distributions();
  // A few numbers far out: percentile and entropy leave them out, least squares weighs them.
  Numbers many = all["bell"];
  for (int i = 0; i < 5; ++i) many.insert(many.end(), all["bell"].begin(), all["bell"].end());
  many[0] = 40;
  EXPECT_LT(observe("percentile", {many}, {99.99}).high, 4.1f);
  EXPECT_LT(observe("entropy", {many}).high, 5.0f);
  EXPECT_EQ(observe("minmax", {many}).high, 40.0f);
  // Evenly spread numbers lose from any clipping.
  Range r = observe("mse", {all["uniform"]});
  EXPECT_GT(r.high, 0.99f);
  EXPECT_EQ(observe("entropy", {all["uniform"]}).high, extremes(all["uniform"]).high);
  // Numbers far from 0 are not clipped to the few that are nearest to it.
  Numbers far;
  for (float v : all["bell"]) far.push_back(225 + 8 * v);
  EXPECT_GT(observe("entropy", {far}).high, 225 + 2.3f * 8);
  // However many zeros there are, the others decide.
  Numbers zeros(200000, 0.0f);
  zeros.insert(zeros.end(), all["bell"].begin(), all["bell"].end());
  EXPECT_EQ(observe("entropy", {zeros}).high, observe("entropy", {all["bell"]}).high);
  // Each level hit exactly.
  Numbers values;
  for (int i = 0; i < 256; ++i) values.push_back(static_cast<float>(i) * 0.5f);
  EXPECT_EQ(observe("mse", {values}).high, 127.5f);
  // Both ends from their quantile, times factors: what lies far out is cut off where that costs least.
  const Range ifmr = observe("ifmr", {many}), hfmg = observe("hfmg", {all["bell"]});
  EXPECT_LT(ifmr.high, 40.0f);
  EXPECT_LE(hfmg.high, 1.3f * extremes(all["bell"]).high);
  EXPECT_GE(hfmg.high, 0.7f * extremes(all["bell"]).high);
  ObserverOptions still;
  still.ifmr.search_start = still.ifmr.search_end = 1;
  EXPECT_EQ(observe("hfmg", {all["bell"]}, still).high, extremes(all["bell"]).high);
  Range average = observe("moving_average", {{0, 1}, {-1, 11}, {0, 2}});
  EXPECT_FLOAT_EQ(average.low, -0.09f);
  EXPECT_FLOAT_EQ(average.high, 2.0f);
}

TEST(Observers, DegenerateValues) {
  for (const ObserverEntry& row : all_observers()) {
    SCOPED_TRACE(row.name);
    for (float v : {0.0f, -0.0f, 3.5f, -2.0f, 1e-42f, 3e38f, -3e38f}) {
      Range r = observe(row.name, {Numbers(100, v), {v}});
      EXPECT_EQ(r.low, v);
      EXPECT_EQ(r.high, v);
      EXPECT_TRUE(is_degenerate(r));
    }
    const Range wide = observe(row.name, {{-2.7e38f, 2.7e38f, 1e-30f}});
    EXPECT_LE(wide.high, 2.8e38f) << "beyond what was seen";
    Range r = observe(row.name, {{-3e38f, 3e38f, 1e-30f}});
    EXPECT_TRUE(std::isfinite(r.low) && std::isfinite(r.high) && r.low < r.high);
  }
}

// However images are spread over observers, whichever comes first, and however far apart their magnitudes are.
TEST(Observers, OrderAndMergingDoNotMatter) {
  auto all = distributions();
  std::vector<Numbers> images{Numbers(10, 0.0f)};
  float scale = 1e-3f;
  for (const auto& [name, x] : all) {
    images.push_back(x);
    for (float& v : images.back()) v *= scale;
    scale *= 37;
  }
  for (const ObserverEntry& row : all_observers()) {
    SCOPED_TRACE(row.name);
    Range wanted = observe(row.name, images);
    for (size_t streams : {2u, 3u, 9u}) {
      std::vector<std::unique_ptr<Observer>> parts;
      for (size_t s = 0; s < streams; ++s) parts.push_back(row.make({}));
      for (size_t i = images.size(); i-- > 0;)
        parts[i * 5 % streams]->observe(images[i], extremes(images[i]), static_cast<int64_t>(i));
      for (size_t s = 1; s < streams; ++s) parts[0]->merge(*parts[s]);
      EXPECT_EQ(parts[0]->range().low, wanted.low);
      EXPECT_EQ(parts[0]->range().high, wanted.high);
    }
  }
}

TEST(Observers, ExtremesFindWhatIsNotFinite) {
  for (size_t n : {1u, 31u, 32u, 33u, 1000u})
    for (size_t at : {size_t{0}, n / 2, n - 1}) {
      Numbers x(n, -1.0f);
      x[at] = 7;
      Extremes e = extremes(x);
      EXPECT_TRUE(e.finite);
      EXPECT_EQ(e.high, 7.0f);
      EXPECT_EQ(e.low, n > 1 ? -1.0f : 7.0f);
      for (float bad : {std::nanf(""), INFINITY, -INFINITY}) {
        x[at] = bad;
        EXPECT_FALSE(extremes(x).finite);
      }
    }
}

TEST(Observers, UnknownMethod) {
  try {
    require_observer("maximum");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Exit::usage);
    EXPECT_THAT(e.what(), HasSubstr("maximum: is not known; known: minmax, moving_average, percentile, entropy, mse"));
  }
}

}  // namespace
}  // namespace cytodet
