#include "core/error.h"
#include "exec/lower/conv_tail.h"
#include "exec/lower/match.h"
#include "exec/steps/onednn_steps.h"

namespace cytodet::exec {
namespace {

// A layer on f32 tensors; an Error of `make` gets the node's name.
template <class Make>
void claim_onednn(Lowering& low, NodeId id, Value output, std::vector<Value> inputs, const std::vector<NodeId>& nodes,
                  Make make) {
  MakeStep named = [make = std::move(make), name = low.graph.node(id).name](const LayerIo& io) {
    try {
      return make(io.tensors(), io.output.tensor);
    } catch (const Error& e) {
      throw Error("node " + name, e.problem());
    }
  };
  low.add_layer(output, Opaque{std::move(inputs), std::move(named)}, nodes);
}

}  // namespace

//   x ─▶ Conv2DBackpropInput | Conv3DBackpropInputV2(constant filter) ─▶ tail without residual
bool match_deconv(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if ((n.op != "Conv2DBackpropInput" && n.op != "Conv3DBackpropInputV2") || n.inputs.size() != 3) return false;
  const Tensor* filter = low.constant(n.inputs[1]);
  if (!filter || low.constant(n.inputs[2])) return false;
  // The geometry is that of the convolution from this node's output to its gradient input.
  const std::optional<ConvShape> s = conv_shape(low, id, {id, 0}, n.inputs[2], *filter);
  if (!s || s->dilation_h != 1 || s->dilation_w != 1 || s->depth.dilation != 1) return false;
  if (filter->dim(-2) != s->in_c || filter->dim(-1) != s->out_c) return false;
  require_finite(*filter, n.name);
  const Tail tail = absorb_tail(low, {id, 0}, s->in_c, false);
  std::vector<NodeId> nodes = tail.nodes;
  nodes.push_back(id);
  claim_onednn(low, id, tail.output, {n.inputs[2]}, nodes,
               [deconv = Deconv{*s, *filter, tail.bias, tail.act}](const std::vector<int>& in, int out) {
                 return is_without_overlap(deconv.forward) ? make_deconv(deconv, in[0], out)
                                                           : make_onednn_deconv(deconv, in[0], out);
               });
  return true;
}

}  // namespace cytodet::exec
