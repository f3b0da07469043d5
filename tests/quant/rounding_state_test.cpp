#include "quant/rounding_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "core/file.h"
#include "tests/error_of.h"
#include "tests/quant/subjects.h"

namespace cytodet {
namespace {

using namespace test;
using testing::HasSubstr;

class RoundingStateTest : public testing::Test {
 protected:
  void SetUp() override {
    file = std::filesystem::path(testing::TempDir()) /
           (std::string("rounding-") + testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove(file);
  }
  void TearDown() override { std::filesystem::remove(file); }

  static RoundedLayer layer(int8_t first) {
    RoundedLayer l;
    l.weights = {Tensor::from({2, 3}, std::vector<int8_t>{first, 2, 3, 4, 5, -6}), {0.5f, 0.25f, 1.0f}};
    l.moved = {1, 2, first / 4.0};
    return l;
  }
  static MomentSums sums() {
    MomentSums s;
    s.samples = 8;
    s.used = {4, 3};
    InputMoments m;
    m.windows = 11;
    m.size = m.block = 2;
    m.mean = {1, 2.5};
    m.products = {1, 2, 3, 4};
    s.lanes = {{m}, {m}};
    s.lanes[1][0].products[3] = 7;
    return s;
  }
  static MomentSums empty() {
    MomentSums s = sums();
    s.samples = 0;
    s.used = {0, 0};
    for (auto& lane : s.lanes) lane[0].windows = 0, lane[0].mean = {}, lane[0].products = {};
    return s;
  }
  const std::string kSettings = "0123456789abcdef";
  std::filesystem::path file;
};

TEST_F(RoundingStateTest, TheNextOneHasWhatWasKept) {
  {
    RoundingState state(file, kSettings, 0);
    state.keep_sums(sums(), false);
    state.keep("a", layer(1));
    state.keep("b", layer(2));
  }
  RoundingState state(file, kSettings, 0);
  EXPECT_EQ(state.kept_samples(), 8);
  EXPECT_EQ(state.kept_layers(), 2u);
  MomentSums kept = empty();
  ASSERT_TRUE(state.read_sums(kept));
  EXPECT_EQ(kept.used, sums().used);
  EXPECT_EQ(kept.lanes[1][0].products, sums().lanes[1][0].products);
  EXPECT_EQ(kept.lanes[0][0].mean, sums().lanes[0][0].mean);
  EXPECT_EQ(kept.lanes[0][0].windows, 11);
  const auto b = state.find("b");
  ASSERT_TRUE(b);
  EXPECT_EQ(b->weights.values.shape(), (Shape{2, 3}));
  EXPECT_EQ(b->weights.values.data<int8_t>()[0], 2);
  EXPECT_EQ(b->weights.scales, layer(2).weights.scales);
  EXPECT_EQ(b->moved, layer(2).moved);
  EXPECT_FALSE(state.find("c"));
  state.remove();
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST_F(RoundingStateTest, AKillWithinALayerLosesThatLayerAlone) {
  {
    RoundingState state(file, kSettings, 0);
    state.keep("a", layer(1));
    state.keep("b", layer(2));
  }
  const std::string whole = read_file(file);
  for (size_t cut = 1; cut < 40; cut += 3) {
    write_file(file, whole.substr(0, whole.size() - cut));
    {
      RoundingState state(file, kSettings, 0);
      EXPECT_EQ(state.kept_layers(), 1u) << cut;
      EXPECT_TRUE(state.find("a"));
      state.keep("b", layer(2));
    }
    EXPECT_EQ(read_file(file), whole) << cut;
  }
}

TEST_F(RoundingStateTest, NoByteOfItIsTrusted) {
  {
    RoundingState state(file, kSettings, 0);
    state.keep_sums(sums(), false);
    state.keep("a", layer(1));
  }
  const std::string whole = read_file(file);
  for (size_t at = 36; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x41);
    write_file(file, damaged);
    RoundingState state(file, kSettings, 0);
    MomentSums kept = empty();
    const bool sums_kept = state.read_sums(kept);
    EXPECT_FALSE(sums_kept && state.find("a")) << at;
  }
}

TEST_F(RoundingStateTest, OtherSettingsTakeNothingAndRemoveTheFile) {
  { RoundingState(file, kSettings, 0).keep("a", layer(1)); }
  RoundingState state(file, "fedcba9876543210", 0);
  EXPECT_EQ(state.kept_layers(), 0u);
  EXPECT_FALSE(state.find("a"));
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST_F(RoundingStateTest, AFileOfSomebodyElseStays) {
  write_file(file, "notes of a user, which are longer than any header that is looked for here");
  EXPECT_THAT(error_of([&] { RoundingState(file, kSettings, 0); }), HasSubstr("is none"));
  EXPECT_THAT(read_file(file), HasSubstr("notes"));
}

TEST_F(RoundingStateTest, ShortWorkLeavesNoFile) {
  RoundingState state(file, kSettings, 60);
  state.keep_sums(sums(), true);
  state.keep("a", layer(1));
  EXPECT_FALSE(std::filesystem::exists(file));
}

// Sums of samples that were shown before a kill, and of the others after it, are those of an undisturbed run, bit for bit.
TEST_F(RoundingStateTest, SumsGoOnWhereTheyWere) {
  TestSubject subject = lenet();
  CalibrationData data = subject.data;
  for (int i = 4; i < 40; ++i) data.samples.push_back(std::to_string(i));
  const auto whole = second_moments(subject.graph, subject.plan, data, {.quiet = true});
  CalibrationData dies = data;
  int shown = 0;
  dies.feed = [&, feed = data.feed](size_t sample, Runner& runner) {
    if (sample >= 30) throw std::runtime_error("killed");
    ++shown;
    feed(sample, runner);
  };
  MomentOptions options{.quiet = true};
  options.state = std::make_shared<RoundingState>(file, kSettings, 0);
  EXPECT_THROW(second_moments(subject.graph, subject.plan, dies, options), std::runtime_error);
  options.state = std::make_shared<RoundingState>(file, kSettings, 0);
  EXPECT_EQ(options.state->kept_samples(), 16);
  const auto resumed = second_moments(subject.graph, subject.plan, data, options);
  ASSERT_EQ(resumed->layers.size(), whole->layers.size());
  EXPECT_EQ(resumed->images, whole->images);
  for (const auto& [name, m] : whole->layers) {
    EXPECT_EQ(resumed->layers.at(name).products, m.products) << name;
    EXPECT_EQ(resumed->layers.at(name).mean, m.mean) << name;
  }
}

}  // namespace
}  // namespace cytodet
