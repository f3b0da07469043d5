// Classification through the program, on the shipped network and crops of blood cells.
#include <gmock/gmock.h>

#include <sstream>

#include "core/settings.h"
#include "tests/graph/record_writer.h"
#include "tests/pipeline/cells.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class Classify : public ProgramTest {
 protected:
  static Json golden() { return read_json(kCells + "/golden.json"); }
  Output classify(std::vector<std::string> more) const {
    std::vector<std::string> all{"classify", "--model", kClassifier};
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  }
  Output evaluate(std::vector<std::string> more) const {
    std::vector<std::string> all{"evaluate", "--model", kClassifier, "--quiet"};
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  }
  void expect_error(const Output& o, int code, const std::string& part) const {
    EXPECT_EQ(o.code, code) << o.err;
    ASSERT_EQ(o.errors().size(), 1u) << o.err;
    EXPECT_THAT(o.errors()[0], HasSubstr(part));
  }
  static std::string read_cell(const std::string& name) { return read_file(kCells + "/val/" + name); }
  // The first crops of golden.json, in its order.
  static std::vector<std::string> some_cells() {
    std::vector<std::string> names;
    const Json all = golden();
    for (const auto& [name, scores] : all["scores"].items()) names.push_back(name);
    return names;
  }
};

TEST_F(Classify, ScoresAreTensorFlows) {
  const Json g = golden();
  std::vector<std::string> inputs;
  for (const std::string& name : some_cells()) inputs.push_back(kCells + "/val/" + name);
  std::vector<std::string> words = inputs;
  words.insert(words.end(), {"--format", "json", "--top", "3"});
  const Output o = classify(words);
  ASSERT_EQ(o.code, 0) << o.err;
  const Json got = Json::parse(o.out);
  ASSERT_EQ(got["images"].size(), inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Json& image = got["images"][i];
    EXPECT_EQ(image["file"], inputs[i]);
    for (const Json& top : image["top"])
      EXPECT_NEAR(top["score"].get<double>(), g["scores"][some_cells()[i]][top["channel"].get<size_t>()].get<double>(), 1e-5)
          << inputs[i];
  }
}

TEST_F(Classify, FormsOfOutput) {
  const std::string cell = kCells + "/val/" + some_cells()[0];
  const Output text = classify({cell, "--top", "2"});
  EXPECT_THAT(text.out, StartsWith(cell + ": RBC "));
  const Output csv = classify({kCells + "/some.tfrecord", "--format", "csv", "--top", "2", "-o", path("classes.csv")});
  EXPECT_THAT(csv.out, StartsWith("12 of 12 images classified in "));
  std::istringstream lines(read_file(path("classes.csv")));
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "filename,actual,prediction,score,prediction_2,score_2");
  std::getline(lines, line);
  EXPECT_THAT(line, StartsWith("\"" + kCells + "/some.tfrecord, record 0\",0,RBC,"));
  expect_error(classify({cell, "--format", "xml"}), 2, "--format: there is no form \"xml\"; known: text, json, csv");
}

TEST_F(Classify, DependsNeitherOnBatchNorOnStreams) {
  const Output one = classify({kCells + "/calibration", "--batch", "1", "--streams", "1", "--format", "csv"});
  ASSERT_EQ(one.code, 0) << one.err;
  for (const std::vector<std::string>& how :
       {std::vector<std::string>{"--batch", "7", "--streams", "2"}, {"--batch", "100", "--threads", "2"}}) {
    std::vector<std::string> words{kCells + "/calibration", "--format", "csv"};
    words.insert(words.end(), how.begin(), how.end());
    EXPECT_EQ(classify(words).out, one.out);
  }
}

TEST_F(Classify, AccuracyIsTensorFlows) {
  const Output o = evaluate({"--images", kCells + "/val", "--batch", "64", "-o", path("scores.json")});
  ASSERT_EQ(o.code, 0) << o.err;
  const Json g = golden(), got = read_json(path("scores.json"))["models"][0];
  EXPECT_EQ(got["images"], g["images"]);
  EXPECT_NEAR(got["top1"].get<double>(), g["top1"].get<double>(), 1e-9);
  EXPECT_GE(got["top1"].get<double>(), 0.97);
  EXPECT_EQ(got["top5"], 1.0);
  EXPECT_THAT(o.out, HasSubstr("images scored, the last batch of"));
}

