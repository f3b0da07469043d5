// Graphs that TensorFlow made and ran: after every pass the outputs stay what TensorFlow gave.
#include <gtest/gtest.h>

#include <filesystem>

#include "graph/io/named_tensors.h"
#include "graph/io/read_graph.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/ir/op.h"
#include "graph/passes/pass.h"
#include "tests/paths.h"

namespace cytodet {
namespace {

TEST(PassGolden, EveryPassKeepsTensorFlowsOutputs) {
  int graphs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(cytodet::source_dir() + "/tests/data/graph/passes")) {
    Case c = read_case(entry.path() / "case.json");
    Graph original = read_graph(entry.path() / "graph.pb");
    PassOptions options;
    for (const auto& [name, tensor] : c.inputs) options.interface.inputs.push_back(original.node(original.value(name).node).name);
    for (const auto& [name, tensor] : c.outputs)
      options.interface.outputs.push_back(original.node(original.value(name).node).name);
    for (const Pass& last : all_passes()) {
      Graph g = original;
      options.stop_after = last.name;
      run_passes(g, options);
      g = parse_graph(encode_graph(g), "written and read");
      Feeds feeds;
      std::vector<Value> fetches;
      for (const auto& [name, tensor] : c.inputs) feeds[g.value(name)] = tensor;
      for (const auto& [name, tensor] : c.outputs) fetches.push_back(g.value(name));
      std::vector<Tensor> got = interpret(g, feeds, fetches);
      size_t i = 0;
      for (const auto& [name, wanted] : c.outputs)
        EXPECT_EQ(difference(got[i++], wanted), "") << entry.path().filename() << " " << name << " after " << last.name;
    }
    ++graphs;
  }
  EXPECT_EQ(graphs, 8);
}

TEST(PassGolden, FunctionsSwitchesAndBatchNormsAreGone) {
  for (const auto& entry : std::filesystem::directory_iterator(cytodet::source_dir() + "/tests/data/graph/passes")) {
    Graph g = read_graph(entry.path() / "graph.pb");
    Case c = read_case(entry.path() / "case.json");
    PassOptions options;
    for (const auto& [name, tensor] : c.outputs) options.interface.outputs.push_back(g.node(g.value(name).node).name);
    options.interface.inputs = {"x"};
    run_passes(g, options);
    for (NodeId id : g.ids()) {
      const std::string& op = g.node(id).op;
      EXPECT_TRUE(find_op(op)) << entry.path().filename() << " still calls " << op;
      EXPECT_FALSE(op.starts_with("FusedBatchNorm") || op == "Switch" || op == "Merge" || op == "IdentityN" ||
                   op == "CheckNumerics")
          << entry.path().filename() << " " << op;
    }
    EXPECT_TRUE(g.library.empty());
  }
}

}  // namespace
}  // namespace cytodet
