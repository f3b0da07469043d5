// cytodet quantize and sensitivity, as a user runs them.
#include <gmock/gmock.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "core/settings.h"
#include "graph/io/named_tensors.h"
#include "graph/io/read_graph.h"
#include "graph/quantized/quant_nodes.h"
#include "quant/ranges.h"
#include "tests/paths.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

const std::string kQuantizeLenet = kSource + "/tests/data/graph/lenet_frozen.pb",
                  kQuantizeFeeds = kSource + "/tests/data/quant/lenet", kQuantizeBlood = kSource + "/tests/data/bccd";
const std::string kFc9 = "Lenet/fc9_1/MatMul", kConv1 = "Lenet/conv1_1/Conv2D";

class QuantizeCommand : public ProgramTest {
 protected:
  void calibrate() {
    Output o = run({"calibrate", kQuantizeLenet, "--images", kQuantizeFeeds, "-o", path("ranges.json"), "--quiet"});
    ASSERT_EQ(o.code, 0) << o.err;
  }
  Output quantize(std::vector<std::string> more = {}) {
    std::vector<std::string> a{"quantize", kQuantizeLenet, "--ranges", path("ranges.json"), "-o", path("int8.pb")};
    a.insert(a.end(), more.begin(), more.end());
    return run(a);
  }
  void expect_error(const Output& o, int code, const std::string& part) {
    EXPECT_EQ(o.code, code) << o.err;
    ASSERT_THAT(o.errors(), SizeIs(1)) << o.err;
    EXPECT_THAT(o.errors()[0], HasSubstr(part));
    EXPECT_FALSE(std::filesystem::exists(folder / "int8.pb"));
  }
  // By layer.
  std::map<std::string, Json> report() {
    std::map<std::string, Json> rows;
    const Json all = read_json(path("report.json"));
    for (const Json& row : all["layers"]) rows[row["name"]] = row;
    return rows;
  }
  // Changes one range of ranges.json.
  void set_range(const std::string& value, float low, float high) {
    Ranges r = read_ranges(path("ranges.json"));
    ASSERT_TRUE(r.values.contains(value));
    r.values[value] = {low, high, {}, {}, {}};
    write_ranges(r, path("ranges.json"));
  }
  Tensor answer(const std::string& graph, const std::string& output) {
    Output o = run({"infer", graph, "--feeds", kQuantizeFeeds + "/b.json", "--outputs", output, "-o", path("answer.json")});
    EXPECT_EQ(o.code, 0) << o.err;
    return read_case(path("answer.json")).outputs.begin()->second;
  }
};

TEST_F(QuantizeCommand, ReportsEveryLayer) {
  calibrate();
  Output o = quantize({"--images", kQuantizeFeeds, "--report", path("report.json")});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("5 of 5 layers in INT8"));
  const std::map<std::string, Json> rows = report();
  EXPECT_THAT(rows, SizeIs(5));
  for (const auto& [name, row] : rows) {
    EXPECT_EQ(row["precision"], "int8") << name;
    EXPECT_THAT(row["kernel"].get<std::string>(), StartsWith("int8_")) << name;
    EXPECT_LT(row["low"].get<double>(), row["high"].get<double>()) << name;
    EXPECT_GE(row["weight_sqnr_db"].get<double>(), 30) << name;
    EXPECT_GE(row["sqnr_db"].get<double>(), 35) << name;
  }
  const Json outputs = read_json(path("report.json"))["outputs_sqnr_db"];
  ASSERT_THAT(outputs, SizeIs(1));
  EXPECT_GE(outputs.begin()->get<double>(), 35);
  EXPECT_EQ(answer(kQuantizeLenet, "Lenet/fc9_1/BiasAdd").shape(), answer(path("int8.pb"), "Lenet/fc9_1/BiasAdd").shape());
}

