// The HTML report.
#include <gmock/gmock.h>

#include "core/settings.h"
#include "pipeline/report/html.h"
#include "pipeline/report/run_report.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kReportSlide = kSource + "/tests/data/slides/blood-mosaic.tif";
const std::string kEvil = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>";

class Report : public ProgramTest {
 protected:
  static int count(const std::string& text, const std::string& part) {
    int n = 0;
    for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++n;
    return n;
  }
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
      ImageResult s;
      s.index = i;
      s.image_id = i + 1;
      s.name = names_of[static_cast<size_t>(i)];
      s.path = i == 0 ? kReportSlide : kEvil;
      s.state = i == 2 ? ImageState::failed : ImageState::done;
      if (i == 2) s.reason = kEvil;
      s.width = 4120;
      s.height = 3160;
      s.mpp = 0.25;
      s.detection_count = i == 2 ? 0 : 2;
      s.times.read = 1.5;
      s.times.network = 2.25;
      if (i < 2) {
        BoxesHeader h;
        h.slide = s;
        write_boxes(h, {{{100, 100, 300, 300}, 0, 0.9F}, {{500, 500, 900, 800}, 1, 0.8F}}, folder_of.boxes(s));
      }
      state.inputs.push_back(s);
    }
    folder_of.write(state);
    assemble_detections(folder_of, state, folder_of.detections_json());
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
  EXPECT_EQ(count(page, "data:image/jpeg;base64,"), 3) << "boxes, density, crops of the one slide that is at hand";
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

TEST_F(Report, ImagesOfEachSlide) {
  const std::string run_path = run_folder();
  const auto page_with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"report", run_path, "-o", path("r.html")});
    Output o = run(more);
    EXPECT_EQ(o.code, 0) << o.err;
    return read_file(folder / "r.html");
  };
  std::string page = page_with({});
  for (const char* what : {"boxes", "density", "top-scoring boxes of each class"})
    EXPECT_EQ(count(page, std::string("<figcaption>") + what + "</figcaption>"), 1) << what;
  page = page_with({"--crops", "0"});
  EXPECT_EQ(count(page, "data:image"), 2);
  page = page_with({"--score", "0.95"});
  EXPECT_EQ(count(page, "data:image"), 2) << "no box is so sure: nothing to cut out";
  page = page_with({"--thumbnails", "0"});
  EXPECT_EQ(count(page, "data:image"), 0);
  EXPECT_EQ(run({"report", run_path, "-o", path("r.html"), "--crops", "-1"}).code, 2);
}

TEST_F(Report, ScoresAreThoseOfEvaluate) {
  const std::string base = kSource + "/tests/data/eval/synthetic200_";
  Output o = run({"report", base + "dt.json", "-o", path("r.html"), "--truth", base + "gt.json"});
  ASSERT_EQ(o.code, 0) << o.err;
  const std::string page = read_file(folder / "r.html");
  const Scores s =
      score(read_ground_truth(base + "gt.json"), read_detections(base + "dt.json", read_ground_truth(base + "gt.json")));
  EXPECT_THAT(page, HasSubstr("<td class=\"n\">" + rounded(s.stats[0], 4) + "</td>"));
  EXPECT_THAT(page, HasSubstr("<polyline"));
  for (const char* part : {"Operating point", "Counts", "FROC", "Confusion", "Calibration"})
    EXPECT_THAT(page, HasSubstr("<h3>" + std::string(part) + "</h3>"));
  EXPECT_EQ(run({"report", base + "dt.json", "-o", path("r2.html"), "--truth", base + "gt.json"}).code, 0);
  EXPECT_EQ(read_file(folder / "r2.html"), page) << "the same results give the same page";
}

TEST_F(Report, OnlyRegionsOfInterestAreScored) {
  const std::string truth = put("truth.json", R"({"images":[{"id":1,"file_name":"mosaic.tif","width":4120,"height":3160}],
      "categories":[{"id":1,"name":"RBC"}],"annotations":[
      {"id":1,"image_id":1,"category_id":1,"bbox":[100,100,200,200],"area":40000,"iscrowd":0},
      {"id":2,"image_id":1,"category_id":1,"bbox":[2000,2000,200,200],"area":40000,"iscrowd":0}]})");
  const std::string roi = put("roi.json", R"([{"class":"roi","x":0,"y":0,"w":1000,"h":1000}])");
  const std::string found = put("found.json", R"([{"image_id":1,"category_id":1,"bbox":[100,100,200,200],"score":0.9}])");
  const auto ap = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"report", found, "-o", path("r.html"), "--truth", truth});
    Output o = run(more);
    EXPECT_EQ(o.code, 0) << o.err;
    const std::string page = read_file(folder / "r.html");
    return std::pair{count(page, ">1.0000<") > 0, count(page, "inside the regions of") > 0};
  };
  EXPECT_EQ(ap({}), std::pair(false, false)) << "one of two cells was found";
  EXPECT_EQ(ap({"--roi", roi}), std::pair(true, true));
  // A run may hold images that the ground truth does not know; images are recognised by their files' names.
  Output o = run({"report", run_folder(), "-o", path("r.html"), "--truth", put("known.json", R"({"images":[{"id":77,
      "file_name":"blood-mosaic.tif","width":4120,"height":3160}],"categories":[{"id":1,"name":"RBC"}],"annotations":[
      {"id":1,"image_id":77,"category_id":1,"bbox":[100,100,200,200],"area":40000,"iscrowd":0}]})")});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_GT(count(read_file(folder / "r.html"), ">1.0000<"), 0);
  EXPECT_EQ(count(read_file(folder / "r.html"), "1 image is not in the ground truth"), 1);
}

