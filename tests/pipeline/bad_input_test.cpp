// Bad input: one clear line (file, where, what), the right exit code, no partial output, the other inputs done.
#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "core/settings.h"
#include "graph/io/tensorflow/graph_def.h"
#include "tests/graph/fixtures.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class BadInput : public ProgramTest {
 protected:
  // Exactly one error line, which holds all of `parts`.
  void expect_one_line(const Output& o, int code, const std::vector<std::string>& parts) {
    EXPECT_EQ(o.code, code) << o.err;
    ASSERT_EQ(o.errors().size(), 1u) << o.err;
    for (const std::string& p : parts) EXPECT_THAT(o.errors()[0], HasSubstr(p));
    EXPECT_EQ(o.err, "cytodet: error: " + o.errors()[0] + "\n") << "nothing else on stderr";
  }
  std::string write(const Graph& g, const std::string& name) {
    write_graph(g, folder / name);
    return path(name);
  }
  // A model file for `graph` made from the shipped one.
  std::string model_for(const std::string& graph, const std::function<void(Json&)>& change = {}) {
    Json j = read_json(kModel);
    j["graph"] = graph;
    if (change) change(j);
    return put("model.json", j.dump());
  }
};

TEST_F(BadInput, GraphFiles) {
  std::string whole = read_file(kSource + "/models/efficientdet/efficientdet_d0_blood.pb");
  expect_one_line(run({"inspect", path("none.pb")}), 1, {"none.pb", "cannot open", "check the path"});
  expect_one_line(run({"inspect", put("empty.pb", "")}), 1, {"empty.pb", "is empty"});
  expect_one_line(run({"inspect", put("empty.onnx", "")}), 1, {"empty.onnx: is empty; export or copy it again"});
  expect_one_line(run({"inspect", put("text.onnx", "a text")}), 1, {"text.onnx: is no ONNX model; export or copy it again"});
  expect_one_line(run({"inspect", folder.string()}), 1, {"is a directory"});
  expect_one_line(run({"inspect", put("short.pb", whole.substr(0, whole.size() / 2))}), 1, {"short.pb", "is not a GraphDef"});
  expect_one_line(run({"inspect", put("text.pbtxt", "node { name: \"a\" op: }")}), 1, {"text.pbtxt", "line 1"});
  expect_one_line(run({"optimize", put("random.pb", std::string(5000, '\x93')), "-o", path("out.pb")}), 1, {"random.pb"});
  EXPECT_THAT(names(folder), ElementsAre("empty.onnx", "empty.pb", "random.pb", "short.pb", "text.onnx", "text.pbtxt"));
}

// An OME-TIFF of three channels is one image; one of five is not, and spares the others.
TEST_F(BadInput, ChannelsOfFluorescence) {
  const std::string channels = kSource + "/tests/data/tiling/formats/ome_channels.tif";
  std::string bytes = read_file(channels);
  bytes.replace(bytes.find("SizeC=\"3\""), 9, "SizeC=\"5\"");
  const std::string five = put("five.ome.tif", bytes), problem = "five.ome.tif: is an OME-TIFF of 5 gray channels";
  const Output info = run({"info", channels, five});
  expect_one_line(info, 3, {problem, "name one by --channel, from 0 to 4"});
  EXPECT_THAT(info.out, HasSubstr("74 x 58, 1:1, Deflate in 3 channels, 5 x 4 stored tiles of 16 x 16"));
  const Output detect = run({"detect", "--model", kModel, five, channels, "-o", path("out"), "--set-mpp", "0.5", "--quiet"});
  expect_one_line(detect, 3, {problem});
  const Json inputs = read_json(folder / "out/run.json")["inputs"];
  EXPECT_EQ(inputs[0]["state"], "failed");
  EXPECT_EQ(inputs[1]["state"], "done");
}

TEST_F(BadInput, BitFlipsNeverCrash) {
  std::string whole = read_file(kSource + "/tests/data/graph/lenet_frozen.pb");
  std::mt19937 random(3);
  for (int i = 0; i < 30; ++i) {
    std::string bytes = whole;
    for (int k = 0; k < 4; ++k)
      bytes[random() % std::min<size_t>(bytes.size(), i % 2 ? bytes.size() : 4000)] ^= static_cast<char>(1 << random() % 8);
    Output o = run({"optimize", put("flipped.pb", bytes), "-o", path("out.pb")});
    EXPECT_TRUE(o.code == 0 || o.code == 1) << o.code << o.err;
    EXPECT_LE(o.errors().size(), 1u);
  }
}

