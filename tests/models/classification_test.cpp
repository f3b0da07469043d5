// Preprocessing of classification networks is TensorFlow's; keys of their model files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "core/file.h"
#include "core/settings.h"
#include "models/classification/classifier_settings.h"
#include "models/classification_model.h"
#include "models/detection_model.h"
#include "models/registry.h"
#include "tests/error_of.h"
#include "tests/paths.h"
#include "tiling/slides/image_io.h"

namespace cytodet {
namespace {

using ::testing::HasSubstr;

const std::string kGolden = cytodet::source_dir() + "/tests/data/classification/";

Json model_json(const Json& resize = {}, const Json& input = {}) {
  Json j{{"family", "classification"}, {"graph", "g.pb"}, {"output", "predict"}, {"classes", {"a", "b", "c"}}};
  j["input"] = {{"node", "input"}, {"width", 32}, {"height", 32}, {"divisor", 1}, {"mean", {0, 0, 0}}, {"deviation", {1, 1, 1}}};
  if (!input.is_null()) j["input"].update(input);
  j["resize"] = {{"short_side", 40}};
  if (!resize.is_null()) j["resize"].update(resize);
  return j;
}

// The values of a .npy file behind its header, of numbers as large as T.
template <class T>
std::vector<T> values_in(const std::string& name) {
  const std::string bytes = read_file(kGolden + name);
  const size_t header = 10 + static_cast<uint8_t>(bytes[8]) + 256u * static_cast<uint8_t>(bytes[9]);
  std::vector<T> values((bytes.size() - header) / sizeof(T));
  std::memcpy(values.data(), bytes.data() + header, values.size() * sizeof(T));
  return values;
}

Image image_in(const std::string& name, const JpegDecoding& how = {}) {
  const std::string bytes = read_file(kGolden + name);
  return decode_image({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, how);
}

struct Rule {
  const char* name;
  Json resize, input;
};
const Rule kRules[] = {
    {"resnet50", {}, {}},
    {"resnet50v1_5", {}, {{"mean", {123.68, 116.78, 103.94}}}},
    {"resnet101", {{"rounding", "nearest"}, {"sampling", "legacy"}}, {{"mean", {123.68, 116.78, 103.94}}}},
    {"mobilenet_v1",
     {{"method", "central_crop"}, {"sampling", "legacy"}},
     {{"divisor", 255}, {"mean", {.5, .5, .5}}, {"deviation", {.5, .5, .5}}}},
    {"inceptionv3", {{"method", "central_crop"}}, {{"divisor", 255}, {"mean", {.5, .5, .5}}, {"deviation", {.5, .5, .5}}}},
    {"align_corners", {{"method", "stretch"}, {"sampling", "align_corners"}}, {}},
};

TEST(ClassificationInput, IsTensorFlowsForEveryRule) {
  const Image image = image_in("cells.png");
  for (const Rule& rule : kRules) {
    const Json json = model_json(rule.resize, rule.input);
    const auto model = make_classification_model(parse_model_file(json, "m.json"));
    const std::vector<float> wanted = values_in<float>(std::string(rule.name) + ".npy");
    std::vector<float> got(32 * 32 * 3);
    ASSERT_EQ(wanted.size(), got.size()) << rule.name;
    model->preprocess(image, got.data());
    const float largest =
        255 / static_cast<float>(json["input"]["divisor"].get<double>() * json["input"]["deviation"][0].get<double>());
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], wanted[i], largest * 1e-6f) << rule.name << " value " << i;
  }
}

TEST(ClassificationInput, JpegByTheFastTransformIsTensorFlows) {
  const std::vector<uint8_t> wanted = values_in<uint8_t>("fast.npy");
  EXPECT_EQ(image_in("cells.jpg", {true, false}).rgb, wanted);
  EXPECT_NE(image_in("cells.jpg").rgb, wanted);
}

TEST(ClassificationInput, BgrIsTheSameInOtherOrder) {
  const Image image = image_in("cells.png");
  std::vector<float> rgb(32 * 32 * 3), bgr(rgb.size());
  make_classification_model(parse_model_file(model_json(), "m"))->preprocess(image, rgb.data());
  make_classification_model(parse_model_file(model_json({}, {{"pixel_order", "BGR"}, {"mean", {1, 2, 3}}}), "m"))
      ->preprocess(image, bgr.data());
  for (size_t i = 0; i < rgb.size(); i += 3)
    for (size_t c = 0; c < 3; ++c) ASSERT_FLOAT_EQ(bgr[i + c], rgb[i + 2 - c] - static_cast<float>(c + 1));
}

TEST(ClassificationInput, ImagesOfAnySizeAreTaken) {
  for (const auto& [width, height] : {std::pair{1, 1}, {1, 500}, {3000, 2}, {32, 32}})
    for (const char* method : {"stretch", "short_side", "central_crop"}) {
      Image image(width, height);
      std::fill(image.rgb.begin(), image.rgb.end(), uint8_t{7});
      std::vector<float> got(32 * 32 * 3);
      make_classification_model(parse_model_file(model_json({{"method", method}}), "m"))->preprocess(image, got.data());
      for (float v : got) ASSERT_EQ(v, 7) << width << " x " << height << " " << method;
    }
}

TEST(ClassificationInput, ImagesThatCannotBeResizedAreRefused) {
  const auto model = make_classification_model(parse_model_file(model_json({{"short_side", 16384}}), "m"));
  std::vector<float> got(32 * 32 * 3);
  const Image narrow(2000, 1);
  EXPECT_THAT(error_of([&] { model->preprocess(narrow, got.data()); }), HasSubstr("image of 2000 x 1 pixels is too narrow"));
}

TEST(ClassificationInput, AtLeastOnePixelStaysOfTheMiddle) {
  Image image(4, 4);
  std::fill(image.rgb.begin(), image.rgb.end(), uint8_t{7});
  std::vector<float> got(32 * 32 * 3);
  const Json json = model_json({{"method", "central_crop"}, {"fraction", 1e-20}});
  make_classification_model(parse_model_file(json, "m"))->preprocess(image, got.data());
  for (float v : got) ASSERT_EQ(v, 7);
}

TEST(ClassificationModels, ScoresAreSoftmaxOfLogits) {
  Json json = model_json();
  const Tensor logits = Tensor::from<float>({2, 3}, {0, 0, 0, 1000, 1000 + std::log(3.0f), -1000});
  const Tensor* output = &logits;
  EXPECT_EQ(make_classification_model(parse_model_file(json, "m"))->scores({&output, 1}, 1)[0], 1000);
  json["logits"] = true;
  const std::vector<float> p = make_classification_model(parse_model_file(json, "m"))->scores({&output, 1}, 1);
  EXPECT_NEAR(p[0], 0.25, 1e-4);
  EXPECT_NEAR(p[1], 0.75, 1e-4);
  EXPECT_EQ(p[2], 0);
}

TEST(ClassificationModels, NumbersOfADataSetCountFromItsOffset) {
  Json json = model_json();
  json["label_offset"] = -1;
  const auto model = make_classification_model(parse_model_file(json, "m"));
  EXPECT_EQ(model->channel_of(0), std::nullopt);
  EXPECT_EQ(model->channel_of(1), 0);
  EXPECT_EQ(model->channel_of(3), 2);
  EXPECT_EQ(model->channel_of(4), std::nullopt);
  EXPECT_EQ(model->channel_of(std::numeric_limits<int64_t>::min()), std::nullopt);
  EXPECT_EQ(model->channel_of(std::numeric_limits<int64_t>::max()), std::nullopt);
}

TEST(ClassificationModels, OutputsMustHaveAScorePerClass) {
  const auto model = make_classification_model(parse_model_file(model_json(), "m"));
  const auto problem = [&](Shape shape, DType type = DType::f32) {
    const OutputSpec spec{"predict", type, std::move(shape)};
    return error_of([&] { model->check_outputs({&spec, 1}); });
  };
  EXPECT_EQ(problem({4, 3}), "");
  EXPECT_EQ(problem({4, 1, 1, 3}), "");
  EXPECT_THAT(problem({4, 1001}), HasSubstr("output predict: is float32 [4,1001], but float scores of 3 classes are expected"));
  EXPECT_THAT(problem({4, 3}, DType::i64), HasSubstr("float scores"));
  EXPECT_THAT(problem({-1, 3}), HasSubstr("[?,3]"));
}

TEST(ClassificationModels, KindsAreNotTakenForEachOther) {
  const ModelFile classifier = parse_model_file(model_json(), "m.json");
  EXPECT_THAT(error_of([&] { make_detection_model(classifier); }), HasSubstr("is a network for classification"));
  const ModelFile detector = read_model_file(cytodet::source_dir() + "/models/efficientdet/efficientdet_d0_blood.json");
  EXPECT_THAT(error_of([&] { make_classification_model(detector); }), HasSubstr("is a network for detection"));
}

TEST(ClassificationModelFiles, KeysAreCheckedAndWrittenBack) {
  const auto problem = [](const Json& json) { return error_of([&] { parse_model_file(json, "m.json"); }); };
  EXPECT_THAT(problem(model_json({{"method", "centre_crop"}})),
              HasSubstr("m.json: resize.method: there is no method \"centre_crop\"; known: stretch, short_side, central_crop"));
  EXPECT_THAT(problem(model_json({{"short_side", 31}})),
              HasSubstr("m.json: resize.short_side: must not be less than the input's sides"));
  EXPECT_THAT(problem(model_json({{"fraction", 0}})), HasSubstr("m.json: resize.fraction: must be over 0"));
  EXPECT_THAT(problem(model_json({}, {{"divisor", 0}})), HasSubstr("m.json: input.divisor: must be positive"));
  Json with_boxes = model_json();
  with_boxes["suppression"] = {{"iou", 0.5}};
  EXPECT_THAT(problem(with_boxes), HasSubstr("suppression: unknown key"));
  const Json written = write_settings(parse_model_file(model_json({{"sampling", "legacy"}}), "m.json"));
  EXPECT_EQ(written["resize"]["sampling"], "legacy");
  EXPECT_EQ(written["input"]["divisor"], 1);
  EXPECT_FALSE(written.contains("suppression"));
  EXPECT_EQ(write_settings(parse_model_file(written, "again")), written);
}

TEST(ClassificationModelFiles, ClassesMayStandInATextOfTheirOwn) {
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / ("labels_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder / "sub");
  Json json = model_json();
  json.erase("classes");
  json["classes_file"] = "labels.txt";
  write_file(folder / "labels.txt", "tench, Tinca tinca\r\n goldfish \r\n\r\nshark\r\n\r\n");
  write_file(folder / "m.json", json.dump());
  const ModelFile m = read_model_file(folder / "m.json");
  EXPECT_THAT(m.classes, ::testing::ElementsAre("tench, Tinca tinca", "goldfish", "", "shark"));
  write_model_file(m, folder / "sub/m.json");
  EXPECT_EQ(read_json(folder / "sub/m.json")["classes_file"], "../labels.txt");
  EXPECT_EQ(read_model_file(folder / "sub/m.json").classes, m.classes);
  write_file(folder / "labels.txt", "\xef\xbb\xbftench\ngoldfish\n");
  EXPECT_THAT(read_model_file(folder / "m.json").classes, ::testing::ElementsAre("tench", "goldfish")) << "a byte-order mark";
  std::filesystem::remove(folder / "labels.txt");
  EXPECT_THAT(error_of([&] { read_model_file(folder / "m.json"); }), HasSubstr("labels.txt: cannot open"));
  write_file(folder / "labels.txt", "\n");
  EXPECT_THAT(error_of([&] { read_model_file(folder / "m.json"); }), HasSubstr("labels.txt: names 0 classes"));
  json["classes"] = {"a"};
  write_file(folder / "m.json", json.dump());
  EXPECT_THAT(error_of([&] { read_model_file(folder / "m.json"); }), HasSubstr("classes: are given in more than one way"));
  std::filesystem::remove_all(folder);
}

TEST(ClassificationModelFiles, ClassesMayBeNumbered) {
  Json json = model_json();
  json.erase("classes");
  json["class_count"] = 1001;
  const ModelFile m = parse_model_file(json, "m");
  ASSERT_EQ(m.classes.size(), 1001u);
  EXPECT_EQ(m.classes[1000], "1000");
  const Json written = write_settings(m);
  EXPECT_FALSE(written.contains("classes"));
  EXPECT_EQ(written["class_count"], 1001);
  json["class_count"] = -1;
  EXPECT_THAT(error_of([&] { parse_model_file(json, "m"); }), HasSubstr("class_count: must be 1 to"));
}

}  // namespace
}  // namespace cytodet
