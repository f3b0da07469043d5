// Raw outputs of networks, graphs that are run, and detections that a program holds.
#include <atomic>
#include <cmath>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/api/program.h"

namespace cytodet::test {
namespace {

class Tensors : public ApiTest {};

const std::string kGraph = kSource + "/models/efficientdet/efficientdet_d0_blood.pb";

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) largest = std::max<double>(largest, std::fabs(a[i] - b[i]));
  return largest;
}

TEST_F(Tensors, NetworkOfAnInputEqualsTheGraphsAnswer) {
  Tensor input("", {1, 512, 512, 3}, std::vector<float>(512 * 512 * 3));
  std::vector<float> values(512 * 512 * 3);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 251) / 125 - 1;
  input = Tensor("", {1, 512, 512, 3}, values);
  const std::vector<Tensor> by_model = model().network(input);
  ASSERT_GT(by_model.size(), 1u);
  const Graph graph(kGraph);
  ASSERT_GE(graph.inputs().size(), 1u);
  EXPECT_EQ(graph.inputs()[0].dtype, CYTODET_FLOAT32);
  input.name = graph.inputs()[0].name;
  std::vector<std::string> names;
  for (const Tensor& t : by_model) names.push_back(t.name);
  const std::vector<Tensor> by_graph = graph.run({input}, names);
  for (size_t i = 0; i < by_model.size(); ++i) {
    EXPECT_EQ(by_model[i].shape, by_graph[i].shape);
    EXPECT_LT(largest_difference(by_model[i].floats(), by_graph[i].floats()), 1e-3) << by_model[i].name;
  }
}

TEST_F(Tensors, NetworkOfAnImageIsThatOfItsNormalisedPixels) {
  Image image;
  image.width = image.height = 512;
  image.rgb.resize(512 * 512 * 3);
  for (size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = static_cast<uint8_t>(i * 7 % 256);
  const double mean[] = {0.485, 0.456, 0.406}, deviation[] = {0.229, 0.224, 0.225};
  std::vector<float> values;
  for (size_t i = 0; i < image.rgb.size(); ++i)
    values.push_back(static_cast<float>((image.rgb[i] / 255.0 - mean[i % 3]) / deviation[i % 3]));
  const std::vector<Tensor> a = model().network(ImageView(image)), b = model().network(Tensor("", {1, 512, 512, 3}, values));
  for (size_t i = 0; i < a.size(); ++i) EXPECT_LT(largest_difference(a[i].floats(), b[i].floats()), 1e-2) << a[i].name;
}

// A network that takes images of any size is shown the image as it is, as detection shows it.
TEST_F(Tensors, NetworkOfAnImageOfItsOwnSize) {
  const std::string graph_file = kSource + "/tests/data/graph/detectors/small/graph.pb";
  std::filesystem::copy_file(graph_file, folder / "net.pb");
  std::ofstream(folder / "net.json") << R"({"graph": "net.pb", "classes": ["a", "b", "c"],
    "input": {"node": "image_tensor", "width": 64, "height": 48, "divisor": 1, "mean": [0, 0, 0], "deviation": [1, 1, 1],
              "placement": "image"},
    "outputs": {"boxes": "detection_boxes", "scores": "detection_scores", "classes": "detection_classes",
                "count": "num_detections"}})";
  Image image;
  image.width = 40;
  image.height = 24;
  for (int i = 0; i < 40 * 24 * 3; ++i) image.rgb.push_back(static_cast<uint8_t>(i * 37 % 256));
  const std::vector<Tensor> found = Model(path("net.json")).network(ImageView(image));
  std::vector<std::string> names;
  for (const Tensor& t : found) names.push_back(t.name);
  Tensor input;
  input.name = "image_tensor";
  input.dtype = CYTODET_UINT8;
  input.shape = {1, 24, 40, 3};
  input.bytes.assign(image.rgb.begin(), image.rgb.end());
  GraphOptions options;
  options.sizes["image_tensor"] = {1, 24, 40, 3};
  const std::vector<Tensor> wanted = Graph(graph_file, options).run({input}, names);
  ASSERT_EQ(found.size(), 4u);
  for (size_t i = 0; i < found.size(); ++i)
    EXPECT_LT(largest_difference(found[i].floats(), wanted[i].floats()), 1e-4) << found[i].name;
}

