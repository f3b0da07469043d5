// Outputs that cannot be written, of every command that writes: one clear line (file, what, what to do), the right exit
// code, no partial file under the final name, the other images of a batch done.
#include <gmock/gmock.h>

#include <cstdlib>
#include <set>

#include "core/settings.h"
#include "pipeline/cli/commands.h"
#include "tests/pipeline/cells.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

const std::string kFaultLenet = kSource + "/tests/data/graph/lenet_frozen.pb", kFeeds = kSource + "/tests/data/quant/lenet",
                  kFaultBlood = kSource + "/tests/data/bccd",
                  kTwo[] = {kFaultBlood + "/BloodImage_00007.jpg", kFaultBlood + "/BloodImage_00015.jpg"};

// A way to write: GIVEN is the folder of what was made before, OUT what is written.
struct Write {
  const char* name;
  const char* command;  // arguments between spaces
  const char* out;      // name in the output folder
  bool folder = false;  // OUT is a folder that the command makes
  bool slow = false;    // its examples in docs/ show that it writes
};

void PrintTo(const Write& w, std::ostream* out) { *out << w.name; }

const Write kWrites[] = {
    {"detect", "detect --model MODEL TWO -o OUT --quiet", "run", true},
    {"optimize", "optimize LENET -o OUT", "o.pb"},
    {"optimize_text", "optimize LENET -o OUT", "o.pbtxt"},
    {"optimize_dump", "optimize LENET -o GIVEN/written.pb --dump-dir OUT", "stages", true},
    {"convert_onnx", "convert LENET -o OUT", "o.onnx"},
    {"convert_pb", "convert LENET -o OUT", "o.pb"},
    {"import", "import YOLO -o OUT", "m.json"},
    {"calibrate", "calibrate LENET --images FEEDS -o OUT --quiet", "ranges.json"},
    {"calibrate_log", "calibrate LENET --images FEEDS -o GIVEN/written.json --log OUT --quiet", "log.txt"},
    {"calibrate_from_log", "calibrate LENET --from-log GIVEN/log.txt -o OUT", "ranges.json"},
    {"quantize", "quantize LENET --ranges GIVEN/ranges.json -o OUT --quiet", "int8.pb"},
    {"quantize_report", "quantize LENET --ranges GIVEN/ranges.json -o GIVEN/written.pb --report OUT --quiet", "report.json"},
    {"quantize_dump", "quantize LENET --ranges GIVEN/ranges.json -o GIVEN/written.pb --dump-dir OUT --quiet", "stages", true},
    {"sensitivity", "sensitivity LENET --ranges GIVEN/ranges.json --images FEEDS -o OUT --quiet", "s.json"},
    {"infer", "infer LENET --feeds FEEDS/b.json --outputs Lenet/fc7_1/Relu -o OUT", "answer.json"},
    {"collect", "collect GIVEN/run -o OUT", "all", true},
    {"export_geojson", "export GIVEN/run --image 1 -o OUT", "x.geojson"},
    {"export_geojson_gz", "export GIVEN/run --image 1 -o OUT", "x.geojson.gz"},
    {"export_geojson_points", "export GIVEN/run --image 1 -o OUT", "x.points.geojson"},
    {"export_csv", "export GIVEN/run --image 1 -o OUT", "x.csv"},
    {"export_coco", "export GIVEN/run --image 1 --format coco -o OUT", "x.json"},
    {"export_box_list", "export GIVEN/run --image 1 --format box-list -o OUT", "x.json"},
    {"export_summary", "export GIVEN/run --image 1 --format summary -o OUT", "x.json"},
    {"export_heatmap", "export GIVEN/run --image 1 --format heatmap --slides BLOOD -o OUT", "x.png"},
    {"export_crops", "export GIVEN/run --image 1 --format crops --slides BLOOD -o OUT", "x.png"},
    {"evaluate", "evaluate --truth BLOOD/val.json --detections GIVEN/run/detections.json -o OUT --curves", "scores.json"},
    {"evaluate_worst", "evaluate --truth BLOOD/val.json --detections GIVEN/run/detections.json --images BLOOD --worst OUT",
     "w.png"},
    {"evaluate_labels", "evaluate --model CELLMODEL --images CELLS/some.tfrecord -o OUT --quiet", "scores.json"},
    {"evaluate_labels_list", "evaluate --model CELLMODEL --images CELLS/some.tfrecord --results-file OUT --quiet", "list.csv"},
    {"classify", "classify --model CELLMODEL CELLS/some.tfrecord --format csv -o OUT --quiet", "classes.csv"},
    {"zoo", "zoo resnet50 --in_graph CELLMODEL --out_graph OUT --data_location CELLS/calibration --quiet", "int8.pb"},
    {"merge", "merge GIVEN/run/detections.json -o OUT", "merged.json"},
    {"report", "report GIVEN/run --slides BLOOD -o OUT", "report.html"},
    {"bench_trace", "bench --model MODEL --seconds 0.1 --layers --rounds 1 --trace OUT", "trace.json", false, true},
    {"bench_svg", "bench --model MODEL --seconds 0.1 --layers --rounds 1 --svg OUT", "steps.svg", false, true},
    {"run", "run GIVEN/run.json", "run", true},
    {"run_int8", "run GIVEN/run_int8.json", "run", true},
    {"tune", "tune GIVEN/tune.json --quiet", "tuned", true},
    {"tune_picked", "tune GIVEN/picked.json -o OUT --quiet", "picked.json"},
};

