// Folders as systems, viewers and scanners leave them, and texts as editors write them.
#include <gmock/gmock.h>

#include "core/settings.h"
#include "pipeline/detect/image_pipeline.h"
#include "pipeline/inputs/companions.h"
#include "pipeline/inputs/list_inputs.h"
#include "tests/error_of.h"
#include "tests/pipeline/batch_runs.h"

namespace cytodet::test {
namespace {

using namespace std::string_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kImage = kImages + "BloodImage_00007.jpg";

TEST_F(BatchRuns, CompanionsInAFolderAreSkippedAndListedOnce) {
  std::filesystem::create_directory(folder / "in");
  put("in/S1.jpg", read_file(kImage));
  const std::pair<const char*, std::string> companions[] = {
      {"Thumbs.db", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + std::string(500, '0')},
      {"desktop.ini", "[.ShellClassInfo]\r\n"},
      {"S1.XML", "<Annotations/>"},
      {"S1.JSON", "{}"},
      {"S1.qpdata", "x"},
      {"S1.ndpa", "a"},
      {"scan.log", "log"},
      {"table.xlsx", "PK\3\4...."},
      {"S1", "no extension"},
      {"~$report.docx", "lock"},
      {"S1.svs.crdownload", read_file(kImage).substr(0, 5000)}};
  for (const auto& [name, bytes] : companions) put("in/"s + name, bytes);
  put("in/._S1.jpg", "\0\5\26\7"s);
  put("in/.DS_Store", "Bud1");
  const Output o = run(command("out", {path("in")}));
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("1 done, 0 failed, 11 skipped"));
  EXPECT_THAT(o.out, HasSubstr("skipped, no image, by name and content: S1, S1.JSON, "));
  EXPECT_TRUE(std::filesystem::exists(folder / "out/S1.json"));
  EXPECT_TRUE(std::filesystem::exists(folder / "out/boxes/S1.boxes"));
  EXPECT_EQ(state("out").inputs[0].name, "S1");
  EXPECT_EQ(state("out").inputs[0].image_id, 1);
  const Output again = run(command("out", {path("in"), "--resume"}));
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(state("out").count(ImageState::done), 1);
  EXPECT_EQ(run(command("named", {path("in/S1.jpg"), path("in/S1.XML")})).code, 3) << "what is named is never skipped";
}

TEST_F(BatchRuns, AnImageIsTakenWhateverItsNameAndFailsWhereItIsCalledOne) {
  std::filesystem::create_directory(folder / "in");
  for (const char* name : {"a.jpg", "b.JPG", "c.txt", "d", "e.bak"}) put("in/"s + name, read_file(kImage));
  put("in/f.TIF", "no TIFF");
  put("in/g.czi", "not read");
  put("in/h.notes", "BM is how this text begins");
  EXPECT_THAT(expand_inputs({path("in")}), ElementsAre(path("in/a.jpg"), path("in/b.JPG"), path("in/c.txt"), path("in/d"),
                                                       path("in/e.bak"), path("in/f.TIF"), path("in/g.czi")));
  EXPECT_THAT(list_inputs({path("in")}).companions, ElementsAre(path("in/h.notes")));
  EXPECT_THAT(list_inputs({path("in/*")}).companions, ElementsAre(path("in/h.notes")));
  EXPECT_THAT(list_inputs({path("in/h.notes"), path("in")}).companions, ElementsAre()) << "named";
  std::filesystem::create_directory(folder / "texts");
  put("texts/a.txt", "x");
  EXPECT_THAT(error_of([&] { expand_inputs({path("texts")}); }), HasSubstr("holds no images, only a.txt"));
}

TEST_F(BatchRuns, ListsInTheEncodingsOfOtherPrograms) {
  put("\u00e9.jpg", "x");
  put("b.jpg", "x");
  const std::u16string wide = u"# a list\r\n\u00e9.jpg\r\nb.jpg\r\n";
  std::string utf16 = "\xff\xfe";
  for (char16_t u : wide) (utf16 += static_cast<char>(u & 0xff)) += static_cast<char>(u >> 8);
  const std::vector<std::string> wanted{path("\u00e9.jpg"), path("b.jpg")};
  for (const std::string& text : {"\u00e9.jpg\nb.jpg\n"s, "\xef\xbb\xbf\u00e9.jpg\r\nb.jpg"s, "\u00e9.jpg\rb.jpg\r"s, utf16})
    EXPECT_EQ(expand_inputs({"@" + put("list.txt", text)}), wanted) << text;
  EXPECT_THAT(expand_inputs({"@" + put("list.txt", "\xe4.tif\n")}), ElementsAre(path("\xe4.tif"))) << "a name of other bytes";
  EXPECT_THAT(error_of([&] { expand_inputs({"@" + put("list.txt", "a.tif\0b.tif\0"s)}); }),
              HasSubstr("list.txt: holds a zero byte in line 1"));
}

TEST_F(BatchRuns, RegionsOfOtherProgramsAndOfChosenClasses) {
  const std::string field = kSource + "/tests/data/field/";
  const auto boxes = [&](const std::string& file, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{kSlide, "--roi", field + file};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Output o = run(command("out", arguments));
    EXPECT_EQ(o.code, 0) << file << ": " << o.err;
    return state("out").inputs.at(0).detection_count;
  };
  EXPECT_EQ(boxes("39-roi-xml/asap.xml"), 44);
  EXPECT_EQ(boxes("05-qupath-nan-roi/ignore.geojson"), 101);
  EXPECT_EQ(boxes("05-qupath-nan-roi/qupath02.geojson"), 101);
  EXPECT_EQ(boxes("05-qupath-nan-roi/ignore.geojson", {"--roi-class", "tumor"}), 101);
  EXPECT_EQ(run(command("x", {kSlide, "--roi", field + "39-roi-xml/asap.xml", "--roi-class", "Stroma"})).code, 1);
  EXPECT_EQ(run(command("x", {kSlide, "--roi-class", "Stroma"})).code, 2);
  std::filesystem::create_directory(folder / "rois");
  put("rois/blood-mosaic.xml", read_file(field + "39-roi-xml/asap.xml"));
  ASSERT_EQ(run(command("folder", {kSlide, "--roi", path("rois")})).code, 0);
  EXPECT_EQ(state("folder").inputs.at(0).detection_count, 44);
  put("rois/blood-mosaic.xml", "<annotations><ndpviewstate/></annotations>");
  const Output bad = run(command("bad", {kSlide, "--roi", path("rois")}));
  EXPECT_EQ(bad.code, 1) << "never a skip with exit 0";
  EXPECT_THAT(bad.err, HasSubstr("Hamamatsu's NDPA"));
}

TEST_F(BatchRuns, ConfigsAndModelFilesWithAByteOrderMark) {
  const Json config{{"model", kModel}, {"inputs", {kImage}}, {"output", path("out")}};
  EXPECT_EQ(run({"run", put("run.json", "\xef\xbb\xbf" + config.dump())}).code, 0);
}

}  // namespace
}  // namespace cytodet::test
