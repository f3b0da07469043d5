// Which image of a file is analysed, as a user meets it: options, run.json, report, resuming, info.
#include <gmock/gmock.h>

#include "core/settings.h"
#include "tests/pipeline/batch_runs.h"

namespace cytodet::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const std::string kSelectionField = kSource + "/tests/data/field/";
const std::string kPlanes = kSelectionField + "15-multifocal-svs/z2.svs";

class Selection : public BatchRuns {
 protected:
  int boxes(const std::string& run, double least) const {
    int n = 0;
    for (const Json& d : read_json(folder / run / "detections.json")) n += d["score"].get<double>() >= least;
    return n;
  }
};

TEST_F(Selection, IsKeptInTheRun) {
  const Output first = run(command("out", {kPlanes}));
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_THAT(first.err, HasSubstr("z2.svs: holds 2 focal planes; number 0 (from 0) is analysed"));
  EXPECT_THAT(state("out").inputs[0].selection, HasSubstr("focal plane 0"));
  EXPECT_THAT(state("out").inputs[0].warnings, ElementsAre(HasSubstr("2 focal planes")));
  EXPECT_EQ(boxes("out", 0.4), 68);
  const int64_t detections = state("out").inputs[0].detection_count;
  ASSERT_EQ(run({"report", path("out"), "-o", path("report.html")}).code, 0);
  EXPECT_THAT(read_file(folder / "report.html"), AllOf(HasSubstr("focal plane 0 (of 2, from 0)"), HasSubstr("--plane")));

  const Output other = run(command("out", {kPlanes, "--plane", "1", "--resume"}));
  ASSERT_EQ(other.code, 0) << other.err;
  EXPECT_THAT(other.err, Not(HasSubstr("focal planes"))) << "it was asked for";
  EXPECT_THAT(state("out").inputs[0].selection, HasSubstr("focal plane 1"));
  EXPECT_NE(state("out").inputs[0].detection_count, detections) << "another plane is another run: nothing is kept";
  EXPECT_EQ(state("out").settings["detect"]["selection"]["plane"], 1);
}

TEST_F(Selection, ChannelsAndDepthAreThoseThatAreMeant) {
  const auto done = [&](const std::string& out, const std::vector<std::string>& more) {
    const Output o = run(command(out, more));
    EXPECT_EQ(o.code, 0) << o.err;
    return boxes(out, 0.4);
  };
  EXPECT_EQ(done("composite", {kSelectionField + "09-imagej-pages/composite.tif"}), 12);
  EXPECT_EQ(done("full", {kSelectionField + "16-12bit/full16.tif"}), 12);
  EXPECT_EQ(done("camera", {kSelectionField + "16-12bit/cam12.tif", "--stretch", "auto"}), 12);
  EXPECT_EQ(done("bits", {kSelectionField + "16-12bit/cam12.tif", "--stretch", "12"}), 12);
}

TEST_F(Selection, WhatIsNotPlainIsRefused) {
  for (const auto& [file, words] : {std::pair{"09-imagej-pages/fields5.tif", "5 pages"},
                                    {"09-imagej-pages/zstack_gray.tif", "5 pages"},
                                    {"36-qptiff7/seven.qptiff", "7 gray channels"}}) {
    const Output o = run(command("out", {kSelectionField + file}));
    EXPECT_EQ(o.code, 1);
    EXPECT_THAT(o.errors(), ElementsAre(AllOf(HasSubstr(file), HasSubstr(words))));
  }
  EXPECT_EQ(run(command("out", {kPlanes, "--plane", "-1"})).code, 2);
  EXPECT_EQ(run(command("out", {kPlanes, "--stretch", "bright"})).code, 2);
}

TEST_F(Selection, InfoListsWhatAFileHolds) {
  const Output planes = run({"info", kPlanes});
  EXPECT_EQ(planes.code, 0) << planes.err;
  for (const char* part : {"holds     Aperio SVS, 5 pages, 2 focal planes", "also      thumbnail 640 x 480", "(--page 1)",
                           "selected  focal plane 0 (of 2, from 0)", "warning   holds 2 focal planes"})
    EXPECT_THAT(planes.out, HasSubstr(part));
  const Output pages = run({"info", kSelectionField + "09-imagej-pages/fields5.tif"});
  EXPECT_EQ(pages.code, 1);
  EXPECT_THAT(pages.out, AllOf(HasSubstr("TIFF, 5 pages"), HasSubstr("(--page 4)")));
  const Output json = run({"info", "--json", kSelectionField + "36-qptiff7/seven.qptiff", "--channel", "2"});
  ASSERT_EQ(json.code, 0) << json.err;
  const Json j = parse_json(json.out, "info")[0];
  EXPECT_EQ(j["contents"]["channels"], 7);
  EXPECT_EQ(j["levels"].size(), 5u);
  EXPECT_THAT(j["selection"].get<std::string>(), HasSubstr("channel 2 (of 7"));
}

TEST_F(Selection, IsAKeyOfARunConfig) {
  const Json config{{"model", kModel},
                    {"inputs", {kSelectionField + "09-imagej-pages/fields5.tif"}},
                    {"output", path("out")},
                    {"detect", {{"selection", {{"page", 3}}}}}};
  write_file(folder / "config.json", config.dump());
  const Output o = run({"detect", "--config", path("config.json"), "--quiet"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(state("out").inputs[0].selection, HasSubstr("page 3 (of 5"));
  EXPECT_THAT(o.err, IsEmpty());
}

}  // namespace
}  // namespace cytodet::test
