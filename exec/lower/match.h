// The functions of the kernel and fusion tables, one file per idea; the tables are in match_table.cpp. Above each function's body
// a drawing shows the nodes that it matches.
#pragma once

#include <array>

#include "exec/lower/lowering.h"
#include "exec/steps/copy_step.h"

namespace cytodet::exec {

// Claims the one node as a layer whose step `make` builds: an Opaque one, or a RowOp.
Layer& claim(Lowering& low, NodeId id, std::vector<Value> inputs, MakeStep make);
Layer& claim_rows(Lowering& low, NodeId id, std::vector<Value> inputs, MakeStep make);

// Whether a value of known shape is within the limit of a tensor. One that is not is refused when it is given its place: no table
// of its rows or elements may be made before.
bool fits_tensor(const Lowering& low, Value v);

// The integers of a node's constant input; nothing where there is no such input or it is not known.
std::optional<std::vector<int64_t>> known_ints(const Lowering& low, const Node& n, size_t input);
// The dimension that an axis names, which counts from the end where it is negative; nothing where there is none.
std::optional<size_t> dimension_of(int64_t axis, size_t rank);
// The dimension that a node's constant input names.
std::optional<size_t> known_dimension(const Lowering& low, const Node& n, size_t input, size_t rank);

bool match_norm(Lowering& low, NodeId id);         // layer, group, instance and root-mean-square norms, from their pieces
bool match_dense_conv(Lowering& low, NodeId id);   // Conv2D, constant filter
bool match_depthwise(Lowering& low, NodeId id);    // constant filter, multiplier 1
bool match_matmul(Lowering& low, NodeId id);       // MatMul, constant right side
bool match_open_matmul(Lowering& low, NodeId id);  // match_matmul of a left side whose number of rows is known only when it runs
bool match_crops(Lowering& low, NodeId id);        // CropAndResize, and the AvgPool behind it
bool match_lstm(Lowering& low, NodeId id);         // BlockLSTM and BlockLSTMV2 without peepholes
bool match_sum(Lowering& low, NodeId id);          // Add/AddN of scaled, upsampled maps, and its activation
bool match_activation(Lowering& low, NodeId id);   // Relu, Relu6, Sigmoid, x * Sigmoid(x)
bool match_alias(Lowering& low, NodeId id);        // Identity, Reshape, Squeeze, ExpandDims: the same bytes
bool match_mean(Lowering& low, NodeId id);         // Mean over height and width
bool match_pool(Lowering& low, NodeId id);         // MaxPool, AvgPool over height and width
bool match_product(Lowering& low, NodeId id);      // Mul of two feature maps, or of one by a value per image and channel
bool match_concat(Lowering& low, NodeId id);       // ConcatV2
bool match_resize_nearest(Lowering& low, NodeId id);
bool match_resize_bilinear(Lowering& low, NodeId id);
bool match_grouped(Lowering& low, NodeId id);     // Conv2D of several groups, DepthwiseConv2dNative of any multiplier
bool match_reduce(Lowering& low, NodeId id);      // Sum, Mean, Max, Min over constant axes
bool match_channels(Lowering& low, NodeId id);    // LRN; ArgMax and ArgMin along the last dimension
bool match_copy(Lowering& low, NodeId id);        // Pad, Slice, StridedSlice, Transpose, Tile and the like: elements move
bool match_split(Lowering& low, NodeId id);       // Split, SplitV, Unpack
bool match_expression(Lowering& low, NodeId id);  // chains of element-wise nodes that no other kernel is made for
bool match_expression_rest(Lowering& low,
                           NodeId id);            // element-wise nodes that all other kernel entries and all fusions have left
bool match_fake_quant(Lowering& low, NodeId id);  // QuantizeV2 -> Dequantize alone

// input ─▶ Pad | PadV2 zeros over height and width ─▶ v; nothing when v is something else.
struct ZeroPad {
  Value input;
  NodeId node;
  int top, bottom, left, right;
};
std::optional<ZeroPad> zero_pad_before(const Lowering& low, Value v);
void set_padding(ConvShape& shape, const ZeroPad& pad);

// input ─▶ SpaceToBatchND ─▶ convolution [─▶ BiasAdd] ─▶ BatchToSpaceND ─▶ result.
struct Dilated {
  Value input, result;
  NodeId before;                 // SpaceToBatchND
  std::vector<NodeId> after;     // BiasAdd, BatchToSpaceND
  const Tensor* bias;            // null: none
  std::array<int64_t, 4> edges;  // padding: top, bottom, left, right
  int dilation_h, dilation_w;
};
std::optional<Dilated> dilated_by_batches(const Lowering& low, Value input, NodeId conv);
// False where the sizes of the convolution's input and result do not agree with it.
bool set_dilation(ConvShape& s, const Dilated& d);

// Whether the op gives its input's elements in their order.
bool is_alias(const std::string& op);
// v as elements of the first input (of Split, the second) of its node, where that only moves elements: one list for each
// dimension of v. Nothing where some are filled in.
std::optional<Copy> one_move(const Lowering& low, Value v);
// `then` moves elements of a value of shape `between`, whose elements are those of `first`: both in one. Nothing where that is no
// sum of parts.
std::optional<Copy> composed(const Copy& first, const Shape& between, const Copy& then);

bool match_deconv(Lowering& low, NodeId id);            // Conv2DBackpropInput
bool match_attention(Lowering& low, NodeId id);         // the product before a Softmax, the Softmax, and the product behind it
bool match_computed_product(Lowering& low, NodeId id);  // MatMul, BatchMatMul*, Einsum of two computed sides
bool match_softmax(Lowering& low, NodeId id);

void fuse_fake_quant(Lowering& low);           // QuantizeV2 -> Dequantize -> a layer that reads in rows: read fake-quantized
void fuse_pooled_mean(Lowering& low);          // depthwise -> Mean: summed in the depthwise epilogue
void fuse_gate_into_pointwise(Lowering& low);  // Mul by a gate -> pointwise conv: the gate scales the weights
void fuse_expand_depthwise(Lowering& low);     // dense conv -> depthwise
void fuse_sum_depthwise(Lowering& low);        // weighted sum -> depthwise
void fuse_depthwise_pointwise(Lowering& low);

}  // namespace cytodet::exec
