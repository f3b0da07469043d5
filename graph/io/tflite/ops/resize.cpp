// Resizing of [n, h, w, c].
#include "graph/io/tflite/op_table.h"

namespace cytodet::graph::lite {
namespace {

using Code = schema::BuiltinOperator;

template <class Options>
void lite_resized(Call& c, const char* op) {
  const auto& o = c.options<Options>();
  c.set(0,
        c.b.add(op, {c.in(0), c.in(1)}, {{"align_corners", o.align_corners()}, {"half_pixel_centers", o.half_pixel_centers()}}));
}
void resize_bilinear(Call& c) { lite_resized<schema::ResizeBilinearOptions>(c, "ResizeBilinear"); }
void resize_nearest(Call& c) { lite_resized<schema::ResizeNearestNeighborOptions>(c, "ResizeNearestNeighbor"); }

}  // namespace

const std::vector<LiteEntry>& lite_resize_entries() {
  static const std::vector<LiteEntry> entries = {
      {Code::RESIZE_BILINEAR, resize_bilinear},
      {Code::RESIZE_NEAREST_NEIGHBOR, resize_nearest, true},
  };
  return entries;
}

}  // namespace cytodet::graph::lite
