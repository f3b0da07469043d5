// Reductions along axes, which are an input.
#include "graph/io/tflite/op_table.h"

namespace cytodet::graph::lite {
namespace {

using Code = schema::BuiltinOperator;

void lite_reduced(Call& c, const char* op) {
  c.set(0, c.b.add(op, {c.in(0), c.in(1)}, {{"keep_dims", c.options<schema::ReducerOptions>().keep_dims()}}));
}

#define LITE_REDUCTION(code, tf, moves)                     \
  {                                                         \
    Code::code, [](Call& c) { lite_reduced(c, tf); }, moves \
  }

}  // namespace

const std::vector<LiteEntry>& lite_reduce_entries() {
  static const std::vector<LiteEntry> entries = {
      LITE_REDUCTION(MEAN, "Mean", false),      LITE_REDUCTION(REDUCE_ALL, "All", false),
      LITE_REDUCTION(REDUCE_ANY, "Any", false), LITE_REDUCTION(REDUCE_MAX, "Max", true),
      LITE_REDUCTION(REDUCE_MIN, "Min", true),  LITE_REDUCTION(REDUCE_PROD, "Prod", false),
      LITE_REDUCTION(SUM, "Sum", false),
  };
  return entries;
}

}  // namespace cytodet::graph::lite
