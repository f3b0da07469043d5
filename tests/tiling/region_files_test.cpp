// Regions of interest in the files of other programs: the same triangle in each, and what only some of them have.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.h"
#include "tests/error_of.h"
#include "tests/paths.h"
#include "tests/tiling/samples.h"
#include "tiling/regions/region_file.h"
#include "tiling/regions/roi.h"

namespace cytodet {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kField = source_dir() + "/tests/data/field/";
constexpr const char* kSlide = "slides/blood-mosaic.tif";

class RegionFiles : public ::testing::Test {
 protected:
  ScratchFolder scratch;

  std::filesystem::path put(const std::string& name, const std::string& text) {
    write_file(scratch.path / name, text);
    return scratch.path / name;
  }
  Roi roi_of(const std::string& name, const std::string& text, const RoiChoice& choice = {}) {
    return RoiSource(put(name, text), choice).of(kSlide).value();
  }
  std::string refused(const std::string& text, const RoiChoice& choice = {}) {
    const auto file = put("bad", text);
    return error_of([&] { RoiSource(file, choice); });
  }
};

// The triangle (100, 100), (700, 100), (700, 700).
void expect_triangle(const Roi& roi, const std::string& where) {
  EXPECT_TRUE(roi.contains(690, 110)) << where;
  EXPECT_TRUE(roi.contains(310, 290)) << where;
  EXPECT_FALSE(roi.contains(290, 310)) << where;
  EXPECT_FALSE(roi.contains(90, 95)) << where;
  EXPECT_FALSE(roi.contains(710, 400)) << where;
}

TEST_F(RegionFiles, TheSameTriangleInTheFilesOfEveryProgram) {
  for (const char* file : {"asap.xml", "imagescope.xml", "histomicstk.json", "labelme.json", "triangle.geojson",
                           "qupath_export.zip", "stored.zip", "two_slides.zip"}) {
    const std::optional<Roi> roi = RoiSource(kField + "39-roi-xml/" + file).of(kSlide);
    ASSERT_TRUE(roi) << file;
    expect_triangle(*roi, file);
    const std::string bytes = read_file(kField + "39-roi-xml/" + file);
    if (!bytes.starts_with("PK")) {
      std::string wide = "\xff\xfe";
      for (char c : bytes) (wide += c) += '\0';
      expect_triangle(roi_of("wide", wide), std::string(file) + " in UTF-16");
      expect_triangle(roi_of("marked", "\xef\xbb\xbf" + bytes), std::string(file) + " with a byte-order mark");
    }
  }
}

TEST_F(RegionFiles, AFolderHoldsAFileOfAnyFormatForEachSlide) {
  const auto copy = [&](const char* from, const char* to) { put(to, read_file(kField + "39-roi-xml/" + from)); };
  copy("asap.xml", "a.xml");
  copy("imagescope.xml", "B.XML");
  copy("labelme.json", "c.tif.json");
  copy("qupath_export.zip", "d.zip");
  put("e.qpdata", "\xac\xed data");
  put("f.ndpa", "<annotations><ndpviewstate id=\"1\"/></annotations>");
  put("g.tif", "the slide itself");
  const RoiSource folder(scratch.path);
  for (const char* slide : {"a.tif", "B.svs", "c.tif", "d.ndpi"}) {
    ASSERT_TRUE(folder.of(slide)) << slide;
    expect_triangle(*folder.of(slide), slide);
  }
  EXPECT_FALSE(folder.of("g.tif"));
  EXPECT_THAT(error_of([&] { folder.of("e.tif"); }),
              AllOf(HasSubstr("e.qpdata: is a data file of QuPath"), HasSubstr("GeoJSON")));
  EXPECT_THAT(error_of([&] { folder.of("f.ndpi"); }), HasSubstr("f.ndpa: is Hamamatsu's NDPA, which is not read"));
}

TEST_F(RegionFiles, QuPathOfEveryAge) {
  const auto source = [](const char* name) { return RoiSource(kField + "05-qupath-nan-roi/" + name).of(kSlide).value(); };
  const Roi old = source("qupath02.geojson");
  EXPECT_TRUE(old.contains(400, 400));
  EXPECT_FALSE(old.contains(3020, 2020)) << "a detection";
  EXPECT_TRUE(source("nan.geojson").contains(1300, 1300));
  EXPECT_EQ(source("nan.geojson").hash(), source("nan_string.geojson").hash());
  const std::string square = R"("geometry":{"type":"Polygon","coordinates":[[[0,0],[9,0],[9,9],[0,9]]]})";
  for (const char* kind :
       {R"("id":"PathCellObject")", R"("id":"PathTileObject")", R"("id":"PathDetectionObject")",
        R"("properties":{"object_type":"cell"})", R"("properties":{"objectType":"tile"})",
        R"("properties":{"objectType":"tma_core","isMissing":true})", R"("id":"TMACoreObject","properties":{"isMissing":true})"})
    EXPECT_THAT(refused("[{\"type\":\"Feature\"," + std::string(kind) + "," + square + "}]"),
                HasSubstr("holds no region of interest, only 1 "))
        << kind;
  for (const char* kind :
       {R"("id":"PathAnnotationObject")", R"("id":"7b9c","properties":{"objectType":"annotation","isLocked":true})",
        R"("id":7,"properties":null)", R"("properties":{"objectType":"tma_core","isMissing":false})"})
    EXPECT_TRUE(roi_of("a", "{\"type\":\"FeatureCollection\",\"features\":[{\"type\":\"Feature\"," + std::string(kind) + "," +
                                square + "}]}")
                    .contains(5, 5))
        << kind;
}

TEST_F(RegionFiles, GeometriesOfGeoJson) {
  const std::string part = R"([[[0,0],[9,0],[9,9],[0,9]],[[2,2],[4,2],[4,4],[2,4]]])";
  const Roi roi = roi_of("a", R"({"type":"GeometryCollection","geometries":[{"type":"Point","coordinates":[50,50]},
    {"type":"LineString","coordinates":[[1,1],[2,2]]},{"type":"MultiPolygon","coordinates":[)" +
                                  part + R"(,[[[20,20],[30,20],[30,30]]]]}]})");
  EXPECT_TRUE(roi.contains(1, 1));
  EXPECT_FALSE(roi.contains(3, 3)) << "a hole";
  EXPECT_TRUE(roi.contains(29, 22));
  EXPECT_THAT(roi.note, HasSubstr("1 line, 1 point"));
  EXPECT_THAT(refused(R"({"type":"Point","coordinates":[1,2]})"), HasSubstr("holds no region of interest, only 1 point"));
  EXPECT_THAT(refused(R"({"type":"Circle","coordinates":[1,2]})"), HasSubstr("type: is no geometry of GeoJSON"));
  EXPECT_THAT(refused(R"({"type":"Polygon","coordinates":[[[0,0],[1,1],[NaN,2]]]})"),
              HasSubstr("coordinates[0]: must be a number of pixels"));
}

std::string feature(const std::string& classification, int from, int to) {
  const std::string a = std::to_string(from), b = std::to_string(to);
  return R"({"type":"Feature","properties":{"objectType":"annotation","classification":)" + classification +
         R"(},"geometry":{"type":"Polygon","coordinates":[[[)" + a + "," + a + "],[" + b + "," + a + "],[" + b + "," + b + "],[" +
         a + "," + b + "]]]}}";
}

TEST_F(RegionFiles, ClassesThatQuPathIgnoresAreTakenOff) {
  const Roi shipped = RoiSource(kField + "05-qupath-nan-roi/ignore.geojson").of(kSlide).value();
  EXPECT_TRUE(shipped.contains(400, 400));
  EXPECT_FALSE(shipped.contains(3000, 2000));
  EXPECT_THAT(shipped.note, HasSubstr("taken off: Ignore*"));
  for (const char* ignored :
       {R"({"name":"Ignore*"})", R"({"name":"Artefact*"})", R"("Ignore*")", R"({"names":["Tumor","Ignore*"]})"}) {
    const Roi roi = roi_of("a", "[" + feature(R"({"name":"Tumor"})", 0, 100) + "," + feature(ignored, 40, 60) + "]");
    EXPECT_TRUE(roi.contains(20, 20)) << ignored;
    EXPECT_FALSE(roi.contains(50, 50)) << "inside the tumour, taken off: " << ignored;
    EXPECT_TRUE(roi.touches({30, 30, 50, 50})) << ignored;
    EXPECT_FALSE(roi.touches({45, 45, 55, 55})) << ignored;
  }
  EXPECT_TRUE(roi_of("a", "[" + feature(R"({"name":"Region*"})", 0, 100) + "]").contains(50, 50))
      << "QuPath's class of plain regions";
  EXPECT_THAT(refused("[" + feature(R"({"name":"Ignore*"})", 0, 9) + "]"),
              AllOf(HasSubstr("only regions that are taken off: Ignore*"), HasSubstr("--roi-class")));
  EXPECT_TRUE(roi_of("a", "[" + feature(R"({"name":"Ignore*"})", 0, 9) + "]", {{"Ignore*"}, {}}).contains(5, 5)) << "asked for";
}

TEST_F(RegionFiles, ClassesAreChosen) {
  const std::string text = "[" + feature(R"({"name":"Tumor"})", 0, 100) + "," + feature(R"({"name":"Stroma"})", 200, 300) + "," +
                           feature(R"({"name":"Necrosis"})", 40, 60) + "," + feature("null", 400, 500) + "]";
  const Roi all = roi_of("a", text);
  for (int p : {20, 250, 50, 450}) EXPECT_TRUE(all.contains(p, p)) << p;
  EXPECT_THAT(all.note, HasSubstr("(no class), Necrosis, Stroma, Tumor"));
  const Roi tumor = roi_of("a", text, {{"tumor"}, {}});
  EXPECT_TRUE(tumor.contains(50, 50));
  for (int p : {250, 450}) EXPECT_FALSE(tumor.contains(p, p)) << p;
  const Roi living = roi_of("a", text, {{}, {"Necrosis"}});
  for (int p : {20, 250, 450}) EXPECT_TRUE(living.contains(p, p)) << p;
  EXPECT_FALSE(living.contains(50, 50));
  EXPECT_NE(tumor.hash(), living.hash());
  EXPECT_THAT(refused(text, {{"Tumour", "T"}, {}}),
              AllOf(HasSubstr("holds no region of class T, Tumour"), HasSubstr("Necrosis, Stroma, Tumor")));
}

TEST_F(RegionFiles, ClassesOfBoxesOfAllKinds) {
  const std::string coco =
      R"({"images":[{"id":4,"file_name":"blood-mosaic.tif"}],"categories":[{"id":1,"name":"cell"},{"id":2,"name":"field"}],
    "annotations":[{"image_id":4,"category_id":1,"bbox":[50,50,0,5]},{"image_id":4,"category_id":2,"bbox":[1,1,9,9]}]})";
  EXPECT_TRUE(roi_of("a", coco, {{"field"}, {}}).contains(5, 5));
  EXPECT_THAT(refused(coco), HasSubstr("no annotation of a category named roi"));
  const std::string shapes = R"({"shapes":[{"label":"roi","points":[[1,1],[20,20]],"shape_type":"rectangle"},
    {"label":"rbc","points":[[50,50],[60,60]],"shape_type":"rectangle"}]})";
  EXPECT_TRUE(roi_of("a", shapes).contains(10, 10));
  EXPECT_FALSE(roi_of("a", shapes).contains(55, 55)) << "a cell";
}

