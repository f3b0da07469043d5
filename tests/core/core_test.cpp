#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "core/box.h"
#include "core/cpu.h"
#include "core/dtype.h"
#include "core/error.h"
#include "core/file.h"
#include "core/parallel.h"
#include "core/settings.h"
#include "core/suggest.h"
#include "core/tensor.h"
#include "core/timing.h"
#include "tests/error_of.h"

namespace cytodet {
namespace {

using ::testing::HasSubstr;

TEST(Half, EveryFiniteValueSurvives) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    Half h;
    h.bits = static_cast<uint16_t>(bits);
    float f = static_cast<float>(h);
    if (std::isnan(f))
      EXPECT_TRUE(std::isnan(static_cast<float>(Half(f))));
    else
      EXPECT_EQ(Half(f).bits, h.bits) << f;
  }
}

TEST(Half, RoundsToNearestEven) {
  EXPECT_EQ(static_cast<float>(Half(1.0f + 0x1p-11f)), 1.0f);
  EXPECT_EQ(static_cast<float>(Half(1.0f + 0x3p-11f)), 1.0f + 0x1p-9f);
  EXPECT_TRUE(std::isinf(static_cast<float>(Half(65520.0f))));
  EXPECT_EQ(static_cast<float>(Half(65519.0f)), 65504.0f);
  EXPECT_EQ(static_cast<float>(BFloat16(1.0f + 0x1p-8f)), 1.0f);
}

TEST(Tensor, RefusesImpossibleShapes) {
  EXPECT_THAT(error_of([] { Tensor(DType::f32, {-1}); }), HasSubstr("negative dimension"));
  EXPECT_THAT(error_of([] { Tensor(DType::f32, {int64_t{1} << 40, int64_t{1} << 40}); }), HasSubstr("too large"));
  EXPECT_THAT(error_of([] { Tensor(DType::f64, {int64_t{1} << 40}); }), HasSubstr("over the limit"));
  EXPECT_THAT(error_of([] { Tensor::from<float>({3}, {1, 2}); }), HasSubstr("2 values"));
  EXPECT_EQ(Tensor(DType::f32, {0, 5}).size(), 0);
}

TEST(Tensor, IsAligned) {
  for (int64_t n : {1, 7, 1000}) EXPECT_EQ(reinterpret_cast<uintptr_t>(Tensor(DType::f32, {n}).raw()) % 64, 0u);
}

TEST(Names, NearestComesFirst) {
  std::vector<std::string> known{"overlap_px", "tile_px", "level"};
  EXPECT_EQ(nearest("overlap", known).at(0), "overlap_px");
  EXPECT_THAT(suggest("tile_xp", known), HasSubstr("did you mean tile_px"));
  EXPECT_THAT(suggest("zzzzzzzzzzzz", known), HasSubstr("known: "));
}

struct Inner {
  int number = 1;
  std::vector<double> list = {0.5};
};
void fields(Fields& f, Inner& s) {
  f("number", s.number);
  f("list", s.list);
}
struct Outer {
  std::string text = "a";
  Inner inner;
  std::optional<double> maybe;
};
void fields(Fields& f, Outer& s) {
  f("text", s.text);
  f("inner", s.inner);
  f("maybe", s.maybe);
}

TEST(Settings, ReadsWhatItWrites) {
  Outer o;
  o.inner.number = 7;
  o.maybe = 0.25;
  Outer back;
  read_settings(write_settings(o), back, "x.json");
  EXPECT_EQ(back.inner.number, 7);
  EXPECT_EQ(back.maybe, 0.25);
}

TEST(Settings, ErrorsNamePathAndNearestKey) {
  auto with = [](const char* text) {
    return error_of([&] {
      Outer o;
      read_settings(parse_json(text, "x.json"), o, "x.json");
    });
  };
  EXPECT_THAT(with(R"({"inner": {"numbr": 1}})"), HasSubstr("x.json: inner.numbr: unknown key; did you mean number?"));
  EXPECT_THAT(with(R"({"inner": {"number": "one"}})"), HasSubstr("inner.number: must be a whole number"));
  EXPECT_THAT(with(R"({"inner": {"number": 99999999999}})"), HasSubstr("must be a smaller whole number"));
  EXPECT_THAT(with(R"({"inner": {"list": [1, "x"]}})"), HasSubstr("inner.list[1]: must be a number"));
  EXPECT_THAT(with(R"({"inner": 3})"), HasSubstr("inner: must be an object"));
  EXPECT_THAT(with("{\n  \"text\": ,\n}"), HasSubstr("line 2"));
  EXPECT_THAT(error_of([] { parse_json(std::string(200, '['), "x.json"); }), HasSubstr("x.json"));
  EXPECT_THAT(error_of([] { parse_json("\x1f\x8b\x08", "x.json.gz"); }), HasSubstr("x.json.gz: is gzipped"));
}

struct Renamed {
  int images = 1;
};
void fields(Fields& f, Renamed& s) { f("images", s.images, "pictures"); }

