#include "pipeline/detect/detector.h"

#include <algorithm>
#include <filesystem>

#include "core/cpu.h"
#include "core/error.h"
#include "core/settings.h"
#include "core/timing.h"
#include "graph/io/file_kind.h"
#include "graph/io/read_network.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/passes/pass.h"
#include "models/registry.h"

namespace cytodet::pipeline {

namespace {

// Tensors by name, perhaps under "inputs": what infer reads and writes. What cannot be read is not called so.
bool holds_feeds(const std::filesystem::path& path) {
  Json j;
  try {
    j = read_json(path);
  } catch (const Error&) {
    return false;
  }
  if (!j.is_object() || is_model_file(j)) return false;
  for (const char* key : {"inputs", "outputs"})
    if (j.contains(key) && j[key].is_object()) return true;
  return !j.empty() && std::all_of(j.begin(), j.end(), [](const Json& v) { return v.is_object() && v.contains("dtype"); });
}

}  // namespace

bool has_model_file(const std::string& path) {
  if (path.ends_with(".json")) return true;
  std::error_code ignored;
  const std::filesystem::path beside = std::filesystem::path(path).replace_extension(".json");
  return std::filesystem::exists(beside, ignored) && !holds_feeds(beside);
}

ModelFile load_model(const std::string& path) {
  std::filesystem::path p = path;
  if (p.extension() == ".json") return read_model_file(p);
  std::filesystem::path beside = p;
  beside.replace_extension(".json");
  std::error_code ignored;
  if (!std::filesystem::exists(p, ignored) && !kind_at(p))
    throw Error(path, "cannot open: no such file", "name a model file (.json) or a graph beside one");
  if (!has_model_file(path))
    throw Error(path, "has no model file beside it", "write " + beside.string() + ", see docs/model_file.md");
  ModelFile m = read_model_file(beside);
  m.graph = path;
  return m;
}

Detector::Detector(ModelFile model, const DetectorOptions& options) : model_(make_detection_model(std::move(model))) {
  Stopwatch watch;
  compile(read_network(model_->file().graph), options);
  load_ms_ = watch.ms();
}

Detector::Detector(ModelFile model, Graph graph, const DetectorOptions& options)
    : model_(make_detection_model(std::move(model))) {
  Stopwatch watch;
  compile(std::move(graph), options);
  load_ms_ = watch.ms();
}

void Detector::compile(Graph graph, const DetectorOptions& options) {
  PlanOptions plan;
  plan.threads = std::max(1, options.threads_per_stream);
  plan.precision = options.precision;
  plan.outputs = model_->outputs();
  plan.quantized_inputs = options.quantized_input;
  plan.input_shapes[model_->input().node] = model_->input_shape();
  try {
    if (options.optimize) {
      PassOptions passes;
      passes.interface = {{model_->input().node}, plan.outputs};
      run_passes(graph, passes);
    }
    inline_functions(graph);  // those that the passes leave to TensorFlow's compiler
    plan_ = Plan::compile(graph, plan);
    input_.emplace(*plan_, model_->input());
    std::vector<OutputSpec> outputs;
    for (const TensorSpec& out : plan_->outputs()) outputs.push_back({out.name, out.dtype, out.shape});
    model_->check_outputs(outputs);
  } catch (const Error& e) {
    throw e.within(model().graph);
  }
  int streams = options.streams > 0 ? options.streams : std::max(1, usable_cpus() / plan.threads);
  for (int i = 0; i < streams; ++i) runners_.emplace_back(plan_);
}

Detections Detector::run(const Image& image, const Letterbox& box, int stream, StageTimes& times) {
  Runner& r = runner(stream);
  Stopwatch watch;
  input_->put(*model_, image, box, r);
  times.resize = watch.ms() / 1000;
  watch.restart();
  r.run();
  times.network = watch.ms() / 1000;
  watch.restart();
  std::vector<const Tensor*> outputs;
  for (size_t i = 0; i < plan_->outputs().size(); ++i) outputs.push_back(&r.output(static_cast<int>(i)));
  Detections found = model_->decode(outputs, box, image.width, image.height);
  times.decode = watch.ms() / 1000;
  return found;
}

}  // namespace cytodet::pipeline
