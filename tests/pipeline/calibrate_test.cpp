// cytodet calibrate, as a user runs it.
#include <gmock/gmock.h>

#include "core/settings.h"
#include "graph/io/named_tensors.h"
#include "graph/io/tensorflow/graph_def.h"
#include "quant/ranges.h"
#include "tests/graph/fixtures.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class CalibrateCommand : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    std::filesystem::create_directory(folder / "feeds");
    write_graph(fixture(), folder / "graph.pb");
  }
  void feed(const std::string& name, const Tensor& x) {
    put("feeds/" + name, Json{{"inputs", tensors_to_json({{"x:0", x}})}}.dump());
  }
  Output calibrate(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"calibrate", path("graph.pb"), "--images", path("feeds"), "-o", path("r.json"), "--quiet"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
  void expect_error(const Output& o, int code, const std::string& part) {
    EXPECT_EQ(o.code, code) << o.err;
    ASSERT_THAT(o.errors(), SizeIs(1)) << o.err;
    EXPECT_THAT(o.errors()[0], HasSubstr(part));
    EXPECT_FALSE(std::filesystem::exists(folder / "r.json"));
  }
};

TEST_F(CalibrateCommand, FeedsOfABareGraph) {
  feed("a.json", fixture_input());
  feed("b.json", Tensor::from<float>({1, 1, 6, 2}, std::vector<float>(12, 50.0f)));
  Output o = calibrate({"--log", path("log.txt")});
  EXPECT_EQ(o.code, 0) << o.err;
  Ranges r = read_ranges(folder / "r.json");
  EXPECT_EQ(r.images, 2);
  EXPECT_EQ(r.data, "feeds");
  EXPECT_EQ(r.values["x"].low, -6);
  EXPECT_EQ(r.values["x"].high, 50);
  EXPECT_THAT(read_file(folder / "log.txt"), HasSubstr(";x__print__;__requant_min_max:[-6][6]\n"));
  std::filesystem::remove(folder / "r.json");
  EXPECT_EQ(run({"calibrate", path("graph.pb"), "--from-log", path("log.txt"), "-o", path("r.json")}).code, 0);
  EXPECT_EQ(read_ranges(folder / "r.json").values["x"].high, 50);
  EXPECT_EQ(read_ranges(folder / "r.json").graph_hash, r.graph_hash);
  o = calibrate({"--max-images", "1"});
  EXPECT_EQ(read_ranges(folder / "r.json").values["x"].high, 6);
}

TEST_F(CalibrateCommand, BadFilesAreNamedAndTheRestUsed) {
  feed("a.json", fixture_input());
  put("feeds/b.json", "{\"inputs\": ");
  feed("c.json", Tensor::from<float>({2}, {1, 2}));
  Output o = calibrate();
  EXPECT_EQ(o.code, 3) << o.err;
  ASSERT_THAT(o.errors(), SizeIs(2)) << o.err;
  EXPECT_THAT(o.errors()[0], HasSubstr("b.json: not valid JSON"));
  EXPECT_THAT(o.errors()[1], HasSubstr("c.json: input x: is fed [2], but the graph takes [1,1,6,2]"));
  EXPECT_EQ(read_ranges(folder / "r.json").images, 1);
}

TEST_F(CalibrateCommand, ImagesOfAModel) {
  std::filesystem::create_directory(folder / "images");
  std::filesystem::copy(kSource + "/tests/data/bccd/BloodImage_00007.jpg", folder / "images");
  put("images/broken.png", "no image");
  put("images/truth.json", "{}");
  Output o = run({"calibrate", kModel, "--images", path("images"), "-o", path("r.json"), "--quiet"});
  EXPECT_EQ(o.code, 3) << o.err;
  ASSERT_THAT(o.errors(), SizeIs(1)) << o.err;
  EXPECT_THAT(o.errors()[0], HasSubstr("broken.png"));
  EXPECT_THAT(o.out, HasSubstr("from 1 of 2 images"));
  // The input lies in [(0 - mean) / deviation, (1 - mean) / deviation].
  Range image = read_ranges(folder / "r.json").values["image"];
  EXPECT_GE(image.low, -2.2f);
  EXPECT_LE(image.high, 2.7f);
  EXPECT_THAT(image.channel_mean, SizeIs(3));
}

TEST_F(CalibrateCommand, Errors) {
  expect_error(calibrate(), 1, "feeds: the folder holds no files");
  put("feeds/notes.txt", "x");
  expect_error(calibrate(), 1, "feeds: holds no feeds (.json)");
  expect_error(calibrate({"--method", "max"}), 2, "known: minmax, moving_average, percentile, entropy, mse");
  expect_error(run({"calibrate", path("graph.pb"), "--images", path("none"), "-o", path("r.json")}), 1, "none: cannot open");
  expect_error(run({"calibrate", kModel, "--images", path("feeds"), "-o", path("r.json")}), 1, "feeds: holds no images");
  expect_error(run({"calibrate", path("graph.pb"), "-o", path("r.json")}), 2, "needs --images DIR or --from-log FILE");
  expect_error(run({"calibrate", path("graph.pb"), "--from-log", put("log.txt", "noise\n"), "-o", path("r.json")}), 1,
               "log.txt: holds no calibration record");
  Graph g = fixture();
  add(g, "log", "Log", {"conv"});
  constant(g, "w2", fixture_weights());
  add(g, "conv2", "Conv2D", {"log", "w2"}, conv_attrs());
  write_graph(g, folder / "graph.pb");
  feed("a.json", fixture_input());
  expect_error(calibrate(), 1, "a.json: node log: gives NaN or infinite values");
}

TEST_F(CalibrateCommand, BrokenLogLinesAreCounted) {
  std::string log = put("log.txt", ";a__print__;__requant_min_max:[-1.bad][2]\n;a__print__;__requant_min_max:[-1][2]\n");
  Output o = run({"calibrate", path("graph.pb"), "--from-log", log, "-o", path("r.json")});
  EXPECT_EQ(o.code, 3);
  EXPECT_THAT(o.err, HasSubstr("log.txt: line 1: the record of a is broken"));
  EXPECT_THAT(o.err, HasSubstr("log.txt: 1 of its 1 nodes are not in " + path("graph.pb") + ", such as a"));
  EXPECT_EQ(read_ranges(folder / "r.json").values["a"].low, -1);
}

}  // namespace
}  // namespace cytodet::test
