// Shape functions of the op table against the values that TensorFlow computes.
#include <gtest/gtest.h>

#include <algorithm>

#include "graph/interpret/feed_check.h"
#include "tests/graph/cases.h"

namespace cytodet::test {
namespace {

enum class Known { values, shapes, ranks, types };

Fact known_of(const Tensor& t, Known how) {
  Fact f{t.dtype(), std::nullopt, std::nullopt};
  if (how != Known::types) f.shape = how == Known::ranks ? Shape(t.shape().size(), -1) : t.shape();
  if (how == Known::values) f.constant = t;
  return f;
}

void expect_holds(const Fact& fact, const Tensor& value, const std::string& where) {
  if (fact.dtype != DType::invalid) {
    EXPECT_EQ(name_of(fact.dtype), name_of(value.dtype())) << where;
  }
  if (!fact.shape) return;
  ASSERT_EQ(fact.shape->size(), value.shape().size())
      << where << ": " << to_string(*fact.shape) << " " << to_string(value.shape());
  for (size_t d = 0; d < value.shape().size(); ++d)
    EXPECT_TRUE((*fact.shape)[d] < 0 || (*fact.shape)[d] == value.shape()[d])
        << where << ": " << to_string(*fact.shape) << " " << to_string(value.shape());
}

// Runs a node's shape function with its inputs known in part, and holds the result against the node's values.
void check_node(const Graph& g, NodeId id, const Feeds& feeds) {
  const Node& n = g.node(id);
  const Op* op = find_op(n.op);
  if (!op || !op->infer || n.inputs.empty()) return;
  std::vector<Tensor> in, out;
  try {
    in = interpret(g, feeds, n.inputs);
    out = evaluate(n, in);
  } catch (const Error&) {
    return;  // tensor arrays and the like have no value of their own
  }
  const auto dead = [](const Tensor& t) { return t.dtype() == DType::invalid; };  // on the branch that is not taken
  if (std::any_of(in.begin(), in.end(), dead) || std::any_of(out.begin(), out.end(), dead)) return;
  for (Known how : {Known::values, Known::shapes, Known::ranks, Known::types}) {
    std::vector<Fact> facts;
    for (const Tensor& t : in) facts.push_back(known_of(t, how));
    InferCall call{n, facts, {}};
    op->infer(call);
    const std::string where = n.name + " (" + n.op + "), known " + std::to_string(static_cast<int>(how));
    ASSERT_LE(call.out.size(), out.size()) << where;
    for (size_t i = 0; i < call.out.size(); ++i) expect_holds(call.out[i], out[i], where + ", output " + std::to_string(i));
    if (op->stateful) continue;
    // A type that is lost makes everything behind it run in plain loops.
    ASSERT_EQ(call.out.size(), out.size()) << where;
    for (size_t i = 0; i < out.size(); ++i) EXPECT_NE(call.out[i].dtype, DType::invalid) << where << ", output " << i;
  }
}

class ShapeFunction : public ::testing::TestWithParam<std::string> {};

TEST_P(ShapeFunction, HoldsWhateverIsKnownOfTheInputs) {
  GraphCase c = read_graph_case(data("graph/ops/" + GetParam()));
  for (NodeId id : c.graph.ids()) check_node(c.graph, id, c.feeds());
}

INSTANTIATE_TEST_SUITE_P(Ops, ShapeFunction, ::testing::ValuesIn(case_names(data("graph/ops"))),
                         [](const auto& given) { return given.param; });

// As TensorFlow 2.15.1: dimensions of 0 count on neither side where 0 is asked for.
TEST(ShapeFunction, ReshapeOfNothing) {
  struct {
    Shape from;
    std::vector<int32_t> wanted;
    Shape becomes;
  } cases[] = {{{0, 3, 4}, {0, -1, 2}, {0, 6, 2}},
               {{0, 3, 4}, {-1, 12}, {0, 12}},
               {{0, 3, 4}, {3, -1}, {3, 0}},
               {{2, 0}, {0, -1}, {0, 2}},
               {{2, 3}, {-1}, {6}},
               {{}, {-1}, {1}}};
  Node reshape;
  reshape.name = reshape.op = "Reshape";
  for (const auto& c : cases) {
    const Tensor x(DType::f32, c.from), s = Tensor::from<int32_t>({static_cast<int64_t>(c.wanted.size())}, c.wanted);
    const std::vector<Tensor> in{x, s};
    EXPECT_EQ(evaluate(reshape, in)[0].shape(), c.becomes) << to_string(c.from);
    const std::vector<Fact> facts{{DType::f32, c.from, {}}, {DType::i32, s.shape(), s}};
    InferCall call{reshape, facts, {}};
    find_op("Reshape")->infer(call);
    EXPECT_EQ(call.out[0].shape, c.becomes) << to_string(c.from);
  }
  const std::vector<Tensor> bad{Tensor(DType::f32, {2, 3}), Tensor::from<int32_t>({2}, {4, -1})};
  EXPECT_THROW(evaluate(reshape, bad), Error);
}

TEST(FeedCheck, RefusesAnotherSizeOrType) {
  Graph g;
  Node n;
  n.name = "x";
  n.op = "Placeholder";
  n.attrs.emplace("dtype", DType::f32);
  n.attrs.emplace("shape", ShapeAttr{true, {2, 48, -1, 3}});
  const Value x{g.add(n), 0};
  EXPECT_NO_THROW(check_feed(g, x, Tensor(DType::f32, {2, 48, 7, 3})));
  for (const Shape& shape : {Shape{1, 48, 48, 3}, Shape{2, 48, 48}, Shape{}})
    EXPECT_THROW(check_feed(g, x, Tensor(DType::f32, shape)), Error) << to_string(shape);
  EXPECT_THROW(check_feed(g, x, Tensor(DType::u8, {2, 48, 7, 3})), Error);
}

TEST(FeedCheck, NamesTheVariableOfAnUnfrozenGraph) {
  Graph g;
  Node n;
  n.name = "weights";
  n.op = "VariableV2";
  g.add(n);
  n.name = "other";
  n.op = "Placeholder";
  g.add(n);
  EXPECT_EQ(first_variable(g), "weights");
  EXPECT_THROW(require_frozen(g, {"weights"}), Error);
  EXPECT_NO_THROW(require_frozen(g, {"other"}));
}

}  // namespace
}  // namespace cytodet::test
