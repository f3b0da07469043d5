// Sum, Mean, Max and Min over constant axes.
#include "exec/lower/match.h"
#include "exec/steps/reduce_step.h"

namespace cytodet::exec {

//   value ─▶ Sum | Mean | Max | Min ◀─ constant axes
bool match_reduce(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  const bool mean = n.op == "Mean", max = n.op == "Max", min = n.op == "Min";
  if ((!mean && !max && !min && n.op != "Sum") || n.inputs.size() != 2 || low.constant(n.inputs[0])) return false;
  const auto axes = known_ints(low, n, 1);
  const Shape *in = low.float_shape(n.inputs[0]), *out = low.float_shape({id, 0});
  if (!axes || !in || !out || elements(*in) == 0) return false;
  std::vector<bool> reduced(in->size(), false);
  int64_t left = elements(*in);
  for (int64_t axis : *axes) {
    const std::optional<size_t> d = dimension_of(axis, in->size());
    if (!d || reduced[*d]) return false;
    reduced[*d] = true;
    left /= (*in)[*d];
  }
  if (left != elements(*out)) return false;
  const Reduction reduction = mean ? Reduction::mean : max ? Reduction::max : min ? Reduction::min : Reduction::sum;
  claim(low, id, {n.inputs[0]}, [reduction, shape = *in, reduced](const LayerIo& io) {
    return make_reduce(reduction, shape, reduced, io.inputs[0], io.output);
  });
  return true;
}

}  // namespace cytodet::exec
