// The CSV for spreadsheets: read back by the rules of RFC 4180, and what spreadsheets would make of its cells.
#include <gmock/gmock.h>

#include "core/unicode.h"
#include "pipeline/results/formats/csv_cells.h"
#include "pipeline/results/formats/output.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

const std::string kMark = "\xEF\xBB\xBF";

using Rows = std::vector<std::vector<std::string>>;

// RFC 4180: records end with CR LF, fields may be quoted, quotes in them are doubled.
Rows rows_of(const std::string& text) {
  Rows rows;
  std::vector<std::string> row(1);
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
      row.back() += '"';
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && c == ',') {
      row.emplace_back();
    } else if (!quoted && c == '\r') {
      EXPECT_EQ(text[++i], '\n');
      rows.push_back(std::exchange(row, {""}));
    } else {
      row.back() += c;
    }
  }
  EXPECT_FALSE(quoted);
  EXPECT_THAT(row, ElementsAre(""));  // the last record ends as well
  return rows;
}

TEST(SpreadsheetText, WhatWouldBeTakenForAnotherKeepsItsLetters) {
  for (const std::string text : {"=1+1",    "+49 30",  "-a",         "@SUM(A1)",     "=HYPERLINK(\"http://x\";\"y\")",
                                 "\tx",     "\rx",     "＝1+1",      " =1",          "10-12",
                                 "1/2",     "1.2.3",   "2024-05-13", "13.05.2024",   "12:30",
                                 "3:30 PM", "1E5",     "1e5",        "5E-3",         "1.5",
                                 "1,5",     "007",     "00",         "123456789012", "12345678901234567890",
                                 "50%",     "$5",      "5 €",        "(5)",          "MARCH1",
                                 "SEPT2",   "Dec-1",   "1-Jan-24",   "5. Mai",       "Okt 3",
                                 "3 mars",  "TRUE",    "false",      "WAHR",         "#N/A",
                                 "#REF!",   "'quoted", "1 1/2",      "10-12 "})
    EXPECT_EQ(spreadsheet_text(text), "'" + text);
}

TEST(SpreadsheetText, OtherTextsStayAsTheyAre) {
  for (const std::string text : {"",
                                 "slide",
                                 "Präparat, Köln",
                                 "S1",
                                 "BloodImage_00007",
                                 "2024-05-13 slide 7",
                                 "12345678901",
                                 "0",
                                 "42",
                                 "a=1",
                                 "x-1",
                                 "病理科",
                                 "R2D2",
                                 "1E5x",
                                 "march",
                                 "true cells",
                                 "WBC",
                                 "decimal 5",
                                 "A/B",
                                 "A1",
                                 "P53",
                                 "E5",
                                 "1_2",
                                 "2=1",
                                 "5 x",
                                 "3 p m",
                                 "12 cells"})
    EXPECT_EQ(spreadsheet_text(text), text);
  EXPECT_EQ(spreadsheet_text("Pr\xe4parat"), "Pr\\xe4parat");
}

class CsvExcel : public ProgramTest {};

TEST_F(CsvExcel, HasTheRowsOfTheCsvWithAByteOrderMark) {
  const std::vector<std::string> names = {"Präparat, Köln", "=1+1", "10-12", "with \"quotes\"", "S1"};
  std::filesystem::create_directory(folder / "in");
  for (const std::string& name : names)
    std::filesystem::copy(kSource + "/tests/data/bccd/BloodImage_00007.jpg", folder / "in" / (name + ".jpg"));
  const Output o = run(
      {"detect", "--model", kModel, path("in"), "-o", path("out"), "--outputs", "csv,csv-excel", "--quiet", "--score", "0.6"});
  ASSERT_EQ(o.code, 0) << o.err;
  int rows_seen = 0;
  for (const auto& e : std::filesystem::directory_iterator(folder / "out")) {
    const std::string name = e.path().filename().string();
    if (!name.ends_with(".excel.csv")) continue;
    const std::string text = read_file(e.path());
    const std::string plain = read_file(folder / "out" / (name.substr(0, name.size() - 10) + ".csv"));
    ASSERT_TRUE(text.starts_with(kMark));
    EXPECT_TRUE(is_utf8(text));
    EXPECT_FALSE(plain.starts_with(kMark));
    const Rows rows = rows_of(text.substr(kMark.size())), want = rows_of(plain);
    ASSERT_EQ(rows.size(), want.size());
    ASSERT_GT(rows.size(), 1u);
    EXPECT_THAT(rows[0], ElementsAre("image", "image_id", "class", "score", "x", "y", "width", "height"));
    for (size_t r = 1; r < rows.size(); ++r, ++rows_seen) {
      ASSERT_THAT(rows[r], SizeIs(8));
      const std::string& image = rows[r][0];
      EXPECT_EQ(std::string("=+-@").find(image[0]), std::string::npos) << image;
      EXPECT_EQ(image, (want[r][0] == "=1+1" || want[r][0] == "10-12" ? "'" : "") + want[r][0]);
      EXPECT_TRUE(std::equal(rows[r].begin() + 1, rows[r].end(), want[r].begin() + 1));
    }
  }
  EXPECT_GT(rows_seen, 10);
}

TEST_F(CsvExcel, ExportRecognisesItByItsName) {
  put("r.json", R"([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}])");
  ASSERT_EQ(run({"export", path("r.json"), "-o", path("x.excel.csv"), "--classes", "MARCH1"}).code, 0);
  EXPECT_EQ(read_file(folder / "x.excel.csv"),
            kMark + "image,image_id,class,score,x,y,width,height\r\nimage_1,1,'MARCH1,0.5,1,2,3,4\r\n");
}

}  // namespace
}  // namespace cytodet::test
