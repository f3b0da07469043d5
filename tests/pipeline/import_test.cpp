// cytodet import: networks in the forms of other exporters. What a reference finds with them is in tests/data/import
// (scripts/make_import_golden.py).
#include <gmock/gmock.h>

#include <cmath>
#include <set>

#include "core/settings.h"
#include "models/recognise.h"
#include "models/recognition_parts.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kNetworks = kSource + "/tests/data/import", kImportImage = kSource + "/tests/data/bccd/BloodImage_00007.jpg";

struct Found {
  double box[4];
  double score;
  int category;
};

class Import : public ProgramTest {
 protected:
  std::string copy(const std::string& name) const {
    std::filesystem::copy_file(kNetworks + "/" + name, folder / name, std::filesystem::copy_options::overwrite_existing);
    return path(name);
  }
  Output import(const std::string& file, std::vector<std::string> options) const {
    options.insert(options.begin(), {"import", file});
    return run(options);
  }
  // On tests/data/import/cells.png.
  std::vector<Found> detected(const std::string& model) const {
    const Output d = run({"detect", "--model", model, kNetworks + "/cells.png", "-o", model + ".out"});
    EXPECT_EQ(d.code, 0) << d.err;
    std::vector<Found> found;
    for (const Json& row : read_json(model + ".out/detections.json")) {
      const std::vector<double> b = row["bbox"].get<std::vector<double>>();
      found.push_back({{b[0], b[1], b[0] + b[2], b[1] + b[3]}, row["score"].get<double>(), row["category_id"].get<int>() - 1});
    }
    return found;
  }
};

// Every row of `expected` is found, and nothing else: boxes to 0.05 pixels, scores to 2e-3.
void expect_detections(const std::vector<Found>& found, const Json& expected) {
  ASSERT_EQ(found.size(), expected.size());
  std::vector<bool> used(found.size());
  for (const Json& e : expected) {
    bool matched = false;
    for (size_t i = 0; i < found.size() && !matched; ++i) {
      bool same = !used[i] && found[i].category == e[5].get<int>() && std::abs(found[i].score - e[4].get<double>()) < 2e-3;
      for (size_t k = 0; k < 4; ++k) same = same && std::abs(found[i].box[k] - e[k].get<double>()) < 0.05;
      if (same) used[i] = matched = true;
    }
    EXPECT_TRUE(matched) << e.dump();
  }
}

TEST_F(Import, NetworksOfOtherExportersFindWhatTheirReferenceFinds) {
  const Json cases = read_json(kNetworks + "/cases.json");
  std::set<std::string> families;
  for (const auto& item : cases.items()) {
    SCOPED_TRACE(item.key());
    const Json& c = item.value();
    const std::string model = path(item.key() + ".json");
    std::vector<std::string> options = c["options"].get<std::vector<std::string>>();
    const Output o = import(copy(item.key() + ".onnx"), options);
    ASSERT_EQ(o.code, 0) << o.err;
    EXPECT_THAT(o.out, HasSubstr(model + " is written"));
    const Json written = read_json(model);
    Json wanted = written;
    wanted.merge_patch(c["model"]);
    EXPECT_EQ(wanted, written);
    families.insert(c["family"].get<std::string>());
    expect_detections(detected(model), c["detections"]);
  }
  // Families without a case: TensorFlow's, which the tests below import (and tests/models/recognise_test.cpp); and yolov6, whose
  // boxes are those of yolox.
  families.insert({"object_detection", "efficientdet", "tflite_detection", "yolov6"});
  for (const models::Recogniser& r : models::recognisers()) EXPECT_TRUE(families.contains(r.name)) << r.name;
}