TEST(Settings, EarlierNameOfAKeyIsRead) {
  const auto with = [](const char* text) {
    Renamed r;
    read_settings(parse_json(text, "x.json"), r, "x.json");
    return r.images;
  };
  EXPECT_EQ(with(R"({"pictures": 7})"), 7);
  EXPECT_EQ(with(R"({"images": 8})"), 8);
  EXPECT_EQ(write_settings(Renamed{}).dump(), R"({"images":1})");
  EXPECT_THAT(error_of([&] { with(R"({"images": 8, "pictures": 7})"); }),
              HasSubstr("pictures: is an earlier name of images, which is given, too; leave out pictures"));
  EXPECT_THAT(error_of([&] { with(R"({"pictures": "x"})"); }), HasSubstr("pictures: must be a whole number"));
  EXPECT_THAT(error_of([&] { with(R"({"picture": 7})"); }), HasSubstr("unknown key"));
}

class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder = std::filesystem::temp_directory_path() / ("cytodet_core_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  std::filesystem::path folder;
};

TEST_F(FileTest, NothingIsLeftWithoutCommit) {
  {
    AtomicFile f(folder / "a.txt");
    f.write("half");
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  write_file(folder / "a.txt", "whole");
  EXPECT_EQ(read_file(folder / "a.txt"), "whole");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
}

TEST_F(FileTest, ErrorsNameTheFile) {
  EXPECT_THAT(error_of([&] { read_file(folder); }), HasSubstr("is a directory"));
  EXPECT_THAT(error_of([&] { read_file(folder / "none"); }), HasSubstr("cannot open"));
  write_file(folder / "big", "12345");
  EXPECT_THAT(error_of([&] { read_file(folder / "big", 4); }), HasSubstr("over the limit of 4"));
  EXPECT_THAT(error_of([&] { write_file(folder / "none" / "x", ""); }), HasSubstr("none/x"));
  EXPECT_THAT(error_of([&] { make_folder(folder / "big"); }), HasSubstr("big"));
}

TEST(Timing, PercentileIsLinear) {
  EXPECT_EQ(median({3, 1, 2}), 2);
  EXPECT_DOUBLE_EQ(percentile({0, 10}, 95), 9.5);
  EXPECT_EQ(percentile({}, 50), 0);
}

TEST(Pipeline, KeepsOrderAndBound) {
  std::atomic<int> alive{0}, most{0};
  int next = 0;
  std::vector<int> seen;
  Pipeline<int>{[&]() -> std::optional<int> {
                  if (next == 200) return std::nullopt;
                  most = std::max(most.load(), ++alive);
                  return next++;
                },
                [&](int& i, int worker) {
                  EXPECT_LT(worker, 3);
                  i *= 2;
                },
                [&](int& i) {
                  seen.push_back(i);
                  --alive;
                }}
      .run(3, 5);
  ASSERT_EQ(seen.size(), 200u);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(seen[static_cast<size_t>(i)], 2 * i);
  EXPECT_LE(most, 5);
}

TEST(Pipeline, PassesErrorsOn) {
  int next = 0;
  Pipeline<int> p{[&]() -> std::optional<int> { return next < 50 ? std::optional(next++) : std::nullopt; },
                  [](int& i, int) {
                    if (i == 7) throw Error("item 7", "is bad");
                  },
                  [](int&) {}};
  EXPECT_THAT(error_of([&] { p.run(2, 4); }), HasSubstr("item 7"));
}

TEST(Pipeline, PassesErrorsOfItsEndsOn) {
  for (const bool at_end : {false, true}) {
    int next = 0;
    Pipeline<int> p{[&]() -> std::optional<int> {
                      if (!at_end && next == 7) throw Error("item 7", "is bad");
                      return next < 50 ? std::optional(next++) : std::nullopt;
                    },
                    [](int&, int) {},
                    [&](int& i) {
                      if (at_end && i == 7) throw Error("item 7", "is bad");
                      EXPECT_LT(i, 7);
                    }};
    EXPECT_THAT(error_of([&] { p.run(3, 2); }), HasSubstr("item 7"));
  }
}

// What a pipeline that fills the machine starts may use all of it; so may the caller, afterwards.
TEST(Pipeline, HoldsItsThreadsOnly) {
  const std::vector<int> before = allowed_cpus();
  std::atomic<int> items{0};
  Pipeline<int>{[&]() -> std::optional<int> { return items < 20 ? std::optional(++items) : std::nullopt; },
                [&](int&, int) { EXPECT_EQ(start_anywhere(allowed_cpus).get(), before); }, [](int&) {}}
      .run(static_cast<int>(before.size()), 4);
  EXPECT_EQ(allowed_cpus(), before);
}

TEST(Box, IouIsContinuous) {
  EXPECT_DOUBLE_EQ(iou({0, 0, 2, 2}, {1, 0, 3, 2}), 1.0 / 3);
  EXPECT_EQ(iou({0, 0, 1, 1}, {1, 1, 2, 2}), 0);
  EXPECT_EQ(iou({0, 0, 0, 0}, {0, 0, 0, 0}), 0);
}

}  // namespace
}  // namespace cytodet
