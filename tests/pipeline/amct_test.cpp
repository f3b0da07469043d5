// AMCT's files and flags: amct calibration, records, classify --compare; weights in few bits; fake quantization.
#include <gmock/gmock.h>

#include "graph/io/read_graph.h"
#include "graph/io/tensorflow/graph_def.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

const std::string kAmctLenet = kSource + "/tests/data/graph/lenet_frozen.pb", kAmctFeeds = kSource + "/tests/data/quant/lenet";
const std::string kAmctCells = kSource + "/models/classification/blood_cells.json";

class Amct : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    std::filesystem::create_directories(path("bins"));
    for (int sample = 0; sample < 3; ++sample) {
      std::vector<float> x(784);
      for (size_t i = 0; i < x.size(); ++i)
        x[i] = 0.5f + 0.5f * std::sin(0.1f * static_cast<float>((sample + 2) * (i % 28)) + 0.01f * static_cast<float>(i));
      put("bins/" + std::to_string(sample) + ".bin", {reinterpret_cast<const char*>(x.data()), 4 * x.size()});
    }
  }
  Output calibration(const std::string& out, std::vector<std::string> more = {}) const {
    std::vector<std::string> words{"amct",       "calibration",   "--model",     kAmctLenet,    "--outputs",
                                   "output:0",   "--input_shape", "input:1,784", "--data_type", "float32",
                                   "--data_dir", path("bins"),    "--save_path", path(out)};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }
  std::string answer(const std::string& graph) const {
    const Output o = run({"infer", graph, "--feeds", kAmctFeeds + "/b.json"});
    EXPECT_EQ(o.code, 0) << o.err;
    return o.code ? "" : Json::parse(o.out)["outputs"]["output"]["data"].dump();
  }
  void one_error(const Output& o, const std::string& what) const {
    EXPECT_NE(o.code, 0);
    ASSERT_THAT(o.errors(), SizeIs(1)) << o.err;
    EXPECT_THAT(o.errors()[0], HasSubstr(what));
  }
};

TEST_F(Amct, CalibrationWritesItsFiles) {
  const Output o = calibration("out/lenet", {"--quiet"});
  ASSERT_EQ(o.code, 0) << o.err;
  for (const char* name : {"lenet_quantized.pb", "lenet_quant.json", "config.json", "record.txt",
                           "amct_tensorflow_nuq_record.txt", "amct_log/amct_tensorflow.log"})
    EXPECT_TRUE(std::filesystem::exists(path("out/") + name)) << name;
  EXPECT_THAT(read_file(path("out/amct_log/amct_tensorflow.log")),
              HasSubstr("INFO - [AMCT]:[save_model]: The model is saved in "));
  EXPECT_EQ(answer(path("out/lenet_quantized.pb")), answer(kAmctLenet));
  const Json layers = Json::parse(read_file(path("out/lenet_quant.json")))["layers"];
  ASSERT_EQ(layers.size(), 5u);
  for (const Json& layer : layers) EXPECT_TRUE(layer["int8"].get<bool>());
  // Its own record makes the same layers of the float graph.
  const Output again = run({"quantize", kAmctLenet, "--record", path("out/record.txt"), "-o", path("again.pb"), "--write-record",
                            path("again.txt"), "--quiet"});
  EXPECT_EQ(again.code, 2);  // a record in and out in one
  const Output by_record = run({"quantize", kAmctLenet, "--record", path("out/record.txt"), "-o", path("again.pb"), "--quiet"});
  ASSERT_EQ(by_record.code, 0) << by_record.err;
  EXPECT_EQ(answer(path("again.pb")), answer(kAmctLenet));
  // The same files again: they are its own.
  EXPECT_EQ(calibration("out/lenet", {"--quiet"}).code, 0);
  put("out/record.txt", "mine");
  one_error(calibration("out/lenet", {"--quiet"}), "record.txt");
}

