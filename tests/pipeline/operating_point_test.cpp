// The operating point from evaluate to all that counts cells.
#include <gmock/gmock.h>

#include <numeric>

#include "core/settings.h"
#include "eval/ground_truth.h"
#include "models/model_file.h"
#include "pipeline/detect/slide_labels.h"
#include "pipeline/results/formats/counting_scores.h"
#include "tests/error_of.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kCellTruth = kSource + "/tests/data/bccd/val.json", kCellBoxes = kSource + "/tests/data/eval/bccd_val_dt.json",
                  kCellSlide = kSource + "/tests/data/slides/blood-mosaic.tif";

int rows_in(const std::string& text) { return static_cast<int>(std::count(text.begin(), text.end(), '\n')) - 1; }

class OperatingPoints : public ProgramTest {
 protected:
  // The shipped model file with these operating scores, or without.
  std::string model_with(const std::optional<std::vector<double>>& scores) {
    ModelFile m = read_model_file(kModel);
    m.operating_scores.reset();
    if (scores) {
      OperatingScores o;
      o.rule = "by hand";
      for (size_t c = 0; c < m.classes.size(); ++c) {
        o.classes.emplace_back();
        o.classes.back().name = m.classes[c];
        o.classes.back().score = scores->at(c);
      }
      m.operating_scores = o;
    }
    write_model_file(m, folder / "model.json");
    return path("model.json");
  }
  Output evaluate(std::vector<std::string> more) {
    more.insert(more.begin(), {"evaluate", "--truth", kCellTruth, "--detections", kCellBoxes});
    return run(more);
  }
};

TEST_F(OperatingPoints, EveryOutputShowsTheSameNumbers) {
  const std::string image = kSource + "/tests/data/bccd/BloodImage_00007.jpg";
  const Output o = run({"detect", "--model", model_with(std::vector<double>{0.5, 0.6, 0.3}), image, "-o", path("run"),
                        "--outputs", "csv,csv-excel,geojson,summary,coco", "--overlay", "--quiet"});
  ASSERT_EQ(o.code, 0) << o.err;
  const Json state = read_json(folder / "run/run.json"), all = read_json(folder / "run/detections.json");
  EXPECT_EQ(state["operating_point"]["scores"], Json({0.5, 0.6, 0.3}));
  std::vector<int64_t> wanted(3, 0);
  const double least[] = {0.5, 0.6, 0.3};
  for (const Json& d : all) {
    const auto c = d["category_id"].get<size_t>() - 1;
    wanted[c] += d["score"].get<double>() >= least[c];
  }
  const int64_t sum = std::accumulate(wanted.begin(), wanted.end(), int64_t{0});
  ASSERT_GT(sum, 5);
  ASSERT_GT(static_cast<int64_t>(all.size()), sum) << "the low score gives more boxes than count";
  const Json& input = state["inputs"][0];
  EXPECT_EQ(input["counted"], Json(wanted));
  EXPECT_EQ(input["detections"], all.size());
  EXPECT_EQ(read_json(folder / "run/BloodImage_00007.coco.json").size(), all.size());
  EXPECT_EQ(read_json(folder / "run/BloodImage_00007.json").size(), all.size());
  EXPECT_EQ(rows_in(read_file(folder / "run/BloodImage_00007.csv")), sum);
  EXPECT_EQ(rows_in(read_file(folder / "run/BloodImage_00007.excel.csv")), sum);
  EXPECT_EQ(read_json(folder / "run/BloodImage_00007.geojson")["features"].size(), static_cast<size_t>(sum));
  const Json summary = read_json(folder / "run/BloodImage_00007.summary.json");
  EXPECT_EQ(summary["boxes"], sum);
  for (size_t c = 0; c < 3; ++c) EXPECT_EQ(summary["classes"][c]["boxes"], wanted[c]);
  EXPECT_THAT(summary["boxes_count"].get<std::string>(), HasSubstr("from score 0.5 (RBC), 0.6 (WBC), 0.3 (Platelets) on"));
  EXPECT_THAT(o.out, HasSubstr(std::to_string(sum) + " boxes count from score 0.5 (RBC)"));
  // From the run, later.
  const Output e = run({"export", path("run"), "-o", path("again.csv")});
  EXPECT_EQ(read_file(folder / "again.csv"), read_file(folder / "run/BloodImage_00007.csv"));
  EXPECT_THAT(e.out, HasSubstr(std::to_string(sum) + " boxes in"));
  EXPECT_THAT(e.out, HasSubstr("of " + std::to_string(all.size()) + ", from score 0.5 (RBC)"));
  ASSERT_EQ(run({"export", path("run/detections.json"), "-o", path("file.csv")}).code, 0);
  EXPECT_EQ(rows_in(read_file(folder / "file.csv")), sum) << "the list of a run counts as the run";
  ASSERT_EQ(run({"export", path("run"), "-o", path("all.csv"), "--score", "0"}).code, 0);
  EXPECT_EQ(rows_in(read_file(folder / "all.csv")), static_cast<int>(all.size()));
  ASSERT_EQ(run({"report", path("run"), "-o", path("r.html"), "--thumbnails", "0"}).code, 0);
  const std::string page = read_file(folder / "r.html");
  EXPECT_THAT(page, HasSubstr("<b>" + std::to_string(sum) + "</b>boxes"));
  EXPECT_THAT(page, HasSubstr("of " + std::to_string(all.size()) + " in all"));
  // Another operating point changes counts, and no detection.
  const std::string before = read_file(folder / "run/detections.json");
  ASSERT_EQ(run({"detect", "--model", path("model.json"), image, "-o", path("run"), "--outputs", "csv", "--quiet", "--resume",
                 "--operating-score", "0.9"})
                .code,
            0);
  EXPECT_EQ(read_file(folder / "run/detections.json"), before);
  const int few = rows_in(read_file(folder / "run/BloodImage_00007.csv"));
  EXPECT_LT(few, sum);
  const Json counted = read_json(folder / "run/run.json")["inputs"][0]["counted"];
  EXPECT_EQ(counted[0].get<int>() + counted[1].get<int>() + counted[2].get<int>(), few);
}

