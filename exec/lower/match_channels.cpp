// Softmax, LRN, and ArgMax and ArgMin along the last dimension.
#include "exec/lower/match.h"
#include "exec/steps/channel_steps.h"

namespace cytodet::exec {

//   value ─▶ Softmax
bool match_softmax(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.op != "Softmax" || low.constant(n.inputs[0]) || !low.float_shape({id, 0})) return false;
  const Shape* in = low.float_shape(n.inputs[0]);
  if (!in || in->empty() || elements(*in) == 0) return false;
  claim(low, id, {n.inputs[0]}, [channels = in->back(), pixels = elements(*in) / in->back()](const LayerIo& io) {
    return make_softmax(pixels, channels, io.inputs[0], io.output);
  });
  return true;
}

//   value ─▶ LRN                  a step over the channels of each pixel
//   value ─▶ ArgMax | ArgMin      along the last dimension
bool match_channels(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  const bool norm = n.op == "LRN", largest = n.op == "ArgMax";
  if ((!norm && !largest && n.op != "ArgMin") || n.inputs.empty() || low.constant(n.inputs[0])) return false;
  const Shape* in = low.float_shape(n.inputs[0]);
  if (!in || in->empty() || elements(*in) == 0) return false;
  const int64_t channels = in->back(), pixels = elements(*in) / channels;
  if (norm) {
    const ResponseNorm norm_of{pixels,
                               channels,
                               n.attr_or("depth_radius", int64_t{5}),
                               n.attr_or("bias", 1.0f),
                               n.attr_or("alpha", 1.0f),
                               n.attr_or("beta", 0.5f)};
    if (in->size() != 4 || norm_of.radius < 0 || norm_of.radius > 64) return false;
    claim(low, id, {n.inputs[0]}, [norm_of](const LayerIo& io) { return make_response_norm(norm_of, io.inputs[0], io.output); });
    return true;
  }
  const Fact& out = low.facts.of({id, 0});
  if (known_dimension(low, n, 1, in->size()) != in->size() - 1) return false;
  if (out.dtype != DType::i32 && out.dtype != DType::i64) return false;
  if (!out.has_static_shape() || elements(*out.shape) != pixels) return false;
  claim(low, id, {n.inputs[0]}, [=, type = out.dtype](const LayerIo& io) {
    return make_arg_extreme(pixels, channels, largest, type, io.inputs[0], io.output);
  });
  return true;
}

}  // namespace cytodet::exec
