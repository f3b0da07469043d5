#include "pipeline/classify/classifier.h"

#include <algorithm>
#include <cmath>

#include "core/cpu.h"
#include "core/error.h"
#include "core/settings.h"
#include "graph/io/read_network.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/passes/pass.h"
#include "models/classification/classifier_settings.h"
#include "pipeline/detect/fit_to_image.h"

namespace cytodet::pipeline {

ModelFile with_settings(ModelFile model, const ClassifySettings& s) {
  if (!s.side) return model;
  ResizeSettings& resize = classification_settings(model).resize;
  resize.short_side = static_cast<int>(std::lround(static_cast<double>(resize.short_side) * *s.side / model.input.width));
  model.input.width = model.input.height = *s.side;
  check(model, model.graph);
  return model;
}

Classifier::Classifier(ModelFile model, const ClassifierOptions& options) : model_(make_classification_model(std::move(model))) {
  compile(read_network(model_->file().graph), options);
}

Classifier::Classifier(ModelFile model, Graph graph, const ClassifierOptions& options)
    : model_(make_classification_model(std::move(model))) {
  compile(std::move(graph), options);
}

void Classifier::compile(Graph graph, const ClassifierOptions& options) {
  batch_ = std::max(1, options.batch);
  PlanOptions plan;
  plan.threads = std::max(1, options.threads_per_stream);
  plan.precision = options.precision;
  plan.outputs = model_->outputs();
  plan.input_shapes[model_->input().node] = model_->input_shape(batch_);
  try {
    fit_to_image(graph, *model_);
    if (options.optimize) {
      PassOptions passes;
      passes.interface = {{model_->input().node}, plan.outputs};
      run_passes(graph, passes);
    }
    inline_functions(graph);  // those that the passes leave to TensorFlow's compiler
    plan_ = Plan::compile(graph, plan);
    check_inputs(*plan_, model_->input());
    std::vector<OutputSpec> outputs;
    for (const TensorSpec& out : plan_->outputs()) outputs.push_back({out.name, out.dtype, out.shape});
    model_->check_outputs(outputs);
    if (outputs[0].shape[0] != batch_)
      throw Error("output " + outputs[0].name, "is " + to_string(outputs[0].shape) + " for a batch of " + std::to_string(batch_),
                  "the graph takes one batch size alone; choose it with --batch");
  } catch (const Error& e) {
    throw e.within(model().graph);
  }
  const int streams = options.streams > 0 ? options.streams : std::max(1, usable_cpus() / plan.threads);
  for (int i = 0; i < streams; ++i) runners_.emplace_back(plan_);
}

float* Classifier::input(int stream, int row) {
  const int64_t values = elements(model_->input_shape());
  return runners_[static_cast<size_t>(stream)].input(0).data<float>() + row * values;
}

void Classifier::run(int stream) { runners_[static_cast<size_t>(stream)].run(); }

std::vector<float> Classifier::scores(int stream, int row) const {
  const Tensor* output = &runners_[static_cast<size_t>(stream)].output(0);
  return model_->scores({&output, 1}, row);
}

}  // namespace cytodet::pipeline
