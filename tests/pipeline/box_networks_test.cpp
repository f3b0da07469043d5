// Exports of the object-detection API, whole: bytes in, detections out, with their loops. TensorFlow's answers are in
// tests/data/graph/detectors (scripts/make_detector_graphs.py).
#include <gmock/gmock.h>

#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "graph/interpret/interpreter.h"
#include "graph/io/named_tensors.h"
#include "graph/io/read_graph.h"
#include "pipeline/detect/detector.h"
#include "tests/error_of.h"
#include "tests/graph/onnx_writer.h"
#include "tests/pipeline/program.h"
#include "tiling/slides/image_io.h"

namespace cytodet::test {
namespace {

using ::testing::HasSubstr;

class BoxNetworks : public ProgramTest {
 protected:
  // A model file beside a copy of the graph, and the first image of its case.
  std::string make_model(const std::string& name) {
    const std::string source = kSource + "/tests/data/graph/detectors/" + name;
    std::filesystem::copy_file(source + "/graph.pb", folder / "net.pb");
    case_ = read_case(source + "/case.json");
    const Tensor& pixels = case_.inputs.at("image_tensor:0");
    image_ = Image(static_cast<int>(pixels.dim(2)), static_cast<int>(pixels.dim(1)));
    std::copy_n(pixels.data<uint8_t>(), image_.rgb.size(), image_.rgb.data());
    std::filesystem::create_directory(folder / "images");
    put("images/one.png", encode_image(image_, false));
    return put("net.json", R"({"graph": "net.pb", "classes": ["a", "b", "c"],
      "input": {"node": "image_tensor", "width": 40, "height": 24, "divisor": 1, "mean": [0, 0, 0], "deviation": [1, 1, 1]},
      "outputs": {"boxes": "detection_boxes", "scores": "detection_scores", "classes": "detection_classes",
                  "count": "num_detections"}})");
  }
  // A model file of a network that gives the place of every bright pixel, as a box of 20 by 20 in the input.
  std::string make_dots_model(int side, const Json& changes = Json::object()) {
    using namespace cytodet::test;
    put("dots.onnx",
        onnx_model(
            onnx_input("images", {1, 3, side, side}) + onnx_node("ReduceMax", {"images"}, {"gray"}, onnx_ints("axes", {1})) +
                onnx_node("MaxPool", {"gray"}, {"heatmap"}, onnx_ints("kernel_shape", {4, 4}) + onnx_ints("strides", {4, 4})) +
                onnx_output("heatmap"),
            13));
    Json model = Json::parse(R"({"family": "heat_maps", "graph": "dots.onnx", "classes": ["cell"],
      "input": {"node": "images", "width": 256, "height": 256, "mean": [0, 0, 0], "deviation": [1, 1, 1]},
      "outputs": {"heat_map": "heatmap"}, "layout": "channels_first", "radius": 10,
      "suppression": {"score": 0.3, "detections": 1000}})");
    model.merge_patch(changes);
    return put("dots.json", model.dump());
  }
  // An image with a bright dot every few pixels, and how many there are.
  static std::pair<Image, size_t> dotted(int width, int height) {
    Image image(width, height);
    size_t dots = 0;
    for (int y = 1; y < image.height; y += 29)
      for (int x = 1 + y % 7; x < image.width; x += 27, ++dots)
        std::fill_n(&image.rgb[static_cast<size_t>(3 * (y * image.width + x))], 3, 230);
    return {std::move(image), dots};
  }
  const float* answer(const std::string& name) const { return case_.outputs.at(name + ":0").data<float>(); }

  Case case_;
  Image image_;
};

