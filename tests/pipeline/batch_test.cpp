// Batches of slides as a user runs them: run folder, resuming after kill -9, shards, regions, background.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>

#include <chrono>
#include <map>
#include <random>

#include "core/settings.h"
#include "pipeline/detect/image_pipeline.h"
#include "pipeline/inputs/list_inputs.h"
#include "pipeline/results/formats/output.h"
#include "pipeline/results/run_folder.h"
#include "tests/paths.h"
#include "tests/pipeline/batch_runs.h"
#include "tiling/slides/image_io.h"
#include "tiling/tiles/region.h"

namespace cytodet::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(BatchRuns, KilledAtAnyMomentAndResumed) {
  const std::string in = slides(6);
  const auto start = std::chrono::steady_clock::now();
  ASSERT_EQ(run(command("whole", {in, "--overlay", "--outputs", "csv,crops"})).code, 0);
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::mt19937 random(1);
  int killed = 0;
  for (int i = 0; i < 3; ++i) {
    std::filesystem::remove_all(folder / "killed");
    for (int k = 0; k < 2; ++k) {
      const bool ended = run_and_kill(command("killed", {in, "--overlay", "--outputs", "csv,crops", "--resume"}),
                                      seconds * (0.1 + 0.7 * (random() % 1000) / 1000));
      killed += !ended;
      if (ended) seconds /= 2;  // the machine was slower when the whole run was timed
    }
    const Output o = run(command("killed", {in, "--overlay", "--outputs", "csv,crops", "--resume"}));
    ASSERT_EQ(o.code, 0) << o.err;
    expect_equal("whole", "killed");
  }
  EXPECT_GT(killed, 0);
}

TEST_F(BatchRuns, ResumingRedoesOnlyWhatIsUnfinishedOrChanged) {
  const std::string in = slides(4);
  ASSERT_EQ(run(command("out", {in})).code, 0);
  std::map<std::string, std::filesystem::file_time_type> before;
  auto changed = [&] {
    std::vector<std::string> names;
    for (const auto& e : std::filesystem::directory_iterator(folder / "out" / "boxes")) {
      const auto time = std::filesystem::last_write_time(e.path());
      if (before[e.path().stem().string()] != time) names.push_back(e.path().stem().string());
      before[e.path().stem().string()] = time;
    }
    std::sort(names.begin(), names.end());
    return names;
  };
  const std::vector<std::string> all = changed();
  ASSERT_EQ(all.size(), 4u);
  ASSERT_EQ(run(command("out", {in, "--resume"})).code, 0);
  EXPECT_THAT(changed(), ElementsAre());
  EXPECT_GT(state("out").inputs[0].times.network, 0) << "times of kept slides stay";
  ASSERT_EQ(run(command("out", {in, "--resume", "--streams", "1"})).code, 0);
  EXPECT_THAT(changed(), ElementsAre()) << "streams do not change results";
  std::filesystem::remove(folder / "out" / "boxes" / (all[1] + ".boxes"));
  ASSERT_EQ(run(command("out", {in, "--resume"})).code, 0);
  EXPECT_THAT(changed(), ElementsAre(all[1]));
  const std::filesystem::path slide = folder / "slides" / (all[2] + ".jpg");
  std::filesystem::last_write_time(slide, std::filesystem::file_time_type::clock::now());
  ASSERT_EQ(run(command("out", {in, "--resume"})).code, 0);
  EXPECT_THAT(changed(), ElementsAre()) << "another time, the same content";
  std::string pixels = read_file(slide);
  pixels[pixels.size() / 2] ^= 1;
  put("slides/" + all[2] + ".jpg", pixels);
  ASSERT_EQ(run(command("out", {in, "--resume"})).code, 0);
  EXPECT_THAT(changed(), ElementsAre(all[2])) << "the slide's file has changed";
  std::string cut = read_file(folder / "out" / "boxes" / (all[3] + ".boxes"));
  put("out/boxes/" + all[3] + ".boxes", cut.substr(0, cut.size() - 5));
  changed();
  ASSERT_EQ(run(command("out", {in, "--resume"})).code, 0);
  EXPECT_THAT(changed(), ElementsAre(all[3])) << "was cut short";
  ASSERT_EQ(run(command("out", {in, "--resume", "--score", "0.3"})).code, 0);
  EXPECT_EQ(changed(), all) << "other settings";
}

