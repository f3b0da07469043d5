// Random graphs with conditions, loops and functions, and what TensorFlow answers (scripts/make_control_graphs.py): every pass
// alone and all together keep the answers. CYTODET_CONTROL_GRAPHS names another folder of such graphs; with CYTODET_CONTROL_WRITE
// what the passes make is written beside them, for TensorFlow to run.
#include "tests/graph/control_graphs.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "core/error.h"
#include "core/file.h"
#include "graph/interpret/interpreter.h"
#include "graph/io/named_tensors.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/ir/op.h"
#include "graph/ir/validate.h"
#include "graph/passes/pass.h"

namespace cytodet {
namespace {

using test::ControlGraph;

// Empty when the interpreter gives TensorFlow's answers in all cases.
std::string wrong_answer(Graph graph, const ControlGraph& control) {
  try {
    inline_functions(graph);
    for (size_t i = 0; i < control.cases.size(); ++i) {
      const Case& c = control.cases[i];
      Feeds feeds;
      std::vector<Value> fetches;
      for (const auto& [name, tensor] : c.inputs) feeds[graph.value(name)] = tensor;
      for (const auto& [name, tensor] : c.outputs) fetches.push_back(graph.value(name));
      const std::vector<Tensor> got = interpret(graph, feeds, fetches);
      size_t k = 0;
      for (const auto& [name, wanted] : c.outputs)
        if (const std::string d = difference(got[k++], wanted); !d.empty())
          return "case " + std::to_string(i) + " " + name + ": " + d;
    }
  } catch (const Error& e) {
    return e.what();
  }
  return {};
}

// "only" one pass, or all of them.
std::string wrong_pass(const ControlGraph& control, const std::string& only) {
  PassOptions options;
  options.interface = control.interface;
  if (only != "all") options.only = {only};
  Graph graph = control.graph;
  try {
    run_passes(graph, options);
    const std::string bytes = encode_graph(graph);
    if (bytes == encode_graph(control.graph)) return {};
    if (std::getenv("CYTODET_CONTROL_WRITE")) write_file(control.folder / (only + ".pb"), bytes);
    graph = parse_graph(bytes, "written and read");
  } catch (const Error& e) {
    return e.what();
  }
  if (const std::string problem = problem_in(graph); !problem.empty()) return problem;
  return wrong_answer(std::move(graph), control);
}

TEST(ControlGraphs, AreAllHere) {
  if (std::getenv("CYTODET_CONTROL_GRAPHS")) GTEST_SKIP();
  EXPECT_GE(test::control_folders().size(), 100u + 20u + 7u);
}

TEST(ControlGraphs, InterpreterGivesTensorFlowsAnswers) {
  for (const auto& folder : test::control_folders()) {
    const ControlGraph control = test::read_control_graph(folder);
    EXPECT_EQ(problem_in(control.graph), "") << folder;
    EXPECT_EQ(wrong_answer(control.graph, control), "") << folder;
  }
}

// A prepared interpreter keeps nothing of a run but what depends on constants alone.
TEST(ControlGraphs, RunsOfOneInterpreterDoNotDependOnEachOther) {
  for (const auto& folder : test::control_folders()) {
    SCOPED_TRACE(folder.string());
    ControlGraph control = test::read_control_graph(folder);
    inline_functions(control.graph);
    std::vector<Value> fed, fetches;
    for (const auto& [name, tensor] : control.cases[0].inputs) fed.push_back(control.graph.value(name));
    for (const auto& [name, tensor] : control.cases[0].outputs) fetches.push_back(control.graph.value(name));
    Interpreter interpreter(control.graph, fed, fetches);
    for (size_t run = 0; run < 2 * control.cases.size(); ++run) {
      const Case& c = control.cases[run % control.cases.size()];
      if (c.inputs.size() != fed.size() || c.outputs.size() != fetches.size()) continue;
      std::vector<Tensor> feeds;
      for (const auto& [name, tensor] : c.inputs) feeds.push_back(tensor);
      const std::vector<Tensor> got = interpreter.run(feeds);
      size_t k = 0;
      for (const auto& [name, wanted] : c.outputs) EXPECT_EQ(difference(got[k++], wanted), "") << run << " " << name;
    }
  }
}

TEST(ControlGraphs, EveryPassAloneAndAllTogetherKeepTensorFlowsAnswers) {
  std::vector<std::string> names{"all"};
  for (const Pass& pass : all_passes()) names.push_back(pass.name);
  for (const auto& folder : test::control_folders()) {
    const ControlGraph control = test::read_control_graph(folder);
    for (const std::string& name : names) EXPECT_EQ(wrong_pass(control, name), "") << folder << " " << name;
  }
}

}  // namespace
}  // namespace cytodet
