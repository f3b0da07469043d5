// tune: the search space, its files, and small searches with the shipped model and images.
#include <gmock/gmock.h>

#include <chrono>
#include <csignal>
#include <set>
#include <thread>

#include "core/settings.h"
#include "pipeline/detect/score_detections.h"
#include "pipeline/inputs/list_inputs.h"
#include "pipeline/tune/evaluator.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Tune : public ProgramTest {
 protected:
  // Three small images; a whole image and tiles, merged in several ways.
  Json config(const std::string& output) const {
    Json j{{"model", kModel}, {"truth", kSource + "/tests/data/bccd/val.json"}, {"output", path(output)}};
    for (const char* name : {"00007", "00015", "00018"})
      j["inputs"].push_back(kSource + "/tests/data/bccd/BloodImage_" + name + ".jpg");
    j["detect"] = {{"tiling", {{"tile_px", 400}, {"overlap_px", 100}}}, {"streams", 1}};
    j["search"] = {{"detect.mode", {"image", "slide"}},
                   {"detect.score", {0.05, 0.3}},
                   {"detect.merge", {{{"method", "nms"}}, {{"method", "owner"}, {"iou", 0.3}}}}};
    j["speed"] = {{"images", 1}, {"repeats", 1}};
    return j;
  }
  TuneSpace space(const Json& j) const { return parse_tune_space(j, folder / "tune.json"); }
  std::string problem(const Json& j) const {
    try {
      space(j);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Exit::usage);
      return e.what();
    }
    return "no error";
  }
  static std::map<std::string, double> maps(const Json& results) {
    std::map<std::string, double> found;
    for (const Json& p : results["points"]) found[p["values"].dump()] = p["map"];
    return found;
  }
};

TEST_F(Tune, SpaceIsTheProductOfItsLists) {
  Json j = config("out");
  j["search"]["overlap_share"] = {0, 0.25};
  j["search"]["detect.streams"] = {1, 2};
  const TuneSpace s = space(j);
  EXPECT_EQ(s.networks.size(), 4u);
  EXPECT_EQ(s.parallel_settings.size(), 2u);
  EXPECT_EQ(s.merges.size(), 4u);
  const RunConfig run = s.at({3, 1, 3, 0, 0});
  EXPECT_EQ(run.detect.mode, DetectMode::slide);
  EXPECT_EQ(run.detect.tiling.tile_px, 400);
  EXPECT_EQ(run.detect.tiling.overlap_px, 100);
  EXPECT_EQ(run.detect.streams, 2);
  EXPECT_EQ(run.detect.score, 0.3);
  EXPECT_EQ(run.detect.merge.method, MergeMethod::owner);
  EXPECT_EQ(run.detect.merge.iou, 0.3);
  EXPECT_EQ(run.model, kModel);
  EXPECT_EQ(s.at({0, 0, 0, 0, 0}).detect.tiling.overlap_px, 0);
  EXPECT_THAT(s.columns(), ElementsAre("mode", "overlap_share", "streams", "score", "merge"));
  EXPECT_THAT(s.cells({3, 1, 3, 0, 0}), ElementsAre("slide", "0.25", "2", "0.3", "owner 0.3"));
}