TEST_F(BatchRuns, EveryFormInTheSamePass) {
  const std::string in = slides(2);
  std::vector<std::string> forms;
  for (const cytodet::Output& o : outputs()) forms.emplace_back(o.name);
  std::string list;
  for (const std::string& f : forms) list += (list.empty() ? "" : ",") + f;
  ASSERT_EQ(run(command("out", {"--outputs", list, in})).code, 0) << "what follows the list is an input";
  EXPECT_EQ(read_json(folder / "out/run.json")["settings"]["outputs"], Json(forms));
  ASSERT_EQ(run({"export", path("out"), "-o", path("exported/"), "--format", list}).code, 0);
  EXPECT_EQ(names(folder / "exported").size(), 2 * forms.size());
  for (const std::string& name : names(folder / "exported"))
    EXPECT_EQ(read_file(folder / "out" / name), read_file(folder / "exported" / name)) << name;
}

TEST_F(BatchRuns, ResumingMakesTheFormsThatAreWantedNow) {
  const std::string in = slides(2);
  auto at = [&](const std::string& file) { return std::filesystem::last_write_time(folder / "out/boxes" / file); };
  ASSERT_EQ(run(command("out", {in, "--outputs", "csv,summary"})).code, 0);
  const std::vector<std::string> boxes = names(folder / "out/boxes");
  const std::string one = boxes[0].substr(0, boxes[0].size() - 6);
  auto first = at(boxes[0]), second = at(boxes[1]);
  ASSERT_EQ(run(command("out", {in, "--outputs", "summary,csv", "--resume"})).code, 0);
  EXPECT_EQ(at(boxes[0]), first) << "the same forms in another order";
  std::filesystem::remove(folder / "out" / (one + ".csv"));
  ASSERT_EQ(run(command("out", {in, "--outputs", "csv,summary", "--resume"})).code, 0);
  EXPECT_NE(at(boxes[0]), first) << "a file is gone";
  EXPECT_EQ(at(boxes[1]), second);
  ASSERT_EQ(run(command("out", {in, "--outputs", "geojson.gz", "--resume"})).code, 0);
  EXPECT_NE(at(boxes[1]), second) << "another form";
  EXPECT_THAT(names(folder / "out"), ::testing::IsSupersetOf({one + ".geojson.gz", one + ".json"}));
  EXPECT_FALSE(std::filesystem::exists(folder / "out" / (one + ".csv"))) << "made with other settings";
  const Output o = run(command("never", {in, "--outputs", "csv,geojsn"}));
  EXPECT_EQ(o.code, 2);
  ASSERT_EQ(o.errors().size(), 1u) << o.err;
  EXPECT_THAT(o.errors()[0], ::testing::AllOf(HasSubstr("\"geojsn\""), HasSubstr("did you mean geojson")));
  EXPECT_FALSE(std::filesystem::exists(folder / "never"));
}

TEST_F(BatchRuns, NoSlideWritesOverAnothersFiles) {
  const std::string image = read_file(kImages + "BloodImage_00007.jpg");
  std::filesystem::create_directory(folder / "in");
  for (const char* name : {"in/a.jpg", "in/a.coco.jpg", "in/a.heatmap.jpg"}) put(name, image);
  ASSERT_EQ(run(command("out", {path("in/a.jpg"), path("in"), "--outputs", "coco,heatmap", "--overlay"})).code, 0);
  std::vector<std::string> given;
  for (const ImageResult& s : state("out").inputs) given.push_back(s.name);
  EXPECT_THAT(given, ElementsAre("a", "a.coco_2", "a.heatmap_2"));
  EXPECT_EQ(names(folder / "out").size(), 3 * 4 + 3u);
}

