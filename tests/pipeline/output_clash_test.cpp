// No command writes over what it reads, however the path is spelled, nor two outputs into one file.
#include <gmock/gmock.h>

#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

const std::string kClashLenet = kSource + "/tests/data/graph/lenet_frozen.pb", kBlood = kSource + "/tests/data/bccd";

class OutputClash : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    for (const char* file : {"synthetic200_gt.json", "synthetic200_dt.json"})
      std::filesystem::copy(kSource + "/tests/data/eval/" + file, folder / file);
    std::filesystem::copy(kClashLenet, folder / "lenet.pb");
    std::filesystem::create_directory(folder / "feeds");
    for (const auto& e : std::filesystem::directory_iterator(kSource + "/tests/data/quant/lenet"))
      std::filesystem::copy(e.path(), folder / "feeds" / e.path().filename());
    std::filesystem::create_directory(folder / "sub");
  }
  // The command, which writes to OUT, refuses each spelling of `input`; the file stays as it is.
  void refuses(const std::string& input, const std::string& what, const std::vector<std::string>& command) const {
    const std::string file = path(input), before = read_file(file), name = std::filesystem::path(input).filename().string();
    const std::filesystem::path link = folder / ("link_" + name), hard = folder / ("hard_" + name);
    std::filesystem::remove(link);
    std::filesystem::remove(hard);
    std::filesystem::create_symlink(input, link);
    std::filesystem::create_hard_link(file, hard);
    for (const std::string& spelled : {file, path("sub/../" + input), link.string(), hard.string()}) {
      std::vector<std::string> arguments = command;
      std::replace(arguments.begin(), arguments.end(), std::string("OUT"), spelled);
      const Output o = run(arguments);
      EXPECT_EQ(o.code, 2) << spelled << o.err;
      ASSERT_THAT(o.errors(), SizeIs(1)) << spelled << o.err << o.out;
      EXPECT_THAT(o.errors()[0], AllOf(HasSubstr(spelled), HasSubstr("would be written over"), HasSubstr(what),
                                       HasSubstr("; name another file")));
      EXPECT_EQ(read_file(file), before) << spelled;
    }
  }
};

TEST_F(OutputClash, OptimizeDoesNotWriteOverItsGraph) {
  refuses("lenet.pb", "the graph that is read", {"optimize", path("lenet.pb"), "-o", "OUT"});
}

TEST_F(OutputClash, InferDoesNotWriteOverItsFeeds) {
  refuses("feeds/b.json", "the feeds", {"infer", path("lenet.pb"), "--feeds", path("feeds/b.json"), "-o", "OUT"});
}

TEST_F(OutputClash, CalibrateDoesNotWriteOverItsGraphAndFeeds) {
  for (const char* option : {"-o", "--log"}) {
    std::vector<std::string> command = {"calibrate", path("lenet.pb"), "--images", path("feeds"), "--quiet", option, "OUT"};
    if (std::string(option) == "--log") command.insert(command.end(), {"-o", path("ranges.json")});
    refuses("lenet.pb", "the model", command);
    refuses("feeds/b.json", "an input", command);
  }
}

TEST_F(OutputClash, QuantizeAndSensitivityDoNotWriteOverTheRanges) {
  ASSERT_EQ(run({"calibrate", path("lenet.pb"), "--images", path("feeds"), "-o", path("ranges.json"), "--quiet"}).code, 0);
  refuses("ranges.json", "the ranges",
          {"quantize", path("lenet.pb"), "--ranges", path("ranges.json"), "-o", path("int8.pb"), "--report", "OUT"});
  refuses("ranges.json", "the ranges",
          {"sensitivity", path("lenet.pb"), "--ranges", path("ranges.json"), "--images", path("feeds"), "-o", "OUT"});
}