TEST_F(Amct, ConfigurationsAreFollowed) {
  put("nuq.cfg", R"(# non-uniform
    batch_num : 2
    skip_layers : "Lenet/fc9_1/MatMul"
    common_config : { hfmg_quantize { num_of_bins : 1024 } }
    nuq_config { mapping_file: "m.json" nuq_quantize { num_steps: 16 num_of_iteration: 1 } }
  )");
  const Output o = calibration("nuq/", {"--calibration_config", path("nuq.cfg"), "--quiet"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.err, HasSubstr("mapping_file"));
  const Json config = Json::parse(read_file(path("nuq/config.json")));
  EXPECT_EQ(config["batch_num"], 2);
  EXPECT_EQ(config["Lenet/fc9_1/MatMul"]["quant_enable"], false);
  EXPECT_EQ(config["Lenet/conv3_1/Conv2D"]["activation_quant_params"]["num_of_bins"], 1024);
  EXPECT_EQ(config["Lenet/conv3_1/Conv2D"]["weight_quant_params"]["num_steps"], 16);
  const std::string record = read_file(path("nuq/record.txt"));
  EXPECT_THAT(record, AllOf(HasSubstr("cluster: "), Not(HasSubstr("fc9_1"))));
  EXPECT_THAT(read_file(path("nuq/amct_tensorflow_nuq_record.txt")), HasSubstr("Lenet/conv3_1/Conv2D\n"));
  // The config.json that was written says the same.
  std::filesystem::create_directories(path("json"));
  put("config.json", read_file(path("nuq/config.json")));
  ASSERT_EQ(calibration("json/lenet", {"--calibration_config", path("config.json"), "--quiet"}).code, 0);
  EXPECT_EQ(read_file(path("json/record.txt")), record);
}

// Settings that differ from the seventh digit on are those of other calibrations.
TEST_F(Amct, EachLayerHasItsOwnSearch) {
  const auto scale_of = [&](const std::string& name, const std::string& common, const std::string& own) {
    const auto ifmr = [](const std::string& factor) {
      return "ifmr_quantize { search_range_start: " + factor + " search_range_end: " + factor + " }";
    };
    put(name + ".cfg", "common_config { " + ifmr(common) +
                           " }\noverride_layer_configs { layer_name: \"Lenet/conv3_1/Conv2D\" calibration_config { " + ifmr(own) +
                           " } }");
    const Output o = calibration(name + "/lenet", {"--calibration_config", path(name + ".cfg"), "--quiet"});
    EXPECT_EQ(o.code, 0) << o.err;
    return Json::parse(read_file(path(name + "/lenet_quant.json")))["layers"].dump();
  };
  std::filesystem::create_directories(path("alone"));
  std::filesystem::create_directories(path("mixed"));
  const auto of_conv3 = [](const std::string& layers) {
    for (const Json& layer : Json::parse(layers))
      if (layer["name"] == "Lenet/conv3_1/Conv2D") return layer["scale_d"].get<double>();
    return 0.0;
  };
  EXPECT_EQ(of_conv3(scale_of("mixed", "0.9000001", "0.9000004")), of_conv3(scale_of("alone", "0.9000004", "0.9000004")));
}

TEST_F(Amct, BadInputIsOneLine) {
  put("typo.cfg", "batch_num: 1\ncommon_config {\n  ifmr_quantise { }\n}\n");
  one_error(calibration("x/y", {"--calibration_config", path("typo.cfg")}),
            "typo.cfg: line 3: ifmr_quantise: is not a known field; did you mean ifmr_quantize");
  put("layer.cfg", "skip_layers: \"Lenet/conv3/Conv2D\"");
  one_error(calibration("x/y", {"--calibration_config", path("layer.cfg")}), "Lenet/conv3/Conv2D is no layer of the graph");
  put("steps.cfg", "common_config { nuq_quantize { num_steps: 20 } }");
  one_error(calibration("x/y", {"--calibration_config", path("steps.cfg")}), "num_steps: is 20; 16 or 32");
  put("half.cfg", "batch_num: 1.5");
  one_error(calibration("x/y", {"--calibration_config", path("half.cfg")}), "batch_num: is \"1.5\", which is no whole number");
  put("half.json", R"({"batch_num": 1.5})");
  one_error(calibration("x/y", {"--calibration_config", path("half.json")}), "batch_num: must be a whole number");
  put("wide.json", R"({"Lenet/conv3_1/Conv2D": {"activation_quant_params": {"search_range": [1e300, 1e300]}}})");
  one_error(calibration("x/y", {"--calibration_config", path("wide.json")}), "has a search range that ends above 1000");
  put("fine.json", R"({"Lenet/conv3_1/Conv2D": {"activation_quant_params": {"search_step": 1e-6}}})");
  one_error(calibration("x/y", {"--calibration_config", path("fine.json")}), "more than 1,000 steps");
  one_error(calibration("x/y", {"--batch_num", "9"}), "holds 3 .bin files, and batch_num is 9");
  put("bins/9.bin", "short");
  one_error(calibration("x/y"), "9.bin: holds 5 bytes, and [1,784] of float32 takes 3136");
  put("zero.txt", "record { key: \"Lenet/conv3_1/Conv2D\" value { scale_d: 0 scale_w: 1 } }");
  one_error(run({"quantize", kAmctLenet, "--record", path("zero.txt"), "-o", path("z.pb")}), "zero.txt: line 1: scale_d");
  EXPECT_FALSE(std::filesystem::exists(path("z.pb")));
  EXPECT_FALSE(std::filesystem::exists(path("x")));
}

TEST_F(Amct, PredictionsSideBySide) {
  ASSERT_EQ(
      run({"quantize", kAmctCells, "--images", kSource + "/tests/data/cells/calibration", "-o", path("cells.pb"), "--quiet"})
          .code,
      0);
  std::string image;
  for (const auto& e : std::filesystem::recursive_directory_iterator(kSource + "/tests/data/cells/val"))
    if (e.is_regular_file() && (image.empty() || e.path().string() < image)) image = e.path().string();
  const Output o = run({"classify", "--compare", kAmctCells, path("cells.json"), image});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("Origin Model Prediction:\n\tcategory index: "));
  EXPECT_THAT(o.out, HasSubstr("Quantized Model Prediction:\n\tcategory index: "));
  EXPECT_THAT(o.out, HasSubstr("\tcategory prob: 0."));
  // What cannot be read is left out; where nothing is left, nothing was compared.
  const std::string broken = put("broken.jpg", "broken");
  const Output some = run({"classify", "--compare", kAmctCells, path("cells.json"), image, broken});
  EXPECT_EQ(some.code, 3);
  EXPECT_THAT(some.errors(), SizeIs(1));
  EXPECT_THAT(some.out, Not(HasSubstr("broken.jpg\nOrigin")));
  EXPECT_EQ(run({"classify", "--compare", kAmctCells, path("cells.json"), broken}).code, 1);
  // Networks that tell other classes apart.
  Graph twice = read_graph(kSource + "/models/classification/blood_cells.pb");
  const Value scores = twice.value("predict"), axis = twice.add_const("axis", Tensor::scalar<int32_t>(1));
  twice.add_new("six", "ConcatV2", {scores, scores, axis}, {{"T", DType::f32}, {"Tidx", DType::i32}, {"N", int64_t{2}}});
  write_graph(twice, path("six.pb"));
  Json six = read_json(kAmctCells);
  six["graph"] = "six.pb";
  six["output"] = "six";
  six["classes"] = {"a", "b", "c", "d", "e", "f"};
  put("six.json", six.dump());
  one_error(run({"classify", "--compare", kAmctCells, path("six.json"), image}), "six.json: tells 6 classes apart");
}

