// What surrounds a convolution in the graph and belongs to its layer.
#pragma once

#include <optional>
#include <vector>

#include "exec/lower/lowering.h"

namespace cytodet::exec {

// The bias, activation and residual that follow a convolution and fit its epilogue:
//
//   v ─▶ [BiasAdd | Add constant | Mul constant | batch norm]* ─▶ [Add residual] ─▶ [Relu | Relu6 | Sigmoid | swish | GELU] ─▶
//   [Add residual] ─▶
//
// with at most one residual. Each node is absorbed only where it alone reads the value before it, and keeps that value's shape.
// Layers whose epilogue takes a residual (absorb_tail's with_residual) also absorb GELU, and reshapes that keep the channels. A
// value whose rows are known only when it runs has neither: only biases, multiplications and other activations are absorbed.
struct Tail {
  Value output;
  std::vector<float> bias;     // [channels]
  std::vector<float> factors;  // [channels] that v is multiplied by before; empty: none
  Act act = Act::none;
  Value residual = kNoValue;
  bool residual_first = false;  // added before act
  std::vector<NodeId> nodes;
};
Tail absorb_tail(const Lowering& low, Value v, int64_t channels, bool with_residual, bool with_factors = false);

// v ─┬─▶ Sigmoid ─▶ Mul ─▶     with no other reader of v: the Mul; -1 otherwise. `sigmoid` gets the Sigmoid.
//    └─────────────┘
NodeId swish_after(const Lowering& low, Value v, NodeId& sigmoid);

// v ─┬─▶ Add 3 ─▶ Relu6 ─▶ Mul 1/6 ─▶ Mul ─▶     the same of hard swish, the two Muls in either order, or a division by 6;
//    └────────────────────────────────┘           `inner` gets the nodes between
NodeId hard_swish_after(const Lowering& low, Value v, std::vector<NodeId>& inner);

// v ─▶ nodes of v and single numbers ─▶ last      with no other reader of v: what they compute, where that is GELU in any
// spelling
struct ComputedAct {
  Act act;
  NodeId last;
  std::vector<NodeId> inner;  // the nodes before it
};
std::optional<ComputedAct> computed_act_after(const Lowering& low, Value v);

// Geometry of Conv2D, DepthwiseConv2dNative, Conv3D and poolings; empty where it is not static, not channels last, or beyond what
// the kernels take.
std::optional<ConvShape> conv_shape(const Lowering& low, NodeId id, Value input, Value output, const Tensor& filter);

}  // namespace cytodet::exec
