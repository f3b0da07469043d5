// The compiled plan, or the interpreter after all passes, gives TensorFlow's answers for graphs with conditions, loops and
// functions; so it does for what every pass makes of them.
#include "tests/graph/control_graphs.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <map>

#include "core/error.h"
#include "exec/run_graph.h"
#include "graph/io/tensorflow/graph_def.h"

namespace cytodet {
namespace {

std::string wrong_answer(const std::filesystem::path& graph, const test::ControlGraph& control) {
  try {
    for (size_t i = 0; i < control.cases.size(); ++i) {
      InferOptions options;
      for (const auto& [name, tensor] : control.cases[i].outputs) options.outputs.push_back(name);
      const NamedTensors got = infer(graph, control.cases[i].inputs, options);
      for (const auto& [name, wanted] : control.cases[i].outputs)
        if (const std::string d = difference(got.at(name), wanted); !d.empty())
          return "case " + std::to_string(i) + " " + name + ": " + d;
    }
  } catch (const Error& e) {
    return e.what();
  }
  return {};
}

TEST(ControlGraphs, InferGivesTensorFlowsAnswers) {
  for (const auto& folder : test::control_folders())
    EXPECT_EQ(wrong_answer(folder / "graph.pb", test::read_control_graph(folder)), "") << folder;
}

TEST(ControlGraphs, InferGivesTensorFlowsAnswersAfterEveryPass) {
  const auto file = std::filesystem::path(::testing::TempDir()) / ("control_" + std::to_string(getpid()) + ".pb");
  for (const auto& folder : test::control_folders()) {
    const test::ControlGraph control = test::read_control_graph(folder);
    const std::string before = encode_graph(control.graph);
    for (size_t i = 0; i <= all_passes().size(); ++i) {
      PassOptions options;
      options.interface = control.interface;
      const std::string name = i < all_passes().size() ? all_passes()[i].name : "all";
      if (name != "all") options.only = {name};
      Graph graph = control.graph;
      run_passes(graph, options);
      if (encode_graph(graph) == before) continue;
      write_graph(graph, file);
      EXPECT_EQ(wrong_answer(file, control), "") << folder << " after " << name;
    }
  }
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace cytodet
