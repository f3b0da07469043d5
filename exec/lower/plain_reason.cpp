#include "exec/lower/plain_reason.h"

#include <algorithm>

#include "graph/ir/conv_node.h"

namespace cytodet::exec {
namespace {

// Ops that kernels are made for, under conditions.
constexpr const char* kCompiledOps[] = {"Add",
                                        "AddN",
                                        "AddV2",
                                        "ArgMax",
                                        "ArgMin",
                                        "AvgPool",
                                        "AvgPool3D",
                                        "BatchMatMulV2",
                                        "ConcatV2",
                                        "Conv2D",
                                        "BiasAdd",
                                        "Cast",
                                        "Conv2DBackpropInput",
                                        "Conv3D",
                                        "Conv3DBackpropInputV2",
                                        "DepthwiseConv2dNative",
                                        "DepthToSpace",
                                        "FusedBatchNormV3",
                                        "GatherV2",
                                        "MatMul",
                                        "Max",
                                        "MaxPool",
                                        "MaxPool3D",
                                        "Mean",
                                        "Min",
                                        "MirrorPad",
                                        "Mul",
                                        "Pad",
                                        "PadV2",
                                        "Pow",
                                        "ResizeBilinear",
                                        "ResizeNearestNeighbor",
                                        "Roll",
                                        "Select",
                                        "SelectV2",
                                        "Slice",
                                        "Softmax",
                                        "SpaceToDepth",
                                        "Split",
                                        "SplitV",
                                        "StridedSlice",
                                        "Sub",
                                        "Sum",
                                        "Tile",
                                        "Transpose",
                                        "Unpack"};

}  // namespace

std::string plain_reason(const Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  for (Value v : n.inputs)
    if (!low.constant(v) && !low.facts.of(v).has_static_shape())
      return "the shape of its input " + low.graph.name_of(v) + " is known only when it runs";
  const Fact& out = low.facts.of({id, 0});
  if (!out.has_static_shape()) return "its shape is known only when it runs";
  if (out.dtype != DType::f32) return "its values are " + name_of(out.dtype) + ", and kernels compute f32";
  if (is_channels_first(n)) return "its map is channels first";
  const bool made = std::any_of(std::begin(kCompiledOps), std::end(kCompiledOps), [&](const char* op) { return n.op == op; });
  return made ? "no kernel of " + n.op + " takes these attributes and shapes" : "no kernel computes " + n.op;
}

}  // namespace cytodet::exec
