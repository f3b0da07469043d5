// Ranges that are logged by one run and frozen for all others.
#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "graph/ir/op.h"
#include "pipeline/transform/transforms.h"
#include "quant/calibration_log.h"

namespace cytodet::pipeline {
namespace {

bool starts_with_any(const std::string& text, const std::vector<std::string>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](const std::string& p) { return text.starts_with(p); });
}

// What the log says of each node: all numbers of its batches.
using Batches = std::map<std::string, std::vector<std::vector<float>>>;

Batches read_batches(const TransformCall& call, quant::LogKind kind, const char* form) {
  const std::string path = call.one("min_max_log_file", "");
  if (path.empty()) throw Error(call.name, "needs min_max_log_file=\"...\"");
  Batches batches;
  for (const quant::LogRecord& r : quant::read_log(path).records)
    if (r.kind == kind) batches[r.node].push_back(r.values);
  if (batches.empty())
    throw Error(path, std::string("holds no record of the form ;NODE__print__;") + form + ":[...]",
                "run the graph that insert_logging wrote, and keep its stderr");
  return batches;
}

// `percent` of the sorted values are cut off at the low end, or at the high one.
float percentile(std::vector<float> values, double percent, bool high) {
  std::sort(values.begin(), values.end());
  const double n = static_cast<double>(values.size()), at = std::round(n * (high ? 1 - percent / 100 : percent / 100));
  return values[static_cast<size_t>(std::clamp(at, 0.0, n - 1))];
}

double percent_of(const TransformCall& call, const char* parameter) {
  const double percent = call.number(parameter, 5);
  if (percent < 0 || percent >= 100) throw Error(call.name, std::string(parameter) + " must be 0 to below 100");
  return percent;
}

// Ids of the log's nodes; throws Error for strangers, and for nodes of other ops.
std::vector<std::pair<NodeId, const std::vector<std::vector<float>>*>> nodes_of(const Graph& g, const Batches& batches,
                                                                                const std::vector<const char*>& ops) {
  std::vector<std::pair<NodeId, const std::vector<std::vector<float>>*>> nodes;
  std::string strangers;
  for (const auto& [name, values] : batches) {
    const NodeId id = g.find(name);
    if (id < 0) {
      strangers += (strangers.empty() ? "" : ",") + name;
      continue;
    }
    if (std::none_of(ops.begin(), ops.end(), [&](const char* op) { return g.node(id).op == op; }))
      throw Error("node " + name, "is in the log, but is a " + g.node(id).op, std::string("log ") + ops[0]);
    nodes.emplace_back(id, &values);
  }
  if (!strangers.empty())
    throw Error("", "Nodes were found in the log file that aren't present in the graph: " + strangers.substr(0, 300));
  return nodes;
}

std::vector<float> column(const std::vector<std::vector<float>>& batches, bool last) {
  std::vector<float> values;
  for (const std::vector<float>& b : batches) values.push_back(last ? b.back() : b.front());
  return values;
}

void freeze_extreme(TransformContext& c, const char* op, quant::LogKind kind, const char* form, bool high) {
  const Batches batches = read_batches(c.call, kind, form);
  const double percent = percent_of(c.call, high ? "max_percentile" : "min_percentile");
  for (const auto& [id, values] : nodes_of(c.graph, batches, {op})) {
    const std::string name = c.graph.node(id).name;
    const Value frozen = c.graph.add_const(name + (high ? "/frozen_max_only" : "/frozen_min_only"),
                                           Tensor::scalar(percentile(column(*values, high), percent, high)));
    c.graph.replace_node_uses(id, frozen.node);
    c.graph.remove(id);
  }
}

}  // namespace

// A node that somebody reads gets NAME__print__ behind it, which passes its first output on and writes all outputs that are read.
void transform_insert_logging(TransformContext& c) {
  Graph& g = c.graph;
  const std::vector<std::string> ops = c.call.all("op"), prefixes = c.call.all("prefix");
  const bool show_op = c.call.truth("show_op", false), show_name = c.call.truth("show_name", false);
  const std::string message = c.call.one("message", "");
  const int64_t first_n = static_cast<int64_t>(c.call.number("first_n", -1)),
                summarize = static_cast<int64_t>(c.call.number("summarize", 1024));
  const Consumers uses(g);
  const Facts facts(g);
  for (NodeId id : g.ids()) {
    const Node n = g.node(id);
    if ((!ops.empty() && std::find(ops.begin(), ops.end(), n.op) == ops.end()) ||
        (!prefixes.empty() && !starts_with_any(n.name, prefixes)) || uses.of(id).empty())
      continue;
    std::set<int> read;
    for (Consumers::Use use : uses.of(id)) read.insert(g.node(use.node).inputs[static_cast<size_t>(use.input)].slot);
    AttrList types;
    std::vector<Value> inputs{{id, 0}};
    for (int slot : read) {
      const DType type = facts.of({id, slot}).dtype;
      if (type == DType::invalid || (size_of(type) == 0 && type != DType::string)) break;
      inputs.push_back({id, slot});
      types.types.push_back(type);
    }
    const DType type = facts.of({id, 0}).dtype;
    if (type == DType::invalid || types.types.size() != read.size()) continue;  // what no Print takes
    const std::string text = (show_op ? ";" + n.op + ";" : "") + (show_name ? ";" + n.name + "__print__;" : "") + message;
    const Value seen = g.add_new(n.name + "__print__", "Print", inputs,
                                 {{"T", type}, {"U", types}, {"message", text}, {"first_n", first_n}, {"summarize", summarize}});
    for (Consumers::Use use : uses.of(Value{id, 0})) g.node(use.node).inputs[static_cast<size_t>(use.input)] = seen;
  }
}

void transform_freeze_requantization_ranges(TransformContext& c) {
  Graph& g = c.graph;
  const Batches batches = read_batches(c.call, quant::LogKind::requant_min_max, "__requant_min_max");
  const double low = percent_of(c.call, "min_percentile"), high = percent_of(c.call, "max_percentile");
  for (const auto& [id, values] : nodes_of(g, batches, {"RequantizationRange", "RequantizationRangePerChannel"})) {
    const std::string name = g.node(id).name;
    const Value least = g.add_const(name + "/frozen_min", Tensor::scalar(percentile(column(*values, false), low, false))),
                most = g.add_const(name + "/frozen_max", Tensor::scalar(percentile(column(*values, true), high, true)));
    // TensorFlow skips attributes with an underscore; here what lies beyond an observed range is not cut off.
    for (NodeId reader : g.ids())
      if (Node& n = g.node(reader); n.op.starts_with("Requantize") && n.inputs.size() == 5 && n.inputs[3] == Value{id, 0})
        n.attrs["_observed"] = true;
    g.replace_uses({id, 1}, most);
    g.replace_node_uses(id, least.node);
    g.remove(id);
  }
}

void transform_freeze_max(TransformContext& c) { freeze_extreme(c, "Max", quant::LogKind::max, "__max", true); }
void transform_freeze_min(TransformContext& c) { freeze_extreme(c, "Min", quant::LogKind::min, "__min", false); }

}  // namespace cytodet::pipeline
