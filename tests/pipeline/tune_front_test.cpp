// The front, the sum score, picking, and the search over injected measurements.
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <tuple>

#include "core/error.h"
#include "pipeline/tune/plot.h"
#include "pipeline/tune/search.h"

namespace cytodet::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<TunePoint> points_of(const std::vector<std::pair<double, double>>& figures) {
  std::vector<TunePoint> points;
  for (const auto& [map, speed] : figures) points.push_back({points.size(), 0, 0, map, speed});
  return points;
}

TEST(TuneFront, IsWhatNoOtherDominates) {
  EXPECT_THAT(pareto_front(points_of({{0.5, 1}, {0.4, 3}, {0.45, 0.5}, {0.5, 1}, {0.4, 2}, {0.1, 3}})), ElementsAre(0, 3, 1))
      << "equal points stay";
  EXPECT_TRUE(pareto_front({}).empty());
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::pair<double, double>> figures;
    for (size_t i = random() % 40; i-- > 0;) figures.push_back({(random() % 8) / 8.0, 1 + random() % 8});
    const std::vector<TunePoint> points = points_of(figures);
    std::vector<size_t> front = pareto_front(points), wanted;
    std::sort(front.begin(), front.end());
    for (size_t i = 0; i < points.size(); ++i)
      if (std::none_of(points.begin(), points.end(), [&](const TunePoint& p) { return dominates(p, points[i]); }))
        wanted.push_back(i);
    EXPECT_EQ(front, wanted);
  }
}

TEST(TuneFront, SumScoreIsRelativeToTheBest) {
  const std::vector<double> sums = sum_scores(points_of({{0.5, 0.1}, {0.4, 0.3}, {-1, 0.3}}));
  EXPECT_DOUBLE_EQ(sums[0], 1 + 0.1 / 0.3);
  EXPECT_DOUBLE_EQ(sums[1], 0.8 + 1);
  EXPECT_DOUBLE_EQ(sums[2], 1) << "no ground truth, no share of mAP";
  EXPECT_DOUBLE_EQ(sum_scores(points_of({{0, 2}}))[0], 1);
}

TEST(TuneFront, SpeedsHaveThreeDigits) {
  EXPECT_EQ(round_speed(12.3449), 12.3);
  EXPECT_EQ(round_speed(0.00123456), 0.00123);
  EXPECT_EQ(round_speed(98765), 98800);
}

