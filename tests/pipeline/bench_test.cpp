// bench: figures with expected answers, and the command as a user runs it.
#include <gmock/gmock.h>

#include "core/settings.h"
#include "pipeline/profile/throughput.h"
#include "pipeline/profile/trace.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::HasSubstr;

// Three steps of 1, 2 and 5 ms on a machine of 100 GMAC/s on codes and 10 in float.
LayerTable table() {
  LayerTable t;
  t.steps = {{"net/a/conv", "Conv2D", "int8_gemm", "", {1, 4, 4, 8}, 20'000'000, 20'000'000, 0, 4'000'000},
             {"net/a/pool", "MaxPool", "pool<2>", "", {1, 2, 2, 8}, 0, 0, 0, 1'000'000},
             {"net/b", "Conv2D", "int8_gemm", "", {1, 2, 2, 8}, 30'000'000, 10'000'000, 5'000'000, 5'000'000}};
  t.ms = {1, 2, 5};
  t.min_ms = {0.5, 2, 4};
  t.run_ms = 7.5;
  t.rounds = 3;
  t.peak.int8_gmacs = 100;
  t.peak.f32_gmacs = 10;
  t.peak.bf16_gmacs = 50;
  t.peak.int8_instruction = "madd";
  t.peak.f32_instruction = "fma";
  t.peak.copy_gbs = 20;
  return t;
}

TEST(BenchLayers, FiguresFollowFromTimesAndWork) {
  Json j = layers_json(table());
  EXPECT_DOUBLE_EQ(j["total_ms"], 8);
  EXPECT_DOUBLE_EQ(j["run_ms"], 7.5);
  EXPECT_DOUBLE_EQ(j["total_min_ms"], 6.5);
  EXPECT_DOUBLE_EQ(j["layers"][2]["min_ms"], 4);
  const Json& first = j["layers"][0];
  EXPECT_EQ(first["name"], "net/a/conv");
  EXPECT_EQ(first["shape"], Json({1, 4, 4, 8}));
  EXPECT_DOUBLE_EQ(first["share"], 0.125);
  EXPECT_DOUBLE_EQ(first["gmacs_per_s"], 20);
  EXPECT_DOUBLE_EQ(first["gb_per_s"], 4);
  EXPECT_DOUBLE_EQ(first["share_of_peak"], 0.2);
  // 10 M on codes take 0.1 ms, 5 M on bfloat16 numbers 0.1 ms, 15 M in float 1.5 ms, of 5.
  EXPECT_DOUBLE_EQ(j["layers"][2]["share_of_peak"], 1.7 / 5);
  // All: 30 M on codes, 5 M on bfloat16 numbers and 15 M in float take 1.9 ms, of 8.
  EXPECT_DOUBLE_EQ(j["share_of_peak"], 1.9 / 8);
  ASSERT_EQ(j["kinds"].size(), 2u);
  EXPECT_EQ(j["kinds"][0]["kernel"], "int8_gemm");
  EXPECT_EQ(j["kinds"][0]["steps"], 2);
  EXPECT_DOUBLE_EQ(j["kinds"][0]["ms"], 6);
  EXPECT_EQ(j["kinds"][0]["macs"], 50'000'000);
  EXPECT_EQ(j["kinds"][0]["bytes"], 9'000'000);
  EXPECT_DOUBLE_EQ(j["kinds"][0]["gb_per_s"], 1.5);
  EXPECT_DOUBLE_EQ(j["kinds"][1]["share_of_peak"], 0);
  std::string text = layers_text(table());
  for (const char* part : {"net/a/conv", "[1,4,4,8]", "pool<2>", "all", "7.500 ms"}) EXPECT_THAT(text, HasSubstr(part));
}

TEST(BenchLayers, WorkWithoutAPeakHasNoIdealTime) {
  EXPECT_DOUBLE_EQ(ideal_ms(LayerSum{1, 0, 1'000'000, 1'000'000, 0, 0}, Peak{}), 0);
  EXPECT_DOUBLE_EQ(ideal_ms(LayerSum{}, table().peak), 0);
}

TEST(BenchLayers, PeakSaysWhatTheCpuLacks) {
  EXPECT_THAT(peak_text(table().peak), HasSubstr("bf16 not on this CPU"));
  EXPECT_THAT(peak_text(table().peak), HasSubstr("int8 100 GMAC/s (madd)"));
  EXPECT_TRUE(peak_json(table().peak)["bf16"].is_null());
}

