// transform_graph, quantize_graph and shared_node as a user calls them, also through links.
#include <gmock/gmock.h>

#include "core/error.h"
#include "core/settings.h"
#include "graph/io/named_tensors.h"
#include "graph/io/read_graph.h"
#include "graph/ir/integer_layer.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kTransformLenet = kSource + "/tests/data/graph/lenet_frozen.pb",
                  kSlim = kSource + "/tests/data/graph/saved/slim/";

class TransformGraph : public ProgramTest {
 protected:
  Output transform(const std::string& transforms, const std::string& in = kTransformLenet,
                   const std::string& outputs = "Lenet/fc9_1/Relu") {
    return run({"transform_graph", "--in_graph=" + in, "--out_graph=" + path("t.pb"), "--outputs=" + outputs,
                "--transforms=" + transforms});
  }
  void expect_refused(const Output& o, const std::string& problem) {
    EXPECT_EQ(o.code, 255) << o.err;
    ASSERT_EQ(o.errors().size(), 1u) << o.err;
    EXPECT_THAT(o.errors()[0], HasSubstr(problem));
    EXPECT_FALSE(std::filesystem::exists(path("t.pb")));
  }
  int count(const Graph& g, const std::string& op) {
    int n = 0;
    for (NodeId id : g.ids()) n += g.node(id).op == op;
    return n;
  }
};

