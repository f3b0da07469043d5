#include "pipeline/detect/detector.h"

#include <algorithm>
#include <array>
#include <cmath>
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
#include "pipeline/detect/fit_to_image.h"

namespace cytodet::pipeline {

namespace {

MapSize size_of(const InputSettings& input) { return {input.height, input.width}; }

// Whether the placeholder leaves height and width open.
bool leaves_size_open(const Graph& graph, const std::string& input) {
  const NodeId id = graph.find(input);
  if (id < 0 || graph.node(id).op != "Placeholder") return false;
  const ShapeAttr shape = graph.node(id).attr_or("shape", ShapeAttr{});
  return !shape.known_rank || shape.dims.empty() || (shape.dims.size() == 4 && shape.dims[1] < 0 && shape.dims[2] < 0);
}

// Keys that every model file may have, but for its name, which files of all kinds have.
constexpr std::array kModelKeys{"family",      "graph",        "input",       "classes",         "classes_file",
                                "class_count", "category_ids", "suppression", "operating_scores"};

// Tensors by name, perhaps under "inputs": what infer reads and writes.
bool holds_feeds(const Json& j) {
  for (const char* key : {"inputs", "outputs"})
    if (j.contains(key) && j[key].is_object()) return true;
  return !j.empty() && std::all_of(j.begin(), j.end(), [](const Json& v) { return v.is_object() && v.contains("dtype"); });
}

// JSON that is no model file: feeds, or what another program keeps about the graph. What cannot be read is not called so.
bool is_foreign_json(const std::filesystem::path& path) {
  Json j;
  try {
    j = read_json(path);
  } catch (const Error&) {
    return false;
  }
  if (!j.is_object()) return j.is_array();
  const bool is_bare = j.empty() || (j.size() == 1 && j.contains("name"));  // all other keys have defaults
  if (is_model_file(j) || is_bare) return false;
  return holds_feeds(j) || std::none_of(kModelKeys.begin(), kModelKeys.end(), [&](const char* key) { return j.contains(key); });
}

bool is_plain(const InputSettings& s) {
  const ChannelScale scale = channel_scale(s);
  return std::all_of(scale.factor, scale.factor + 3, [](float v) { return v == 1; }) &&
         std::all_of(scale.offset, scale.offset + 3, [](float v) { return v == 0; });
}

}  // namespace

NetworkInput::NetworkInput(const Plan& plan, const InputSettings& settings) {
  check_inputs(plan, settings);
  const TensorSpec& spec = plan.inputs().at(0);
  if (spec.quant) {
    bytes_ = InputQuantization{{}, spec.quant->qmin, spec.quant->qmax};
    std::copy(spec.quant->inverse_scales.begin(), spec.quant->inverse_scales.end(), bytes_->inverse_scale);
  } else if (spec.dtype == DType::u8) {
    if (!is_plain(settings))
      throw Error("input " + spec.name, "takes bytes of pixels, but the model file normalises them",
                  "set input.divisor to 1, input.mean to [0, 0, 0], input.deviation to [1, 1, 1]");
    bytes_ = InputQuantization{};
  } else if (spec.dtype != DType::f32) {
    throw Error("input " + spec.name, "is of type " + name_of(spec.dtype), "images are fed as float32 or uint8");
  }
}

void NetworkInput::put(const DetectionModel& network, const Image& image, const Letterbox& box, Runner& runner) const {
  if (bytes_)
    network.preprocess(image, box, *bytes_, runner.input(0).data<uint8_t>());
  else
    network.preprocess(image, box, runner.input(0).data<float>());
}

bool has_model_file(const std::string& path) {
  if (path.ends_with(".json")) return true;
  std::error_code ignored;
  const std::filesystem::path beside = std::filesystem::path(path).replace_extension(".json");
  return std::filesystem::exists(beside, ignored) && !is_foreign_json(beside);
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
    throw Error(path, "has no model file beside it",
                std::filesystem::exists(beside, ignored)
                    ? beside.filename().string() + " is none: see docs/model_file.md, and give the graph a name of its own"
                    : "write " + beside.string() + ", see docs/model_file.md");
  ModelFile m = read_model_file(beside);
  m.graph = path;
  return m;
}

Detector::Detector(ModelFile model, const DetectSettings& settings, bool quantized_input)
    : settings_(settings), optimize_(true), quantized_input_(quantized_input), frozen_(make_detection_model(std::move(model))) {
  Stopwatch watch;
  prepare(read_network(frozen_->file().graph));
  load_ms_ = watch.ms();
}

Detector::Detector(ModelFile model, Graph graph, const DetectSettings& settings)
    : settings_(settings), optimize_(false), quantized_input_(true), frozen_(make_detection_model(std::move(model))) {
  Stopwatch watch;
  prepare(std::move(graph));
  load_ms_ = watch.ms();
}

void Detector::prepare(Graph graph) {
  const int threads = std::max(1, settings_.threads_per_stream);
  streams_ = settings_.streams > 0 ? settings_.streams : std::max(1, usable_cpus() / threads);
  MapSize size = size_of(frozen_->input());
  if (!settings_.network_px.empty()) {
    size = {settings_.network_px.back(), settings_.network_px.front()};
    tile_shape_.height = static_cast<double>(size.height) / static_cast<double>(size.width);
  }
  try {
    if (settings_.tiling.fit_edges) {
      inline_functions(graph);
      graph_ = graph;
      Graph fitted = graph;
      fit_to_image(fitted, *frozen_);
      step_ = input_step(fitted, frozen_->input().node, size_of(frozen_->input()), frozen_->outputs());
      tile_shape_.step_x = static_cast<double>(step_.width) / static_cast<double>(size.width);
      tile_shape_.step_y = static_cast<double>(step_.height) / static_cast<double>(size.height);
    }
  } catch (const Error& e) {
    throw Error(e.where(), e.problem(), "leave out detect.tiling.fit_edges (--fit-edges)").within(frozen_->file().graph);
  }
  any_size_ = frozen_->input().placement == Placement::image && settings_.network_px.empty() &&
              leaves_size_open(graph, frozen_->input().node);
  if (any_size_ && !settings_.tiling.fit_edges) graph_ = graph;
  main_ = compile(std::move(graph), size);
  model_ = main_->model;
  for (int s = 0; s < streams_; ++s) main_->runners[static_cast<size_t>(s)].emplace(main_->plan);
}

std::shared_ptr<Detector::Sized> Detector::compile(Graph graph, MapSize size) const {
  const MapSize frozen = size_of(frozen_->input());
  auto sized = std::make_shared<Sized>();
  ModelFile file = model_of(size);
  sized->min_score = file.suppression.score;
  sized->max_detections = static_cast<size_t>(file.suppression.detections);
  if (settings_.cascade) {
    file.suppression.score = std::min(file.suppression.score, settings_.cascade->score);
    file.suppression.detections = std::max(file.suppression.detections, file.suppression.candidates_per_class);
  }
  sized->model = size == frozen && !settings_.cascade ? frozen_ : make_detection_model(std::move(file));
  const DetectionModel& model = *sized->model;
  PlanOptions plan;
  plan.threads = std::max(1, settings_.threads_per_stream);
  plan.precision = settings_.precision;
  plan.outputs = model.outputs();
  plan.quantized_inputs = quantized_input_;
  plan.input_shapes[model.input().node] = model.input_shape();
  try {
    fit_to_image(graph, model);
    if (size != frozen) {
      inline_functions(graph);
      if (!any_size_) resize_input(graph, model.input().node, frozen, size, plan.outputs);
    }
    if (optimize_) {
      PassOptions passes;
      passes.interface = {{model.input().node}, plan.outputs};
      run_passes(graph, passes);
    }
    inline_functions(graph);  // those that the passes leave to TensorFlow's compiler
    sized->plan = Plan::compile(graph, plan);
    sized->input.emplace(*sized->plan, model.input());
    std::vector<OutputSpec> outputs;
    for (const TensorSpec& out : sized->plan->outputs()) outputs.push_back({out.name, out.dtype, out.shape});
    model.check_outputs(outputs);
  } catch (const Error& e) {
    throw e.within(frozen_->file().graph);
  }
  sized->runners.resize(static_cast<size_t>(streams_));
  return sized;
}

ModelFile Detector::model_of(MapSize size) const {
  ModelFile m = frozen_->file();
  const double area =
      any_size_ ? 1 : static_cast<double>(size.width * size.height) / (double{1} * m.input.width * m.input.height);
  m.input.width = static_cast<int>(size.width);
  m.input.height = static_cast<int>(size.height);
  for (int* limit : {&m.suppression.candidates_per_class, &m.suppression.detections})
    *limit = std::max(*limit, static_cast<int>(std::min(1e9, std::ceil(*limit * area))));
  return m;
}

std::shared_ptr<Detector::Sized> Detector::fitting(const Letterbox& box) {
  const auto up = [](int64_t pixels, int64_t step) { return (pixels + step - 1) / step * step; };
  const MapSize size{std::min<int64_t>(up(box.height, step_.height), model_->input().height),
                     std::min<int64_t>(up(box.width, step_.width), model_->input().width)};
  return of_size(size);
}

std::shared_ptr<Detector::Sized> Detector::of_size(MapSize size) {
  if (size == size_of(model_->input())) return main_;
  const Size key(size.height, size.width);
  constexpr size_t kMinCost = kMaxOtherBytes / kMaxOther;
  std::unique_lock lock(fitting_mutex_);
  if (const auto* known = others_.get(key)) {
    const auto theirs = *known;
    lock.unlock();
    return theirs.get();  // once whoever asked first has compiled it
  }
  std::promise<std::shared_ptr<Sized>> made;
  const auto future = others_.put(key, made.get_future().share(), kMinCost);
  lock.unlock();
  try {
    made.set_value(compile(graph_, size));
  } catch (...) {
    made.set_exception(std::current_exception());
  }
  const std::shared_ptr<Sized> sized = future.get();
  lock.lock();
  others_.put(key, future, std::max(static_cast<size_t>(sized->plan->stream_bytes() * streams_), kMinCost));
  return sized;
}

size_t Detector::other_bytes() {
  const std::lock_guard lock(fitting_mutex_);
  return others_.cost();
}

Detections Detector::run(const Image& image, const Letterbox& box, int stream, StageTimes& times, bool fit) {
  const std::shared_ptr<Sized> sized = fit && settings_.tiling.fit_edges ? fitting(box) : main_;
  return ranked(run(*sized, image, box, stream, times), *sized);
}

Detections Detector::run_whole(const Image& image, int stream, StageTimes& times) {
  const auto [sized, box] = whole(image);
  return ranked(run(*sized, image, box, stream, times), *sized);
}

std::vector<Tensor> Detector::values_of_whole(const Image& image, int stream) {
  const auto [sized, box] = whole(image);
  Runner& r = runner_of(*sized, stream);
  sized->input->put(*sized->model, image, box, r);
  r.run();
  return r.outputs();
}

std::pair<std::shared_ptr<Detector::Sized>, Letterbox> Detector::whole(const Image& image) {
  if (!any_size_) return {main_, letterbox_of(image.width, image.height, model_->input())};
  Letterbox box;
  box.width = image.width;
  box.height = image.height;
  return {of_size({image.height, image.width}), box};
}

Runner& Detector::runner_of(Sized& sized, int stream) {
  std::optional<Runner>& own = sized.runners[static_cast<size_t>(stream)];
  if (!own) own.emplace(sized.plan);
  return *own;
}

Detections Detector::ranked(Detections found, const Sized& sized) const {
  if (settings_.cascade) {  // ranked: the best come first
    std::erase_if(found, [&](const Detection& d) { return !(static_cast<double>(d.score) > sized.min_score); });
    if (found.size() > sized.max_detections) found.resize(sized.max_detections);
  }
  return found;
}

Detections Detector::look(const Image& image, const Letterbox& box, int stream, StageTimes& times, bool fit) {
  return run(*(fit && settings_.tiling.fit_edges ? fitting(box) : main_), image, box, stream, times);
}

Detections Detector::run(Sized& sized, const Image& image, const Letterbox& box, int stream, StageTimes& times) const {
  Runner& r = runner_of(sized, stream);
  Stopwatch watch;
  sized.input->put(*sized.model, image, box, r);
  times.resize = watch.ms() / 1000;
  watch.restart();
  r.run();
  times.network = watch.ms() / 1000;
  watch.restart();
  std::vector<const Tensor*> outputs;
  for (size_t i = 0; i < sized.plan->outputs().size(); ++i) outputs.push_back(&r.output(static_cast<int>(i)));
  Detections found = sized.model->decode(outputs, box, image.width, image.height);
  times.decode = watch.ms() / 1000;
  return found;
}

std::string detector_key(const DetectSettings& s) {
  return json_line(Json{{"streams", s.streams},
                        {"threads_per_stream", s.threads_per_stream},
                        {"precision", name_of(s.precision)},
                        {"network_px", s.network_px},
                        {"fit_edges", s.tiling.fit_edges},
                        {"cascade_score", s.cascade ? Json(s.cascade->score) : Json()}});
}

}  // namespace cytodet::pipeline
