#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "core/error.h"
#include "core/file.h"
#include "core/settings.h"
#include "eval/coco.h"
#include "eval/results.h"
#include "tests/paths.h"

namespace cytodet {
namespace {

using ::testing::HasSubstr;

const std::string kEvalData = cytodet::source_dir() + "/tests/data/eval/";

void expect_stats(const Scores& s, const std::vector<double>& wanted, const std::string& name) {
  ASSERT_EQ(s.stats.size(), wanted.size()) << name;
  for (size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(s.stats[i], wanted[i], 1e-9) << name << " figure " << i;
}

TEST(Coco, TwelveFiguresOfTheSharedSet) {
  GroundTruth truth = read_ground_truth(kEvalData + "synthetic200_gt.json");
  Scores s = score(truth, read_detections(kEvalData + "synthetic200_dt.json", truth));
  expect_stats(s, read_json(kEvalData + "synthetic200_stats.json").get<std::vector<double>>(), "synthetic200");
}

TEST(Coco, TrapsAsPycocotools) {
  int n = 0;
  for (const Json& c : read_json(kEvalData + "traps.json")) {
    GroundTruth truth = parse_ground_truth(c["truth"].dump(), "truth");
    DetectionSet dets = parse_detections(c["detections"].dump(), "detections", truth);
    std::string name =
        c["name"].get<std::string>() + " " + c["max_dets"].dump() + (c["use_categories"].get<bool>() ? "" : " pooled");
    for (int threads : {1, 2}) {
      ScoreOptions o;
      o.max_dets = c["max_dets"].get<std::vector<int>>();
      o.use_categories = c["use_categories"].get<bool>();
      o.pycocotools_id0 = true;
      o.threads = threads;
      expect_stats(score(truth, dets, o), c["stats"].get<std::vector<double>>(), name);
    }
    ++n;
  }
  EXPECT_GE(n, 60);
}

// Three detections of one score, one of them right: whichever the file lists first.
TEST(Voc, TiedScoresDoNotDependOnTheOrder) {
  GroundTruth truth = parse_ground_truth(
      R"({"images":[{"id":1}],"categories":[{"id":1,"name":"a"}],"annotations":[{"id":1,"image_id":1,"category_id":1,"bbox":[0,0,50,50]}]})",
      "t");
  const std::string right = R"({"image_id":1,"category_id":1,"bbox":[0,0,50,50],"score":0.5})",
                    wrong = R"({"image_id":1,"category_id":1,"bbox":[80,80,9,9],"score":0.5})";
  for (const std::string& list :
       {right + "," + wrong + "," + wrong, wrong + "," + right + "," + wrong, wrong + "," + wrong + "," + right}) {
    const Scores s = score(truth, parse_detections("[" + list + "]", "d", truth));
    EXPECT_NEAR(s.classes.at(0).voc2010, 1.0 / 3, 1e-12) << list;
    EXPECT_NEAR(s.classes.at(0).voc2007, 1.0 / 3, 1e-12) << list;
  }
}

TEST(Coco, IdZeroIsMatchedAndWarnedOf) {
  const char* text =
      R"({"images":[{"id":1}],"categories":[{"id":1,"name":"a"}],"annotations":[{"id":0,"image_id":1,"category_id":1,"bbox":[0,0,50,50],"area":2500,"iscrowd":0}]})";
  GroundTruth truth = parse_ground_truth(text, "t");
  DetectionSet d = parse_detections(R"([{"image_id":1,"category_id":1,"bbox":[0,0,50,50],"score":0.9}])", "d", truth);
  Scores ours = score(truth, d);
  EXPECT_NEAR(ours.stats[0], 1, 1e-9);
  EXPECT_THAT(ours.warnings, ::testing::Contains(HasSubstr("id 0")));
  ScoreOptions o;
  o.pycocotools_id0 = true;
  EXPECT_NEAR(score(truth, d, o).stats[0], 0, 1e-9);
}

TEST(Coco, IgnoreFieldEmptyListAndCutAreWarnedOf) {
  const char* text =
      R"({"images":[{"id":1}],"categories":[{"id":1}],"annotations":[{"id":1,"image_id":1,"category_id":1,"bbox":[0,0,50,50],"area":2500,"ignore":1}]})";
  GroundTruth truth = parse_ground_truth(text, "t");
  EXPECT_THAT(truth.warnings, ::testing::Contains(HasSubstr("only iscrowd ignores")));
  Scores none = score(truth, parse_detections("[]", "d", truth));
  EXPECT_EQ(none.stats[0], 0);
  EXPECT_THAT(none.warnings, ::testing::Contains(HasSubstr("no detections")));
  std::string many = "[";
  for (int i = 0; i < 101; ++i)
    many += std::string(i ? "," : "") + R"({"image_id":1,"category_id":1,"bbox":[0,0,50,50],"score":0.9})";
  EXPECT_THAT(score(truth, parse_detections(many + "]", "d", truth)).warnings,
              ::testing::Contains(HasSubstr("1 detections are beyond 100")));
}

TEST(Coco, PrintsItsTwelveLines) {
  GroundTruth truth = read_ground_truth(kEvalData + "synthetic200_gt.json");
  std::string text = to_text(score(truth, read_detections(kEvalData + "synthetic200_dt.json", truth)));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 12);
  EXPECT_THAT(text, HasSubstr(" Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0.050\n"));
  EXPECT_THAT(text, HasSubstr(" Average Recall     (AR) @[ IoU=0.50:0.95 | area= large | maxDets=100 ] = 0.260\n"));
}

TEST(Voc, HandMadeCurve) {
  // Three ground truth boxes; detections in score order: hit, miss, hit, duplicate of the first. Precision 1, 1/2, 2/3, 2/4 at
  // recall 1/3, 1/3, 2/3, 2/3.
  const char* text = R"({"images":[{"id":1}],"categories":[{"id":1}],"annotations":[
    {"id":1,"image_id":1,"category_id":1,"bbox":[0,0,10,10],"area":100},{"id":2,"image_id":1,"category_id":1,"bbox":[100,0,10,10],"area":100},
    {"id":3,"image_id":1,"category_id":1,"bbox":[200,0,10,10],"area":100}]})";
  GroundTruth truth = parse_ground_truth(text, "t");
  Scores s = score(
      truth,
      parse_detections(
          R"([{"image_id":1,"category_id":1,"bbox":[0,0,10,10],"score":0.9},{"image_id":1,"category_id":1,"bbox":[50,0,10,10],"score":0.8},
    {"image_id":1,"category_id":1,"bbox":[100,0,10,10],"score":0.7},{"image_id":1,"category_id":1,"bbox":[1,0,10,10],"score":0.6}])",
          "d", truth));
  EXPECT_NEAR(s.voc2010, 1.0 / 3 + 2.0 / 9, 1e-12);
  EXPECT_NEAR(s.voc2007, (4 * 1.0 + 3 * 2.0 / 3) / 11, 1e-12);
}

