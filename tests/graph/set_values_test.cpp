// --set NAME=VALUE: a placeholder becomes a constant.
#include "graph/interpret/set_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/graph/fixtures.h"

namespace cytodet {
namespace {

using namespace test;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// training bool [], rate float [2], y = rate.
Graph graph() {
  Graph g;
  AttrMap flag;
  flag.emplace("dtype", DType::boolean);
  add(g, "training", "Placeholder", {}, flag);
  placeholder(g, "rate", {2});
  add(g, "y", "Identity", {"rate"});
  return g;
}

const Tensor& constant_of(const Graph& g, const std::string& name) { return *g.constant(g.require(name)); }

std::string problem(const std::vector<std::string>& assignments) {
  Graph g = graph();
  try {
    set_values(g, assignments);
  } catch (const UsageError& e) {
    return e.what();
  }
  return "";
}

TEST(SetValues, AFlagAndAListBecomeConstants) {
  Graph g = graph();
  set_values(g, {"training=false", "rate:0=[0.5, 2]"});
  EXPECT_EQ(constant_of(g, "training").dtype(), DType::boolean);
  EXPECT_FALSE(constant_of(g, "training").data<bool>()[0]);
  EXPECT_THAT(run(g, "y"), ElementsAre(0.5f, 2.0f));
}

TEST(SetValues, OneValueFillsAKnownShape) {
  Graph g = graph();
  set_values(g, {"rate=3"});
  EXPECT_THAT(run(g, "y"), ElementsAre(3.0f, 3.0f));
}

TEST(SetValues, WhatCannotBeIsNamed) {
  EXPECT_THAT(problem({"trainin=false"}), HasSubstr("training"));
  EXPECT_THAT(problem({"y=1"}), HasSubstr("only placeholders"));
  EXPECT_THAT(problem({"rate"}), HasSubstr("NAME=VALUE"));
  EXPECT_THAT(problem({"rate=1", "rate=2"}), HasSubstr("twice"));
  EXPECT_THAT(problem({"rate=[1, 2, 3]"}), HasSubstr("[3]"));
  EXPECT_THAT(problem({"rate=[[1, 2], [3]]"}), HasSubstr("several lengths"));
  EXPECT_THAT(problem({"rate=fast"}), HasSubstr("numbers"));
}

}  // namespace
}  // namespace cytodet
