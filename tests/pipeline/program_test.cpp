// The program's main jobs, as a user runs them.
#include "tests/pipeline/program.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include "core/settings.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/passes/pass.h"
#include "pipeline/cli/commands.h"

namespace cytodet::test {
namespace {

using ::testing::HasSubstr;

class Program : public ProgramTest {};

TEST_F(Program, HelpVersionAndEveryCommand) {
  EXPECT_EQ(run({"--version"}).out.substr(0, 8), "cytodet ");
  Output help = run({"help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_EQ(run({}).code, 2);
  for (const Command& c : commands()) {
    EXPECT_THAT(help.out, HasSubstr(c.name));
    Output o = run({c.name, "--help"});
    EXPECT_EQ(o.code, 0);
    EXPECT_THAT(o.out, HasSubstr(c.example));
  }
}

// Processor time: what else the machine does is not counted.
TEST_F(Program, HelpStartsQuickly) {
  const auto spent_ms = [] {
    rusage used{};
    ::getrusage(RUSAGE_CHILDREN, &used);
    return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e3 +
           static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e3;
  };
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const double before = spent_ms();
    run({"--help"});
    best = std::min(best, spent_ms() - before);
  }
  EXPECT_GT(best, 0);
  EXPECT_LT(best, 50) << "ms";
}

TEST_F(Program, ConformanceCasesPassByKernelsAndByPlainEvals) {
  for (const char* how : {"--threads", "--plain"}) {
    std::vector<std::string> arguments{"infer", "--cases", kSource + "/tests/data/graph/conformance", how};
    if (std::string(how) == "--threads") arguments.push_back("2");
    Output o = run(arguments);
    EXPECT_EQ(o.code, 0) << o.out;
    EXPECT_THAT(o.out, HasSubstr("238 passed, 0 failed"));
  }
}

TEST_F(Program, ValidationImagesScoreAsInTensorFlow) {
  Output o = run({"evaluate", "--truth", kSource + "/tests/data/bccd/val.json", "--model", kModel, "--images",
                  kSource + "/tests/data/bccd", "--map", "--timing", "-o", path("r.json"), "--quiet"});
  ASSERT_EQ(o.code, 0) << o.err;
  Json r = read_json(folder / "r.json");
  EXPECT_NEAR(r["stats"]["AP"].get<double>(), 0.61074, 0.001);
  EXPECT_NEAR(r["stats"]["AP50"].get<double>(), 0.92533, 0.001);
  EXPECT_NEAR(r["stats"]["AP75"].get<double>(), 0.69714, 0.001);
  EXPECT_EQ(r["timing"]["images"], 36);
  EXPECT_THAT(o.out, HasSubstr("images/s"));
}

TEST_F(Program, SlideIsFoundWholeWhateverTheStreams) {
  std::string slide = kSource + "/tests/data/slides/blood-mosaic.tif", truth = kSource + "/tests/data/slides/blood-mosaic.json";
  for (const char* streams : {"1", "3"}) {
    Output o = run({"detect", "--model", kModel, slide, "--truth", truth, "-o", path(streams), "--streams", streams, "--quiet",
                    "--overlay"});
    ASSERT_EQ(o.code, 0) << o.err;
  }
  EXPECT_EQ(read_file(folder / "1" / "detections.json"), read_file(folder / "3" / "detections.json"));
  EXPECT_TRUE(std::filesystem::exists(folder / "1" / "blood-mosaic.png"));
  Output o = run(
      {"evaluate", "--truth", truth, "--detections", path("1") + "/detections.json", "--max-dets", "5000", "-o", path("r.json")});
  ASSERT_EQ(o.code, 0) << o.err;
  Json r = read_json(folder / "r.json");
  EXPECT_GE(r["stats"]["AP50"].get<double>(), 0.905);
  EXPECT_GE(r["stats"]["AP"].get<double>(), 0.59);
}

TEST_F(Program, EverySlideFormatGivesResults) {
  std::vector<std::string> arguments{"detect", "--model", kModel, "-o", path("out"), "--quiet", "--scale", "0.25"};
  for (const char* name :
       {"blood-mosaic.tif", "cmu-1-small-region.svs", "boxes.tiff", "small.svs", "test_orient1.tif", "yb10kx5k.zstd.tiff"})
    arguments.push_back(kSource + "/tests/data/slides/" + name);
  Output o = run(arguments);
  EXPECT_EQ(o.code, 0) << o.err;
  Json r = read_json(folder / "out" / "run.json");
  ASSERT_EQ(r["inputs"].size(), 6u);
  EXPECT_EQ(r["inputs"][5]["width"], 10000);
  EXPECT_EQ(r["settings"]["detect"]["tiling"]["scale"], 0.25) << "the effective settings go into every result";
}

TEST_F(Program, RunConfigDoesAllStages) {
  Json c = read_json(kSource + "/configs/blood_d0.json");
  c["model"] = kModel;
  c["inputs"] = {kSource + "/tests/data/slides/blood-mosaic.tif"};
  c["truth"] = kSource + "/tests/data/slides/blood-mosaic.json";
  c["output"] = "result";
  Output o = run({"run", put("c.json", c.dump())});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("maxDets=5000"));
  EXPECT_THAT(names(path("result")), ::testing::ElementsAre("blood-mosaic.json", "blood-mosaic.png", "boxes", "detections.json",
                                                            "run.json", "scores.json"));
}

TEST_F(Program, OptimizedGraphIsReadBack) {
  std::string outputs;
  for (int l = 3; l <= 7; ++l)
    outputs += (outputs.empty() ? "" : ",") + ("class_logits_" + std::to_string(l)) + ",box_deltas_" + std::to_string(l);
  Output o = run({"optimize", kSource + "/models/efficientdet/efficientdet_d0_blood.pb", "-o", path("small.pb"), "--inputs",
                  "image", "--outputs", outputs, "--dump-dir", path("dump")});
  ASSERT_EQ(o.code, 0) << o.err;
  const auto passes = all_passes();
  EXPECT_EQ(static_cast<std::ptrdiff_t>(names(path("dump")).size()),
            std::count_if(passes.begin(), passes.end(), [](const Pass& pass) { return pass.by_default; }));
  Output i = run({"inspect", path("small.pb"), "--shape", "image=1,512,512,3"});
  EXPECT_EQ(i.code, 0) << i.err;
  EXPECT_THAT(i.out, HasSubstr("Found 1 possible inputs: (name=image, type=float(1), shape="));
  EXPECT_THAT(i.out, HasSubstr("134 Conv2D"));
  EXPECT_THAT(i.out, HasSubstr("2.2"));
  Json j = Json::parse(run({"inspect", path("small.pb"), "--json"}).out);
  EXPECT_NEAR(j["macs"].get<double>(), 2.22e9, 0.02e9);
}

}  // namespace
}  // namespace cytodet::test