class OutputFaults : public ProgramTest, public ::testing::WithParamInterface<Write> {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    const char* wants = GetParam().command;
    auto needs = [&](const char* what) { return std::string(wants).find(what) != std::string::npos; };
    std::filesystem::create_directory(folder / "given");
    if (needs("GIVEN/ranges.json")) made({"calibrate", kFaultLenet, "--images", kFeeds, "-o", given("ranges.json"), "--quiet"});
    if (needs("GIVEN/log.txt"))
      made({"calibrate", kFaultLenet, "--images", kFeeds, "-o", given("r.json"), "--log", given("log.txt"), "--quiet"});
    if (needs("GIVEN/run ") || needs("GIVEN/run/"))
      made({"detect", "--model", kModel, kTwo[0], kTwo[1], "-o", given("run"), "--quiet"});
  }
  void made(const std::vector<std::string>& arguments) const {
    const Output o = run(arguments);
    ASSERT_EQ(o.code, 0) << o.err;
  }
  std::string given(const std::string& name) const { return path("given/" + name); }

  // Run configs name their output themselves.
  void put_configs(const std::string& out) const {
    Json j{{"model", kModel}, {"inputs", {kTwo[0]}}, {"output", out}, {"detect", {{"streams", 1}}}};
    put("given/run.json", j.dump());
    Json int8 = j;
    int8["quantize"] = {{"images", kFaultBlood}, {"max_images", 1}};
    put("given/run_int8.json", int8.dump());
    j["truth"] = kFaultBlood + "/val.json";
    j["search"] = {{"detect.score", {0.05, 0.3}}};
    j["speed"] = {{"pictures", 1}, {"repeats", 1}};
    put("given/tune.json", j.dump());
    j["output"] = given("tuned");
    put("given/picked.json", j.dump());
  }
  std::vector<std::string> arguments(const std::string& out) const {
    put_configs(out);
    std::vector<std::string> all;
    std::istringstream words(GetParam().command);
    for (std::string w; words >> w;) {
      if (w == "TWO") {
        all.insert(all.end(), std::begin(kTwo), std::end(kTwo));
        continue;
      }
      const std::pair<std::string, std::string> replaced[] = {{"OUT", out},
                                                              {"GIVEN", path("given")},
                                                              {"MODEL", kModel},
                                                              {"LENET", kFaultLenet},
                                                              {"FEEDS", kFeeds},
                                                              {"BLOOD", kFaultBlood},
                                                              {"CELLMODEL", kClassifier},
                                                              {"CELLS", kCells},
                                                              {"YOLO", kSource + "/tests/data/import/yolov8.onnx"}};
      for (const auto& [from, to] : replaced)
        if (w.starts_with(from)) {
          w.replace(0, from.size(), to);
          break;
        }
      all.push_back(w);
    }
    return all;
  }
  // One line: the file, what, what to do.
  void expect_refused(const Output& o, const std::string& file) const {
    EXPECT_EQ(o.code, 1) << o.err;
    ASSERT_THAT(o.errors(), SizeIs(1)) << o.err;
    EXPECT_THAT(o.errors()[0], AllOf(::testing::StartsWith(file), HasSubstr("cannot "), HasSubstr("; ")));
    EXPECT_EQ(std::count(o.err.begin(), o.err.end(), '\n'), 1) << o.err;
  }
  std::vector<std::string> files(const std::filesystem::path& where) const {
    std::vector<std::string> found;
    for (const auto& e : std::filesystem::recursive_directory_iterator(where))
      if (e.is_regular_file()) found.push_back(e.path().string());
    return found;
  }
};

