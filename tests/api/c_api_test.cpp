// The C functions: what bindings may do wrong must end in an error, not in a crash.
#include <cmath>
#include <limits>

#include "tests/api/program.h"

namespace cytodet::test {
namespace {

// The error that a call gave, freed at the end.
struct Caught {
  cytodet_error* error = nullptr;
  ~Caught() { cytodet_error_free(error); }
  cytodet_status status() const { return cytodet_error_status(error); }
  std::string message() const { return cytodet_error_message(error); }
};

cytodet_image image_of(const std::vector<uint8_t>& rgb, int64_t width, int64_t height) {
  cytodet_image i{};
  i.struct_size = sizeof i;
  i.data = rgb.data();
  i.width = width;
  i.height = height;
  i.format = CYTODET_RGB8;
  return i;
}

cytodet_model* c_model() { return model().handle(); }

TEST(CApi, GettersOfNullAnswerWithNothing) {
  EXPECT_EQ(cytodet_error_status(nullptr), CYTODET_OK);
  EXPECT_STREQ(cytodet_error_message(nullptr), "");
  EXPECT_STREQ(cytodet_model_name(nullptr), "");
  EXPECT_EQ(cytodet_model_class_count(nullptr), 0u);
  EXPECT_EQ(cytodet_model_class_id(nullptr, 0), -1);
  EXPECT_EQ(cytodet_results_count(nullptr), 0u);
  EXPECT_EQ(cytodet_results_at(nullptr, 0), nullptr);
  EXPECT_STREQ(cytodet_results_class_name(nullptr, 0), "");
  EXPECT_EQ(cytodet_result_detections(nullptr), nullptr);
  EXPECT_EQ(cytodet_result_error(nullptr), nullptr);
  EXPECT_EQ(cytodet_slide_width(nullptr), 0);
  EXPECT_EQ(cytodet_slide_bounds(nullptr, nullptr), 0);
  EXPECT_EQ(cytodet_scores_value(nullptr, 0), -1);
  EXPECT_EQ(cytodet_run_summary_done(nullptr), 0);
  EXPECT_STREQ(cytodet_graph_report_message(nullptr, 0), "");
}

TEST(CApi, FreeingNullIsAllowed) {
  cytodet_error_free(nullptr);
  cytodet_settings_free(nullptr);
  cytodet_model_free(nullptr);
  cytodet_results_free(nullptr);
  cytodet_run_summary_free(nullptr);
  cytodet_slide_free(nullptr);
  cytodet_ground_truth_free(nullptr);
  cytodet_scores_free(nullptr);
  cytodet_graph_report_free(nullptr);
}

TEST(CApi, NullParametersAreUsageErrorsThatNameThem) {
  const char* none[] = {nullptr};
  const auto refused = [](const char* parameter, auto call) {
    Caught c;
    call(&c.error);
    EXPECT_EQ(c.status(), CYTODET_USAGE) << parameter;
    EXPECT_EQ(c.message(), std::string(parameter) + ": is NULL");
  };
  refused("path", [](cytodet_error** e) { EXPECT_EQ(cytodet_model_open(nullptr, nullptr, e), nullptr); });
  refused("path", [](cytodet_error** e) { EXPECT_EQ(cytodet_slide_open(nullptr, nullptr, e), nullptr); });
  refused("model", [&](cytodet_error** e) { EXPECT_EQ(cytodet_detect_files(nullptr, none, 1, nullptr, nullptr, e), nullptr); });
  refused("inputs",
          [&](cytodet_error** e) { EXPECT_EQ(cytodet_detect_files(c_model(), nullptr, 1, nullptr, nullptr, e), nullptr); });
  refused("inputs",
          [&](cytodet_error** e) { EXPECT_EQ(cytodet_detect_files(c_model(), none, 1, nullptr, nullptr, e), nullptr); });
  refused("images",
          [&](cytodet_error** e) { EXPECT_EQ(cytodet_detect_images(c_model(), nullptr, 1, nullptr, nullptr, e), nullptr); });
  refused("slide",
          [](cytodet_error** e) { EXPECT_EQ(cytodet_slide_read(nullptr, 0, 0, 0, 1, 1, nullptr, 0, 3, e), CYTODET_USAGE); });
  refused("ground_truth", [](cytodet_error** e) { EXPECT_EQ(cytodet_evaluate_file(nullptr, "x", nullptr, e), nullptr); });
  refused("json", [](cytodet_error** e) { EXPECT_EQ(cytodet_ground_truth_parse(nullptr, e), nullptr); });
  refused("out", [](cytodet_error** e) { EXPECT_EQ(cytodet_optimize("a.pb", nullptr, nullptr, e), nullptr); });
  refused("images", [](cytodet_error** e) { EXPECT_EQ(cytodet_calibrate("a", nullptr, "b", nullptr, e), nullptr); });
  const char* image[] = {kImage.c_str()};
  refused("folder",
          [&](cytodet_error** e) { EXPECT_EQ(cytodet_run(c_model(), image, 1, nullptr, nullptr, nullptr, e), nullptr); });
}

TEST(CApi, NobodyNeedsToAskForTheError) {
  EXPECT_EQ(cytodet_model_open("/nowhere.json", nullptr, nullptr), nullptr);
  EXPECT_EQ(cytodet_model_open(nullptr, nullptr, nullptr), nullptr);
}

TEST(CApi, ErrorOfAnEarlierCallIsNotLeftBehind) {
  auto* stale = reinterpret_cast<cytodet_error*>(8);
  cytodet_slide* slide = cytodet_slide_open(kImage.c_str(), nullptr, &stale);
  EXPECT_NE(slide, nullptr);
  EXPECT_EQ(stale, nullptr);
  cytodet_slide_free(slide);
}

// A wrong image is refused before a byte of it is read.
TEST(CApi, ImagesThatCannotBeAreRefused) {
  const std::vector<uint8_t> rgb(300);
  const cytodet_image good = image_of(rgb, 10, 10);
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  const auto refused = [&](auto change) {
    cytodet_image image = good;
    change(image);
    Caught c;
    EXPECT_EQ(cytodet_detect_images(c_model(), &image, 1, nullptr, nullptr, &c.error), nullptr);
    EXPECT_EQ(c.status(), CYTODET_USAGE) << c.message();
    return c.message();
  };
  EXPECT_EQ(refused([](cytodet_image& i) { i.data = nullptr; }), "image 0: has no pixels: data is NULL");
  refused([](cytodet_image& i) { i.width = 0; });
  refused([](cytodet_image& i) { i.height = -5; });
  refused([](cytodet_image& i) { i.format = 77; });
  refused([](cytodet_image& i) { i.stride = 29; });
  refused([](cytodet_image& i) { i.stride = -30; });
  refused([](cytodet_image& i) { i.mpp_x = -0.5; });
  refused([](cytodet_image& i) { i.mpp_y = std::nan(""); });
  refused([](cytodet_image& i) { i.struct_size = 8; });
  refused([](cytodet_image& i) { i.struct_size = 1 << 20; });
  EXPECT_NE(refused([](cytodet_image& i) { i.width = kHuge; }).find("more bytes than memory"), std::string::npos);
  refused([](cytodet_image& i) { i.width = i.height = int64_t{1} << 33; });
  refused([](cytodet_image& i) { i.stride = kHuge; });
  refused([](cytodet_image& i) { i.width = i.height = kHuge / 3; });
}

TEST(CApi, LargerStructsOfALaterVersionAreRead) {
  const std::vector<uint8_t> rgb = pixels_of(kImage).rgb;
  struct Later {
    cytodet_image image;
    int64_t more = 99;
  } later[2];
  for (Later& l : later) {
    l.image = image_of(rgb, 640, 480);
    l.image.struct_size = sizeof(Later);
  }
  later[1].image.name = "second";
  Caught c;
  cytodet_results* r = cytodet_detect_images(c_model(), &later[0].image, 2, nullptr, nullptr, &c.error);
  ASSERT_NE(r, nullptr) << c.message();
  EXPECT_STREQ(cytodet_result_name(cytodet_results_at(r, 1)), "second");
  EXPECT_EQ(cytodet_result_detection_count(cytodet_results_at(r, 0)), cytodet_result_detection_count(cytodet_results_at(r, 1)));
  EXPECT_EQ(cytodet_results_at(r, 2), nullptr);
  EXPECT_STREQ(cytodet_results_class_name(r, 1000), "");
  cytodet_results_free(r);
}

TEST(CApi, BuffersThatAreTooSmallAreNotWritten) {
  cytodet_slide* slide = cytodet_slide_open(kImage.c_str(), nullptr, nullptr);
  ASSERT_NE(slide, nullptr);
  std::vector<uint8_t> rgb(10 * 10 * 3 + 1, 7);
  const auto read = [&](int32_t level, int32_t width, int32_t height, int64_t stride, size_t size) {
    return cytodet_slide_read(slide, level, 0, 0, width, height, rgb.data(), stride, size, nullptr);
  };
  EXPECT_EQ(read(0, 10, 10, 0, 299), CYTODET_USAGE);
  EXPECT_EQ(read(0, 10, 10, 29, 300), CYTODET_USAGE);
  EXPECT_EQ(read(-1, 10, 10, 0, 300), CYTODET_USAGE);
  EXPECT_EQ(read(0, -10, 10, 0, 300), CYTODET_USAGE);
  EXPECT_EQ(read(0, std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::max(), 0, SIZE_MAX), CYTODET_USAGE);
  EXPECT_EQ(read(0, 1, 3, std::numeric_limits<int64_t>::max(), SIZE_MAX), CYTODET_USAGE);
  EXPECT_TRUE(std::all_of(rgb.begin(), rgb.end(), [](uint8_t b) { return b == 7; }));
  EXPECT_EQ(read(0, 10, 10, 0, 300), CYTODET_OK);
  EXPECT_EQ(rgb.back(), 7);
  EXPECT_EQ(cytodet_slide_read_scaled(slide, 0, 0, std::nan(""), 5, 5, 5, rgb.data(), 0, 75, nullptr), CYTODET_USAGE);
  EXPECT_EQ(cytodet_slide_level_width(slide, 99), 0);
  cytodet_slide_free(slide);
}

TEST(CApi, RowsOfAStrideLieApart) {
  cytodet_slide* slide = cytodet_slide_open(kImage.c_str(), nullptr, nullptr);
  ASSERT_NE(slide, nullptr);
  std::vector<uint8_t> packed(4 * 5 * 3), apart(4 * 20 + 15, 7);
  ASSERT_EQ(cytodet_slide_read(slide, 0, 3, 4, 5, 4, packed.data(), 0, packed.size(), nullptr), CYTODET_OK);
  ASSERT_EQ(cytodet_slide_read(slide, 0, 3, 4, 5, 4, apart.data(), 20, apart.size(), nullptr), CYTODET_OK);
  for (size_t y = 0; y < 4; ++y) {
    EXPECT_EQ(std::memcmp(&packed[y * 15], &apart[y * 20], 15), 0);
    EXPECT_EQ(apart[y * 20 + 15], 7);
  }
  cytodet_slide_free(slide);
}

TEST(CApi, SettingsRefuseWhatCannotBe) {
  cytodet_settings* s = cytodet_settings_create();
  ASSERT_NE(s, nullptr);
  EXPECT_EQ(cytodet_settings_set_number(nullptr, "score", 1), CYTODET_USAGE);
  EXPECT_EQ(cytodet_settings_set_number(s, nullptr, 1), CYTODET_USAGE);
  EXPECT_EQ(cytodet_settings_set_number(s, "", 1), CYTODET_USAGE);
  EXPECT_EQ(cytodet_settings_set_number(s, "a..b", 1), CYTODET_USAGE);
  EXPECT_EQ(cytodet_settings_set_number(s, "score", std::nan("")), CYTODET_USAGE);
  EXPECT_EQ(cytodet_settings_set_text(s, "mode", nullptr), CYTODET_USAGE);
  EXPECT_EQ(cytodet_settings_set_number(s, "score", 0.5), CYTODET_OK);
  EXPECT_EQ(cytodet_settings_set_number(s, "score.x", 1), CYTODET_USAGE);  // a number holds no keys
  Caught c;
  EXPECT_EQ(cytodet_settings_set_json(s, "{\"a\": ", &c.error), CYTODET_USAGE);
  EXPECT_EQ(cytodet_settings_set_json(s, "[1]", nullptr), CYTODET_USAGE);
  EXPECT_EQ(cytodet_settings_parse("17", nullptr), nullptr);
  EXPECT_EQ(cytodet_settings_parse(nullptr, nullptr), nullptr);
  cytodet_settings_free(s);
}

TEST(CApi, SettingsOfAnotherTypeAreRefusedByTheCall) {
  cytodet_settings* s = cytodet_settings_parse(R"({"tiling": {"tile_px": "large"}})", nullptr);
  ASSERT_NE(s, nullptr);
  const char* inputs[] = {kImage.c_str()};
  Caught c;
  EXPECT_EQ(cytodet_detect_files(c_model(), inputs, 1, s, nullptr, &c.error), nullptr);
  EXPECT_EQ(c.status(), CYTODET_USAGE);
  EXPECT_NE(c.message().find("tiling.tile_px"), std::string::npos) << c.message();
  cytodet_settings_free(s);
}

TEST(CApi, StreamsOfACallAreTheModels) {
  cytodet_settings* s = cytodet_settings_parse(R"({"streams": 1})", nullptr);
  const char* inputs[] = {kImage.c_str()};
  Caught c;
  EXPECT_EQ(cytodet_detect_files(c_model(), inputs, 1, s, nullptr, &c.error), nullptr);
  EXPECT_EQ(c.message(), "detect.streams: is the model's; give it when the model is opened");
  cytodet_settings_free(s);
}

TEST(CApi, CallbacksMayBeMissing) {
  cytodet_callbacks callbacks{};
  callbacks.struct_size = sizeof callbacks;
  const char* inputs[] = {kImage.c_str()};
  cytodet_results* r = cytodet_detect_files(c_model(), inputs, 1, nullptr, &callbacks, nullptr);
  EXPECT_EQ(cytodet_results_count(r), 1u);
  EXPECT_EQ(cytodet_results_stopped(r), 0);
  cytodet_results_free(r);
}

}  // namespace
}  // namespace cytodet::test
