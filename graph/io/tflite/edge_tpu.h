// What the Edge TPU compiler would make of a model, by its published rules. It is a forecast: that compiler is not run.
#pragma once

#include <string>
#include <vector>

#include "graph/io/tflite/lite_model.h"

namespace cytodet::graph::lite {

struct EdgeOp {
  std::string name;    // of the operator
  std::string tensor;  // that it makes
  bool mapped = false;
  std::string status;  // as that compiler words it
  std::string rule;    // what decided; empty: mapped
};
struct EdgeForecast {
  std::vector<EdgeOp> ops;      // of the model's first graph, in its order
  int64_t parameter_bytes = 0;  // of constants that mapped operators read
  int subgraphs = 0;            // 1 where anything is mapped
};
// An operator that stays on the CPU takes with it all that needs its result, where it needs a mapped one's itself: one subgraph
// is mapped.
EdgeForecast forecast_edge_tpu(const LiteModel& model);

constexpr int64_t kEdgeCacheBytes = 7'245'660;  // 6.91 MiB, of parameters on the chip

}  // namespace cytodet::graph::lite
