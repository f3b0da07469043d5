#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "core/error.h"
#include "core/file.h"
#include "models/common/preprocess.h"
#include "models/efficientdet/decode.h"
#include "models/efficientdet/model_file.h"
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
      ModelFile out;
      read_settings(j, out, "m.json");
      check(out, "m.json");
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
    m.classes = {"a"};
    check(m, p.name);
    EXPECT_EQ(m.input.width, p.side);
    EXPECT_EQ(m.input.height, p.side);
    EXPECT_EQ(m.anchors.min_level, 3);
    EXPECT_EQ(m.anchors.max_level, p.max_level);
    EXPECT_EQ(m.anchors.octaves, 3);
    EXPECT_EQ(m.anchors.aspects, (std::vector<double>{1, 2, .5}));
    EXPECT_EQ(m.anchors.scale, p.anchor_scale);
    ASSERT_EQ(m.class_logits.size(), p.cells.size());
    ASSERT_EQ(m.box_deltas.size(), p.cells.size());
    for (size_t l = 0; l < p.cells.size(); ++l) {
      const AnchorLevel anchors(m, 3 + static_cast<int>(l));
      ASSERT_EQ(anchors.size(), p.cells[l] * p.cells[l] * 9);
      const double stride = static_cast<double>(p.side) / p.cells[l];
      EXPECT_FLOAT_EQ(anchors[0].width, static_cast<float>(p.anchor_scale * stride));
      EXPECT_FLOAT_EQ(anchors[0].cx, static_cast<float>(stride / 2));
      EXPECT_FLOAT_EQ(anchors[anchors.size() - 1].cy, static_cast<float>(p.side - stride / 2))
          << "the last is as far inside as the first";
      EXPECT_EQ(m.class_logits[l], "class_logits_" + std::to_string(3 + l));
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
  const AnchorLevel a(shipped(), 3);
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
  std::vector<const Tensor*> lp, dp;
  for (size_t i = 0; i < 5; ++i) lp.push_back(&l[i]), dp.push_back(&d[i]);
  Detections found = Decoder(m).decode(lp, dp, 0.8, 640, 480);
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
  std::vector<const Tensor*> five(5, &t);
  EXPECT_THROW(Decoder(m).decode(five, five, 1, 10, 10), Error);
}

TEST(Suppress, HardKeepsTheBest) {
  SuppressionSettings s;
  Detections d{{{0, 0, 10, 10}, 0, 0.5f}, {{1, 0, 11, 10}, 0, 0.9f}, {{30, 0, 40, 10}, 0, 0.4f}};
  Detections kept = suppress(d, s);
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_FLOAT_EQ(kept[0].score, 0.9f);
  EXPECT_FLOAT_EQ(kept[1].score, 0.4f);
}

TEST(Suppress, HardAsDefined) {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> at(0, 300), side(1, 90);
  for (double most : {0.0, 0.2, 0.5, 0.9}) {
    for (double far : {0.0, 60000.0}) {  // where floats are 1/256 apart
      SuppressionSettings s;
      s.iou = most;
      s.detections = 2000;
      Detections boxes;
      for (int i = 0; i < 1000; ++i) {
        const double x = far + at(random), y = far + at(random);
        boxes.push_back({{x, y, x + side(random), y + side(random)}, 0, static_cast<float>(1000 - i) / 1001});
      }
      // Overlaps just above, exactly and just below.
      for (int i = -1; i <= 1; ++i)
        boxes.push_back({{boxes[0].box.x0, boxes[0].box.y0, boxes[0].box.x1,
                          boxes[0].box.y0 + boxes[0].box.height() * most * (1 + i * 1e-13)},
                         0,
                         0.0005f});
      Detections kept;
      for (const Detection& d : boxes)
        if (std::none_of(kept.begin(), kept.end(), [&](const Detection& k) { return iou(k.box, d.box) > most; }))
          kept.push_back(d);
      ASSERT_GT(kept.size(), 30u);
      EXPECT_EQ(suppress(boxes, s), kept) << most << " " << far;
    }
  }
}

TEST(Suppress, GaussianDecays) {
  SuppressionSettings s;
  s.method = "gaussian";
  Detections d{{{0, 0, 10, 10}, 0, 0.9f}, {{5, 0, 15, 10}, 0, 0.8f}};
  Detections kept = suppress(d, s);
  ASSERT_EQ(kept.size(), 2u);
  double o = 1.0 / 3;
  EXPECT_NEAR(kept[1].score, 0.8 * std::exp(-o * o / 0.5), 1e-6);
}

