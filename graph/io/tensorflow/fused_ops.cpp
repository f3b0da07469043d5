#include "graph/io/tensorflow/fused_ops.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>

#include "graph/ir/conv_node.h"
#include "graph/ir/integer_layer.h"

namespace cytodet::graph {
namespace {

// Adds the ops that were fused to one node, one behind the other.
class Splitter {
 public:
  Splitter(Graph& graph, NodeId id) : graph_(graph), id_(id), fused_(graph.node(id)) {}

  // Whether all of its ops are known; nothing is changed otherwise.
  bool run() {
    static const std::pair<const char*, const char*> kProducts[] = {
        {"_FusedConv2D", "Conv2D"}, {"_FusedDepthwiseConv2dNative", "DepthwiseConv2dNative"}, {"_FusedMatMul", "MatMul"}};
    if (fused_.op == "_FusedBatchNormEx") return batch_norm();
    for (const auto& [fused, op] : kProducts)
      if (fused_.op == fused) return product(op);
    return false;
  }

 private:
  // A fused op of a list: how many of the node's inputs it takes, and what it adds.
  struct FusedOp {
    const char* name;
    size_t inputs;
    Value (Splitter::*add)(Value x, const Value* args);
  };
  static const FusedOp* fused_op(const std::string& name) {
    static const FusedOp kOps[] = {
        {"Add", 1, &Splitter::sum},
        {"BiasAdd", 1, &Splitter::bias},
        {"Elu", 0, &Splitter::unary<kElu>},
        {"FusedBatchNorm", 4, &Splitter::norm},
        {"GeluApproximate", 0, &Splitter::gelu_tanh},
        {"GeluExact", 0, &Splitter::gelu},
        {"LeakyRelu", 0, &Splitter::leaky},
        {"Mish", 0, &Splitter::mish},
        {"Prelu", 1, &Splitter::prelu},
        {"Relu", 0, &Splitter::unary<kRelu>},
        {"Relu6", 0, &Splitter::unary<kRelu6>},
        {"Sigmoid", 0, &Splitter::unary<kSigmoid>},
        {"Tanh", 0, &Splitter::unary<kTanh>},
        {"_FusedHardSwish", 0, &Splitter::hard_swish},
        {"_FusedSwish", 0, &Splitter::swish},
    };
    const auto* found = std::find_if(std::begin(kOps), std::end(kOps), [&](const FusedOp& op) { return name == op.name; });
    return found == std::end(kOps) ? nullptr : found;
  }

  //   x, weights ─▶ product ─▶ op of fused_ops ─▶ ... each with its share of the other inputs
  bool product(const char* op) {
    std::vector<const FusedOp*> ops;
    size_t inputs = 2;
    for (const std::string& name : fused_.attr_or("fused_ops", AttrList{}).strings) {
      ops.push_back(fused_op(name));
      if (!ops.back()) return false;
      inputs += ops.back()->inputs;
    }
    if (fused_.inputs.size() != inputs || ops.empty()) return false;
    AttrMap attrs{{"T", type()}};
    for (const char* key : {"strides", "padding", "explicit_paddings", "data_format", "dilations", "use_cudnn_on_gpu",
                            "transpose_a", "transpose_b"})
      if (const auto it = fused_.attrs.find(key); it != fused_.attrs.end()) attrs.emplace(key, it->second);
    Value x = add(op, {fused_.inputs[0], fused_.inputs[1]}, attrs);
    keep_place(x.node);
    const Value* args = fused_.inputs.data() + 2;
    for (const FusedOp* one : ops) {
      x = (this->*one->add)(x, args);
      args += one->inputs;
    }
    become(x.node);
    return true;
  }

  //   x, scale, offset, mean, variance ─▶ batch norm [─▶ Add side input] [─▶ activation]
  bool batch_norm() {
    const std::string act = fused_.attr_or<std::string>("activation_mode", "Identity");
    const FusedOp* activation = act == "Identity" ? nullptr : fused_op(act);
    if (act != "Identity" && (!activation || activation->inputs > 0)) return false;
    if (fused_.inputs.size() != 5 && fused_.inputs.size() != 6) return false;
    const Consumers uses(graph_);
    if (uses.of(id_).size() != uses.of(Value{id_, 0}).size()) return false;  // its other outputs are read
    AttrMap attrs = fused_.attrs;
    attrs.erase("activation_mode");
    attrs.erase("num_side_inputs");
    Value x = add("FusedBatchNormV3", {fused_.inputs.begin(), fused_.inputs.begin() + 5}, attrs);
    keep_place(x.node);
    if (fused_.inputs.size() == 6) x = sum(x, &fused_.inputs[5]);
    if (activation) x = (this->*activation->add)(x, nullptr);
    become(x.node);
    return true;
  }

  DType type() const { return fused_.attr_or("T", DType::f32); }
  Value add(const std::string& op, std::vector<Value> inputs, AttrMap attrs = {}) {
    attrs.try_emplace("T", type());
    return graph_.add_new(fused_.name + "/" + op, op, std::move(inputs), std::move(attrs));
  }
  Value number(double value) {
    const Value v = graph_.add_const(fused_.name + "/number", Tensor::scalar(static_cast<float>(value)));
    if (type() == DType::f32) return v;
    return graph_.add_new(fused_.name + "/Cast", "Cast", {v}, {{"SrcT", DType::f32}, {"DstT", type()}});
  }

