// The entries of outputs() and the export command.
#include <gmock/gmock.h>
#include <zlib.h>

#include <map>
#include <random>
#include <set>

#include "core/error.h"
#include "core/settings.h"
#include "eval/ground_truth.h"
#include "eval/results.h"
#include "pipeline/results/formats/output.h"
#include "pipeline/results/formats/summary.h"
#include "pipeline/results/formats/text_file.h"
#include "pipeline/results/run_folder.h"
#include "pipeline/results/saved_results.h"
#include "tests/error_of.h"
#include "tests/pipeline/program.h"
#include "tiling/slides/image_io.h"
#include "tiling/tiles/region.h"

namespace cytodet::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kSlide = kSource + "/tests/data/slides/blood-mosaic.tif";

class Outputs : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    classes.add(1, "RBC");
    classes.add(2, "W\"B,C");
    image = output_image_of("slide, one", 7, open_slide(kSlide), classes);
  }
  std::filesystem::path write(const std::string& name, const Detections& detections) {
    write_outputs({name}, image, detections, {}, folder, "out");
    return folder / ("out" + std::string(output_named(name).suffix));
  }
  Classes classes;
  OutputImage image;
  const Detections two = {{{10.128, 20, 30.5, 44.25}, 1, 0.75F}, {{-3.004, 5, 17, 25}, 0, 0.1F}};
};

