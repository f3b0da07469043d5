// Figures for screening and counting against pycocotools, scikit-learn and scipy (scripts/make_screening_golden.py).
#include "eval/screening.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/settings.h"
#include "eval/comparison.h"
#include "eval/resampled_ap.h"
#include "eval/screening_report.h"
#include "tests/paths.h"

namespace cytodet {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

struct BloodCells {
  Json golden = read_json(cytodet::source_dir() + "/tests/data/eval/screening.json");
  GroundTruth truth = read_ground_truth(cytodet::source_dir() + "/tests/data/bccd/val.json");
  DetectionSet set = read_detections(cytodet::source_dir() + "/tests/data/eval/bccd_val_dt.json", truth);
  std::vector<double> points;
  BootstrapOptions bootstrap;
  BloodCells() {
    for (const GroundTruthCategory& c : truth.categories) points.push_back(golden["points"][c.name].get<double>());
    bootstrap.resamples = golden["resamples"].get<int>();
    bootstrap.seed = golden["seed"].get<uint64_t>();
  }
  Screening screened(int threads = 0) const {
    ScreeningOptions o;
    o.bootstrap = bootstrap;
    o.bootstrap.threads = threads;
    o.operating_scores = points;
    o.labels = golden["labels"].get<std::vector<int>>();
    return screen(truth, set, o);
  }
};

void expect_near(const Estimate& e, const Json& value) { EXPECT_NEAR(e.value, value.get<double>(), 1e-9); }
void expect_interval(const std::optional<Interval>& interval, const Json& wanted) {
  ASSERT_TRUE(interval.has_value());
  EXPECT_NEAR(interval->low, wanted[0].get<double>(), 1e-9);
  EXPECT_NEAR(interval->high, wanted[1].get<double>(), 1e-9);
}

TEST(Screening, FiguresAtThePointAreThoseOfOtherTools) {
  const BloodCells cells;
  const Screening s = cells.screened();
  ASSERT_EQ(s.classes.size(), 3u);
  for (size_t c = 0; c < 3; ++c) {
    const Json& g = cells.golden["classes"][c];
    const ScreeningClass& k = s.classes[c];
    EXPECT_EQ(k.name, g["name"].get<std::string>());
    EXPECT_EQ(k.truths, g["truths"].get<int64_t>());
    const Estimate* const figures[] = {&k.at_point.precision, &k.at_point.recall, &k.at_point.f1, &k.at_point.fp_per_image};
    for (size_t i = 0; i < 4; ++i) {
      expect_near(*figures[i], g["point"][i]);
      expect_interval(figures[i]->interval, g["point_intervals"][i]);
    }
    for (const Json& row : g["curve"]) {
      const auto step = static_cast<size_t>(std::lround(row[0].get<double>() * 100));
      expect_near(k.precision[step], row[1]);
      expect_near(k.recall[step], row[2]);
      expect_near(k.f1[step], row[3]);
    }
    for (size_t r = 0; r < kFrocRates.size(); ++r) {
      std::string rate = std::to_string(kFrocRates[r]).substr(0, 4);
      rate = kFrocRates[r] >= 1 ? rate.substr(0, 1) : rate == "0.50" ? "0.5" : rate;
      expect_near(k.per_image.sensitivity[r], g["froc"][rate]);
    }
  }
}

TEST(Screening, CountsCalibrationAndSlidesAreThoseOfOtherTools) {
  const BloodCells cells;
  const Screening s = cells.screened();
  for (size_t c = 0; c < 3; ++c) {
    const Json& g = cells.golden["classes"][c];
    const ScreeningClass& k = s.classes[c];
    const Json& a = g["agreement"];
    expect_near(k.counts.bias, a["bias"]);
    expect_near(k.counts.deviation, a["deviation"]);
    expect_near(k.counts.lower, a["lower"]);
    expect_near(k.counts.upper, a["upper"]);
    expect_near(k.counts.concordance, a["concordance"]);
    expect_near(k.counts.mean_error, a["mean_error"]);
    expect_near(k.counts.mean_relative_error, a["mean_relative_error"]);
    expect_near(k.counts.total_relative_error, a["total_relative_error"]);
    expect_near(k.calibration.ece, g["ece"]);
    size_t filled = 0;
    for (size_t b = 0; b < k.calibration.bins.size(); ++b) {
      EXPECT_EQ(k.calibration.bins[b].detections, g["bins"][b].get<int64_t>());
      if (k.calibration.bins[b].detections) expect_near(k.calibration.bins[b].precision, g["bin_precision"][filled++]);
    }
    expect_near(k.slides.at(0).auc, g["auc_of_maximum"]);
    expect_near(k.slides.at(1).auc, g["auc_of_top"]);
    expect_near(k.slides.at(2).auc, g["auc_of_count"]);
    for (size_t i = 0; i < kSpecificities.size(); ++i) expect_near(k.slides[0].sensitivity[i], g["sensitivity_of_maximum"][i]);
  }
  const Scores coco = score(cells.truth, cells.set);
  EXPECT_NEAR(s.ap.value, coco.stats[0], 1e-12);
  ASSERT_TRUE(s.ap.interval);
  EXPECT_LT(s.ap.interval->low, s.ap.value);
  EXPECT_GT(s.ap.interval->high, s.ap.value);
  for (size_t c = 0; c < 3; ++c) EXPECT_NEAR(s.classes[c].ap.value, coco.classes[c].ap, 1e-12);
  for (size_t row = 0; row < 4; ++row)
    for (size_t column = 0; column < 4; ++column)
      expect_near(s.confusion.at(row, column), cells.golden["confusion"][row][column]);
}

TEST(Screening, DoesNotDependOnThreads) {
  const BloodCells cells;
  EXPECT_EQ(to_json(cells.screened(1)).dump(), to_json(cells.screened(2)).dump());
}

TEST(Bootstrap, DrawsAreThoseOfTheFormula) {
  const BloodCells cells;
  for (size_t r = 0; r < cells.golden["draws"].size(); ++r) {
    std::vector<int32_t> wanted(cells.truth.images.size(), 0), weights(wanted.size());
    for (const Json& i : cells.golden["draws"][r]) ++wanted[i.get<size_t>()];
    draw_weights(cells.bootstrap.seed, static_cast<int64_t>(r), weights);
    EXPECT_EQ(weights, wanted);
  }
}

TEST(ResampledApTest, IsPycocotoolsOnImagesThatAreThereSeveralTimes) {
  BloodCells cells;
  for (size_t i = 0; i < cells.set.size(); ++i) cells.set.scores[i] -= static_cast<double>(i) * 1e-9;  // no ties in an image
  const ResampledAp ap(cells.truth, cells.set, {});
  std::vector<int32_t> weights(cells.truth.images.size());
  std::vector<double> out(ap.count());
  for (size_t r = 0; r < cells.golden["resampled_ap"].size(); ++r) {
    draw_weights(cells.bootstrap.seed, static_cast<int64_t>(r), weights);
    ap(weights, out);
    for (size_t i = 0; i < out.size(); ++i)
      EXPECT_NEAR(out[i], cells.golden["resampled_ap"][r][i].get<double>(), 1e-9) << r << " " << i;
  }
  std::fill(weights.begin(), weights.end(), 1);
  ap(weights, out);
  const Scores s = score(cells.truth, cells.set);
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(out[i], s.stats[i], 1e-12);
}

TEST(OperatingPointTest, RulesChooseTheScoresThatOtherToolsChoose) {
  const BloodCells cells;
  const auto outcomes = find_class_outcomes(cells.truth, cells.set);
  const Bootstrap bootstrap(cells.truth.images.size(), cells.bootstrap);
  for (size_t c = 0; c < 3; ++c)
    for (const auto& [rule, score] : cells.golden["classes"][c]["rules"].items()) {
      const OperatingPoint p = find_operating_point(outcomes[c], operating_rule(rule), {}, bootstrap);
      ASSERT_TRUE(p.score) << rule << p.problem;
      // The score lies below the last detection that is taken, and above the next.
      EXPECT_LE(*p.score, score.get<double>()) << rule;
      const CountsOfImages wanted(outcomes[c], score.get<double>()), got(outcomes[c], *p.score);
      EXPECT_EQ(got.right(), wanted.right()) << rule << " " << *p.score;
      EXPECT_EQ(got.wrong(), wanted.wrong()) << rule << " " << *p.score;
      ASSERT_TRUE(p.interval) << rule;
      EXPECT_LE(p.interval->low, score.get<double>() + 0.2);
    }
}

TEST(OperatingPointTest, UnreachableTargetNamesTheNearest) {
  const BloodCells cells;
  auto outcomes = find_class_outcomes(cells.truth, cells.set);
  std::erase_if(outcomes[0].detections, [](const ScoredOutcome& d) { return d.image == 0; });
  const Bootstrap bootstrap(cells.truth.images.size(), {.resamples = 0});
  const OperatingPoint p = find_operating_point(outcomes[0], operating_rule("recall>=1"), {}, bootstrap);
  EXPECT_FALSE(p.score);
  EXPECT_THAT(p.problem, HasSubstr("no score gives recall>=1; the nearest is 0.9"));
  try {
    find_operating_point(outcomes[0], operating_rule("fp-per-mm2<=5"), {}, bootstrap);
    FAIL();
  } catch (const UsageError& e) {
    EXPECT_THAT(e.what(), HasSubstr("needs the area of every image"));
  }
  for (const char* wrong : {"f2", "recall>=", "recall>=1.5", "fbeta:0", "precision>=nan", "", "recall>0.5"})
    EXPECT_THROW(operating_rule(wrong), UsageError) << wrong;
}

TEST(OperatingPointTest, TheScoreIsTheShortestNumberBetween) {
  EXPECT_EQ(shortest_between(0.30123, 0.4567), 0.45);
  EXPECT_EQ(shortest_between(0.4512, 0.4567), 0.456);
  EXPECT_EQ(shortest_between(0.4, 0.4), 0.4);
  EXPECT_EQ(shortest_between(0.123456788, 0.123456789), 0.123456789);
}

// Boxes hold floats, files decimal numbers: as many count by either.
TEST(OperatingPointTest, ScoresThatAreRoundedToFloatsStayOnTheirSide) {
  const BloodCells cells;
  auto outcomes = find_class_outcomes(cells.truth, cells.set);
  const Bootstrap bootstrap(cells.truth.images.size(), {.resamples = 0});
  for (const char* rule : {"f1", "count", "recall>=0.9", "recall>=0.5", "precision>=0.8", "fp-per-image<=1"})
    for (ClassOutcomes& k : outcomes) {
      for (ScoredOutcome& d : k.detections) d.score = std::round(d.score * 100) / 100;
      const OperatingPoint p = find_operating_point(k, operating_rule(rule), {}, bootstrap);
      if (!p.score) continue;
      const auto from = [&](auto score_of) {
        return std::count_if(k.detections.begin(), k.detections.end(),
                             [&](const ScoredOutcome& d) { return score_of(d) >= *p.score; });
      };
      EXPECT_EQ(from([](const ScoredOutcome& d) { return static_cast<double>(static_cast<float>(d.score)); }),
                from([](const ScoredOutcome& d) { return d.score; }))
          << rule << " " << k.name;
    }
}

TEST(Screening, OneImageGivesNoIntervalsAndSaysSo) {
  const GroundTruth truth = parse_ground_truth(
      R"({"images":[{"id":1}],"categories":[{"id":1,"name":"a"},{"id":2,"name":"b"}],"annotations":[{"id":1,"image_id":1,"category_id":1,"bbox":[0,0,50,50]}]})",
      "t");
  const DetectionSet set = parse_detections(R"([{"image_id":1,"category_id":1,"bbox":[0,0,50,50],"score":0.9},
    {"image_id":1,"category_id":2,"bbox":[0,0,50,50],"score":0.8}])",
                                            "d", truth);
  ScreeningOptions o;
  o.operating_scores = {0.5, 0.5};
  const Screening s = screen(truth, set, o);
  EXPECT_THAT(s.notes, Contains(HasSubstr("one image gives no intervals")));
  EXPECT_THAT(s.notes, Contains(HasSubstr("b: has no ground truth boxes")));
  EXPECT_EQ(s.classes[0].at_point.f1.value, 1);
  EXPECT_FALSE(s.classes[0].at_point.f1.interval);
  EXPECT_TRUE(std::isnan(s.classes[1].at_point.recall.value));
  EXPECT_EQ(s.classes[1].at_point.precision.value, 0);
  EXPECT_EQ(s.confusion.at(2, 1).value, 1);  // the one of class b lies on a truth that class a has found
  EXPECT_EQ(s.confusion.at(0, 0).value, 1);
  EXPECT_TRUE(to_json(s)["classes"][1]["operating_point"]["recall"]["value"].is_null());
  const Comparison c = compare(truth, set, set, {.operating_scores = {0.5, 0.5}});
  EXPECT_TRUE(std::isnan(c.figures[0].p));
}

