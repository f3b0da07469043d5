#include <algorithm>

#include "core/suggest.h"
#include "graph/ops/eval_helpers.h"

namespace cytodet::graph {
namespace {

const std::vector<Op>& table() {
  static const std::vector<Op> all = [] {
    std::vector<Op> rows;
    for (const auto* part : {&ops::elementwise_rows(),    &ops::special_rows(), &ops::grad_rows(),    &ops::shape_rows(),
                             &ops::slice_rows(),          &ops::gather_rows(),  &ops::reduce_rows(),  &ops::search_rows(),
                             &ops::sparse_rows(),         &ops::diag_rows(),    &ops::linalg_rows(),  &ops::einsum_rows(),
                             &ops::conv_rows(),           &ops::pool_rows(),    &ops::nn_rows(),      &ops::rnn_rows(),
                             &ops::image_rows(),          &ops::nms_rows(),     &ops::color_rows(),   &ops::quant_rows(),
                             &ops::quantized_conv_rows(), &ops::random_rows(),  &ops::control_rows(), &ops::misc_rows()})
      rows.insert(rows.end(), part->begin(), part->end());
    std::sort(rows.begin(), rows.end(), [](const Op& a, const Op& b) { return std::string_view(a.name) < b.name; });
    return rows;
  }();
  return all;
}

}  // namespace

std::span<const Op> all_ops() { return table(); }

const Op* find_op(std::string_view name) {
  auto it =
      std::lower_bound(table().begin(), table().end(), name, [](const Op& row, std::string_view n) { return row.name < n; });
  return it != table().end() && name == it->name ? &*it : nullptr;
}

std::vector<Tensor> evaluate(const Node& node, std::span<const Tensor> inputs) {
  const std::string where = "node " + node.name + " (" + node.op + ")";
  const Op* op = find_op(node.op);
  if (!op) {
    std::vector<std::string> known;
    for (const Op& row : all_ops()) known.push_back(row.name);
    std::string hint;
    for (const std::string& n : nearest(node.op, known)) hint += (hint.empty() ? "similar known ops: " : ", ") + n;
    throw Error(where, "op " + node.op + " is not known", hint.empty() ? "cut the graph in front of it" : hint);
  }
  OpCall call{node, inputs, {}};
  try {
    op->eval(call);
  } catch (const Error& e) {
    if (e.where().starts_with("node ")) throw;
    throw e.within(where);
  }
  return std::move(call.out);
}

}  // namespace cytodet::graph