TEST_F(BatchRuns, PatternsAndLists) {
  const std::string in = slides(5);
  const std::vector<std::string> files = expand_inputs({in});
  ASSERT_EQ(files.size(), 5u);
  EXPECT_EQ(expand_inputs({in + "/*.jpg"}), files);
  EXPECT_EQ(expand_inputs({in + "/Blood?mage_*.[jJ]pg"}), files);
  put("list.txt", "# a list\n\n  slides/*.jpg\r\n" + files[0] + "\n");
  EXPECT_EQ(expand_inputs({"@" + path("list.txt")}).size(), 5u) << "each once";
  EXPECT_EQ(expand_inputs({files[2], in})[0], files[2]);
  const std::string relative = std::filesystem::relative(files[0]).string();
  EXPECT_THAT(expand_inputs({relative, files[0], in + "/./" + files[0].substr(in.size())}), ElementsAre(relative)) << "one file";
  auto error = [](const std::vector<std::string>& inputs) {
    try {
      expand_inputs(inputs);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_THAT(error({in + "/*.svs"}), HasSubstr("matches no file"));
  EXPECT_THAT(error({"@" + path("none.txt")}), HasSubstr("none.txt"));
  EXPECT_THAT(error({"@" + put("empty.txt", "# nothing\n")}), HasSubstr("names no slides"));
  EXPECT_THAT(error({"@" + put("nested.txt", "@list.txt\n")}), HasSubstr("another list"));
  put("odd[1].jpg", read_file(files[0]));
  EXPECT_THAT(expand_inputs({path("odd[1].jpg")}), ElementsAre(path("odd[1].jpg"))) << "a name that looks like a pattern";
}

TEST_F(BatchRuns, OptionsThatCannotBeAreRefusedAndOthersOverrideTheConfig) {
  const std::string image = kImages + "BloodImage_00007.jpg";
  for (const char* option : {"--tile=0", "--overlap=-1", "--level=-1", "--mpp=0", "--assume-mpp=0", "--scale=0", "--score=-0.1",
                             "--threads=0", "--streams=-1", "--iou=-1", "--detections=0"}) {
    const Output o = run(command("out", {image, option}));
    EXPECT_NE(o.code, 0) << option;
    EXPECT_EQ(o.errors().size(), 1u) << option << ": " << o.err;
  }
  EXPECT_EQ(run({"info", image, "--overlap=-1"}).code, 2);
  Json config{{"model", kModel}, {"inputs", {image}}};
  config["detect"]["tiling"] = {{"mpp", 0.5}, {"assume_mpp", 0.25}};
  ASSERT_EQ(run(command("out", {"--config", put("config.json", config.dump()), "--scale", "0.5"})).code, 0);
  const Json tiling = state("out").settings["detect"]["tiling"];
  EXPECT_TRUE(tiling["mpp"].is_null());
  EXPECT_EQ(tiling["scale"], 0.5);
  EXPECT_EQ(tiling["assume_mpp"], 0.25);
}

TEST_F(BatchRuns, ShardsJoinToTheWholeRun) {
  const std::string in = slides(5);
  put("slides/broken.jpg", "broken");
  EXPECT_EQ(run(command("whole", {in, "--overlay", "--outputs", "csv,crops"})).code, 3);
  for (const char* i : {"1", "2", "3"})
    run(command(std::string("s") + i, {in, "--overlay", "--outputs", "csv,crops", "--shard", std::string(i) + "/3"}));
  auto collect = [&](const std::vector<std::string>& runs, const std::string& out) {
    std::vector<std::string> arguments{"collect", "-o", path(out)};
    for (const std::string& r : runs) arguments.push_back(path(r));
    return run(arguments);
  };
  EXPECT_EQ(collect({"s3", "s1", "s2"}, "joined").code, 3);
  expect_equal("whole", "joined");
  auto refused = [&](const std::vector<std::string>& runs, const std::vector<std::string>& parts) {
    const Output o = collect(runs, "refused");
    EXPECT_EQ(o.code, 1);
    ASSERT_EQ(o.errors().size(), 1u) << o.err;
    for (const std::string& p : parts) EXPECT_THAT(o.errors()[0], HasSubstr(p));
    EXPECT_FALSE(std::filesystem::exists(folder / "refused"));
  };
  refused({"s1", "s3"}, {"of 3 shards these are missing: 2"});
  refused({"s1", "s2", "s1"}, {"is shard 1 a second time"});
  run(command("t2", {in, "--shard", "2/3", "--tile", "512"}));
  refused({"s1", "t2", "s3"}, {"t2", "cannot be joined", "tiling"});
  run(command("u2", {in, "--shard", "2/3", "--score", "0.2"}));
  refused({"s1", "u2", "s3"}, {"u2", "--score"});
  run(command("v2", {in + "/broken.jpg", in, "--shard", "2/3"}));
  refused({"s1", "v2", "s3"}, {"v2", "another list"});
  refused({"s1", "slides", "s3"}, {"slides", "is no run folder"});
  EXPECT_EQ(run({"collect", path("s1"), "-o", path("s1")}).code, 2);
  for (const char* wrong : {"0/3", "4/3", "1", "a/b", "1/2/3", "-1/2"})
    EXPECT_EQ(run(command("x", {in, "--shard", wrong})).code, 2) << wrong;
}

TEST_F(BatchRuns, CollectGoesOnWithoutWhatIsMissing) {
  const std::string in = slides(5);
  for (const char* i : {"1", "3"}) run(command(std::string("s") + i, {in, "--shard", std::string(i) + "/3"}));
  std::filesystem::create_directories(folder / "s2");  // a worker that died before it wrote anything
  const std::vector<std::string> all{"collect", path("s1"), path("s2"), path("s3"), "-o", path("joined")};
  EXPECT_EQ(run(all).code, 1);
  std::vector<std::string> some = all;
  some.push_back("--allow-missing");
  const Output o = run(some);
  EXPECT_EQ(o.code, 3);
  EXPECT_THAT(o.err, HasSubstr("missing: of 3 shards these are missing: 2"));
  EXPECT_THAT(o.err, HasSubstr("s2"));
  EXPECT_EQ(state("joined").shard.missing, (std::vector<int>{2}));
  EXPECT_EQ(state("joined").count(ImageState::done), 3);
  // The missing slides can be done in the joined folder.
  EXPECT_EQ(run(command("joined", {in, "--resume"})).code, 0);
  ASSERT_EQ(run(command("whole", {in})).code, 0);
  expect_equal("whole", "joined");
}

TEST_F(BatchRuns, PartsAsTheSchedulerSays) {
  const std::string in = slides(3);
  const auto worker = [&](const char* task) {
    ::setenv("SLURM_ARRAY_TASK_ID", task, 1);
    const Output o = run(command("out", {in, "--shard", "auto/2"}));
    ::unsetenv("SLURM_ARRAY_TASK_ID");
    return o;
  };
  EXPECT_EQ(worker("1").code, 0);
  EXPECT_EQ(worker("2").code, 0);
  const Output wrong = worker("3");
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("SLURM_ARRAY_TASK_ID: is 3, but --shard auto/2 has tasks 1 to 2"));
  ASSERT_EQ(run({"collect", path("out/shard-1-of-2"), path("out/shard-2-of-2"), "-o", path("joined")}).code, 0);
  ASSERT_EQ(run(command("whole", {in})).code, 0);
  expect_equal("whole", "joined");
  EXPECT_EQ(run(command("x", {in, "--shard", "auto/2"})).code, 2) << "no scheduler";
}

TEST_F(BatchRuns, TheListIsPrintedInTheOrderOfShards) {
  const std::string in = slides(3);
  const Output o = run({"detect", "--list", in});
  EXPECT_EQ(o.code, 0);
  std::string expected;
  for (const std::string& file : list_images({in}).files) expected += file + "\n";
  EXPECT_EQ(o.out, expected);
}

TEST_F(BatchRuns, LogAsJson) {
  const std::string in = slides(3);
  put("slides/broken.jpg", "broken");
  const Output o = run(command("out", {in, "--log", "json"}));
  EXPECT_EQ(o.code, 3);
  std::map<std::string, int> events;
  std::istringstream lines(o.err);
  for (std::string line; std::getline(lines, line);) {
    const Json event = Json::parse(line);
    ++events[event["event"].get<std::string>()];
    if (event["event"] == "slide") {
      EXPECT_EQ(event["seconds"]["network"].get<double>() > 0, event["state"] == "done");
    }
  }
  EXPECT_EQ(events, (std::map<std::string, int>{{"start", 1}, {"slide", 4}, {"error", 1}, {"end", 1}}));
  const Output missing = run(command("out2", {path("none*.jpg"), "--log", "json"}));
  EXPECT_EQ(missing.code, 1);
  EXPECT_THAT(Json::parse(missing.err)["message"].get<std::string>(), HasSubstr("matches no file"));
}

TEST_F(BatchRuns, AnEarlierStartIsSpokenOf) {
  const std::string in = slides(3);
  const auto detect = [&](const std::vector<std::string>& inputs, const std::vector<std::string>& more) {
    std::vector<std::string> all{"detect", "--model", kModel, "-o", path("out")};
    all.insert(all.end(), inputs.begin(), inputs.end());
    all.insert(all.end(), more.begin(), more.end());
    const Output o = run(all);
    EXPECT_EQ(o.code, 0);
    return o.err;
  };
  const std::vector<std::string> files = expand_inputs({in});
  EXPECT_THAT(detect({files[0], files[1]}, {}), Not(HasSubstr("earlier")));
  EXPECT_THAT(detect({in}, {"--resume"}), HasSubstr("2 slides are kept from an earlier start, 1 to do"));
  EXPECT_THAT(detect({in}, {"--resume", "--quiet"}), Not(HasSubstr("earlier")));
  const std::string other = std::filesystem::path(files[2]).stem().string();
  EXPECT_THAT(detect({files[0], files[1]}, {"--score", "0.5"}),
              HasSubstr("still holds the files of 1 slide of an earlier start that this one was not given: " + other));
  EXPECT_TRUE(std::filesystem::exists(folder / "out" / (other + ".json"))) << "nothing is lost";
  EXPECT_EQ(state("out").model.suppression["score"], 0.5) << "settings of suppression are kept with the run";
  put("out/run.json", "not ours");
  for (const char* option : {"--resume", "--overwrite", "--quiet"}) {
    const Output o = run(command("out", {in, option}));
    EXPECT_EQ(o.code, 1);
    EXPECT_THAT(o.err, HasSubstr("run.json: stands where the run writes its own"));
  }
  EXPECT_EQ(read_file(folder / "out/run.json"), "not ours");
}

// A small image is shrunk whole into the network's input, unless a resolution is asked for: then it is worked at that one.
TEST_F(BatchRuns, AResolutionThatIsAskedForHoldsForSmallImagesToo) {
  const std::string small = kImages + "BloodImage_00007.jpg";
  const auto tiled = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all{small};
    all.insert(all.end(), more.begin(), more.end());
    const Output o = run(command("small", all));
    EXPECT_EQ(o.code, 0) << o.err;
    return state("small").inputs.at(0).tiled;
  };
  EXPECT_FALSE(tiled({}));
  EXPECT_TRUE(tiled({"--scale", "0.5"}));
  EXPECT_TRUE(tiled({"--mpp", "0.5", "--assume-mpp", "0.25"}));
  EXPECT_FALSE(tiled({"--mode", "image", "--assume-mpp", "0.25"}));
  Output o = run(command("x", {small, "--mpp", "0.5"}));
  EXPECT_EQ(o.code, 1);
  EXPECT_THAT(o.err, HasSubstr("does not say its micrometres per pixel"));
  o = run(command("y", {small, "--mode", "image", "--mpp", "0.5"}));
  EXPECT_EQ(o.code, 1);
  EXPECT_THAT(o.err, HasSubstr("shrinks the whole image"));
}

