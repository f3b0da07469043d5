// Which image of a ground truth, and which regions, belong to a file.
#include <gmock/gmock.h>

#include <chrono>

#include "core/settings.h"
#include "tests/pipeline/batch_runs.h"
#include "tiling/slides/slide.h"

namespace cytodet::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class Matching : public BatchRuns {
 protected:
  static std::string field(const std::string& name) { return kSource + "/tests/data/field/" + name; }
  std::string image_file(const std::string& number, const std::string& to) const {
    std::filesystem::create_directories((folder / to).parent_path());
    std::filesystem::copy_file(kImages + "BloodImage_" + number + ".jpg", folder / to);
    return path(to);
  }
  std::vector<int64_t> ids(const std::string& run) const {
    std::vector<int64_t> all;
    for (const ImageResult& s : state(run).inputs) all.push_back(s.image_id);
    return all;
  }
  // AP and AP50 of an evaluation with more options.
  std::vector<double> scores(std::vector<std::string> options) {
    options.insert(options.begin(), {"evaluate", "-o", path("scores.json"), "--quiet"});
    last = run(options);
    EXPECT_EQ(last.code, 0) << last.err;
    const Json stats = read_json(folder / "scores.json")["stats"];
    return {stats["AP"].get<double>(), stats["AP50"].get<double>()};
  }
  Output last;
};

TEST_F(Matching, ImagesOfOneNameInFoldersAreScoredAgainstTheirOwnGroundTruth) {
  const std::string truth = field("04-truth-ids/truth.json");
  const std::string a = image_file("00007", "data/ward1/img1.jpg"), b = image_file("00015", "data/ward2/img1.jpg");
  ASSERT_EQ(run(command("out", {b, a, "--truth", truth})).code, 0);
  EXPECT_THAT(ids("out"), ElementsAre(2, 1));
  const auto wanted = ElementsAre(::testing::DoubleNear(0.584, 5e-4), ::testing::DoubleNear(0.954, 5e-4));
  EXPECT_THAT(scores({"--truth", truth, "--model", kModel, "--images", path("data/ward1"), path("data/ward2")}), wanted);
  EXPECT_THAT(scores({"--truth", truth, "--model", kModel, "--images", path("data")}), wanted) << "file_name counts from it";
  std::filesystem::create_directory_symlink(folder / "data", folder / "data/ward1/loop");
  EXPECT_THAT(scores({"--truth", truth, "--model", kModel, "--images", path("data")}), wanted) << "a circle of links";
  EXPECT_THAT(scores({"--truth", truth, "--detections", path("out/detections.json")}), wanted);
}

TEST_F(Matching, AnImageThatTheGroundTruthLacksGetsAnIdOfItsOwn) {
  const std::string truth = field("04-truth-ids/truth_b.json"), a = image_file("00018", "b/aa_new.jpg"),
                    b = image_file("00007", "b/b.jpg");
  const Output o = run(command("out", {path("b"), "--truth", truth}));
  ASSERT_EQ(o.code, 0);
  EXPECT_THAT(o.err, HasSubstr("lacks 1 image, which gets an id above its own: " + a + ", image_id 2"));
  EXPECT_THAT(ids("out"), ElementsAre(2, 1));
  const auto wanted = ElementsAre(::testing::DoubleNear(0.473, 5e-4), ::testing::DoubleNear(0.887, 5e-4));
  EXPECT_THAT(scores({"--truth", truth, "--detections", path("out/detections.json")}), wanted);
  EXPECT_THAT(last.err, HasSubstr("1 image is not in the ground truth and not scored: " + a));
  EXPECT_THAT(scores({"--truth", truth, "--model", kModel, "--images", path("b")}), wanted);
  ASSERT_EQ(run(command("plain", {path("b")})).code, 0);
  EXPECT_THAT(scores({"--truth", truth, "--detections", path("plain/detections.json")}), wanted)
      << "run without the ground truth";
  EXPECT_THAT(last.err, HasSubstr("image ids are those of run.json, not the ground truth's"));
  for (const char* shard : {"1/2", "2/2"})
    ASSERT_EQ(run(command("s" + std::string(1, shard[0]), {path("b"), "--truth", truth, "--shard", shard})).code, 0);
  ASSERT_EQ(run({"collect", path("s1"), path("s2"), "-o", path("all")}).code, 0);
  EXPECT_EQ(read_file(folder / "all/detections.json"), read_file(folder / "out/detections.json"));
}