TEST_F(OperatingPoints, AModelWithoutOneCountsFromTheDefaultAndSaysHowToFindOne) {
  const Output o = run({"detect", "--model", model_with(std::nullopt), kSource + "/tests/data/bccd/BloodImage_00007.jpg", "-o",
                        path("run"), "--quiet"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("boxes count from score 0.4 on: default"));
  EXPECT_THAT(o.out, HasSubstr("evaluate --operating-point"));
}

TEST_F(OperatingPoints, EvaluateSetsTheKeyAndLeavesTheRestOfTheModelFile) {
  std::string text = read_file(kModel);
  const std::string graph = "\"efficientdet_d0_blood.pb\"";
  text.replace(text.find(graph), graph.size(), "\"" + kSource + "/models/efficientdet/efficientdet_d0_blood.pb\"");
  const std::string model = put("m.json", text);
  ASSERT_EQ(evaluate({"--model", model, "--operating-point", "f1", "--bootstrap", "100"}).code, 0);
  const std::string first = read_file(model);
  const size_t key = first.find("\"operating_scores\"");
  ASSERT_NE(key, std::string::npos);
  EXPECT_EQ(first.substr(0, key), text.substr(0, key));
  const OperatingScores points = *read_model_file(model).operating_scores;
  EXPECT_EQ(points.rule, "f1");
  EXPECT_EQ(points.images, 36);
  EXPECT_EQ(points.truth, "val.json");
  EXPECT_FALSE(points.data_hash.empty());
  for (const OperatingScore& c : points.classes) {
    EXPECT_GT(*c.f1.value, 0.7) << c.name;
    EXPECT_LE(*c.f1.low, *c.f1.value);
    EXPECT_GE(*c.f1.high, *c.f1.value);
  }
  // A second time: the same file. Another rule: other scores at the same place.
  ASSERT_EQ(evaluate({"--model", model, "--operating-point", "f1", "--bootstrap", "100"}).code, 0);
  EXPECT_EQ(read_file(model), first);
  const Output o = evaluate({"--model", model, "--operating-point", "recall>=0.9", "--bootstrap", "100", "-o", path("r.json")});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(read_file(model).substr(0, key), text.substr(0, key));
  const Json report = read_json(folder / "r.json");
  EXPECT_GE(report["figures"]["classes"][0]["operating_point"]["recall"]["value"].get<double>(), 0.9);
  EXPECT_EQ(report["operating_point"]["rule"], "recall>=0.9");
  EXPECT_THAT(o.err, HasSubstr("was chosen on these images"));
  EXPECT_THAT(evaluate({"--model", model, "--figures", "--bootstrap", "0"}).err, HasSubstr("was chosen on these images"));
}

TEST_F(OperatingPoints, ARuleThatNoScoreMeetsWritesNothing) {
  const std::string model = model_with(std::nullopt), before = read_file(model);
  const Output o = evaluate({"--model", model, "--operating-point", "recall>=1", "--bootstrap", "0"});
  EXPECT_EQ(o.code, 1);
  EXPECT_EQ(read_file(model), before);
  EXPECT_THAT(o.err, HasSubstr("the nearest is"));
}

TEST_F(OperatingPoints, TheNewModelFileHasTheNameThatWasChecked) {
  const std::string model = model_with(std::nullopt);
  const Output o = evaluate({"--model", model, "--operating-point", "f1", "--bootstrap", "0", "--model-out", path("new.pb")});
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.err, HasSubstr("must end in .json"));
  EXPECT_FALSE(std::filesystem::exists(folder / "new.json"));
}

