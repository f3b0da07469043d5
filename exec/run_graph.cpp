#include "exec/run_graph.h"

#include <algorithm>
#include <cstdlib>

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
std::string difference_in_codes(const Tensor& got, const Tensor& wanted) {
  const DType t = wanted.dtype();
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

NamedTensors run_plan(const Graph& graph, const NamedTensors& feeds, const std::vector<std::string>& outputs,
                      const InferOptions& options) {
  PlanOptions plan_options;
  plan_options.outputs = outputs;
  plan_options.threads = options.threads;
  plan_options.precision = options.precision;
  for (const auto& [name, tensor] : feeds) plan_options.input_shapes[graph.node(graph.value(name).node).name] = tensor.shape();
  Runner runner(Plan::compile(graph, plan_options));
  for (size_t i = 0; i < runner.plan().inputs().size(); ++i)
    for (const auto& [name, tensor] : feeds)
      if (graph.node(graph.value(name).node).name == runner.plan().inputs()[i].name)
        runner.set_input(static_cast<int>(i), tensor);
  runner.run();
  NamedTensors results;
  for (size_t i = 0; i < outputs.size(); ++i) results[outputs[i]] = runner.output(static_cast<int>(i)).clone();
  return results;
}

std::filesystem::path graph_of_case(const std::filesystem::path& folder) {
  const std::filesystem::path onnx = folder / "model.onnx";
  return std::filesystem::exists(onnx) ? onnx : folder / "graph.pb";
}

}  // namespace

NamedTensors infer(const std::filesystem::path& path, const NamedTensors& feeds, const InferOptions& options) {
  Graph graph = read_graph(path, options.changes);
  try {
    const std::vector<std::string> outputs = options.outputs.empty() ? find_outputs(graph) : options.outputs;
    if (outputs.empty()) throw Error("graph", "has no outputs", "name them with --outputs");
    const PassOptions passes = pass_options(graph, feeds, outputs);
    if (options.plain) return run_interpreter(graph, feeds, outputs);
    run_passes(graph, passes);
    inline_functions(graph);  // those that must stay in a file for TensorFlow
    return run_plan(graph, feeds, outputs, options);
  } catch (const Error& e) {
    throw e.within(path.string());
  }
}

std::vector<CaseResult> run_cases(const std::filesystem::path& folder, const InferOptions& options) {
  std::vector<std::filesystem::path> folders;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    if (std::filesystem::exists(entry.path() / "case.json")) folders.push_back(entry.path());
  if (error) throw Error(folder.string(), "cannot list the folder: " + error.message());
  if (folders.empty()) throw Error(folder.string(), "has no sub-folder with case.json and graph.pb or model.onnx");
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
        if (std::string d = difference_in_codes(got.at(name), wanted); !d.empty()) {
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