TEST(TuneFront, EveryPickRule) {
  const std::vector<TunePoint> points = points_of({{0.6, 1}, {0.55, 3}, {0.5, 3.9}, {0.2, 4}, {0.2, 4}});
  const std::vector<std::tuple<std::string, std::string, size_t>> cases{{"max-map", "max-map", 0},
                                                                        {"max-speed", "max-speed", 3},
                                                                        {"score", "score", 2},
                                                                        {"map>=", "map>=0.55", 1},
                                                                        {"speed>=", "speed>=3.5", 2}};
  for (const PickRule& rule : pick_rules())
    EXPECT_TRUE(std::any_of(cases.begin(), cases.end(), [&](const auto& c) { return std::get<0>(c) == rule.name; }))
        << rule.name << " has no case";
  for (const auto& [name, text, wanted] : cases) EXPECT_EQ(pick(points, text), wanted) << text;
  auto problem = [&](const std::string& rule, const std::vector<TunePoint>& from) -> std::string {
    try {
      pick(from, rule);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(problem("max-mpa", points), HasSubstr("did you mean max-map"));
  EXPECT_THAT(problem("map>=half", points), HasSubstr("\"half\" is not a number"));
  EXPECT_THAT(problem("map>=0.7", points), HasSubstr("no setting reaches that; the best mAP is 0.6000"));
  EXPECT_THAT(problem("score", {}), HasSubstr("nothing to pick from"));
  try {
    pick(points, "speed>=9", "top-1", "mm2");
    ADD_FAILURE() << "no error";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("the best top-1 is 0.6000, the best speed 4 mm2/s"));
  }
  EXPECT_THROW(check_pick("fast"), UsageError);
}

// Figures for every setting, and bounds that come nearer stage by stage.
struct Table {
  TuneGrid grid;
  int stages;
  std::vector<std::vector<double>> seconds, map, merge_seconds;  // [network][parallel or merge]
  std::vector<std::vector<std::vector<double>>> bound;           // [stage][network][merge]
  size_t asked = 0;                                              // (network, stage, merge)

  Table(std::mt19937& random, TuneGrid g, int stages_) : grid(g), stages(stages_) {
    auto figure = [&](int steps) { return static_cast<double>(random() % steps) / steps; };
    for (size_t n = 0; n < grid.networks; ++n) {
      seconds.emplace_back();
      map.emplace_back();
      merge_seconds.emplace_back();
      for (size_t l = 0; l < grid.parallel_settings; ++l) seconds[n].push_back(0.1 + figure(10));
      for (size_t m = 0; m < grid.merges; ++m) {
        map[n].push_back(figure(12));
        merge_seconds[n].push_back(figure(4) / 10);
      }
    }
    bound.assign(static_cast<size_t>(stages), map);
    for (size_t s = bound.size() - 1; s-- > 0;)
      for (auto& row : bound[s])
        for (size_t m = 0; m < row.size(); ++m) {
          const size_t n = static_cast<size_t>(&row - bound[s].data());
          row[m] = std::min(1.0, bound[s + 1][n][m] + figure(6) / 3);
        }
  }
  TuneMeasure measure() {
    TuneMeasure m;
    m.stages = stages;
    m.seconds = [this](size_t n, size_t l) { return seconds[n][l]; };
    m.accuracy = [this](size_t n, int stage, const std::vector<size_t>& merges) {
      std::vector<TuneAccuracy> found;
      for (size_t merge : merges) {
        ++asked;
        const bool last = stage + 1 == stages;
        found.push_back({bound[static_cast<size_t>(stage)][n][merge], last ? merge_seconds[n][merge] : 0});
      }
      return found;
    };
    return m;
  }
};

using Figures = std::tuple<size_t, size_t, size_t, double, double>;
std::vector<Figures> front_of(const TuneResult& r) {
  std::vector<Figures> front;
  for (size_t i : pareto_front(r.points)) {
    const TunePoint& p = r.points[i];
    front.push_back({p.network, p.parallel, p.merge, p.map, p.per_second});
  }
  std::sort(front.begin(), front.end());
  return front;
}

TEST(TuneSearch, GivesTheFrontOfTheExhaustiveSearch) {
  std::mt19937 random(11);
  size_t pruned = 0, saved = 0, networks = 0;
  for (int round = 0; round < 400; ++round) {
    const TuneGrid grid{1 + random() % 8, 1 + random() % 3, 1 + random() % 6};
    Table table(random, grid, 1 + static_cast<int>(random() % 4));
    const TuneResult all = search(grid, table.measure(), false);
    const size_t asked = table.asked;
    EXPECT_EQ(all.points.size(), grid.points());
    EXPECT_EQ(all.pruned, 0u);
    EXPECT_EQ(asked, grid.networks * grid.merges * static_cast<size_t>(table.stages));
    const TuneResult some = search(grid, table.measure());
    EXPECT_EQ(front_of(some), front_of(all)) << "round " << round;
    EXPECT_EQ(some.points.size() + some.pruned, grid.points());
    EXPECT_TRUE(some.complete);
    pruned += some.pruned;
    networks += some.networks_pruned;
    saved += asked - (table.asked - asked);
  }
  EXPECT_GT(pruned, 1000u);
  EXPECT_GT(networks, 50u);
  EXPECT_GT(saved, 1000u) << "what is given up is not measured further";
}

TEST(TuneSearch, ThePointsAreTheFigures) {
  std::mt19937 random(2);
  Table table(random, {2, 2, 2}, 1);
  const TuneResult r = search(table.grid, table.measure());
  ASSERT_EQ(r.points.size(), 8u);
  for (const TunePoint& p : r.points) {
    EXPECT_EQ(p.map, table.map[p.network][p.merge]);
    EXPECT_EQ(p.per_second, round_speed(1 / (table.seconds[p.network][p.parallel] + table.merge_seconds[p.network][p.merge])));
  }
}

TEST(TuneSearch, CountsItsStepsWhateverIsGivenUpOrFails) {
  std::mt19937 random(3);
  for (int round = 0; round < 50; ++round) {
    const TuneGrid grid{1 + random() % 6, 1 + random() % 3, 1 + random() % 3};
    Table table(random, grid, 3);
    TuneMeasure m = table.measure();
    const auto seconds = m.seconds;
    const size_t broken = 1 + random() % 6;
    m.seconds = [&](size_t n, size_t l) {
      if (n == broken && l == grid.parallel_settings - 1) throw Error("x.tif", "has no level 3");
      return seconds(n, l);
    };
    size_t steps = 0;
    m.step = [&](size_t n) { steps += n; };
    const TuneResult r = search(grid, m);
    EXPECT_EQ(steps, tune_steps(grid, 3));
    EXPECT_EQ(r.failures.size(), broken < grid.networks ? 1u : 0u);
    for (const TuneFailure& f : r.failures) {
      EXPECT_EQ(f.network, broken);
      EXPECT_EQ(f.reason, "x.tif: has no level 3");
    }
    for (const TunePoint& p : r.points) EXPECT_NE(p.network, broken);
  }
}

TEST(TuneSearch, FailsWhenNothingWorksAndStopsWhenAsked) {
  std::mt19937 random(4);
  Table table(random, {3, 1, 2}, 2);
  TuneMeasure m = table.measure();
  m.accuracy = [](size_t, int, const std::vector<size_t>&) -> std::vector<TuneAccuracy> { throw Error("a.tif", "is damaged"); };
  EXPECT_THROW(search(table.grid, m), Error);
  m.accuracy = [](size_t, int, const std::vector<size_t>&) -> std::vector<TuneAccuracy> { throw UsageError("merge", "wrong"); };
  EXPECT_THROW(search(table.grid, m), UsageError);
  m = table.measure();
  int left = 6;  // three speeds, one network to its end, one stage of the next
  m.stop = [&] { return left-- == 0; };
  const TuneResult r = search(table.grid, m, false);
  EXPECT_FALSE(r.complete);
  EXPECT_EQ(r.points.size(), 2u);
}

TEST(TunePlot, TicksAreRound) {
  for (const auto& [least, most] : std::vector<std::pair<double, double>>{{0.46, 0.61}, {0, 1}, {3, 3}, {0, 0}, {1e-4, 9e4}}) {
    const Ticks t = ticks_for(least, most);
    EXPECT_LE(t.low, least + 1e-9);
    EXPECT_GE(t.high, most - 1e-9);
    const double steps = (t.high - t.low) / t.step, digit = t.step / std::pow(10, std::floor(std::log10(t.step) + 1e-9));
    EXPECT_NEAR(steps, std::round(steps), 1e-6);
    EXPECT_GE(steps, 1);
    EXPECT_LE(steps, 10);
    EXPECT_TRUE(std::fabs(digit - 1) < 1e-6 || std::fabs(digit - 2) < 1e-6 || std::fabs(digit - 5) < 1e-6) << t.step;
  }
}

TEST(TunePlot, ShowsEveryPointAndEscapesLabels) {
  const std::vector<TunePoint> points = points_of({{0.5, 1}, {0.4, 3}, {0.3, 2}});
  const std::string svg = to_svg({"slides", points, {"a<b & \"c\"", "two", "three"}, 1});
  for (const char* part : {"<svg xmlns=", "slides per second", "a&lt;b &amp; &quot;c&quot;", "mAP 0.3000, 2 slides/s: three",
                           "picked", "<polyline", "</svg>"})
    EXPECT_THAT(svg, HasSubstr(part));
  EXPECT_THAT(to_svg({}), ::testing::Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace cytodet::test