TEST_F(QuantizeCommand, OptionsSayHow) {
  calibrate();
  ASSERT_EQ(quantize({"--symmetric", "--exclude-ops", "MatMul", "--report", path("report.json")}).code, 0);
  EXPECT_EQ(report()[kConv1]["signed"], true);
  EXPECT_EQ(report()[kFc9]["why"], "excluded by op");
  const double fine = report()[kConv1]["weight_sqnr_db"];
  ASSERT_EQ(quantize({"--exclude-nodes", kConv1 + "," + kFc9, "--report", path("report.json")}).code, 0);
  EXPECT_EQ(report()[kConv1]["why"], "excluded by name");
  EXPECT_EQ(report()[kFc9]["precision"], "float");
  ASSERT_EQ(quantize({"--per-tensor", "--no-equalization", "--report", path("report.json")}).code, 0);
  EXPECT_LT(report()[kConv1]["weight_sqnr_db"].get<double>(), fine);
  ASSERT_EQ(quantize({"--full-range", "--report", path("report.json")}).code, 0);
  const double full = report()[kConv1]["weight_sqnr_db"];
  EXPECT_GT(full, fine + 3);
  ASSERT_EQ(quantize({"--reduce-range", "--report", path("report.json")}).code, 0);
  EXPECT_LT(report()[kConv1]["weight_sqnr_db"].get<double>(), full - 3);
  EXPECT_EQ(report()[kConv1]["signed"], false);
  EXPECT_EQ(quantize({"--per-tensor", "--per-channel"}).code, 2);
  EXPECT_EQ(quantize({"--full-range", "--reduce-range"}).code, 2);
}

TEST_F(QuantizeCommand, StagesAreKept) {
  calibrate();
  ASSERT_EQ(quantize({"--dump-dir", path("stages")}).code, 0);
  EXPECT_THAT(names(folder / "stages"),
              ElementsAre("fp32_logged_graph.pb", "fp32_optimized_graph.pb", "int8_dynamic_range_graph.pb",
                          "int8_final_fused_graph.pb", "int8_frozen_range_graph.pb", "int8_logged_graph.pb"));
  const std::string output = "Lenet/fc9_1/Relu";
  const Tensor exact = answer(path("stages/fp32_optimized_graph.pb"), output);
  double top = 0;
  for (float v : exact.span<float>()) top = std::max(top, std::abs(static_cast<double>(v)));
  for (const std::string& name : names(folder / "stages")) {
    const Tensor got = answer(path("stages/" + name), output);
    for (int64_t i = 0; i < exact.size(); ++i)
      EXPECT_NEAR(got.data<float>()[i], exact.data<float>()[i], name.starts_with("fp32") ? 1e-6 : .03 * top) << name;
  }
  EXPECT_EQ(read_file(path("stages/int8_final_fused_graph.pb")), read_file(path("int8.pb")));
  const Graph logged = read_graph(path("stages/fp32_logged_graph.pb"));
  EXPECT_EQ(logged.node(logged.require("Lenet/pool2_1/MaxPool__print__")).attr<std::string>("message"),
            ";Lenet/pool2_1/MaxPool__print__;__requant_min_max:");
}