TEST(BenchTrace, FramesNestByScopeAndFillTheRun) {
  std::vector<Frame> f = frames_of(table());
  std::vector<std::string> names;
  for (const Frame& frame : f) names.push_back(std::to_string(frame.depth) + " " + frame.name);
  EXPECT_THAT(names, ::testing::ElementsAre("0 network", "1 net", "2 a", "3 conv", "3 pool", "2 b"));
  EXPECT_DOUBLE_EQ(f[0].ms, 8);
  EXPECT_DOUBLE_EQ(f[1].ms, 8);
  EXPECT_DOUBLE_EQ(f[2].ms, 3);
  EXPECT_DOUBLE_EQ(f[4].start_ms, 1);
  EXPECT_DOUBLE_EQ(f[5].start_ms, 3);
  EXPECT_EQ(f[5].step, 2);
}

TEST(BenchTrace, AStepAndAScopeOfOneNameStayApart) {
  LayerTable t = table();
  t.steps[1].name = "net/a";  // beside net/a/conv
  t.steps[2].name = "net/a/other";
  std::vector<Frame> f = frames_of(t);
  std::vector<std::string> names;
  for (const Frame& frame : f) names.push_back(std::to_string(frame.depth) + " " + frame.name);
  EXPECT_THAT(names, ::testing::ElementsAre("0 network", "1 net", "2 a", "3 conv", "2 a", "2 a", "3 other"));
}

TEST(BenchTrace, EventsAreInMicroseconds) {
  Json events = trace_json(table())["traceEvents"];
  ASSERT_EQ(events.size(), 7u);
  EXPECT_EQ(events[0]["ph"], "M");
  double step_us = 0;
  for (const Json& e : events) {
    if (e["ph"] != "X") continue;
    for (const char* key : {"name", "cat", "ts", "dur", "pid", "tid", "args"}) EXPECT_TRUE(e.contains(key)) << key;
    if (e["cat"] != "scope") step_us += e["dur"].get<double>();
  }
  EXPECT_DOUBLE_EQ(step_us, 8000);
  EXPECT_EQ(events[4]["args"]["kernel"], "int8_gemm");
}

