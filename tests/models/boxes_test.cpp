// Networks that give boxes, scores and classes themselves: every form of their outputs, and model files that are refused.
#include "models/boxes/boxes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/settings.h"
#include "models/boxes/box_settings.h"
#include "models/detection_model.h"
#include "tests/error_of.h"
#include "tests/models/expect_box.h"

namespace cytodet {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

Json box_file() {
  return Json::parse(R"({"graph": "g.pb", "classes": ["cat", "dog"], "category_ids": [17, 18],
    "input": {"node": "image_tensor", "width": 40, "height": 20, "divisor": 1, "mean": [0, 0, 0], "deviation": [1, 1, 1]},
    "outputs": {"boxes": "detection_boxes", "scores": "detection_scores", "classes": "detection_classes", "count": "num"}})");
}
Json box_file_per_class() {
  Json j = box_file();
  j["outputs"].erase("classes");
  j["outputs"].erase("count");
  j["suppressed"] = false;
  return j;
}

Detections decoded(const Json& file, const std::vector<Tensor>& outputs, double scale = 1, int width = 40, int height = 20) {
  const auto model = make_detection_model(parse_model_file(file, "m.json"));
  std::vector<const Tensor*> pointers;
  for (const Tensor& t : outputs) pointers.push_back(&t);
  Letterbox box;
  box.scale = box.scale_y = scale;
  return model->decode(pointers, box, width, height);
}

Tensor floats(Shape shape, const std::vector<float>& values) { return Tensor::from<float>(std::move(shape), values); }

std::vector<Tensor> three_boxes(float count = 3) {
  return {floats({1, 3, 4}, {0.1f, 0.2f, 0.5f, 0.6f, 0, 0, 1, 1, 0.1f, 0.2f, 0.5f, 0.6f}), floats({1, 3}, {0.9f, 0.01f, 0.95f}),
          floats({1, 3}, {18, 17, 17}), floats({1}, {count})};
}

TEST(BoxNetwork, SharesOfTheInputBecomePixelsRankedByScore) {
  EXPECT_STREQ(family_of(box_file(), "m.json").name, "boxes");
  const Detections found = decoded(box_file(), three_boxes());
  ASSERT_EQ(found.size(), 2u) << "a score under the least is none, a box of another class over it stays";
  expect_box(found[0], 0, 0.95f, {8, 2, 24, 10});
  expect_box(found[1], 1, 0.9f, {8, 2, 24, 10});
  // An image twice as large as the input, and narrower than its box.
  const Detections scaled = decoded(box_file(), three_boxes(1), 0.5, 30, 40);
  ASSERT_EQ(scaled.size(), 1u) << "the count leaves out the others";
  expect_box(scaled[0], 1, 0.9f, {16, 4, 30, 20});
}

TEST(BoxNetwork, RowsOfAJoinedOutputMayNameTheirClass) {
  Json j = box_file();
  j["outputs"] = {{"joined", "out"}};
  j["joined_form"] = "score_and_class";
  j["box_form"] = "xyxy";
  j["box_unit"] = "pixels";
  j["class_numbers"] = "channels";
  const std::vector<float> rows = {8, 2, 24, 10, 0.9f, 1, 0, 0, 4, 4, 0.95f, 0, 1, 1, 2, 2, 0, 77};
  const Detections found = decoded(j, {floats({1, 3, 6}, rows)});
  ASSERT_EQ(found.size(), 2u) << "what pads the rest may name no class";
  expect_box(found[0], 0, 0.95f, {0, 0, 4, 4});
  expect_box(found[1], 1, 0.9f, {8, 2, 24, 10});
  EXPECT_THAT(error_of([&] { decoded(j, {floats({1, 1, 6}, {0, 0, 4, 4, 0.5f, 2})}); }), HasSubstr("output out: gives class 2"));
  EXPECT_THAT(error_of([&] { decoded(j, {floats({1, 1, 7}, std::vector<float>(7, 1))}); }), HasSubstr("[1, n, 6] is expected"));
  j["objectness"] = true;
  EXPECT_THAT(error_of([&] { parse_model_file(j, "m.json"); }), HasSubstr("joined_form"));
}