TEST_F(QuantizeCommand, BadRangesKeepLayersInFloat) {
  calibrate();
  set_range("Lenet/pool2_1/MaxPool", 0, 0);
  set_range("Lenet/pool4_1/MaxPool", 2, 2);
  set_range("Lenet/fc7_1/Relu", -2.5e9f, 2.5e9f);
  Output o = quantize({"--report", path("report.json"), "--quiet"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(report()["Lenet/conv3_1/Conv2D"]["why"], "its input was one number in calibration");
  EXPECT_EQ(report()["Lenet/conv5_1/Conv2D"]["why"], "its input was one number in calibration");
  EXPECT_EQ(report()[kFc9]["why"], "its input ran away in calibration");
  EXPECT_THAT(o.err, HasSubstr("Lenet/conv3_1/Conv2D and 1 more stays in float: its input was one number in calibration"));
  EXPECT_THAT(o.out, HasSubstr("2 of 5 layers in INT8"));
}

TEST_F(QuantizeCommand, Errors) {
  expect_error(quantize(), 1, "ranges.json: cannot open");
  calibrate();
  expect_error(quantize({"--exclude-nodes", "Lenet/conv1_1/Conv2d"}), 2, "did you mean Lenet/conv1_1/Conv2D");
  expect_error(quantize({"--exclude-ops", "Matmul"}), 2, "did you mean MatMul");
  expect_error(quantize({"--max-drop", "0.01"}), 2, "needs --truth and --images");
  expect_error(quantize({"--max-drop", "0.01", "--truth", kQuantizeBlood + "/val.json", "--images", kQuantizeBlood}), 2,
               "needs a model file");
  expect_error(run({"quantize", kQuantizeLenet, "-o", path("int8.pb")}), 2, "needs ranges, or images");
  expect_error(run({"quantize", kQuantizeLenet, "--images", path("none"), "-o", path("int8.pb")}), 1, "none: cannot open");
  expect_error(run({"quantize", kQuantizeLenet, "--ranges", path("ranges.json"), "-o", path("int8.json")}), 2,
               "must end in .pb, .pbtxt or .tflite");
  expect_error(run({"quantize", kSource + "/models/efficientdet/efficientdet_d0_blood.json", "--images", kQuantizeBlood, "-o",
                    path("int8.pb"), "--report", path("./int8.json")}),
               2, "would be one file");
  std::filesystem::copy(kQuantizeLenet, folder / "own.pb");
  const std::string before = read_file(path("own.pb"));
  expect_error(run({"quantize", path("own.pb"), "--ranges", path("ranges.json"), "-o", path("own.pb")}), 2,
               "is the network that is to be quantized");
  EXPECT_EQ(read_file(path("own.pb")), before);
  Ranges ranges = read_ranges(path("ranges.json")), other = ranges, none = ranges;
  other.graph_hash = "0123456789abcdef";
  write_ranges(other, path("ranges.json"));
  expect_error(quantize(), 1, "ranges.json: the ranges belong to another graph (hash 0123456789abcdef, that of");
  none.values.clear();
  write_ranges(none, path("ranges.json"));
  expect_error(quantize(), 1, "no layer is left that can be INT8: no range of its input");
  write_ranges(ranges, path("ranges.json"));
  ASSERT_EQ(quantize().code, 0);
  std::filesystem::rename(folder / "int8.pb", folder / "done.pb");
  expect_error(run({"quantize", path("done.pb"), "--images", kQuantizeFeeds, "-o", path("int8.pb")}), 1, "is quantized already");
}

// These networks are constants throughout; they are calibrated on their golden cases, which feed nothing.
TEST_F(QuantizeCommand, NetworksWithoutInputs) {
  for (const char* name : {"cnn2d_nn__nhwc_b1_k2_s2_SAME", "conv2d_transpose__nhwc_s1221_d1_VALID"}) {
    const std::string own = (cytodet::source_dir() + "/tests/data/graph/conformance/") + name;
    Output o =
        run({"quantize", own + "/graph.pb", "--images", own, "-o", path("int8.pb"), "--report", path("report.json"), "--quiet"});
    ASSERT_EQ(o.code, 0) << o.err;
    EXPECT_THAT(o.out, HasSubstr("1 of 1 layers in INT8"));
    EXPECT_GE(read_json(path("report.json"))["outputs_sqnr_db"].begin()->get<double>(), 25);
    o = run({"infer", path("int8.pb"), "--feeds", own + "/case.json", "-o", path("answer.json")});
    ASSERT_EQ(o.code, 0) << o.err;
    const Tensor got = read_case(path("answer.json")).outputs.begin()->second,
                 wanted = read_case(own + "/case.json").outputs.begin()->second;
    ASSERT_EQ(got.shape(), wanted.shape());
    for (int64_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got.data<float>()[i], wanted.data<float>()[i], .05);
  }
}

// Calibrated and quantized in float32; input and output stay float16.
TEST_F(QuantizeCommand, Float16Networks) {
  const std::string own = cytodet::source_dir() + "/tests/data/graph/float16/";
  Output o = run({"quantize", own + "convolutions.pb", "--images", own, "-o", path("int8.pb"), "--quiet"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("2 of 2 layers in INT8"));
  o = run({"infer", path("int8.pb"), "--feeds", own + "case.json", "-o", path("answer.json")});
  ASSERT_EQ(o.code, 0) << o.err;
  const Tensor got = read_case(path("answer.json")).outputs.begin()->second,
               wanted = read_case(own + "case.json").outputs.begin()->second;
  ASSERT_EQ(got.dtype(), DType::f16);
  ASSERT_EQ(got.shape(), wanted.shape());
  double signal = 0, noise = 0;
  for (int64_t i = 0; i < got.size(); ++i) {
    signal += wanted.as_double(i) * wanted.as_double(i);
    noise += (wanted.as_double(i) - got.as_double(i)) * (wanted.as_double(i) - got.as_double(i));
  }
  EXPECT_GT(10 * std::log10(signal / noise), 30);
}

TEST_F(QuantizeCommand, SensitivityAsTableAndJson) {
  Output o = run({"sensitivity", kQuantizeLenet, "--images", kQuantizeFeeds, "-o", path("s.json"), "--quiet"});
  EXPECT_EQ(o.code, 0) << o.err;
  const Json j = read_json(path("s.json"));
  ASSERT_THAT(j["layers"], SizeIs(5));
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_THAT(o.out, HasSubstr(j["layers"][i]["name"].get<std::string>()));
    if (i > 0) {
      EXPECT_GE(j["layers"][i]["sqnr_db"].get<double>(), j["layers"][i - 1]["sqnr_db"].get<double>());
    }
  }
  EXPECT_EQ(j["alone"], "int8");
  EXPECT_GE(j["outputs"]["Lenet/fc9_1/Relu"].get<double>(), 35) << "of the value that the best class is chosen by";
  EXPECT_EQ(run({"sensitivity", kQuantizeLenet, "-o", path("s.json")}).code, 2);
}

// Starts the program and kills it as soon as the file is there.
void kill_when_there(std::vector<std::string> arguments, const std::filesystem::path& file) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (!std::freopen("/dev/null", "w", stdout) || !std::freopen("/dev/null", "w", stderr)) _exit(126);
    std::vector<char*> argv{const_cast<char*>(kProgram.c_str())};
    for (std::string& s : arguments) argv.push_back(s.data());
    argv.push_back(nullptr);
    ::execv(kProgram.c_str(), argv.data());
    _exit(127);
  }
  int status = 0;
  while (!std::filesystem::exists(file) && ::waitpid(child, &status, WNOHANG) == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  ::kill(child, SIGKILL);
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status)) << "ended before it could be killed";
}