// tests/data/import/yolov8.tflite is yolov8.onnx as ultralytics writes it for TensorFlow Lite: boxes divided by the input's size.
TEST_F(Import, BoxesOfTensorFlowLiteAreSharesOfTheInput) {
  const Output o = import(copy("yolov8.tflite"), {"--classes", "round,d'oh,flat", "--score", "0.3"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("boxes as shares of the input"));
  EXPECT_EQ(read_json(path("yolov8.json"))["box_unit"], "share");
  expect_detections(detected(path("yolov8.json")), read_json(kNetworks + "/cases.json")["yolov8"]["detections"]);
}

TEST_F(Import, FoldersMayEndInASlash) {
  std::filesystem::copy(kSource + "/tests/data/graph/saved/keras/saved_model", folder / "net");
  put("net.json", "mine");
  EXPECT_THAT(import(path("net") + "//", {}).errors(), ElementsAre(HasSubstr(path("net.json") + ": exists already")));
}

TEST_F(Import, EfficientDetIsThatOfTheShippedModelFile) {
  std::filesystem::create_symlink(kSource + "/models/efficientdet/efficientdet_d0_blood.pb", folder / "d0.pb");
  const Output o = import(path("d0.pb"), {"--classes", "RBC,WBC,Platelets", "--name", "EfficientDet-D0 blood cells"});
  ASSERT_EQ(o.code, 0) << o.err;
  Json ours = read_json(path("d0.json")), theirs = read_json(kModel);
  for (const char* key : {"name", "input", "class_logits", "box_deltas", "anchors", "classes", "suppression"})
    EXPECT_EQ(ours[key], theirs[key]) << key;
  EXPECT_THAT(import(path("d0.pb"), {"--classes", "a,b", "--overwrite"}).errors(),
              ElementsAre(AllOf(HasSubstr("--classes: has 2 classes, but the outputs have scores of 3"))));
}

TEST_F(Import, ExportsOfTheObjectDetectionApiAreKnownByTheirNames) {
  std::filesystem::copy_file(kSource + "/tests/data/graph/detectors/small/graph.pb", folder / "ssd.pb");
  Output o = import(path("ssd.pb"), {"--classes", "a,b,c"});
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.errors(), ElementsAre(AllOf(HasSubstr("leaves the size of input image_tensor open"), HasSubstr("--size"))));
  o = import(path("ssd.pb"), {"--classes", "a,b,c", "--size", "40x24"});
  ASSERT_EQ(o.code, 0) << o.err;
  const Json j = read_json(path("ssd.json"));
  EXPECT_EQ(j["outputs"]["count"], "num_detections");
  EXPECT_EQ(j["input"]["divisor"], 1);
  EXPECT_EQ(run({"detect", "--model", path("ssd.json"), kImportImage, "-o", path("out")}).code, 0);
}

TEST_F(Import, WhatTheFileDoesNotSayIsAskedFor) {
  Output o = import(copy("yolox.onnx"), {});
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.errors(),
              ElementsAre(AllOf(HasSubstr("yolox.onnx: is YOLOX"), HasSubstr("the names of 3 classes are not in the file"),
                                HasSubstr("give --classes NAMES"))));
  EXPECT_FALSE(std::filesystem::exists(path("yolox.json")));
  o = import(copy("yolox_raw.onnx"), {"--classes", "a,b,c"});
  EXPECT_THAT(o.errors(), ElementsAre(AllOf(HasSubstr("fit several families: yolox, yolov6"), HasSubstr("--family"))));
  EXPECT_EQ(import(path("yolox_raw.onnx"), {"--family", "yolov6", "--class-count", "3"}).code, 0);
  EXPECT_EQ(read_json(path("yolox_raw.json"))["input"]["placement"], "center");
  o = import(copy("detr.onnx"), {});
  EXPECT_THAT(o.errors(), ElementsAre(HasSubstr("fit several families: detr, rtdetr")));
  o = import(copy("named.onnx"), {"--classes", "a,b,c"});
  EXPECT_THAT(o.errors(), ElementsAre(AllOf(HasSubstr("--box-form"), HasSubstr("--box-unit"), HasSubstr("--class-numbers"),
                                            HasSubstr("--divisor"))));
}

// What a network takes beside the image is a constant, or it is refused: zeros would give boxes of nothing.
TEST_F(Import, InputsThatNothingFeedsAreNamed) {
  ASSERT_EQ(import(copy("rtdetr_deployed.onnx"), {"--classes", "a,b,c"}).code, 0);
  const Output inferred = run({"infer", path("rtdetr_deployed.onnx")});
  EXPECT_EQ(inferred.code, 2);
  EXPECT_THAT(inferred.errors(), ElementsAre(AllOf(HasSubstr("rtdetr_deployed.onnx: input "), HasSubstr("is not fed"))));
  Json model = read_json(path("rtdetr_deployed.json"));
  model["input"].erase("size_node");
  put("rtdetr_deployed.json", model.dump());
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"detect", "--model"}, {"quantize"}, {"bench", "--model"}}) {
    std::vector<std::string> all = words;
    all.push_back(path("rtdetr_deployed.json"));
    if (words[0] == "detect") all.insert(all.end(), {kNetworks + "/cells.png", "-o", path("out")});
    if (words[0] == "quantize") all.insert(all.end(), {"--images", kSource + "/tests/data/bccd", "-o", path("int8.pb")});
    const Output o = run(all);
    EXPECT_EQ(o.code, 1) << words[0];
    EXPECT_THAT(o.err, AllOf(HasSubstr("rtdetr_deployed.onnx: "),
                             HasSubstr("input orig_target_sizes: is fed by nothing: the model file feeds images "
                                       "alone; make it a constant")))
        << words[0];
  }
}

