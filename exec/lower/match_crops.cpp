#include <algorithm>

#include "exec/lower/match.h"
#include "exec/steps/crop_step.h"
#include "exec/steps/row_steps.h"
#include "graph/ir/conv_node.h"

namespace cytodet::exec {
namespace {

constexpr int64_t kMaxWindowRows = 1 << 22;  // floats of the rows of crops that a row of windows reads

// The AvgPool that alone reads crops, of windows that lie side by side and fill them; it joins `crops`. -1: none.
NodeId pool_behind(const Lowering& low, NodeId id, Crops& crops) {
  const NodeId pool = low.sole_reader({id, 0});
  if (pool < 0 || low.taken(pool) || low.graph.node(pool).op != "AvgPool" || !low.open_float_shape({pool, 0})) return -1;
  const Node& n = low.graph.node(pool);
  const AttrList windows = n.attr_or("ksize", AttrList{}), strides = n.attr_or("strides", AttrList{});
  if (!is_channels_last(n) || windows.ints.size() != 4 || windows.ints != strides.ints) return -1;
  const int64_t h = windows.ints[1], w = windows.ints[2];
  const bool fits = windows.ints[0] == 1 && windows.ints[3] == 1 && h >= 1 && h <= kMaxPoolRows && w >= 1;
  if (!fits || crops.height % h != 0 || crops.width % w != 0 || h * crops.width * crops.channels > kMaxWindowRows) return -1;
  crops.pool_h = h;
  crops.pool_w = w;
  return pool;
}

}  // namespace

//   map, boxes, index ─▶ CropAndResize(constant size, bilinear) [─▶ AvgPool] ─▶      the second is ONNX's RoiAlign
bool match_crops(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.op != "CropAndResize" || n.inputs.size() != 4 || n.attr_or<std::string>("method", "bilinear") != "bilinear") return false;
  const Shape *map = low.open_float_shape(n.inputs[0]), *boxes = low.open_float_shape(n.inputs[1]);
  const std::optional<std::vector<int64_t>> size = known_ints(low, n, 3);
  if (!map || map->size() != 4 || map->back() < 1 || !boxes || !low.open_float_shape({id, 0}) || !size || size->size() != 2)
    return false;
  Crops crops{(*size)[0], (*size)[1], n.attr_or("extrapolation_value", 0.0f)};
  if (crops.height < 1 || crops.width < 1 || std::max(crops.height, crops.width) > kMaxCropSide) return false;
  crops.channels = map->back();
  const NodeId pool = pool_behind(low, id, crops);
  const auto make = [crops](const LayerIo& io) {
    return make_crops(crops, {io.inputs[0].tensor, io.inputs[1].tensor, io.inputs[2].tensor, io.output.tensor});
  };
  const Value output{pool < 0 ? id : pool, 0};
  std::vector<NodeId> nodes{id};
  if (pool >= 0) nodes.push_back(pool);
  low.add_layer(output, Opaque{{n.inputs[0], n.inputs[1], n.inputs[2]}, make}, nodes);
  return true;
}

}  // namespace cytodet::exec
