// quantize --mode, convert to .tflite, compile-report and compare-modes.
#include <gmock/gmock.h>

#include "tests/graph/onnx_writer.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

const std::string kModesLenet = kSource + "/tests/data/graph/lenet_frozen.pb", kModesFeeds = kSource + "/tests/data/quant/lenet";
const std::string kLite = kSource + "/tests/data/graph/tflite/";
const std::string kCellsModel = kSource + "/models/classification/blood_cells.json",
                  kCellsVal = kSource + "/tests/data/cells/val";

class QuantizeModes : public ProgramTest {
 protected:
  int64_t size(const std::string& name) const { return static_cast<int64_t>(std::filesystem::file_size(path(name))); }
  Output quantize(const std::string& mode, const std::string& name, std::vector<std::string> more = {}) const {
    std::vector<std::string> words{"quantize", kModesLenet, "--mode", mode, "-o", path(name), "--quiet"};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }
  std::string answer(const std::string& name) const {
    const Output o = run({"infer", path(name), "--feeds", kModesFeeds + "/b.json"});
    EXPECT_EQ(o.code, 0) << name << o.err;
    return o.code ? "" : json_of(o.out)["outputs"]["output"]["data"].dump();
  }
  static Json json_of(const std::string& text) { return Json::parse(text); }
};

TEST_F(QuantizeModes, EveryModeWritesAFileThatAnswers) {
  const std::vector<std::string> sized{"--input", "input=1,784"}, calibrated{"--images", kModesFeeds};
  const Output wanted = run({"infer", kModesLenet, "--feeds", kModesFeeds + "/b.json"});
  const std::string best = json_of(wanted.out)["outputs"]["output"]["data"].dump();
  for (const std::string end : {".pb", ".tflite"}) {
    for (const std::string mode : {"weights", "float16", "dynamic"}) {
      const Output o = quantize(mode, mode + end, sized);
      ASSERT_EQ(o.code, 0) << mode << end << o.err;
      EXPECT_EQ(answer(mode + end), best) << mode << end;
    }
    const Output o = quantize("int8", "int8" + end, calibrated);
    ASSERT_EQ(o.code, 0) << o.err;
    EXPECT_EQ(answer("int8" + end), best) << end;
    EXPECT_LT(size("int8" + end), size("float16" + end));
    EXPECT_LT(size("weights" + end), size("float16" + end));
  }
}

TEST_F(QuantizeModes, FullIntegerFilesSayWhatTheyTake) {
  for (const std::string end : {".pb", ".tflite"})
    for (const std::string io : {"uint8", "int8"}) {
      const std::string name = "full_" + io + end;
      const Output o = quantize("full-int8", name, {"--images", kModesFeeds, "--io", io});
      ASSERT_EQ(o.code, 0) << name << o.err;
      EXPECT_THAT(o.out, HasSubstr("input input: " + io + ", number = (value - ")) << name;
      EXPECT_THAT(run({"inspect", path(name)}).out, HasSubstr("type=" + io)) << name;
    }
}

TEST_F(QuantizeModes, WhatCannotBeIsAnError) {
  const auto only = [&](const Output& o, int code, const std::string& what) {
    EXPECT_EQ(o.code, code) << o.err;
    ASSERT_THAT(o.errors(), SizeIs(1)) << o.err;
    EXPECT_THAT(o.errors()[0], HasSubstr(what));
  };
  only(quantize("int4", "x.pb"), 2, "--mode int4: there is no such mode");
  only(quantize("full-int8", "x.pb"), 2, "needs ranges");
  only(quantize("full-int8", "x.tflite", {"--images", kModesFeeds, "--io", "int16"}), 2, "--io int16");
  only(quantize("weights", "x.pb", {"--report", path("r.json")}), 2, "is for the INT8 graph alone");
  only(quantize("weights", "x.tflite"), 1, "TensorFlow Lite wants fixed sizes");
  only(run({"convert", kModesLenet, "-o", path("x.tflite"), "--mode", "int8"}), 2, "needs calibration");
  only(run({"convert", kModesLenet, "-o", path("x.onnx"), "--mode", "weights"}), 2, "is for .tflite files");
  EXPECT_FALSE(std::filesystem::exists(path("x.tflite")));
}

TEST_F(QuantizeModes, PixelsAsTheyAreAreNoticed) {
  std::filesystem::create_directories(path("raw"));
  Json feeds = read_json(kModesFeeds + "/b.json");
  Json& data = feeds["inputs"]["input:0"]["data"];
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<double>(i % 256);
  put("raw/a.json", feeds.dump());
  const Output raw = quantize("int8", "x.tflite", {"--images", path("raw")}),
               usual = quantize("int8", "y.tflite", {"--images", kModesFeeds});
  EXPECT_THAT(raw.err, HasSubstr("input input is fed whole numbers of 0 to 255"));
  EXPECT_THAT(usual.err, ::testing::Not(HasSubstr("whole numbers")));
}

