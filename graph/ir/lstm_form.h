// What BlockLSTM, BlockLSTMV2 and LSTMBlockCell differ in.
#pragma once

#include "graph/ir/graph.h"

namespace cytodet::graph {

struct LstmForm {
  int i = 0, f, o = 3, c;  // where the gates and the candidate lie in the weights, in blocks of `units` columns
  float forget_bias;       // added to f before its sigmoid
  float cell_clip;         // cells are kept within [-cell_clip, cell_clip]; 0 or less: as they are
  bool use_peephole;
};
inline LstmForm lstm_form(const Node& n) {
  const bool second = n.op == "BlockLSTMV2";
  return {.f = second ? 1 : 2,
          .c = second ? 2 : 1,
          .forget_bias = n.attr_or("forget_bias", second ? 0.0f : 1.0f),
          .cell_clip = n.attr_or("cell_clip", second ? 0.0f : 3.0f),
          .use_peephole = n.attr_or("use_peephole", false)};
}

}  // namespace cytodet::graph
