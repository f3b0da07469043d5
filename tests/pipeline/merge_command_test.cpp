// cytodet merge on files, and evaluate's analysis of errors.
#include <gmock/gmock.h>

#include "core/settings.h"
#include "tests/pipeline/program.h"
#include "tiling/slides/image_io.h"
#include "tiling/slides/slide.h"

namespace cytodet::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class MergeCommand : public ProgramTest {
 protected:
  Json merged(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "merge");
    arguments.insert(arguments.end(), {"-o", path("out.json")});
    const Output o = run(arguments);
    EXPECT_EQ(o.code, 0) << o.err;
    return read_json(path("out.json"));
  }
  void refused(std::vector<std::string> arguments, int code, const std::string& part) {
    arguments.insert(arguments.begin(), "merge");
    arguments.insert(arguments.end(), {"-o", path("refused.json")});
    const Output o = run(arguments);
    EXPECT_EQ(o.code, code) << part;
    ASSERT_EQ(o.errors().size(), 1u) << o.err;
    EXPECT_THAT(o.errors()[0], HasSubstr(part));
    EXPECT_FALSE(std::filesystem::exists(path("refused.json")));
  }
};

std::string coco(int image, int category, const std::string& box, double score, const std::string& more = "") {
  return "{\"image_id\":" + std::to_string(image) + ",\"category_id\":" + std::to_string(category) + ",\"bbox\":" + box +
         ",\"score\":" + std::to_string(score) + more + "}";
}

TEST_F(MergeCommand, CocoResultsOfSeveralFiles) {
  const std::string a = put("a.json", "[" + coco(7, 9, "[0,0,10,10]", 0.5) + "," + coco(8, 9, "[0,0,10,10]", 0.25) + "]");
  const std::string b = put("b.json", "[" + coco(7, 9, "[0,1,10,10]", 0.75) + "," + coco(7, 3, "[0,1,10,10]", 0.625) + "]");
  const Json j = merged({a, b});
  ASSERT_EQ(j.size(), 3u);
  EXPECT_EQ(j[0].dump(), R"({"image_id":7,"category_id":9,"bbox":[0.0,1.0,10.0,10.0],"score":0.75})");
  EXPECT_EQ(j[1]["category_id"], 3);
  EXPECT_EQ(j[2]["image_id"], 8);
  EXPECT_EQ(merged({b, a}), j) << "the order of files does not matter";
  EXPECT_EQ(merged({a, b, "--class-agnostic"}).size(), 2u);
  EXPECT_EQ(merged({a, b, "--score", "0.3"}).size(), 2u);
  EXPECT_EQ(merged({a, b, "--iou", "0.9"}).size(), 4u);
  EXPECT_EQ(merged({a, b, "--method", "greedy_nmm"})[0]["bbox"].dump(), "[0.0,0.0,10.0,11.0]");
  EXPECT_EQ(merged({a, b, "--method", "wbf"})[0]["bbox"].dump(), "[0.0,0.6,10.0,10.0]");
  EXPECT_EQ(merged({a, b, "--method", "wbf", "--wbf-score", "avg"})[2]["score"], 0.125) << "one of two files found it";
  EXPECT_TRUE(merged({put("none.json", "[]")}).empty());
}

TEST_F(MergeCommand, TheCompetitionsLists) {
  const std::string a = put("s1.json", R"([{"x":0,"y":0,"w":10,"h":10,"p":0.5},{"x":1,"y":0,"w":10,"h":10,"p":0.75}])");
  EXPECT_EQ(merged({a}).dump(), R"([{"x":1,"y":0,"w":10,"h":10,"p":0.75}])");
  const std::string b = put("s2.json", R"([{"x":5,"y":5,"w":1,"h":1,"p":1}])");
  ASSERT_EQ(run({"merge", a, b, "-o", path("folder")}).code, 0);
  EXPECT_THAT(names(path("folder")), ElementsAre("s1.json", "s2.json"));
  ASSERT_EQ(run({"merge", a, "-o", path("new/")}).code, 0);
  EXPECT_EQ(names(path("new")).size(), 1u) << "a folder is a folder for one image too";
  EXPECT_EQ(run({"merge", a, b, "-o", path("file.json")}).code, 2);
  EXPECT_FALSE(std::filesystem::exists(path("file.json")));
  refused({a, put("coco.json", "[" + coco(1, 1, "[0,0,1,1]", 1) + "]")}, 2, "another form");
}