TEST_F(Tune, EveryAxisCanBeSearched) {
  const std::map<std::string, std::pair<std::string, Json>> cases{
      {"model", {"model", {"a.json", "b.json"}}},           {"detect", {"detect.tiling", {{{"scale", 0.5}}, {{"level", 1}}}}},
      {"detect.mode", {"detect.mode", {"image", "slide"}}}, {"detect.tiling", {"detect.tiling.mpp", {0.25, 0.5}}},
      {"overlap_share", {"overlap_share", {0.1, 0.2}}},     {"network_scale", {"network_scale", {0.5, 0.8}}},
      {"detect.streams", {"detect.streams", {1, 2}}},       {"detect.threads_per_stream", {"detect.threads_per_stream", {1, 2}}},
      {"detect.score", {"detect.score", {0.1, 0.2}}},       {"detect.merge", {"detect.merge.iou", {0.1, 0.2}}},
      {"classify.side", {"classify.side", {48, 64}}},       {"classify.batch", {"classify.batch", {1, 4}}},
  };
  for (const TuneAxis& axis : tune_axes()) {
    ASSERT_TRUE(cases.contains(axis.name)) << axis.name << " has no case";
    const auto& [key, values] = cases.at(axis.name);
    Json j = config("out");
    j["search"] = {{key, values}};
    if (key == "network_scale") j["detect"]["network_px"] = {512};
    const TuneSpace s = space(j);
    const size_t sizes[] = {s.networks.size(), s.parallel_settings.size(), s.merges.size()};
    for (size_t side = 0; side < 3; ++side) EXPECT_EQ(sizes[side], side == static_cast<size_t>(axis.side) ? 2u : 1u) << key;
    EXPECT_NE(write_settings(s.at({0, 0, 0, 0, 0})), write_settings(s.at({sizes[0] - 1, sizes[1] - 1, sizes[2] - 1, 0, 0})));
  }
  Json j = config("out");
  j["search"] = {{"model", {"a.json", "/b.json"}}};
  EXPECT_EQ(space(j).networks[0].run.model, path("a.json")) << "relative to the config";
  EXPECT_EQ(space(j).networks[1].run.model, "/b.json");
}

TEST_F(Tune, BadConfigsAreOneLineWithThePlace) {
  auto with = [&](const std::string& key, const Json& values) {
    Json j = config("out");
    j["search"] = {{key, values}};
    return problem(j);
  };
  EXPECT_THAT(with("detect.tiling.tilepx", {512}), HasSubstr("tune.json: search.detect.tiling.tilepx: is not a key"));
  EXPECT_THAT(with("detect.tiling.tilepx", {512}), HasSubstr("did you mean detect.tiling.tile_px"));
  EXPECT_THAT(with("truth", {"a"}), HasSubstr("is not a key that can be searched"));
  EXPECT_THAT(with("detect.tiling.tile_px", 512), HasSubstr("must be a list"));
  EXPECT_THAT(with("detect.tiling.tile_px", Json::array()), HasSubstr("must be a list"));
  EXPECT_THAT(with("detect.tiling.tile_px", {512, "x"}), HasSubstr("search.detect.tiling.tile_px[1]"));
  EXPECT_THAT(with("detect.tiling.tile_px", {512, 512}), HasSubstr("tile_px[1]: is in the list already"));
  EXPECT_THAT(with("detect.tiling.tile_px", {512, 100}), HasSubstr("tile_px 100"));
  EXPECT_THAT(with("detect.merge", {{{"methd", "nms"}}}), HasSubstr("did you mean method"));
  EXPECT_THAT(with("detect.merge.method", {"nms", "mns"}), HasSubstr("detect.merge.method[1]"));
  EXPECT_THAT(with("detect.score", {1.5}), HasSubstr("detect.score[0]"));
  EXPECT_THAT(with("overlap_share", {0.9}), HasSubstr("0 to 0.75"));
  EXPECT_THAT(with("model", {""}), HasSubstr("model[0]: must name a model file"));
  Json many = Json::array();
  for (int i = 0; i < 1000; ++i) many.push_back(16 + i);
  Json j = config("out");
  j["search"] = {{"detect.tiling.tile_px", many}, {"detect.tiling.assume_mpp", many}};
  EXPECT_THAT(problem(j), HasSubstr("settings"));
  j = config("out");
  j["serach"] = j["search"];
  EXPECT_THAT(problem(j), HasSubstr("did you mean search"));
  j = config("out");
  j.erase("search");
  EXPECT_THAT(problem(j), HasSubstr("search: must be an object"));
  j = config("out");
  j.erase("truth");
  EXPECT_THAT(problem(j), HasSubstr("truth: is missing"));
  j = config("out");
  j["speed"]["repeats"] = 0;
  EXPECT_THAT(problem(j), HasSubstr("speed.repeats: must be 1"));
  Output o = run({"tune", put("t.json", config("out").dump()), "--pick", "max-mpa"});
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.errors(), ElementsAre(HasSubstr("did you mean max-map")));
}

