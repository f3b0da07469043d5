// Functions of cytodet/c.h that open a graph and run it.
#include <memory>

#include "api/handles.h"
#include "api/tensor_lists.h"
#include "core/settings.h"
#include "core/stop.h"
#include "exec/run_graph.h"
#include "graph/description.h"
#include "graph/interpret/feed_check.h"
#include "graph/ir/endpoints.h"
#include "graph/ir/op.h"

struct cytodet_graph {
  explicit cytodet_graph(const char* file, const cytodet::exec::InferOptions& options) : runner(file, options), path(file) {}

  cytodet::exec::GraphRunner runner;
  std::string path;
  cytodet_tensors inputs, outputs;  // descriptions
  std::string description;
};

namespace cytodet::api {
namespace {

graph::InputSizes sizes_of(core::Json json) {
  if (!json.is_object()) throw core::UsageError("sizes", "is no JSON object", "write {\"NAME\": [1, 224, 224, 3]}");
  graph::InputSizes sizes;
  std::vector<std::string> names;
  for (const auto& item : json.items()) names.push_back(item.key());
  for (const std::string& name : names) sizes[name] = take(json, name.c_str(), core::Shape{});
  return sizes;
}

exec::InferOptions infer_options(core::Json json) {
  exec::InferOptions o;
  o.threads = take(json, "threads", o.threads);
  o.precision = exec::precision_named(take(json, "precision", std::string("graph")));
  o.plain = take(json, "plain", false);
  o.changes.set = take(json, "set", o.changes.set);
  o.changes.sizes = sizes_of(take(json, "sizes", core::Json::object()));
  refuse_rest(json, {"threads", "precision", "plain", "set", "sizes"});
  if (o.threads < 1 || o.threads > 256) throw core::UsageError("threads", "must be 1 to 256");
  return o;
}

void describe_values(const graph::Graph& g, const graph::Facts& facts, const std::vector<std::string>& names,
                     cytodet_tensors& to) {
  for (const std::string& name : names) {
    const graph::Fact& fact = facts.of(g.value(name));
    add_description(to, name, fact.dtype, fact.shape ? &*fact.shape : nullptr);
  }
}

cytodet_graph* open_graph(const char* path, const cytodet_settings* settings) {
  require(path, "path");
  auto handle = std::make_unique<cytodet_graph>(path, infer_options(json_of(settings)));
  const graph::Graph& g = handle->runner.graph();
  try {
    const graph::Facts facts(g, {});
    describe_values(g, facts, graph::find_inputs(g), handle->inputs);
    describe_values(g, facts, handle->runner.outputs(), handle->outputs);
    handle->description = core::json_text(graph::to_json(graph::describe(g)));
  } catch (const core::Error& e) {
    throw e.within(path);
  }
  return handle.release();
}

// Feeds and outputs are the caller's: what is wrong with them is a UsageError.
void check_request(const cytodet_graph& g, const graph::NamedTensors& feeds, const std::vector<std::string>& outputs) {
  const graph::Graph& graph = g.runner.graph();
  try {
    for (const auto& [name, values] : feeds) check_feed(graph, graph.value(name), values);
    for (const std::string& name : outputs) graph.value(name);
  } catch (const core::Error& e) {
    throw core::UsageError(e.where(), e.problem(), e.fix()).within(g.path);
  }
}

cytodet_tensors* run_graph(const cytodet_graph& g, const cytodet_tensor* feeds, size_t count, const char* const* outputs,
                           size_t output_count) {
  graph::NamedTensors fed;
  for (const cytodet_tensor& t : tensors_of(feeds, count))
    if (core::Tensor values = values_of(t); !fed.emplace(t.name, std::move(values)).second)
      throw core::UsageError("input " + std::string(t.name), "is fed twice");
  std::vector<std::string> wanted;
  if (outputs)
    for (size_t i = 0; i < output_count; ++i) {
      require(outputs[i], "outputs");
      wanted.emplace_back(outputs[i]);
    }
  if (wanted.empty()) wanted = g.runner.outputs();
  check_request(g, fed, wanted);
  graph::NamedTensors answers = g.runner.run(fed, wanted);
  auto tensors = std::make_unique<cytodet_tensors>();
  for (const std::string& name : wanted) add_values(*tensors, name, answers.at(name));
  return tensors.release();
}

}  // namespace
}  // namespace cytodet::api

using namespace cytodet;
using namespace cytodet::api;

cytodet_graph* cytodet_graph_open(const char* path, const cytodet_settings* settings, cytodet_error** error) {
  return guarded(error, [&] { return open_graph(path, settings); });
}
size_t cytodet_graph_input_count(const cytodet_graph* g) { return g ? g->inputs.all.size() : 0; }
const cytodet_tensor* cytodet_graph_input(const cytodet_graph* g, size_t index) {
  return g ? cytodet_tensors_at(&g->inputs, index) : nullptr;
}
size_t cytodet_graph_output_count(const cytodet_graph* g) { return g ? g->outputs.all.size() : 0; }
const cytodet_tensor* cytodet_graph_output(const cytodet_graph* g, size_t index) {
  return g ? cytodet_tensors_at(&g->outputs, index) : nullptr;
}
const char* cytodet_graph_description(const cytodet_graph* g) { return g ? g->description.c_str() : ""; }
cytodet_tensors* cytodet_graph_run(cytodet_graph* graph, const cytodet_tensor* feeds, size_t count, const char* const* outputs,
                                   size_t output_count, cytodet_error** error) {
  return cytodet_graph_run_watched(graph, feeds, count, outputs, output_count, nullptr, error);
}
cytodet_tensors* cytodet_graph_run_watched(cytodet_graph* graph, const cytodet_tensor* feeds, size_t count,
                                           const char* const* outputs, size_t output_count, const cytodet_callbacks* callbacks,
                                           cytodet_error** error) {
  return stoppable(graph ? graph->path : "graph", error, [&] {
    require(graph, "graph");
    const cytodet_callbacks call = callbacks_of(callbacks);
    const core::StopScope scope([&] { return call.stop && call.stop(call.user) != 0; });
    return run_graph(*graph, feeds, count, outputs, output_count);
  });
}
void cytodet_graph_free(cytodet_graph* g) { delete g; }