TEST_F(OperatingPoints, AComparisonIsAtThePointThatIsFound) {
  const std::string model = model_with(std::nullopt);
  const Output o = evaluate(
      {"--model", model, "--operating-point", "recall>=0.95", "--bootstrap", "0", "--against", kCellBoxes, "-o", path("r.json")});
  ASSERT_EQ(o.code, 0) << o.err;
  const Json report = read_json(folder / "r.json");
  double least = 1;
  for (const Json& c : report["operating_point"]["classes"]) least = std::min(least, c["score"].get<double>());
  EXPECT_LT(least, 0.4);
  EXPECT_GE(report["figures"]["classes"][0]["operating_point"]["recall"]["value"].get<double>(), 0.95);
  EXPECT_THAT(report["against"].dump(),
              HasSubstr(Json(report["figures"]["classes"][0]["operating_point"]["recall"]["value"]).dump()));
}

TEST_F(OperatingPoints, RulesAndFilesAreCheckedBeforeTheWork) {
  const std::string model = model_with(std::nullopt), before = read_file(model);
  Output o = evaluate({"--model", model, "--operating-point", "f3"});
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.err, HasSubstr("is no rule"));
  o = evaluate({"--operating-point", "f1"});
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.err, HasSubstr("needs --model"));
  o = evaluate({"--model", model, "--operating-point", "fp-per-mm2<=5"});
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.err, HasSubstr("needs the area of every image"));
  EXPECT_EQ(read_file(model), before);
  EXPECT_EQ(evaluate({"--model", model, "--operating-point", "f1", "--model-out", kCellTruth}).code, 2);
  Json wrong = read_json(model);
  wrong["operating_scores"] = {{"rule", "f1"}, {"classes", {{{"name", "RBC"}, {"score", 0.5}}}}};
  put("wrong.json", wrong.dump());
  o = run({"detect", "--model", path("wrong.json"), kCellSlide, "-o", path("run")});
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.err, HasSubstr("operating_scores.classes: must have one entry per class"));
}

TEST_F(OperatingPoints, OneSetAgainstAnother) {
  Json half = read_json(kCellBoxes);
  for (size_t i = 0; i < half.size(); i += 3) half[i]["score"] = half[i]["score"].get<double>() / 3;
  put("half.json", half.dump());
  const std::string model = model_with(std::vector<double>{0.4, 0.5, 0.3});
  const Output o = evaluate({"--model", model, "--against", path("half.json"), "-o", path("r.json"), "--bootstrap", "200"});
  ASSERT_EQ(o.code, 0) << o.err;
  const Json against = read_json(folder / "r.json")["against"];
  EXPECT_EQ(against["figures"][0]["name"], "AP");
  EXPECT_GT(against["figures"][0]["difference"]["low"].get<double>(), 0);
  EXPECT_LT(against["figures"][0]["p"].get<double>(), 0.05);
  EXPECT_FALSE(against["images"].empty());
  EXPECT_THAT(o.out, HasSubstr("F1 of WBC"));
}