  void keep_place(NodeId first) {
    Node& n = graph_.node(first);
    n.device = fused_.device;
    n.controls = fused_.controls;
  }
  // The fused node becomes the last of the new ones, which has no reader yet.
  void become(NodeId last) {
    const Node n = graph_.node(last);
    Node& fused = graph_.node(id_);
    fused.op = n.op;
    fused.inputs = n.inputs;
    fused.attrs = n.attrs;
    fused.controls = n.controls;
    fused.extra.clear();
    graph_.remove(last);
  }

  static constexpr char kElu[] = "Elu", kRelu[] = "Relu", kRelu6[] = "Relu6", kSigmoid[] = "Sigmoid", kTanh[] = "Tanh";
  template <const char* op>
  Value unary(Value x, const Value*) {
    return add(op, {x});
  }
  Value sum(Value x, const Value* args) { return add("AddV2", {x, args[0]}); }
  Value bias(Value x, const Value* args) {
    return add("BiasAdd", {x, args[0]}, {{"data_format", fused_.attr_or<std::string>("data_format", "NHWC")}});
  }
  Value norm(Value x, const Value* args) {
    return add("FusedBatchNormV3", {x, args[0], args[1], args[2], args[3]},
               {{"U", DType::f32},
                {"is_training", false},
                {"epsilon", fused_.attr_or("epsilon", 1e-4f)},
                {"data_format", fused_.attr_or<std::string>("data_format", "NHWC")}});
  }
  Value leaky(Value x, const Value*) { return add("LeakyRelu", {x}, {{"alpha", fused_.attr_or("leakyrelu_alpha", 0.2f)}}); }
  // max(x, 0) - alpha * max(-x, 0)
  Value prelu(Value x, const Value* args) {
    const Value negative = add("Mul", {args[0], add("Relu", {add("Neg", {x})})});
    return add("Sub", {add("Relu", {x}), negative});
  }
  Value swish(Value x, const Value*) { return add("Mul", {x, add("Sigmoid", {x})}); }
  Value hard_swish(Value x, const Value*) {
    const Value gate = add("Mul", {add("Relu6", {add("AddV2", {x, number(3)})}), number(1.0 / 6)});
    return add("Mul", {x, gate});
  }
  Value mish(Value x, const Value*) { return add("Mul", {x, add("Tanh", {add("Softplus", {x})})}); }
  // x / 2 * erfc(-x / sqrt(2))
  Value gelu(Value x, const Value*) {
    return add("Mul", {add("Mul", {x, number(0.5)}), add("Erfc", {add("Mul", {x, number(-std::sqrt(0.5))})})});
  }
  // x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))
  Value gelu_tanh(Value x, const Value*) {
    const Value cube = add("Mul", {add("Mul", {x, x}), x});
    const Value inner = add("AddV2", {x, add("Mul", {cube, number(0.044715)})});
    const Value half = add("Mul", {x, number(0.5)});
    return add("Mul", {half, add("AddV2", {add("Tanh", {add("Mul", {inner, number(std::sqrt(2 / M_PI))})}), number(1)})});
  }

  Graph& graph_;
  const NodeId id_;
  const Node fused_;
};

}  // namespace

namespace {

// How many inputs an op on quantized values has; none for another op.
std::optional<size_t> inputs_of_quantized(const Node& n) {
  static const std::pair<const char*, size_t> kOps[] = {{"Dequantize", 3},          {"QuantizeV2", 3},
                                                        {"QuantizedAvgPool", 3},    {"QuantizedMaxPool", 3},
                                                        {"Requantize", 5},          {"RequantizationRangePerChannel", 3},
                                                        {"RequantizePerChannel", 5}};
  if (const auto layer = integer_layer(n)) return layer->inputs;
  if (n.op == "QuantizedConcatV2" || n.op == "QuantizedConcat") return 3 * static_cast<size_t>(n.attr_or("N", int64_t{0})) + 1;
  for (const auto& [op, inputs] : kOps)
    if (n.op == op) return inputs;
  return {};
}

}  // namespace

void rename_mkl_ops(Graph& graph) {
  constexpr std::string_view kPrefix = "_Mkl";
  for (NodeId id : graph.ids()) {
    if (!graph.node(id).op.starts_with(kPrefix)) continue;
    Node plain = graph.node(id);
    plain.op.erase(0, kPrefix.size());
    if (inputs_of_quantized(plain) != plain.inputs.size() || is_channels_first(plain)) continue;
    for (const char* internal : {"data_format", "is_filter_const", "is_bias_const"}) plain.attrs.erase(internal);
    graph.node(id) = std::move(plain);
  }
}

void split_fused_ops(Graph& graph) {
  for (NodeId id : graph.ids())
    if (graph.node(id).op.starts_with("_Fused")) Splitter(graph, id).run();
}

}  // namespace cytodet::graph