TEST_F(Classify, LinesOfProgressAreThoseOfTheTutorial) {
  const Output o =
      run({"evaluate", "--model", kClassifier, "--images", kCells + "/some.tfrecord", "--batch-size", "5", "--streams", "1"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, ::testing::ContainsRegex(
                         "^Iteration time: [0-9]+\\.[0-9][0-9][0-9][0-9] ms\n"
                         "Processed 5 images\\. \\(Top1 accuracy, Top5 accuracy\\) = \\([01]\\.[0-9]+, 1\\.0000\\)\n"));
  EXPECT_THAT(o.out, HasSubstr("Processed 12 images. (Top1 accuracy, Top5 accuracy) = ("));
  EXPECT_THAT(o.out, HasSubstr("12 images scored, the last batch of 2 among them"));
}

TEST_F(Classify, Int8LosesAtMostHalfAPoint) {
  const Output q = run({"quantize", kClassifier, "--images", kCells + "/calibration", "-o", path("int8.pb"), "--quiet"});
  ASSERT_EQ(q.code, 0) << q.err;
  const Output o = evaluate({"--images", kCells + "/val", "--compare", path("int8.json"), "-o", path("scores.json"),
                             "--results-file", path("list.csv")});
  ASSERT_EQ(o.code, 0) << o.err;
  const Json models = read_json(path("scores.json"))["models"];
  EXPECT_LE(models[1]["top1_drop"].get<double>(), 0.005);
  EXPECT_LT(models[1]["file_bytes"].get<int64_t>(), models[0]["file_bytes"].get<int64_t>() / 2);
  EXPECT_THAT(o.out, HasSubstr("drop"));
  const std::string list = read_file(path("list.csv"));
  EXPECT_EQ(std::count(list.begin(), list.end(), '\n'), golden()["images"].get<int>() + 1);
}

TEST_F(Classify, LabelsComeAsFoldersTablesAndRecords) {
  const std::vector<std::string> cells = some_cells();
  std::string table = "file,label\n";
  for (size_t i = 0; i < cells.size(); ++i) {
    const std::string name = cells[i].substr(0, cells[i].find('/'));
    table += "val/" + cells[i] + "," + (i % 2 ? name : name == "RBC" ? "0" : name == "WBC" ? "1" : "2") + "\n";
    std::filesystem::create_directories(folder / "by_class" / name);
    std::filesystem::copy(kCells + "/val/" + cells[i], folder / "by_class" / cells[i]);
  }
  std::filesystem::create_directory_symlink(kCells + "/val", folder / "val");
  put("labels.csv", table);
  std::filesystem::create_directory(folder / "records");
  for (int part = 0; part < 2; ++part) {
    std::string bytes;
    for (size_t i = 0; i < cells.size(); ++i)
      if (static_cast<int>(i % 2) == part)
        bytes += record(image_example(read_cell(cells[i]), cells[i][0] == 'R' ? 0 : cells[i][0] == 'W' ? 1 : 2, i % 3 == 0));
    write_file(folder / "records" / ("validation-0000" + std::to_string(part) + "-of-00002"), bytes);
  }
  std::vector<Json> scores;
  for (const std::string& input : {path("by_class"), path("labels.csv"), path("records"), kCells + "/some.tfrecord"}) {
    const Output o = evaluate({"--images", input, "-o", path("scores.json")});
    ASSERT_EQ(o.code, 0) << input << o.err;
    Json j = read_json(path("scores.json"))["models"][0];
    for (const char* key : {"ms_per_image", "images_per_s"}) j.erase(key);
    scores.push_back(j);
  }
  EXPECT_EQ(scores[0]["images"], 12);
  for (const Json& other : scores) EXPECT_EQ(other, scores[0]);
}

TEST_F(Classify, BadLabelsAreNamedBeforeAnythingRuns) {
  const std::string cell = kCells + "/val/" + some_cells()[0];
  expect_error(evaluate({"--images", put("a.csv", cell + ",RBX\n")}), 2,
               cell + ": label RBX is none of the 3 classes; did you mean RBC");
  expect_error(evaluate({"--images", put("b.csv", cell + ",3\n")}), 2, "label 3 is none of the 3 classes; check label_offset");
  expect_error(evaluate({"--images", put("c.csv", cell + "\n")}), 1, "c.csv: line 1 has no label");
  expect_error(evaluate({"--images", put("d.csv", "\"" + cell + ",RBC\n")}), 1, "d.csv: line 1 has a quote that is not closed");
  expect_error(evaluate({"--images", put("e.csv", "file,label\n")}), 1, "e.csv: names no images");
  expect_error(evaluate({"--images", kCells + "/calibration"}), 2, ".jpg: has no label; name a folder per class");
}

TEST_F(Classify, BadImagesLeaveTheOthersAlone) {
  std::filesystem::create_directories(folder / "cells/RBC");
  const std::string whole = read_cell(some_cells()[0]);
  write_file(folder / "cells/RBC/a.jpg", whole);
  write_file(folder / "cells/RBC/b.jpg", whole.substr(0, whole.size() / 2));
  const Output o = classify({path("cells"), "--format", "json"});
  expect_error(o, 3, "b.jpg: damaged JPEG");
  const Json images = Json::parse(o.out)["images"];
  EXPECT_THAT(images[0]["top"].size(), 3u);
  EXPECT_THAT(images[1]["problem"].get<std::string>(), HasSubstr("damaged JPEG"));
  expect_error(evaluate({"--images", path("cells")}), 3, "b.jpg: damaged JPEG");
  // Records: one whose data is damaged, one of another class; then a file that is cut off.
  std::string flipped = record(image_example(whole, 0));
  flipped[40] ^= 1;
  const std::string good = record(image_example(whole, 0)), strange = record(image_example(whole, 7));
  put("some.tfrecord", good + flipped + strange);
  const Output records = evaluate({"--images", path("some.tfrecord")});
  EXPECT_EQ(records.code, 3);
  EXPECT_THAT(records.errors(), ElementsAre(HasSubstr("some.tfrecord, record 1: has a wrong checksum"),
                                            HasSubstr("some.tfrecord, record 2: label 7 is none of the 3 classes")));
  EXPECT_THAT(records.out, HasSubstr("2 images scored"));
  EXPECT_THAT(records.out, HasSubstr("1 of 2 images are misses, as their labels are none of the classes"));
  EXPECT_THAT(records.out, HasSubstr("0.5000   0.5000   0.5000"));
  put("cut.tfrecord", good + flipped.substr(0, 30));
  expect_error(evaluate({"--images", path("cut.tfrecord")}), 1, "cut.tfrecord: record 1 at byte");
}

TEST_F(Classify, LabelsAreNumbersOfTheDataSetWhereClassesHaveNoNames) {
  Json model = read_json(kClassifier);
  model["graph"] = kSource + "/models/classification/blood_cells.pb";
  const std::string cell = kCells + "/val/" + some_cells()[0];
  const std::string table = put("a.csv", cell + ",1\n");
  Json numbered = model;
  numbered.erase("classes");
  numbered["class_count"] = 3;
  numbered["label_offset"] = -1;
  const auto top1 = [&](const Json& json) {
    const Output o = run({"evaluate", "--model", put("m.json", json.dump()), "--images", table, "-o", path("o.json"), "--quiet"});
    EXPECT_EQ(o.code, 0) << o.err;
    return read_json(path("o.json"))["models"][0]["top1"].get<double>();
  };
  EXPECT_EQ(top1(numbered), 1) << "number 1 is channel 0";
  model["classes"] = {"cell", "1", "cell"};
  EXPECT_EQ(top1(model), 0) << "the class of the name 1 is channel 1";
  put("a.csv", cell + ",cell\n");
  expect_error(run({"evaluate", "--model", path("m.json"), "--images", table}), 2, "label cell is the name of several classes");
}

TEST_F(Classify, ScoresThatAreNotFiniteAreReported) {
  Json model = read_json(kClassifier);
  model["graph"] = kSource + "/models/classification/blood_cells.pb";
  model["input"]["divisor"] = 1e-38;
  const std::string cell = kCells + "/val/" + some_cells()[0];
  const Output o = run({"classify", "--model", put("m.json", model.dump()), cell});
  expect_error(o, 1, cell + ": the network gives it scores that are no finite numbers");
  EXPECT_EQ(o.out, "");
  // evaluate counts such an image as a miss.
  const Output scored =
      run({"evaluate", "--model", path("m.json"), "--images", put("a.csv", cell + ",RBC\n"), "-o", path("o.json"), "--quiet"});
  expect_error(scored, 3, "the network gives it scores that are no finite numbers");
  EXPECT_THAT(scored.out, HasSubstr("m: 1 of 1 images are misses"));
  EXPECT_EQ(read_json(path("o.json"))["models"][0]["top1"], 0);
  EXPECT_EQ(read_json(path("o.json"))["models"][0]["images"], 1);
}

TEST_F(Classify, WhatCannotHaveALabelIsNamed) {
  expect_error(evaluate({"--images", path("nowhere")}), 2, "nowhere: cannot open: no such file or folder");
  expect_error(evaluate({"--images", put("empty.tfrecord", "")}), 2, "empty.tfrecord: is empty");
}

TEST_F(Classify, KindsOfNetworksAreNotTakenForEachOther) {
  const std::string image = kSource + "/tests/data/bccd/BloodImage_00007.jpg";
  expect_error(run({"classify", "--model", kModel, image}), 2,
               "is a network for detection (family efficientdet), not for classification");
  expect_error(run({"detect", "--model", kClassifier, image, "-o", path("out")}), 2, "is a network for classification");
  expect_error(run({"evaluate", "--model", kModel, "--images", image}), 2, "needs --truth");
  expect_error(run({"evaluate", "--model", put("bad.json", "{\"family\": \"classification\"}"), "--images", image}), 2,
               "bad.json: graph: is missing");
  std::filesystem::remove(path("bad.json"));
  expect_error(evaluate({"--images", image, "--truth", kSource + "/tests/data/bccd/val.json"}), 2, "--truth: is for detections");
  EXPECT_THAT(names(folder), IsEmpty());
}

TEST_F(Classify, RunConfigComparesPrecisions) {
  const Json config{{"model", kClassifier},
                    {"inputs", {kCells + "/some.tfrecord"}},
                    {"output", "out"},
                    {"classify", {{"batch", 4}, {"top", 2}}},
                    {"quantize", {{"images", kCells + "/calibration"}}}};
  const Output o = run({"run", put("run.json", config.dump()), "--quiet"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("fp32"));
  EXPECT_THAT(o.out, HasSubstr("int8"));
  EXPECT_EQ(read_json(folder / "out/scores.json")["models"].back()["model"], "int8");
  EXPECT_THAT(names(folder / "out"), ::testing::IsSupersetOf({"classes.csv", "fp32.json", "fp32.pb", "int8.json", "int8.pb",
                                                              "ranges.json", "scores.json"}));
  EXPECT_EQ(run({"run", path("run.json"), "--quiet"}).code, 0) << "its own files are replaced";
  put("out/classes.csv", "somebody's");
  expect_error(run({"run", path("run.json"), "--quiet"}), 2, "classes.csv");
}

TEST_F(Classify, MaxDropMeasuresTop1) {
  const Output o = run({"quantize", kClassifier, "--images", kCells + "/val", "--max-images", "20", "--max-drop", "0.5", "-o",
                        path("int8.pb"), "--report", path("report.json")});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("float: top-1 0.9"));
  EXPECT_GE(read_json(path("report.json"))["accuracy"]["float_top1"].get<double>(), 0.97);
}

}  // namespace
}  // namespace cytodet::test