TEST(BoxNetwork, EveryFormOfABox) {
  const auto box_of = [](const char* form, const char* unit, const std::vector<float>& values) {
    Json j = box_file();
    j["box_form"] = form;
    j["box_unit"] = unit;
    return decoded(j, {floats({1, 1, 4}, values), floats({1, 1}, {0.5f}), Tensor::from<int64_t>({1, 1}, {17}), floats({1}, {1})});
  };
  expect_box(box_of("xyxy", "share", {0.2f, 0.1f, 0.6f, 0.5f})[0], 0, 0.5f, {8, 2, 24, 10});
  expect_box(box_of("xyxy", "pixels", {8, 2, 24, 10})[0], 0, 0.5f, {8, 2, 24, 10});
  expect_box(box_of("yxyx", "pixels", {2, 8, 10, 24})[0], 0, 0.5f, {8, 2, 24, 10});
  expect_box(box_of("xywh", "pixels", {8, 2, 16, 8})[0], 0, 0.5f, {8, 2, 24, 10});
  expect_box(box_of("cxcywh", "pixels", {16, 6, 16, 8})[0], 0, 0.5f, {8, 2, 24, 10});
  EXPECT_THAT(box_of("xyxy", "pixels", {24, 2, 8, 10}), IsEmpty()) << "its corners are in the wrong order";
  EXPECT_THAT(box_of("xyxy", "pixels", {NAN, 2, 8, 10}), IsEmpty());
}

TEST(BoxNetwork, ScoresForEachClassAreSuppressed) {
  Json j = box_file_per_class();
  const Tensor boxes = floats({1, 3, 4}, {0, 0, 0.5f, 0.5f, 0, 0, 0.5f, 0.51f, 0.5f, 0.5f, 1, 1});
  const Detections plain = decoded(j, {boxes, floats({1, 3, 2}, {0.9f, 0.1f, 0.8f, 0, 0, 0.7f})});
  ASSERT_EQ(plain.size(), 3u);
  expect_box(plain[0], 0, 0.9f, {0, 0, 20, 10});
  expect_box(plain[1], 1, 0.7f, {20, 10, 40, 20});
  expect_box(plain[2], 1, 0.1f, {0, 0, 20, 10});
  j["background"] = "first";
  const Detections behind = decoded(j, {boxes, floats({1, 3, 3}, {0.99f, 0.9f, 0.1f, 0.99f, 0.8f, 0, 0.99f, 0, 0.7f})});
  ASSERT_EQ(behind.size(), 3u);
  expect_box(behind[1], 1, 0.7f, {20, 10, 40, 20});
}

TEST(BoxNetwork, LogitsBecomeScores) {
  Json j = box_file_per_class();
  const Tensor boxes = floats({1, 1, 4}, {0, 0, 0.5f, 0.5f});
  j["score_form"] = "sigmoid";
  Detections found = decoded(j, {boxes, floats({1, 1, 2}, {2, -1})});
  ASSERT_EQ(found.size(), 2u);
  EXPECT_NEAR(found[0].score, 1 / (1 + std::exp(-2.0)), 1e-6);
  EXPECT_NEAR(found[1].score, 1 / (1 + std::exp(1.0)), 1e-6);
  j["score_form"] = "softmax";
  j["background"] = "last";
  found = decoded(j, {boxes, floats({1, 1, 3}, {100, 99, 98})});
  ASSERT_EQ(found.size(), 2u);
  const double sum = 1 + std::exp(-1.0) + std::exp(-2.0);
  EXPECT_NEAR(found[0].score, 1 / sum, 1e-6);
  EXPECT_NEAR(found[1].score, std::exp(-1.0) / sum, 1e-6);
  EXPECT_EQ(found[1].category, 1);
}