// Records are followed whoever quantizes.
TEST_F(Amct, RunConfigsQuantizeByRecords) {
  const std::string calibration = kSource + "/tests/data/cells/calibration";
  ASSERT_EQ(run({"quantize", kAmctCells, "--images", calibration, "--rounding", "nearest", "--no-bias-correction",
                 "--write-record", path("record.txt"), "-o", path("first.pb"), "--quiet"})
                .code,
            0);
  ASSERT_EQ(run({"quantize", kAmctCells, "--record", path("record.txt"), "-o", path("by_record.pb"), "--quiet"}).code, 0);
  const Json config{{"model", kAmctCells},
                    {"inputs", {kSource + "/tests/data/cells/some.tfrecord"}},
                    {"output", "out"},
                    {"quantize", {{"record", "record.txt"}}}};
  const Output o = run({"run", put("run.json", config.dump()), "--quiet"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(read_file(path("out/int8.pb")), read_file(path("by_record.pb")));
}

TEST_F(Amct, FewBitsMakeTheFileSmaller) {
  const auto made = [&](const std::string& name, std::vector<std::string> more) {
    std::vector<std::string> words{"quantize", kAmctCells,         "--images", kSource + "/tests/data/cells/calibration",
                                   "-o",       path(name + ".pb"), "--quiet"};
    words.insert(words.end(), more.begin(), more.end());
    const Output o = run(words);
    EXPECT_EQ(o.code, 0) << o.err;
    const Output scored =
        run({"evaluate", "--model", path(name + ".json"), "--images", kSource + "/tests/data/cells/val", "--quiet"});
    EXPECT_EQ(scored.code, 0) << scored.err;
    const size_t at = scored.out.find("top-1");
    EXPECT_NE(at, std::string::npos) << scored.out;
    return static_cast<int64_t>(std::filesystem::file_size(path(name + ".pb")));
  };
  const int64_t eight = made("eight", {}), four = made("four", {"--weight-bits", "4"}), five = made("five", {"--nuq", "32"}),
                sixteen = made("sixteen", {"--nuq", "16"});
  EXPECT_LT(four, 0.75 * eight);
  EXPECT_LT(sixteen, 0.8 * eight);
  EXPECT_LT(five, 0.9 * eight);
  EXPECT_LT(sixteen, five);
}

TEST_F(Amct, TrainableGraphsAreReadIntoInt8) {
  ASSERT_EQ(run({"quantize", kAmctLenet, "--images", kAmctFeeds, "--fake-quant", "-o", path("train.pb"), "--quiet"}).code, 0);
  EXPECT_THAT(run({"inspect", path("train.pb")}).out, HasSubstr("FakeQuantWithMinMaxVarsPerChannel"));
  const Output o = run({"quantize", path("train.pb"), "-o", path("int8.pb"), "--quiet"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("5 of 5 layers in INT8"));
  EXPECT_EQ(answer(path("int8.pb")), answer(kAmctLenet));
  one_error(run({"quantize", kAmctLenet, "-o", path("x.pb")}), "needs ranges, or images to calibrate on, or records");
  // What cannot be read as 8 bits is named.
  Graph g = read_graph(path("train.pb"));
  for (NodeId id : g.ids())
    if (g.node(id).op == "FakeQuantWithMinMaxVars") g.node(id).attrs["num_bits"] = int64_t{6};
  write_graph(g, path("six.pb"));
  const Output six = run({"quantize", path("six.pb"), "-o", path("x.pb")});
  EXPECT_EQ(six.code, 1);
  one_error(six, "six.pb: is fake-quantized, but no layer can be read as one in 8 bits: Lenet/conv1_1/Conv2D: ");
}

// What else is asked for is written or refused, never left out in silence.
TEST_F(Amct, TrainableGraphsComeWithTheirReport) {
  const std::vector<std::string> words{"quantize",     kAmctLenet, "--images", kAmctFeeds,
                                       "--fake-quant", "--quiet",  "-o",       path("train.pb")};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), words.begin(), words.end());
    return run(more);
  };
  ASSERT_EQ(with({"--report", path("report.json"), "--dump-dir", path("stages")}).code, 0);
  EXPECT_THAT(Json::parse(read_file(path("report.json")))["layers"], SizeIs(5));
  EXPECT_TRUE(std::filesystem::exists(path("stages")));
  std::filesystem::remove(path("report.json"));
  for (const char* mode : {"weights", "full-int8"}) {
    const Output o = with({"--mode", mode});
    EXPECT_EQ(o.code, 2);
    one_error(o, "--fake-quant: is for the INT8 graph alone");
  }
  const std::vector<std::string> again{"quantize", path("train.pb"), "--quiet", "-o", path("int8.pb")};
  const auto again_with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), again.begin(), again.end());
    return run(more);
  };
  ASSERT_EQ(again_with({"--report", path("report.json")}).code, 0);
  EXPECT_THAT(Json::parse(read_file(path("report.json")))["layers"], SizeIs(5));
  one_error(again_with({"--method", "minmix"}), "minmix");
  one_error(again_with({"--rounding", "gptk"}), "gptk");
  one_error(again_with({"--fake-quant"}), "is fake-quantized");
}

