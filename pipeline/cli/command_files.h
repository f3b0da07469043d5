// What commands read, named for OutputPlan: a model with its graph, images, results, regions, run configs.
#pragma once

#include <string>
#include <vector>

#include "core/output_plan.h"
#include "pipeline/config/run_config.h"
#include "pipeline/results/saved_results.h"

namespace cytodet::pipeline {

// A graph: its file, or all files of a SavedModel or checkpoint.
void add_graph(OutputPlan& plan, const std::string& graph);
// A model file and its graph, or a graph and the model file beside it. What cannot be read is left to who reads it in earnest.
void add_model(OutputPlan& plan, const std::string& model);
// Files, folders, patterns and lists, as detect takes them. Texts of folders are no images, unless asked for.
void add_images(OutputPlan& plan, const std::vector<std::string>& inputs, bool texts = false);
// Regions of interest: a file, or a folder of them.
void add_regions(OutputPlan& plan, const std::string& regions);
// A file of results, or a run folder: run.json and what is read beside it.
void add_results(OutputPlan& plan, const std::string& results);
void add_results(OutputPlan& plan, const SavedResults& results);
// What a run config names.
void add_config(OutputPlan& plan, const RunConfig& config);

// Before long work: refuses outputs that would be written over an input or each other, and places that cannot be written to.
void check_outputs(const OutputPlan& plan);

}  // namespace cytodet::pipeline
