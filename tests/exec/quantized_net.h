// Networks of layers in 8 bits, built by hand.
#pragma once

#include <cmath>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "graph/quantized/quant_nodes.h"
#include "tests/exec/answers.h"
#include "tests/exec/random.h"
#include "tests/graph/fixtures.h"

namespace cytodet::test {

struct QuantizedNet {
  Graph graph;
  std::map<std::string, Tensor> data;  // of the inputs
  std::mt19937 random{31};

  void input(const std::string& name, Shape shape) {
    placeholder(graph, name, shape);
    data[name] = normal_tensor(std::move(shape), random);
  }
  void op(const std::string& name, const std::string& type, const std::vector<std::string>& in, AttrMap attrs = {}) {
    add(graph, name, type, in, std::move(attrs));
  }
  Shape shape(const std::string& value) { return *Facts(graph).of(graph.value(value)).shape; }
  int64_t elements(const std::string& value) { return cytodet::elements(shape(value)); }

  // The name of `in` fake-quantized.
  std::string fake_quant(const std::string& in, const QuantParams& quant) {
    return graph.name_of(add_fake_quant(graph, graph.value(in), quant));
  }
  // A convolution, in 8 bits where there is a quant. kernel 0: depthwise 3x3.
  void conv(const std::string& name, const std::string& in, int64_t channels, int kernel, std::optional<QuantParams> quant) {
    const int64_t in_c = shape(in).back(), side = kernel ? kernel : 3;
    const Tensor w = normal_tensor({side, side, in_c, kernel ? channels : 1}, random,
                                   1 / std::sqrt(static_cast<float>(side * side * (kernel ? in_c : 1))));
    constant(graph, name + "/w", w);
    const NodeId id = add(graph, name, kernel ? "Conv2D" : "DepthwiseConv2dNative", {in, name + "/w"}, conv_attrs("SAME"));
    if (quant) set_quantized(graph, id, *quant, quantize_weights(w, kernel ? channels : in_c, true));
  }
  void sizes(const std::string& name, const std::vector<int32_t>& list) {
    const auto n = static_cast<int64_t>(list.size());
    constant(graph, name, Tensor::from<int32_t>({n}, list));
  }

  // The answers are those of the plain evals as far as 8 bits let them, and do not depend on the number of threads.
  Answers expect_answers(const std::vector<std::string>& outputs, double min_db = 45) {
    Answers a = run_both(graph, data, outputs);
    for (size_t i = 0; i < outputs.size(); ++i) {
      EXPECT_GT(sqnr_db(a.plan[i], a.plain[i]), min_db) << outputs[i];
      double size = 0;
      for (int64_t n = 0; n < a.plain[i].size(); ++n) size += std::abs(a.plain[i].as_double(n));
      EXPECT_GT(size, 0.01 * static_cast<double>(a.plain[i].size())) << outputs[i] << " says nothing";
    }
    return a;
  }
};

inline AttrMap pool_attrs(int64_t side, int64_t stride, const std::string& padding = "SAME") {
  AttrMap attrs = conv_attrs(padding, stride);
  attrs.emplace("ksize", ints({1, side, side, 1}));
  return attrs;
}

}  // namespace cytodet::test
