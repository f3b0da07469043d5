#include "graph/io/onnx/op_table.h"

#include <algorithm>
#include <tuple>

namespace cytodet::graph::onnx {

std::span<const OnnxOp> onnx_ops() {
  static const std::vector<OnnxOp> all = [] {
    std::vector<OnnxOp> entries;
    for (const auto* part :
         {&activation_entries(), &axis_entries(), &constant_entries(), &conv_entries(), &detection_entries(),
          &elementwise_entries(), &gather_entries(), &loop_entries(), &norm_entries(), &pool_entries(), &product_entries(),
          &quantize_entries(), &recurrent_entries(), &reduce_entries(), &resize_entries(), &sample_entries(), &shape_entries()})
      entries.insert(entries.end(), part->begin(), part->end());
    std::sort(entries.begin(), entries.end(), [](const OnnxOp& a, const OnnxOp& b) {
      return std::tuple(std::string_view(a.name), a.since) < std::tuple(std::string_view(b.name), b.since);
    });
    return entries;
  }();
  return all;
}

const OnnxOp* find_onnx_op(std::string_view name, int64_t opset) {
  const OnnxOp* found = nullptr;
  for (const OnnxOp& op : onnx_ops())
    if (op.name == name && op.since <= opset) found = &op;
  return found;
}

}  // namespace cytodet::graph::onnx