TEST_F(Tensors, FeedsThatDoNotFitAreRefused) {
  const Tensor small("", {1, 2, 2, 3}, std::vector<float>(12));
  EXPECT_NE(std::string(error_of([&] { model().network(small); }).what()).find("feed float32 [1,512,512,3]"), std::string::npos);
  const Graph graph(kGraph);
  EXPECT_NE(error_of([&] { graph.run({}); }).problem().find("is not fed"), std::string::npos);
  Tensor wrong(graph.inputs()[0].name, {1, 512, 512, 3}, std::vector<float>(5));
  EXPECT_EQ(error_of([&] { graph.run({wrong}); }).kind(), ErrorKind::usage);  // fewer bytes than the shape
  wrong.shape = {1, -2, 512, 3};
  EXPECT_EQ(error_of([&] { graph.run({wrong}); }).kind(), ErrorKind::usage);
  EXPECT_EQ(error_of([&] { graph.run({wrong, wrong}); }).kind(), ErrorKind::usage);
  EXPECT_NE(std::string(error_of([] { Graph("/nowhere.pb"); }).what()).find("/nowhere.pb"), std::string::npos);
  GraphOptions options;
  options.sizes["no such \"input\""] = {1, 2};
  EXPECT_EQ(error_of([&] { Graph(kGraph, options); }).kind(), ErrorKind::usage);
}

TEST_F(Tensors, OperatingScoresAreThoseOfTheModelFile) {
  const nlohmann::json j = nlohmann::json::parse(bytes_of(kModel));
  const std::vector<double> scores = model().operating_scores();
  ASSERT_EQ(scores.size(), model().classes().size());
  for (size_t c = 0; c < scores.size(); ++c) {
    const bool said = j.contains("operating_scores");
    EXPECT_EQ(scores[c], said ? j["operating_scores"]["classes"][c]["score"].get<double>() : 0.4);
  }
  EXPECT_EQ(cytodet_model_operating_score(model().handle(), 99), 0);
  EXPECT_EQ(cytodet_model_operating_score(nullptr, 0), 0);
}

TEST_F(Tensors, DescriptionIsThatOfInspect) {
  EXPECT_EQ(std::system(("'" + binary_dir() + "/cytodet' inspect '" + kGraph + "' --json >'" + path("json") + "'").c_str()), 0);
  EXPECT_EQ(nlohmann::json::parse(Graph(kGraph).description()), nlohmann::json::parse(bytes_of(path("json"))));
}

TEST_F(Tensors, OneGraphServesThreadsAndShapes) {
  const std::string folder_of_op = kSource + "/tests/data/graph/ops/LeakyRelu/";
  const Graph graph(folder_of_op + "graph.pb");
  const nlohmann::json expected = nlohmann::json::parse(bytes_of(folder_of_op + "case.json"));
  const auto& given = expected["inputs"]["in0:0"];
  const Tensor feed("in0:0", given["shape"].get<std::vector<int64_t>>(), given["data"].get<std::vector<float>>());
  const std::vector<float> answer = expected["outputs"]["LeakyRelu:0"]["data"].get<std::vector<float>>();
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) right += largest_difference(graph.run({feed}, {"LeakyRelu"}).at(0).floats(), answer) < 1e-6;
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(right, 80);
}

TEST_F(Tensors, DetectionsInMemoryScoreAndExportAsTheirResults) {
  const GroundTruth truth(kTruth);
  const Results results = model().detect_files({kImages});
  std::vector<ImageDetections> held;
  for (const Result& r : results) held.push_back({r.name, r.width, r.height, r.detections});
  const Scores a = evaluate(truth, results), b = evaluate(truth, held);
  ASSERT_EQ(a.figures.size(), b.figures.size());
  for (size_t i = 0; i < a.figures.size(); ++i) EXPECT_EQ(a.figures[i].value, b.figures[i].value);
  write_detections(held[0], path("cells.geojson"));
  EXPECT_EQ(nlohmann::json::parse(bytes_of(path("cells.geojson")))["features"].size(), held[0].detections.size());
  held[0].detections[0].box = {5, 5, 1, 1};
  EXPECT_NE(error_of([&] { evaluate(truth, held); }).problem().find("x0 > x1"), std::string::npos);
  held[0].detections[0] = {{0, 0, 1, 1}, -1, 0, "", 0.5f};
  EXPECT_EQ(error_of([&] { write_detections(held[0], path("cells.csv")); }).kind(), ErrorKind::usage);
  held[0].detections.clear();
  EXPECT_EQ(error_of([&] { write_detections(held[0], held[0].name); }).kind(), ErrorKind::usage);
}

TEST_F(Tensors, ImagesInMemoryCalibrateAsTheirFiles) {
  std::filesystem::create_directory(path("images"));
  std::filesystem::copy_file(kImage, path("images/a.jpg"));
  calibrate(kModel, path("images"), path("files.json"));
  const Image pixels = pixels_of(kImage);
  const CalibrateReport report = calibrate(kModel, {ImageView(pixels)}, path("ours.json"));
  EXPECT_EQ(report.images, 1);
  nlohmann::json ours = nlohmann::json::parse(bytes_of(path("ours.json"))),
                 theirs = nlohmann::json::parse(bytes_of(path("files.json")));
  EXPECT_EQ(ours["values"], theirs["values"]);
  EXPECT_GT(ours["values"].size(), 100u);
  EXPECT_EQ(error_of([&] { calibrate(kModel, std::vector<ImageView>{}, path("none.json")); }).kind(), ErrorKind::usage);
}

}  // namespace
}  // namespace cytodet::test
