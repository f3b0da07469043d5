#include "graph/ir/batch_dilation.h"

#include <algorithm>

namespace cytodet::graph {
namespace {

// Block sizes, and {top, bottom, left, right} that SpaceToBatchND pads or BatchToSpaceND crops; over height and width.
struct SpatialBlocks {
  std::vector<int64_t> sizes, edges;
};
std::optional<SpatialBlocks> spatial_blocks(const Node& n, const char* op, const std::function<const Tensor*(Value)>& constant) {
  if (n.op != op || n.inputs.size() != 3) return {};
  const Tensor *sizes = constant(n.inputs[1]), *edges = constant(n.inputs[2]);
  if (!sizes || !edges || sizes->size() != 2 || edges->size() != 4) return {};
  return SpatialBlocks{sizes->as_ints(), edges->as_ints()};
}

bool is_all_ones(const Node& n, const char* key) {
  const std::vector<int64_t> list = n.attr_or(key, AttrList{}).ints;
  return std::all_of(list.begin(), list.end(), [](int64_t i) { return i == 1; });
}

}  // namespace

//   x ─▶ SpaceToBatchND [b, b] ─▶ Conv2D | DepthwiseConv2dNative, VALID, stride 1, dilation 1 ─▶ BatchToSpaceND [b, b]
std::optional<BatchDilation> batch_dilation(const Node& before, const Node& convolution, const Node& after,
                                            const std::function<const Tensor*(Value)>& constant) {
  if (convolution.op != "Conv2D" && convolution.op != "DepthwiseConv2dNative") return {};  // blocks of volumes are of their depth
  const std::optional<SpatialBlocks> padded = spatial_blocks(before, "SpaceToBatchND", constant);
  const std::optional<SpatialBlocks> cropped = spatial_blocks(after, "BatchToSpaceND", constant);
  if (!padded || !cropped || padded->sizes != cropped->sizes) return {};
  if (convolution.attr_or<std::string>("padding", "") != "VALID") return {};
  if (!is_all_ones(convolution, "strides") || !is_all_ones(convolution, "dilations")) return {};
  BatchDilation d{};
  for (size_t side = 0; side < 2; ++side) {
    d.dilation[side] = padded->sizes[side];
    if (d.dilation[side] < 1 || d.dilation[side] > 256) return {};
  }
  for (size_t i = 0; i < 4; ++i) {
    d.padding[i] = padded->edges[i] - cropped->edges[i];
    if (d.padding[i] < 0 || d.padding[i] > 1024) return {};
  }
  return d;
}

}  // namespace cytodet::graph
