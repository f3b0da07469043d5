#include "tiling/regions/roi_folder.h"

#include <gmock/gmock.h>

#include "core/file.h"
#include "tests/error_of.h"
#include "tests/tiling/samples.h"
#include "tiling/regions/roi.h"

namespace cytodet {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class RoiFolderTest : public ::testing::Test {
 protected:
  std::string found(const std::string& slide) const {
    std::vector<std::string> files;
    for (const auto& e : std::filesystem::directory_iterator(scratch.path)) files.push_back(e.path().string());
    return std::string(last_component(RoiFolder(scratch.path.string(), files).of(slide)));
  }
  void put(const std::string& name) const { write_file(scratch.path / name, R"([{"class":"roi","x":1,"y":1,"w":2,"h":2}])"); }
  ScratchFolder scratch;
};

TEST_F(RoiFolderTest, FilesAreCalledAsSlidesAre) {
  const std::string composed = "Pr\xC3\xA4parat", apart = "Pra\xCC\x88parat";
  struct Row {
    std::string file, slide;
    bool own;
  };
  const std::vector<Row> rows{{"S1.geojson", "x/S1.ome.tif", true},
                              {"S1.ome.tif.geojson", "S1.ome.tif", true},
                              {"S1.tif.geojson", "S1.ome.tif", true},
                              {"S1.ome.geojson", "S1.ome.tif", true},
                              {"S1.tiff.geojson.gz", "S1.tif", true},
                              {"S1.svs.json", "S1.svs", true},
                              {"S1.GEOJSON", "S1.svs", true},
                              {"s1.geojson", "S1.SVS", true},
                              {composed + ".geojson", apart + ".svs", true},
                              {apart + ".svs.geojson", composed + ".svs", true},
                              {"S1.geojson", "C:\\slides\\S1.svs", true},
                              {"S1.v2.geojson", "S1.v2.svs", true},
                              {"S1.svs.geojson", "S1.ome.tif", false},
                              {"S1.v2.geojson", "S1.svs", false},
                              {"S10.geojson", "S1.svs", false},
                              {"._S1.geojson", "S1.svs", false},
                              {"S1.txt", "S1.svs", false}};
  for (const Row& row : rows) {
    put(row.file);
    EXPECT_EQ(found(row.slide), row.own ? row.file : "") << row.file << " for " << row.slide;
    std::filesystem::remove(scratch.path / row.file);
  }
}

TEST_F(RoiFolderTest, ExactCaseDistinguishesFiles) {
  put("S1.geojson");
  put("s1.geojson");
  EXPECT_EQ(found("S1.svs"), "S1.geojson");
  EXPECT_EQ(found("s1.svs"), "s1.geojson");
  put("T.svs.geojson");
  put("T.tif.geojson");
  EXPECT_EQ(found("T.svs"), "T.svs.geojson") << "the other is another slide's";
}

TEST_F(RoiFolderTest, SeveralFilesOfOneSlideAreAnErrorThatListsThem) {
  put("S1.geojson");
  put("S1.ome.tif.geojson");
  EXPECT_THAT(error_of([&] { RoiSource(scratch.path).of("a/S1.ome.tif"); }),
              AllOf(HasSubstr("several files may hold the regions of "
                              "a/S1.ome.tif: S1.geojson, S1.ome.tif.geojson")));
  EXPECT_TRUE(RoiSource(scratch.path).of("S1.svs")) << "the second is not this slide's";
  put("S1.qpdata");
  EXPECT_EQ(found("S1.svs"), "S1.geojson") << "what is not read does not count beside it";
}

TEST_F(RoiFolderTest, ImagesOfOneNameInCocoHaveTheirOwnRegions) {
  write_file(scratch.path / "coco.json",
             R"({"images":[{"id":4,"file_name":"w1/a.tif"},{"id":5,"file_name":"w2\\a.tif"}],
    "categories":[{"id":2,"name":"roi"}],"annotations":[{"image_id":4,"category_id":2,"bbox":[10,10,20,20]},
    {"image_id":5,"category_id":2,"bbox":[50,50,20,20]}]})");
  const RoiSource source(scratch.path / "coco.json");
  EXPECT_TRUE(source.of("data/w1/a.tif")->contains(15, 15));
  EXPECT_FALSE(source.of("data/w1/a.tif")->contains(55, 55));
  EXPECT_TRUE(source.of("data/w2/a.tif")->contains(55, 55));
  EXPECT_THAT(error_of([&] { source.of("data/w3/a.tif"); }), HasSubstr("may be any of its images w1/a.tif, w2\\a.tif"));
  EXPECT_THAT(error_of([&] { source.check({"x/w1/a.tif", "y/w1/a.tif"}); }), HasSubstr("both match one image"));
}

}  // namespace
}  // namespace cytodet
