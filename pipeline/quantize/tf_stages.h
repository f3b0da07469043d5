// The graph of each stage on the way to INT8, by the names that users of IntelAI's tools know.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "graph/ir/graph.h"
#include "quant/ranges.h"

namespace cytodet::pipeline {

// x -> Print(x, Min(x), Max(x)) for every value that calibration watches: run by TensorFlow, it writes a calibration log, from
// which `cytodet calibrate --from-log` makes ranges. A value that nobody reads is left alone.
Graph logged(const Graph& graph);

// The ranges of quantized layers' inputs (graph/quantized/quant_nodes.h) become the Min and Max of each run's own numbers. With
// `log` they are also printed.
Graph with_dynamic_ranges(const Graph& quantized, bool log);

struct Stages {
  const Graph& fp32;
  const Graph& frozen;  // in graph/quantized/quant_nodes.h's form
  const Graph& fused;   // in TensorFlow's integer form
};
// fp32_optimized_graph.pb, fp32_logged_graph.pb, int8_dynamic_range_graph.pb, int8_logged_graph.pb, int8_frozen_range_graph.pb,
// int8_final_fused_graph.pb.
std::vector<std::string> stage_names();
// Writes those of them that `names` holds. Makes the folder; the files are listed as the program's own (FolderManifest).
void write_stages(const Stages& stages, const std::filesystem::path& folder, const std::vector<std::string>& names);

}  // namespace cytodet::pipeline
