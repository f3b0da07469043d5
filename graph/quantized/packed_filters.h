// 8-bit filters that hold few different values, as indices of 4 or 5 bits and a table, in ops that stock TensorFlow folds:
//
//   4 bits   Const u8 [n/2] -> Cast i32 -> GatherV2 from a Const qint8 [256, 2] of pairs -> Reshape
//   5 bits   Const u8 [n/2], Const u8 [n/8] -> Cast -> GatherV2 from u8 [256, 2] and [256, 8] -> Reshape
//            -> AddV2 -> Cast i32 -> GatherV2 from a Const qint8 [32] -> Reshape
//
// The pass unpack_filters is the way back.
#pragma once

#include <cstdint>

#include "graph/ir/graph.h"

namespace cytodet::graph {

struct PackedFilters {
  int filters = 0;
  int64_t before = 0, after = 0;  // bytes of their values
};

// Every Const qint8 of at least 1,024 values (an even number; for 5 bits a multiple of 8) that are of at most 16, or 32, kinds.
// They lie two in a byte, the first in the lower half; the fifth bits eight in a byte, the first in the lowest.
PackedFilters pack_filters(Graph& graph);

}  // namespace cytodet::graph
