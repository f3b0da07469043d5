#include "pipeline/profile/compile_report.h"

#include <algorithm>
#include <cstdio>

#include "core/cpu.h"
#include "core/error.h"
#include "core/file.h"
#include "core/settings.h"
#include "core/timing.h"
#include "exec/runtime/plan.h"
#include "graph/io/onnx/onnx.h"
#include "graph/io/read_graph.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/io/tflite/edge_tpu.h"
#include "graph/io/tflite/translate.h"
#include "graph/ir/endpoints.h"
#include "graph/ir/op.h"
#include "graph/passes/pass.h"

namespace cytodet::pipeline {
namespace {

constexpr const char *kInt8 = "INT8 kernel", *kFloat = "Float kernel", *kBf16 = "bfloat16 kernel", *kMoves = "Moves bytes only";

std::string kernel_status(const StepInfo& s) {
  if (s.kernel == "plain") return "Plain: " + s.reason;
  if (s.kernel.starts_with("int8_")) return kInt8;
  if (s.kernel.starts_with("bf16_")) return kBf16;
  if (s.kernel == "alias" || s.kernel == "concat" || s.kernel == "copy") return kMoves;
  return kFloat;
}

class CompileRows {
 public:
  void add(const std::string& op, const std::string& status, const std::string& rule = {}) {
    for (CompileRow& row : rows_)
      if (row.op == op && row.status == status && row.rule == rule) return void(++row.count);
    rows_.push_back({op, status, 1, rule});
  }
  std::vector<CompileRow> sorted() {
    std::stable_sort(rows_.begin(), rows_.end(), [](const CompileRow& a, const CompileRow& b) { return a.op < b.op; });
    return rows_;
  }