TEST_P(OutputFaults, OneLineAndNothingLeft) {
  const Write& w = GetParam();
  const std::string name = w.out;
  // A file stands where the output's folder should be.
  const std::string file = put("file", "x");
  expect_refused(run(arguments(file + "/" + name)), file + "/" + name);
  EXPECT_EQ(read_file(file), "x");
  // A place that nobody may write to, root included.
  expect_refused(run(arguments("/proc/nowhere/" + name)), "/proc/nowhere/" + name);
  // The name is taken: by a folder, or by a file where a folder is to be.
  const std::string taken = path("taken-" + name);
  if (w.folder) {
    write_file(taken, "x");
  } else {
    std::filesystem::create_directory(taken);
  }
  if (!std::string(w.name).starts_with("export")) expect_refused(run(arguments(taken)), taken);
  EXPECT_EQ(std::filesystem::is_directory(taken), !w.folder);
  // The disk is full: less fits than the smallest of all outputs holds.
  std::filesystem::create_directory(folder / "full");
  const Output full = run(arguments(path("full/" + name)), 330);
  EXPECT_EQ(full.code, 1) << full.err;
  ASSERT_FALSE(full.errors().empty()) << full.err;
  EXPECT_THAT(full.errors()[0], AllOf(HasSubstr(folder.string()), HasSubstr("cannot write"), HasSubstr("; free some space")));
  for (const std::string& left : files(folder / "full")) {
    EXPECT_THAT(left, EndsWith("journal.json"));
    EXPECT_NO_THROW(read_json(left));
  }
  if (w.slow) return;
  // And nothing of all that stands in the way of a good place.
  std::filesystem::create_directory(folder / "good");
  const Output good = run(arguments(path("good/" + name)));
  EXPECT_EQ(good.code, 0) << good.err;
  EXPECT_TRUE(std::filesystem::exists(folder / "good" / name));
  EXPECT_THAT(files(folder / "good"), Not(Contains(EndsWith(".part"))));
}
INSTANTIATE_TEST_SUITE_P(Writes, OutputFaults, ::testing::ValuesIn(kWrites), [](const auto& given) { return given.param.name; });

class OutputRows : public ProgramTest {};

TEST_F(OutputRows, EveryCommandThatWritesHasOne) {
  std::set<std::string> tried;
  for (const Write& w : kWrites) tried.insert(std::string(w.command).substr(0, std::string(w.command).find(' ')));
  for (const Command& c : commands()) {
    const std::string help = run({c.name, "--help"}).out;
    const bool writes = help.find("-o,--out ") != std::string::npos || help.find("run config (.json)") != std::string::npos;
    EXPECT_TRUE(!writes || tried.contains(c.name)) << c.name;
  }
}

class OutputBatch : public ProgramTest {};

TEST_F(OutputBatch, TheOtherImageIsDone) {
  std::filesystem::create_directories(folder / "run" / "BloodImage_00007.json");
  Output o = run({"detect", "--model", kModel, kTwo[0], kTwo[1], "-o", path("run"), "--quiet"});
  EXPECT_EQ(o.code, 2) << o.err;
  ASSERT_THAT(o.errors(), SizeIs(1)) << o.err;
  EXPECT_THAT(o.errors()[0], AllOf(HasSubstr("BloodImage_00007.json: results of "), HasSubstr(kTwo[0]), HasSubstr("; ")));
  EXPECT_THAT(names(folder / "run"), ElementsAre("BloodImage_00007.json")) << "refused before any work";
  std::filesystem::remove(folder / "run" / "BloodImage_00007.json");
  o = run({"detect", "--model", kModel, kTwo[0], kTwo[1], "-o", path("run"), "--quiet"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(names(folder / "run" / "boxes"), ElementsAre("BloodImage_00007.boxes", "BloodImage_00015.boxes"));

  std::filesystem::create_directories(folder / "forms" / "BloodImage_00007.csv");
  o = run({"export", path("run"), "-o", path("forms"), "--format", "csv,geojson"});
  EXPECT_EQ(o.code, 3) << o.err;
  ASSERT_THAT(o.errors(), SizeIs(1)) << o.err;
  EXPECT_THAT(o.errors()[0], AllOf(HasSubstr("BloodImage_00007.csv: cannot write: Is a directory"), HasSubstr("; ")));
  EXPECT_THAT(names(folder / "forms"), ElementsAre("BloodImage_00007.csv", "BloodImage_00007.geojson", "BloodImage_00015.csv",
                                                   "BloodImage_00015.geojson"));
  EXPECT_EQ(run({"export", path("run"), "-o", path("forms"), "--format", "csv,geojson"}, 300).code, 1);
}

class StandardOutput : public ProgramTest {
 protected:
  Output full(const std::string& arguments) const {
    const int status =
        std::system(("'" + kProgram + "' " + arguments + " >/dev/full 2>'" + path("err") + "' </dev/null").c_str());
    Output o;
    o.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    o.err = read_file(path("err"));
    return o;
  }
};

TEST_F(StandardOutput, FullDisk) {
  for (const std::string& arguments :
       {"inspect '" + kFaultLenet + "'", "infer '" + kFaultLenet + "' --feeds '" + kFeeds + "/b.json'",
        std::string("optimize --list"), std::string("help"), std::string("doctor --help"), std::string("--version"),
        "evaluate --truth '" + kSource + "/tests/data/eval/synthetic200_gt.json' --detections '" + kSource +
            "/tests/data/eval/synthetic200_dt.json'"}) {
    const Output o = full(arguments);
    EXPECT_EQ(o.code, 1) << arguments << o.err;
    ASSERT_FALSE(o.errors().empty()) << arguments;
    EXPECT_THAT(o.errors().back(), AllOf(HasSubstr("standard output: cannot write"), HasSubstr("; free some space")))
        << arguments;
  }
}

}  // namespace
}  // namespace cytodet::test
