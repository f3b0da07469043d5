// Networks that give maps of scores: peaks, sizes, offsets and centres, and model files that are refused.
#include "models/heat_maps/heat_maps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/settings.h"
#include "models/detection_model.h"
#include "models/heat_maps/heat_map_settings.h"
#include "tests/error_of.h"
#include "tests/models/expect_box.h"

namespace cytodet {
namespace {

using ::testing::HasSubstr;

// An input of 40 x 20 pixels, maps of 10 x 5 cells.
constexpr int kMapW = 10, kMapH = 5, kCellPixels = 4;

Json map_file() {
  return Json::parse(R"({"graph": "g.pb", "classes": ["cat", "dog"],
    "input": {"node": "image", "width": 40, "height": 20, "divisor": 1, "mean": [0, 0, 0], "deviation": [1, 1, 1]},
    "outputs": {"heat_map": "hm", "size": "wh", "offset": "reg"}})");
}
Json centre_file(double radius) {
  Json j = map_file();
  j["outputs"].erase("size");
  j["radius"] = radius;
  return j;
}

// Channels last.
Tensor map_of(int channels, float value) {
  return Tensor::from<float>({1, kMapH, kMapW, channels}, std::vector<float>(kMapH * kMapW * channels, value));
}
float& at(Tensor& t, int y, int x, int c) { return t.data<float>()[(y * kMapW + x) * t.dim(3) + c]; }

Tensor channels_first(const Tensor& t) {
  const int64_t c = t.dim(3);
  Tensor to = Tensor(DType::f32, {1, c, kMapH, kMapW});
  for (int64_t i = 0; i < kMapH * kMapW; ++i)
    for (int64_t k = 0; k < c; ++k) to.data<float>()[k * kMapH * kMapW + i] = t.data<float>()[i * c + k];
  return to;
}

Detections peaks_of(const Json& file, const std::vector<Tensor>& outputs, const Letterbox& box = {}, int width = 40,
                    int height = 20) {
  const auto model = make_detection_model(parse_model_file(file, "m.json"));
  std::vector<const Tensor*> pointers;
  for (const Tensor& t : outputs) pointers.push_back(&t);
  return model->decode(pointers, box, width, height);
}

struct Maps {
  Tensor heat = map_of(2, 0), size = map_of(2, 1), offset = map_of(2, 0.5f);
  Maps() {
    at(heat, 2, 3, 1) = 0.9f;
    at(heat, 2, 4, 1) = 0.8f;  // no peak: its neighbour is larger
    at(heat, 3, 4, 0) = 0.7f;  // of another class
    at(size, 2, 3, 0) = 3;
    at(size, 2, 3, 1) = 2;
    at(offset, 2, 3, 0) = 0.25f;
    at(offset, 2, 3, 1) = 0.75f;
  }
  std::vector<Tensor> all() const { return {heat, size, offset}; }
};

TEST(HeatMaps, PeaksAreObjectsOfTheSizeThere) {
  EXPECT_STREQ(family_of(map_file(), "m.json").name, "heat_maps");
  const Detections found = peaks_of(map_file(), Maps().all());
  ASSERT_EQ(found.size(), 2u);
  expect_box(found[0], 1, 0.9f, {(3.25 - 1.5) * 4, (2.75 - 1) * 4, (3.25 + 1.5) * 4, (2.75 + 1) * 4});
  expect_box(found[1], 0, 0.7f, {4.0 * 4, 3.0 * 4, 5.0 * 4, 4.0 * 4});
}

TEST(HeatMaps, ChannelsFirstGiveTheSameDetections) {
  Json j = map_file();
  j["layout"] = "channels_first";
  const Maps m;
  EXPECT_EQ(peaks_of(j, {channels_first(m.heat), channels_first(m.size), channels_first(m.offset)}),
            peaks_of(map_file(), m.all()));
}

TEST(HeatMaps, EveryFormOfASize) {
  Maps m;
  Json j = map_file();
  j["size_form"] = "height_width";
  expect_box(peaks_of(j, m.all())[0], 1, 0.9f, {(3.25 - 1) * 4, (2.75 - 1.5) * 4, (3.25 + 1) * 4, (2.75 + 1.5) * 4});
  j["size_form"] = "width_height";
  j["size_unit"] = "pixels";
  expect_box(peaks_of(j, m.all())[0], 1, 0.9f, {13 - 1.5, 11 - 1, 13 + 1.5, 11 + 1});
  j["size_form"] = "distances";
  m.size = map_of(4, 0);
  for (int c = 0; c < 4; ++c) at(m.size, 2, 3, c) = static_cast<float>(c + 1);
  const Detections found = peaks_of(j, m.all());
  ASSERT_EQ(found.size(), 1u) << "what has no size is no object";
  expect_box(found[0], 1, 0.9f, {13 - 1, 11 - 2, 13 + 3, 11 + 4});
}

TEST(HeatMaps, LogitsEqualNeighboursAndWhatIsNoNumber) {
  Json j = map_file();
  j["score_form"] = "sigmoid";
  Maps m;
  m.heat = map_of(2, -9);
  at(m.heat, 1, 1, 0) = 1.5f;
  at(m.heat, 1, 2, 0) = 1.5f;
  at(m.heat, 4, 9, 0) = std::nanf("");
  at(m.heat, 3, 8, 0) = 2;  // beside what is no number
  const Detections found = peaks_of(j, m.all());
  ASSERT_EQ(found.size(), 2u) << "of equal neighbours each is a peak";
  for (const Detection& d : found) EXPECT_FLOAT_EQ(d.score, 1 / (1 + std::exp(-1.5f)));
  j["peak_window"] = 1;
  EXPECT_EQ(peaks_of(j, m.all()).size(), 3u) << "a window of one cell has no neighbours";
}

TEST(HeatMaps, SuppressionIsForThoseThatAskForIt) {
  Json j = map_file();
  j["peak_window"] = 1;
  Maps m;
  at(m.size, 2, 3, 0) = at(m.size, 2, 4, 0) = 8;
  at(m.size, 2, 3, 1) = at(m.size, 2, 4, 1) = 4;
  EXPECT_EQ(peaks_of(j, m.all()).size(), 3u);
  j["suppressed"] = false;
  EXPECT_EQ(peaks_of(j, m.all()).size(), 2u);
}

TEST(HeatMaps, TheMiddleOfABoxIsTheCentreAlsoAtTheEdgeOfTheImage) {
  Maps m;
  const Json j = centre_file(6);
  const Detections found = peaks_of(j, {m.heat, m.offset});
  ASSERT_EQ(found.size(), 2u);
  expect_box(found[0], 1, 0.9f, {13 - 6, 11 - 6, 13 + 6, 11 + 6});
  expect_box(found[1], 0, 0.7f, {18 - 6, 14 - 6, 18 + 6, 14 + 6});
  at(m.heat, 0, 0, 0) = 0.6f;
  at(m.heat, 4, 9, 1) = 0.5f;
  at(m.offset, 4, 9, 0) = 1;
  at(m.offset, 4, 9, 1) = 1;
  const Detections edges = peaks_of(j, {m.heat, m.offset});
  ASSERT_EQ(edges.size(), 4u);
  expect_box(edges[2], 0, 0.6f, {2 - 6, 2 - 6, 2 + 6, 2 + 6});
  expect_box(edges[3], 1, 0.5f, {40 - 6, 20 - 6, 40 + 6, 20 + 6});
  // The image lies at (8, 4), half as large: what is found around it is none of its own.
  Letterbox box;
  box.scale = box.scale_y = 0.5;
  box.left = 8;
  box.top = 4;
  const Detections inside = peaks_of(j, {m.heat, m.offset}, box, 48, 24);
  ASSERT_EQ(inside.size(), 2u);
  expect_box(inside[0], 1, 0.9f, {10 - 12, 14 - 12, 10 + 12, 14 + 12});
  expect_box(inside[1], 0, 0.7f, {20 - 12, 20 - 12, 20 + 12, 20 + 12});
}

TEST(HeatMaps, WithoutOffsetsCentresLieInTheMiddleOfTheirCells) {
  Json j = centre_file(2);
  j["outputs"].erase("offset");
  expect_box(peaks_of(j, {Maps().heat})[0], 1, 0.9f, {14 - 2, 10 - 2, 14 + 2, 10 + 2});
}

TEST(HeatMaps, OutputsOfAnotherShapeAreRefused) {
  const auto model = make_detection_model(parse_model_file(map_file(), "m.json"));
  const auto spec = [](const char* name, Shape shape) { return OutputSpec{name, DType::f32, std::move(shape)}; };
  EXPECT_NO_THROW(
      model->check_outputs(std::vector{spec("hm", {1, 5, 10, 2}), spec("wh", {1, 5, 10, 2}), spec("reg", {-1, -1, -1, -1})}));
  EXPECT_THAT(error_of([&] {
                model->check_outputs(std::vector{spec("hm", {1, 2, 5, 10}), spec("wh", {}), spec("reg", {})});
              }),
              HasSubstr("output hm: has shape [1,2,5,10], but [1, height, width, 2] is expected"));
  EXPECT_THAT(error_of([&] {
                model->check_outputs(std::vector{OutputSpec{"hm", DType::i32, {1, 5, 10, 2}}});
              }),
              HasSubstr("float"));
  Maps m;
  m.size = Tensor(DType::f32, {1, 4, 10, 2});
  EXPECT_THAT(error_of([&] { peaks_of(map_file(), m.all()); }), HasSubstr("output wh: is not as high and wide as the heat map"));
  m.size = Tensor(DType::f32, {1, 5, 10, 3});
  EXPECT_THAT(error_of([&] { peaks_of(map_file(), m.all()); }), HasSubstr("[1, height, width, 2] is expected"));
}

TEST(HeatMaps, KeysThatCannotBeAreRefused) {
  const auto refused = [](const char* pointer, const Json& value) {
    Json j = map_file();
    j[Json::json_pointer(pointer)] = value;
    return error_of([&] { parse_model_file(j, "m.json"); });
  };
  EXPECT_THAT(refused("/radius", 3), HasSubstr("radius: must be over 0 without outputs.size"));
  EXPECT_THAT(refused("/radius", -1), HasSubstr("radius: must be 0 to 16384"));
  EXPECT_THAT(refused("/peak_window", 4), HasSubstr("peak_window: must be odd"));
  EXPECT_THAT(refused("/layout", "sideways"), HasSubstr("channels_first"));
  EXPECT_THAT(refused("/size_form", "xyxy"), HasSubstr("known: width_height"));
  EXPECT_THAT(error_of([&] { parse_model_file(centre_file(0), "m.json"); }), HasSubstr("radius: must be over 0"));
}

}  // namespace
}  // namespace cytodet