TEST_F(BadInput, GraphsThatCannotRun) {
  expect_one_line(run({"optimize", kSource + "/tests/data/graph/lenet_frozen.pb", "-o", path("o.pb"), "--outputs", "nowhere"}), 1,
                  {"lenet_frozen.pb", "nowhere", "no such node"});
  std::string cyclic = put(
      "cyclic.pbtxt",
      R"(node { name: "a" op: "Relu" input: "b" } node { name: "b" op: "Relu" input: "a" } node { name: "c" op: "Relu" input: "b" })");
  expect_one_line(run({"infer", cyclic}), 1, {"cyclic.pbtxt", "cycle"});
  std::string unknown = put(
      "unknown.pbtxt",
      R"(node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } } } node { name: "y" op: "Reluu" input: "x" })");
  std::string feeds = put("feeds.json", R"({"inputs": {"x:0": {"dtype": "float32", "shape": [2], "data": [1, 2]}}})");
  expect_one_line(run({"infer", unknown, "--feeds", feeds}), 1, {"unknown.pbtxt", "node y (Reluu)", "is not known", "Relu"});
  expect_one_line(run({"infer", unknown, "--feeds",
                       put("f.json", R"({"inputs": {"z:0": {"dtype": "float32", "shape": [1], "data": [1]}}})")}),
                  1, {"unknown.pbtxt", "node z", "no such node"});
  expect_one_line(run({"infer", unknown, "--feeds",
                       put("g.json", R"({"inputs": {"x:0": {"dtype": "float32", "shape": [3], "data": [1]}}})")}),
                  1, {"g.json", "x:0", "1 values"});
  expect_one_line(run({"infer", unknown, "--feeds", put("h.json", "{\"inputs\": ")}), 1, {"h.json", "not valid JSON at line 1"});
}

TEST_F(BadInput, WeightsThatAreNotNumbers) {
  Graph g = fixture();
  Tensor w = fixture_weights().clone();
  w.data<float>()[2] = NAN;
  g.node(g.find("conv")).inputs[1] = g.add_const("bad", w);
  std::string feeds =
      put("feeds.json", R"({"inputs": {"x:0": {"dtype": "float32", "shape": [1,1,6,2], "data": [1,1,1,1,1,1,1,1,1,1,1,1]}}})");
  expect_one_line(run({"infer", write(g, "nan.pb"), "--feeds", feeds}), 1, {"nan.pb", "node conv", "weight 2 is NaN"});
}

TEST_F(BadInput, ModelFiles) {
  std::string image = kSource + "/tests/data/bccd/BloodImage_00007.jpg",
              graph = kSource + "/models/efficientdet/efficientdet_d0_blood.pb";
  auto detect = [&](const std::string& model) { return run({"detect", "--model", model, image, "-o", path("out"), "--quiet"}); };
  expect_one_line(detect(model_for(graph, [](Json& j) { j["class_logits"][0] = "class_logitz_3"; })), 1,
                  {"efficientdet_d0_blood.pb", "class_logitz_3", "did you mean class_logits_3"});
  expect_one_line(detect(model_for(graph, [](Json& j) { j["anchors"]["octaves"] = 2; })), 1,
                  {"class_logits_3", "check input size, anchors and classes"});
  expect_one_line(detect(model_for(graph, [](Json& j) { j["clases"] = 1; })), 2,
                  {"model.json", "clases", "did you mean classes"});
  expect_one_line(detect(model_for(graph, [](Json& j) { j["input"]["width"] = "wide"; })), 2,
                  {"model.json", "input.width", "must be a whole number"});
  expect_one_line(detect(model_for(path("gone.pb"))), 1, {"gone.pb", "cannot open"});
  expect_one_line(detect(path("none.json")), 1, {"none.json", "cannot open"});
  expect_one_line(detect(kSource + "/tests/data/graph/lenet_frozen.pb"), 1, {"lenet_frozen.pb", "has no model file beside it"});
  EXPECT_THAT(names(path("out")), IsEmpty());
}