// Rows with a score of one class: YOLOv7's with the image's number, and MMDeploy's with the classes apart.
TEST(BoxNetwork, RowsOfOneScore) {
  Json j = box_file();
  j["outputs"] = {{"joined", "output"}};
  j["joined_form"] = "image_class_score";
  j["box_form"] = "xyxy";
  j["box_unit"] = "pixels";
  j["class_numbers"] = "channels";
  Detections found = decoded(j, {floats({2, 7}, {0, 8, 2, 24, 10, 1, 0.6f, 0, 1, 1, 3, 5, 0, 0.9f})});
  ASSERT_EQ(found.size(), 2u);
  expect_box(found[0], 0, 0.9f, {1, 1, 3, 5});
  expect_box(found[1], 1, 0.6f, {8, 2, 24, 10});
  EXPECT_THAT(decoded(j, {Tensor(DType::f32, {0, 7})}), IsEmpty());
  EXPECT_THAT(
      error_of([&] {
        decoded(j, {floats({1, 7}, {0, 8, 2, 24, 10, 2, 0.6f})});
      }),
      HasSubstr("output output: gives class 2, which the model file does not know; numbers of classes are places in the list of "
                "2 names, 0 to 1"));
  j["joined_form"] = "score";
  EXPECT_THAT(error_of([&] { parse_model_file(j, "m.json"); }), HasSubstr("m.json: outputs.classes: must name the node"));
  j["outputs"]["classes"] = "labels";
  const Tensor rows = floats({1, 2, 5}, {8, 2, 24, 10, 0.6f, 1, 1, 3, 5, 0.9f});
  found = decoded(j, {rows, Tensor::from<int64_t>({1, 2}, {1, 0})});
  ASSERT_EQ(found.size(), 2u);
  expect_box(found[0], 0, 0.9f, {1, 1, 3, 5});
  expect_box(found[1], 1, 0.6f, {8, 2, 24, 10});
  EXPECT_THAT(error_of([&] {
                decoded(j, {rows, Tensor::from<int64_t>({1, 3}, {1, 0, 0})});
              }),
              HasSubstr("output labels: has shape [1,3] for 2 boxes"));
  j.erase("class_numbers");
  EXPECT_THAT(
      error_of([&] {
        decoded(j, {rows, Tensor::from<int64_t>({1, 2}, {17, 0})});
      }),
      HasSubstr("gives class 0, which the model file does not know; category ids 17 to 18 are known: complete classes and "
                "category_ids (import: --classes, --category-ids), or count places from 0 (--class-numbers channels)"));
}

// One tensor, as the YOLO families export it: by boxes with objectness (v5, v7, YOLOX), or by values without (v8 and later).
TEST(BoxNetwork, OneTensorOfAll) {
  Json j = box_file_per_class();
  j["outputs"] = {{"joined", "output0"}};
  j["box_form"] = "cxcywh";
  j["box_unit"] = "pixels";
  const Tensor by_values = floats({1, 6, 3}, {16, 16, 30, 6, 6, 10, 16, 16, 10, 8, 8, 6, 0.9f, 0.8f, 0, 0.04f, 0.3f, 0.6f});
  Detections found = decoded(j, {by_values});
  ASSERT_EQ(found.size(), 3u);
  expect_box(found[0], 0, 0.9f, {8, 2, 24, 10});
  expect_box(found[1], 1, 0.6f, {25, 7, 35, 13});
  expect_box(found[2], 1, 0.3f, {8, 2, 24, 10});
  j["objectness"] = true;
  const Tensor by_boxes = floats({1, 2, 7}, {16, 6, 16, 8, 0.5f, 0.9f, 0.04f, 30, 10, 10, 6, 1, 0, 0.6f});
  found = decoded(j, {by_boxes});
  ASSERT_EQ(found.size(), 2u);
  expect_box(found[0], 1, 0.6f, {25, 7, 35, 13});
  expect_box(found[1], 0, 0.45f, {8, 2, 24, 10});
  EXPECT_THAT(error_of([&] { decoded(j, {by_values}); }),
              HasSubstr("output output0: has shape [1,6,3], but [1, n, 7] is expected, or the other way"));
  const auto model = make_detection_model(parse_model_file(j, "m.json"));
  const std::vector<OutputSpec> unfit{{"output0", DType::f32, {1, 84, 8400}}}, open{{"output0", DType::f32, {1, 84, -1}}};
  EXPECT_THAT(error_of([&] { model->check_outputs(unfit); }), HasSubstr("one of its dimensions must be 7"));
  EXPECT_EQ(error_of([&] { model->check_outputs(open); }), "");
}