TEST_F(Import, SizesThatANetworkTakesStayInAQuantizedOne) {
  ASSERT_EQ(import(copy("rtdetr_deployed.onnx"), {"--classes", "round,d'oh,flat", "--score", "0.3"}).code, 0);
  Output o =
      run({"quantize", path("rtdetr_deployed.json"), "--images", kNetworks + "/cells.png", "-o", path("int8.pb"), "--quiet"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_GT(detected(path("int8.json")).size(), 20u);
}

TEST_F(Import, WhatIsNoDetectionNetworkIsRefused) {
  EXPECT_THAT(import(kSource + "/tests/data/graph/lenet_frozen.pb", {"-o", path("x.json")}).errors(),
              ElementsAre(AllOf(HasSubstr("lenet_frozen.pb"), HasSubstr("are those of no family that is known"))));
  EXPECT_THAT(import(copy("yolov8.onnx"), {"--family", "yolov5"}).errors(),
              ElementsAre(AllOf(HasSubstr("--family yolov5: does not fit"), HasSubstr("output0"))));
  EXPECT_THAT(import(path("yolov8.onnx"), {"--family", "yolov9"}).errors(), ElementsAre(HasSubstr("did you mean")));
  EXPECT_THAT(import(path("yolov8.onnx"), {"--size", "64y64"}).errors(), ElementsAre(HasSubstr("WIDTHxHEIGHT")));
  for (const char* size : {"4294967360", "4294967360x64", "64x", "x64", "64x64x", " 64", "-64", "64x0"})
    EXPECT_THAT(import(path("yolov8.onnx"), {std::string("--size=") + size}).errors(), ElementsAre(HasSubstr("is no size")))
        << size;
  EXPECT_THAT(import(path("yolov8.onnx"), {"--placement", "middle"}).errors(), ElementsAre(HasSubstr("center")));
  EXPECT_EQ(import(path("none.onnx"), {}).code, 1);
  EXPECT_EQ(run({"import"}).code, 2);
}

TEST_F(Import, FilesOfTheUserStay) {
  const std::string network = copy("yolov8.onnx");
  put("yolov8.json", "mine");
  EXPECT_THAT(import(network, {}).errors(),
              ElementsAre(AllOf(HasSubstr("yolov8.json: exists already"), HasSubstr("--overwrite"))));
  EXPECT_EQ(read_file(path("yolov8.json")), "mine");
  EXPECT_EQ(import(network, {"--overwrite"}).code, 0);
  EXPECT_EQ(import(network, {"-o", network}).code, 2);
  EXPECT_EQ(import(network, {"-o", path("elsewhere.json"), "--classes-file", put("names.txt", "x\ny\nz\n")}).code, 0);
  EXPECT_THAT(read_json(path("elsewhere.json"))["classes"].get<std::vector<std::string>>(), ElementsAre("x", "y", "z"));
}

TEST_F(Import, FamiliesAreListed) {
  const Output o = run({"import", "--list"});
  EXPECT_EQ(o.code, 0);
  for (const models::Recogniser& r : models::recognisers()) EXPECT_THAT(o.out, HasSubstr(std::string(r.name) + ": " + r.summary));
}

TEST(PythonNames, DictsAndListsAreRead) {
  using models::python_names;
  EXPECT_THAT(python_names("{0: 'a', 1: \"it's\", 2: 'q\\'s'}"), ElementsAre("a", "it's", "q's"));
  EXPECT_THAT(python_names("['a', 'b',]"), ElementsAre("a", "b"));
  EXPECT_THAT(python_names("{1: 'b', 0: 'a'}"), ElementsAre("a", "b"));
  for (const char* bad :
       {"", "{", "{0: 'a'", "{0 'a'}", "{1: 'a'}", "{0: 'a', 0: 'b'}", "{0: a}", "['a' 'b']", "['a'] x", "{'a': 0}"})
    EXPECT_THAT(python_names(bad), IsEmpty()) << bad;
}

}  // namespace
}  // namespace cytodet::test