TEST_F(Tune, RawFilesComeBackAndDamageIsSeen) {
  RawDetections raw{true, {{{{1, 2, 3.5, 4}, 2, 0.25f}, 7, 12.5}, {{{0, 0, 1, 1}, 0, 1.0f}, 0, INFINITY}}};
  write_raw(raw, "0123456789abcdef", folder / "a.raw");
  const RawDetections back = read_raw(folder / "a.raw", "0123456789abcdef");
  EXPECT_TRUE(back.tiled);
  ASSERT_EQ(back.found.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(back.found[i].detection, raw.found[i].detection);
    EXPECT_EQ(back.found[i].tile, raw.found[i].tile);
    EXPECT_EQ(back.found[i].inner_edge_px, raw.found[i].inner_edge_px);
  }
  EXPECT_THROW(read_raw(folder / "a.raw", "0123456789abcdee"), Error) << "of another key";
  const std::string bytes = read_file(folder / "a.raw");
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string flipped = bytes;
    flipped[i] = static_cast<char>(flipped[i] ^ 4);
    EXPECT_THROW(parse_raw(flipped, "a.raw", "0123456789abcdef"), Error) << "byte " << i;
    EXPECT_THROW(parse_raw(bytes.substr(0, i), "a.raw", "0123456789abcdef"), Error) << "length " << i;
  }
}

TEST_F(Tune, JournalComesBackAndDamageIsSeen) {
  TuneJournal journal(folder / "j.json");
  EXPECT_EQ(journal.seconds("a"), nullptr);
  journal.add_seconds("a", 0.1);
  journal.add_accuracy("b", {0.1 + 0.2, 1e-7});
  journal.save();
  TuneJournal back(folder / "j.json");
  EXPECT_EQ(*back.seconds("a"), 0.1);
  EXPECT_EQ(back.accuracy("b")->map, 0.1 + 0.2) << "to the last bit";
  EXPECT_EQ(back.accuracy("b")->merge_seconds, 1e-7);
  for (const char* broken :
       {"[]", "{}", "{\"seconds\": {\"a\": 0}, \"accuracy\": {}}", "{\"seconds\": {}, \"accuracy\": {\"b\": [2, 0]}}",
        "{\"seconds\": {}, \"accuracy\": {\"b\": [0.5]}}", "{\"seconds\": "})
    EXPECT_THROW(TuneJournal{put("k.json", broken)}, Error) << broken;
}

