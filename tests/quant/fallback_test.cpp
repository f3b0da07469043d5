#include "quant/fallback.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "core/file.h"

namespace cytodet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Every layer of `harm` that is in INT8 costs what it says.
struct LayerCosts {
  std::map<std::string, double> harm;
  std::vector<std::string> ranked;
  int measured = 0, limit = 1000;

  FallbackOptions options(double max_drop) {
    FallbackOptions o;
    o.max_drop = max_drop;
    o.rank = [this] { return ranked; };
    o.measure = [this](const std::vector<std::string>& in_float) {
      if (measured == limit) throw Error("trial", "was interrupted");
      ++measured;
      double accuracy = 0.6;
      for (const auto& [name, cost] : harm)
        if (std::find(in_float.begin(), in_float.end(), name) == in_float.end()) accuracy -= cost;
      return accuracy;
    };
    return o;
  }
};

LayerCosts layer_costs() {
  LayerCosts n{{{"l3", .01}, {"l9", .02}, {"l12", .004}}, {}, 0, 1000};
  for (int i = 0; i < 20; ++i) n.ranked.push_back("l" + std::to_string(i));
  return n;
}

FallbackState fresh() { return {"s", 0.6, {}, {}}; }

TEST(Fallback, NoLayerWhenTheDropIsSmall) {
  LayerCosts n = layer_costs();
  FallbackState state = fresh();
  EXPECT_THAT(search_fallback(state, n.options(.05)).in_float, IsEmpty());
  EXPECT_EQ(n.measured, 1);
  EXPECT_THAT(state.ranked, IsEmpty()) << "needs no ranking";
}

TEST(Fallback, OnlyTheLayersThatMatter) {
  LayerCosts n = layer_costs();
  FallbackState state = fresh();
  FallbackTrial best = search_fallback(state, n.options(.005));
  EXPECT_THAT(best.in_float, ElementsAre("l3", "l9"));
  EXPECT_NEAR(best.accuracy, .596, 1e-9);
  EXPECT_LT(n.measured, 30);
  EXPECT_EQ(static_cast<size_t>(n.measured), state.trials.size());
}

TEST(Fallback, AllInFloatCountsAsNoDrop) {
  LayerCosts n = layer_costs();
  for (const std::string& l : n.ranked) n.harm[l] = .1;
  FallbackState state = fresh();
  EXPECT_EQ(search_fallback(state, n.options(.005)).in_float.size(), n.ranked.size());
}

TEST(Fallback, GoesOnWhereItWasInterrupted) {
  const auto path = std::filesystem::temp_directory_path() / "cytodet_fallback.json";
  std::filesystem::remove(path);
  LayerCosts whole = layer_costs();
  FallbackState once = fresh();
  const FallbackTrial wanted = search_fallback(once, whole.options(.005));
  LayerCosts n = layer_costs();
  for (int tries = 0; tries < 50; ++tries) {
    FallbackState state = resume_fallback(path, "s");
    state.float_accuracy = 0.6;
    n.limit = n.measured + 3;
    FallbackOptions options = n.options(.005);
    options.tried = [&](const FallbackTrial&, bool known) {
      if (!known) save_fallback(state, path);
    };
    try {
      EXPECT_EQ(search_fallback(state, options).in_float, wanted.in_float);
      break;
    } catch (const Error&) {
    }
  }
  EXPECT_EQ(n.measured, whole.measured) << "nothing is measured twice";
  EXPECT_THAT(resume_fallback(path, "other").trials, IsEmpty());
  write_file(path, "{\"trials\": 3}");
  try {
    resume_fallback(path, "s");
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("remove the file to start the search anew"));
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace cytodet
