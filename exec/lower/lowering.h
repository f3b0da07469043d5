// Lowering: Graph -> layers -> steps. Kernel rows claim nodes of the graph as layers; fusions join layers; then every layer
// becomes a step over numbered tensors. A node nobody claims becomes a plain step.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "exec/steps/conv_steps.h"
#include "graph/ir/op.h"

namespace cytodet::exec {

constexpr Value kNoValue{-1, 0};

struct Term {
  Value value;
  float weight = 1;
  int repeat = 1;  // nearest upsampling
};

// Whether a layer only moves numbers, so that it does the same to codes: they stay in their channels, or its inputs become the
// output's channels one after another.
enum class Moves { no, in_channels, into_channels };

// What a step is made of.
struct LayerIo {
  std::vector<StepInput> inputs;
  StepOutput output;
  std::vector<int> tensors() const;  // of the inputs, for steps that take them as they stand
};

struct Layer {
  NodeId root = -1;  // gives the output, names the step
  Value output;
  std::vector<Value> inputs;  // of layers with `make`
  // Of what it reads, where the graph says so: the numbers become these codes first (and numbers again). Those that a convolution
  // multiplies have theirs in DenseConv and DepthwiseConv.
  std::map<Value, Quant> codes;

  // Convolution layers: [terms ->] [expand ->] [depthwise ->] [pointwise], see conv_steps.h.
  std::optional<DenseConv> dense;  // alone, or before depthwise
  std::optional<DepthwiseConv> depthwise;
  std::optional<DenseConv> pointwise;  // after depthwise
  std::vector<Term> terms;
  Act terms_act = Act::none;
  Value input = kNoValue, gate = kNoValue, residual = kNoValue, pooled = kNoValue;
  bool residual_first = false;

  std::optional<Coding> coding;  // the output is stored as codes
  Form numbers = Form::floats;   // else as these
  float unit = 1;                // a power of two, of halves

  // Any other layer.
  Moves moves = Moves::no;
  bool unbounded = false;  // its results may be larger than what it reads
  bool in_rows = false;  // it takes maps row by row (row_steps.h), so in any form
  std::function<std::unique_ptr<Step>(const LayerIo&)> make;

  std::vector<Value> reads() const;
  void read_instead(Value of, Value instead);
  std::vector<Value> writes() const;
  bool only_dense() const { return dense && !depthwise; }
  bool only_depthwise() const { return depthwise && !dense && !pointwise; }
  bool only_sum() const { return !terms.empty() && !depthwise; }
  // Whether v, which it reads, only goes into sums, products with other maps and the like: not into a convolution.
  bool reads_in_rows(Value v) const;
};

class Lowering {
 public:
  Lowering(const Graph& graph, const std::map<Value, Fact>& known, std::vector<Value> wanted);

  const Graph& graph;
  Facts facts;
  Consumers uses;
  std::vector<Value> wanted;  // outputs of the plan
  std::vector<NodeId> order;  // nodes that the outputs need, inputs first
  std::vector<Layer> layers;
  std::map<Value, Coding> coded_inputs;
  bool bf16 = false;  // dense layers not on codes are on bfloat16 numbers, and maps may be such

  bool needed(NodeId id) const { return needed_[static_cast<size_t>(id)]; }
  bool taken(NodeId id) const { return taken_[static_cast<size_t>(id)]; }
  void take(const std::vector<NodeId>& nodes);
  // Nodes that were taken although a plain node or a layer reads what no layer gives are plain nodes again.
  void release();
  bool is_wanted(Value v) const { return wanted_set_.contains(v); }

  // Known before data: a Const or a folded value; null otherwise.
  const Tensor* constant(Value v) const;
  // Shape of a float value when every dimension is known; null otherwise.
  const Shape* float_shape(Value v) const;
  // Needed nodes that read v, when v is no plan output (else empty: nothing may be absorbed across it).
  std::vector<Consumers::Use> absorbable_uses(Value v) const;
  // The one node that reads v (data), if v is no plan output; -1 otherwise.
  NodeId sole_reader(Value v) const;
  // Layer whose output is v; -1.
  int producer(Value v) const;
  void remove_layer(int index);

 private:
  std::set<Value> wanted_set_;
  std::vector<char> needed_, taken_;
};

struct KernelRow {
  const char* name;
  bool (*match)(Lowering&, NodeId);  // claims the node (and those around it) as a layer, or says no
};
struct FusionRow {
  const char* name;
  void (*run)(Lowering&);
};
std::vector<KernelRow> kernel_rows();  // in order of preference
std::vector<FusionRow> fusion_rows();  // in the order they run
// Lets the outputs be stored as codes of which all readers would make the same codes, and as halves what layers on codes give to
// each other otherwise, in plans on bfloat16 numbers as those, on CPUs whose memory is slower than their products.
void choose_forms(Lowering& low, bool coded_inputs);

// What follows a convolution in the graph and fits its epilogue.
struct Tail {
  Value output;
  std::vector<float> bias;
  Act act = Act::none;
  Value residual = kNoValue;
  bool residual_first = false;
  std::vector<NodeId> nodes;
};
Tail absorb_tail(const Lowering& low, Value v, int64_t channels, bool with_residual);
// v -> Sigmoid -> Mul(v, .) with no other reader: the Mul; -1 otherwise. `sigmoid` gets the Sigmoid.
NodeId swish_after(const Lowering& low, Value v, NodeId& sigmoid);
// Geometry of Conv2D and DepthwiseConv2dNative in NHWC; empty when it is not static, NCHW or out of the kernels' range.
std::optional<ConvShape> conv_shape(const Lowering& low, NodeId id, Value input, Value output, const Tensor& filter);

// Throws Error naming the node when weights hold NaN or infinity.
void require_finite(const Tensor& t, const std::string& node);

}  // namespace cytodet::exec