// Results from elsewhere: what they do not say of a slide, its file does.
TEST_F(Report, ForeignResultsAreMeasuredBySlides) {
  std::filesystem::copy_file(kReportSlide, folder / "mosaic.tif");
  put("plain.jpg", "\xff\xd8 not decoded for a table");
  put("broken.tif", std::string("II*\0broken", 10));
  const std::string found = put("found.json", R"([{"image_id":1,"category_id":2,"bbox":[100,100,200,200],"score":0.9},
      {"image_id":1,"category_id":1,"bbox":[500,100,200,200],"score":0.8},
      {"image_id":3,"category_id":1,"bbox":[0,0,9,9],"score":0.7}])");
  const std::string truth = put("truth.json", R"({"images":[{"id":1,"file_name":"mosaic.tif","width":4120,"height":3160},
      {"id":2,"file_name":"plain.jpg","width":640,"height":480},{"id":3,"file_name":"broken.tif","width":7,"height":7}],
      "categories":[{"id":1,"name":"RBC"},{"id":2,"name":"WBC"}],"annotations":[]})");
  Output o = run({"report", found, "-o", path("r.html"), "--truth", truth, "--thumbnails", "0"});
  ASSERT_EQ(o.code, 0) << o.err;
  const std::string page = read_file(folder / "r.html");
  EXPECT_THAT(page, HasSubstr("<td class=\"n\">0.2500</td>"));
  EXPECT_THAT(page, HasSubstr("<td class=\"n\">" + rounded(2 / (4.12 * 3.16 / 16), 1) + "</td>")) << "boxes per mm2";
  EXPECT_THAT(page, HasSubstr("640 &times; 480"));
  EXPECT_EQ(count(page, "plain.jpg"), 0) << "plain images give no size of a pixel and are left alone";
  EXPECT_THAT(page, HasSubstr("broken.tif: ")) << "why there is none";
  EXPECT_EQ(count(page, "<td class=\"n\">0.2500</td>"), 1);
}

TEST_F(Report, OneSlideOfSeveralImagesIsNotTheSlideOfAll) {
  std::filesystem::copy_file(kReportSlide, folder / "mosaic.tif");
  const std::string found = put("found.json", R"([{"image_id":2,"category_id":7,"bbox":[100,100,200,200],"score":0.9},
      {"image_id":1,"category_id":3,"bbox":[500,100,200,200],"score":0.8}])");
  const auto report = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"report", found, "-o", path("r.html"), "--slides", path("mosaic.tif")});
    return run(more);
  };
  Output o = report({});
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.err, HasSubstr("is one slide, and none of the 2 images is called so"));
  o = report({"--truth", put("truth.json", R"({"images":[{"id":1,"file_name":"mosaic.tif","width":4120,"height":3160},
      {"id":2,"file_name":"other.tif","width":640,"height":480}],"categories":[],"annotations":[]})")});
  ASSERT_EQ(o.code, 0) << o.err;
  const std::string page = read_file(folder / "r.html");
  EXPECT_EQ(count(page, "data:image"), 3) << "of the image that is called so";
  EXPECT_LT(page.find(">class 3<"), page.find(">class 7<")) << "classes by id, not by first box";
  const std::vector<std::string> one = {"export", found, "-o", path("crops.png"), "--format", "crops", "--slides"};
  const auto exported = [&](std::vector<std::string> more) {
    std::vector<std::string> all = one;
    all.insert(all.end(), {path("mosaic.tif")});
    all.insert(all.end(), more.begin(), more.end());
    return run(all).code;
  };
  EXPECT_EQ(exported({"--image", "2"}), 0) << "the image that was asked for";
}

TEST_F(Report, SaysWhatIsWrong) {
  EXPECT_EQ(run({"report", folder.string(), "-o", path("r.html")}).code, 1);
  EXPECT_EQ(run({"report", path("none"), "-o", path("r.html")}).code, 1);
  EXPECT_EQ(run({"report", put("bad.json", "[{"), "-o", path("r.html")}).code, 1);
  EXPECT_THAT(names(folder), ::testing::ElementsAre("bad.json"));
}

}  // namespace
}  // namespace cytodet::test