TEST_F(QuantizeModes, TheReportCountsEveryOperator) {
  const Output o = run({"compile-report", kLite + "net_integer/model.tflite", "--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  const Json j = json_of(o.out);
  EXPECT_EQ(j["macs"], j["int8_macs"]);
  int count = 0;
  for (const Json& row : j["operators"]) count += row["count"].get<int>();
  EXPECT_EQ(count, j["operations"].get<int>());
  const Output text = run({"compile-report", kLite + "net_integer/model.tflite"});
  EXPECT_THAT(text.out, AllOf(HasSubstr("Model compiled successfully for this machine"), HasSubstr("100.0 % of them in 8 bits"),
                              ::testing::ContainsRegex("Conv2D +5 +INT8 kernel\n")));
}

// A file whose operators are not all read is counted all the same.
TEST_F(QuantizeModes, TheReportCountsOperatorsOfOnnxThatAreNotRead) {
  using namespace cytodet::test;
  put("net.onnx",
      onnx_model(onnx_input("x", {1, 3, 8, 8}) + onnx_node("Relu", {"x"}, {"a"}) +
                 onnx_node("Foo", {"a"}, {"b"}, onnx_bytes(7, "com.x")) + onnx_node("Foo", {"b"}, {"c"}, onnx_bytes(7, "com.x")) +
                 onnx_node("STFT", {"c"}, {"y"}) + onnx_output("y")));
  const Output o = run({"compile-report", path("net.onnx"), "--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  const Json j = json_of(o.out);
  EXPECT_EQ(j["operations"], 4);
  EXPECT_EQ(j["mapped"], 1);
  ASSERT_EQ(j["operators"].size(), 3u);
  EXPECT_EQ(j["operators"][2]["operator"], "com.x.Foo");
  EXPECT_EQ(j["operators"][2]["count"], 2);
  EXPECT_THAT(run({"compile-report", path("net.onnx")}).out,
              ::testing::ContainsRegex("com.x.Foo +2 +Not supported: it is not read\n"));
}

// As the compiler's own logs have it: of a model with floats at its ends the two conversions stay on the CPU.
TEST_F(QuantizeModes, TheForecastForTheEdgeTpuIsOne) {
  const Output integer = run({"compile-report", kLite + "net_integer/model.tflite", "--target", "edgetpu"});
  EXPECT_THAT(integer.out, AllOf(HasSubstr("forecast for Edge TPU by its compiler's published rules; that compiler was not run"),
                                 ::testing::ContainsRegex("QUANTIZE +1 +Operation is otherwise supported, but not mapped"),
                                 ::testing::ContainsRegex("DEQUANTIZE +1 +Operation is working on an unsupported data type"),
                                 ::testing::ContainsRegex("CONV_2D +5 +Mapped to Edge TPU\n")));
  const Json full =
      json_of(run({"compile-report", kLite + "net_full_integer/model.tflite", "--target", "edgetpu", "--json"}).out);
  EXPECT_EQ(full["mapped"], full["operations"]);
  const Json floats = json_of(run({"compile-report", kLite + "net_float/model.tflite", "--target", "edgetpu", "--json"}).out);
  EXPECT_EQ(floats["mapped"], 0);
  const Output none = run({"compile-report", kModesLenet, "--target", "edgetpu"});
  EXPECT_EQ(none.code, 1);
  EXPECT_THAT(none.err, HasSubstr("is no TensorFlow Lite model, which that compiler takes"));
}

TEST_F(QuantizeModes, AllModesSideBySide) {
  const Output o = run({"compare-modes", kCellsModel, "--labels", kCellsVal, "--max-images", "16", "--threads", "1,2", "--rounds",
                        "3", "--quiet", "--json", path("modes.json"), "--svg", path("modes.svg")});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, AllOf(HasSubstr("File size, MB (.pb)"), HasSubstr("Accuracy on "), HasSubstr("Milliseconds per inference")));
  const Json j = read_json(path("modes.json"));
  std::vector<std::string> names;
  for (const Json& row : j["modes"]) {
    names.push_back(row["mode"]);
    EXPECT_FALSE(row.contains("problem")) << row.dump();
    EXPECT_GT(row["bytes"].get<int64_t>(), 0);
    EXPECT_EQ(row["ms"].size(), 2u);
    EXPECT_NEAR(row["accuracy"].get<double>(), j["modes"][0]["accuracy"].get<double>(), 0.03);
  }
  EXPECT_THAT(names, ElementsAre("float", "weights", "float16", "int8", "full-int8"));
  EXPECT_LT(j["modes"][3]["bytes"].get<int64_t>(), j["modes"][2]["bytes"].get<int64_t>());
  EXPECT_THAT(read_file(path("modes.svg")), HasSubstr("<svg"));
}

}  // namespace
}  // namespace cytodet::test