TEST_F(OutputClash, EvaluateDoesNotWriteOverGroundTruthAndDetections) {
  for (const char* option : {"-o", "--worst"}) {
    const std::vector<std::string> command = {
        "evaluate", "--truth", path("synthetic200_gt.json"), "--detections", path("synthetic200_dt.json"), option, "OUT"};
    refuses("synthetic200_gt.json", "the ground truth", command);
    refuses("synthetic200_dt.json", "the detections", command);
  }
}

TEST_F(OutputClash, EvaluateDoesNotDrawOverAnImage) {
  std::filesystem::copy(kBlood + "/BloodImage_00007.jpg", folder / "sub" / "BloodImage_00007.jpg");
  refuses("sub/BloodImage_00007.jpg", "an input",
          {"evaluate", "--truth", kBlood + "/val.json", "--model", kModel, "--images", path("sub"), "--worst", "OUT"});
}

TEST_F(OutputClash, EvaluateDoesNotDrawOverThePartsOfASlide) {
  const std::string field = kSource + "/tests/data/field/29-mrxs-alone/";
  std::filesystem::copy(field + "Case-18.mrxs", folder / "Case-18.mrxs");
  std::filesystem::copy(field + "Case-18", folder / "Case-18", std::filesystem::copy_options::recursive);
  refuses("Case-18/Data0000.dat", "a file of the input",
          {"evaluate", "--truth", kBlood + "/val.json", "--model", kModel, "--images", path("Case-18.mrxs"), "--worst", "OUT"});
}

TEST_F(OutputClash, ReportExportAndMergeDoNotWriteOverTheResults) {
  const std::string results = path("synthetic200_dt.json"), truth = path("synthetic200_gt.json");
  refuses("synthetic200_dt.json", "the results", {"report", results, "-o", "OUT"});
  refuses("synthetic200_gt.json", "the ground truth", {"report", results, "--truth", truth, "-o", "OUT"});
  refuses("synthetic200_dt.json", "the results", {"export", results, "-o", "OUT", "--format", "coco", "--image", "1"});
  refuses("synthetic200_gt.json", "the ground truth",
          {"export", results, "--truth", truth, "-o", "OUT", "--format", "coco", "--image", "1"});
  refuses("synthetic200_dt.json", "results that are merged", {"merge", results, "-o", "OUT"});
}

TEST_F(OutputClash, ExportIntoTheFolderOfItsResultsWritesNotOverThem) {
  put("image_1.coco.json", R"([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}])");
  const std::string before = read_file(folder / "image_1.coco.json");
  const Output o = run({"export", path("image_1.coco.json"), "-o", folder.string(), "--format", "csv,coco"});
  EXPECT_EQ(o.code, 2) << o.err;
  EXPECT_THAT(o.err, HasSubstr("would be written over the results that are read"));
  EXPECT_EQ(read_file(folder / "image_1.coco.json"), before);
  EXPECT_FALSE(std::filesystem::exists(folder / "image_1.csv"));
}

TEST_F(OutputClash, MergedListsDoNotReplaceTheListsOfTheirFolder) {
  for (const char* name : {"a.json", "b.json"})
    put(std::string("sub/") + name, R"([{"x": 1, "y": 2, "w": 3, "h": 4, "p": 0.5}])");
  const Output o = run({"merge", path("sub/a.json"), path("sub/b.json"), "-o", path("sub")});
  EXPECT_EQ(o.code, 2) << o.err;
  EXPECT_THAT(o.err, HasSubstr("would be written over results that are merged"));
}

TEST_F(OutputClash, TwoOutputsIntoOneFileAreRefused) {
  const Output o = run({"calibrate", path("lenet.pb"), "--images", path("feeds"), "-o", path("r.json"), "--log",
                        path("sub/../r.json"), "--quiet"});
  EXPECT_EQ(o.code, 2) << o.err;
  EXPECT_THAT(o.err, AllOf(HasSubstr("the log and the ranges"), HasSubstr("would be one file")));
  EXPECT_FALSE(std::filesystem::exists(folder / "r.json"));
}

}  // namespace
}  // namespace cytodet::test
