#include "pipeline/profile/bench_network.h"

#include <random>

#include "core/dispatch.h"
#include "core/error.h"
#include "core/timing.h"
#include "graph/interpret/feed_check.h"
#include "graph/interpret/set_values.h"
#include "graph/io/read_graph.h"
#include "graph/passes/pass.h"
#include "models/registry.h"

namespace cytodet::pipeline {
namespace {

// Floats in [0, 1), bytes of all values; other whole numbers and conditions 0.
Tensor random_input(const TensorSpec& spec) {
  Tensor t(spec.dtype, spec.shape);
  std::mt19937 random(7);
  if (spec.dtype == DType::u8)
    for (int64_t i = 0; i < t.size(); ++i) t.data<uint8_t>()[i] = static_cast<uint8_t>(random() >> 24);
  if (spec.dtype != DType::f32) return t;
  for (int64_t i = 0; i < t.size(); ++i) t.data<float>()[i] = static_cast<float>(random() >> 8) * 0x1p-24f;
  return t;
}

// Shapes of a graph's inputs where it leaves them open: as given, else one image where only their number is open.
std::map<std::string, Shape> open_shapes(const Graph& graph, std::map<std::string, Shape> given) {
  for (NodeId id : graph.ids()) {
    const Node& n = graph.node(id);
    const auto* shape = n.op == "Placeholder" ? n.find_attr<ShapeAttr>("shape") : nullptr;
    if (!shape || !shape->known_rank || shape->dims.size() < 2 || shape->dims[0] >= 0) continue;
    Shape one = shape->dims;
    one[0] = 1;
    if (is_static(one)) given.try_emplace(n.name, one);
  }
  return given;
}

}  // namespace

BenchNetwork::BenchNetwork(const BenchOptions& options, int streams, int threads) {
  if (!has_model_file(options.path)) {
    compile_graph(options, streams, threads);
    return;
  }
  ModelFile model = load_model(options.path);
  if (family_of(model).kind == NetworkKind::classification) {
    compile_classifier(std::move(model), options.precision, streams, threads);
    return;
  }
  const DetectSettings settings{.streams = streams, .threads_per_stream = threads, .precision = options.precision};
  detector_ = std::make_unique<Detector>(std::move(model), settings, false);
  for (int s = 0; s < detector_->streams(); ++s) runners_.push_back(&detector_->runner(s));
  plan_ = &detector_->plan();
  load_ms_ = detector_->load_ms();
}

void BenchNetwork::compile_classifier(ModelFile model, Precision precision, int streams, int threads) {
  Stopwatch watch;
  classifier_ = std::make_unique<Classifier>(std::move(model), ClassifierOptions{1, streams, threads, true, precision});
  load_ms_ = watch.ms();
  for (int s = 0; s < classifier_->streams(); ++s) runners_.push_back(&classifier_->runner(s));
  plan_ = &classifier_->plan();
}

void BenchNetwork::compile_graph(const BenchOptions& options, int streams, int threads) {
  Stopwatch watch;
  Graph graph = read_graph(options.path, options.changes);
  try {
    PassOptions passes;
    passes.interface = options.interface;
    if (passes.interface.outputs.empty()) passes.interface.outputs = find_outputs(graph);
    require_frozen(graph, passes.interface.outputs);
    run_passes(graph, passes);
    PlanOptions plan;
    plan.outputs = passes.interface.outputs;
    plan.input_shapes = open_shapes(graph, options.shapes);
    plan.threads = threads;
    plan.precision = options.precision;
    shared_ = Plan::compile(graph, plan);
    for (const TensorSpec& input : shared_->inputs())
      if (!is_static(input.shape) || input.dtype == DType::invalid)
        throw Error("input " + input.name, "is " + to_string(input.shape) + ": its size is not known",
                    "give it: --shape " + input.name + "=1,224,224,3");
  } catch (const Error& e) {
    throw e.code() == Exit::usage ? e : e.within(options.path);
  }
  plan_ = shared_.get();
  load_ms_ = watch.ms();
  own_.reserve(static_cast<size_t>(streams));
  for (int s = 0; s < streams; ++s) {
    Runner& runner = own_.emplace_back(shared_);
    for (size_t i = 0; i < shared_->inputs().size(); ++i)
      runner.set_input(static_cast<int>(i), random_input(shared_->inputs()[i]));
    runners_.push_back(&runner);
  }
}

}  // namespace cytodet::pipeline