TEST_F(RegionFiles, AsapsOrderGroupsAndShapes) {
  const auto xml = [](const std::string& annotations) {
    return "<?xml version=\"1.0\"?><ASAP_Annotations><Annotations>" + annotations +
           "</Annotations><AnnotationGroups/></ASAP_Annotations>";
  };
  const std::string square =
      R"(<Coordinates><Coordinate Order="2" X="9" Y="9"/><Coordinate Order="0" X="0" Y="0"/><Coordinate Order="3" X="0" Y="9"/><Coordinate Order="1" X="9" Y="0"/></Coordinates>)";
  const Roi roi = roi_of(
      "a",
      xml(R"(<Annotation Type="Rectangle" PartOfGroup="None">)" + square + "</Annotation>" +
          R"(<Annotation Type="Dot" PartOfGroup="Tumor"><Coordinates><Coordinate Order="0" X="1" Y="1"/></Coordinates></Annotation>)"));
  for (const auto& [x, y] : {std::pair{1., 5.}, {5., 1.}, {8., 5.}, {5., 8.}})
    EXPECT_TRUE(roi.contains(x, y)) << "by Order it is a square";
  EXPECT_THAT(roi.note, HasSubstr("1 point"));
  EXPECT_THAT(refused(xml(R"(<Annotation Type="Polygon"><Coordinates><Coordinate X="1,5" Y="2"/></Coordinates></Annotation>)")),
              HasSubstr("Annotation[0].Coordinate[0].X: must be a number of pixels with a decimal point, not \"1,5\""));
  EXPECT_THAT(refused(xml("")), HasSubstr("holds no region of interest"));
  EXPECT_THAT(refused("<ASAP_Annotations><Annotations>"), HasSubstr("not valid XML at line 1"));
}