TEST_F(Matching, NamesOfOtherSystemsAreMatched) {
  const std::string b = image_file("00007", "b/b.jpg"), truth = field("04-truth-ids/truth_backslash.json");
  ASSERT_EQ(run(command("out", {b, "--truth", truth})).code, 0);
  EXPECT_THAT(ids("out"), ElementsAre(7));
  EXPECT_GT(scores({"--truth", truth, "--model", kModel, "--images", path("b")})[0], 0.4);
  const std::string other = put("png.json",
                                R"({"images":[{"id":3,"file_name":"sub/B.PNG","width":320,"height":240}],
    "categories":[{"id":1,"name":"RBC"}],"annotations":[]})");
  const Output o = run(command("png", {b, "--truth", other}));
  ASSERT_EQ(o.code, 0);
  EXPECT_THAT(ids("png"), ElementsAre(3));
  EXPECT_THAT(o.err, AllOf(HasSubstr("1 image matched but for the extension: " + b + " is taken for sub/B.PNG"),
                           HasSubstr("although folders differ")));
  scores({"--truth", other, "--model", kModel, "--images", path("b")});
  EXPECT_THAT(last.err, HasSubstr("has 640 x 480 pixels, the ground truth says 320 x 240"));
}

TEST_F(Matching, TwoFilesOfOneGroundTruthImageAreAnError) {
  const std::string a = image_file("00007", "x/b.jpg"), b = image_file("00015", "y/b.jpg"),
                    truth = field("04-truth-ids/truth_b.json");
  for (const auto& arguments : {command("out", {a, b, "--truth", truth}),
                                std::vector<std::string>{"evaluate", "--truth", truth, "--model", kModel, "--images", a, b}}) {
    const Output o = run(arguments);
    EXPECT_EQ(o.code, 1);
    EXPECT_THAT(o.errors(), ElementsAre(HasSubstr(a + " and " + b + " both match one image of the ground truth, b.jpg")));
  }
}

TEST_F(Matching, RegionsOfAnOmeTiffAreFound) {
  const std::string slide = field("06-ome-tif-roi-name/S1.ome.tif"), region = field("06-ome-tif-roi-name/left_half.geojson");
  for (const char* name : {"S1.geojson", "S1.ome.tif.geojson", "s1.TIF.GeoJSON"}) {
    const std::string rois = std::string("rois_") + name, out = std::string("out_") + name;
    std::filesystem::create_directory(folder / rois);
    std::filesystem::copy_file(region, folder / rois / name);
    const Output o = run(command(out, {slide, "--roi", path(rois)}));
    EXPECT_EQ(o.code, 0) << name << o.err;
    EXPECT_EQ(state(out).inputs.at(0).detection_count, 51) << name;
  }
}

TEST_F(Matching, ARunWithoutAnyRegionFails) {
  std::filesystem::create_directory(folder / "rois");
  put("rois/other.geojson", read_file(field("06-ome-tif-roi-name/left_half.geojson")));
  const std::string a = image_file("00007", "b/a.jpg"), b = image_file("00015", "b/b.jpg");
  const Output o = run(command("out", {a, b, "--roi", path("rois")}));
  EXPECT_EQ(o.code, 1);
  EXPECT_THAT(o.errors(),
              ElementsAre(HasSubstr("nothing was looked at: " + path("rois") + " has a region of interest for none of 2")));
  put("rois/a.geojson", read_file(field("06-ome-tif-roi-name/left_half.geojson")));
  EXPECT_EQ(run(command("some", {a, b, "--roi", path("rois")})).code, 0) << "those without a region are skipped";
}

