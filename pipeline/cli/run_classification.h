// cytodet run on a classification network.
#pragma once

#include <string>

#include "pipeline/config/run_config.h"

namespace cytodet::pipeline {

// Classifies the inputs into OUTPUT/classes.csv and, where they have labels, scores them into OUTPUT/scores.json. With `quantize`
// also the network in INT8 (and bfloat16 where this CPU has it), all in one table. `config`: the file that `c` is read from.
int run_classification(const RunConfig& c, const std::string& config, bool overwrite, bool quiet);

}  // namespace cytodet::pipeline