 private:
  std::vector<CompileRow> rows_;
};

int64_t bytes_of_file(const std::filesystem::path& path) {
  std::error_code ignored;
  const auto size = std::filesystem::file_size(path, ignored);
  return ignored ? 0 : static_cast<int64_t>(size);
}

// Weights and ranges of 8-bit values are no operators.
bool counts_as_operator(const Node& n) {
  return n.op != "Const" && n.op != "Placeholder" && n.op != "PlaceholderWithDefault" && n.op != "NoOp" && n.op != "QuantizeV2" &&
         n.op != "Dequantize";
}

// The step that computes a node: the nearest behind it, since a fused step bears the name of its last node. Null: none is near.
const StepInfo* step_behind(const Consumers& uses, const Graph& graph, const std::map<std::string, const StepInfo*>& steps,
                            NodeId id) {
  constexpr size_t kNear = 32;
  std::vector<NodeId> queue{id};
  for (size_t i = 0; i < queue.size() && i < kNear; ++i) {
    if (const auto it = steps.find(graph.node(queue[i]).name); it != steps.end()) return it->second;
    for (const Consumers::Use& use : uses.of(queue[i]))
      if (std::find(queue.begin(), queue.end(), use.node) == queue.end()) queue.push_back(use.node);
  }
  return nullptr;
}

void count_kernels(CompileReport& r, const Graph& graph, const std::map<std::string, Shape>& shapes) {
  CompileRows rows;
  bool all_known = true;
  for (NodeId id : graph.ids()) all_known &= find_op(graph.node(id).op) != nullptr;
  if (!all_known) {
    for (NodeId id : graph.ids()) {
      const Node& n = graph.node(id);
      if (!counts_as_operator(n)) continue;
      const bool is_known = find_op(n.op) != nullptr;
      rows.add(n.op, is_known ? "Known" : "Not supported: there is no such op here");
      ++r.operations;
      r.mapped += is_known;
    }
    r.rows = rows.sorted();
    return;
  }
  Stopwatch watch;
  PlanOptions options;
  options.input_shapes = shapes;
  const std::shared_ptr<const Plan> plan = Plan::compile(graph, options);
  r.ms = watch.ms();
  const std::vector<StepInfo> all = plan->steps();
  std::map<std::string, const StepInfo*> steps;
  for (const StepInfo& s : all) {
    steps.emplace(s.name, &s);
    r.macs += s.macs;
    r.int8_macs += s.int8_macs;
  }
  r.memory_bytes = plan->stream_bytes();
  const Consumers uses(graph);
  for (NodeId id : graph.ids()) {
    const Node& n = graph.node(id);
    if (!counts_as_operator(n)) continue;
    const StepInfo* step = step_behind(uses, graph, steps, id);
    const bool plain = step && step->kernel == "plain" && step->name == n.name;
    rows.add(n.op, step ? (step->kernel == "plain" && !plain ? std::string(kFloat) : kernel_status(*step))
                        : "Computed within another operation");
    ++r.operations;
    r.mapped += !plain;
  }
  r.rows = rows.sorted();
}

// Reports which operators can be read of a file that cannot be read whole.
bool report_unread(CompileReport& r, const std::filesystem::path& path) {
  const auto kind = kind_at(path);
  CompileRows rows;
  bool all = true;
  const auto add = [&](const std::string& op, bool known) {
    rows.add(op, known ? "Known" : "Not supported: it is not read");
    all &= known;
    ++r.operations;
    r.mapped += known;
  };
  if (kind && kind->readable == ReadableKind::tflite) {
    const std::string bytes = read_file(path, (int64_t{2} << 30) - 1);
    const lite::LiteModel model = lite::parse_lite(bytes, path.string());
    for (const lite::LiteOp& op : model.graphs.at(0).ops) add(op.name(), lite::is_read(op));
  } else if (kind && kind->readable == ReadableKind::onnx) {
    for (const onnx::OperatorUse& op : onnx_operators(path)) add(op.name, op.is_read);
  }
  r.rows = rows.sorted();
  return !all;
}

std::string mebibytes(int64_t bytes) {
  char text[48];
  std::snprintf(text, sizeof text, bytes < 10'000 ? "%.2fKiB" : "%.2fMiB",
                static_cast<double>(bytes) / (bytes < 10'000 ? 1024.0 : 1024.0 * 1024.0));
  return text;
}

}  // namespace

CompileReport compile_here(const std::filesystem::path& path, const GraphChanges& changes,
                           const std::map<std::string, Shape>& shapes) {
  CompileReport r;
  r.target = std::string("this machine (") + name_of(isa()) + ")";
  r.model = path.string();
  for (const auto& file : files_of_graph(path)) r.model_bytes += bytes_of_file(file);
  if (report_unread(r, path)) return r;
  r.rows.clear();
  r.operations = r.mapped = 0;
  Graph graph = read_graph(path, changes);
  try {
    PassOptions passes;
    run_passes(graph, passes);
    inline_functions(graph);
    count_kernels(r, graph, shapes);
  } catch (const UsageError&) {
    throw;
  } catch (const Error& e) {
    throw e.within(path.string());
  }
  return r;
}

CompileReport forecast_edge_tpu_of(const std::filesystem::path& path) {
  const auto kind = kind_at(path);
  if (!kind || kind->readable != ReadableKind::tflite)
    throw Error(path.string(), "is no TensorFlow Lite model, which that compiler takes",
                "write one: cytodet quantize MODEL --mode full-int8 --images DIR -o model.tflite");
  const std::string bytes = read_file(path, (int64_t{2} << 30) - 1);
  const lite::EdgeForecast f = lite::forecast_edge_tpu(lite::parse_lite(bytes, path.string()));
  CompileReport r;
  r.target = "Edge TPU";
  r.forecast = true;
  r.model = path.string();
  r.model_bytes = static_cast<int64_t>(bytes.size());
  r.parameter_bytes = f.parameter_bytes;
  r.subgraphs = f.subgraphs;
  CompileRows rows;
  for (const lite::EdgeOp& op : f.ops) {
    rows.add(op.name, op.status, op.rule);
    ++r.operations;
    r.mapped += op.mapped;
  }
  r.rows = rows.sorted();
  return r;
}

std::string to_text(const CompileReport& r) {
  std::string text = "cytodet " CYTODET_VERSION;
  char line[256];
  if (r.forecast) {
    text += ": forecast for " + r.target + " by its compiler's published rules; that compiler was not run\n";
  } else if (r.ms > 0) {
    std::snprintf(line, sizeof line, "\nModel compiled successfully for %s in %.0f ms.\n", r.target.c_str(), std::max(1.0, r.ms));
    text += line;
  } else {
    text += "\nModel cannot be compiled: some of its operators are not supported.\n";
  }
  text += "\nInput model: " + r.model + "\nInput size: " + mebibytes(r.model_bytes) + "\n";
  if (r.forecast) {
    const int64_t used = std::min(r.parameter_bytes, lite::kEdgeCacheBytes);
    text += "On-chip memory available for caching model parameters: " + mebibytes(lite::kEdgeCacheBytes) +
            "\nOn-chip memory used for caching model parameters: " + mebibytes(used) +
            "\nOff-chip memory used for streaming uncached model parameters: " + mebibytes(r.parameter_bytes - used) +
            "\nNumber of Edge TPU subgraphs: " + std::to_string(r.subgraphs) + "\n";
  } else if (r.ms > 0) {
    std::snprintf(line, sizeof line, "Multiply-accumulates: %.2f M, %.1f %% of them in 8 bits\n",
                  static_cast<double>(r.macs) / 1e6,
                  r.macs ? 100.0 * static_cast<double>(r.int8_macs) / static_cast<double>(r.macs) : 0.0);
    text += line + ("Memory of one stream beyond weights: " + mebibytes(r.memory_bytes)) + "\n";
  }
  text += "Total number of operations: " + std::to_string(r.operations) + "\n";
  if (r.mapped < r.operations) {
    const bool compiled = r.ms > 0;
    const std::string on = r.forecast ? "run on Edge TPU"
                           : compiled ? "run on a kernel"
                                      : "be known",
                      off = r.forecast ? "run on CPU"
                            : compiled ? "run plainly"
                                       : "not be known";
    text += "Model is not wholly mapped.\nNumber of operations that will " + on + ": " + std::to_string(r.mapped) +
            "\nNumber of operations that will " + off + ": " + std::to_string(r.operations - r.mapped) + "\n";
  }
  text += "\nOperator                       Count      Status\n\n";
  for (const CompileRow& row : r.rows) {
    std::snprintf(line, sizeof line, "%-30s %-10d ", row.op.c_str(), row.count);
    text += line + row.status + (row.rule.empty() ? "" : " (" + row.rule + ")") + "\n";
  }
  return text;
}

Json to_json(const CompileReport& r) {
  Json j{{"target", r.target},           {"forecast", r.forecast},     {"model", r.model},
         {"model_bytes", r.model_bytes}, {"operations", r.operations}, {"mapped", r.mapped}};
  if (r.forecast) {
    j["parameter_bytes"] = r.parameter_bytes;
    j["on_chip_bytes"] = lite::kEdgeCacheBytes;
    j["subgraphs"] = r.subgraphs;
  } else {
    j["compiled"] = r.ms > 0;
    j["ms"] = r.ms;
    j["macs"] = r.macs;
    j["int8_macs"] = r.int8_macs;
    j["stream_bytes"] = r.memory_bytes;
  }
  for (const CompileRow& row : r.rows) {
    Json entry{{"operator", row.op}, {"count", row.count}, {"status", row.status}};
    if (!row.rule.empty()) entry["rule"] = row.rule;
    j["operators"].push_back(entry);
  }
  return j;
}

}  // namespace cytodet::pipeline