TEST_F(Matching, ResultsOfUltralyticsAndSahi) {
  const std::string truth = kImages + "val.json", ultralytics = field("26-string-ids/ultralytics.json");
  scores({"--truth", truth, "--detections", ultralytics});
  double ap50 = -1;
  const Json report = read_json(folder / "scores.json");
  for (const Json& c : report["classes"])
    if (c["name"] == "WBC") ap50 = c["AP50"].get<double>();
  EXPECT_NEAR(ap50, 3.0 / 101, 1e-9);
  for (const std::vector<std::string>& more : {std::vector<std::string>{}, {"--truth", truth}}) {
    std::vector<std::string> arguments{"export", ultralytics, "-o", path("x") + "/", "--format", "csv"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Output o = run(arguments);
    EXPECT_EQ(o.code, 0) << o.err;
    EXPECT_THAT(read_file(folder / "x/BloodImage_00007.csv"), HasSubstr("BloodImage_00007,1,"));
    std::filesystem::remove_all(folder / "x");
  }
  ASSERT_EQ(run({"merge", ultralytics, ultralytics, "-o", path("m.json")}).code, 0);
  const Json merged = read_json(folder / "m.json");
  ASSERT_EQ(merged.size(), 1u);
  EXPECT_EQ(merged[0]["image_id"], "BloodImage_00007");
  EXPECT_EQ(merged[0]["file_name"], "BloodImage_00007.jpg");
  EXPECT_EQ(run({"report", ultralytics, "-o", path("r.html"), "--truth", truth}).code, 0);
  const std::string sahi = field("26-string-ids/sahi_null.json");
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"evaluate", "--truth", truth, "--detections", sahi},
        {"merge", sahi, "-o", path("s.json")},
        {"export", sahi, "-o", path("y") + "/", "--format", "csv"},
        {"export", sahi, "-o", path("y") + "/", "--format", "csv", "--truth", truth}}) {
    const Output o = run(arguments);
    EXPECT_EQ(o.code, 1) << arguments[0];
    EXPECT_THAT(o.errors(), ElementsAre(AllOf(HasSubstr("sahi_null.json: detections[0].image_id is null"),
                                              HasSubstr("set it to the image's id"))));
  }
  EXPECT_EQ(run({"export", sahi, "-o", path("z.csv"), "--truth", truth, "--image", "1"}).code, 0);
  EXPECT_THAT(read_file(folder / "z.csv"), HasSubstr("BloodImage_00007,1,"));
}

TEST_F(Matching, SlidesOfAnEarlierRunAreFoundInAnotherFolder) {
  const std::string composed = "Pr\xC3\xA4parat.jpg", apart = "Pra\xCC\x88parat.jpg";
  const std::string slide = image_file("00007", "a/" + composed), one = image_file("00007", "a/w1/b.jpg"),
                    two = image_file("00015", "a/w2/b.jpg");
  ASSERT_EQ(run(command("out", {slide, one, two})).code, 0);
  std::filesystem::rename(folder / "a", folder / "moved");
  std::filesystem::rename(folder / "moved" / composed, folder / "moved" / apart);
  const std::vector<std::string> crops{"export", path("out"), "-o", path("x") + "/", "--format", "crops", "--slides"};
  auto arguments = crops;
  arguments.push_back(path("moved"));
  EXPECT_EQ(run(arguments).code, 0);
  EXPECT_NE(read_file(folder / "x/b.crops.png"), read_file(folder / "x/b_2.crops.png")) << "each from its own folder";
  arguments.back() = path("moved/w1");
  EXPECT_EQ(run(arguments).code, 1) << "b.jpg there may be either";
}

TEST_F(Matching, AGroundTruthOfManyFilesCostsLittle) {
  const std::string one = image_file("00007", "one.jpg");
  std::filesystem::create_directory(folder / "in");
  Json truth{{"images", Json::array()}, {"categories", Json::array()}, {"annotations", Json::array()}};
  constexpr int kFiles = 16000;
  for (int i = 0; i < kFiles; ++i) {
    const std::string name = "img" + std::to_string(i) + ".jpg";
    std::filesystem::create_hard_link(one, folder / "in" / name);
    truth["images"].push_back({{"id", i + 1}, {"file_name", "set/" + name}});
  }
  const std::string file = put("truth.json", truth.dump());
  const auto seconds = [&](const std::string& out, std::vector<std::string> more) {
    const auto start = std::chrono::steady_clock::now();
    more.insert(more.begin(), {path("in"), "--shard", "1/" + std::to_string(kFiles)});
    EXPECT_EQ(run(command(out, more)).code, 0);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const double without = seconds("a", {}), with = seconds("b", {"--truth", file});
  EXPECT_LT(with, 3 * without + 5) << "42 s when every file was compared with every image";
}

}  // namespace
}  // namespace cytodet::test
