#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <sstream>

#include "core/error.h"
#include "core/file.h"
#include "core/settings.h"
#include "eval/error_analysis.h"
#include "tests/cpu_clock.h"
#include "tests/paths.h"

namespace cytodet {
namespace {

const std::string kData = cytodet::source_dir() + "/tests/data/";
constexpr ErrorKind kKinds[] = {ErrorKind::cls,  ErrorKind::loc, ErrorKind::both,
                                ErrorKind::dupe, ErrorKind::bkg, ErrorKind::miss};

struct Set {
  GroundTruth truth;
  DetectionSet detections;
};

// Raw detections of the tiles of the shipped slide, unmerged: many cells are found twice.
Set tiles() {
  Set s{read_ground_truth(kData + "slides/blood-mosaic.json"), {}};
  std::istringstream in(read_file(kData + "tiling/merge/blood-mosaic-640-160.txt"));
  int tile, category, cut;
  double score, x0, y0, x1, y1;
  while (in >> tile >> category >> score >> x0 >> y0 >> x1 >> y1 >> cut) {
    s.detections.image.push_back(0);
    s.detections.category.push_back(category);
    s.detections.boxes.insert(s.detections.boxes.end(), {x0, y0, x1 - x0, y1 - y0});
    s.detections.scores.push_back(score);
  }
  return s;
}

Set set_of(const std::string& name, const Json& traps) {
  if (name == "mosaic_tiles") return tiles();
  if (name.starts_with("traps ")) {
    const Json& c = traps[static_cast<size_t>(std::stoi(name.substr(6)))];
    Set s{parse_ground_truth(c["truth"].dump(), name), {}};
    s.detections = parse_detections(c["detections"].dump(), name, s.truth);
    return s;
  }
  const bool photographs = name == "bccd";
  Set s{read_ground_truth(kData + (photographs ? "bccd/val.json" : "eval/synthetic200_gt.json")), {}};
  s.detections = read_detections(kData + (photographs ? "eval/bccd_val_dt.json" : "eval/synthetic200_dt.json"), s.truth);
  return s;
}

TEST(Errors, AsTidecv) {
  const Json traps = read_json(kData + "eval/traps.json");
  int sets = 0;
  for (const Json& wanted : read_json(kData + "eval/tide.json")) {
    const std::string name = wanted["name"].get<std::string>();
    SCOPED_TRACE(name);
    const Set set = set_of(name, traps);
    for (int threads : {1, 2}) {
      ErrorOptions options;
      options.max_dets = wanted["max_dets"].get<int>();
      options.threads = threads;
      const Errors e = find_errors(set.truth, set.detections, options);
      auto same = [](double ours, const Json& percent) { EXPECT_NEAR(ours * 100, percent.get<double>(), 1e-6); };
      same(e.ap, wanted["ap"]);
      same(e.false_positives_gain, wanted["special"]["FalsePos"]);
      same(e.false_negatives_gain, wanted["special"]["FalseNeg"]);
      for (ErrorKind kind : kKinds) {
        const char* k = name_of(kind);
        SCOPED_TRACE(k);
        const auto i = static_cast<size_t>(kind);
        EXPECT_EQ(e.all.count[i], wanted["counts"][k].get<int64_t>());
        same(e.all.gain[i], wanted["gains"][k]);
        for (size_t s = 0; s < 3; ++s) {
          EXPECT_EQ(e.sizes[s].count[i], wanted["sizes"][s]["counts"][k].get<int64_t>());
          same(e.sizes[s].gain[i], wanted["sizes"][s]["gains"][k]);
        }
        for (size_t c = 0; c < e.classes.size(); ++c) same(e.classes[c].gain[i], wanted["class_gains"][k][c]);
      }
      for (size_t c = 0; c < e.classes.size(); ++c) same(e.classes[c].ap, wanted["class_ap"][c]);
    }
    ++sets;
  }
  EXPECT_GE(sets, 15);
}

GroundTruth truth_with(const std::string& annotations) {
  return parse_ground_truth(
      R"({"images":[{"id":1},{"id":2}],"categories":[{"id":1,"name":"a"},{"id":2,"name":"b"}],"annotations":[)" + annotations +
          "]}",
      "t");
}

// One of each kind, by its definition.
TEST(Errors, EveryKindIsNamed) {
  const GroundTruth truth = truth_with(
      R"({"id":1,"image_id":1,"category_id":1,"bbox":[0,0,50,50],"area":2500},
         {"id":2,"image_id":1,"category_id":1,"bbox":[200,0,20,20],"area":400},
         {"id":3,"image_id":1,"category_id":2,"bbox":[400,0,100,100],"area":10000},
         {"id":4,"image_id":1,"category_id":1,"bbox":[600,0,50,50],"area":2500},
         {"id":5,"image_id":2,"category_id":1,"bbox":[0,0,300,300],"area":90000,"iscrowd":1})");
  struct Case {
    const char* detection;
    DetectionOutcome outcome;
    ErrorKind kind;
  };
  const std::vector<Case> cases = {
      {R"({"image_id":1,"category_id":1,"bbox":[0,0,50,50],"score":0.9})", DetectionOutcome::right, ErrorKind::bkg},
      {R"({"image_id":1,"category_id":1,"bbox":[0,0,50,48],"score":0.8})", DetectionOutcome::wrong, ErrorKind::dupe},
      {R"({"image_id":1,"category_id":1,"bbox":[210,0,20,20],"score":0.7})", DetectionOutcome::wrong, ErrorKind::loc},
      {R"({"image_id":1,"category_id":1,"bbox":[400,0,100,90],"score":0.6})", DetectionOutcome::wrong, ErrorKind::cls},
      {R"({"image_id":1,"category_id":1,"bbox":[460,0,100,100],"score":0.5})", DetectionOutcome::wrong, ErrorKind::both},
      {R"({"image_id":1,"category_id":2,"bbox":[900,900,9,9],"score":0.4})", DetectionOutcome::wrong, ErrorKind::bkg},
      {R"({"image_id":2,"category_id":1,"bbox":[10,10,30,30],"score":0.3})", DetectionOutcome::ignored, ErrorKind::bkg},
  };
  std::string list;
  for (const Case& c : cases) list += std::string(list.empty() ? "[" : ",") + c.detection;
  const Errors e = find_errors(truth, parse_detections(list + "]", "d", truth));
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(e.detections[i], cases[i].outcome) << i;
    EXPECT_EQ(e.kinds[i], cases[i].kind) << i;
  }
  EXPECT_THAT(e.found, ::testing::ElementsAre(1, 0, 0, 0, 0));
  EXPECT_EQ(e.all.count[static_cast<size_t>(ErrorKind::miss)], 1) << "the fourth; the second and third are as good as found";
  EXPECT_EQ(e.sizes[0].count[static_cast<size_t>(ErrorKind::loc)], 1);
  EXPECT_EQ(e.sizes[2].count[static_cast<size_t>(ErrorKind::cls)], 1) << "an error on a ground truth box has the size of the box";
  EXPECT_EQ(e.images[0][static_cast<size_t>(ErrorKind::dupe)], 1);
  EXPECT_EQ(e.images[1], (std::array<int64_t, kErrorKinds>{})) << "what a crowd hides is no error";
  EXPECT_EQ(e.classes[0].detections, 6);
  EXPECT_EQ(e.classes[0].truths, 3);
  ErrorOptions one;
  one.max_dets = 1;
  EXPECT_EQ(find_errors(truth, parse_detections(list + "]", "d", truth), one).detections[1], DetectionOutcome::left_out);
}

TEST(Errors, NothingToFind) {
  const GroundTruth truth = truth_with("");
  const Errors none = find_errors(truth, {});
  EXPECT_EQ(none.ap, 0);
  EXPECT_EQ(none.all.count, (std::array<int64_t, kErrorKinds>{}));
  const GroundTruth one = truth_with(R"({"id":1,"image_id":1,"category_id":1,"bbox":[0,0,50,50],"area":2500})");
  const Errors missed = find_errors(one, {});
  EXPECT_EQ(missed.all.count[static_cast<size_t>(ErrorKind::miss)], 1);
  ErrorOptions bad;
  bad.background = 0.6;
  EXPECT_THROW(find_errors(one, {}, bad), UsageError);
  bad = {};
  bad.max_dets = 0;
  EXPECT_THROW(find_errors(one, {}, bad), UsageError);
}

TEST(Errors, Reports) {
  const Set s = set_of("bccd", {});
  const Errors e = find_errors(s.truth, s.detections);
  const std::string text = to_text(e);
  for (const char* part : {"Dupe", "small", "large", "RBC", "Platelets", "AP 0.9254"})
    EXPECT_THAT(text, ::testing::HasSubstr(part));
  const Json j = to_json(e, {});
  EXPECT_EQ(j["types"]["Loc"]["count"], 944);
  EXPECT_EQ(j["classes"].size(), 3u);
  EXPECT_NEAR(j["AP"].get<double>(), 0.925429, 1e-6);
}

TEST(Errors, ManyDetectionsOnOneSlide) {
  Set s;
  s.truth = truth_with("");
  std::mt19937 random(1);
  std::uniform_real_distribution<double> at(0, 100000), side(10, 40);
  for (int i = 0; i < 20000; ++i) {
    s.truth.image.push_back(0);
    s.truth.category.push_back(i % 2);
    s.truth.boxes.insert(s.truth.boxes.end(), {at(random), at(random), side(random), side(random)});
    s.truth.areas.push_back(100);
    s.truth.crowd.push_back(0);
    s.truth.ids.push_back(i + 1);
  }
  for (int i = 0; i < 300000; ++i) {
    const double* t = &s.truth.boxes[static_cast<size_t>(i % 20000) * 4];
    s.detections.image.push_back(0);
    s.detections.category.push_back(i % 2);
    s.detections.boxes.insert(s.detections.boxes.end(), {t[0] + side(random) - 10, t[1], t[2], t[3]});
    s.detections.scores.push_back(at(random) / 100000);
  }
  ErrorOptions options;
  options.max_dets = 1000000;
  const CpuClock clock;
  EXPECT_GT(find_errors(s.truth, s.detections, options).all.count[static_cast<size_t>(ErrorKind::loc)], 10000);
  EXPECT_LT(clock.seconds(), 30.0) << "all against all would be 6e9 pairs";
}

}  // namespace
}  // namespace cytodet