// The detector on two images, few layers in INT8, two of which spoil everything.
class MaxDrop : public QuantizeCommand {
 protected:
  void SetUp() override {
    QuantizeCommand::SetUp();
    std::filesystem::create_directory(folder / "images");
    for (const char* name : {"BloodImage_00007.jpg", "BloodImage_00015.jpg"})
      std::filesystem::copy(kQuantizeBlood + "/" + name, folder / "images" / name);
    Output o = run({"calibrate", kModel, "--images", path("images"), "-o", path("ranges.json"), "--quiet"});
    ASSERT_EQ(o.code, 0) << o.err;
    o = run(
        {"quantize", kModel, "--ranges", path("ranges.json"), "-o", path("all.pb"), "--report", path("report.json"), "--quiet"});
    ASSERT_EQ(o.code, 0) << o.err;
    const std::set<std::string> kept{kStem, kPredict, "efficientnet-b0/blocks_1/conv2d/Conv2D",
                                     "efficientnet-b0/blocks_2/conv2d/Conv2D", "efficientnet-b0/blocks_4/conv2d/Conv2D"};
    for (const auto& [name, row] : report()) {
      if (!kept.contains(name)) excluded_ += (excluded_.empty() ? "" : ",") + name;
      if (name == kStem || name == kPredict) set_range(row["input"], -1e5f, 1e5f);
    }
  }
  std::vector<std::string> arguments() const {
    return {"quantize",   kModel,          "--ranges",        path("ranges.json"),
            "--images",   path("images"),  "--truth",         kQuantizeBlood + "/val.json",
            "--max-drop", "0.02",          "--exclude-nodes", excluded_,
            "-o",         path("int8.pb"), "--report",        path("kept.json")};
  }
  // Starts the program and kills it as soon as its search has saved a trial.
  void start_and_kill() const { kill_when_there(arguments(), folder / "int8.pb.search.json"); }

  const std::string kStem = "efficientnet-b0/stem/conv2d/Conv2D", kPredict = "class_net/class-predict_1/separable_conv2d";
  std::string excluded_;
};

TEST_F(MaxDrop, ReturnsWhatMattersAndGoesOnAfterAKill) {
  start_and_kill();
  EXPECT_FALSE(std::filesystem::exists(folder / "int8.pb"));
  const size_t known = read_json(path("int8.pb.search.json"))["trials"].size();
  ASSERT_GE(known, 1u);
  const Output resumed = run(arguments());
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_THAT(resumed.out, HasSubstr("going on with the " + std::to_string(known) + " trials"));
  EXPECT_THAT(resumed.out, HasSubstr("(known)"));
  EXPECT_FALSE(std::filesystem::exists(folder / "int8.pb.search.json")) << "of no use any more";
  const Json accuracy = read_json(path("kept.json"))["accuracy"];
  EXPECT_THAT(accuracy["returned_to_float"].get<std::vector<std::string>>(), ElementsAre(kPredict, kStem));
  EXPECT_LE(accuracy["float_ap"].get<double>() - accuracy["int8_ap"].get<double>(), .02);
  const std::string graph = read_file(path("int8.pb"));
  const Output whole = run(arguments());
  EXPECT_EQ(whole.code, 0) << whole.err;
  EXPECT_THAT(whole.out, Not(HasSubstr("going on")));
  EXPECT_EQ(read_file(path("int8.pb")), graph);
}