TEST_F(BatchRuns, PhysicalSizeWhateverTheScan) {
  // The same cells scanned twice as fine as another scanner would: at one --mpp the boxes agree.
  std::unique_ptr<Slide> slide = open_slide(kSlide);
  const Box part{0, 0, 1920, 1440};
  write_image(read_scaled(*slide, part, 1920, 1440), folder / "fine.png");
  write_image(read_scaled(*slide, part, 960, 720), folder / "coarse.png");
  auto boxes = [&](const std::string& name, const std::string& mpp, double scale) {
    EXPECT_EQ(run(command(name, {path(name + ".png"), "--mode", "slide", "--mpp", "0.5", "--assume-mpp", mpp, "--score", "0.5",
                                 "--tile", "480", "--overlap", "120"}))
                  .code,
              0);
    Detections all;
    RunFolder f{folder / name};
    EXPECT_EQ(f.read().inputs[0].mpp_source, "assumed");
    for_each_done(f, f.read(), [&](const ImageResult&, BoxesReader& r) {
      for (Detection d; r.next(d);) {
        d.box = {d.box.x0 * scale, d.box.y0 * scale, d.box.x1 * scale, d.box.y1 * scale};
        all.push_back(d);
      }
    });
    return all;
  };
  const Detections fine = boxes("fine", "0.25", 0.25), coarse = boxes("coarse", "0.5", 0.5);
  ASSERT_GT(fine.size(), 20u);
  size_t matched = 0;
  for (const Detection& a : fine)
    matched += std::any_of(coarse.begin(), coarse.end(),
                           [&](const Detection& b) { return a.category == b.category && iou(a.box, b.box) > 0.7; });
  EXPECT_GT(matched, fine.size() * 9 / 10);
  const Output o = run(command("x", {path("fine.png"), "--mode", "slide", "--mpp", "0.5"}));
  ASSERT_EQ(o.errors().size(), 1u);
  EXPECT_THAT(o.errors()[0], ::testing::AllOf(HasSubstr("plain images do not say"), HasSubstr("--assume-mpp")));
}

