#include "exec/run_graph.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "core/messages.h"
#include "exec/runtime/plan.h"
#include "graph/interpret/feed_check.h"
#include "graph/interpret/set_values.h"
#include "graph/io/read_graph.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/ir/op.h"
#include "graph/passes/pass.h"

namespace cytodet::exec {

namespace {

// difference(), but quantized values of older tools' 8-bit layers, which kernels compute with one rounding and without -128,
// may be three off.
std::string difference_in_quantized(const Tensor& got, const Tensor& wanted, double tolerance) {
  const DType t = wanted.dtype();
  if (tolerance > 0) return difference(got, wanted, tolerance);
  if ((t != DType::qint8 && t != DType::quint8 && t != DType::qint32) || got.dtype() != t || got.shape() != wanted.shape())
    return difference(got, wanted);
  for (int64_t i = 0; i < wanted.size(); ++i)
    if (std::llabs(got.as_int(i) - wanted.as_int(i)) > 3) return difference(got, wanted);
  return {};
}

// What the caller feeds and asks for: it must survive the passes.
PassOptions pass_options(const Graph& graph, const NamedTensors& feeds, const std::vector<std::string>& outputs) {
  PassOptions passes;
  for (const auto& [name, tensor] : feeds) {
    const Value v = graph.value(name);
    if (v.slot != 0) throw Error("input " + name, "only the first output of a node can be fed");
    check_feed(graph, v, tensor);
    passes.interface.inputs.push_back(graph.node(v.node).name);
  }
  require_frozen(graph, outputs);
  if (feeds.empty()) passes.interface.inputs = find_inputs(graph);
  std::vector<std::string>& kept = passes.interface.outputs;
  for (const std::string& name : outputs) {
    const std::string& node = graph.node(graph.value(name).node).name;
    if (std::find(kept.begin(), kept.end(), node) == kept.end()) kept.push_back(node);
  }
  return passes;
}

NamedTensors run_interpreter(Graph& graph, const NamedTensors& feeds, const std::vector<std::string>& outputs) {
  inline_functions(graph);
  Feeds by_value;
  std::vector<Value> fetches;
  for (const auto& [name, tensor] : feeds) by_value[graph.value(name)] = tensor;
  for (const std::string& name : outputs) fetches.push_back(graph.value(name));
  const std::vector<Tensor> values = interpret(graph, by_value, fetches);
  NamedTensors results;
  for (size_t i = 0; i < outputs.size(); ++i) results[outputs[i]] = values[i];
  return results;
}

std::filesystem::path graph_of_case(const std::filesystem::path& folder) {
  for (const char* name : {"model.onnx", "model.tflite"})
    if (std::filesystem::exists(folder / name)) return folder / name;
  return folder / "graph.pb";
}

}  // namespace

// A plan, and the runners of it that are idle.
struct GraphRunner::Compiled {
  std::shared_ptr<const Plan> plan;
  std::vector<Runner> idle;
};

GraphRunner::GraphRunner(const std::filesystem::path& path, const InferOptions& options)
    : path_(path.string()), options_(options), graph_(read_graph(path, options.changes)), outputs_(options.outputs) {
  if (outputs_.empty()) outputs_ = find_outputs(graph_);
}

GraphRunner::~GraphRunner() = default;

std::shared_ptr<GraphRunner::Compiled> GraphRunner::compiled(const NamedTensors& feeds,
                                                             const std::vector<std::string>& outputs) const {
  std::string key;
  for (const std::string& name : outputs) key += name + "\n";
  for (const auto& [name, tensor] : feeds) key += "\n" + name + " " + name_of(tensor.dtype()) + to_string(tensor.shape());
  const std::lock_guard lock(mutex_);
  if (const auto known = plans_.find(key); known != plans_.end()) return known->second;
  Graph graph = graph_;
  run_passes(graph, pass_options(graph, feeds, outputs));
  inline_functions(graph);  // those that must stay in a file for TensorFlow
  PlanOptions plan;
  plan.outputs = outputs;
  plan.threads = options_.threads;
  plan.precision = options_.precision;
  for (const auto& [name, tensor] : feeds) plan.input_shapes[graph.node(graph.value(name).node).name] = tensor.shape();
  constexpr size_t kMaxPlans = 8;  // each holds its weights in packed form
  if (plans_.size() >= kMaxPlans) plans_.clear();
  return plans_[key] = std::make_shared<Compiled>(Compiled{Plan::compile(graph, plan), {}});
}

NamedTensors GraphRunner::run_compiled(const NamedTensors& feeds, const std::vector<std::string>& outputs) const {
  const std::shared_ptr<Compiled> c = compiled(feeds, outputs);
  std::optional<Runner> runner;
  {
    const std::lock_guard lock(mutex_);
    if (!c->idle.empty()) {
      runner.emplace(std::move(c->idle.back()));
      c->idle.pop_back();
    }
  }
  if (!runner) runner.emplace(c->plan);
  for (size_t i = 0; i < c->plan->inputs().size(); ++i) {
    bool fed = false;
    for (const auto& [name, tensor] : feeds) {
      if (graph_.node(graph_.value(name).node).name != c->plan->inputs()[i].name) continue;
      runner->set_input(static_cast<int>(i), tensor);
      fed = true;
    }
    if (fed) continue;
    const std::string& name = c->plan->inputs()[i].name;
    if (!options_.changes.sizes.contains(name))
      throw UsageError("input " + name, "is not fed", "feed it, or fetch other outputs");
    print_warning("input " + name + " is not fed: all of it is 0");
  }
  runner->run();
  NamedTensors results;
  for (size_t i = 0; i < outputs.size(); ++i) results[outputs[i]] = runner->output(static_cast<int>(i)).clone();
  const std::lock_guard lock(mutex_);
  c->idle.push_back(std::move(*runner));
  return results;
}

NamedTensors GraphRunner::run(const NamedTensors& feeds, const std::vector<std::string>& outputs) const {
  try {
    const std::vector<std::string>& wanted = outputs.empty() ? outputs_ : outputs;
    if (wanted.empty()) throw Error("graph", "has no outputs", "name them with --outputs");
    if (!options_.plain) return run_compiled(feeds, wanted);
    pass_options(graph_, feeds, wanted);  // whose checks hold for the interpreter, too
    Graph graph = graph_;
    return run_interpreter(graph, feeds, wanted);
  } catch (const Error& e) {
    throw e.within(path_);
  }
}

NamedTensors infer(const std::filesystem::path& path, const NamedTensors& feeds, const InferOptions& options) {
  return GraphRunner(path, options).run(feeds, {});
}

std::vector<CaseResult> run_cases(const std::filesystem::path& folder, const InferOptions& options) {
  std::vector<std::filesystem::path> folders;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    if (std::filesystem::exists(entry.path() / "case.json")) folders.push_back(entry.path());
  if (error) throw Error(folder.string(), "cannot list the folder: " + error.message());
  if (folders.empty()) throw Error(folder.string(), "has no sub-folder with case.json and graph.pb, model.onnx or model.tflite");
  std::sort(folders.begin(), folders.end());
  std::vector<CaseResult> results;
  for (const auto& f : folders) {
    CaseResult result{f.filename().string(), {}};
    try {
      Case c = read_case(f / "case.json");
      InferOptions own = options;
      own.outputs.clear();
      for (const auto& [name, tensor] : c.outputs) own.outputs.push_back(name);
      NamedTensors got = infer(graph_of_case(f), c.inputs, own);
      for (const auto& [name, wanted] : c.outputs)
        if (std::string d = difference_in_quantized(got.at(name), wanted, tolerance_of(c, name)); !d.empty()) {
          result.problem = "output " + name + ": " + d;
          break;
        }
    } catch (const Error& e) {
      result.problem = e.what();
    }
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace cytodet::exec