TEST_F(BoxNetworks, DetectionsAreTensorFlows) {
  for (const std::string name : {"small", "small_fpn", "small_rcnn"}) {
    SCOPED_TRACE(name);
    for (const auto& old : std::filesystem::directory_iterator(folder)) std::filesystem::remove_all(old.path());
    Detector detector(load_model(make_model(name)), {.streams = 1});
    StageTimes times;
    const Detections found = detector.run(image_, letterbox_of(image_.width, image_.height, detector.model().input), 0, times);
    ASSERT_EQ(found.size(), static_cast<size_t>(answer("num_detections")[0]));
    for (size_t i = 0; i < found.size(); ++i) {
      const float* box = answer("detection_boxes") + 4 * i;
      EXPECT_NEAR(found[i].score, answer("detection_scores")[i], 1e-5);
      EXPECT_EQ(found[i].category + 1, answer("detection_classes")[i]);
      EXPECT_NEAR(found[i].box.x0, box[1] * 40, 1e-3);
      EXPECT_NEAR(found[i].box.y0, box[0] * 24, 1e-3);
      EXPECT_NEAR(found[i].box.x1, box[3] * 40, 1e-3);
      EXPECT_NEAR(found[i].box.y1, box[2] * 24, 1e-3);
    }
  }
}

