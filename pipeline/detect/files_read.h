// What commands and runs read: a model with its graph, images with what belongs to them, results, regions, run configs. Nothing
// is written over it (core/output_plan.h, pipeline/results/run_plan.h).
#pragma once

#include <string>
#include <vector>

#include "core/input_files.h"
#include "pipeline/config/run_config.h"
#include "pipeline/results/saved_results.h"

namespace cytodet::pipeline {

// A graph: its file, or all files of a SavedModel or checkpoint.
void add_graph(InputFiles& read, const std::string& graph);
// A model file and its graph, or a graph and the model file beside it. What cannot be read is left to who reads it in earnest.
void add_model(InputFiles& read, const std::string& model);
// Files, folders, patterns and lists, as detect takes them. Texts of folders are no images, unless asked for.
void add_images(InputFiles& read, const std::vector<std::string>& inputs, bool texts = false);
// What list_labelled_images() takes: folders of classes, tables, TFRecord files.
void add_labelled_images(InputFiles& read, const std::vector<std::string>& inputs);
// An image, and the files beside it that belong to its slide.
void add_image(InputFiles& read, const std::string& file);
// Regions of interest: a file, or a folder of them.
void add_regions(InputFiles& read, const std::string& regions);
// A file of results, or a run folder: run.json and what is read beside it.
void add_results(InputFiles& read, const std::string& results);
void add_results(InputFiles& read, const SavedResults& results);
// What a run config names. `images`: the files that its inputs stand for, where they were listed already.
void add_config(InputFiles& read, const RunConfig& config, const std::vector<std::string>* images = nullptr);

}  // namespace cytodet::pipeline
