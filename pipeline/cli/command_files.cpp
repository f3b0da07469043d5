#include "pipeline/cli/command_files.h"

#include <filesystem>

#include "core/error.h"
#include "core/file.h"
#include "graph/io/tensorflow/unfrozen.h"
#include "pipeline/detect/image_pipeline.h"
#include "pipeline/inputs/list_inputs.h"
#include "pipeline/results/run_folder.h"

namespace cytodet::pipeline {
namespace {

namespace fs = std::filesystem;

// The files that a user names, of folders the images, or all; none where that fails, which reading the files reports better.
std::vector<std::string> files_of(std::vector<std::string> inputs, bool all) try {
  std::erase(inputs, "");
  InputList list = list_inputs(inputs);
  if (all) list.files.insert(list.files.end(), list.companions.begin(), list.companions.end());
  return list.files;
} catch (const std::exception&) {
  return {};
}

void add_run(OutputPlan& plan, const RunFolder& folder, const std::vector<ImageResult>& images) {
  plan.add_input(folder.run_json(), "the run's own list");
  plan.add_input(folder.detections_json(), "the run's own detections");
  for (const ImageResult& s : images) {
    plan.add_input(folder.boxes(s), "the run's own boxes");
    plan.add_input(folder.competition(s), "the run's own detections");
  }
}

}  // namespace

void add_graph(OutputPlan& plan, const std::string& graph) {
  if (graph.empty()) return;
  for (const fs::path& file : files_of_graph(graph)) plan.add_input(file, "the graph that is read");
}

void add_model(OutputPlan& plan, const std::string& model) {
  if (model.empty()) return;
  plan.add_input(model, "the model");
  if (!model.ends_with(".json")) {
    add_graph(plan, model);
    plan.add_input(fs::path(model).replace_extension(".json"), "the model file beside the graph");
    return;
  }
  try {
    add_graph(plan, load_model(model).graph);
  } catch (const Error&) {
  }
}

void add_images(OutputPlan& plan, const std::vector<std::string>& inputs, bool texts) {
  for (const std::string& input : inputs)
    plan.add_input(input.starts_with('@') ? input.substr(1) : input, input.starts_with('@') ? "the list of inputs" : "an input");
  for (const std::string& file : files_of(inputs, texts)) plan.add_input(file, "an input");
}

void add_regions(OutputPlan& plan, const std::string& regions) {
  std::error_code ignored;
  if (regions.empty()) return;
  if (!fs::is_directory(regions, ignored)) return plan.add_input(regions, "the regions of interest");
  for (const std::string& file : files_of({regions}, true)) plan.add_input(file, "a region of interest");
}

void add_results(OutputPlan& plan, const std::string& results) {
  std::error_code ignored;
  if (!fs::is_directory(results, ignored)) return plan.add_input(results, "the results that are read");
  try {
    const RunFolder folder{results};
    add_run(plan, folder, folder.read().inputs);
  } catch (const Error&) {
  }
}

void add_results(OutputPlan& plan, const SavedResults& results) {
  if (results.run())
    add_run(plan, RunFolder{results.path()}, results.run()->inputs);
  else
    plan.add_input(results.path(), "the results that are read");
}

void add_config(OutputPlan& plan, const RunConfig& config) {
  add_model(plan, config.model);
  add_images(plan, config.inputs);
  add_regions(plan, config.detect.roi);
  plan.add_input(config.truth, "the ground truth");
  if (!config.quantize) return;
  plan.add_input(config.quantize->ranges, "the ranges");
  if (!config.quantize->images.empty()) add_images(plan, {config.quantize->images});
}

void check_outputs(const OutputPlan& plan) {
  plan.check();
  for (const fs::path& output : plan.outputs()) AtomicFile writable(output);
}

}  // namespace cytodet::pipeline