// A sample that cannot be fed is left out, whatever its folder is called; a feed that cannot be written ends it.
TEST_F(Amct, FeedsAreWrittenWholeOrNotAtAll) {
  std::filesystem::create_directories(path("feeds_in"));
  std::filesystem::copy(kAmctFeeds, path("feeds_in"));
  const auto written = [&](int64_t most) {
    return run({"quantize", kAmctLenet, "--ranges", path("ranges.json"), "--images", path("feeds_in"), "--rounding", "nearest",
                "--fake-quant", "--dump-feeds", path("feeds"), "-o", path("train.pb"), "--quiet"},
               most);
  };
  ASSERT_EQ(run({"calibrate", kAmctLenet, "--images", kAmctFeeds, "-o", path("ranges.json"), "--quiet"}).code, 0);
  const Output full = written(2000);
  one_error(full, "feeds/00000.npy");
  for (const auto& entry : std::filesystem::directory_iterator(path("feeds")))
    EXPECT_FALSE(entry.path().extension() == ".npy" || entry.path().extension() == ".part") << entry.path();
  EXPECT_FALSE(std::filesystem::exists(path("train.pb")));
  EXPECT_EQ(written(0).code, 0);
  EXPECT_TRUE(std::filesystem::exists(path("feeds/00000.npy")));
}

}  // namespace
}  // namespace cytodet::test
