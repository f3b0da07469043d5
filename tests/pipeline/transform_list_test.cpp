// The grammar of a list of transforms, and what each transform does.
#include "pipeline/transform/transform_list.h"

#include <gmock/gmock.h>

#include "core/error.h"
#include "pipeline/transform/transform_table.h"
#include "tests/graph/fixtures.h"

namespace cytodet::test {
namespace {

using namespace pipeline;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(TransformList, Grammar) {
  const auto names = [](const char* text) {
    std::vector<std::string> all;
    for (const TransformCall& c : parse_transforms(text)) all.push_back(c.name);
    return all;
  };
  EXPECT_THAT(names("foo bar"), ElementsAre("foo", "bar"));
  EXPECT_THAT(names("foo() bar()"), ElementsAre("foo", "bar"));
  EXPECT_THAT(names("\n foo\n bar \n"), ElementsAre("foo", "bar"));
  EXPECT_TRUE(parse_transforms(" ").empty());
  const TransformCall bar = parse_transforms("bar(a=\"1\", b=\"1,2,3\", a=3)").at(0);
  EXPECT_THAT(bar.all("a"), ElementsAre("1", "3"));
  EXPECT_THAT(bar.all("b"), ElementsAre("1,2,3"));
  EXPECT_EQ(parse_transforms("f(a=./x-1.pb, b=\"say \\\"hi\\\"\"')").at(0).one("b", ""), "say \\\"hi\\\"");
  EXPECT_EQ(parse_transforms("f(a=1 b=2)").at(0).parameters.size(), 2u);
}

std::string problem_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(TransformList, WhatIsWrong) {
  const auto parse = [](const char* text) { return problem_of([=] { parse_transforms(text); }); };
  EXPECT_THAT(parse("\\\n"), HasSubstr("Looking for transform name, but found \\"));
  EXPECT_THAT(parse("foo(a)"), HasSubstr("Looking for =, but found )"));
  EXPECT_THAT(parse("foo(=1)"), HasSubstr("Looking for parameter name, but found =1"));
  EXPECT_THAT(parse("foo(a=)"), HasSubstr("but found )"));
  EXPECT_THAT(parse("foo(a=\"1"), HasSubstr("the end"));
  EXPECT_THAT(parse("foo(a=1"), HasSubstr("Looking for parameter name, but found the end"));
}

void quiet(const std::string&) {}

Graph apply(Graph g, const std::string& transforms, const Interface& io = {}) {
  apply_transforms(g, io, parse_transforms(transforms), quiet);
  return g;
}

TEST(Transforms, UnknownNamesAndParametersAreRefusedBeforeAnyWork) {
  Graph g = fixture();
  EXPECT_THAT(problem_of([&] { apply(g, "strip_ununodes"); }),
              ::testing::AllOf(HasSubstr("Transform 'strip_ununodes' not recognized."), HasSubstr("strip_unused_nodes")));
  EXPECT_THAT(problem_of([&] { apply(g, "remove_nodes(opp=Identity)"); }), HasSubstr("has no parameter 'opp'; did you mean op"));
  EXPECT_THAT(problem_of([&] { apply(g, "fold_constants(ignore_errors=maybe)"); }),
              HasSubstr("should be true or false, found maybe"));
  EXPECT_THAT(problem_of([&] { apply(g, "rename_node(old_node_name=conf, new_node_name=a)"); }), HasSubstr("conv"));
  EXPECT_EQ(apply(g, "rename_node(old_node_name=conf, new_node_name=a, ignore_errors=true)").size(), g.size());
}

TEST(Transforms, EveryRowRunsOrSaysWhyNot) {
  for (const Transform& t : all_transforms()) {
    EXPECT_GT(std::string(t.summary).size(), 5u) << t.name;
    if (!t.run) {
      static std::vector<std::string> said;
      said.clear();
      Graph g = fixture();
      apply_transforms(g, {}, parse_transforms(t.name), [](const std::string& s) { said.push_back(s); });
      ASSERT_EQ(said.size(), 2u);
      EXPECT_THAT(said[1], HasSubstr("nothing to do")) << t.name;
    }
  }
}

// add4 of the source tool's own test: what stays is what the output needs.
Graph identities() {
  Graph g;
  constant(g, "const1", Tensor::scalar(1.0f));
  constant(g, "const2", Tensor::scalar(2.0f));
  constant(g, "const3", Tensor::scalar(3.0f));
  add(g, "id1", "Identity", {"const1"});
  add(g, "id2", "Identity", {"const2"});
  add(g, "id3", "Identity", {"const1"});
  add(g, "add2", "Add", {"id1", "id2"});
  add(g, "add3", "Add", {"id1", "const3"});
  add(g, "add1", "Add", {"add2", "add3"});
  return g;
}

TEST(Transforms, RemoveNodes) {
  const Interface io{{}, {"add1"}};
  Graph g = apply(identities(), "remove_nodes(op=Identity)", io);
  EXPECT_EQ(count(g, "Identity"), 0);
  EXPECT_EQ(g.name_of(g.node(g.find("add2")).inputs[0]), "const1");
  EXPECT_EQ(g.name_of(g.node(g.find("add3")).inputs[1]), "const3");
  // An output stays.
  g = apply(identities(), "remove_nodes(op=Identity)", {{}, {"id2"}});
  EXPECT_GE(g.find("id2"), 0);
  // Chains, and nodes of several inputs.
  Graph chain;
  placeholder(chain, "x", {2});
  for (auto [name, from] : {std::pair{"a", "x"}, {"b", "a"}, {"c", "b"}}) add(chain, name, "Identity", {from});
  constant(chain, "low", Tensor::scalar(0.0f));
  constant(chain, "high", Tensor::scalar(6.0f));
  add(chain, "fake", "FakeQuantWithMinMaxVars", {"c", "low", "high"});
  add(chain, "out", "Relu", {"fake"});
  g = apply(chain, "remove_nodes(op=Identity, op=FakeQuantWithMinMaxVars, max_inputs=3)", {{}, {"out"}});
  EXPECT_EQ(g.name_of(g.node(g.find("out")).inputs[0]), "x");
}

TEST(Transforms, StripUnusedNodes) {
  Graph g = identities();
  placeholder(g, "dangling", {1});
  g = apply(g, "strip_unused_nodes", {{"dangling"}, {"add2"}});
  EXPECT_EQ(g.find("add3"), -1);
  EXPECT_GE(g.find("dangling"), 0);
  EXPECT_GE(g.find("const2"), 0);
  g = apply(identities(), "strip_unused_nodes(type=int32, shape=\"1, 2,3\")", {{"add2"}, {"add1"}});
  const Node& input = g.node(g.require("add2"));
  EXPECT_EQ(input.op, "Placeholder");
  EXPECT_EQ(input.attr<DType>("dtype"), DType::i32);
  EXPECT_EQ(input.attr<ShapeAttr>("shape").dims, (Shape{1, 2, 3}));
  g = apply(identities(),
            "strip_unused_nodes(name=add2, type_for_name=quint8, shape_for_name=\"1,2\", name=add3, type_for_name=int64, "
            "shape_for_name=\"\")",
            {{"add2", "add3"}, {"add1"}});
  EXPECT_EQ(g.node(g.require("add2")).attr<DType>("dtype"), DType::quint8);
  EXPECT_EQ(g.node(g.require("add3")).attr<DType>("dtype"), DType::i64);
}

TEST(Transforms, NamesAttributesDevices) {
  Graph g = apply(fixture(),
                  "rename_op(old_op_name=Conv2D, new_op_name=Other) set_device(device=\"/cpu:0\") "
                  "rename_attribute(old_attribute_name=padding, new_attribute_name=pad, op_name=Other) "
                  "remove_attribute(attribute_name=strides, op_name=Other) rename_node(old_node_name=w, new_node_name=weights)");
  const Node& conv = g.node(g.find("conv"));
  EXPECT_EQ(conv.op, "Other");
  EXPECT_EQ(conv.device, "/cpu:0");
  EXPECT_TRUE(conv.has_attr("pad") && !conv.has_attr("padding") && !conv.has_attr("strides"));
  EXPECT_GE(g.find("weights"), 0);
  g = apply(g, "remove_device obfuscate_names sort_by_execution_order", {{"x"}, {"conv"}});
  EXPECT_EQ(g.node(g.find("conv")).device, "");
  EXPECT_EQ(g.find("weights"), -1);
  EXPECT_EQ(g.node(g.ids().back()).name, "conv");
}

TEST(Transforms, MergeDuplicateNodes) {
  Graph g = identities();
  constant(g, "const4", Tensor::scalar(3.0f));
  add(g, "add4", "Add", {"add1", "const4"});
  g = apply(g, "merge_duplicate_nodes", {{}, {"add4"}});
  EXPECT_EQ(count(g, "Const"), 3);
  EXPECT_EQ(g.name_of(g.node(g.find("add4")).inputs[1]), "const3");
}

TEST(Transforms, Weights) {
  Graph g = fixture();
  const std::vector<float> exact = run(g, "conv");
  g = apply(g, "quantize_weights(minimum_size=8)", {{}, {"conv"}});
  EXPECT_EQ(g.node(g.find("w")).op, "Dequantize");
  EXPECT_EQ(g.constant(g.require("w_quantized_const"))->dtype(), DType::quint8);
  EXPECT_EQ(g.constant(g.require("w_quantized_min"))->as_double(), 0);
  const std::vector<float> near = run(g, "conv");
  for (size_t i = 0; i < exact.size(); ++i) EXPECT_NEAR(near[i], exact[i], 0.2);

  Graph large;
  placeholder(large, "x", {1, 1, 6, 2});
  Tensor w(DType::f32, {1, 2, 2, 10});
  for (int64_t i = 0; i < w.size(); ++i) w.data<float>()[i] = fixture_weights().data<float>()[i % 8];
  constant(large, "w", w);
  add(large, "conv", "Conv2D", {"x", "w"}, conv_attrs());
  const std::vector<float> wanted = run(large, "conv"),
                           rounded = run(apply(large, "round_weights(num_steps=256)", {{}, {"conv"}}), "conv");
  for (size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(rounded[i], wanted[i], 0.5);
  EXPECT_EQ(problem_of([&] { apply(large, "round_weights(num_steps=1)"); }).find("no error"), std::string::npos);
}

TEST(Transforms, InsertLogging) {
  Graph g = identities();
  g = apply(g, "insert_logging(op=Add, show_op=true, show_name=true, message=\"m:\", first_n=2)", {{}, {"add1"}});
  const Node& print = g.node(g.require("add2__print__"));
  EXPECT_EQ(print.op, "Print");
  EXPECT_EQ(print.attr<std::string>("message"), ";Add;;add2__print__;m:");
  EXPECT_EQ(print.attr<int64_t>("first_n"), 2);
  EXPECT_EQ(g.name_of(g.node(g.find("add1")).inputs[0]), "add2__print__");
  EXPECT_EQ(g.find("add1__print__"), -1) << "nobody reads it";
  EXPECT_EQ(count(apply(identities(), "insert_logging(op=Add, prefix=add3)", {{}, {"add1"}}), "Print"), 1) << "both must match";
}

}  // namespace
}  // namespace cytodet::test
