// Frozen graphs of other people's models (tests/data/graph/conformance): the interpreter and the facts.
#include <gtest/gtest.h>

#include "tests/graph/cases.h"

namespace cytodet::test {
namespace {

class Conformance : public ::testing::TestWithParam<std::string> {};

TEST_P(Conformance, EqualsTensorFlow) {
  GraphCase c = read_graph_case(data("graph/conformance/" + GetParam()));
  ASSERT_FALSE(c.values.outputs.empty());
  std::vector<Value> fetches;
  for (const auto& [name, wanted] : c.values.outputs) fetches.push_back(c.graph.value(name));
  std::vector<Tensor> got = interpret(c.graph, c.feeds(), fetches);
  size_t i = 0;
  for (const auto& [name, wanted] : c.values.outputs) EXPECT_EQ(difference(got[i++], wanted), "") << name;
}

// Every value that can be computed agrees with what was known of it before data.
TEST_P(Conformance, FactsHold) {
  GraphCase c = read_graph_case(data("graph/conformance/" + GetParam()));
  std::map<Value, Fact> known;
  for (const auto& [name, tensor] : c.values.inputs) known[c.graph.value(name)] = {tensor.dtype(), tensor.shape(), {}};
  Facts plain(c.graph), fed(c.graph, known);
  for (NodeId id : c.graph.ids()) {
    for (int slot = 0; slot < plain.outputs(id); ++slot) {
      Tensor value;
      try {
        value = interpret(c.graph, c.feeds(), {{id, slot}})[0];
      } catch (const Error&) {
        continue;  // an input that this case does not feed
      }
      for (const Facts* facts : {&plain, &fed}) {
        const Fact& fact = facts->of({id, slot});
        const std::string where = c.graph.name_of({id, slot}) + " (" + c.graph.node(id).op + ")";
        if (fact.dtype != DType::invalid) {
          EXPECT_EQ(name_of(fact.dtype), name_of(value.dtype())) << where;
        }
        if (fact.shape) {
          ASSERT_EQ(fact.shape->size(), value.shape().size()) << where;
          for (size_t d = 0; d < value.shape().size(); ++d)
            EXPECT_TRUE((*fact.shape)[d] < 0 || (*fact.shape)[d] == value.shape()[d])
                << where << ": " << to_string(*fact.shape) << " " << to_string(value.shape());
        }
        if (fact.constant) {
          EXPECT_EQ(difference(*fact.constant, value), "") << where;
        }
      }
    }
  }
}

std::string test_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = std::to_string(info.index) + "_";
  for (char ch : info.param) name += std::isalnum(static_cast<unsigned char>(ch)) ? ch : '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(Graphs, Conformance, ::testing::ValuesIn(case_names(data("graph/conformance"))), test_name);

}  // namespace
}  // namespace cytodet::test
