#include "graph/io/tflite/edge_tpu.h"

#include <algorithm>
#include <map>
#include <set>

#include "graph/io/tflite/call.h"

namespace cytodet::graph::lite {
namespace {

using Code = schema::BuiltinOperator;

constexpr const char* kMapped = "Mapped to Edge TPU";
constexpr const char* kLimited = "Operation is otherwise supported, but not mapped due to some unspecified limitation";
constexpr const char* kType = "Operation is working on an unsupported data type";
constexpr const char* kRank = "Tensor has unsupported rank (up to 3 innermost dimensions mapped)";
constexpr const char* kSecond = "More than one subgraph is not supported";
constexpr const char* kUnknown = "Operation not supported";

// One operator with its tensors.
struct Seen {
  const LiteGraph& graph;
  const LiteOp& op;
  const LiteTensor* tensor(const std::vector<int>& list, size_t i) const {
    return i < list.size() && list[i] >= 0 ? &graph.tensors[static_cast<size_t>(list[i])] : nullptr;
  }
  const LiteTensor* in(size_t i) const { return tensor(op.inputs, i); }
  const LiteTensor* out(size_t i) const { return tensor(op.outputs, i); }
  template <class T>
  const T* options() const {
    return op.raw->builtin_options_as<T>();
  }
  std::vector<int64_t> numbers(size_t i) const {
    const LiteTensor* t = in(i);
    return t && !t->data.empty() && (t->dtype == DType::i32 || t->dtype == DType::i64) ? t->stored().as_ints()
                                                                                       : std::vector<int64_t>();
  }
};

int wide_dims(const Shape& s) {
  return static_cast<int>(std::count_if(s.begin(), s.end(), [](int64_t d) { return d > 1; }));
}

// The rule that keeps it on the CPU; empty: none.
using Rule = std::string (*)(const Seen&);
std::string any(const Seen&) { return {}; }

std::string same_dilation(const Seen& s) {
  if (const auto* o = s.options<schema::Conv2DOptions>(); o && o->dilation_h_factor() != o->dilation_w_factor())
    return "dilation must be equal both ways";
  if (const auto* o = s.options<schema::DepthwiseConv2DOptions>(); o && o->dilation_h_factor() != o->dilation_w_factor())
    return "dilation must be equal both ways";
  return {};
}
std::string no_pool_activation(const Seen& s) {
  const auto* o = s.options<schema::Pool2DOptions>();
  return o && o->fused_activation_function() != schema::ActivationFunctionType::NONE ? "must have no activation" : "";
}
std::string plain_concat(const Seen& s) {
  const auto* o = s.options<schema::ConcatenationOptions>();
  if (o && o->fused_activation_function() != schema::ActivationFunctionType::NONE) return "must have no activation";
  for (size_t i = 0; i < s.op.inputs.size(); ++i) {
    const LiteTensor* t = s.in(i);
    if (!t || t->data.empty()) continue;
    const Tensor numbers = t->is_quantized() ? numbers_of(*t) : Tensor();
    const bool zero = numbers.defined() &&
                      std::all_of(numbers.data<float>(), numbers.data<float>() + numbers.size(), [](float v) { return v == 0; });
    if (!zero || s.op.inputs.size() != 2) return "a constant input must be all zero, and one of two";
  }
  return {};
}
std::string vector_result(const Seen& s) {
  const auto* o = s.options<schema::FullyConnectedOptions>();
  if (o && o->weights_format() != schema::FullyConnectedOptionsWeightsFormat::DEFAULT)
    return "weights must be in the default format";
  return s.out(0) && wide_dims(s.out(0)->shape) > 1 ? "its result must have one dimension" : "";
}
std::string not_over_batch(const Seen& s) {
  const LiteTensor* x = s.in(0);
  for (int64_t axis : s.numbers(1)) {
    if (!x) continue;
    const int64_t d = axis < 0 ? axis + static_cast<int64_t>(x->shape.size()) : axis;
    if (d == 0 && x->shape.size() > 1) return "must not reduce the batch";
  }
  return {};
}
std::string mean_rule(const Seen& s) {
  if (std::string rule = not_over_batch(s); !rule.empty()) return rule;
  const LiteTensor* x = s.in(0);
  if (!x || x->shape.size() < 2) return {};
  const int64_t last = static_cast<int64_t>(x->shape.size()) - 1;
  for (int64_t axis : s.numbers(1))
    if ((axis < 0 ? axis + last + 1 : axis) == last && x->shape.back() % 4)
      return "a mean over channels needs a multiple of 4 of them";
  return {};
}
std::string vector_slope(const Seen& s) {
  return s.in(1) && wide_dims(s.in(1)->shape) > 1 ? "alpha must have one dimension" : "";
}
std::string resize_rule(const Seen& s) {
  return s.in(0) && wide_dims(s.in(0)->shape) > 3 ? "its input must have three dimensions" : "";
}
std::string softmax_rule(const Seen& s) {
  if (!s.in(0)) return {};
  if (wide_dims(s.in(0)->shape) > 1) return "its input must have one dimension";
  return elements(s.in(0)->shape) > 16000 ? "its input must have at most 16,000 elements" : "";
}
std::string slice_rule(const Seen& s) {
  const auto* o = s.options<schema::StridedSliceOptions>();
  if (o && (o->ellipsis_mask() || o->new_axis_mask())) return "must have no ellipsis and no new axis";
  for (int64_t stride : s.numbers(3))
    if (stride != 1) return "strides must be 1";
  return {};
}

const std::map<Code, Rule>& edge_rules() {
  static const std::map<Code, Rule> rules = {{Code::ADD, any},
                                             {Code::AVERAGE_POOL_2D, no_pool_activation},
                                             {Code::CONCATENATION, plain_concat},
                                             {Code::CONV_2D, same_dilation},
                                             {Code::DEPTHWISE_CONV_2D, same_dilation},
                                             {Code::EXPAND_DIMS, any},
                                             {Code::FULLY_CONNECTED, vector_result},
                                             {Code::L2_NORMALIZATION, any},
                                             {Code::LOGISTIC, any},
                                             {Code::MAXIMUM, any},
                                             {Code::MAX_POOL_2D, no_pool_activation},
                                             {Code::MEAN, mean_rule},
                                             {Code::MINIMUM, any},
                                             {Code::MUL, any},
                                             {Code::PACK, not_over_batch},
                                             {Code::PAD, any},
                                             {Code::PRELU, vector_slope},
                                             {Code::QUANTIZE, any},
                                             {Code::REDUCE_MAX, not_over_batch},
                                             {Code::REDUCE_MIN, not_over_batch},
                                             {Code::RELU, any},
                                             {Code::RELU6, any},
                                             {Code::RELU_N1_TO_1, any},
                                             {Code::RESHAPE, any},
                                             {Code::RESIZE_BILINEAR, resize_rule},
                                             {Code::RESIZE_NEAREST_NEIGHBOR, resize_rule},
                                             {Code::RSQRT, any},
                                             {Code::SLICE, any},
                                             {Code::SOFTMAX, softmax_rule},
                                             {Code::SPACE_TO_DEPTH, any},
                                             {Code::SPLIT, any},
                                             {Code::SQUARED_DIFFERENCE, any},
                                             {Code::SQUEEZE, any},
                                             {Code::STRIDED_SLICE, slice_rule},
                                             {Code::SUB, any},
                                             {Code::SUM, not_over_batch},
                                             {Code::TANH, any},
                                             {Code::TRANSPOSE, any},
                                             {Code::TRANSPOSE_CONV, any}};
  return rules;
}

bool is_8bit(const LiteTensor& t) { return t.dtype == DType::i8 || t.dtype == DType::u8; }

// Sets whether the operator maps to the chip, and why not, by the rules for it alone: the operators before it do not count.
void apply_rules(const Seen& s, EdgeOp& op) {
  const auto refuse = [&](const char* status, const std::string& rule) {
    op.status = status;
    op.rule = rule;
  };
  const auto rule = edge_rules().find(static_cast<Code>(s.op.code));
  const auto is_code = [&](Code c) { return s.op.code == static_cast<int>(c); };
  bool all_8bit = true, fits = true, fixed = true;
  for (const auto* list : {&s.op.inputs, &s.op.outputs})
    for (size_t i = 0; i < list->size(); ++i) {
      const LiteTensor* t = s.tensor(*list, i);
      if (!t) continue;
      const bool counts = t->dtype == DType::i32 || t->dtype == DType::i64;  // biases, axes, sizes
      all_8bit &= is_8bit(*t) || (counts && !t->data.empty());
      fits &= counts || wide_dims(t->shape) <= 3 || !t->data.empty();
      fixed &= !t->signature || is_static(*t->signature) || list == &s.op.inputs;
    }
  if (is_code(Code::QUANTIZE) && s.in(0) && s.in(0)->dtype == DType::f32) return refuse(kLimited, "it takes floats");
  if (is_code(Code::DEQUANTIZE)) return refuse(kType, "it gives floats");
  if (rule == edge_rules().end()) return refuse(kUnknown, "it is not among the operators of the chip");
  if (!all_8bit) return refuse(kType, "all its tensors must be 8-bit: convert the model in full integer");
  if (!fits) return refuse(kRank, "more than three of its dimensions are larger than 1");
  if (!fixed) return refuse(kLimited, "sizes must be fixed");
  if (const std::string broken = rule->second(s); !broken.empty()) return refuse(kLimited, broken);
  op.mapped = true;
  op.status = kMapped;
}

}  // namespace

EdgeForecast forecast_edge_tpu(const LiteModel& model) {
  EdgeForecast f;
  const LiteGraph& g = model.graphs.at(0);
  // For each tensor: whether a mapped operator stands before it, and whether the CPU has had it after that.
  std::vector<bool> behind_mapped(g.tensors.size()), came_back(g.tensors.size());
  std::set<int> parameters;
  for (const LiteOp& op : g.ops) {
    const Seen s{g, op};
    EdgeOp e{op.name(), s.out(0) ? s.out(0)->name : "", false, {}, {}};
    apply_rules(s, e);
    bool behind = false, back = false;
    for (int t : op.inputs)
      if (t >= 0) {
        behind |= behind_mapped[static_cast<size_t>(t)];
        back |= came_back[static_cast<size_t>(t)];
      }
    if (e.mapped && back) {
      e.mapped = false;
      e.status = kSecond;
      e.rule = "it needs the result of an operator that stays on the CPU";
    }
    for (int t : op.outputs) {
      behind_mapped[static_cast<size_t>(t)] = behind || e.mapped;
      came_back[static_cast<size_t>(t)] = back || (behind && !e.mapped);
    }
    if (e.mapped) {
      f.subgraphs = 1;
      for (int t : op.inputs)
        if (t >= 0 && parameters.insert(t).second)
          f.parameter_bytes += static_cast<int64_t>(g.tensors[static_cast<size_t>(t)].data.size());
    }
    f.ops.push_back(std::move(e));
  }
  return f;
}

}  // namespace cytodet::graph::lite
