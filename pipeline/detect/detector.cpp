#include "pipeline/detect/detector.h"

#include <algorithm>
#include <filesystem>

#include "core/cpu.h"
#include "core/error.h"
#include "core/settings.h"
#include "core/timing.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/passes/pass.h"

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
  if (!j.is_object() || j.contains("graph") || j.contains("class_logits")) return false;
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
  if (!std::filesystem::exists(p, ignored))
    throw Error(path, "cannot open: no such file", "name a model file (.json) or a graph beside one");
  if (!has_model_file(path))
    throw Error(path, "has no model file beside it", "write " + beside.string() + ", see docs/model_file.md");
  ModelFile m = read_model_file(beside);
  m.graph = path;
  return m;
}

Detector::Detector(ModelFile model, const DetectorOptions& options) : decoder_(std::move(model)) {
  Stopwatch watch;
  compile(read_graph(decoder_.model().graph), options);
  load_ms_ = watch.ms();
}

Detector::Detector(ModelFile model, Graph graph, const DetectorOptions& options) : decoder_(std::move(model)) {
  Stopwatch watch;
  compile(std::move(graph), options);
  load_ms_ = watch.ms();
}

void Detector::compile(Graph graph, const DetectorOptions& options) {
  const ModelFile& m = decoder_.model();
  PlanOptions plan;
  plan.threads = std::max(1, options.threads_per_stream);
  plan.precision = options.precision;
  plan.outputs = m.class_logits;
  plan.outputs.insert(plan.outputs.end(), m.box_deltas.begin(), m.box_deltas.end());
  plan.coded_inputs = options.coded_input;
  plan.input_shapes[m.input.node] = {1, m.input.height, m.input.width, 3};
  try {
    if (options.optimize) {
      PassOptions passes;
      passes.interface = {{m.input.node}, plan.outputs};
      run_passes(graph, passes);
    }
    inline_functions(graph);  // those that the passes leave to TensorFlow's compiler
    plan_ = Plan::compile(graph, plan);
    if (const auto& codes = plan_->inputs().at(0).codes) {
      codes_ = PixelCodes{{}, codes->lowest, codes->highest};
      std::copy(codes->inverse_scales.begin(), codes->inverse_scales.end(), codes_->inverse_scale);
    }
    for (size_t i = 0; i < plan_->outputs().size(); ++i) {
      const TensorSpec& out = plan_->outputs()[i];
      size_t level = i % m.class_logits.size();
      int64_t anchors = AnchorLevel(m, m.anchors.min_level + static_cast<int>(level)).size();
      int64_t wanted = anchors * (i < m.class_logits.size() ? m.class_count() : 4);
      if (out.dtype != DType::f32 || !is_static(out.shape) || elements(out.shape) != wanted)
        throw Error("output " + out.name,
                    "is " + name_of(out.dtype) + " " + to_string(out.shape) + ", but " + std::to_string(wanted) +
                        " float values are expected",
                    "check input size, anchors and classes in the model file");
    }
  } catch (const Error& e) {
    throw e.within(m.graph);
  }
  int streams = options.streams > 0 ? options.streams : std::max(1, usable_cpus() / plan.threads);
  for (int i = 0; i < streams; ++i) runners_.emplace_back(plan_);
}

Detections Detector::run(const Image& image, const Letterbox& box, int stream, StageTimes& times) {
  Runner& r = runner(stream);
  const ModelFile& m = model();
  Stopwatch watch;
  if (codes_)
    preprocess(image, m.input, box, *codes_, r.input(0).data<uint8_t>());
  else
    preprocess(image, m.input, box, r.input(0).data<float>());
  times.resize_ms = watch.ms();
  watch.restart();
  r.run();
  times.network_ms = watch.ms();
  watch.restart();
  std::vector<const Tensor*> logits, deltas;
  int levels = static_cast<int>(m.class_logits.size());
  for (int i = 0; i < levels; ++i) {
    logits.push_back(&r.output(i));
    deltas.push_back(&r.output(levels + i));
  }
  // The decoder has one scale: rows are counted as wide as columns first.
  const double stretch = box.scale_y / box.scale;
  Detections found = decoder_.decode(logits, deltas, box.scale, image.width, image.height * stretch);
  if (stretch != 1)
    for (Detection& d : found) {
      d.box.y0 /= stretch;
      d.box.y1 /= stretch;
    }
  times.decode_ms = watch.ms();
  return found;
}

}  // namespace cytodet::pipeline
