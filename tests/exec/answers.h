// A graph's answers from the plain evals and from a plan.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "exec/runtime/plan.h"
#include "graph/ir/op.h"

namespace cytodet::test {

struct Answers {
  std::vector<Tensor> plain, plan;
  std::set<std::string> kernels;
  std::map<std::string, StepInfo> steps;  // by name
};

// Runs through the plain evals and through the plan; the plan's answers must not depend on the number of threads.
inline Answers run_both(const Graph& g, const std::map<std::string, Tensor>& data, const std::vector<std::string>& outputs,
                        Precision precision = Precision::graph) {
  Answers a;
  Feeds feeds;
  PlanOptions o;
  o.precision = precision;
  o.outputs = outputs;
  for (const auto& [name, t] : data) {
    feeds[g.value(name)] = t;
    o.input_shapes[name] = t.shape();
  }
  std::vector<Value> fetches;
  for (const std::string& name : outputs) fetches.push_back(g.value(name));
  a.plain = interpret(g, feeds, fetches);
  for (int threads : {1, 2}) {
    o.threads = threads;
    Runner r(Plan::compile(g, o));
    for (const StepInfo& s : r.plan().steps()) {
      a.kernels.insert(s.kernel);
      a.steps[s.name] = s;
    }
    for (size_t i = 0; i < r.plan().inputs().size(); ++i) {
      const Tensor& t = data.at(r.plan().inputs()[i].name);
      std::memcpy(r.input(static_cast<int>(i)).raw(), t.raw(), t.bytes());
    }
    r.run();
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (threads == 1)
        a.plan.push_back(r.output(static_cast<int>(i)).clone());
      else
        EXPECT_EQ(std::memcmp(a.plan[i].raw(), r.output(static_cast<int>(i)).raw(), a.plan[i].bytes()), 0) << outputs[i];
    }
  }
  return a;
}

inline double sqnr_db(const Tensor& got, const Tensor& wanted) {
  double signal = 0, noise = 1e-30;
  for (int64_t i = 0; i < got.size(); ++i) {
    signal += wanted.as_double(i) * wanted.as_double(i);
    noise += std::pow(got.as_double(i) - wanted.as_double(i), 2);
  }
  return 10 * std::log10(signal / noise);
}

}  // namespace cytodet::test