TEST_F(BatchRuns, OnlyRegionsOfInterestAreRunAndScored) {
  const std::string truth = kSource + "/tests/data/slides/blood-mosaic.json";
  const std::string roi = put("roi.geojson", R"({"type":"Feature","geometry":{"type":"Polygon","coordinates":
      [[[700,700],[1900,700],[1900,1600],[700,1600]]]},"properties":{"objectType":"annotation"}})");
  ASSERT_EQ(run(command("roi", {kSlide, "--truth", truth, "--roi", roi})).code, 0);
  const ImageResult s = state("roi").inputs[0];
  EXPECT_GT(s.outside_tiles, s.tiles / 2);
  EXPECT_GT(s.detection_count, 10);
  auto score = [&](const std::string& run_name, bool in_roi) {
    std::vector<std::string> arguments{"evaluate",   "--truth", truth, "--detections", path(run_name) + "/detections.json",
                                       "--max-dets", "5000",    "-o",  path("r.json")};
    if (in_roi) arguments.insert(arguments.end(), {"--roi", roi});
    EXPECT_EQ(run(arguments).code, 0);
    return read_json(folder / "r.json")["stats"]["AP50"].get<double>();
  };
  const double everywhere = score("roi", false), inside = score("roi", true);
  EXPECT_LT(everywhere, 0.5) << "cells outside count as missed";
  EXPECT_GT(inside, 0.85);
  const Json config{{"model", kModel},
                    {"inputs", {kSlide}},
                    {"truth", truth},
                    {"output", path("from_config")},
                    {"detect", {{"roi", "roi.geojson"}}},
                    {"evaluate", {{"max_dets", {1, 10, 5000}}}}};
  ASSERT_EQ(run({"run", put("run.json", config.dump())}).code, 0);
  EXPECT_EQ(read_json(folder / "from_config/scores.json")["stats"]["AP50"].get<double>(), inside);
  for_each_done({folder / "roi"}, state("roi"), [&](const ImageResult&, BoxesReader& r) {
    for (Detection d; r.next(d);) {
      const double x = (d.box.x0 + d.box.x1) / 2, y = (d.box.y0 + d.box.y1) / 2;
      EXPECT_TRUE(x > 700 && x < 1900 && y > 700 && y < 1600) << x << ", " << y;
    }
  });
  const Output o = run(command("none", {kSlide, "--roi", put("far.json", R"([{"class":"roi","x":9000,"y":1,"w":5,"h":5}])")}));
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(state("none").inputs[0].reason, HasSubstr("no tile touches"));
  EXPECT_EQ(state("none").inputs[0].state, ImageState::skipped);
}

