#include "quant/sensitivity.h"

#include <algorithm>
#include <set>

#include "core/cpu.h"
#include "core/error.h"
#include "core/parallel.h"
#include "core/progress.h"
#include "exec/runtime/partitioned_plan.h"
#include "graph/ir/frames.h"
#include "graph/ir/op.h"
#include "graph/passes/pass.h"
#include "quant/sqnr.h"

namespace cytodet::quant {
namespace {

// The type of a value that its op leaves open until it runs.
DType type_when_run(const Graph& graph, PlanOptions plan, const CalibrationData& data, Value v) {
  plan.outputs = {graph.name_of(v)};
  Runner runner(Plan::compile(graph, plan));
  data.feed(0, runner);
  runner.run();
  return runner.output(0).dtype();
}

enum class Sizes { known, any };

// The outputs; for one that is not float, such as the best class, or whose size is not known before it runs, such as the boxes
// that suppression leaves, the nearest float values outside of loops and conditions that it is made of. Inputs are never
// compared: with themselves they are exact.
std::vector<std::string> float_outputs(const Graph& graph, const PlanOptions& plan, const CalibrationData& data, Sizes sizes) {
  const Facts facts = facts_of(graph, plan);
  const Frames frames(graph);
  std::vector<std::string> names;
  std::vector<Value> queue;
  for (const std::string& name : network_outputs(graph, plan)) queue.push_back(graph.value(name));
  std::set<Value> seen;
  for (size_t i = 0; i < queue.size(); ++i) {
    const Value v = queue[i];
    const std::string& op = graph.node(v.node).op;
    if (graph.constant(v) || op == "Placeholder" || op == "PlaceholderWithDefault" || !seen.insert(v).second) continue;
    const Fact& fact = facts.of(v);
    if (fact.constant) continue;
    const bool always_runs = frames.frame(v.node) == 0 && frames.guards(v).empty();
    const bool fits = sizes == Sizes::any || fact.has_static_shape();
    const auto type = [&] { return fact.dtype == DType::invalid ? type_when_run(graph, plan, data, v) : fact.dtype; };
    if (always_runs && fits && type() == DType::f32)
      names.push_back(graph.name_of(v));
    else
      queue.insert(queue.end(), graph.node(v.node).inputs.begin(), graph.node(v.node).inputs.end());
  }
  return names;
}

// What to compare. If nothing has a known size, the sizes of one run are taken to be those of every run.
std::vector<std::string> compared_values(const Graph& graph, const PlanOptions& plan, const CalibrationData& data) {
  std::vector<std::string> names = float_outputs(graph, plan, data, Sizes::known);
  if (names.empty()) names = float_outputs(graph, plan, data, Sizes::any);
  if (names.empty()) throw Error("graph", "has no float output to compare");
  return names;
}

}  // namespace

OutputSqnr::OutputSqnr(const Graph& graph, const PlanOptions& plan, const CalibrationData& data) : plan_(plan) {
  if (data.samples.empty()) throw Error(data.name, "holds no samples");
  plan_.outputs = compared_values(graph, plan, data);
  auto compiled = Plan::compile(graph, plan_);
  Runner runner(compiled);
  for (size_t s = 0; s < data.samples.size(); ++s) {
    data.feed(s, runner);
    std::vector<Tensor>& in = inputs_.emplace_back();
    for (size_t i = 0; i < compiled->inputs().size(); ++i) in.push_back(runner.input(static_cast<int>(i)).clone());
    runner.run();
    outputs_.push_back(runner.outputs());
  }
}

std::vector<std::pair<std::string, double>> OutputSqnr::noise_shares(const Graph& graph) const {
  auto compiled = Plan::compile(graph, plan_);
  Runner runner(compiled);
  std::vector<Sqnr> sums(compiled->outputs().size());
  for (size_t s = 0; s < inputs_.size(); ++s) {
    for (size_t i = 0; i < inputs_[s].size(); ++i) runner.set_input(static_cast<int>(i), inputs_[s][i]);
    runner.run();
    for (size_t i = 0; i < sums.size(); ++i) sums[i].add(outputs_[s][i], runner.output(static_cast<int>(i)));
  }
  std::vector<std::pair<std::string, double>> shares;
  for (size_t i = 0; i < sums.size(); ++i) shares.emplace_back(compiled->outputs()[i].name, sums[i].noise_share());
  return shares;
}

std::vector<std::pair<std::string, double>> OutputSqnr::each(const Graph& graph) const {
  auto found = noise_shares(graph);
  for (auto& [name, value] : found) value = to_db(value);
  return found;
}

double OutputSqnr::of(const Graph& graph) const {
  double sum = 0;
  const auto shares = noise_shares(graph);
  for (const auto& [name, share] : shares) sum += share;
  return to_db(sum / static_cast<double>(shares.size()));
}

std::vector<LayerSensitivity> sensitivity(const Graph& graph, const Ranges& ranges, const OutputSqnr& outputs,
                                          const SensitivityOptions& options) {
  Graph all = graph;
  std::vector<LayerSensitivity> layers;
  for (const QuantizedLayer& l : quantize(all, ranges, options.quantize).layers)
    if (l.precision == LayerPrecision::int8) layers.push_back({l.name, l.op, 0});
  Progress progress("sensitivity", static_cast<int64_t>(layers.size()), "layers", options.quiet);
  parallel_for(static_cast<int64_t>(layers.size()), options.threads, [&](int64_t i) {
    LayerSensitivity& layer = layers[static_cast<size_t>(i)];
    QuantizeOptions trial = options.quantize;
    for (const LayerSensitivity& other : layers)
      if ((other.name == layer.name) == options.alone_float) trial.exclude_nodes.push_back(other.name);
    Graph g = graph;
    quantize(g, ranges, trial);
    layer.sqnr_db = outputs.of(g);
    progress.add();
  });
  std::stable_sort(layers.begin(), layers.end(), [&](const LayerSensitivity& a, const LayerSensitivity& b) {
    return options.alone_float ? a.sqnr_db > b.sqnr_db : a.sqnr_db < b.sqnr_db;
  });
  return layers;
}

std::vector<std::string> layers_by_harm(const Graph& graph, const Ranges& ranges, const OutputSqnr& outputs,
                                        const SensitivityOptions& options) {
  std::vector<std::string> names;
  for (const LayerSensitivity& l : sensitivity(graph, ranges, outputs, options)) names.push_back(l.name);
  return names;
}

}  // namespace cytodet::quant