TEST(Suppress, CandidatesAreBounded) {
  SuppressionSettings s;
  s.candidates_per_class = 3;
  Detections d;
  for (int i = 0; i < 100; ++i) d.push_back({{i * 20.0, 0, i * 20.0 + 10, 10}, 0, static_cast<float>(i) / 100});
  EXPECT_EQ(suppress(d, s).size(), 3u);
}

TEST(Preprocess, LetterboxIsTopLeftAndNormalised) {
  InputSettings in;
  in.width = in.height = 8;
  Image image(4, 2);
  for (size_t i = 0; i < image.rgb.size(); i += 3) image.rgb[i] = 255, image.rgb[i + 1] = 0, image.rgb[i + 2] = 128;
  Letterbox box = letterbox_of(4, 2, in);
  EXPECT_EQ(box.width, 8);
  EXPECT_EQ(box.height, 4);
  EXPECT_DOUBLE_EQ(box.scale, 2);
  std::vector<float> out(8 * 8 * 3, 7);
  preprocess(image, in, box, out.data());
  EXPECT_NEAR(out[0], (1 - 0.485) / 0.229, 1e-5);
  EXPECT_NEAR(out[1], (0 - 0.456) / 0.224, 1e-5);
  EXPECT_NEAR(out[3 * 8 * 3 + 2], (128 / 255.0 - 0.406) / 0.225, 1e-5);
  for (size_t i = 4 * 8 * 3; i < out.size(); ++i) EXPECT_EQ(out[i], 0);
  in.pixel_order = "BGR";
  preprocess(image, in, box, out.data());
  EXPECT_NEAR(out[0], (128 / 255.0 - 0.485) / 0.229, 1e-5);
}

// Every value of every channel, in rows that no vector divides.
TEST(Preprocess, NormalisesEveryValueInOddRows) {
  InputSettings in;
  in.width = 37;
  in.height = 21;
  Image image(35, 21);
  for (size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = static_cast<uint8_t>(i * 7 + i / 256);
  for (const char* order : {"RGB", "BGR"}) {
    in.pixel_order = order;
    std::vector<float> out(37 * 21 * 3, 7);
    preprocess(image, in, {1, 1, 35, 21}, out.data());
    for (int y = 0; y < 21; ++y)
      for (int x = 0; x < 37; ++x)
        for (size_t c = 0; c < 3; ++c) {
          const size_t from = in.pixel_order == "BGR" ? 2 - c : c;
          const double want =
              x < 35 ? (image.row(y)[static_cast<size_t>(x) * 3 + from] / 255.0 - in.mean[c]) / in.deviation[c] : 0;
          ASSERT_NEAR(out[static_cast<size_t>((y * 37 + x) * 3) + c], want, 1e-6) << order << x << ',' << y << ',' << c;
        }
  }
}

// Bytes are the codes of the floats, those outside the picture that of 0.
TEST(Preprocess, BytesAreTheCodesOfTheFloats) {
  // The last is too coarse, and the one before too narrow, for any number to keep its place.
  const PixelCodes all[] = {
      {{50, 61.5f, 55.25f}, -114, 141}, {{30, 30, 30}, -127, 127}, {{400, 90, 7}, 0, 255}, {{0.3f, 0.2f, 0.1f}, -100, 155}};
  for (const auto& [width, height] : {std::pair{1, 1}, {35, 21}, {64, 2}, {149, 30}}) {  // the largest has every pixel
    InputSettings in;
    in.width = width + 2;
    in.height = height + 4;
    Image image(width, height);
    for (size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = static_cast<uint8_t>(i * 7 + i / 256);
    for (const PixelCodes& codes : all) {
      std::vector<float> floats(static_cast<size_t>(in.width * in.height * 3));
      std::vector<uint8_t> bytes(floats.size(), 99);
      preprocess(image, in, {1, 1, width, height}, floats.data());
      preprocess(image, in, {1, 1, width, height}, codes, bytes.data());
      for (size_t i = 0; i < floats.size(); ++i) {
        const float code = std::clamp(std::nearbyint(floats[i] * codes.inverse_scale[i % 3]), codes.lowest, codes.highest);
        ASSERT_EQ(bytes[i], code - codes.lowest) << floats[i] << " of " << width << "x" << height;
      }
    }
  }
}

}  // namespace
}  // namespace cytodet
