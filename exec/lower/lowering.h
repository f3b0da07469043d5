// Lowering: Graph -> layers -> steps. Kernel entries claim nodes of the graph as layers; fusions join layers; then every layer
// becomes a step over numbered tensors. A node nobody claims becomes a plain step.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
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

// Whether a layer only moves data, so that it does the same to quantized values: none (it computes), same_channels (every value
// stays in its channel), joined_channels (its inputs' channels become the output's channels, one after another), other_channels
// (values may come to other channels, and zeros between them). One that reads floats all the same quantizes them where it can.
enum class DataMovement { none, same_channels, joined_channels, other_channels };

// The tensors that a step is made of.
struct LayerIo {
  std::vector<StepInput> inputs;
  StepOutput output;
  int second = -1;                   // the tensor of Opaque::second
  std::vector<int> tensors() const;  // of the inputs, for steps that take them as they stand
};

using MakeStep = std::function<std::unique_ptr<Step>(const LayerIo&)>;

// What a layer computes is a ConvChain, a WeightedSum, a RowOp or an Opaque (LayerKind).

// [terms ->] [dense ->] [depthwise ->] [pointwise], on the own kernels (conv_steps.h):
//
//   input ─▶ dense                              input * gate ─▶ dense, where dense is pointwise
//   input ─▶ dense ─▶ depthwise                 the expansion of an inverted residual
//   input or sum of terms ─▶ depthwise [─▶ pointwise]
//
// each with bias and activation, then [+ residual]; `pooled` gets the mean of the depthwise output.
struct ConvChain {
  std::optional<DenseConv> dense;
  std::optional<DepthwiseConv> depthwise;
  std::optional<DenseConv> pointwise;  // only after depthwise
  std::vector<Term> terms;             // only before depthwise, instead of input
  Act terms_act = Act::none;
  Value input = kNoValue, gate = kNoValue, residual = kNoValue, pooled = kNoValue;
  bool residual_first = false;  // added before the activation

  bool only_dense() const { return dense && !depthwise; }
  bool only_depthwise() const { return depthwise && !dense && !pointwise; }
};

// act(sum of weight * upsampled term).
struct WeightedSum {
  std::vector<Term> terms;
  Act act = Act::none;
};

// A step that reads and writes feature maps row by row (row_steps.h): of any storage type, fake-quantized where the graph says
// so.
struct RowOp {
  std::vector<Value> inputs;
  MakeStep make;
  bool gated = false;      // a product, whose inputs[1] is one pixel per image
  bool unbounded = false;  // its results may be larger in magnitude than the product of its inputs
  bool joins = false;      // its results are the values of its inputs, each of which may be stored in its own way
};

// Any other step. It reads and writes f32; one that moves data takes its inputs as they are stored.
struct Opaque {
  std::vector<Value> inputs;
  MakeStep make;
  bool stores_rows = false;  // its output may be of any storage type
  Value second = kNoValue;   // another output, in floats
};

using LayerKind = std::variant<Opaque, RowOp, WeightedSum, ConvChain>;

struct Layer {
  NodeId root = -1;  // gives the output, names the step
  Value output;
  LayerKind kind;
  DataMovement movement = DataMovement::none;
  // For movement other_channels: values of input channel i come to output channel channels_after[i % channels_after.size()], to
  // none where that is -1. Empty: the values of one channel come to several.
  std::vector<int64_t> channels_after;
  // What the graph has it fake-quantize on read (quantize, then dequantize). What a convolution multiplies is not listed here: it
  // has its parameters in DenseConv and DepthwiseConv.
  std::map<Value, QuantParams> fake_quant;

  // How the output is stored (assign_storage).
  std::optional<QuantizeSpec> storage_quant;     // as q8
  StorageType float_storage = StorageType::f32;  // else as f32, f16 or bf16
  float fp16_scale = 1;                          // of f16: a power of two

  template <class Kind>
  Kind* as() {
    return std::get_if<Kind>(&kind);
  }
  template <class Kind>
  const Kind* as() const {
    return std::get_if<Kind>(&kind);
  }

  bool joins() const {  // RowOp::joins
    const auto* op = as<RowOp>();
    return op && op->joins;
  }
  std::vector<Value> reads() const;
  std::vector<Value> writes() const;
  void read_instead(Value of, Value instead);
  // Whether v, which it reads, only goes into sums, products with other maps and the like, not into a convolution: then it is
  // read through a RowSource, which takes any storage type and fake-quantizes.
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
  std::map<Value, QuantizeSpec> quantized_inputs;
  bool bf16 = false;  // dense layers that are not in 8 bits are on bf16, and feature maps may be stored so

  // Place of a needed node in `order`; -1 of others.
  int position(NodeId id) const { return positions_[static_cast<size_t>(id)]; }
  bool needed(NodeId id) const { return needed_[static_cast<size_t>(id)]; }
  bool taken(NodeId id) const { return taken_[static_cast<size_t>(id)]; }
  void take(const std::vector<NodeId>& nodes);
  // Gives taken nodes back to be plain nodes, where a plain node or a layer reads a value that no layer gives.
  void release();
  bool is_wanted(Value v) const { return wanted_set_.contains(v); }

  // Known before data: a Const or a folded value; null otherwise.
  const Tensor* constant(Value v) const;
  // Shape of a float value when every dimension is known; null otherwise.
  const Shape* float_shape(Value v) const;
  // Shape of a float value when the number of its dimensions is known, -1 for each that is known only when it runs; null
  // otherwise.
  const Shape* open_float_shape(Value v) const;
  // Needed nodes that read v, when v is no plan output (else empty: nothing may be absorbed across it).
  std::vector<Consumers::Use> absorbable_uses(Value v) const;
  // The one node that reads v (data), if v is no plan output; -1 otherwise.
  NodeId sole_reader(Value v) const;
  // Takes the nodes as a layer that gives `output` (whose node is its root).
  Layer& add_layer(Value output, LayerKind kind, const std::vector<NodeId>& nodes);
  // Layer whose output is v; -1.
  int producer(Value v) const;
  void remove_layer(int index);

 private:
  std::set<Value> wanted_set_;
  std::vector<char> needed_, taken_;
  std::vector<int> positions_;
};

struct KernelEntry {
  const char* name;
  bool (*match)(Lowering&, NodeId);  // claims the node (and those around it) as a layer, or says no
};
struct FusionEntry {
  const char* name;
  void (*run)(Lowering&);
};
std::vector<KernelEntry> kernel_entries();  // in order of preference
std::vector<FusionEntry> fusion_entries();  // in the order they run
// Decides how each layer's output is stored (storage_quant, float_storage): quantized where all readers would quantize it alike;
// else as f16 where all readers are in 8 bits and a bound of its values is known; in bf16 plans as bf16 where all readers take
// it; else as f32. With quantized_inputs, inputs of the plan that all readers quantize alike are quantized too
// (Lowering::quantized_inputs).
void assign_storage(Lowering& low, bool quantized_inputs);

// Throws Error naming the node when weights hold NaN or infinity.
void require_finite(const Tensor& t, const std::string& node);

}  // namespace cytodet::exec
