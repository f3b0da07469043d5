// The HTML report.
#include "pipeline/report/report.h"

#include <gmock/gmock.h>

#include "pipeline/report/html.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kSlide = kSource + "/tests/data/slides/blood-mosaic.tif";
const std::string kEvil = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>";

class Report : public ProgramTest {
 protected:
  // A done slide, one with a hostile name, a failed one.
  std::string run_folder() {
    RunState state;
    state.version = "test";
    state.model.classes = {"RBC", kEvil};
    state.model.category_ids = {1, 2};
    state.model.file = kEvil;
    state.settings = Json{{"inputs", {kEvil}}};
    state.timing = Json{{"wall_s", 12.5}};
    RunFolder folder_of{folder / "run"};
    make_folder(folder_of.path / "boxes");
    const std::vector<std::string> names_of = {"mosaic", "evil", "broken"};
    for (int i = 0; i < 3; ++i) {
      SlideState s;
      s.index = i;
      s.image_id = i + 1;
      s.name = names_of[static_cast<size_t>(i)];
      s.path = i == 0 ? kSlide : kEvil;
      s.state = i == 2 ? "failed" : "done";
      if (i == 2) s.reason = kEvil;
      s.width = 4120;
      s.height = 3160;
      s.mpp = 0.25;
      s.detections = i == 2 ? 0 : 2;
      s.seconds.read = 1.5;
      s.seconds.network = 2.25;
      if (i < 2) {
        BoxesHeader h;
        h.slide = s;
        write_boxes(h, {{{100, 100, 300, 300}, 0, 0.9F}, {{500, 500, 900, 800}, 1, 0.8F}}, folder_of.boxes(s));
      }
      state.inputs.push_back(s);
    }
    folder_of.write(state);
    assemble_detections(folder_of, state);
    return folder_of.path.string();
  }
};

TEST(Html, EveryNameIsHarmless) {
  EXPECT_EQ(escape_html("<a href=\"x\" onclick='y'>&"), "&lt;a href=&quot;x&quot; onclick=&#39;y&#39;&gt;&amp;");
  EXPECT_EQ(escape_html(std::string("a\x01\x00z\xff", 5)), "a\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd");
  EXPECT_EQ(escape_html("\xe6\xb5\x8b"), "\xe6\xb5\x8b");
}

TEST(Html, NumbersAndBase64) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(grouped(-123456), "-123,456");
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64("\xff\xfe\xfd"), "//79");
}

TEST_F(Report, StandsAloneAndIsHarmless) {
  Output o = run({"report", run_folder(), "-o", path("r.html")});
  ASSERT_EQ(o.code, 0) << o.err;
  std::string page = read_file(folder / "r.html");
  EXPECT_THAT(page, HasSubstr("data:image/jpeg;base64,"));
  for (size_t at = 0; (at = page.find("base64,", at)) != std::string::npos; ++at) page.erase(at + 7, page.find('"', at) - at - 7);
  for (const char* bad : {"<script", "<img src=x", "http:", "https:", "@import", "url(", "<link", "<iframe"})
    EXPECT_THAT(page, Not(HasSubstr(bad)));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;"));
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  EXPECT_THAT(page, HasSubstr("<b>4</b>boxes"));
  EXPECT_THAT(page, HasSubstr("<b>2</b>slides done"));
  EXPECT_THAT(page, HasSubstr("<b>1</b>slides failed"));
  EXPECT_THAT(page, HasSubstr("4,120 &times; 3,160"));
  EXPECT_THAT(page, HasSubstr(rounded(2 / (4.12 * 3.16 / 16), 1))) << "boxes per mm2";
  EXPECT_THAT(page, HasSubstr("network 6.75"));
}

TEST_F(Report, ScoresAreThoseOfEvaluate) {
  const std::string base = kSource + "/tests/data/eval/synthetic200_";
  Output o = run({"report", base + "dt.json", "-o", path("r.html"), "--truth", base + "gt.json"});
  ASSERT_EQ(o.code, 0) << o.err;
  const std::string page = read_file(folder / "r.html");
  const Scores s = score(read_truth(base + "gt.json"), read_detections(base + "dt.json", read_truth(base + "gt.json")));
  EXPECT_THAT(page, HasSubstr("<td class=\"n\">" + rounded(s.stats[0], 4) + "</td>"));
  EXPECT_THAT(page, HasSubstr("<polyline"));
  EXPECT_EQ(run({"report", base + "dt.json", "-o", path("r2.html"), "--truth", base + "gt.json"}).code, 0);
  EXPECT_EQ(read_file(folder / "r2.html"), page) << "the same results give the same page";
}

TEST_F(Report, SaysWhatIsWrong) {
  EXPECT_EQ(run({"report", folder.string(), "-o", path("r.html")}).code, 1);
  EXPECT_EQ(run({"report", path("none"), "-o", path("r.html")}).code, 1);
  EXPECT_EQ(run({"report", put("bad.json", "[{"), "-o", path("r.html")}).code, 1);
  EXPECT_THAT(names(folder), ::testing::ElementsAre("bad.json"));
}

}  // namespace
}  // namespace cytodet::test
