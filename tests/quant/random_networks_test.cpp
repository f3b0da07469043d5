// Random convolutional networks (scripts/make_random_networks.py), quantized: compiled plans give what plain evaluation of the
// quantized graph does, and that is near the float network.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "core/error.h"
#include "graph/passes/tf_int8.h"
#include "quant/quantize.h"
#include "quant/sqnr.h"
#include "tests/quant/subjects.h"

namespace cytodet {
namespace {

using namespace test;

// Values half-way between two steps may be rounded either way, several quantizations deep.
constexpr double kSameDb = 30;
constexpr double kNearFloatDb = 15;

struct RandomNetwork {
  TestSubject subject;
  NamedTensors feeds;  // by node
};

RandomNetwork random_network(const std::filesystem::path& folder) {
  RandomNetwork r;
  TestSubject& s = r.subject;
  s.graph = read_graph(folder / "graph.pb");
  const Case c = read_case(folder / "case.json");
  PassOptions passes;
  for (const auto& [name, tensor] : c.inputs) {
    const std::string node = s.graph.node(s.graph.value(name).node).name;
    r.feeds[node] = tensor;
    s.plan.input_shapes[node] = tensor.shape();
    passes.interface.inputs.push_back(node);
  }
  for (const auto& [name, tensor] : c.outputs) s.plan.outputs.push_back(s.graph.node(s.graph.value(name).node).name);
  passes.interface.outputs = s.plan.outputs;
  run_passes(s.graph, passes);
  s.data = {"feeds", {"own"}, [feeds = r.feeds](size_t, Runner& runner) {
              for (size_t i = 0; i < runner.plan().inputs().size(); ++i)
                runner.set_input(static_cast<int>(i), feeds.at(runner.plan().inputs()[i].name));
            }};
  return r;
}

std::vector<Tensor> plain_answers(const RandomNetwork& r, const Graph& graph) {
  Feeds feeds;
  for (const auto& [name, tensor] : r.feeds) feeds[graph.value(name)] = tensor;
  std::vector<Value> fetches;
  for (const std::string& name : r.subject.plan.outputs) fetches.push_back(graph.value(name));
  return interpret(graph, feeds, fetches);
}

std::vector<Tensor> plan_answers(const RandomNetwork& r, const Graph& graph) {
  Runner runner(Plan::compile(graph, r.subject.plan));
  r.subject.data.feed(0, runner);
  runner.run();
  return runner.outputs();
}

struct QuantizedNetwork {
  Graph graph;
  OutputRanges results;
};
// Nothing where it has no layer that could be INT8.
std::optional<QuantizedNetwork> quantized(const TestSubject& s) {
  QuantizedNetwork q{s.graph, {}};
  try {
    const Ranges ranges = calibrate(q.graph, s.plan, s.data, quiet()).ranges;
    if (!quantize(q.graph, ranges, {}).int8_layers()) return std::nullopt;
    q.results = output_ranges(q.graph, ranges, {s.plan.outputs.begin(), s.plan.outputs.end()});
  } catch (const Error&) {
    return std::nullopt;
  }
  return q;
}

double decibels(const std::vector<Tensor>& got, const std::vector<Tensor>& wanted) {
  double least = kExactDb;
  for (size_t i = 0; i < got.size(); ++i) {
    Sqnr sqnr;
    sqnr.add(wanted[i], got[i]);
    least = std::min(least, sqnr.db());
  }
  return least;
}

TEST(RandomNetworks, AnswerInInt8AsTheirQuantizedGraphs) {
  int networks = 0;
  for (const auto& folder : std::filesystem::directory_iterator(source_dir() + "/tests/data/exec/random_networks")) {
    SCOPED_TRACE(folder.path().filename().string());
    const RandomNetwork r = random_network(folder.path());
    const std::optional<QuantizedNetwork> int8 = quantized(r.subject);
    if (!int8) continue;
    ++networks;
    const std::vector<Tensor> plain = plain_answers(r, int8->graph);
    EXPECT_GE(decibels(plan_answers(r, int8->graph), plain), kSameDb);
    EXPECT_GE(decibels(plain, plain_answers(r, r.subject.graph)), kNearFloatDb);
  }
  EXPECT_GE(networks, 80);
}

// What is measured in TensorFlow's place is what its integer layers are defined to give.
TEST(RandomNetworks, RoundedResultsAreThoseOfTensorFlowsLayers) {
  int networks = 0;
  for (const auto& folder : std::filesystem::directory_iterator(source_dir() + "/tests/data/exec/random_networks")) {
    SCOPED_TRACE(folder.path().filename().string());
    const RandomNetwork r = random_network(folder.path());
    const std::optional<QuantizedNetwork> int8 = quantized(r.subject);
    if (!int8) continue;
    TfInt8Options options;
    for (const auto& [name, shape] : r.subject.plan.input_shapes) options.interface.inputs.push_back(name);
    options.interface.outputs = r.subject.plan.outputs;
    Graph file = int8->graph, rounded = int8->graph;
    const int layers = to_tensorflow_int8(file, int8->results, options);
    EXPECT_EQ(round_results_to_int8(rounded, int8->results, options), layers);
    networks += layers > 0;
    EXPECT_GE(decibels(plain_answers(r, rounded), plain_answers(r, file)), kSameDb);
  }
  EXPECT_GE(networks, 60);
}

}  // namespace
}  // namespace cytodet