TEST_F(RegionFiles, ImageScopesShapesAndNegativeRegions) {
  const auto region = [](const char* head, std::initializer_list<std::pair<int, int>> points) {
    std::string text = std::string("<Region ") + head + "><Vertices>";
    for (const auto& [x, y] : points) text += "<Vertex X=\"" + std::to_string(x) + "\" Y=\"" + std::to_string(y) + "\" Z=\"0\"/>";
    return text + "</Vertices></Region>";
  };
  const Roi roi = roi_of("a", "<Annotations><Annotation Name=\"Layer\"><Regions>" +
                                  region("Type=\"0\" NegativeROA=\"0\"", {{0, 0}, {100, 0}, {100, 100}, {0, 100}}) +
                                  region("Type=\"1\" NegativeROA=\"1\"", {{40, 40}, {60, 40}, {60, 60}, {40, 60}}) +
                                  region("Type=\"2\"", {{200, 200}, {300, 240}}) + region("Type=\"4\"", {{1, 1}, {9, 9}}) +
                                  "</Regions></Annotation></Annotations>");
  EXPECT_TRUE(roi.contains(20, 20));
  EXPECT_FALSE(roi.contains(50, 50)) << "negative";
  EXPECT_TRUE(roi.contains(250, 238));
  EXPECT_TRUE(roi.contains(202, 220));
  EXPECT_FALSE(roi.contains(205, 205)) << "a corner of the ellipse's box";
  EXPECT_THAT(roi.note, AllOf(HasSubstr("negative regions"), HasSubstr("1 line")));
}