TEST_F(MergeCommand, TheOwnerRuleAcrossFiles) {
  const std::string half = put("t0.json", "[" + coco(1, 1, "[600,100,40,80]", 0.9, R"(,"tile":[0,0,640,640])") + "]");
  const std::string whole = put("t1.json", "[" + coco(1, 1, "[600,100,80,80]", 0.8, R"(,"tile":[480,0,640,640])") + "]");
  const Json j = merged({half, whole, "--method", "owner"});
  ASSERT_EQ(j.size(), 1u);
  EXPECT_EQ(j[0]["bbox"].dump(), "[600.0,100.0,80.0,80.0]");
  EXPECT_EQ(merged({half, "--method", "owner"}).size(), 1u) << "an edge of the whole is no cut";
  refused({put("plain.json", "[" + coco(1, 1, "[0,0,1,1]", 1) + "]"), "--method", "owner"}, 2, "detections[0]: has no \"tile\"");
}

TEST_F(MergeCommand, BadInput) {
  refused({path("absent.json")}, 1, "absent.json: cannot open");
  refused({put("e.json", "")}, 1, "e.json: is empty");
  refused({put("o.json", "{}")}, 1, "is not a list of detections");
  refused({put("n.json", R"([{"image_id":1,"category_id":1,"bbox":[0,0,1,NaN],"score":1}])")}, 1,
          "n.json: detections[0].bbox must be four finite numbers");
  refused({put("m.json", "[" + coco(1, 1, "[0,0,1,1]", 1) + R"(,{"x":1,"y":1,"w":1,"h":1,"p":1}])")}, 1,
          "detections[1] is of another form");
  refused({put("w.json", R"([{"x":1,"y":1,"w":-1,"h":1,"p":1}])")}, 1, "detections[0] has a negative width");
  refused({put("p.json", R"([{"x":1,"y":1,"w":1,"h":1}])")}, 1, "detections[0].p is missing");
  refused({put("c.json", R"([{"image_id":1,"category_id":99999999999,"bbox":[0,0,1,1],"score":1}])")}, 1,
          "c.json: category_id 99999999999 does not fit");
  refused({put("t.json", "[" + coco(1, 1, "[0,0,1,1]", 1, R"(,"tile":[0,0,1])") + "]")}, 1, "detections[0].tile must be four");
  const std::string good = put("g.json", "[" + coco(1, 1, "[0,0,1,1]", 1) + "]");
  refused({good, "--method", "mns"}, 2, "did you mean");
  refused({good, "--iou", "2"}, 2, "merge.iou");
  refused({good, "--method", "wbf", "--metric", "ios"}, 2, "wbf is defined by iou");
  EXPECT_EQ(run({"merge", good, "-o", path("no/such/folder.json")}).code, 1);
}

class ErrorAnalysis : public ProgramTest {
 protected:
  const std::string truth = kSource + "/tests/data/bccd/val.json", found = kSource + "/tests/data/eval/bccd_val_dt.json";
};

TEST_F(ErrorAnalysis, TablesReportAndSheet) {
  const Output o = run({"evaluate", "--truth", truth, "--detections", found, "--errors", "--worst", path("worst.png"), "--images",
                        kSource + "/tests/data/bccd", "--worst-count", "2", "-o", path("r.json")});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("Average Precision"));
  EXPECT_THAT(o.out, HasSubstr("AP 0.9254; without false positives"));
  const Json j = read_json(path("r.json"));
  EXPECT_EQ(j["errors"]["types"]["Dupe"]["count"], 145);
  EXPECT_TRUE(j.contains("stats"));
  const auto sheet = open_slide(path("worst.png"));
  EXPECT_GT(sheet->width(), 2 * 640) << "two photographs of 640 x 480 side by side";
  EXPECT_GT(sheet->height(), 480);
  // Without the options nothing of this is computed or written.
  const Output plain = run({"evaluate", "--truth", truth, "--detections", found, "-o", path("p.json")});
  EXPECT_EQ(plain.out.find("Dupe"), std::string::npos);
  EXPECT_FALSE(read_json(path("p.json")).contains("errors"));
}

TEST_F(ErrorAnalysis, TheSheetNeedsImages) {
  const Output o = run({"evaluate", "--truth", truth, "--detections", found, "--worst", path("worst.png")});
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.err, HasSubstr("--worst: needs --images"));
  EXPECT_FALSE(std::filesystem::exists(path("worst.png")));
}

}  // namespace
}  // namespace cytodet::test
