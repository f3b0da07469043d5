// Random convolutional networks (scripts/make_random_networks.py): compiled plans give TensorFlow's answers.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "exec/run_graph.h"
#include "tests/paths.h"

namespace cytodet {
namespace {

constexpr double kTolerance = 2e-5;  // of the largest value of an output

// The largest difference, in units of the largest value wanted.
double relative_difference(const Tensor& got, const Tensor& wanted) {
  EXPECT_EQ(got.shape(), wanted.shape());
  if (got.shape() != wanted.shape()) return INFINITY;
  double largest = 1e-30, worst = 0;
  for (int64_t i = 0; i < got.size(); ++i) {
    const double difference = std::abs(got.as_double(i) - wanted.as_double(i));
    largest = std::max(largest, std::abs(wanted.as_double(i)));
    worst = std::isnan(difference) ? INFINITY : std::max(worst, difference);
  }
  return worst / largest;
}

TEST(RandomNetworks, AnswerAsTensorFlow) {
  int networks = 0;
  for (const auto& folder : std::filesystem::directory_iterator(source_dir() + "/tests/data/exec/random_networks")) {
    ++networks;
    SCOPED_TRACE(folder.path().filename().string());
    const Case c = read_case(folder.path() / "case.json");
    InferOptions options;
    for (const auto& [name, wanted] : c.outputs) options.outputs.push_back(name);
    for (int threads : {1, 2}) {
      options.threads = threads;
      const NamedTensors got = infer(folder.path() / "graph.pb", c.inputs, options);
      for (const auto& [name, wanted] : c.outputs) EXPECT_LE(relative_difference(got.at(name), wanted), kTolerance) << name;
    }
  }
  EXPECT_EQ(networks, 100);
}

}  // namespace
}  // namespace cytodet