TEST_F(TransformGraph, SaysWhatItApplies) {
  const Output o =
      transform("strip_unused_nodes add_default_attributes remove_nodes(op=Identity, op=CheckNumerics) sort_by_execution_order");
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(o.out, "");
  EXPECT_THAT(o.err, AllOf(HasSubstr("Applying strip_unused_nodes\nApplying add_default_attributes\n"),
                           HasSubstr("add_default_attributes: nothing to do"), HasSubstr("Applying remove_nodes\n")));
  EXPECT_EQ(count(read_graph(path("t.pb")), "Identity"), 0);
  const Output text = run({"transform_graph", "--in_graph=" + path("t.pb"), "--out_graph=" + path("text.pb"),
                           "--outputs=Lenet/fc9_1/Relu", "--transforms=remove_device", "--output_as_text=true"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(read_file(path("text.pb")), HasSubstr("node {"));
}

TEST_F(TransformGraph, MessagesAndExitCodeOfTheSourceTool) {
  expect_refused(run({"transform_graph", "--out_graph=" + path("t.pb"), "--transforms=a"}), "in_graph graph can't be empty.");
  expect_refused(run({"transform_graph", "--in_graph=" + kTransformLenet, "--transforms=a"}), "out_graph graph can't be empty.");
  expect_refused(run({"transform_graph", "--in_graph=" + kTransformLenet, "--out_graph=" + path("t.pb")}),
                 "You must specify at least one transform.");
  expect_refused(run({"transform_graph", "--in_graph=" + kTransformLenet, "--out_graph=" + path("t.pb"), "--transform=a"}),
                 "--transforms");
  expect_refused(transform("strip_unused_nodes(shape"), "Failed to parse --transform argument, error was Looking for =");
  expect_refused(transform("strip_ununodes"), "Transform 'strip_ununodes' not recognized.; did you mean strip_unused_nodes");
  expect_refused(transform("remove_nodes(ops=Identity)"), "no parameter 'ops'");
  expect_refused(transform("remove_device", kTransformLenet, "Lenet/fc9_1/Rel"), "Lenet/fc9_1/Relu");
  expect_refused(transform("remove_device", path("none.pb")), "No such file");
  expect_refused(transform("freeze_requantization_ranges(min_max_log_file=\"" + kTransformLenet + "\")"), "holds no record");
  const std::string log = put("log.txt", ";nobody__print__;__requant_min_max:[0][1]\n");
  expect_refused(transform("freeze_requantization_ranges(min_max_log_file=\"" + log + "\")"),
                 "Nodes were found in the log file that aren't present in the graph: nobody");
}

TEST_F(TransformGraph, LinksByTheToolsNamesAreTheCommands) {
  const std::string old = std::filesystem::current_path().string();
  for (const char* name : {"transform_graph", "quantize_graph.py", "summarize_graph", "shared_node.py"})
    std::filesystem::create_symlink(kProgram, folder / name);
  const auto call = [&](const std::string& name, const std::string& arguments) {
    return std::system(("'" + path(name) + "' " + arguments + " > '" + path("said") + "' 2>&1").c_str());
  };
  EXPECT_EQ(call("transform_graph", "--in_graph=" + kTransformLenet + " --out_graph=" + path("a.pb") +
                                        " --outputs=Lenet/fc9_1/Relu --transforms='strip_unused_nodes'"),
            0);
  EXPECT_EQ(WEXITSTATUS(call("transform_graph", "--nonsense")), 255);
  EXPECT_EQ(call("quantize_graph.py", "--input=" + kTransformLenet + " --output=" + path("b.pb") +
                                          " --output_node_names=Lenet/fc9_1/Relu --mode=eightbit --intel_cpu_eightbitize"),
            0);
  EXPECT_EQ(call("summarize_graph", "--in_graph=" + kTransformLenet), 0);
  EXPECT_EQ(call("shared_node.py", kTransformLenet + " " + path("c.pb")), 0);
}

class QuantizeGraph : public TransformGraph {
 protected:
  std::vector<std::string> flags(const std::string& in, const std::string& out, const std::string& outputs) {
    return {"quantize_graph", "--input=" + in, "--output=" + path(out), "--output_node_names=" + outputs, "--mode=eightbit"};
  }
  NamedTensors answers(const std::string& graph, const std::string& feeds, const std::string& outputs) {
    const Output o = run({"infer", graph, "--feeds", feeds, "--outputs", outputs, "-o", path("answer.json")});
    EXPECT_EQ(o.code, 0) << o.err;
    last_err = o.err;
    return read_case(path("answer.json")).outputs;
  }
  std::string last_err;
};

// From a float graph to fused layers with constant ranges, through a log.
TEST_F(QuantizeGraph, LogsFreezesAndFuses) {
  const std::string feeds = kSlim + "case.json", out = "Net/predictions";
  ASSERT_EQ(transform("fold_constants fold_batch_norms", kSlim + "frozen.pb", out).code, 0);
  for (bool per_channel : {false, true}) {
    std::vector<std::string> quantize = flags(path("t.pb"), "dynamic.pb", out);
    quantize.push_back(per_channel ? "--per_channel" : "--noper_channel");
    Output o = run(quantize);
    ASSERT_EQ(o.code, 0) << o.err;
    EXPECT_THAT(o.out, HasSubstr("2 of 2 convolutions on 8-bit codes"));
    const Graph dynamic = read_graph(path("dynamic.pb"));
    EXPECT_GE(dynamic.find("Net/Conv2d_0/Conv2D_eightbit_requant_range"), 0);
    const std::string range = per_channel ? "RequantizationRangePerChannel" : "RequantizationRange";
    EXPECT_EQ(count(dynamic, range), 2);
    const std::string logging = "insert_logging(op=" + range +
                                ", show_name=true, message=\"__requant_min_max:\")"
                                " insert_logging(op=Min, show_name=true, message=\"__min:\")"
                                " insert_logging(op=Max, show_name=true, message=\"__max:\")";
    const auto to = [&](const std::string& from, const std::string& name, const std::string& transforms) {
      const Output made = run({"transform_graph", "--in_graph=" + path(from), "--out_graph=" + path(name), "--outputs=" + out,
                               "--transforms=" + transforms});
      ASSERT_EQ(made.code, 0) << made.err;
    };
    to("dynamic.pb", "logged.pb", logging);
    const Tensor wanted = answers(kSlim + "frozen.pb", feeds, out).at(out), was = answers(path("logged.pb"), feeds, out).at(out);
    EXPECT_THAT(last_err, AllOf(HasSubstr(";Net/Conv2d_0/Conv2D_eightbit_requant_range__print__;__requant_min_max:["),
                                HasSubstr("__print__;__max:[")));
    const std::string log = "min_max_log_file=\"" + put("log.txt", last_err) + "\"";
    to("dynamic.pb", "frozen.pb", "freeze_requantization_ranges(" + log + ") freeze_min(" + log + ") freeze_max(" + log + ")");
    to("frozen.pb", "fused.pb", "fuse_quantized_conv_and_requantize strip_unused_nodes");
    EXPECT_EQ(count(read_graph(path("frozen.pb")), range), 0);
    int fused = 0;
    const Graph last = read_graph(path("fused.pb"));
    for (NodeId id : last.ids())
      if (const auto layer = integer_layer(last.node(id))) fused += layer->result == IntegerLayer::Result::quantized;
    EXPECT_EQ(fused, per_channel ? 2 : 0) << "codes of Relu6 without a range per channel have a zero point";
    const Tensor frozen = answers(path("frozen.pb"), feeds, out).at(out), codes = answers(path("fused.pb"), feeds, out).at(out);
    for (int64_t i = 0; i < wanted.size(); ++i) {
      EXPECT_NEAR(was.as_double(i), wanted.as_double(i), 0.03);
      EXPECT_NEAR(frozen.as_double(i), was.as_double(i), 0.01);
      EXPECT_NEAR(codes.as_double(i), frozen.as_double(i), 0.005);
    }
    EXPECT_THAT(run({"inspect", path("fused.pb")}).out, ::testing::Not(HasSubstr("run plainly")));
    EXPECT_THAT(run({"inspect", path("dynamic.pb")}).out, HasSubstr("freeze them"));
  }
}

TEST_F(QuantizeGraph, MessagesAndExitCodeOfTheSourceTool) {
  expect_refused(run(flags(path("none.pb"), "t.pb", "a")), "Input graph file '" + path("none.pb") + "' does not exist!");
  std::vector<std::string> wrong = flags(kTransformLenet, "t.pb", "Lenet/fc9_1/Relu");
  wrong.back() = "--mode=nine";
  expect_refused(run(wrong), "mode is 'nine', not in round, quantize, eightbit, weights, test, weights_rounded.");
  wrong.back() = "--mode=round";
  expect_refused(run(wrong), "eightbit or weights");
  expect_refused(run(flags(kTransformLenet, "t.pb", "Lenet/fc9_1/Rel")), "Lenet/fc9_1/Relu");
  std::vector<std::string> excluded = flags(kTransformLenet, "t.pb", "Lenet/fc9_1/Relu");
  excluded.push_back("--excluded_nodes=Lenet/conv1_1/Conv2");
  expect_refused(run(excluded), "Lenet/conv1_1/Conv2D");
  excluded.back() = "--excluded_ops=Conv2D";
  Output o = run(excluded);
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("0 of 3 convolutions"));
}

TEST_F(QuantizeGraph, ModelFileGoesWithTheGraph) {
  std::filesystem::copy(kSource + "/models/efficientdet/efficientdet_d0_blood.json", folder / "d0.json");
  std::filesystem::create_symlink(kSource + "/models/efficientdet/efficientdet_d0_blood.pb", folder / "efficientdet_d0_blood.pb");
  std::string text = read_file(path("d0.json"));
  text.replace(text.find("efficientdet_d0_blood.pb"), 24, "d0.pb");
  put("d0.json", text);
  std::filesystem::create_symlink(kSource + "/models/efficientdet/efficientdet_d0_blood.pb", folder / "d0.pb");
  Output o = run({"transform_graph", "--in_graph=" + path("d0.pb"), "--out_graph=" + path("new.pb"), "--outputs=class_logits_3",
                  "--transforms=remove_device"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(parse_json(read_file(path("new.json")), "new.json").at("graph"), "new.pb");
}

}  // namespace
}  // namespace cytodet::test