TEST_F(BadInput, EveryCorruptImageIsNamedAndTheRestDone) {
  std::vector<std::string> arguments{"detect", "--model", kModel, "-o", path("out"), "--quiet"};
  std::vector<std::string> corrupt;
  for (const auto& e : std::filesystem::directory_iterator(kSource + "/tests/data/corrupt")) corrupt.push_back(e.path().string());
  corrupt.push_back(put("empty.jpg", ""));
  corrupt.push_back(put("text.png", "this is no image"));
  corrupt.push_back(path("missing.tif"));
  std::string zero_png("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\0\0\0\0\0\x08\x02\0\0\0", 29);
  corrupt.push_back(put("zero.png", zero_png + std::string("\x0a\xe2\x6d\x9b", 4)));
  std::filesystem::create_directory(folder / "emptyfolder");
  arguments.insert(arguments.end(), corrupt.begin(), corrupt.end());
  arguments.push_back(kSource + "/tests/data/bccd/BloodImage_00007.jpg");
  Output o = run(arguments);
  EXPECT_EQ(o.code, 3) << o.err;
  std::vector<std::string> errors = o.errors();
  EXPECT_EQ(errors.size(), corrupt.size()) << o.err;
  for (const std::string& file : corrupt)
    EXPECT_EQ(std::count_if(errors.begin(), errors.end(),
                            [&](const std::string& e) { return e.find(file + ":") != std::string::npos; }),
              1)
        << file << "\n"
        << o.err;
  EXPECT_EQ(static_cast<size_t>(std::count(o.err.begin(), o.err.end(), '\n')), errors.size())
      << "nothing else on stderr: " << o.err;
  EXPECT_THAT(names(path("out")), ElementsAre("BloodImage_00007.json", "boxes", "detections.json", "run.json"));
  Json run_json = read_json(folder / "out" / "run.json");
  int failed = 0;
  for (const Json& i : run_json["inputs"]) failed += i["state"] == "failed" && !i["reason"].get<std::string>().empty();
  EXPECT_EQ(failed, static_cast<int>(corrupt.size()));
  expect_one_line(run({"detect", "--model", kModel, path("emptyfolder"), "-o", path("out2")}), 1,
                  {"emptyfolder", "holds no files"});
}

TEST_F(BadInput, OutputsThatCannotBeWritten) {
  std::string image = kSource + "/tests/data/bccd/BloodImage_00007.jpg";
  std::string file = put("file", "x");
  expect_one_line(run({"detect", "--model", kModel, image, "-o", file, "--quiet"}), 1, {"file"});
  expect_one_line(run({"detect", "--model", kModel, image, "-o", "/proc/nowhere", "--quiet"}), 1, {"/proc/nowhere"});
  expect_one_line(run({"optimize", kSource + "/tests/data/graph/lenet_frozen.pb", "-o", path("none") + "/o.pb"}), 1,
                  {"none/o.pb"});
}

TEST_F(BadInput, FullDisk) {
  Output o = run({"optimize", kSource + "/tests/data/graph/lenet_frozen.pb", "-o", path("o.pb")}, 20000);
  EXPECT_EQ(o.code, 1);
  ASSERT_EQ(o.errors().size(), 1u) << o.err;
  EXPECT_THAT(o.errors()[0], HasSubstr("o.pb: cannot write"));
  Output d =
      run({"detect", "--model", kModel, kSource + "/tests/data/bccd/BloodImage_00007.jpg", "-o", path("out"), "--quiet"}, 1000);
  EXPECT_EQ(d.code, 1);
  EXPECT_GE(d.errors().size(), 1u);
  EXPECT_THAT(names(folder), ::testing::AnyOf(ElementsAre("out"), ::testing::IsEmpty()));
  for (const std::string& name : names(path("out")))
    if (name != "boxes") {
      EXPECT_NO_THROW(read_json(folder / "out" / name)) << name << " is partial";
    }
}