TEST(ComparisonTest, IsThePairedBootstrapOfTheDifference) {
  const BloodCells cells;
  DetectionSet other = cells.set;
  for (size_t i = 0; i < other.size(); i += 4) other.scores[i] = std::round(other.scores[i] * 0.5 * 1e9) / 1e9;
  ComparisonOptions o;
  o.operating_scores = cells.points;
  o.bootstrap = cells.bootstrap;
  const Comparison c = compare(cells.truth, cells.set, other, o);
  for (size_t k = 0; k < 3; ++k) {
    const Json& g = cells.golden["classes"][k];
    const auto f = std::find_if(c.figures.begin(), c.figures.end(),
                                [&](const ComparedFigure& x) { return x.name == "F1 of " + g["name"].get<std::string>(); });
    ASSERT_NE(f, c.figures.end());
    EXPECT_NEAR(f->difference.value, g["f1_difference"].get<double>(), 1e-9);
    expect_interval(f->difference.interval, g["f1_difference_interval"]);
    EXPECT_NEAR(f->p, g["f1_difference_p"].get<double>(), 1e-9);
  }
  EXPECT_NEAR(c.figures[0].first, score(cells.truth, cells.set).stats[0], 1e-12);
  EXPECT_NEAR(c.figures[0].second, score(cells.truth, other).stats[0], 1e-12);
  ASSERT_FALSE(c.images.empty());
  EXPECT_GE(std::abs(c.images[0].first - c.images[0].second), std::abs(c.images.back().first - c.images.back().second));
  const Comparison same = compare(cells.truth, cells.set, cells.set, o);
  EXPECT_TRUE(same.images.empty());
  for (const ComparedFigure& f : same.figures) {
    EXPECT_EQ(f.difference.value, 0) << f.name;
    EXPECT_EQ(f.p, 1) << f.name;
  }
}