TEST(EvalErrors, NameFileAndElement) {
  auto truth_error = [](const char* text) {
    try {
      parse_ground_truth(text, "truth.json");
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  const std::string head = R"({"images":[{"id":1}],"categories":[{"id":1}],"annotations":[)";
  EXPECT_THAT(truth_error("{"), HasSubstr("truth.json: not valid JSON"));
  EXPECT_THAT(truth_error("[1]"), HasSubstr("is not a COCO ground truth object"));
  EXPECT_THAT(truth_error("{}"), HasSubstr("has no \"images\""));
  EXPECT_THAT(truth_error(R"({"images":[{"id":1},{"id":1}],"categories":[],"annotations":[]})"), HasSubstr("id 1 is used twice"));
  EXPECT_THAT(truth_error((head + R"({"id":1,"image_id":1,"category_id":9,"bbox":[0,0,1,1]}]})").c_str()),
              HasSubstr("annotations[0].category_id 9 is not among the categories"));
  EXPECT_THAT(truth_error((head + R"({"id":1,"image_id":2,"category_id":1,"bbox":[0,0,1,1]}]})").c_str()),
              HasSubstr("annotations[0].image_id 2 is not among the images"));
  EXPECT_THAT(truth_error((head + R"({"id":1,"image_id":1,"category_id":1,"bbox":[0,0,-1,1]}]})").c_str()),
              HasSubstr("annotations[0].bbox has a negative width or height"));
  EXPECT_THAT(truth_error((head + R"({"id":1,"image_id":1,"category_id":1,"bbox":[0,0,1]}]})").c_str()),
              HasSubstr("annotations[0].bbox must be four finite numbers"));
  EXPECT_THAT(truth_error((head + R"({"id":1,"image_id":1,"category_id":1}]})").c_str()), HasSubstr("bbox is missing"));
  GroundTruth truth = parse_ground_truth(head + "]}", "t");
  auto detection_error = [&](const char* text) {
    try {
      parse_detections(text, "d.json", truth);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(detection_error(R"([{"image_id":7,"category_id":1,"bbox":[0,0,1,1],"score":1}])"),
              HasSubstr("d.json: detections[0].image_id 7 is not in the ground truth"));
  EXPECT_THAT(detection_error(R"([{"image_id":1,"category_id":1,"bbox":[0,0,NaN,1],"score":1}])"), HasSubstr("d.json"));
  EXPECT_THAT(detection_error(R"([{"image_id":1,"category_id":1,"bbox":[0,0,1e999,1],"score":1}])"), HasSubstr("d.json"));
  EXPECT_THAT(detection_error(R"([{"image_id":1,"category_id":1,"bbox":[0,0,1,1]}])"), HasSubstr("score is missing"));
  EXPECT_THAT(detection_error(R"([{"image_id":1.5,"category_id":1,"bbox":[0,0,1,1],"score":1}])"),
              HasSubstr("image_id is not a whole number"));
  EXPECT_THAT(detection_error(R"({"a":1})"), HasSubstr("is not a list of detections"));
  EXPECT_THAT(detection_error("[3]"), HasSubstr("detections[0] is not an object"));
  EXPECT_THAT(detection_error(""), HasSubstr("d.json"));
  EXPECT_EQ(parse_detections(R"([{"image_id":1,"category_id":5,"bbox":[0,0,1,1],"score":1}])", "d", truth).warnings.size(), 1u);
}

TEST(Results, RoundTripAndCompetitionForm) {
  std::filesystem::path folder = std::filesystem::temp_directory_path() / ("cytodet_eval_" + std::to_string(::getpid()));
  make_folder(folder);
  Detections d{{{1.5, 2.25, 11.5, 22.25}, 0, 0.75f}, {{3, 3, 3.1, 3.2}, 1, 0.5f}};
  write_coco_results({{7, "a.jpg", d}}, {1, 5}, folder / "coco.json");
  Json j = read_json(folder / "coco.json");
  ASSERT_EQ(j.size(), 2u);
  EXPECT_EQ(j[0]["image_id"], 7);
  EXPECT_EQ(j[1]["category_id"], 5);
  EXPECT_EQ(j[0]["bbox"].get<std::vector<double>>(), (std::vector<double>{1.5, 2.25, 10, 20}));
  write_box_list(d, folder / "one.json");
  Json c = read_json(folder / "one.json");
  EXPECT_EQ(c[1]["w"], 1) << "at least one pixel";
  EXPECT_EQ(c[0]["p"], 0.75);
  write_coco_results({}, {}, folder / "none.json");
  EXPECT_TRUE(read_json(folder / "none.json").empty());
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace cytodet
