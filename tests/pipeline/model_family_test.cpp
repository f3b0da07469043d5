// A family of networks that this program does not know is one entry: a toy one is added here, and detects from a file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/settings.h"
#include "graph/io/tensorflow/graph_def.h"
#include "models/detection_model.h"
#include "models/registry.h"
#include "pipeline/detect/image_pipeline.h"
#include "tests/error_of.h"
#include "tests/graph/fixtures.h"
#include "tests/pipeline/program.h"
#include "tiling/slides/image_io.h"

namespace cytodet::test {
namespace {

using ::testing::HasSubstr;

constexpr int kCell = 16;  // input pixels

// Two heads: `scores` [1, h, w, classes], and `boxes` [1, n, 4], which gives boxes directly: x0, y0, x1, y1 in input pixels, one
// per place of `scores`.
struct SpotsSettings : FamilySettings {
  std::string scores, boxes;
  const char* family() const override { return "spots"; }
  std::unique_ptr<FamilySettings> clone() const override { return std::make_unique<SpotsSettings>(*this); }
  void describe(Fields& f) override {
    f("scores", scores);
    f("boxes", boxes);
  }
};

class Spots : public DetectionModel {
 public:
  explicit Spots(ModelFile model) : DetectionModel(std::move(model)) {}
  std::vector<std::string> outputs() const override {
    const auto& own = dynamic_cast<const SpotsSettings&>(*file().own.get());
    return {own.scores, own.boxes};
  }
  void check_outputs(std::span<const OutputSpec> compiled) const override {
    if (compiled[0].shape.size() != 4 || compiled[0].shape[3] != file().class_count())
      throw Error("output " + compiled[0].name, "is no head of scores");
  }

 protected:
  Detections decode_square(std::span<const Tensor* const> outputs, double scale, double width, double height) const override {
    const int classes = file().class_count();
    const float *scores = outputs[0]->data<float>(), *corners = outputs[1]->data<float>();
    std::vector<Detections> found(static_cast<size_t>(classes));
    for (int64_t i = 0; i < outputs[0]->size(); ++i) {
      const float* b = corners + i / classes * 4;
      const Box box{b[0] / scale, b[1] / scale, std::min(b[2] / scale, width), std::min(b[3] / scale, height)};
      const auto c = static_cast<size_t>(i % classes);
      if (static_cast<double>(scores[i]) > file().suppression.score) found[c].push_back({box, static_cast<int>(c), scores[i]});
    }
    return suppress_by_class(std::move(found), file().suppression);
  }
};

constexpr ModelFamily kSpots = {
    .name = "spots",
    .recognises = [](const Json& j) { return j.contains("scores"); },
    .settings = []() -> std::unique_ptr<FamilySettings> { return std::make_unique<SpotsSettings>(); },
    .check =
        [](const ModelFile& m, const std::string& where) {
          if (dynamic_cast<const SpotsSettings&>(*m.own.get()).scores.empty()) throw UsageError(where + ": scores", "is missing");
        },
    .make = [](ModelFile m) -> std::shared_ptr<const NetworkModel> { return std::make_shared<Spots>(std::move(m)); },
};

class ModelFamilyTest : public ProgramTest {
 protected:
  static void SetUpTestSuite() { add_family(kSpots); }

  // The largest value of each channel in each cell of 64 x 64 pixels, and the cells' boxes.
  void write_network() const {
    Graph g;
    placeholder(g, "image", {1, 64, 64, 3});
    add(g, "scores", "MaxPool", {"image"},
        {{"ksize", ints({1, kCell, kCell, 1})}, {"strides", ints({1, kCell, kCell, 1})}, {"padding", std::string("VALID")}});
    Tensor boxes(DType::f32, {1, 16, 4});
    for (int i = 0; i < 16; ++i) {
      const int x = i % 4 * kCell, y = i / 4 * kCell;
      const int corners[] = {x, y, x + kCell, y + kCell};
      for (int k = 0; k < 4; ++k) boxes.data<float>()[i * 4 + k] = static_cast<float>(corners[k]);
    }
    constant(g, "boxes", boxes);
    write_graph(g, folder / "spots.pb");
  }

  std::string write_model(const Json& more = Json::object()) const {
    Json j = {{"family", "spots"}, {"name", "toy"}, {"graph", "spots.pb"}, {"scores", "scores"}, {"boxes", "boxes"}};
    j["input"] = {{"width", 64}, {"height", 64}, {"mean", {0, 0, 0}}, {"deviation", {1, 1, 1}}};
    j["classes"] = {"red", "green", "blue"};
    j.update(more);
    return put("spots.json", j.dump(1));
  }

  // 64 x 64, black, with a bright spot in the cell of column 2, row 1.
  Image spot(size_t channel) const {
    Image image(64, 64);
    image.row(20)[40 * 3 + channel] = 204;
    return image;
  }
};

TEST_F(ModelFamilyTest, DetectsThroughTheWholePath) {
  write_network();
  write_image(spot(1), folder / "green.png");
  Image slide(160, 64);  // two tiles and a half
  slide.row(20)[(96 + 40) * 3 + 2] = 204;
  write_image(slide, folder / "blue.png");
  Detector detector(load_model(write_model()), {.streams = 1});
  DetectReport report = detect(detector, {path("green.png")}, {});
  EXPECT_EQ(report.images[0].reason, "");
  ASSERT_EQ(report.images[0].detections.size(), 1u);
  EXPECT_EQ(report.images[0].detections[0].box, (Box{32, 16, 48, 32}));
  EXPECT_EQ(report.images[0].detections[0].category, 1);
  EXPECT_FLOAT_EQ(report.images[0].detections[0].score, 0.8f);

  DetectSettings tiles;
  tiles.mode = DetectMode::slide;
  tiles.tiling.tile_px = 64;
  tiles.tiling.overlap_px = 0;
  report = detect(detector, {path("blue.png")}, tiles);
  ASSERT_EQ(report.images[0].reason, "");
  ASSERT_FALSE(report.images[0].detections.empty());
  const Detection d = report.images[0].detections[0];
  EXPECT_EQ(d.category, 2);
  EXPECT_TRUE(d.box.x0 <= 136 && d.box.x1 > 136 && d.box.y0 <= 20 && d.box.y1 > 20);
}

TEST_F(ModelFamilyTest, GraphBesideItsModelFile) {
  write_network();
  const std::string json = write_model();
  EXPECT_STREQ(family_of(load_model(path("spots.pb"))).name, "spots");
  write_model_file(load_model(json), folder / "again.json");
  const Json again = read_json(folder / "again.json");
  EXPECT_EQ(again["family"], "spots");
  EXPECT_EQ(again["boxes"], "boxes");
}

TEST_F(ModelFamilyTest, ItsChecksAreAsked) {
  write_network();
  EXPECT_THAT(error_of([&] { load_model(write_model({{"scores", ""}})); }), HasSubstr("spots.json: scores: is missing"));
  EXPECT_THAT(error_of([&] { load_model(write_model({{"boxez", "boxes"}})); }), HasSubstr("did you mean boxes?"));
  EXPECT_THAT(error_of([&] {
                Detector(load_model(write_model({{"classes", {"one"}}})), {.streams = 1});
              }),
              HasSubstr("spots.pb: output scores: is no head of scores"));
}

}  // namespace
}  // namespace cytodet::test