TEST(Screening, ManyClassesListTheMostFrequentConfusions) {
  GroundTruth truth;
  DetectionSet set;
  truth.images.resize(2);
  for (int c = 0; c < 25; ++c) truth.categories.push_back({c + 1, "class " + std::to_string(c), ""});
  const auto add = [&](int image, int category, int taken_for, double x) {
    truth.image.push_back(image);
    truth.category.push_back(category);
    truth.boxes.insert(truth.boxes.end(), {x, 0, 10, 10});
    truth.areas.push_back(100);
    truth.crowd.push_back(0);
    truth.ids.push_back(static_cast<int64_t>(truth.ids.size()) + 1);
    set.image.push_back(image);
    set.category.push_back(taken_for);
    set.boxes.insert(set.boxes.end(), {x, 0, 10, 10});
    set.scores.push_back(0.9);
  };
  for (int i = 0; i < 3; ++i) add(i % 2, 4, 7, 20.0 * i);
  add(0, 9, 2, 200);
  add(1, 3, 3, 300);
  ScreeningOptions o;
  o.operating_scores.assign(25, 0.5);
  const Screening s = screen(truth, set, o);
  const std::vector<FrequentConfusion> most = frequent_confusions(s.confusion);
  ASSERT_EQ(most.size(), 2u);
  EXPECT_EQ(most[0].truth, 4u);
  EXPECT_EQ(most[0].taken_for, 7u);
  EXPECT_EQ(most[0].count.value, 3);
  EXPECT_EQ(most[1].truth, 9u);
  EXPECT_THAT(to_text(s), HasSubstr("most confused"));
}

