// Long short-term memories: the kernel against the plain eval.
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/exec/answers.h"
#include "tests/exec/compare.h"
#include "tests/exec/random.h"
#include "tests/graph/fixtures.h"

namespace cytodet {
namespace {

using namespace test;

struct LstmCase {
  const char* op;
  int64_t steps, batch, inputs, units, length;
  float clip;
};

void numbers(Graph& g, const std::string& name, Shape shape, float scale = 0.3f) {
  std::mt19937 random(static_cast<unsigned>(name.size() + name[0]));
  constant(g, name, normal_tensor(std::move(shape), random, scale));
}

Graph lstm(const LstmCase& c) {
  Graph g;
  placeholder(g, "x", {c.steps, c.batch, c.inputs});
  placeholder(g, "cs", {c.batch, c.units});
  placeholder(g, "h", {c.batch, c.units});
  constant(g, "length", Tensor::scalar(c.length));
  numbers(g, "w", {c.inputs + c.units, 4 * c.units});
  for (const char* peephole : {"wci", "wcf", "wco"}) numbers(g, peephole, {c.units});
  numbers(g, "b", {4 * c.units});
  AttrMap attrs;
  attrs.emplace("cell_clip", c.clip);
  add(g, "lstm", c.op, {"length", "x", "cs", "h", "w", "wci", "wcf", "wco", "b"}, attrs);
  add(g, "states", "Identity", {"lstm:1"});
  add(g, "y", "Identity", {"lstm:6"});
  return g;
}

std::map<std::string, Tensor> data_of(const LstmCase& c) {
  std::mt19937 random(5);
  return {{"x", normal_tensor({c.steps, c.batch, c.inputs}, random)},
          {"cs", normal_tensor({c.batch, c.units}, random)},
          {"h", normal_tensor({c.batch, c.units}, random)}};
}

const LstmCase kCases[] = {{"BlockLSTMV2", 5, 1, 3, 2, 5, 0},  {"BlockLSTMV2", 12, 3, 20, 33, 12, 0},
                           {"BlockLSTMV2", 9, 2, 7, 16, 4, 0}, {"BlockLSTM", 40, 1, 64, 48, 40, 3},
                           {"BlockLSTM", 6, 5, 8, 9, 6, 0.2f}, {"BlockLSTM", 6, 5, 8, 9, 0, -1}};

TEST(Lstm, AnswersAsThePlainEval) {
  for (const LstmCase& c : kCases)
    for (const auto& outputs : {std::vector<std::string>{"y"}, std::vector<std::string>{"y", "states"}}) {
      SCOPED_TRACE(std::string(c.op) + " of " + std::to_string(c.units) + " units");
      const Answers a = run_both(lstm(c), data_of(c), outputs);
      EXPECT_TRUE(a.kernels.contains("lstm"));
      EXPECT_FALSE(a.kernels.contains("plain"));
      for (size_t i = 0; i < outputs.size(); ++i) EXPECT_LT(worst_difference(a.plan[i], a.plain[i]), 2e-6) << outputs[i];
    }
}

TEST(Lstm, GatesAndPeepholesArePlain) {
  Graph gates = lstm(kCases[0]);
  add(gates, "gate", "Identity", {"lstm:2"});
  EXPECT_TRUE(run_both(gates, data_of(kCases[0]), {"y", "gate"}).kernels.contains("plain"));
  Graph peepholes = lstm(kCases[0]);
  peepholes.node(peepholes.require("lstm")).attrs.insert_or_assign("use_peephole", true);
  EXPECT_TRUE(run_both(peepholes, data_of(kCases[0]), {"y"}).kernels.contains("plain"));
}

TEST(Lstm, ALengthBeyondTheStepsIsRefused) {
  LstmCase c = kCases[0];
  c.length = 6;
  PlanOptions options;
  options.outputs = {"y"};
  Runner runner(Plan::compile(lstm(c), options));
  EXPECT_THROW(runner.run(), Error);
}

}  // namespace
}  // namespace cytodet