TEST_F(BoxNetworks, DetectAndQuantizeTakeThem) {
  const std::string model = make_model("small");
  Output o = run({"detect", "--model", model, path("images"), "-o", path("out")});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(read_json(folder / "out/one.json").size(), static_cast<size_t>(answer("num_detections")[0]));
  o = run({"quantize", model, "--images", path("images"), "-o", path("int8.pb"), "--quiet"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("layers in INT8"));
  o = run({"detect", "--model", path("int8.json"), path("images"), "-o", path("out8")});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_GT(read_json(folder / "out8/one.json").size(), 0u);
}

// The graph resizes images itself: it is shown them as they are, whatever size the model file names.
TEST_F(BoxNetworks, ImagesOfTheirOwnSize) {
  Json json = read_json(make_model("small"));
  json["input"].update({{"width", 64}, {"height", 48}, {"placement", "image"}});
  put("net.json", json.dump());
  const Output o = run({"detect", "--model", path("net.json"), path("images"), "-o", path("out")});
  ASSERT_EQ(o.code, 0) << o.err;
  Json found = read_json(folder / "out/detections.json");
  std::sort(found.begin(), found.end(), [](const Json& a, const Json& b) { return a["score"] > b["score"]; });
  ASSERT_EQ(found.size(), static_cast<size_t>(answer("num_detections")[0]));
  for (size_t i = 0; i < found.size(); ++i) {
    const float* box = answer("detection_boxes") + 4 * i;
    EXPECT_NEAR(found[i]["score"].get<double>(), answer("detection_scores")[i], 1e-5);
    EXPECT_NEAR(found[i]["bbox"][0].get<double>(), box[1] * 40, 2e-3);
    EXPECT_NEAR(found[i]["bbox"][1].get<double>(), box[0] * 24, 2e-3);
  }
}

TEST(LongestWholeSide, PhotographsAreNotCut) {
  InputSettings input;
  input.width = 300;
  input.height = 200;
  EXPECT_EQ(longest_whole_side(input), 600);
  for (const Placement placement : {Placement::stretch, Placement::image}) {
    input.placement = placement;
    EXPECT_EQ(longest_whole_side(input), 2048);
  }
}

// Each stream shows each image to the network of its size, whichever of them is compiled meanwhile.
TEST_F(BoxNetworks, ImagesOfSeveralSizesInSeveralStreams) {
  Detector detector(load_model(make_dots_model(-1, {{"input", {{"placement", "image"}}}})), {.streams = 4});
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::map<std::pair<int, int>, std::set<size_t>> found;
  for (int stream = 0; stream < 4; ++stream)
    threads.emplace_back([&, stream] {
      for (const int width : {120, 300, 160, 120, 256})
        for (const int height : {100, 256}) {
          StageTimes times;
          const size_t count = detector.run_whole(dotted(width, height).first, stream, times).size();
          const std::lock_guard lock(mutex);
          found[{width, height}].insert(count);
        }
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(found.size(), 8u);
  for (const auto& [size, counts] : found) EXPECT_EQ(counts, std::set<size_t>{dotted(size.first, size.second).second});
}

// Networks of other sizes are kept by the memory that they take, not by their number alone.
TEST_F(BoxNetworks, LargeNetworksOfOtherSizesAreLetGo) {
  Detector detector(load_model(make_dots_model(-1, {{"input", {{"placement", "image"}}}})), {.streams = 100});
  StageTimes times;
  size_t largest = 0;
  for (const int width : {1500, 1504, 1508, 1512}) {
    detector.run_whole(Image(width, 1500), 0, times);
    largest = std::max(largest, detector.other_bytes());
    EXPECT_GT(detector.other_bytes(), size_t{100} * 1500 * 1500 * 3);
  }
  EXPECT_LE(largest, Detector::kMaxOtherBytes);
  for (int width = 8; width < 8 * 20; width += 8) detector.run_whole(Image(width, 16), 0, times);
  EXPECT_LE(detector.other_bytes(), Detector::kMaxOtherBytes) << "small ones are bounded in number";
}

// Slides are scored at the number of boxes that the best of the detectors finds, not at the 100 of COCO.
TEST_F(BoxNetworks, EvaluateComparesDetectorsOnSlides) {
  const std::string model = make_dots_model(256);
  std::filesystem::create_directory(folder / "images");
  put("images/dots.png", encode_image(dotted(700, 500).first, false));
  const std::vector<std::string> tiles{"--mode", "slide", "--tile", "256", "--overlap", "64"};
  const auto with_tiles = [&](std::vector<std::string> words) {
    words.insert(words.end(), tiles.begin(), tiles.end());
    return run(std::move(words));
  };
  Output o = with_tiles({"detect", "--model", model, path("images"), "-o", path("out")});
  ASSERT_EQ(o.code, 0) << o.err;
  Json truth{{"images", {{{"id", 1}, {"file_name", "dots.png"}, {"width", 700}, {"height", 500}}}},
             {"categories", {{{"id", 1}, {"name", "cell"}}}},
             {"annotations", read_json(folder / "out/detections.json")}};
  int id = 0;
  for (Json& a : truth["annotations"]) a.update({{"id", ++id}, {"image_id", 1}, {"area", 400}, {"iscrowd", 0}});
  ASSERT_GT(id, 300);
  Json strict = read_json(model);
  strict["suppression"]["score"] = 0.95;
  put("strict.json", strict.dump());
  const std::string truth_file = put("truth.json", truth.dump());
  o = with_tiles({"evaluate", "--truth", truth_file, "--model", path("strict.json"), "--compare", model, "--images",
                  path("images"), "-o", path("report.json"), "--quiet"});
  ASSERT_EQ(o.code, 0) << o.err;
  const Json rows = read_json(path("report.json"))["compare"];
  EXPECT_EQ(rows[0]["AP"], 0);
  EXPECT_GT(rows[1]["AP"], 0.99);
}

// A detector that cannot be opened is told of before the first has worked.
TEST_F(BoxNetworks, EvaluateOpensComparedDetectorsFirst) {
  const std::string model = make_model("small"),
                    truth = put("truth.json", R"({"images": [], "categories": [], "annotations": []})");
  put("lost.json", R"({"graph": "lost.pb", "classes": ["a"], "input": {"node": "image_tensor", "width": 40, "height": 24},
    "outputs": {"boxes": "detection_boxes", "scores": "detection_scores"}})");
  for (const char* other : {"nowhere.json", "lost.json"}) {
    const Output o =
        run({"evaluate", "--truth", truth, "--model", model, "--compare", path(other), "--images", path("images"), "--quiet"});
    EXPECT_NE(o.code, 0);
    EXPECT_EQ(o.out, "");
    ASSERT_EQ(o.errors().size(), 1u) << o.err;
    EXPECT_THAT(o.errors()[0], HasSubstr(other));
    EXPECT_THAT(o.errors()[0], HasSubstr("o such file"));
  }
}

// Several detectors on the same images, in one table.
TEST_F(BoxNetworks, EvaluateComparesDetectors) {
  const std::string model = make_model("small");
  const float* box = answer("detection_boxes");
  const Json truth{{"images", {{{"id", 1}, {"file_name", "one.png"}, {"width", 40}, {"height", 24}}}},
                   {"categories", {{{"id", 1}, {"name", "a"}}, {{"id", 2}, {"name", "b"}}, {{"id", 3}, {"name", "c"}}}},
                   {"annotations",
                    {{{"id", 1},
                      {"image_id", 1},
                      {"category_id", static_cast<int>(answer("detection_classes")[0])},
                      {"bbox", {box[1] * 40, box[0] * 24, (box[3] - box[1]) * 40, (box[2] - box[0]) * 24}},
                      {"area", 10},
                      {"iscrowd", 0}}}}};
  Json other = read_json(model);
  other["suppression"] = {{"score", 0.999}};
  put("strict.json", other.dump());
  const Output o = run({"evaluate", "--truth", put("truth.json", truth.dump()), "--model", model, "--compare",
                        path("strict.json"), "--images", path("images"), "-o", path("report.json"), "--quiet"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("      AP     AP50     AP75  ms/image  file MB\nnet "));
  EXPECT_THAT(o.out, HasSubstr("\nstrict "));
  EXPECT_THAT(o.out, HasSubstr("\n  drop "));
  const Json rows = read_json(path("report.json"))["compare"];
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1]["AP_drop"].get<double>(), rows[0]["AP"].get<double>() - rows[1]["AP"].get<double>());
  EXPECT_EQ(rows[0]["AP"], read_json(path("report.json"))["stats"]["AP"]);
}

TEST_F(BoxNetworks, TheZooKnowsTheirOutputs) {
  make_model("small");
  std::filesystem::remove(folder / "net.json");
  const Output made = run({"zoo", "ssd_mobilenet", "--in_graph", path("net.pb"), "--model-file"});
  EXPECT_EQ(made.code, 0) << made.err;
  EXPECT_EQ(read_json(folder / "net.json")["input"]["placement"], "image");
  EXPECT_EQ(run({"zoo", "ssd_mobilenet", "--in_graph", path("net.pb"), "--model-file"}).code, 2) << "it stands there";
  EXPECT_EQ(run({"detect", "--model", path("net.pb"), path("images"), "-o", path("float")}).code, 0);
  std::filesystem::remove(folder / "net.json");
  Output o = run({"zoo", "ssd_mobilenet", "--in_graph", path("net.pb"), "--out_graph", path("int8.pb"), "--data_location",
                  path("images"), "--quiet"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(read_json(folder / "int8.json")["classes"].size(), 80u);
  o = run({"detect", "--model", path("int8.json"), path("images"), "-o", path("out")});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_GT(read_json(folder / "out/one.json").size(), 0u);
}

// A YOLO of PyTorch's form: channels first in the file, [1, 4 + classes, cells]. The same by hand from the plain evaluation.
TEST_F(BoxNetworks, AnOnnxYoloDetects) {
  std::filesystem::copy_file(kSource + "/tests/data/graph/onnx/net_yolo/model.onnx", folder / "net.onnx");
  const ModelFile model = load_model(put("net.json", R"({"graph": "net.onnx", "classes": ["a", "b", "c"],
      "input": {"node": "images", "width": 32, "height": 32, "mean": [0, 0, 0], "deviation": [1, 1, 1]},
      "outputs": {"joined": "output0"}, "box_form": "cxcywh", "box_unit": "pixels", "suppressed": false,
      "suppression": {"score": 0.3, "iou": 0.9}})"));
  Image image(32, 32);
  std::mt19937 random(3);
  for (uint8_t& v : image.rgb) v = static_cast<uint8_t>(random() >> 24);
  Detector detector(model, {.streams = 1});
  StageTimes times;
  const Detections found = detector.run(image, letterbox_of(32, 32, model.input), 0, times);

  const Graph graph = read_graph(model.graph);
  Tensor pixels(DType::f32, {1, 3, 32, 32});
  for (int c = 0; c < 3; ++c)
    for (int i = 0; i < 32 * 32; ++i)
      pixels.data<float>()[c * 32 * 32 + i] = static_cast<float>(image.rgb[static_cast<size_t>(int64_t{i} * 3 + c)]) / 255;
  Interpreter plain(graph, {graph.value("images")}, {graph.value("output0")});
  const std::vector<Tensor> out = plain.run({&pixels, 1});
  const int64_t cells = out[0].dim(2);
  const auto value = [&](int64_t k, int64_t cell) { return out[0].data<float>()[k * cells + cell]; };
  std::vector<Detections> by_class(3);
  for (int64_t i = 0; i < cells; ++i)
    for (int c = 0; c < 3; ++c)
      if (value(4 + c, i) > 0.3f) {
        const double x = value(0, i), y = value(1, i), w = value(2, i), h = value(3, i);
        by_class[static_cast<size_t>(c)].push_back({{std::clamp(x - w / 2, 0.0, 32.0), std::clamp(y - h / 2, 0.0, 32.0),
                                                     std::clamp(x + w / 2, 0.0, 32.0), std::clamp(y + h / 2, 0.0, 32.0)},
                                                    c,
                                                    value(4 + c, i)});
      }
  const Detections wanted = suppress_by_class(by_class, model.suppression);
  ASSERT_GT(wanted.size(), 3u);
  ASSERT_EQ(found.size(), wanted.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].category, wanted[i].category);
    EXPECT_NEAR(found[i].score, wanted[i].score, 1e-5);
    EXPECT_NEAR(found[i].box.x0, wanted[i].box.x0, 1e-3);
    EXPECT_NEAR(found[i].box.y1, wanted[i].box.y1, 1e-3);
  }
}

// What two tiles see of a dot is one point, wherever the seam is: its box is of one size in both.
TEST_F(BoxNetworks, PointsOnTheSeamsOfTilesAreFoundOnce) {
  const std::string model = make_dots_model(256);
  const auto [image, dots] = dotted(700, 500);
  std::filesystem::create_directory(folder / "images");
  put("images/dots.png", encode_image(image, false));
  for (const char* overlap : {"20", "64"})
    for (const char* method : {"owner", "nms", "wbf", "greedy_nmm", "nmm"}) {
      const Output o = run({"detect", "--model", model, path("images"), "-o", path("out"), "--overwrite", "--mode", "slide",
                            "--tile", "256", "--overlap", overlap, "--merge", method, "--detections", "1000"});
      ASSERT_EQ(o.code, 0) << o.err;
      const Json found = read_json(folder / "out/detections.json");
      EXPECT_EQ(found.size(), dots) << method << " " << overlap;
      for (const Json& d : found) {
        EXPECT_NEAR(d["bbox"][2].get<double>(), 20, 1e-6);
        EXPECT_NEAR(d["bbox"][3].get<double>(), 20, 1e-6);
      }
    }
}

TEST_F(BoxNetworks, BytesAreFedAsTheyAre) {
  const std::string model = make_model("small");
  Json j = read_json(model);
  j["input"].erase("mean");
  put("net.json", j.dump());
  const Output o = run({"detect", "--model", model, path("images"), "-o", path("out")});
  EXPECT_EQ(o.code, 1);
  EXPECT_THAT(o.err,
              HasSubstr("input image_tensor: takes bytes of pixels, but the model file normalises them; set input.divisor"));
}

}  // namespace
}  // namespace cytodet::test
