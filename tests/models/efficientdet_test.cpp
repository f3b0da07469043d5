#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/file.h"
#include "core/settings.h"
#include "models/efficientdet/anchors.h"
#include "models/efficientdet/configurations.h"
#include "models/efficientdet/efficientdet_settings.h"
#include "models/registry.h"
#include "tests/paths.h"

namespace cytodet {
namespace {

using ::testing::HasSubstr;

const std::string kSource = cytodet::source_dir();

ModelFile shipped() { return read_model_file(kSource + "/models/efficientdet/efficientdet_d0_blood.json"); }

std::vector<float> read_npy(const std::string& path) {
  std::string bytes = read_file(path);
  size_t header = 10 + static_cast<unsigned char>(bytes[8]) + 256u * static_cast<unsigned char>(bytes[9]);
  std::vector<float> v((bytes.size() - header) / 4);
  std::memcpy(v.data(), bytes.data() + header, v.size() * 4);
  return v;
}

TEST(ModelFile, ShippedOneIsSound) {
  ModelFile m = shipped();
  EXPECT_EQ(m.class_count(), 3);
  EXPECT_EQ(m.category_id(2), 3);
  EXPECT_THAT(m.graph, HasSubstr("models/efficientdet/efficientdet_d0_blood.pb"));
}

TEST(ModelFile, ErrorsNameKeyAndFile) {
  auto with = [](const char* key, Json value) {
    ModelFile m = configuration("efficientdet-d0");
    m.graph = "g.pb";
    m.classes = {"a"};
    Json j = write_settings(m);
    j[key] = std::move(value);
    try {
      parse_model_file(j, "m.json");
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(with("name", "x"), "no error");
  EXPECT_THAT(with("class_logits", {"one"}), HasSubstr("m.json: class_logits: must name 5 nodes"));
  EXPECT_THAT(with("classes", Json::array()), HasSubstr("m.json: classes"));
  EXPECT_THAT(with("clases", 1), HasSubstr("did you mean classes"));
  EXPECT_THAT(with("input", {{"width", 0}}), HasSubstr("input.width"));
  EXPECT_THAT(with("suppression", {{"method", "medium"}}), HasSubstr("must be hard or gaussian"));
}

// As google/automl publishes them: efficientdet/hparams_config.py, and the sizes of the maps by its anchors.py.
struct Published {
  const char* name;
  int side, max_level;
  double anchor_scale;
  bool lite;
  std::vector<int> cells;  // of a side, level 3 first
};
const Published kPublished[] = {
    {"efficientdet-d0", 512, 7, 4, false, {64, 32, 16, 8, 4}},
    {"efficientdet-d1", 640, 7, 4, false, {80, 40, 20, 10, 5}},
    {"efficientdet-d2", 768, 7, 4, false, {96, 48, 24, 12, 6}},
    {"efficientdet-d3", 896, 7, 4, false, {112, 56, 28, 14, 7}},
    {"efficientdet-d4", 1024, 7, 4, false, {128, 64, 32, 16, 8}},
    {"efficientdet-d5", 1280, 7, 4, false, {160, 80, 40, 20, 10}},
    {"efficientdet-d6", 1280, 7, 4, false, {160, 80, 40, 20, 10}},
    {"efficientdet-d7", 1536, 7, 5, false, {192, 96, 48, 24, 12}},
    {"efficientdet-d7x", 1536, 8, 4, false, {192, 96, 48, 24, 12, 6}},
    {"efficientdet-lite0", 320, 7, 3, true, {40, 20, 10, 5, 3}},
    {"efficientdet-lite1", 384, 7, 3, true, {48, 24, 12, 6, 3}},
    {"efficientdet-lite2", 448, 7, 3, true, {56, 28, 14, 7, 4}},
    {"efficientdet-lite3", 512, 7, 4, true, {64, 32, 16, 8, 4}},
    {"efficientdet-lite3x", 640, 7, 3, true, {80, 40, 20, 10, 5}},
    {"efficientdet-lite4", 640, 7, 4, true, {80, 40, 20, 10, 5}},
};

TEST(ModelFile, EveryPublishedConfiguration) {
  std::vector<std::string> known;
  for (const Published& p : kPublished) {
    SCOPED_TRACE(p.name);
    known.push_back(p.name);
    ModelFile m = configuration(p.name);
    const EfficientDetSettings& own = efficientdet_settings(m);
    m.classes = {"a"};
    check(m, p.name);
    EXPECT_EQ(m.input.width, p.side);
    EXPECT_EQ(m.input.height, p.side);
    EXPECT_EQ(own.anchors.min_level, 3);
    EXPECT_EQ(own.anchors.max_level, p.max_level);
    EXPECT_EQ(own.anchors.octaves, 3);
    EXPECT_EQ(own.anchors.aspects, (std::vector<double>{1, 2, .5}));
    EXPECT_EQ(own.anchors.scale, p.anchor_scale);
    ASSERT_EQ(own.class_logits.size(), p.cells.size());
    ASSERT_EQ(own.box_deltas.size(), p.cells.size());
    for (size_t l = 0; l < p.cells.size(); ++l) {
      const AnchorLevel anchors(m.input, own.anchors, 3 + static_cast<int>(l));
      ASSERT_EQ(anchors.size(), p.cells[l] * p.cells[l] * 9);
      const double stride = static_cast<double>(p.side) / p.cells[l];
      EXPECT_FLOAT_EQ(anchors[0].width, static_cast<float>(p.anchor_scale * stride));
      EXPECT_FLOAT_EQ(anchors[0].cx, static_cast<float>(stride / 2));
      EXPECT_FLOAT_EQ(anchors[anchors.size() - 1].cy, static_cast<float>(p.side - stride / 2))
          << "the last is as far inside as the first";
      EXPECT_EQ(own.class_logits[l], "class_logits_" + std::to_string(3 + l));
    }
    // What a white, a middling and a black pixel become.
    Image grey(3, 1);
    for (int i = 0; i < 9; ++i) grey.rgb[static_cast<size_t>(i)] = static_cast<uint8_t>(i < 3 ? 255 : i < 6 ? 127 : 0);
    m.input.width = 3, m.input.height = 1;
    std::vector<float> out(9);
    preprocess(grey, m.input, letterbox_of(3, 1, m.input), out.data());
    const double mean[] = {123.675, 116.28, 103.53}, deviation[] = {58.395, 57.12, 57.375};
    for (int i = 0; i < 9; ++i)
      EXPECT_NEAR(out[static_cast<size_t>(i)],
                  p.lite ? (grey.rgb[static_cast<size_t>(i)] - 127) / 128.
                         : (grey.rgb[static_cast<size_t>(i)] - mean[i % 3]) / deviation[i % 3],
                  1e-5);
  }
  EXPECT_EQ(configuration_names(), known);
  EXPECT_THROW(configuration("efficientdet-d9"), UsageError);
}

TEST(Anchors, AsDefined) {
  const ModelFile m = shipped();
  const AnchorLevel a(m.input, efficientdet_settings(m).anchors, 3);
  ASSERT_EQ(a.size(), 64 * 64 * 9);
  EXPECT_FLOAT_EQ(a[0].cx, 4);
  EXPECT_FLOAT_EQ(a[0].width, 32);
  EXPECT_FLOAT_EQ(a[1].width, 32 * std::sqrt(2.0f)) << "aspects are inner";
  EXPECT_FLOAT_EQ(a[1].height, 32 / std::sqrt(2.0f));
  EXPECT_FLOAT_EQ(a[3].width, 32 * std::exp2(1.0f / 3)) << "octaves are outer";
  EXPECT_FLOAT_EQ(a[9].cx, 12);
  EXPECT_FLOAT_EQ(a[64 * 9].cy, 12);
}

TEST(Decode, TensorFlowsHeadsGiveItsDetections) {
  ModelFile m = shipped();
  std::vector<float> logits = read_npy(kSource + "/tests/data/efficientdet/BloodImage_00007_class_logits.npy");
  std::vector<float> deltas = read_npy(kSource + "/tests/data/efficientdet/BloodImage_00007_box_deltas.npy");
  std::vector<Tensor> l, d;
  size_t at = 0;
  for (int64_t side : {64, 32, 16, 8, 4}) {
    l.push_back(Tensor::view(DType::f32, {1, side, side, 27}, logits.data() + at * 27));
    d.push_back(Tensor::view(DType::f32, {1, side, side, 36}, deltas.data() + at * 36));
    at += static_cast<size_t>(side * side);
  }
  std::vector<const Tensor*> heads;
  for (const Tensor& t : l) heads.push_back(&t);
  for (const Tensor& t : d) heads.push_back(&t);
  Detections found = make_detection_model(m)->decode(heads, {.scale = 0.8, .scale_y = 0.8}, 640, 480);
  Json golden = read_json(kSource + "/tests/data/efficientdet/BloodImage_00007_detections.json");
  ASSERT_EQ(found.size(), golden.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].category + 1, golden[i]["category_id"].get<int>()) << i;
    EXPECT_NEAR(found[i].score, golden[i]["score"].get<double>(), 1e-5) << i;
    std::vector<double> b = golden[i]["bbox"];
    EXPECT_NEAR(found[i].box.x0, b[0], 0.01);
    EXPECT_NEAR(found[i].box.y0, b[1], 0.01);
    EXPECT_NEAR(found[i].box.width(), b[2], 0.01);
    EXPECT_NEAR(found[i].box.height(), b[3], 0.01);
  }
}

TEST(Decode, RefusesHeadsThatDoNotFit) {
  ModelFile m = shipped();
  Tensor t(DType::f32, {1, 2, 2, 27});
  const std::vector<const Tensor*> ten(10, &t);
  EXPECT_THROW(make_detection_model(m)->decode(ten, {}, 10, 10), Error);
}

}  // namespace
}  // namespace cytodet