// The measured search, its bounds, and the cache: with everything in the cache no network runs.
TEST_F(Tune, MeasuredFrontIsThatOfTheExhaustiveSearch) {
  const TuneSpace s = space(config("out"));
  auto measure_with = [](TuneMeasurer& m, std::vector<std::vector<std::vector<double>>>* bounds) {
    TuneMeasure measure;
    measure.stages = m.stages();
    measure.seconds = [&m](size_t n, size_t l) { return m.seconds(n, l); };
    measure.accuracy = [&m, bounds](size_t n, int stage, const std::vector<size_t>& merges) {
      std::vector<TuneAccuracy> found = m.accuracy(n, stage, merges);
      for (size_t i = 0; i < merges.size(); ++i) {
        if (found[i].merge_seconds > 0) found[i].merge_seconds = 1e-4 * static_cast<double>(merges[i]);  // the rest is exact
        if (bounds) (*bounds)[n][merges[i]].push_back(found[i].map);
      }
      return found;
    };
    return measure;
  };
  std::vector<std::vector<std::vector<double>>> bounds(2, std::vector<std::vector<double>>(4));
  TuneMeasurer first(s);
  EXPECT_EQ(first.stages(), 3) << "one, two and three images";
  const TuneResult all = search(s.grid(), measure_with(first, &bounds), false);
  EXPECT_EQ(all.points.size(), 8u);
  EXPECT_EQ(first.detected(), 4u) << "two images under two settings; the first was kept when speed was measured";
  EXPECT_EQ(first.work().unit, "megapixels");
  std::set<double> different;
  for (const auto& network : bounds)
    for (const auto& merge : network) {
      ASSERT_EQ(merge.size(), 3u);
      EXPECT_LT(merge[0], 1);
      EXPECT_GE(merge[0], merge[1]);
      EXPECT_GE(merge[1], merge[2]);
      different.insert(merge[2]);
    }
  EXPECT_GE(different.size(), 3u);
  // Speeds as they were measured, all else anew.
  Json journal = read_json(folder / "out" / "journal.json");
  EXPECT_EQ(journal["accuracy"].size(), 8u);
  journal["accuracy"] = Json::object();
  put("out/journal.json", journal.dump());
  TuneMeasurer second(s);
  const TuneResult some = search(s.grid(), measure_with(second, nullptr));
  EXPECT_EQ(second.detected(), 0u);
  auto front = [](const TuneResult& r) {
    std::vector<std::tuple<size_t, size_t, double, double>> found;
    for (size_t i : pareto_front(r.points))
      found.push_back({r.points[i].network, r.points[i].merge, r.points[i].map, r.points[i].per_second});
    std::sort(found.begin(), found.end());
    return found;
  };
  EXPECT_EQ(front(some), front(all));
  // A damaged file of the cache is made again.
  const std::vector<std::string> cache = names(folder / "out" / "cache");
  EXPECT_EQ(cache.size(), 6u);
  put("out/cache/" + cache[0], "no raw file");
  put("out/journal.json", journal.dump());
  TuneMeasurer third(s);
  EXPECT_EQ(front(search(s.grid(), measure_with(third, nullptr), false)), front(all));
  EXPECT_EQ(third.detected(), 1u);
}

TEST_F(Tune, OnlyRegionsOfInterestAreScored) {
  Json j = config("out");
  j["detect"]["roi"] = put("roi.json", R"([{"class":"roi","x":0,"y":0,"w":320,"h":480}])");
  j["search"] = {{"detect.score", {0.05, 0.3}}};
  const std::string file = put("tune.json", j.dump());
  const auto best = [&] {
    Output o = run({"tune", file, "--pick", "max-map", "--exhaustive", "--quiet"});
    EXPECT_EQ(o.code, 0) << o.err;
    double most = 0;
    for (const auto& [values, map] : maps(read_json(folder / "out" / "tune.json"))) most = std::max(most, map);
    return most;
  };
  const double half = best();
  // The setting that was picked, run: the same figure.
  const RunConfig c = read_run_config(folder / "out" / "picked.json");
  const std::vector<std::string> images = expand_inputs(c.inputs);
  Detector detector(with_settings(load_model(c.model), c.detect), {.streams = 1});
  EXPECT_NEAR(measure_ap(detector, truth_of(read_ground_truth(c.truth), images), images, c.detect, {}), half, 1e-12);
  EXPECT_GT(half, 0.4) << "cells outside do not count as missed";
  put("roi.json", R"([{"class":"roi","x":0,"y":0,"w":100,"h":480}])");
  EXPECT_NE(best(), half) << "other regions in the same file are seen";
}

