#include "graph/ir/integer_layer.h"

#include <algorithm>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

namespace cytodet::graph {
namespace {

using Product = IntegerLayer::Product;

// `fused` in the words of the attribute fused_ops.
struct OpEntry {
  const char* op;
  Product product;
  const char* fused;
};
constexpr OpEntry kIntegerOps[] = {
    {"QuantizedConv2D", Product::conv, ""},
    {"QuantizedConv2DAndRelu", Product::conv, "Relu"},
    {"QuantizedConv2DAndReluAndRequantize", Product::conv, "Relu Requantize"},
    {"QuantizedConv2DAndRequantize", Product::conv, "Requantize"},
    {"QuantizedConv2DPerChannel", Product::conv, ""},
    {"QuantizedConv2DWithBias", Product::conv, "BiasAdd"},
    {"QuantizedConv2DWithBiasAndRelu", Product::conv, "BiasAdd Relu"},
    {"QuantizedConv2DWithBiasAndReluAndRequantize", Product::conv, "BiasAdd Relu Requantize"},
    {"QuantizedConv2DWithBiasAndRequantize", Product::conv, "BiasAdd Requantize"},
    {"QuantizedConv2DWithBiasSignedSumAndReluAndRequantize", Product::conv, "BiasAdd Sum Relu Requantize"},
    {"QuantizedConv2DWithBiasSumAndRelu", Product::conv, "BiasAdd Sum Relu"},
    {"QuantizedConv2DWithBiasSumAndReluAndRequantize", Product::conv, "BiasAdd Sum Relu Requantize"},
    {"QuantizedDepthwiseConv2D", Product::depthwise, ""},
    {"QuantizedDepthwiseConv2DWithBias", Product::depthwise, "BiasAdd"},
    {"QuantizedDepthwiseConv2DWithBiasAndRelu", Product::depthwise, "BiasAdd Relu"},
    {"QuantizedDepthwiseConv2DWithBiasAndReluAndRequantize", Product::depthwise, "BiasAdd Relu Requantize"},
    {"QuantizedMatMul", Product::matmul, ""},
    {"QuantizedMatMulWithBias", Product::matmul, "BiasAdd"},
    {"QuantizedMatMulWithBiasAndDequantize", Product::matmul, "BiasAdd Dequantize"},
    {"QuantizedMatMulWithBiasAndRelu", Product::matmul, "BiasAdd Relu"},
    {"QuantizedMatMulWithBiasAndReluAndRequantize", Product::matmul, "BiasAdd Relu Requantize"},
    {"QuantizedMatMulWithBiasAndRequantize", Product::matmul, "BiasAdd Requantize"},
    {"_FusedQuantizedConv2D", Product::conv, nullptr},
    {"_FusedQuantizedDepthwiseConv2D", Product::depthwise, nullptr},
};

const OpEntry* entry_of(std::string_view op) {
  const auto* entry = std::find_if(std::begin(kIntegerOps), std::end(kIntegerOps), [&](const OpEntry& r) { return op == r.op; });
  return entry == std::end(kIntegerOps) ? nullptr : entry;
}

std::vector<std::string> words(const char* text) {
  std::istringstream in(text);
  std::vector<std::string> all;
  for (std::string word; in >> word;) all.push_back(word);
  return all;
}

}  // namespace

std::vector<const char*> integer_layer_names() {
  std::vector<const char*> names;
  for (const OpEntry& entry : kIntegerOps) names.push_back(entry.op);
  return names;
}

std::optional<IntegerLayer> integer_layer(const Node& n) {
  const OpEntry* entry = entry_of(n.op);
  if (!entry) return {};
  std::vector<std::string> fused = entry->fused ? words(entry->fused) : n.attr_or("fused_ops", AttrList{}).strings;
  const auto take = [&](std::string_view op) {
    if (fused.empty() || fused.front() != op) return false;
    fused.erase(fused.begin());
    return true;
  };
  IntegerLayer l;
  l.product = entry->product;
  const bool bias = take("BiasAdd"), sum = take("Sum");
  l.relu = take("Relu");
  if (take("Requantize"))
    l.result = IntegerLayer::Result::quantized;
  else if (take("Dequantize"))
    l.result = IntegerLayer::Result::floats;
  if (!fused.empty()) return {};
  // Ops that list what is fused in their names have the summand last, the others behind the bias. A summand of floats has no
  // range.
  int at = 2;
  const auto next = [&](int count) { return std::exchange(at, at + count); };
  const bool last = entry->fused != nullptr, quantized = !last || l.result == IntegerLayer::Result::quantized;
  if (bias) l.bias = next(1);
  if (sum && !last) l.summand = next(1);
  l.input_range = next(2);
  l.filter_range = next(2);
  if (sum && !last) l.summand_range = next(2);
  if (l.result != IntegerLayer::Result::sums) l.result_range = next(2);
  if (sum && last) l.summand = next(1);
  if (sum && last && quantized) l.summand_range = next(2);
  l.inputs = static_cast<size_t>(at);
  return l;
}

Node with_explicit_padding(const Node& n) {
  Node conv = n;
  const AttrList list = n.attr_or("padding_list", AttrList{});
  if (list.ints.empty()) return conv;
  conv.attrs["padding"] = "EXPLICIT";
  conv.attrs["explicit_paddings"] = list;
  return conv;
}

}  // namespace cytodet::graph
