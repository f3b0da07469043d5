#include "quant/ranges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cfloat>

#include "core/error.h"
#include "core/file.h"
#include "graph/io/read_graph.h"
#include "graph/io/tensorflow/graph_def.h"
#include "quant/graph_hash.h"
#include "tests/graph/fixtures.h"

namespace cytodet {
namespace {

using namespace test;
using ::testing::HasSubstr;

std::string temporary(const std::string& name) {
  return (std::filesystem::temp_directory_path() / (std::to_string(::getpid()) + "_" + name)).string();
}

TEST(RangesFile, RoundTrip) {
  Ranges r{"minmax", "train", "0123456789abcdef", 7, {}};
  r.values["a"] = {0.1f, FLT_MAX, {0.1f, 1e-42f}, {1.0f / 3, FLT_MAX}, {0.2f, 16777217.0f}};
  r.values["odd \"name\":1"] = {-FLT_MIN, 0, {}, {}, {}};
  r.values["dead"] = {0, 0, {}, {}, {}};
  std::string path = temporary("ranges.json");
  write_ranges(r, path);
  Ranges back = read_ranges(path);
  std::string text = read_file(path);
  std::filesystem::remove(path);
  EXPECT_EQ(back.method, r.method);
  EXPECT_EQ(back.data, r.data);
  EXPECT_EQ(back.graph_hash, r.graph_hash);
  EXPECT_EQ(back.images, 7);
  ASSERT_EQ(back.values.size(), 3u);
  for (const auto& [name, range] : r.values) {
    EXPECT_EQ(back.values[name].low, range.low) << name;
    EXPECT_EQ(back.values[name].high, range.high) << name;
    EXPECT_EQ(back.values[name].channel_low, range.channel_low) << name;
    EXPECT_EQ(back.values[name].channel_high, range.channel_high) << name;
    EXPECT_EQ(back.values[name].channel_mean, range.channel_mean) << name;
  }
  EXPECT_THAT(text, HasSubstr("\"dead\": {\"low\":0.0,\"high\":0.0,\"degenerate\":true}"));
  EXPECT_THROW(write_ranges(r, "/nowhere/ranges.json"), Error);
}

TEST(RangesFile, WhatIsWrongIsNamed) {
  auto message = [](const std::string& values, const std::string& images = "1") {
    try {
      parse_ranges(
          "{\"method\": \"m\", \"data\": \"d\", \"graph_hash\": \"h\", \"images\": " + images + ", \"values\": " + values + "}",
          "r.json");
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_EQ(message("{}"), "");
  EXPECT_EQ(message("{\"a\": {\"low\": 1, \"high\": 1}}"), "");
  const std::pair<const char*, const char*> cases[] = {
      {"[]", "r.json: values: must be an object"},
      {"{\"a\": 1}", "r.json: values.a: must be an object"},
      {"{\"a\": {\"low\": 1}}", "values.a.high: is missing"},
      {"{\"a\": {\"low\": \"1\", \"high\": 2}}", "values.a.low: must be a number"},
      {"{\"a\": {\"low\": null, \"high\": 2}}", "values.a.low: must be a number"},
      {"{\"a\": {\"low\": 1, \"high\": 1e39}}", "values.a.high: is not a finite float"},
      {"{\"a\": {\"low\": 1, \"high\": 1e999}}", "values.a.high: must be a number"},
      {"{\"a\": {\"low\": 2, \"high\": 1}}", "values.a: is upside down"},
      {"{\"a\": {\"low\": 1, \"high\": 2, \"top\": 3}}", "values.a.top: is not a known field"},
      {"{\"a\": {\"low\": 1, \"high\": 2, \"channel_low\": [1]}}", "of different lengths"},
      {"{\"a\": {\"low\": 1, \"high\": 2, \"channel_low\": [3], \"channel_high\": [1]}}", "values.a channel 0: is upside down"},
      {"{\"a\": {\"low\": 1, \"high\": 2, \"channel_mean\": [1, \"x\"]}}", "values.a.channel_mean[1]: must be a number"},
      {"{\"a\": {\"low\": 1, \"high\": 2, \"channel_low\": 3, \"channel_high\": 4}}", "channel_low: must be an array"}};
  for (const auto& [text, wanted] : cases) EXPECT_THAT(message(text), HasSubstr(wanted));
  EXPECT_THAT(message("{}", "-1"), HasSubstr("images: must be a whole number"));
  EXPECT_THAT(message("{}", "1.5"), HasSubstr("images: must be a whole number"));
  EXPECT_THROW(parse_ranges("[1]", "r.json"), Error);
  EXPECT_THROW(parse_ranges("{\"method\": 1}", "r.json"), Error);
  EXPECT_THROW(parse_ranges("{\"method\": \"minmax\"", "r.json"), Error);
  EXPECT_THROW(read_ranges("/nowhere/ranges.json"), Error);
}

Graph two_layers(bool backwards) {
  Graph g;
  placeholder(g, "x", {1, 1, 6, 2});
  const Tensor w = fixture_weights(), b = Tensor::from<float>({2}, {.1f, .6f});
  if (backwards) constant(g, "b", b);
  constant(g, "w", w);
  if (!backwards) constant(g, "b", b);
  add(g, "conv", "Conv2D", {"x", "w"}, conv_attrs());
  add(g, "sum", "BiasAdd", {"conv", "b"});
  return g;
}

TEST(GraphHash, DependsOnMeaningAlone) {
  const std::string hash = graph_hash(two_layers(false));
  EXPECT_EQ(hash.size(), 16u);
  EXPECT_EQ(hash, graph_hash(two_layers(true)));
  std::string path = temporary("graph.pb");
  write_graph(two_layers(true), path);
  EXPECT_EQ(hash, graph_hash(read_graph(path)));
  std::filesystem::remove(path);
  Graph stray = two_layers(false);
  constant(stray, "nobody_reads_me", Tensor::scalar(1.0f));
  EXPECT_EQ(hash, graph_hash(stray));

  Graph g = two_layers(false);
  g.rename(g.find("conv"), "conv2");
  EXPECT_NE(hash, graph_hash(g));
  g = two_layers(false);
  g.node(g.find("conv")).attrs["padding"] = Attr("SAME");
  EXPECT_NE(hash, graph_hash(g));
  g = two_layers(false);
  g.node(g.find("sum")).op = "Add";
  EXPECT_NE(hash, graph_hash(g));
  g = two_layers(false);
  std::swap(g.node(g.find("sum")).inputs[0], g.node(g.find("sum")).inputs[1]);
  EXPECT_NE(hash, graph_hash(g));
  g = two_layers(false);
  Tensor w = fixture_weights().clone();
  w.data<float>()[7] = std::nextafter(w.data<float>()[7], 1.0f);
  g.node(g.find("w")).attrs["value"] = Attr(w);
  EXPECT_NE(hash, graph_hash(g));
}

}  // namespace
}  // namespace cytodet
