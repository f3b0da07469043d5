// Calibration by any program that runs a graph: it is given the graph with Print nodes, and what these print are the ranges.
#pragma once

#include <filesystem>
#include <string>

#include "pipeline/quantize/target.h"
#include "quant/ranges.h"

namespace cytodet::pipeline {

struct Callback {
  std::string command;           // split as a shell would, run without one; {} is where the graph's path goes
  double timeout_s = 0;          // after which it is ended; 0: never
  std::filesystem::path folder;  // where the graph lies meanwhile; of a model with its model file beside it
  bool quiet = false;            // else what it prints besides records goes to standard error
};

// "{}" where the command names a graph by input_graph=PATH. Throws UsageError where it then holds no {}.
std::string callback_command(const std::string& text);

// Writes logged(target.graph) (tf_stages.h), runs the command, and takes the records from its output: the 95th percentile of a
// node's extremes over the batches. Throws Error with the command's last line where it fails or takes too long, and where it
// prints no records. Warns of nodes that print nothing: the layers that need them stay in float. The graph is removed.
Ranges ranges_by_callback(const QuantizationTarget& target, const Callback& callback);

}  // namespace cytodet::pipeline
