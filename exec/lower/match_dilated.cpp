// A dilated convolution as TensorFlow wrote it before its convolutions knew dilations:
//
//   x ─▶ SpaceToBatchND [b, b] ─▶ convolution, VALID, stride 1 [─▶ BiasAdd] ─▶ BatchToSpaceND [b, b] ─▶
//
// is a convolution of x with dilation b; what is padded before and not cropped behind is its padding. A bias stands inside where
// a batch norm was folded.
#include <algorithm>

#include "exec/lower/match.h"

namespace cytodet::exec {
namespace {

// Block sizes and {top, bottom, left, right} of a SpaceToBatchND or BatchToSpaceND over height and width.
struct Blocks {
  std::vector<int64_t> sizes, edges;
};
std::optional<Blocks> blocks_of(const Lowering& low, NodeId id, const char* op) {
  const Node& n = low.graph.node(id);
  if (n.op != op || n.inputs.size() != 3) return {};
  const Tensor *sizes = low.constant(n.inputs[1]), *edges = low.constant(n.inputs[2]);
  if (!sizes || !edges || sizes->size() != 2 || edges->size() != 4) return {};
  return Blocks{sizes->as_ints(), edges->as_ints()};
}

}  // namespace

std::optional<Dilated> dilated_by_batches(const Lowering& low, Value input, NodeId conv) {
  if (input.slot != 0 || low.is_wanted(input)) return {};
  const NodeId reader = low.sole_reader({conv, 0});
  const Tensor* bias = reader >= 0 && low.graph.node(reader).op == "BiasAdd" && low.graph.node(reader).inputs[0] == Value{conv, 0}
                           ? low.constant(low.graph.node(reader).inputs[1])
                           : nullptr;
  if (bias && bias->dtype() != DType::f32) return {};
  const NodeId inner = bias ? reader : conv, last = bias ? low.sole_reader({inner, 0}) : reader;
  const std::optional<Blocks> before = blocks_of(low, input.node, "SpaceToBatchND");
  const std::optional<Blocks> after = last >= 0 ? blocks_of(low, last, "BatchToSpaceND") : std::nullopt;
  const Node& n = low.graph.node(conv);
  const auto ones = [&](const char* name) {
    const std::vector<int64_t> list = n.attr_or(name, AttrList{}).ints;
    return std::all_of(list.begin(), list.end(), [](int64_t i) { return i == 1; });
  };
  if (!before || !after || before->sizes != after->sizes || low.graph.node(last).inputs[0] != Value{inner, 0}) return {};
  if (n.attr_or<std::string>("padding", "") != "VALID" || !ones("strides") || !ones("dilations")) return {};
  Dilated d{low.graph.node(input.node).inputs[0], {last, 0}, input.node, {last}, bias, {}, 0, 0};
  if (bias) d.after.push_back(inner);
  for (size_t i = 0; i < 4; ++i) {
    d.edges[i] = before->edges[i] - after->edges[i];
    if (d.edges[i] < 0 || d.edges[i] > 1024) return {};
  }
  if (before->sizes[0] < 1 || before->sizes[1] < 1 || before->sizes[0] > 256 || before->sizes[1] > 256) return {};
  d.dilation_h = static_cast<int>(before->sizes[0]);
  d.dilation_w = static_cast<int>(before->sizes[1]);
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
