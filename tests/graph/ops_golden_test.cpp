// Every op of the table against what TensorFlow computes (tests/data/graph/ops, made by scripts/make_op_golden).
#include <gtest/gtest.h>

#include <set>

#include "tests/graph/cases.h"

namespace cytodet::test {
namespace {

// TensorFlow has other roundings for equal shapes, for rows and for single values: a code of 32 bits more or less.
void expect_within_a_code(const Tensor& got, const Tensor& wanted, const std::string& name) {
  ASSERT_EQ(got.shape(), wanted.shape()) << name;
  for (int64_t i = 0; i < wanted.size(); ++i) ASSERT_NEAR(got.as_double(i), wanted.as_double(i), 1) << name << " " << i;
}

class OpGolden : public ::testing::TestWithParam<std::string> {};

TEST_P(OpGolden, EqualsTensorFlow) {
  GraphCase c = read_graph_case(data("graph/ops/" + GetParam()));
  ASSERT_FALSE(c.values.outputs.empty());
  for (const auto& [name, wanted] : c.values.outputs) {
    try {
      Tensor got = interpret(c.graph, c.feeds(), {c.graph.value(name)})[0];
      if (GetParam() == "QuantizedAdd" && wanted.dtype() == DType::qint32)
        expect_within_a_code(got, wanted, name);
      else
        EXPECT_EQ(difference(got, wanted), "") << name;
    } catch (const Error& e) {
      ADD_FAILURE() << name << ": " << e.what();
    }
  }
}

// What is known before data must hold for the data.
TEST_P(OpGolden, FactsHold) {
  GraphCase c = read_graph_case(data("graph/ops/" + GetParam()));
  Facts facts(c.graph);
  for (const auto& [name, wanted] : c.values.outputs) {
    const Fact& fact = facts.of(c.graph.value(name));
    if (fact.dtype != DType::invalid) {
      EXPECT_EQ(name_of(fact.dtype), name_of(wanted.dtype())) << name;
    }
    if (fact.shape) {
      EXPECT_EQ(fact.shape->size(), wanted.shape().size())
          << name << ": " << to_string(*fact.shape) << " " << to_string(wanted.shape());
      for (size_t d = 0; d < std::min(fact.shape->size(), wanted.shape().size()); ++d)
        EXPECT_TRUE((*fact.shape)[d] < 0 || (*fact.shape)[d] == wanted.shape()[d])
            << name << ": " << to_string(*fact.shape) << " " << to_string(wanted.shape());
    }
    if (fact.constant) {
      EXPECT_EQ(difference(*fact.constant, wanted), "") << name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, OpGolden, ::testing::ValuesIn(case_names(data("graph/ops"))),
                         [](const auto& given) { return given.param; });

TEST(OpTable, EveryEntryHasACase) {
  std::set<std::string> seen;
  for (const char* folder : {"graph/ops", "graph/conformance"})
    for (const std::string& name : case_names(data(folder)))
      for (Graph g = read_graph(data(folder) / name / "graph.pb"); NodeId id : g.ids()) seen.insert(g.node(id).op);
  for (const Op& row : all_ops()) EXPECT_TRUE(seen.contains(row.name)) << row.name << " has no case in tests/data/graph";
}

// Types of all results are known before data: what follows an op of unknown type is neither compiled nor quantized.
TEST_P(OpGolden, TypesAreKnownBeforeData) {
  GraphCase c = read_graph_case(data("graph/ops/" + GetParam()));
  Facts facts(c.graph);
  for (const auto& [name, wanted] : c.values.outputs)
    EXPECT_EQ(name_of(facts.of(c.graph.value(name)).dtype), name_of(wanted.dtype())) << name;
}

TEST(OpTable, EveryEntryHasAShapeFunction) {
  for (const Op& row : all_ops()) EXPECT_TRUE(row.infer) << row.name << " has no shape function";
}

TEST(OpTable, NamesAreUniqueAndOrdered) {
  std::span<const Op> rows = all_ops();
  for (size_t i = 1; i < rows.size(); ++i) EXPECT_LT(std::string(rows[i - 1].name), rows[i].name);
  EXPECT_EQ(find_op("NoSuchOp"), nullptr);
}

}  // namespace
}  // namespace cytodet::test