TEST(BoxNetwork, NumbersOfClassesAreIdsOrPlaces) {
  Json j = box_file();
  EXPECT_THAT(error_of([&] {
                decoded(j, {floats({1, 1, 4}, {0, 0, 1, 1}), floats({1, 1}, {1}), floats({1, 1}, {1}), floats({1}, {1})});
              }),
              HasSubstr("output detection_classes: gives class 1, which the model file does not know"));
  j["class_numbers"] = "channels";
  EXPECT_EQ(decoded(j, {floats({1, 1, 4}, {0, 0, 1, 1}), floats({1, 1}, {1}), floats({1, 1}, {1}), floats({1}, {1})})[0].category,
            1);
}

TEST(BoxNetwork, OutputsThatDoNotFitAreNamed) {
  const auto problem = [](std::vector<Tensor> outputs) { return error_of([&] { decoded(box_file(), outputs); }); };
  std::vector<Tensor> outputs = three_boxes(4);
  EXPECT_THAT(problem(outputs), HasSubstr("output num: must be one number of 0 to 3 boxes"));
  outputs = three_boxes();
  outputs[3] = floats({1}, {NAN});
  EXPECT_THAT(problem(outputs), HasSubstr("output num"));
  outputs = three_boxes();
  outputs[1] = floats({1, 2}, {1, 1});
  EXPECT_THAT(problem(outputs), HasSubstr("output detection_scores: has shape [1,2], the classes [1,3]"));
  const auto model = make_detection_model(parse_model_file(box_file(), "m.json"));
  const auto refused = [&](size_t i, OutputSpec spec) {
    std::vector<OutputSpec> specs{
        {"b", DType::f32, {1, -1, 4}}, {"s", DType::f32, {1, -1}}, {"c", DType::i64, {}}, {"n", DType::i32, {1}}};
    EXPECT_EQ(error_of([&] { model->check_outputs(specs); }), "");
    specs[i] = std::move(spec);
    return error_of([&] { model->check_outputs(specs); });
  };
  EXPECT_THAT(refused(0, {"b", DType::f32, {1, -1, 5}}), HasSubstr("output b: is [1,?,5], but its last dimension must be 4"));
  EXPECT_THAT(refused(1, {"s", DType::i32, {1, -1}}), HasSubstr("output s: is int32, but float values are expected"));
}

TEST(BoxNetwork, ModelFilesThatAreRefused) {
  const auto problem = [](Json j) { return error_of([&] { parse_model_file(j, "m.json"); }); };
  EXPECT_EQ(problem(box_file()), "");
  EXPECT_EQ(problem(box_file_per_class()), "");
  Json j = box_file();
  j["outputs"].erase("scores");
  EXPECT_THAT(problem(j), HasSubstr("m.json: outputs.scores: must name the node"));
  j = box_file_per_class();
  j.erase("suppressed");
  EXPECT_THAT(problem(j), HasSubstr("m.json: suppressed: must be false"));
  j = box_file();
  j["background"] = "last";
  EXPECT_THAT(problem(j), HasSubstr("m.json: background"));
  j = box_file();
  j["outputs"]["joined"] = "all";
  EXPECT_THAT(problem(j), HasSubstr("m.json: outputs.joined: stands for all outputs"));
  j = box_file();
  j["objectness"] = true;
  EXPECT_THAT(problem(j), HasSubstr("m.json: objectness: is read from outputs.joined"));
  j = box_file();
  j["box_form"] = "xyyx";
  EXPECT_THAT(problem(j), HasSubstr("there is no box_form \"xyyx\""));
}

}  // namespace
}  // namespace cytodet
