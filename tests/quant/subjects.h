// Small networks with samples, to quantize.
#pragma once

#include <cmath>
#include <string>

#include "graph/io/named_tensors.h"
#include "graph/io/read_graph.h"
#include "graph/passes/pass.h"
#include "quant/calibrate.h"
#include "tests/error_of.h"
#include "tests/paths.h"

namespace cytodet::test {

inline CalibrateOptions quiet(const std::string& method = "minmax") {
  CalibrateOptions o;
  o.method = method;
  o.quiet = true;
  return o;
}

struct TestSubject {
  Graph graph;  // optimized
  PlanOptions plan;
  CalibrationData data;
  bool f32 = true;  // all that is fed is float
};

inline TestSubject lenet() {
  TestSubject s;
  s.graph = read_graph(cytodet::source_dir() + "/tests/data/graph/lenet_frozen.pb");
  s.plan.outputs = {"Lenet/fc9_1/BiasAdd"};
  s.plan.input_shapes["input"] = {1, 784};
  PassOptions passes;
  passes.interface = {{"input"}, s.plan.outputs};
  run_passes(s.graph, passes);
  s.data = {"waves", {"a", "b", "c", "d"}, [](size_t sample, Runner& runner) {
              float* x = runner.input(0).data<float>();
              for (int i = 0; i < 784; ++i) {
                const int column = i % 28, row = i / 28;
                x[i] = .5f + .5f * std::sin(static_cast<float>(sample + 1) * .21f * static_cast<float>(column) +
                                            .13f * static_cast<float>(row));
              }
            }};
  return s;
}

// A conformance case; float data that is a constant beside a constant filter becomes an input. Without nodes: it takes no float.
inline TestSubject conformance(const std::string& name) {
  const std::string folder = cytodet::source_dir() + "/tests/data/graph/conformance/" + name;
  TestSubject s;
  s.graph = read_graph(folder + "/graph.pb");
  const Case c = read_case(folder + "/case.json");
  std::map<std::string, Tensor> feeds;
  for (const auto& [key, tensor] : c.inputs) feeds[s.graph.node(s.graph.value(key).node).name] = tensor;
  if (const NodeId in = s.graph.find("in_0"); feeds.empty() && in >= 0 && s.graph.constant(in)) {
    feeds["in_0"] = *s.graph.constant(in);
    Node& n = s.graph.node(in);
    n.op = "Placeholder";
    n.attrs.clear();
    n.attrs["dtype"] = feeds["in_0"].dtype();
  }
  for (const auto& [key, tensor] : feeds) {
    s.plan.input_shapes[key] = tensor.shape();
    s.f32 = s.f32 && tensor.dtype() == DType::f32 && tensor.size() > 0;
  }
  run_passes(s.graph, {});
  s.data = {name, {name}, [feeds](size_t, Runner& runner) {
              for (size_t i = 0; i < runner.plan().inputs().size(); ++i)
                runner.set_input(static_cast<int>(i), feeds.at(runner.plan().inputs()[i].name));
            }};
  return s;
}

}  // namespace cytodet::test
