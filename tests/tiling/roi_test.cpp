// Regions of interest: geometry against point-by-point definitions, and the forms of files.
#include "tiling/regions/roi.h"

#include <gmock/gmock.h>

#include <random>

#include "tests/gzipped.h"
#include "tests/tiling/samples.h"

namespace cytodet {
namespace {

using ::testing::HasSubstr;

TEST(Roi, HolesAndUnions) {
  Roi roi;
  roi.add({{{0, 0}, {100, 0}, {100, 100}, {0, 100}}, {{20, 20}, {40, 20}, {40, 40}, {20, 40}}});
  roi.add(Box{90, 90, 200, 120});
  EXPECT_TRUE(roi.contains(10, 10));
  EXPECT_FALSE(roi.contains(30, 30)) << "a hole";
  EXPECT_TRUE(roi.contains(95, 95)) << "two polygons";
  EXPECT_FALSE(roi.contains(150, 80));
  EXPECT_TRUE(roi.holds({85, 85, 105, 99}));
  EXPECT_FALSE(roi.holds({90, 10, 130, 20})) << "its centre is outside";
  EXPECT_FALSE(roi.touches({25, 25, 35, 35})) << "wholly in the hole";
  EXPECT_TRUE(roi.touches({25, 25, 45, 35}));
  EXPECT_TRUE(roi.touches({-50, -50, 500, 500})) << "around everything";
  EXPECT_TRUE(roi.touches({50, 50, 60, 60})) << "inside";
  EXPECT_FALSE(roi.touches({101, 0, 300, 89}));
  EXPECT_TRUE(roi.touches({100, 0, 300, 89})) << "edges count";
}

TEST(Roi, BandsChangeNothing) {
  std::mt19937 random(4);
  std::uniform_real_distribution<double> at(0, 1000);
  for (int points : {3, 7, 40, 3000}) {
    Roi::Ring ring;
    for (int i = 0; i < points; ++i) ring.push_back({at(random), at(random)});
    Roi roi;
    roi.add({ring});
    auto inside = [&](double x, double y) {
      bool odd = false;
      for (size_t i = 0, j = ring.size() - 1; i < ring.size(); j = i++)
        if ((ring[j][1] <= y) != (ring[i][1] <= y) &&
            x < ring[j][0] + (y - ring[j][1]) / (ring[i][1] - ring[j][1]) * (ring[i][0] - ring[j][0]))
          odd = !odd;
      return odd;
    };
    int touched = 0, agreed = 0;
    for (int i = 0; i < 500; ++i) {
      const double x = at(random), y = at(random);
      EXPECT_EQ(roi.contains(x, y), inside(x, y)) << points << " points at " << x << ", " << y;
      const Box b{x, y, x + 10, y + 10};
      bool any = false;
      for (int k = 0; k < 100; ++k) {
        const int column = k % 10, row = k / 10;
        any = any || inside(x + column + 0.5, y + row + 0.5);
      }
      touched += roi.touches(b);
      agreed += !any || roi.touches(b);
    }
    EXPECT_EQ(agreed, 500) << "a box with a point inside touches";
    EXPECT_GT(touched, 0);
  }
}

class RoiFiles : public ::testing::Test {
 protected:
  ScratchFolder scratch;
  std::filesystem::path put(const std::string& name, const std::string& text) {
    write_file(scratch.path / name, text);
    return scratch.path / name;
  }
  std::string refused(const std::string& text) {
    const auto file = put("bad.json", text);
    return error_of([&] { RoiSource{file}; });
  }
};

TEST_F(RoiFiles, QuPathsFeatures) {
  const std::string square = R"([[[0,0],[50,0],[50,50],[0,50],[0,0]]])";
  const std::string region = R"({"type":"Feature","id":"u","geometry":{"type":"Polygon","coordinates":)" + square +
                             R"(},"properties":{"objectType":"annotation","name":"a"}})";
  const std::string cell = R"({"type":"Feature","geometry":{"type":"Polygon","coordinates":[[[80,80],[99,80],[99,99]]]},)"
                           R"("properties":{"objectType":"detection"}})";
  for (const std::string& text :
       {R"({"type":"FeatureCollection","features":[)" + region + "," + cell + "]}", "[" + region + "," + cell + "]", region,
        R"({"type":"MultiPolygon","coordinates":[)" + square + "]}"}) {
    const std::optional<Roi> roi = RoiSource(put("a.geojson", text)).of("any.svs");
    ASSERT_TRUE(roi) << text;
    EXPECT_TRUE(roi->contains(25, 25)) << text;
    EXPECT_FALSE(roi->contains(90, 85)) << "detections are no regions: " << text;
  }
}

TEST_F(RoiFiles, CompetitionAndCoco) {
  const auto list = put("c.json", R"([{"class":"roi","x":10,"y":10,"w":20,"h":20},{"class":"pos","x":50,"y":50,"w":5,"h":5}])");
  EXPECT_TRUE(RoiSource(list).of("a.tif")->contains(15, 15));
  EXPECT_FALSE(RoiSource(list).of("a.tif")->contains(52, 52));
  const auto coco = put("coco.json", R"({"images":[{"id":4,"file_name":"x/a.tif"},{"id":5,"file_name":"b.tif"}],
    "categories":[{"id":1,"name":"pos"},{"id":2,"name":"roi"}],
    "annotations":[{"image_id":4,"category_id":2,"bbox":[10,10,20,20]},{"image_id":5,"category_id":1,"bbox":[1,1,2,2]}]})");
  EXPECT_TRUE(RoiSource(coco).of("slides/a.tif")->contains(15, 15));
  EXPECT_FALSE(RoiSource(coco).of("b.tif"));
}

TEST_F(RoiFiles, AFolderHoldsOneFilePerSlide) {
  put("a.geojson", R"({"type":"Polygon","coordinates":[[[0,0],[9,0],[9,9]]]})");
  put("b.json", R"([{"class":"roi","x":1,"y":1,"w":2,"h":2}])");
  RoiSource source(scratch.path);
  EXPECT_TRUE(source.of("slides/a.svs")->contains(8, 1));
  EXPECT_TRUE(source.of("b.tif")->contains(2, 2));
  EXPECT_FALSE(source.of("c.tif"));
  EXPECT_NE(source.of("a.svs")->hash(), source.of("b.svs")->hash());
  EXPECT_EQ(source.of("a.svs")->hash(), source.of("a.tif")->hash());
}

TEST_F(RoiFiles, Gzipped) {
  const std::string triangle = R"({"type":"Polygon","coordinates":[[[0,0],[9,0],[9,9]]]})", bytes = gzipped(triangle);
  EXPECT_TRUE(RoiSource(put("a.geojson.gz", bytes)).of("any.svs")->contains(8, 1));
  EXPECT_TRUE(RoiSource(put("called.json", bytes)).of("any.svs")->contains(8, 1)) << "content decides";
  RoiSource folder(scratch.path);
  EXPECT_TRUE(folder.of("slides/a.svs")->contains(8, 1));
  EXPECT_FALSE(folder.of("b.svs"));
  EXPECT_THAT(refused(bytes.substr(0, bytes.size() - 3)), HasSubstr("bad.json: damaged gzip: it breaks off; restore the file"));
  EXPECT_THAT(refused(gzipped("{")), HasSubstr("bad.json: not valid JSON"));
  const std::string member = gzipped(std::string(size_t{4} << 20, ' '));
  std::string many;
  for (int i = 0; i < 65; ++i) many += member;
  EXPECT_THAT(refused(many), HasSubstr("unpacks to more than the limit"));
}

TEST_F(RoiFiles, WhatIsWrongIsNamed) {
  EXPECT_THAT(error_of([&] { RoiSource{scratch.path / "none.json"}; }), HasSubstr("none.json"));
  EXPECT_THAT(refused("{"), HasSubstr("not valid JSON"));
  EXPECT_THAT(refused("[]"), HasSubstr("holds no region"));
  EXPECT_THAT(refused("3"), HasSubstr("lacks \"type\""));
  EXPECT_THAT(refused(R"([{"class":"roi","x":1,"y":1,"w":0,"h":4}])"), HasSubstr("[0]: is a region without area"));
  EXPECT_THAT(refused(R"([{"class":"roi","x":1,"y":1,"w":2}])"), HasSubstr("[0]: lacks \"h\""));
  EXPECT_THAT(refused(R"({"type":"Polygon","coordinates":[[[0,0],[1,1]]]})"), HasSubstr("at least 3 points"));
  EXPECT_THAT(refused(R"({"type":"Polygon","coordinates":[[[0,0],[1,1],[1e300,2]]]})"), HasSubstr("number of pixels"));
  EXPECT_THAT(refused(R"({"type":"Polygon","coordinates":[[[0,0],[1,1],["a",2]]]})"), HasSubstr("coordinates[0]"));
  EXPECT_THAT(refused(R"({"images":[],"annotations":[],"categories":[]})"), HasSubstr("no annotation of a category named roi"));
  EXPECT_THAT(refused(R"({"images":[{"id":1}],"annotations":[],"categories":[]})"), HasSubstr("images[0]: lacks \"file_name\""));
}

}  // namespace
}  // namespace cytodet