TEST_F(RegionFiles, HistomicsTkShapes) {
  const Roi roi = roi_of("a", R"([{"annotation":{"name":"x","elements":[
    {"type":"rectangle","center":[100,100,0],"width":100,"height":20,"rotation":1.5707963267948966,"group":"tumor"},
    {"type":"circle","center":[300,300,0],"radius":10,"label":{"value":"b"}},
    {"type":"ellipse","center":[500,500,0],"width":40,"height":20,"rotation":0},
    {"type":"polyline","closed":true,"points":[[600,600,0],[700,600,0],[700,700,0],[600,700,0]],"holes":[[[640,640,0],[660,640,0],[660,660,0],[640,660,0]]]},
    {"type":"polyline","closed":false,"points":[[0,0,0],[5,5,0],[0,5,0]]},{"type":"point","center":[1,1,0]}]}}])");
  EXPECT_TRUE(roi.contains(100, 140)) << "turned by a quarter";
  EXPECT_FALSE(roi.contains(140, 100));
  EXPECT_TRUE(roi.contains(307, 300));
  EXPECT_FALSE(roi.contains(309, 309));
  EXPECT_TRUE(roi.contains(518, 500));
  EXPECT_FALSE(roi.contains(500, 512));
  EXPECT_TRUE(roi.contains(610, 650));
  EXPECT_FALSE(roi.contains(650, 650)) << "a hole";
  EXPECT_FALSE(roi.contains(1, 4)) << "an open line";
}

TEST_F(RegionFiles, LabelmeShapes) {
  const Roi roi = roi_of("a", R"({"version":"5.0.1","imageData":null,"shapes":[
    {"label":"a","points":[[30,30],[10,10]],"shape_type":"rectangle"},{"label":"a","points":[[100,100],[110,100]],"shape_type":"circle"},
    {"label":"a","points":[[1,1]],"shape_type":"point"}]})");
  EXPECT_TRUE(roi.contains(20, 20));
  EXPECT_TRUE(roi.contains(100, 109));
  EXPECT_FALSE(roi.contains(108, 108));
  EXPECT_THAT(roi.note, HasSubstr("1 point shape"));
}

