// Random networks of steps in rows and convolutions, in 8 bits and on floats, against the plain evals: every way in which layers
// share maps, join and store them.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/exec/quantized_net.h"

namespace cytodet {
namespace {

using namespace test;

class RandomNet {
 public:
  explicit RandomNet(unsigned seed) : random_(seed) {
    net.input("x", {2, 6, 8, kChannels});
    net.input("y", {2, 6, 8, kChannels});
    values_ = {"x", "y"};
    for (int i = 0; i < 9; ++i) add_layer("v" + std::to_string(i));
    std::set<std::string> last{values_.back()};
    if (chance(3)) last.insert(values_[values_.size() - 2]);
    if (chance(4)) last.insert(values_[values_.size() / 2]);
    outputs.assign(last.begin(), last.end());
  }

  QuantizedNet net;
  std::vector<std::string> outputs;

 private:
  static constexpr int64_t kChannels = 19;

  int below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }
  bool chance(int n) { return below(n) == 0; }
  // One of all values, a later one more often.
  std::string any() {
    const int n = static_cast<int>(values_.size());
    return values_[static_cast<size_t>(std::max(below(n), below(n)))];
  }
  QuantParams quant() {
    const QuantParams quants[] = {{0.0213f, 120, false}, {0.0287f, 0, true}};
    return quants[below(2)];
  }
  // A value, or the value fake-quantized.
  std::string read() {
    const std::string v = any();
    return chance(2) ? v : net.fake_quant(v, quant());
  }

  // Means of quantized values often lie half-way between two steps of the same scale, but not of the scale of quant().
  std::string read_to_average() { return chance(3) ? (chance(2) ? "x" : "y") : net.fake_quant(any(), {0.0249f, 110, false}); }

  void add_layer(const std::string& name) {
    const std::string weight = name + "/weight";
    switch (below(12)) {
      case 0:
      case 1:
        conv(name, 1);
        break;
      case 2:
        conv(name, 3);
        break;
      case 3:
      case 4:
        conv(name, 0);
        break;
      case 5:
      case 6:
        constant(net.graph, weight, Tensor::scalar(0.6f));
        net.op(name + "/half", "Mul", {read(), weight});
        net.op(name, "AddV2", {name + "/half", read()});
        break;
      case 7:
        net.op(name, "AddV2", {read(), read()});
        break;
      case 8:
        gated(name);
        break;
      case 9:
        net.op(name + "/sigmoid", "Sigmoid", {read()});
        net.op(name, "Mul", {read(), name + "/sigmoid"});
        break;
      case 10:
        if (chance(2))
          net.op(name, "AvgPool", {read_to_average()}, pool_attrs(3, 1));
        else
          net.op(name, "MaxPool", {read()}, pool_attrs(3, 1));
        break;
      case 11:
        resampled(name);
        break;
    }
    values_.push_back(name);
  }

  void conv(const std::string& name, int kernel) {
    const std::string in = read();
    net.conv(name + "/conv", in, kChannels, kernel, chance(4) ? std::nullopt : std::optional(quant()));
    switch (below(4)) {
      case 0:
        net.op(name, "Identity", {name + "/conv"});
        break;
      case 1:
        net.op(name, "Relu", {name + "/conv"});
        break;
      case 2:
        net.op(name, "AddV2", {name + "/conv", read()});
        break;
      case 3:
        net.op(name + "/act", "Relu6", {name + "/conv"});
        net.op(name, "AddV2", {read(), name + "/act"});
        break;
    }
  }

  // By the sigmoid of a mean, as squeeze-excite does.
  void gated(const std::string& name) {
    const std::string map = read();
    net.sizes(name + "/axes", {1, 2});
    net.op(name + "/mean", "Mean", {chance(2) ? map : any(), name + "/axes"}, kept_dims());
    net.op(name + "/gate", "Sigmoid", {name + "/mean"});
    const std::string gate = chance(3) ? net.fake_quant(name + "/gate", {0.004f, 0, false}) : name + "/gate";
    net.op(name, "Mul", chance(2) ? std::vector{gate, map} : std::vector{map, gate});
  }

  // Half as large, and as large again.
  void resampled(const std::string& name) {
    const bool average = chance(2), linear = chance(2);
    net.op(name + "/pool", average ? "AvgPool" : "MaxPool", {average || linear ? read_to_average() : read()}, pool_attrs(2, 2));
    const std::string small = linear || chance(2) ? name + "/pool" : net.fake_quant(name + "/pool", quant());
    net.sizes(name + "/size", {6, 8});
    net.op(name, linear ? "ResizeBilinear" : "ResizeNearestNeighbor", {small, name + "/size"});
  }

  std::mt19937 random_;
  std::vector<std::string> values_;
};

// Values half-way between two steps may be rounded either way, up to eight quantizations deep: wrong maps are much further off.
TEST(RandomNets, AnswerAsThePlainEvals) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    RandomNet r(seed);
    r.net.expect_answers(r.outputs, 30);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace cytodet
