// Layers on 8-bit quantized values become float layers between QuantizeV2 and Dequantize (graph/quantized/quant_nodes.h), which
// kernels run in 8 bits. A node that gave quantized values becomes the QuantizeV2 of the float result, by its name: whoever
// read its quantized values or its range still does.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "graph/ir/frames.h"
#include "graph/ir/integer_layer.h"
#include "graph/ir/op.h"
#include "graph/passes/pass.h"
#include "graph/quantized/quant_nodes.h"

namespace cytodet::graph {

// A node on quantized values that no 8-bit kernel runs, and why: it stays as it is, or computes with floats.
struct UnraisedNode {
  std::string name, op, why;
};

// All of them in topological order, once raise_int8 has run.
std::vector<UnraisedNode> unraised_nodes(const Graph& graph, const Interface& io);

namespace raise {

// The two ends of a range.
struct Ends {
  float low, high;
  float top() const { return std::max(std::abs(low), std::abs(high)); }
  // What mode SCALED takes it for: symmetric where quantized values are signed, else from 0 on.
  Ends scaled(bool is_signed) const { return {is_signed ? -top() : 0, top()}; }
};

// Quantized values that are `quant` of x. `ends`: the range that the node states for them.
struct QuantizedSource {
  Value x;
  QuantParams quant;
  Ends ends;
};

// An integer layer with constant filter and ranges, or one with the Requantize that alone reads its sums.
struct LayerFacts {
  IntegerLayer layer;
  NodeId node = -1, last = -1;  // the layer; the node that gives the result
  bool is_signed = false, min_first = false;
  Ends input{0, 0};
  bool computes_range = false;  // QuantizeV2 makes the input with a range that each run computes: the product is one of floats
  double step = 1;              // of the input: its quantized value q is q * step, where min_first input.low + q * step
  QuantizedWeights weights;
  std::vector<double> bias;  // per output channel, in units of the float result
  bool whole_bias = false;   // stored as 32-bit integers; it then includes what input.low adds to the sums
  // The scale and zero point of a quantized result, and the range that the node states for it.
  QuantParams result;
  Ends result_ends{0, 0};
  bool observed = false;  // the range is that of calibration: results beyond it need not be cut off
};

// Whether nothing is wrong; else why.
using Why = std::string;
constexpr const char* kComputesRange =
    "it computes with floats, as the range of what it reads is computed when it runs: freeze it (freeze_min, freeze_max)";

class Int8Rewriter {
 public:
  Int8Rewriter(Graph& graph, const Interface& io);
  // Raises the node if it is one on quantized values; true when it was.
  bool raise(NodeId id);
  const std::map<NodeId, UnraisedNode>& left() const { return left_; }

 private:
  // read_layer_facts.cpp: what is known of a node.
  std::optional<Ends> ends_of(Value low, Value high) const;
  void note_quantize(NodeId id);
  void note_range(NodeId id);
  Why read_layer_facts(NodeId id, LayerFacts& facts) const;
  Why read_result(LayerFacts& facts) const;
  Why read_weights(LayerFacts& facts) const;
  Why read_bias(LayerFacts& facts) const;
  Why read_requantize(LayerFacts& facts) const;

  // raise_layer.cpp
  struct Source {
    Value value;
    QuantParams quant;
    std::array<int64_t, 4> pads{};
  };
  Why raise_layer(NodeId id);
  std::optional<Source> source_of(const LayerFacts& facts);
  std::optional<QuantizedSource> quantized_source(Value v, const Ends& ends, DType type);
  bool look_behind_shift(const LayerFacts& facts, Source& source) const;
  void look_behind_pad(Source& source) const;
  std::optional<Value> summand_of(const LayerFacts& facts);
  bool pads(const LayerFacts& facts) const;
  NodeId add_product(const LayerFacts& facts, const Source& source);
  void set_padding(Node& conv, const Node& old, const Shape& filter, const Source& source) const;
  Value with_bias(Value product, const LayerFacts& facts, const Source& source, double offset);
  // The Dequantizes of the result, which give the float result from now on, and the offset that they add to it.
  std::vector<NodeId> readers_of_floats(const LayerFacts& facts, double& offset) const;
  void give(const std::vector<NodeId>& readers, Value& result);

  // raise_maps.cpp
  Why raise_map(NodeId id);
  Why raise_concat(NodeId id);

  // Whether a node or one of its constants waits for others: what takes its place would not.
  bool waits(NodeId id) const;
  Value add(const std::string& base, std::string op, std::vector<Value> inputs, AttrMap attrs = {});
  // Dequantize `name` of quantized values with a constant range: SCALED, or MIN_COMBINED.
  Value add_dequantize(const std::string& name, Value quantized, DType type, const Ends& range, const char* mode = "SCALED");
  // The node gives the quantized values of `floats` from now on.
  void become_quantized(NodeId id, Value floats, const QuantParams& quant, const Ends& ends);

  Graph& g_;
  const Facts facts_;
  const Frames frames_;
  const Consumers uses_;
  const std::set<NodeId> outputs_;
  std::map<Value, QuantizedSource> quantized_by_value_;
  std::map<NodeId, Ends> ends_;     // of nodes whose outputs 1 and 2 are a constant range
  std::map<Value, Value> numbers_;  // of quantized values whose range each run computes
  std::map<NodeId, UnraisedNode> left_;
};

}  // namespace raise
}  // namespace cytodet::graph