TEST_F(RegionFiles, FormatsThatAreNotReadAreCalledByTheirNames) {
  const std::pair<const char*, const char*> cases[] = {
      {"<annotations><ndpviewstate id=\"1\"><annotation type=\"freehand\"/></ndpviewstate></annotations>", "Hamamatsu's NDPA"},
      {"<annotations><version>1.1</version><image id=\"0\"/></annotations>", "CVAT's XML"},
      {"<annotation><object><bndbox/></object></annotation>", "Pascal VOC's XML"},
      {"<OME xmlns=\"http://www.openmicroscopy.org/Schemas/OME/2016-06\"/>", "OME-XML"},
      {"{\"_via_settings\":{},\"_via_img_metadata\":{}}", "the VGG Image Annotator's JSON"},
      {"{\"a.jpg1\":{\"filename\":\"a.jpg\",\"size\":1,\"regions\":[]}}", "the VGG Image Annotator's JSON"},
      {"[{\"id\":1,\"data\":{},\"annotations\":[]}]", "Label Studio's JSON"},
      {"{\"size\":{},\"objects\":[]}", "Supervisely's JSON"},
      {"[{\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":1}]", "a list of detections"},
      {"{\"type\":\"Topology\"}", "TopoJSON"},
      {"<svg/>", "XML of an unknown kind, <svg>"},
      {"Iout\1\2", "a region of ImageJ"},
      {"<!DOCTYPE html><html></html>", "a web page (HTML)"}};
  for (const auto& [text, name] : cases) EXPECT_THAT(refused(text), AllOf(HasSubstr("bad"), HasSubstr(name))) << text;
}

TEST_F(RegionFiles, EntitiesOfXmlAreNotExpanded) {
  std::string bomb = "<!DOCTYPE x [<!ENTITY a \"ha\">";
  for (char c = 'b'; c < 'z'; ++c) bomb += std::string("<!ENTITY ") + c + " \"&" + char(c - 1) + ";&" + char(c - 1) + ";\">";
  const std::string message =
      refused(bomb +
              "]><ASAP_Annotations><Annotations><Annotation Type=\"Polygon\" PartOfGroup=\"&y;\"><Coordinates/>"
              "</Annotation></Annotations></ASAP_Annotations>");
  EXPECT_THAT(message, HasSubstr("Annotation[0]: must be a ring of at least 3 points"));
}

TEST_F(RegionFiles, ArchivesAreBounded) {
  const std::string good = read_file(kField + "39-roi-xml/qupath_export.zip");
  const size_t directory = good.find("PK\1\2");
  const auto with_size = [&](uint32_t size) {
    std::string bytes = good;
    for (size_t i = 0; i < 4; ++i) bytes[directory + 24 + i] = static_cast<char>(size >> (8 * i));
    return bytes;
  };
  EXPECT_THAT(refused(with_size(300u << 20)), HasSubstr("over the limit"));
  EXPECT_THAT(refused(with_size(100)), AllOf(HasSubstr("Series 0.geojson: is damaged"), Not(HasSubstr("JSON at"))));
  EXPECT_THAT(refused(good.substr(0, good.size() - 30)), HasSubstr("damaged zip archive: it has no directory"));
  std::string encrypted = good;
  encrypted[directory + 8] |= 1;
  EXPECT_THAT(refused(encrypted), HasSubstr("is encrypted"));
  std::string changed = good;
  changed[60 + 30] ^= 0x10;
  EXPECT_THAT(refused(changed), HasSubstr("is damaged"));
  EXPECT_FALSE(RoiSource(kField + "39-roi-xml/two_slides.zip").of("third.tif"));
  EXPECT_TRUE(RoiSource(kField + "39-roi-xml/two_slides.zip").of("other.svs")->contains(9500, 9100));
}

TEST(RegionFormats, EveryEntryIsReadOrSaysWhatToDo) {
  for (const RegionFormat& f : region_formats()) EXPECT_NE(f.read != nullptr, *f.advice != '\0') << f.name;
}

}  // namespace
}  // namespace cytodet
