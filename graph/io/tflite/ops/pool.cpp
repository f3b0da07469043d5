// Pools over windows of [n, h, w, c].
#include <algorithm>

#include "graph/io/tflite/op_table.h"

namespace cytodet::graph::lite {
namespace {

using Code = schema::BuiltinOperator;

AttrMap pool_attrs(const schema::Pool2DOptions& o) {
  if (std::min({o.stride_h(), o.stride_w(), o.filter_height(), o.filter_width()}) < 1)
    refuse("has a window or stride of 0", "the file is damaged");
  AttrList size, strides;
  size.ints = {1, o.filter_height(), o.filter_width(), 1};
  strides.ints = {1, o.stride_h(), o.stride_w(), 1};
  return {{"ksize", size},
          {"strides", strides},
          {"padding", o.padding() == schema::Padding::SAME ? "SAME" : "VALID"},
          {"data_format", "NHWC"}};
}

void give_pool(Call& c, Value y) { c.give(y, c.options<schema::Pool2DOptions>().fused_activation_function()); }

void average_pool_2d(Call& c) { give_pool(c, c.b.add("AvgPool", {c.in(0)}, pool_attrs(c.options<schema::Pool2DOptions>()))); }
void max_pool_2d(Call& c) { give_pool(c, c.b.add("MaxPool", {c.in(0)}, pool_attrs(c.options<schema::Pool2DOptions>()))); }

// The root of the mean square.
void l2_pool_2d(Call& c) {
  const Value squares = c.b.add("AvgPool", {c.b.add("Square", {c.in(0)})}, pool_attrs(c.options<schema::Pool2DOptions>()));
  give_pool(c, c.b.add("Sqrt", {squares}));
}

}  // namespace

const std::vector<LiteEntry>& lite_pool_entries() {
  static const std::vector<LiteEntry> entries = {
      {Code::AVERAGE_POOL_2D, average_pool_2d},
      {Code::L2_POOL_2D, l2_pool_2d},
      {Code::MAX_POOL_2D, max_pool_2d, true},
  };
  return entries;
}

}  // namespace cytodet::graph::lite
