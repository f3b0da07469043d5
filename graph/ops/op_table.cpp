#include <algorithm>

#include "core/suggest.h"
#include "graph/ops/eval_helpers.h"

namespace cytodet::graph {
namespace {

const std::vector<Op>& table() {
  static const std::vector<Op> all = [] {
    std::vector<Op> ops;
    for (const auto* part : {&ops::elementwise_ops(),
                             &ops::special_ops(),
                             &ops::grad_ops(),
                             &ops::shape_ops(),
                             &ops::slice_ops(),
                             &ops::gather_ops(),
                             &ops::reduce_ops(),
                             &ops::search_ops(),
                             &ops::sparse_ops(),
                             &ops::diag_ops(),
                             &ops::linalg_ops(),
                             &ops::einsum_ops(),
                             &ops::conv_ops(),
                             &ops::pool_ops(),
                             &ops::nn_ops(),
                             &ops::rnn_ops(),
                             &ops::image_ops(),
                             &ops::nms_ops(),
                             &ops::color_ops(),
                             &ops::quant_ops(),
                             &ops::integer_layer_ops(),
                             &ops::quantized_map_ops(),
                             &ops::quantized_arithmetic_ops(),
                             &ops::print_ops(),
                             &ops::random_ops(),
                             &ops::control_ops(),
                             &ops::misc_ops()})
      ops.insert(ops.end(), part->begin(), part->end());
    std::sort(ops.begin(), ops.end(), [](const Op& a, const Op& b) { return std::string_view(a.name) < b.name; });
    return ops;
  }();
  return all;
}

}  // namespace

std::span<const Op> all_ops() { return table(); }

const Op* find_op(std::string_view name) {
  auto it = std::lower_bound(table().begin(), table().end(), name, [](const Op& op, std::string_view n) { return op.name < n; });
  return it != table().end() && name == it->name ? &*it : nullptr;
}

std::vector<Tensor> evaluate(const Node& node, std::span<const Tensor> inputs) {
  const std::string where = node_text(node);
  const Op* op = find_op(node.op);
  if (!op) {
    std::vector<std::string> known;
    for (const Op& other : all_ops()) known.push_back(other.name);
    std::string hint;
    for (const std::string& n : nearest(node.op, known)) hint += (hint.empty() ? "similar known ops: " : ", ") + n;
    throw Error(where, "op " + node.op + " is not known", hint.empty() ? "cut the graph in front of it" : hint);
  }
  OpCall call{node, inputs, {}};
  with_node_named(node, [&] { op->eval(call); });
  return std::move(call.out);
}

}  // namespace cytodet::graph