// Many boxes on one image: memory follows the pairs that overlap, not boxes times truths (40,000² pairs would take 12 GB).
TEST(Screening, AWholeSlideIsMatchedInBoundedMemory) {
  GroundTruth truth = parse_ground_truth(R"({"images":[{"id":1}],"categories":[{"id":1,"name":"a"}],"annotations":[]})", "t");
  DetectionSet set;
  constexpr int kSide = 200;
  for (int i = 0; i < kSide * kSide; ++i) {
    const int column = i % kSide, row = i / kSide;
    const double x = 30.0 * column, y = 30.0 * row;
    truth.image.push_back(0);
    truth.category.push_back(0);
    truth.boxes.insert(truth.boxes.end(), {x, y, 20, 20});
    truth.areas.push_back(400);
    truth.crowd.push_back(0);
    truth.ids.push_back(i + 1);
    set.image.push_back(0);
    set.category.push_back(0);
    set.boxes.insert(set.boxes.end(), {x + (i % 3 == 0 ? 15 : 1), y, 20, 20});
    set.scores.push_back(1.0 - i * 1e-6);
  }
  ScoreOptions options;
  options.max_dets = {1, 10, kSide * kSide};
  constexpr int kMoved = (kSide * kSide + 2) / 3;
  const double found = (kSide * kSide - kMoved) / double{kSide * kSide};
  EXPECT_NEAR(score(truth, set, options).stats[8], found * 0.9, 1e-9);  // an IoU of 0.905 lies below the threshold 0.95
  const auto outcomes = find_class_outcomes(truth, set);
  EXPECT_NEAR(recall_of(CountsOfImages(outcomes[0], 0).weighted(std::vector<int32_t>{1})), found, 1e-12);
}

}  // namespace
}  // namespace cytodet
