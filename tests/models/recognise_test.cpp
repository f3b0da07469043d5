// Recognising networks by descriptions alone; whole files are in tests/pipeline/import_test.cpp.
#include "models/recognise.h"

#include <gmock/gmock.h>

#include "core/settings.h"
#include "models/common/letterbox.h"
#include "models/common/preprocess.h"
#include "tests/error_of.h"

namespace cytodet::test {
namespace {

using models::ImportAnswers, models::NetworkDescription, models::Placement, models::Port, models::Recognition;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Port port(const std::string& name, Shape shape, DType type = DType::f32) { return {name, type, std::move(shape), true}; }

NetworkDescription network(Shape image, std::vector<Port> outputs) {
  NetworkDescription n;
  n.inputs = {port("images", std::move(image))};
  n.outputs = std::move(outputs);
  return n;
}

Recognition recognised(const NetworkDescription& n, const ImportAnswers& answers = {}) { return models::recognise(n, answers); }

ImportAnswers with_classes(int count) {
  ImportAnswers a;
  a.class_count = count;
  return a;
}

TEST(Recognise, OpenSizesComeFromMetadata) {
  NetworkDescription n = network({1, -1, -1, 3}, {port("output0", {1, 84, 8400})});
  n.metadata = {{"imgsz", "[640, 640]"}};
  const Recognition r = recognised(n, with_classes(80));
  EXPECT_EQ(r.family, "yolov8");
  EXPECT_EQ(r.model["input"]["width"], 640);
  n.metadata.clear();
  EXPECT_THAT(error_of([&] { recognised(n, with_classes(80)); }), HasSubstr("--size"));
}

TEST(Recognise, LargeYoloHasFourGrids) {
  EXPECT_EQ(recognised(network({1, 1280, 1280, 3}, {port("output", {1, 102000, 85})}), with_classes(80)).family, "yolov5");
}

TEST(Recognise, OtherTasksThanDetectionAreRefused) {
  NetworkDescription n = network({1, 64, 64, 3}, {port("output0", {1, 9, 84})});
  n.metadata = {{"task", "obb"}};
  EXPECT_THAT(error_of([&] { recognised(n, with_classes(5)); }), HasSubstr("\"obb\""));
  n.metadata = {{"task", "object-detection"}};  // of another exporter
  EXPECT_EQ(recognised(n, with_classes(5)).family, "yolov8");
}

TEST(Recognise, SigmoidsWithoutSoftmaxAreOfNoSsd) {
  NetworkDescription n = network({1, 300, 300, 3}, {port("loc", {1, 3000, 4}), port("conf", {1, 3000, 3})});
  const Recognition logits = recognised(n, with_classes(2));
  EXPECT_EQ(logits.family, "ssd");
  EXPECT_EQ(logits.model["score_form"], "softmax");
  n.ops = {{"Sigmoid", 1}};  // of the scores, as of RetinaNet's, which have no class of no object, or of layers within
  EXPECT_THAT(error_of([&] { recognised(n, with_classes(2)); }), HasSubstr("no family"));
  ImportAnswers a = with_classes(2);
  a.family = "ssd";
  EXPECT_EQ(recognised(n, a).family, "ssd");
  n.ops["Softmax"] = 1;
  EXPECT_EQ(recognised(n, with_classes(2)).model["score_form"], "probability");
}

TEST(Recognise, BatchesOfSeveralImagesAreNamed) {
  NetworkDescription n = network({4, 64, 64, 3}, {port("output0", {4, 9, 84})});
  EXPECT_THAT(error_of([&] { recognised(n, with_classes(5)); }),
              HasSubstr("input images: takes batches of 4 images: [4,64,64,3]; export the network with a batch of one"));
}

TEST(Recognise, HeadsBesideTheRowsThatAreMadeOfThemAreLeftAside) {
  NetworkDescription n = network({1, 64, 64, 3}, {port("out", {1, 252, 8}), port("r1", {1, 3, 8, 8, 8}),
                                                  port("r2", {1, 3, 4, 4, 8}), port("r3", {1, 3, 2, 2, 8})});
  std::swap(n.outputs[0], n.outputs[2]);
  const Recognition r = recognised(n, with_classes(3));
  EXPECT_EQ(r.family, "yolov5");
  EXPECT_EQ(r.model["outputs"]["joined"], "out");
  n.outputs[1].shape.back() = 7;  // made of something else
  EXPECT_THAT(error_of([&] { recognised(n, with_classes(3)); }), HasSubstr("no family"));
}

TEST(Recognise, AnswersThatAFamilyDoesNotAskAreRefused) {
  const NetworkDescription n = network({1, 64, 64, 3}, {port("output0", {1, 9, 84})});
  ImportAnswers a = with_classes(5);
  a.box_form = "xyxy";
  EXPECT_THAT(error_of([&] { recognised(n, a); }),
              HasSubstr("--box-form xyxy: is no answer for the family yolov8, which has cxcywh; leave it out"));
  a.box_form = "";
  a.class_numbers = "channels";
  EXPECT_THAT(error_of([&] { recognised(n, a); }), HasSubstr("--class-numbers channels: is no answer for the family yolov8"));
}

TEST(Recognise, NumbersOfTorchvisionsLabelsAreAnswered) {
  NetworkDescription n =
      network({1, 64, 64, 3}, {port("boxes", {-1, 4}), port("scores", {-1}), port("labels", {-1}, DType::i64)});
  n.ops = {{"NonMaxSuppressionV3", 1}};
  EXPECT_FALSE(recognised(n, with_classes(3)).model.contains("class_numbers"));
  ImportAnswers a = with_classes(4);
  a.class_numbers = "channels";
  EXPECT_EQ(recognised(n, a).model["class_numbers"], "channels");
}

TEST(Recognise, ASecondInputOfSizesIsFed) {
  NetworkDescription n =
      network({1, 64, 64, 3}, {port("labels", {-1, -1}, DType::i64), port("boxes", {-1, -1, 4}), port("scores", {-1, -1})});
  n.inputs.push_back(port("orig_target_sizes", {-1, 2}, DType::i64));
  const Recognition r = recognised(n, with_classes(3));
  EXPECT_EQ(r.family, "rtdetr_deployed");
  EXPECT_EQ(r.model["input"]["size_node"], "orig_target_sizes");
  EXPECT_EQ(r.model["input"]["node"], "images");
}

TEST(Recognise, ExponentialsTellYoloxDecoded) {
  NetworkDescription n = network({1, 128, 128, 3}, {port("output", {1, 336, 85})});
  n.ops = {{"Exp", 1}};
  const Recognition r = recognised(n, with_classes(80));
  EXPECT_EQ(r.family, "yolox");
  EXPECT_FALSE(r.model.contains("grid"));
  EXPECT_EQ(r.model["input"]["pixel_order"], "BGR");
}

TEST(Recognise, UndecodedGridsOfStride64AreRefused) {
  const NetworkDescription n = network({1, 128, 128, 3}, {port("output", {1, 340, 85})});  // 336 cells, and 4 of stride 64
  ImportAnswers a = with_classes(80);
  a.family = "yolox";
  EXPECT_THAT(error_of([&] { recognised(n, a); }), HasSubstr("relative to the cells of grids of strides 8 to 64"));
  a.family = "yolov6";
  EXPECT_EQ(recognised(n, a).model["box_unit"], "pixels");
}

// Boxes of yolov8 (columns) or yolov5 (rows) around the middles of an input of `side`.
Tensor boxes_over(double side, bool rows, int64_t boxes) {
  Tensor t(DType::f32, rows ? Shape{1, boxes, 6} : Shape{1, 6, boxes});
  std::fill_n(t.data<float>(), t.size(), 0.5f);
  for (int64_t i = 0; i < boxes; ++i)
    t.data<float>()[rows ? i * 6 : i] = static_cast<float>((static_cast<double>(i) + 0.5) / static_cast<double>(boxes) * side);
  return t;
}

TEST(Recognise, OutputsGiveTheUnitOfBoxes) {
  for (const bool rows : {false, true}) {
    const int64_t boxes = rows ? 3 * 336 : 336;
    const NetworkDescription n = network({1, 128, 128, 3}, {port("output", rows ? Shape{1, boxes, 6} : Shape{1, 6, boxes})});
    Recognition r = recognised(n, with_classes(rows ? 1 : 2));
    ASSERT_EQ(r.family, rows ? "yolov5" : "yolov8");
    ASSERT_TRUE(r.look_at);
    r.look_at(boxes_over(1, rows, boxes), r);
    EXPECT_EQ(r.model["box_unit"], "share");
    r.look_at(boxes_over(128, rows, boxes), r);
    EXPECT_EQ(r.model["box_unit"], "pixels");
    ImportAnswers a = with_classes(rows ? 1 : 2);
    a.box_unit = "share";
    r = recognised(n, a);
    EXPECT_FALSE(r.look_at);
    EXPECT_EQ(r.model["box_unit"], "share");
  }
}

TEST(Recognise, WhatIsSaidOfPixelsIsWhatIsSet) {
  const NetworkDescription n = network({1, 128, 128, 3}, {port("output", {1, 6, 336})});
  ImportAnswers a = with_classes(2);
  const auto said = [&] {
    std::string text;
    for (const models::Finding& f : recognised(n, a).findings) text += f.what + "  by " + f.from + "\n";
    return text;
  };
  EXPECT_THAT(said(), HasSubstr("RGB / 255, in the middle of gray (114)  by how YOLO's exports are run\n"));
  a.pixel_order = "BGR";
  a.placement = "stretch";
  EXPECT_THAT(said(), HasSubstr("BGR / 255, stretched to the input  by how YOLO's exports are run, and your answers\n"));
  a.placement = "top_left";
  a.divisor = 1;
  a.mean = {1, 2, 3};
  EXPECT_THAT(said(), HasSubstr("BGR in 0..255, less 1,2,3, divided by 1,1,1, at the top left of gray (114)  by"));
}

TEST(Recognise, ClassesTellDetrFromRtDetr) {
  const NetworkDescription n = network({1, 640, 640, 3}, {port("logits", {1, 300, 81}), port("pred_boxes", {1, 300, 4})});
  EXPECT_EQ(recognised(n, with_classes(80)).family, "detr");
  EXPECT_EQ(recognised(n, with_classes(81)).family, "rtdetr");
  EXPECT_THAT(error_of([&] { recognised(n, with_classes(7)); }), HasSubstr("no family"));
}

TEST(Recognise, LiteDetectionsCountClassesFromZero) {
  NetworkDescription n = network(
      {1, 300, 300, 3}, {port("TFLite_Detection_PostProcess", {1, 10, 4}), port("TFLite_Detection_PostProcess_1", {1, 10}),
                         port("TFLite_Detection_PostProcess_2", {1, 10}), port("TFLite_Detection_PostProcess_3", {1})});
  n.lite = true;
  n.inputs[0].dtype = DType::u8;
  const Recognition r = recognised(n, with_classes(90));
  EXPECT_EQ(r.family, "tflite_detection");
  EXPECT_EQ(r.model["outputs"]["scores"], "TFLite_Detection_PostProcess_2");
  EXPECT_EQ(r.model["class_numbers"], "channels");
  EXPECT_EQ(r.model["input"]["divisor"], 1);
  EXPECT_THAT(r.questions, IsEmpty());
  n.inputs[0].dtype = DType::f32;
  EXPECT_THAT(recognised(n, with_classes(90)).questions, SizeIs(1));  // how pixels are normalised
}

// Heads of an EfficientDet of five levels.
NetworkDescription efficientdet(int side, int64_t classes) {
  std::vector<Port> outputs;
  for (int level = 3; level <= 7; ++level) {
    const int64_t cells = (side + (1 << level) - 1) >> level;
    outputs.push_back(port("class_net/l" + std::to_string(level), {1, cells, cells, 9 * classes}));
    outputs.push_back(port("box_net/l" + std::to_string(level), {1, cells, cells, 36}));
  }
  return network({1, side, side, 3}, std::move(outputs));
}

TEST(Recognise, EfficientDetsAnchorsComeFromPublishedSizes) {
  EXPECT_EQ(recognised(efficientdet(512, 90), with_classes(90)).model["anchors"]["scale"], 4.0);
  EXPECT_EQ(recognised(efficientdet(1536, 90), with_classes(90)).model["anchors"]["scale"], 5.0);
  NetworkDescription lite = efficientdet(320, 90);
  lite.ops = {{"Relu6", 50}};
  const Recognition r = recognised(lite, with_classes(90));
  EXPECT_EQ(r.model["anchors"]["scale"], 3.0);
  EXPECT_NEAR(r.model["input"]["mean"][0].get<double>(), 127.0 / 255, 1e-12);
  lite = efficientdet(640, 90);
  lite.ops = {{"Relu6", 50}};
  EXPECT_THAT(recognised(lite, with_classes(90)).questions, SizeIs(1));  // lite3x and lite4 differ
  EXPECT_THAT(recognised(efficientdet(600, 90), with_classes(90)).questions, SizeIs(1));
}

TEST(Recognise, NamesTellHeadsOfFourClasses) {
  const Recognition r = recognised(efficientdet(512, 4), with_classes(4));
  EXPECT_EQ(r.model["class_logits"][0], "class_net/l3");
  EXPECT_EQ(r.model["box_deltas"][4], "box_net/l7");
}

TEST(Placement, CentreAndSidesAreRoundedAsYoloDoes) {
  models::InputSettings input;
  input.width = input.height = 640;
  input.placement = Placement::center;
  const models::Letterbox box = models::letterbox_of(1000, 667, input);
  EXPECT_EQ(box.width, 640);
  EXPECT_EQ(box.height, 427);  // round(426.88)
  EXPECT_EQ(box.top, 106);     // (640 - 427) / 2 = 106.5, of which 106 above
  EXPECT_EQ(box.left, 0);
}

TEST(Placement, WhatIsAroundTheImageIsFilled) {
  models::InputSettings input;
  input.width = 8;
  input.height = 6;
  input.mean = {0, 0, 0};
  input.deviation = {1, 1, 1};
  input.fill = 51;
  Image image(4, 4);
  std::fill(image.rgb.begin(), image.rgb.end(), uint8_t{255});
  for (const Placement placement : {Placement::top_left, Placement::center, Placement::stretch}) {
    input.placement = placement;
    std::vector<float> out(8 * 6 * 3, -1);
    preprocess(image, input, letterbox_of(4, 4, input), out.data());
    const int first = placement == Placement::center ? 1 : 0, width = placement == Placement::stretch ? 8 : 6;
    for (int y = 0; y < 6; ++y)
      for (int x = 0; x < 8; ++x)
        EXPECT_NEAR(out[static_cast<size_t>((y * 8 + x) * 3)], x >= first && x < first + width ? 1.0 : 0.2, 1e-6)
            << x << " " << y;
  }
}

}  // namespace
}  // namespace cytodet::test