std::string gunzip(const std::filesystem::path& path) {
  gzFile in = gzopen(path.c_str(), "rb");
  std::string text;
  char buffer[1 << 16];
  for (int n = 0; (n = gzread(in, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(n));
  EXPECT_EQ(gzclose(in), Z_OK);
  return text;
}

// What each entry must write for `two`, and for no boxes at all.
const std::map<std::string, std::function<void(const std::filesystem::path&, bool)>>& checks() {
  static const std::map<std::string, std::function<void(const std::filesystem::path&, bool)>> all = {
      {"coco",
       [](const auto& p, bool any) {
         Json j = read_json(p);
         ASSERT_EQ(j.size(), any ? 2u : 0u);
         if (any) {
           EXPECT_EQ(j[0], Json::parse(R"({"image_id":7,"category_id":2,"bbox":[10.128,20,20.372,24.25],"score":0.75})"));
         }
       }},
      {"box-list",
       [](const auto& p, bool any) {
         Json j = read_json(p);
         ASSERT_EQ(j.size(), any ? 2u : 0u);
         if (any) {
           EXPECT_EQ(j[0], Json::parse(R"({"x":10,"y":20,"w":21,"h":24,"p":0.75})"));
         }
       }},
      {"csv",
       [](const auto& p, bool any) {
         EXPECT_EQ(read_file(p), std::string("image,image_id,class,score,x,y,width,height\r\n") +
                                     (any ? "\"slide, one\",7,\"W\"\"B,C\",0.75,10.128,20,20.372,24.25\r\n"
                                            "\"slide, one\",7,RBC,0.1,-3.004,5,20.004,20\r\n"
                                          : ""));
       }},
      {"csv-excel",
       [](const auto& p, bool any) {
         EXPECT_EQ(read_file(p), std::string("\xEF\xBB\xBFimage,image_id,class,score,x,y,width,height\r\n") +
                                     (any ? "\"slide, one\",7,\"W\"\"B,C\",0.75,10.128,20,20.372,24.25\r\n"
                                            "\"slide, one\",7,RBC,0.1,-3.004,5,20.004,20\r\n"
                                          : ""));
       }},
      {"geojson",
       [](const auto& p, bool any) {
         Json j = read_json(p);
         EXPECT_EQ(j["type"], "FeatureCollection");
         ASSERT_EQ(j["features"].size(), any ? 2u : 0u);
         if (!any) return;
         const Json& f = j["features"][0];
         EXPECT_EQ(f["geometry"], Json::parse(R"({"type":"Polygon","coordinates":
                                                  [[[10.13,20],[30.5,20],[30.5,44.25],[10.13,44.25],[10.13,20]]]})"));
         EXPECT_EQ(f["properties"]["objectType"], "detection");
         EXPECT_EQ(f["properties"]["classification"]["name"], "W\"B,C");
         EXPECT_EQ(f["properties"]["classification"]["color"], Json(class_colour(1)));
         EXPECT_EQ(f["properties"]["measurements"]["score"], 0.75);
         EXPECT_EQ(j["features"][1]["geometry"]["coordinates"][0][0][0], -3);
       }},
      {"geojson.gz",
       [](const auto& p, bool any) {
         Json j = Json::parse(gunzip(p));
         EXPECT_EQ(j["features"].size(), any ? 2u : 0u);
       }},
      {"geojson-points",
       [](const auto& p, bool any) {
         Json j = read_json(p);
         ASSERT_EQ(j["features"].size(), any ? 2u : 0u);
         if (!any) return;
         EXPECT_EQ(j["features"][0]["geometry"], Json::parse(R"({"type":"Point","coordinates":[20.31,32.13]})"));
         EXPECT_EQ(j["features"][0]["properties"]["objectType"], "detection");
       }},
      {"heatmap", [](const auto& p, bool) { EXPECT_EQ(open_slide(p)->width(), 1600); }},
      {"crops",
       [](const auto& p, bool any) {
         auto s = open_slide(p);
         EXPECT_EQ(s->width(), 12 * 136 + 8);
         EXPECT_EQ(s->height() > 300, any);
       }},
      {"summary",
       [](const auto& p, bool any) {
         Json j = read_json(p);
         EXPECT_EQ(j["image_id"], 7);
         EXPECT_EQ(j["boxes"], any ? 2 : 0);
         ASSERT_EQ(j["classes"].size(), 2u);
         if (any) {
           EXPECT_NEAR(j["classes"][1]["mean_width"].template get<double>(), 20.372, 1e-9);
         }
         if (!any) {
           EXPECT_TRUE(j["classes"][1]["mean_score"].is_null());
         }
       }},
  };
  return all;
}

TEST_F(Outputs, EveryEntryWritesItsForm) {
  for (const cytodet::Output& row : outputs()) {
    SCOPED_TRACE(row.name);
    auto check = checks().find(row.name);
    ASSERT_NE(check, checks().end()) << "an entry without a test";
    for (bool any : {true, false}) {
      const auto path = write(row.name, any ? two : Detections{});
      check->second(path, any);
      EXPECT_EQ(output_for(path), &row) << "the suffix decides the entry";
    }
  }
  EXPECT_EQ(checks().size(), outputs().size());
}

TEST_F(Outputs, AnUnknownNameListsTheKnownOnes) {
  try {
    output_named("geojsn");
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("geojson"));
    EXPECT_EQ(e.code(), Exit::usage);
  }
  EXPECT_EQ(output_for("cells.xlsx"), nullptr);
}

TEST_F(Outputs, NamesOfEarlierVersionsAreRead) { EXPECT_EQ(&output_named("competition"), &output_named("box-list")); }

TEST_F(Outputs, NothingIsLeftOfAnUnfinishedFile) {
  for (const cytodet::Output& row : outputs()) {
    auto file = row.open(image, {}, folder / "unfinished");
    for (const Detection& d : two) file->add(d);
  }
  EXPECT_THAT(names(folder), IsEmpty());
}

TEST_F(Outputs, DensityNeedsThePhysicalSize) {
  Summary summary;
  for (const Detection& d : two) summary.add(d);
  OutputImage p{"a", 1, 4000, 2000, std::nullopt, std::nullopt, nullptr, &classes};
  EXPECT_TRUE(summary.json(p)["boxes_per_mm2"].is_null());
  p.mpp_x = 0.5;
  p.mpp_y = 0.25;
  Json j = summary.json(p);
  EXPECT_NEAR(j["area_mm2"].get<double>(), 2.0 * 0.5, 1e-12);
  EXPECT_NEAR(j["boxes_per_mm2"].get<double>(), 2 / 1.0, 1e-9);
  EXPECT_NEAR(j["classes"][0]["boxes_per_mm2"].get<double>(), 1, 1e-9);
}

TEST_F(Outputs, GeoJsonIdsAreUniqueAndLastingUuids) {
  Detections many(2000, two[0]);
  Json a = read_json(write("geojson", many));
  std::set<std::string> ids;
  for (const Json& f : a["features"]) ids.insert(f["id"].get<std::string>());
  EXPECT_EQ(ids.size(), many.size());
  for (const std::string& id : {*ids.begin(), *ids.rbegin()}) {
    ASSERT_EQ(id.size(), 36u);
    EXPECT_EQ(id[14], '8') << "RFC 9562, version 8";
    EXPECT_THAT(std::string("89ab"), HasSubstr(std::string(1, id[19])));
  }
  EXPECT_EQ(a, read_json(write("geojson", many)));
  image.image_id = 8;
  const Json other = read_json(write("geojson", many));
  for (const Json& f : other["features"]) ASSERT_FALSE(ids.contains(f["id"].get<std::string>()));
}

TEST_F(Outputs, NumbersAreWrittenShortAndTrue) {
  const auto fixed = [](double v, int decimals) {
    std::string s;
    append_fixed(s, v, decimals);
    return s;
  };
  EXPECT_EQ(fixed(12.5, 2), "12.5");
  EXPECT_EQ(fixed(-0.001, 2), "0");
  EXPECT_EQ(fixed(-1.005e9, 2), "-1005000000");
  EXPECT_EQ(fixed(0.049, 1), "0");
  EXPECT_EQ(fixed(0.06, 2), "0.06");
  EXPECT_EQ(fixed(-7.999, 2), "-8");
  std::mt19937_64 random(5);
  for (int i = 0; i < 10000; ++i) {
    const double v = (static_cast<double>(random() % 2000000001) - 1e9) / 1000 * static_cast<double>(random() % 3);
    EXPECT_NEAR(std::stod(fixed(v, 2)), v, 0.005001);
  }
  std::string text;
  append_json_string(text, "a\"\\\n<\xff");
  EXPECT_EQ(text, "\"a\\\"\\\\\\n<\xef\xbf\xbd\"");
}

class Export : public Outputs {
 protected:
  // A run folder of two done slides and a failed one.
  std::string run_folder() {
    RunState state;
    state.version = "test";
    state.model.classes = {"RBC", "WBC"};
    state.model.category_ids = {1, 2};
    RunFolder run{folder / "run"};
    make_folder(run.path / "boxes");
    for (int i = 0; i < 3; ++i) {
      ImageResult s;
      s.index = i;
      s.image_id = i + 1;
      s.name = std::string("s") + std::to_string(i);
      s.path = i == 0 ? kSlide : "/nowhere/" + s.name + ".tif";
      s.state = i == 2 ? ImageState::failed : ImageState::done;
      if (i == 2) s.reason = "broken";
      s.width = 4120;
      s.height = 3160;
      s.detection_count = i == 2 ? 0 : 2;
      if (i == 1) s.mpp = 0.25;
      if (i < 2) {
        BoxesHeader h;
        h.slide = s;
        write_boxes(h, two, run.boxes(s));
      }
      state.inputs.push_back(s);
    }
    run.write(state);
    assemble_detections(run, state, run.detections_json());
    return run.path.string();
  }
};

TEST_F(Export, ARunFolderBecomesFilesPerImage) {
  const std::string run_path = run_folder();
  Output o = run({"export", run_path, "-o", path("all/"), "--format", "geojson,csv,summary,heatmap", "--score", "0"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(names(folder / "all"), ElementsAre("s0.csv", "s0.geojson", "s0.heatmap.png", "s0.summary.json", "s1.csv",
                                                 "s1.geojson", "s1.heatmap.png", "s1.summary.json"));
  EXPECT_NEAR(read_json(folder / "all/s0.summary.json")["area_mm2"].get<double>(),
              4.12 * 3.16 * image.mpp_x.value() * image.mpp_y.value(), 1e-9)
      << "the slide's own, where the run has none";
  EXPECT_NEAR(read_json(folder / "all/s1.summary.json")["boxes_per_mm2"].get<double>(), 2 / (4.12 * 3.16 / 16), 1e-9);
  EXPECT_EQ(read_json(folder / "all/s0.geojson")["features"][0]["properties"]["classification"]["name"], "WBC");

  o = run({"export", run_path, "-o", path("one.geojson")});
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.err, HasSubstr("holds 2 images; choose one by --image"));
  o = run({"export", run_path, "-o", path("one.geojson.gz"), "--image", "2", "--score", "0.5"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(o.out, "1 boxes in " + path("one.geojson.gz") + " of 2, from score 0.5 on\n");
  EXPECT_EQ(Json::parse(gunzip(folder / "one.geojson.gz"))["features"].size(), 1u);
  EXPECT_EQ(run({"export", run_path, "-o", path("three.csv"), "--image", "3"}).code, 1) << "the failed one";
  o = run({"export", run_path, "-o", path("crops/"), "--format", "crops", "--image", "2"});
  EXPECT_EQ(o.code, 1);
  EXPECT_THAT(o.err, HasSubstr("crops need the slide's pixels"));
}

TEST_F(Export, AnyResultsFileWillDo) {
  const std::string results = kSource + "/tests/data/fuzz/detections/small.json",
                    names_from = kSource + "/tests/data/fuzz/truth/small.json";
  Output o = run({"export", results, "-o", path("out/"), "--format", "coco", "--truth", names_from});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(names(folder / "out").size(), read_ground_truth(names_from).images.size());
  size_t n = 0;
  for (const std::string& name : names(folder / "out")) n += read_json(folder / "out" / name).size();
  EXPECT_EQ(n, read_json(results).size());

  // Names of classes: from the ground truth, given, or made from the id.
  const std::string file = put("r.json", R"([{"image_id":3,"category_id":2,"bbox":[1,2,3,4],"score":0.5}])");
  const auto name = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"export", file, "-o", path("r.geojson")});
    Output e = run(more);
    EXPECT_EQ(e.code, 0) << e.err;
    return read_json(folder / "r.geojson")["features"][0]["properties"]["classification"]["name"].get<std::string>();
  };
  EXPECT_EQ(name({}), "class 2");
  EXPECT_EQ(name({"--classes", "a,b"}), "b");
  EXPECT_EQ(run({"export", file, "-o", path("r.crops.png"), "--slides", kSlide}).code, 0);
  EXPECT_EQ(run({"export", put("none.json", "[]"), "-o", path("none.csv")}).code, 0);
}

// What report and view say about an image's size.
TEST_F(Export, ImagesAreMeasuredOnlyWhereResultsLackTheSize) {
  const std::string results = put("r.json", R"([{"image_id":3,"category_id":1,"bbox":[1,2,3,4],"score":0.5}])"),
                    not_an_image = put("damaged.png", "\x89PNG\r\n\x1a\n");
  const auto measured = [&](const std::string& slide, int width) {
    const std::string truth = put("truth.json", R"({"images":[{"id":3,"file_name":"a.tif","width":)" + std::to_string(width) +
                                                    R"(,"height":50}],"categories":[{"id":1,"name":"a"}],"annotations":[]})");
    SavedResults saved(results, {width > 0 ? truth : "", slide, {}, {}});
    return saved.measured_image(saved.images().at(0));
  };
  EXPECT_EQ(measured("", 60).width, 60);
  EXPECT_EQ(measured("", 0).width, 0) << "nobody knows";
  const auto slide = open_slide(kSlide);
  for (int width : {0, 60}) {
    const OutputImage reported = measured(kSlide, width);
    EXPECT_EQ(reported.width, slide->width()) << "the slide knows best";
    EXPECT_EQ(reported.mpp_x, slide->mpp_x);
    EXPECT_EQ(reported.slide, nullptr);
  }
  EXPECT_EQ(measured(kSource + "/tests/data/tiling/formats/rgb.png", 0).width, 37);
  EXPECT_EQ(measured(not_an_image, 60).width, 60) << "a plain image is not decoded where its size is given";
  EXPECT_NE(error_of([&] { measured(not_an_image, 0); }), "");
}

TEST_F(Export, SaysWhatIsWrong) {
  const auto fails = [&](std::vector<std::string> arguments, int code, const std::string& text) {
    arguments.insert(arguments.begin(), "export");
    Output o = run(arguments);
    EXPECT_EQ(o.code, code) << o.err;
    ASSERT_EQ(o.errors().size(), 1u) << o.err;
    EXPECT_THAT(o.errors()[0], HasSubstr(text));
  };
  const std::string file = put("r.json", R"([{"image_id":3,"category_id":2,"bbox":[1,2,3,4],"score":0.5},
                                             {"image_id":4,"category_id":2,"bbox":[1,2,3,4],"score":0.5}])");
  fails({file, "-o", path("x.geojson")}, 2, "holds more than one image");
  fails({file, "-o", path("x.xlsx")}, 2, "does not say the form");
  fails({file, "-o", path("x.csv"), "--format", "cvs"}, 2, "did you mean csv");
  fails({path("none.json"), "-o", path("x.csv")}, 1, "is neither a run folder nor a file");
  fails({put("bad.json", "[{]"), "-o", path("x.csv")}, 1, "bad.json: not valid JSON");
  fails({folder.string(), "-o", path("x.csv")}, 1, "no run.json");
  fails({file, "-o", path("x.heatmap.png"), "--image", "3"}, 1, "the slide's size is not known");
  fails({file, "-o", path("nowhere/x.csv"), "--image", "3"}, 1, "cannot create");
  EXPECT_THAT(names(folder), ElementsAre("bad.json", "r.json"));
}

}  // namespace
}  // namespace cytodet::test