TEST_F(BatchRuns, BackgroundIsSkippedReportedAndDrawn) {
  Image glass(2000, 1500);
  std::fill(glass.rgb.begin(), glass.rgb.end(), uint8_t{250});
  write_image(glass, folder / "white.png");
  Image cells(640, 480);
  open_slide(kImages + "BloodImage_00007.jpg")->read(0, 0, 0, 640, 480, cells.rgb.data());
  for (int y = 0; y < 480; ++y) std::copy_n(cells.row(y), 640 * 3, glass.row(y));
  write_image(glass, folder / "a.png");
  ASSERT_EQ(run(command("none", {path("a.png"), "--score", "0.5"})).code, 0);
  const ImageResult all = state("none").inputs[0];
  for (const char* method : {"otsu", "variance"}) {
    const Output o = run(command(method, {path("a.png"), "--background", method, "--mask-picture", "--score", "0.5"}));
    ASSERT_EQ(o.code, 0) << o.err;
    const ImageResult s = state(method).inputs[0];
    EXPECT_GT(s.background_tiles, s.tiles / 2) << method;
    EXPECT_LT(s.background_tiles, s.tiles) << method;
    EXPECT_EQ(s.detection_count, all.detection_count);
    EXPECT_TRUE(std::filesystem::exists(RunFolder{folder / method}.mask(s)));
  }
  ASSERT_EQ(run(command("white", {path("white.png"), "--background", "otsu"})).code, 0);
  EXPECT_THAT(state("white").inputs[0].reason, HasSubstr("tiles are background"));
}