TEST(BenchTrace, SvgEscapesNames) {
  LayerTable t = table();
  t.steps[0].name = "a<&\"\xc3\xa9\xff\x01";
  std::string svg = flame_svg(t, "graph & co");
  EXPECT_THAT(svg, HasSubstr("graph &amp; co: 8.000 ms"));
  EXPECT_THAT(svg, HasSubstr("a&lt;&amp;&quot;\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\n")) << "an SVG is UTF-8";
  EXPECT_THAT(svg, HasSubstr("pool&lt;2&gt;"));
  EXPECT_TRUE(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
}

TEST(BenchScaling, RowsGiveTheMedianOfUndisturbedRounds) {
  std::vector<Scaling> rows(2);
  rows[0].speed.parallel = {1, 1};
  rows[0].times = rows[0].machine = {1, 1, 1};
  rows[1].speed.parallel = {2, 1};
  rows[1].times = {1.9, 2.2, 1.2, 1.0, 0.9, 1.1};
  rows[1].machine = {1.99, 1.99, 2, 1.4, 1.1, 1.7};
  const Json j = scaling_json(rows)[1];
  EXPECT_DOUBLE_EQ(j["times_one_core"], 1.9);
  EXPECT_DOUBLE_EQ(j["machine_times_one_core"], 1.845);
  EXPECT_EQ(j["rounds"].size(), 6u);
  EXPECT_EQ(j["undisturbed_rounds"], 3);
  EXPECT_THAT(scaling_table(rows), HasSubstr("1.90x           95%               1.8"));
  rows[1].machine.assign(6, 1.0);
  EXPECT_DOUBLE_EQ(scaling_json(rows)[1]["times_one_core"], 1.15) << "of all";
}

class Bench : public ProgramTest {};

TEST_F(Bench, LayersAddUpToTheNetwork) {
  Output o = run({"bench", "--model", kModel, "--seconds", "0.1", "--layers", "--rounds", "3", "--scaling", "--json", "--trace",
                  path("t.json"), "--svg", path("p.svg")});
  ASSERT_EQ(o.code, 0) << o.err;
  Json j = Json::parse(o.out);
  EXPECT_EQ(j["plain_steps"], 0);
  EXPECT_GT(j["images_per_s"].get<double>(), 0);
  EXPECT_GT(j["stream_bytes"].get<int64_t>(), j["arena_bytes"].get<int64_t>());
  EXPECT_LT(j["stream_bytes"].get<int64_t>(), int64_t{24} << 20);
  EXPECT_LT(j["load_ms"].get<double>(), 20000) << "generous for a busy machine; scripts/bench_slides reports the real figure";
  for (const char* key : {"int8", "bf16", "f32", "copy_gb_per_s", "threads"}) EXPECT_TRUE(j["peak"].contains(key)) << key;
  ASSERT_GT(j["layers"].size(), 100u);
  double ms = 0, share = 0, kinds_ms = 0;
  int64_t macs = 0, int8_macs = 0;
  size_t steps = 0;
  for (const Json& l : j["layers"]) {
    for (const char* key : {"name", "op", "kernel", "shape", "ms", "share", "macs", "int8_macs", "bytes", "gmacs_per_s",
                            "gb_per_s", "share_of_peak"})
      EXPECT_TRUE(l.contains(key)) << key;
    ms += l["ms"].get<double>();
    share += l["share"].get<double>();
    macs += l["macs"].get<int64_t>();
    int8_macs += l["int8_macs"].get<int64_t>();
    EXPECT_GT(l["bytes"].get<int64_t>(), 0) << l["name"];
  }
  for (const Json& k : j["kinds"]) {
    kinds_ms += k["ms"].get<double>();
    steps += k["steps"].get<size_t>();
  }
  EXPECT_NEAR(ms, j["total_ms"].get<double>(), 1e-6);
  EXPECT_LE(j["total_min_ms"].get<double>(), ms);
  EXPECT_NEAR(kinds_ms, ms, 1e-6);
  EXPECT_NEAR(share, 1, 1e-6);
  EXPECT_EQ(steps, j["layers"].size());
  EXPECT_EQ(int8_macs, 0);
  // A busy machine takes the processor away at times; a step forgotten or counted twice would show all the same.
  EXPECT_LT(ms, 10 * j["run_ms"].get<double>());
  EXPECT_GT(ms, 0.1 * j["run_ms"].get<double>());
  Output i =
      run({"inspect", kSource + "/models/efficientdet/efficientdet_d0_blood.pb", "--shape", "image=1,512,512,3", "--json"});
  EXPECT_EQ(macs, Json::parse(i.out)["macs"].get<int64_t>());
  EXPECT_EQ(macs, j["macs"].get<int64_t>());
  EXPECT_EQ(j["scaling"][0]["times_one_core"], 1.0);
  EXPECT_EQ(j["scaling"][0]["streams"], 1);
  for (const Json& row : j["scaling"]) {
    EXPECT_EQ(row["rounds"].size(), 3u);
    EXPECT_GT(row["times_one_core"].get<double>(), 0);
    EXPECT_GT(row["machine_times_one_core"].get<double>(), 0);
  }
  EXPECT_GT(read_json(folder / "t.json")["traceEvents"].size(), j["layers"].size());
  EXPECT_THAT(read_file(folder / "p.svg"), HasSubstr("class_net"));
}

TEST_F(Bench, HintAndPinningAreTheUsersChoice) {
  Output o = run({"bench", "--model", kModel, "--seconds", "0.1", "--hint", "latency", "--no-pin", "--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  Json j = Json::parse(o.out);
  EXPECT_EQ(j["streams"], 1);
  EXPECT_FALSE(j["pinned"].get<bool>());
  EXPECT_FALSE(j.contains("layers"));
  o = run({"bench", "--model", kModel, "--hint", "speed"});
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.err, HasSubstr("must be latency or throughput"));
}

TEST_F(Bench, AFileThatCannotBeWrittenIsOneError) {
  Output o = run({"bench", "--model", kModel, "--seconds", "0.1", "--rounds", "1", "--svg", path("no/such/p.svg")});
  EXPECT_EQ(o.code, 1);
  EXPECT_EQ(o.errors().size(), 1u) << o.err;
}

}  // namespace
}  // namespace cytodet::test
