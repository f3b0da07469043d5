#include "pipeline/quantize/quantize_report.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "core/error.h"
#include "core/settings.h"
#include "core/text_width.h"
#include "exec/runtime/partitioned_plan.h"
#include "quant/sqnr.h"

namespace cytodet::pipeline {
namespace {

constexpr size_t kSamples = 4;

// The only reader of a node's first output; -1.
NodeId sole_reader(const Consumers& uses, NodeId id) {
  const auto& readers = uses.of(Value{id, 0});
  return readers.size() == 1 ? readers[0].node : -1;
}

// The kernel of the nearest step behind the layer (breadth first), since a fused step bears the name of its last node; empty:
// none.
std::string kernel_of(const Graph& graph, const Consumers& uses, const std::map<std::string, std::string>& kernels,
                      NodeId layer) {
  std::vector<NodeId> queue{layer};
  for (size_t i = 0; i < queue.size(); ++i) {
    if (auto k = kernels.find(graph.node(queue[i]).name); k != kernels.end()) return k->second;
    for (const Consumers::Use& use : uses.of(queue[i]))
      if (std::find(queue.begin(), queue.end(), use.node) == queue.end()) queue.push_back(use.node);
  }
  return {};
}

void add_kernels(const QuantizationTarget& target, const Quantized& q, std::vector<LayerRow>& rows) {
  std::map<std::string, std::string> kernels;
  try {
    for (const StepInfo& s : Plan::compile(q.graph, target.plan)->steps()) {
      if (s.kernel == kPartNotCompiled) return;  // what it will be made of is not known without data
      if (s.kernel != kInterpretedPart) kernels[s.name] = s.kernel;
    }
  } catch (const Error&) {
    if (target.model) throw;
    return;  // a bare graph without feeds: its shapes are open
  }
  const Consumers uses(q.graph);
  for (LayerRow& row : rows) row.kernel = kernel_of(q.graph, uses, kernels, q.graph.require(row.layer.name));
}

// The value after the bias.
std::string result_of(const Graph& graph, const Consumers& uses, const std::string& layer) {
  const NodeId next = sole_reader(uses, graph.require(layer));
  return next >= 0 && graph.node(next).op == "BiasAdd" ? graph.node(next).name : layer;
}

void add_sqnr(const QuantizationTarget& target, const Quantized& q, const CalibrationData& samples, std::vector<LayerRow>& rows) {
  PlanOptions plan = target.plan;
  const Consumers uses(target.graph);
  for (const LayerRow& row : rows) plan.taps.push_back(result_of(target.graph, uses, row.layer.name));
  Runner exact(Plan::compile(target.graph, plan)), quantized(Plan::compile(q.graph, plan));
  std::vector<Sqnr> sums(rows.size());
  std::vector<Tensor> seen(rows.size());
  for (size_t s = 0; s < std::min(kSamples, samples.samples.size()); ++s) {
    samples.feed(s, exact);
    samples.feed(s, quantized);
    exact.run([&](int i, const Tensor& t) { seen[static_cast<size_t>(i)] = t.clone(); });
    quantized.run([&](int i, const Tensor& t) {
      if (t.dtype() == DType::f32) sums[static_cast<size_t>(i)].add(seen[static_cast<size_t>(i)], t);
    });
  }
  for (size_t i = 0; i < rows.size(); ++i) rows[i].sqnr_db = sums[i].db();
}

std::string number(const char* format, double v) {
  char text[32];
  std::snprintf(text, sizeof text, format, v);
  return text;
}

}  // namespace

std::vector<LayerRow> layer_rows(const QuantizationTarget& target, const Quantized& quantized, const CalibrationData* samples) {
  std::vector<LayerRow> rows;
  for (const QuantizedLayer& l : quantized.report.layers) rows.push_back({l, {}, {}});
  add_kernels(target, quantized, rows);
  if (samples) add_sqnr(target, quantized, *samples, rows);
  return rows;
}

std::string layer_table(const std::vector<LayerRow>& rows) {
  char line[400];
  std::snprintf(line, sizeof line, "%-5s %10s %10s %10s %4s %8s %8s  %-24s %s\n", "", "low", "high", "scale", "zero", "weights",
                "result", "kernel", "layer");
  std::string text = line;
  for (const LayerRow& row : rows) {
    const QuantizedLayer& l = row.layer;
    const bool quantized = l.precision == LayerPrecision::int8;
    auto shown = [&](const char* format, double v) { return quantized ? number(format, v) : std::string("-"); };
    std::snprintf(line, sizeof line, "%-5s %10s %10s %10s %4s %8s %8s  %-24s ", name_of(l.precision),
                  shown("%.4g", l.input.low()).c_str(), shown("%.4g", l.input.high()).c_str(),
                  shown("%.4g", l.input.scale).c_str(), shown("%.0f", l.input.zero_point).c_str(),
                  l.weight_sqnr_db ? number("%.1f", *l.weight_sqnr_db).c_str() : "-",
                  row.sqnr_db ? number("%.1f", *row.sqnr_db).c_str() : "-", row.kernel.empty() ? "-" : row.kernel.c_str());
    text += line + printable(l.name) + (l.why.empty() ? "" : ": " + l.why) + "\n";
  }
  return text;
}

Json layers_json(const std::vector<LayerRow>& rows) {
  Json all = Json::array();
  for (const LayerRow& row : rows) {
    const QuantizedLayer& l = row.layer;
    Json j{{"name", l.name}, {"op", l.op}, {"precision", name_of(l.precision)}, {"input", l.input_name}};
    if (!row.kernel.empty()) j["kernel"] = row.kernel;
    if (l.precision == LayerPrecision::int8) {
      j["low"] = l.input.low();
      j["high"] = l.input.high();
      j["scale"] = l.input.scale;
      j["zero_point"] = l.input.zero_point;
      j["signed"] = l.input.is_signed;
      if (l.weight_bits < 8) j["weight_bits"] = l.weight_bits;
      if (l.weight_sqnr_db) j["weight_sqnr_db"] = *l.weight_sqnr_db;
    } else {
      j["why"] = l.why;
    }
    if (row.sqnr_db) j["sqnr_db"] = *row.sqnr_db;
    all.push_back(std::move(j));
  }
  return all;
}

}  // namespace cytodet::pipeline
