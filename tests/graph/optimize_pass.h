// One pass on a small graph, and what its values are compared with.
#pragma once

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "graph/passes/pass.h"
#include "tests/graph/fixtures.h"

namespace cytodet::test {

// Runs this pass alone; whether it changed something.
inline bool optimize(Graph& g, const std::string& pass, std::vector<std::string> outputs, std::vector<std::string> inputs = {}) {
  PassOptions o;
  o.interface = {std::move(inputs), std::move(outputs)};
  o.only = {pass};
  return run_passes(g, o).at(0).changed;
}

inline void expect_near(const std::vector<float>& got, const std::vector<float>& wanted, float tolerance) {
  EXPECT_THAT(got, ::testing::Pointwise(::testing::FloatNear(tolerance), wanted));
}

// The first values of "conv" of fixture().
inline const std::vector<float> kFixtureConv = {14.7f, 20.4f, 19.1f, 27.0f, 19.7f, 28.2f, -14.7f, -20.4f, -19.1f, -27.0f};

}  // namespace cytodet::test
