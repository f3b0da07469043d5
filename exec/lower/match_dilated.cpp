// A dilated convolution between batches (graph/ir/batch_dilation). A bias stands inside where a batch norm was folded.
#include "exec/lower/match.h"
#include "graph/ir/batch_dilation.h"

namespace cytodet::exec {
std::optional<Dilated> dilated_by_batches(const Lowering& low, Value input, NodeId conv) {
  if (input.slot != 0 || low.is_wanted(input)) return {};
  const NodeId reader = low.sole_reader({conv, 0});
  const Tensor* bias = reader >= 0 && low.graph.node(reader).op == "BiasAdd" && low.graph.node(reader).inputs[0] == Value{conv, 0}
                           ? low.constant(low.graph.node(reader).inputs[1])
                           : nullptr;
  if (bias && bias->dtype() != DType::f32) return {};
  const NodeId inner = bias ? reader : conv, last = bias ? low.sole_reader({inner, 0}) : reader;
  if (last < 0 || low.graph.node(last).op != "BatchToSpaceND" || low.graph.node(last).inputs[0] != Value{inner, 0}) return {};
  const Node& before = low.graph.node(input.node);
  const auto form = batch_dilation(before, low.graph.node(conv), low.graph.node(last), [&](Value v) { return low.constant(v); });
  if (!form) return {};
  Dilated d{before.inputs[0], {last, 0}, input.node, {last}, bias, form->padding, 0, 0};
  if (bias) d.after.push_back(inner);
  d.dilation_h = static_cast<int>(form->dilation[0]);
  d.dilation_w = static_cast<int>(form->dilation[1]);
  return d;
}

bool set_dilation(ConvShape& s, const Dilated& d) {
  const auto pad = [&](size_t i) { return static_cast<int>(d.edges[i]); };
  set_padding(s, {d.input, d.before, pad(0), pad(1), pad(2), pad(3)});
  s.dilation_h = d.dilation_h;
  s.dilation_w = d.dilation_w;
  const auto fits = [](int64_t in, int64_t out, int before, int after, int kernel, int dilation) {
    return in + before + after - int64_t{kernel - 1} * dilation == out;
  };
  return fits(s.in_h, s.out_h, s.pad_top, s.pad_bottom, s.kernel_h, s.dilation_h) &&
         fits(s.in_w, s.out_w, s.pad_left, s.pad_right, s.kernel_w, s.dilation_w);
}

}  // namespace cytodet::exec