TEST_F(BatchRuns, AHugeSparseSlideTakesLittleMemory) {
  const std::string huge = path("huge.tif"), maker = cytodet::binary_dir() + "/bench/make_sparse_tiff";
  ASSERT_EQ(std::system(("'" + maker + "' '" + kSlide + "' '" + huge + "' 40000").c_str()), 0);
  EXPECT_LT(std::filesystem::file_size(huge), 20u << 20);
  ASSERT_EQ(run(command("out", {huge, "--background", "otsu", "--tile", "1280", "--overlap", "160", "--score", "0.5"})).code, 0);
  const ImageResult s = state("out").inputs[0];
  EXPECT_EQ(s.width, 40000);
  EXPECT_GT(s.tiles, 1000);
  EXPECT_LT(s.tiles - s.background_tiles, 60);
  EXPECT_GT(s.detection_count, 100);
  rusage used{};
  ::getrusage(RUSAGE_CHILDREN, &used);
  EXPECT_LT(used.ru_maxrss, 1 << 20) << "KiB, of the largest child so far";
}

TEST_F(BatchRuns, OneProcessPerFolder) {
  const std::string in = slides(1);
  std::filesystem::create_directory(folder / "out");
  const int fd = ::open(path("out").c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(::flock(fd, LOCK_EX), 0);
  const Output second = run(command("out", {in}));
  EXPECT_EQ(second.code, 1);
  EXPECT_THAT(second.err, HasSubstr("another cytodet is writing"));
  ::close(fd);
  EXPECT_EQ(run(command("out", {in})).code, 0);
}

}  // namespace
}  // namespace cytodet::test