TEST_F(QuantizeCommand, RoundingGoesOnAfterAKill) {
  const std::filesystem::path state = folder / "int8.pb.rounding";
  const std::vector<std::string> arguments{"quantize", kModel,        "--images", kQuantizeBlood,  "--max-images",
                                           "3",        "--no-search", "-o",       path("int8.pb"), "--quiet"};
  kill_when_there(arguments, state);
  EXPECT_FALSE(std::filesystem::exists(folder / "int8.pb"));
  const Output resumed = run(arguments);
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_THAT(resumed.out, HasSubstr("going on with the sums of "));
  EXPECT_FALSE(std::filesystem::exists(state)) << "of no use any more";
  const std::string graph = read_file(path("int8.pb"));
  const Output whole = run(arguments);
  EXPECT_EQ(whole.code, 0) << whole.err;
  EXPECT_THAT(whole.out, Not(HasSubstr("going on")));
  EXPECT_EQ(read_file(path("int8.pb")), graph);
  write_file(state, "notes of somebody else, longer than the header that is looked for");
  const Output refused = run(arguments);
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("int8.pb.rounding: stands where the state of the rounding is kept"));
  EXPECT_THAT(read_file(state), HasSubstr("notes"));
}

TEST_F(QuantizeCommand, FeedsHaveTheBoxesOfTheGroundTruthInTheInputsPixels) {
  const std::vector<std::string> arguments{"quantize",     kModel,
                                           "--images",     kQuantizeBlood,
                                           "--max-images", "3",
                                           "--rounding",   "nearest",
                                           "--no-search",  "--fake-quant",
                                           "-o",           path("train.pb"),
                                           "--dump-feeds", path("feeds"),
                                           "--truth",      kQuantizeBlood + "/val.json",
                                           "--quiet"};
  const Output o = run(arguments);
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("3 feeds, 3 with labels"));
  const Json labels = read_json(path("feeds/labels.json")), truth = read_json(kQuantizeBlood + "/val.json");
  ASSERT_EQ(labels.size(), 3u);
  const Json& first = labels["00000.npy"];
  EXPECT_THAT(first["image"].get<std::string>(), HasSubstr("BloodImage_00007.jpg"));
  const auto image = std::find_if(truth["images"].begin(), truth["images"].end(),
                                  [](const Json& i) { return i["file_name"] == "BloodImage_00007.jpg"; });
  std::vector<Json> wanted;
  for (const Json& a : truth["annotations"])
    if (a["image_id"] == (*image)["id"]) wanted.push_back(a);
  ASSERT_EQ(first["boxes"].size(), wanted.size());
  const double scale = 512.0 / 640;  // images of 640 x 480 at the top left
  for (size_t i = 0; i < wanted.size(); ++i) {
    const Json &box = first["boxes"][i], &b = wanted[i]["bbox"];
    EXPECT_NEAR(box[0].get<double>(), scale * b[0].get<double>(), 0.01);
    EXPECT_NEAR(box[3].get<double>(), scale * (b[1].get<double>() + b[3].get<double>()), 0.01);
    EXPECT_EQ(box[4].get<int>() + 1, wanted[i]["category_id"].get<int>());
  }
  EXPECT_EQ(std::filesystem::file_size(path("feeds/priors.npy")), 128u + 49104u * 16);
}

TEST_F(QuantizeCommand, FeedsOfAClassifierHaveTheirClasses) {
  const std::string cells = kSource + "/models/classification/blood_cells.json", images = kSource + "/tests/data/cells/val";
  const std::vector<std::string> arguments{
      "quantize",    cells,          "--images", images,           "--max-images", "6",           "--rounding", "nearest",
      "--no-search", "--fake-quant", "-o",       path("train.pb"), "--dump-feeds", path("feeds"), "--quiet"};
  const Output o = run(arguments);
  ASSERT_EQ(o.code, 0) << o.err;
  const Json labels = read_json(path("feeds/labels.json"));
  EXPECT_EQ(labels.size(), 6u);
  const std::vector<std::string> classes{"RBC", "WBC", "Platelets"};
  for (const Json& label : labels)
    EXPECT_THAT(label["image"].get<std::string>(), HasSubstr("/" + classes[label["class"].get<size_t>()] + "/"));
  std::vector<std::string> wrong = arguments;
  wrong.insert(wrong.end(), {"--truth", kQuantizeBlood + "/val.json"});
  expect_error(run(wrong), 2, "labels come with the images");
  std::filesystem::remove(path("feeds/.cytodet-files"));
  expect_error(run(arguments), 2, "feeds");  // somebody else's files of these names
}

}  // namespace
}  // namespace cytodet::test