TEST_F(BadInput, GroundTruthAndDetections) {
  std::string truth = kSource + "/tests/data/eval/synthetic200_gt.json";
  auto evaluate = [&](const std::string& t, const std::string& d) { return run({"evaluate", "--truth", t, "--detections", d}); };
  expect_one_line(evaluate(truth, put("d.json", R"([{"image_id":99999999,"category_id":1,"bbox":[0,0,1,1],"score":1}])")), 1,
                  {"d.json", "detections[0].image_id 99999999 is not in the ground truth"});
  expect_one_line(evaluate(truth, put("n.json", R"([{"image_id":1,"category_id":1,"bbox":[0,0,-4,1],"score":1}])")), 1,
                  {"n.json", "detections[0].bbox"});
  expect_one_line(evaluate(truth, put("nan.json", R"([{"image_id":1,"category_id":1,"bbox":[0,NaN,4,1],"score":1}])")), 1,
                  {"nan.json"});
  expect_one_line(
      evaluate(
          put("t.json",
              R"({"images":[{"id":1}],"categories":[{"id":1}],"annotations":[{"id":1,"image_id":1,"category_id":2,"bbox":[0,0,1,1]}]})"),
          path("n.json")),
      1, {"t.json", "annotations[0].category_id 2 is not among the categories"});
  expect_one_line(evaluate(path("none.json"), path("n.json")), 1, {"none.json", "cannot open"});
  expect_one_line(run({"evaluate", "--truth", truth}), 2, {"--model", "is missing"});
}

TEST_F(BadInput, CommandLineAndConfig) {
  expect_one_line(run({"detekt"}), 2, {"detect"});
  expect_one_line(run({"detect", "--modle", "x"}), 2, {"did you mean", "--model"});
  expect_one_line(run({"detect", "--model", kModel, "x.png"}), 2, {"needs -o OUTDIR"});
  expect_one_line(run({"detect", "--model", kModel, "x.png", "-o", path("o"), "--tile", "3"}), 2,
                  {"tiling.tile_px", "16 to 8192"});
  expect_one_line(run({"detect", "--model", kModel, "x.png", "-o", path("o"), "--level", "1", "--mpp", "0.5"}), 2,
                  {"exclude each other"});
  expect_one_line(run({"detect", "--model", kModel, "x.png", "-o", path("o"), "--merge", "ouner"}), 2,
                  {"merge.method", "did you mean owner"});
  expect_one_line(run({"detect", "--model", kModel, "x.png", "-o", path("o"), "--nms", "medium"}), 2,
                  {"--nms: must be hard or gaussian, not \"medium\""});
  expect_one_line(run({"detect", "--model", kModel, "x.png", "-o", path("o"), "--overlay-format", "gif"}), 2,
                  {"--overlay-format: must be png or jpg, not \"gif\""});
  expect_one_line(run({"detect", "--model", kModel, "x.png", "-o", path("o"), "--origin", "canvas"}), 2,
                  {"--origin: must be bounds or slide, not \"canvas\""});
  for (const auto& [command, out] : {std::pair{"export", "o.geojson"}, std::pair{"report", "o.html"}})
    expect_one_line(run({command, path("none.json"), "-o", path(out), "--origin", "canvas"}), 2,
                    {"--origin: must be bounds or slide, not \"canvas\""});
  const auto config = [&](const char* keys) {
    return run({"detect", "--config", put("c.json", std::string(R"({"model": "m.json", "inputs": ["x.png"], )") + keys + "}")});
  };
  expect_one_line(config(R"("overlay_format": "gif")"), 2, {"c.json: overlay_format: must be png or jpg"});
  expect_one_line(config(R"("detect": {"origin": "canvas"})"), 2, {"c.json: detect.origin: must be bounds or slide"});
  expect_one_line(run({"run", put("c.json", R"({"model": "m.json", "inputs": ["a"], "detect": {"tiling": {"tilepx": 3}}})")}), 2,
                  {"c.json", "detect.tiling.tilepx", "did you mean tile_px"});
  expect_one_line(run({"run", put("d.json", R"({"model": "m.json", "inputs": "a"})")}), 2,
                  {"d.json", "inputs", "must be an array"});
  expect_one_line(run({"detect", "--model", kModel, kSource + "/tests/data/bccd/BloodImage_00007.jpg", "--mode", "slide", "-o",
                       path("o"), "--mpp", "0.5", "--quiet"}),
                  1, {"BloodImage_00007.jpg", "--assume-mpp"});
  expect_one_line(run({"detect", "--model", kModel, kSource + "/tests/data/slides/blood-mosaic.tif", "-o", path("o"), "--level",
                       "9", "--quiet"}),
                  1, {"blood-mosaic.tif", "level 9", "does not exist"});
}

}  // namespace
}  // namespace cytodet::test