TEST_F(Tune, GoesOnAfterAKillAndItsPickRuns) {
  const std::string file = put("tune.json", config("out").dump());
  const pid_t child = start({"tune", file, "--exhaustive", "--quiet"});
  auto measured = [&] {
    const std::filesystem::path journal = folder / "out" / "journal.json";
    return std::filesystem::exists(journal) && !read_json(journal)["seconds"].empty();
  };
  for (int i = 0; i < 60'000 && !measured(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ::kill(child, SIGKILL);
  EXPECT_EQ(wait(child).code, 128 + SIGKILL);
  EXPECT_FALSE(std::filesystem::exists(folder / "out" / "tune.json"));
  const Json before = read_json(folder / "out" / "journal.json");
  EXPECT_GE(before["seconds"].size(), 1u);
  put("out/cache/cytodet-99999999-1.part", "left by a kill");
  Output o = run({"tune", file, "--pick", "max-map", "--exhaustive", "--quiet"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("8 of 8 settings measured, 0 given up early, on 3 images"));
  const Json after = read_json(folder / "out" / "journal.json"), results = read_json(folder / "out" / "tune.json");
  EXPECT_EQ(after["seconds"].size(), 2u);
  for (auto it = before["seconds"].begin(); it != before["seconds"].end(); ++it)
    EXPECT_EQ(after["seconds"][it.key()], it.value()) << "measured once";
  EXPECT_THAT(names(folder / "out"), ElementsAre("cache", "front.svg", "journal.json", "picked.json", "tune.json"));
  for (const std::string& name : names(folder / "out" / "cache")) EXPECT_THAT(name, ::testing::EndsWith(".raw"));
  EXPECT_FALSE(std::filesystem::exists(folder / "out" / "cache" / "cytodet-99999999-1.part"));
  // The picked run config reaches the mAP that it was picked for, detecting anew.
  double best = 0;
  for (const auto& [values, map] : maps(results)) best = std::max(best, map);
  Output picked = run({"run", path("out/picked.json")});
  ASSERT_EQ(picked.code, 0) << picked.err;
  const Json c = read_json(folder / "out" / "picked.json");
  std::vector<std::string> images;
  for (const Json& input : c["inputs"]) images.push_back((folder / "out" / input.get<std::string>()).string());
  const RunConfig run_config = read_run_config(folder / "out" / "picked.json");
  const GroundTruth truth = truth_of(read_ground_truth(run_config.truth), images);
  Detector detector(with_settings(load_model(run_config.model), run_config.detect), {.streams = 1});
  EXPECT_NEAR(measure_ap(detector, truth, images, run_config.detect, {}), best, 1e-12);
  // Another rule needs no measurement; a limit that none reaches is an error.
  EXPECT_EQ(results["unit"], "megapixels/s");
  EXPECT_THAT(run({"tune", file, "--pick", "max-speed", "--quiet"}).out, HasSubstr("* picked by max-speed"));
  const Json again = read_json(folder / "out" / "tune.json");
  EXPECT_EQ(again["unit"], results["unit"]);
  EXPECT_EQ(again["points"][0]["per_second"], results["points"][0]["per_second"]);
  Output none = run({"tune", file, "--pick", "map>=0.99", "--quiet"});
  EXPECT_EQ(none.code, 1);
  EXPECT_THAT(none.errors(), ElementsAre(HasSubstr("no setting reaches that")));
}

TEST_F(Tune, ABudgetEndsItAndImpossibleSettingsAreNamed) {
  Json j = config("out");
  j["search"] = {{"detect.mode", {"slide"}}, {"detect.tiling.level", {0, 5}}, {"detect.tiling.tile_px", {640}}};
  j["inputs"].erase(2);
  j["inputs"].erase(1);
  const std::string file = put("tune.json", j.dump());
  Output o = run({"tune", file, "--budget", "0.000001", "--quiet"});
  EXPECT_EQ(o.code, 1);
  EXPECT_THAT(o.out, HasSubstr("stopped by the budget; the same command goes on"));
  EXPECT_THAT(o.errors(), ElementsAre(HasSubstr("nothing to pick from")));
  o = run({"tune", file, "--quiet"});
  EXPECT_EQ(o.code, 3) << o.err;
  EXPECT_THAT(o.errors(), ElementsAre(HasSubstr("level 5: does not exist")));
  EXPECT_EQ(read_json(folder / "out" / "tune.json")["failed"][0]["reason"].get<std::string>(), o.errors()[0]);
  j["output"] = "/proc/nowhere";
  EXPECT_THAT(run({"tune", put("tune.json", j.dump()), "--quiet"}).errors(), ElementsAre(HasSubstr("/proc/nowhere")));
}

}  // namespace
}  // namespace cytodet::test
