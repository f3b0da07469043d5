#include <algorithm>

#include "graph/ir/conv_node.h"
#include "graph/passes/affine.h"
#include "graph/passes/node_edits.h"

namespace cytodet::graph {
namespace {

// Below, `linear op` is a Conv2D, Conv3D, DepthwiseConv2dNative or MatMul with constant weights; Mul, Add and the like have one
// constant input, of one value or one per channel. `─▶` is read by the next node alone. All become
//
//   linear op with scaled weights [─▶ BiasAdd]
using Ops = std::vector<std::string>;

bool fold_all(Graph& g, const Interface& io, bool (*ends)(const std::string&), bool (*accept)(const Ops&)) {
  std::set<NodeId> outputs = output_ids(g, io);
  bool changed = false;
  const Consumers uses(g);
  for (NodeId id : g.ids())
    if (uses.knows(id) && ends(g.node(id).op)) changed = fold_chain(g, uses, id, outputs, accept) || changed;
  if (changed) sweep(g, io);
  return changed;
}

bool is_mul(const std::string& op) { return op == "Mul"; }
bool is_sum(const std::string& op) { return op == "Add" || op == "AddV2" || op == "Sub"; }

}  // namespace

//   linear op ─▶ Mul
bool pass_fuse_column_wise_mul(Graph& g, const Interface& io) {
  return fold_all(g, io, is_mul, [](const Ops& ops) { return ops.size() == 1; });
}

//   linear op ─▶ Mul [─▶ Mul]*
bool pass_fold_batch_norms(Graph& g, const Interface& io) {
  return fold_all(g, io, is_mul, [](const Ops& ops) { return std::all_of(ops.begin(), ops.end(), is_mul); });
}

//   linear op [─▶ BiasAdd]* ─▶ FusedBatchNorm* | BatchNormWithGlobalNormalization
//   ConcatV2 | BatchToSpaceND of linear ops ─▶ FusedBatchNorm* | BatchNormWithGlobalNormalization
bool pass_fold_old_batch_norms(Graph& g, const Interface& io) {
  return fold_all(g, io, is_batch_norm, [](const Ops& ops) {
    return std::all_of(ops.begin(), ops.end() - 1, [](const std::string& op) { return op == "BiasAdd"; });
  });
}

//   linear op ─▶ [Mul | Add | AddV2 | Sub | BiasAdd]* ─▶ Add | AddV2 | Sub     with at least one Mul
bool pass_fuse_decomposed_batch_norm(Graph& g, const Interface& io) {
  return fold_all(g, io, is_sum, [](const Ops& ops) {
    bool sums =
        std::all_of(ops.begin(), ops.end(), [](const std::string& op) { return is_sum(op) || is_mul(op) || op == "BiasAdd"; });
    return sums && std::any_of(ops.begin(), ops.end(), is_mul);
  });
}

//   linear op ─▶ Sub ─▶ RealDiv ─▶ Mul ─▶ BiasAdd
bool pass_fold_subdivmul_batch_norms(Graph& g, const Interface& io) {
  return fold_all(
      g, io, [](const std::string& op) { return op == "BiasAdd"; },
      [](const Ops& ops) {
        return ops == Ops{"Sub", "RealDiv", "Mul", "BiasAdd"};
      });
}

//   linear op ─▶ BiasAdd ─▶ Mul
bool pass_fold_convolutionwithbias_mul(Graph& g, const Interface& io) {
  return fold_all(g, io, is_mul, [](const Ops& ops) { return ops == Ops{"BiasAdd", "Mul"}; });
}

//   linear op ─▶ [BiasAdd | Add | AddV2]* ─▶ Add | AddV2
bool pass_add_to_bias(Graph& g, const Interface& io) {
  return fold_all(
      g, io, [](const std::string& op) { return op == "Add" || op == "AddV2"; },
      [](const Ops& ops) {
        return std::all_of(ops.begin(), ops.end(),
                           [](const std::string& op) { return op == "BiasAdd" || op == "Add" || op == "AddV2"; });
      });
}

//   x ─▶ Pad | PadV2 zeros over height and width ─▶ Conv2D, VALID, channels last
// becomes
//   x ─▶ Conv2D, EXPLICIT
bool pass_fuse_pad_and_conv(Graph& g, const Interface& io) {
  std::set<NodeId> outputs = output_ids(g, io);
  bool changed = false;
  for (NodeId id : g.ids()) {
    const Node& conv = g.node(id);
    if (conv.op != "Conv2D" || conv.inputs.size() != 2 || conv.attr_or<std::string>("padding", "") != "VALID" ||
        !is_channels_last(conv))
      continue;
    NodeId pad_id = conv.inputs[0].node;
    const Node& pad = g.node(pad_id);
    bool constant_zero = pad.op == "Pad";
    if (pad.op == "PadV2" && pad.inputs.size() == 3) {
      const Tensor* value = g.constant(pad.inputs[2]);
      constant_zero = value && value->size() == 1 && value->as_double() == 0;
    }
    const Tensor* pads = constant_zero ? g.constant(pad.inputs[1]) : nullptr;
    if (!pads || pads->size() != 8 || outputs.contains(pad_id) || !pad.controls.empty()) continue;
    std::vector<int64_t> p = pads->as_ints();
    if (p[0] || p[1] || p[6] || p[7] || *std::min_element(p.begin(), p.end()) < 0) continue;
    Node& n = g.node(id);
    AttrList list;
    list.ints = p;
    n.attrs.insert_or_assign("padding", Attr("EXPLICIT"));
    n.attrs.insert_or_assign("explicit_paddings", Attr(list));
    for (size_t i = 1; i < pad.inputs.size(); ++i) wait_for(n, g.node(pad.inputs[i].node).controls);
    n.inputs[0] = pad.inputs[0];
    changed = true;
  }
  if (changed) sweep(g, io);
  return changed;
}

}  // namespace cytodet::graph