TEST_F(OperatingPoints, LabelsOfSlides) {
  const GroundTruth truth = read_ground_truth(kCellTruth);
  std::string table = "image,label\r\n";
  for (size_t i = 0; i < truth.images.size(); ++i) table += truth.images[i].file_name + "," + (i % 3 ? "positive" : "0") + "\r\n";
  const std::vector<int> labels = read_slide_labels(put("labels.csv", table), truth);
  for (size_t i = 0; i < labels.size(); ++i) EXPECT_EQ(labels[i], i % 3 ? 1 : 0);
  const Output o = evaluate({"--figures", "--slide-labels", path("labels.csv"), "--bootstrap", "50"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("mean of the top 10"));
  EXPECT_THAT(error_of([&] { read_slide_labels(put("l.csv", truth.images[0].file_name + ",maybe\nx,1\n"), truth); }),
              HasSubstr("line 2: \"x\" is no image"));
  EXPECT_THAT(error_of([&] { read_slide_labels(put("l.csv", "image,label\n" + truth.images[0].file_name + ",maybe\n"), truth); }),
              HasSubstr("line 2: \"maybe\" is no label"));
}

TEST_F(OperatingPoints, RunComparesInt8WithFloat) {
  const std::string images = kSource + "/tests/data/bccd/BloodImage_000";
  const Json config = {{"model", kModel},
                       {"inputs", {images + "07.jpg", images + "15.jpg", images + "18.jpg"}},
                       {"truth", kCellTruth},
                       {"output", path("int8")},
                       {"quantize", {{"images", kSource + "/tests/data/bccd"}, {"max_images", 2}}}};
  const Output o = run({"run", put("c.json", config.dump())});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("int8 (this) against fp32 (other)"));
  const Json against = read_json(folder / "int8/comparison.json")["int8_against_fp32"], first = against["figures"][0];
  EXPECT_EQ(first["name"], "AP");
  EXPECT_NEAR(first["difference"]["value"].get<double>(), first["this"].get<double>() - first["other"].get<double>(), 1e-12);
  EXPECT_LE(first["difference"]["low"].get<double>(), first["difference"]["high"].get<double>());
  const Json state = read_json(folder / "int8/int8/run.json");
  EXPECT_THAT(state["operating_point"]["source"].get<std::string>(), HasSubstr("found with another graph"));
}

// The bar: counts within 10 % of the truth for red and white cells; AP of slides without options, alike in report and evaluate.
TEST_F(OperatingPoints, TheShippedOneCountsTheCellsOfASlide) {
  const std::string truth_file = kSource + "/tests/data/slides/blood-mosaic.json";
  const Output o = run({"detect", "--model", kModel, kCellSlide, "-o", path("run"), "--truth", truth_file, "--quiet"});
  ASSERT_EQ(o.code, 0) << o.err;
  const GroundTruth truth = read_ground_truth(truth_file);
  std::vector<double> cells(3, 0);
  for (const int32_t c : truth.category) ++cells[static_cast<size_t>(c)];
  const Json counted = read_json(folder / "run/run.json")["inputs"][0]["counted"];
  for (const size_t c : {0, 1}) EXPECT_NEAR(counted[c].get<double>(), cells[c], 0.1 * cells[c]) << c;
  ASSERT_EQ(
      run({"report", path("run"), "-o", path("r.html"), "--truth", truth_file, "--thumbnails", "0", "--bootstrap", "10"}).code,
      0);
  const Output e = run({"evaluate", "--truth", truth_file, "--detections", path("run/detections.json"), "-o", path("e.json")});
  ASSERT_EQ(e.code, 0) << e.err;
  EXPECT_THAT(e.err, HasSubstr("slides in tiles: AP is at "));
  EXPECT_THAT(e.err, Not(HasSubstr("not scored")));
  char ap[40];
  std::snprintf(ap, sizeof ap, "<td class=\"n\">%.4f</td>", read_json(folder / "e.json")["stats"]["AP"].get<double>());
  EXPECT_THAT(read_file(folder / "r.html"), HasSubstr(ap));
}

}  // namespace
}  // namespace cytodet::test
