#include "pipeline/detect/files_read.h"

#include <filesystem>

#include "core/error.h"
#include "graph/io/read_graph.h"
#include "pipeline/detect/detector.h"
#include "pipeline/inputs/labelled_images.h"
#include "pipeline/inputs/list_inputs.h"
#include "pipeline/inputs/slide_files.h"
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

void add_lists(InputFiles& read, const std::vector<std::string>& inputs) {
  for (const std::string& input : inputs)
    read.add(input.starts_with('@') ? input.substr(1) : input, input.starts_with('@') ? "the list of inputs" : "an input");
}

void add_run(InputFiles& read, const RunFolder& folder, const std::vector<ImageResult>& images) {
  read.add(folder.run_json(), "the run's own list");
  read.add(folder.detections_json(), "the run's own detections");
  for (const ImageResult& s : images) {
    read.add(folder.boxes(s), "the run's own boxes");
    read.add(folder.box_list(s), "the run's own detections");
  }
}

}  // namespace

void add_graph(InputFiles& read, const std::string& graph) {
  if (graph.empty()) return;
  for (const fs::path& file : files_of_graph(graph)) read.add(file, "the graph that is read");
}

void add_model(InputFiles& read, const std::string& model) {
  if (model.empty()) return;
  read.add(model, "the model");
  if (!model.ends_with(".json")) {
    add_graph(read, model);
    read.add(fs::path(model).replace_extension(".json"), "the model file beside the graph");
    return;
  }
  try {
    const ModelFile file = load_model(model);
    add_graph(read, file.graph);
    if (!file.classes_file.empty()) read.add(file.classes_file, "the names of the classes");
  } catch (const Error&) {
  }
}

void add_image(InputFiles& read, const std::string& file) {
  read.add(file, "an input");
  for (const fs::path& part : companions_of(file)) read.add(part, "a file of the input " + file);
}

void add_images(InputFiles& read, const std::vector<std::string>& inputs, bool texts) {
  add_lists(read, inputs);
  for (const std::string& file : files_of(inputs, texts)) add_image(read, file);
}

void add_labelled_images(InputFiles& read, const std::vector<std::string>& inputs) {
  add_images(read, inputs);
  try {
    for (const std::string& file : files_of_labelled_images(inputs)) read.add(file, "an input");
  } catch (const Error&) {
  }
}

void add_regions(InputFiles& read, const std::string& regions) { read.add_all(regions, "the regions of interest"); }

void add_results(InputFiles& read, const std::string& results) {
  std::error_code ignored;
  if (!fs::is_directory(results, ignored)) return read.add(results, "the results that are read");
  try {
    const RunFolder folder{results};
    add_run(read, folder, folder.read().inputs);
  } catch (const Error&) {
  }
}

void add_results(InputFiles& read, const SavedResults& results) {
  if (results.run())
    add_run(read, RunFolder{results.path()}, results.run()->inputs);
  else
    read.add(results.path(), "the results that are read");
}

void add_config(InputFiles& read, const RunConfig& config, const std::vector<std::string>* images) {
  add_model(read, config.model);
  if (images) {
    add_lists(read, config.inputs);
    for (const std::string& file : *images) add_image(read, file);
  } else {
    add_images(read, config.inputs);
  }
  add_regions(read, config.detect.roi);
  read.add(config.truth, "the ground truth");
  if (!config.quantize) return;
  read.add(config.quantize->ranges, "the ranges");
  read.add(config.quantize->record, "the records");
  if (!config.quantize->images.empty()) add_labelled_images(read, {config.quantize->images});
}

}  // namespace cytodet::pipeline
