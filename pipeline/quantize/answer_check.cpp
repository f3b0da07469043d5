#include "pipeline/quantize/answer_check.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>

#include "core/dispatch.h"
#include "core/error.h"
#include "core/file.h"
#include "core/messages.h"
#include "exec/runtime/plan.h"
#include "graph/inspect.h"
#include "graph/interpret/control_flow.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/ir/op.h"
#include "quant/sqnr.h"

namespace cytodet::pipeline {
namespace {

using Names = std::vector<std::string>;

// A graph with its functions inlined, and how it is run.
struct Network {
  Graph graph;
  bool plain = true;

  std::vector<Tensor> run(const NamedTensors& feeds, const Names& outputs) const {
    if (!plain) return run_plan(feeds, outputs);
    Feeds by_value;
    for (const auto& [name, tensor] : feeds)
      if (graph.find(name) >= 0) by_value[graph.value(name)] = tensor;
    std::vector<Value> fetches;
    for (const std::string& name : outputs) fetches.push_back(graph.value(name));
    return interpret(graph, by_value, fetches);
  }

 private:
  std::vector<Tensor> run_plan(const NamedTensors& feeds, const Names& outputs) const {
    PlanOptions options;
    options.outputs = outputs;
    for (const auto& [name, tensor] : feeds) options.input_shapes[name] = tensor.shape();
    Runner runner(Plan::compile(graph, options));
    for (size_t i = 0; i < runner.plan().inputs().size(); ++i)
      runner.set_input(static_cast<int>(i), feeds.at(runner.plan().inputs()[i].name));
    runner.run();
    return runner.outputs();
  }
};

Network network_of(const Graph& graph) {
  Network n{graph};
  inline_functions(n.graph);
  return n;
}

Tensor random_tensor(DType type, const Shape& shape, bool flag, std::mt19937& random) {
  Tensor t(type, shape);
  if (type == DType::string) return t;
  on_any(type, [&]<class T>() {
    for (int64_t i = 0; i < t.size(); ++i) {
      const uint32_t bits = random();
      if constexpr (std::is_same_v<T, bool>)
        t.data<T>()[i] = flag;
      else if constexpr (std::is_integral_v<T>)
        t.data<T>()[i] = static_cast<T>(sizeof(T) == 1 ? bits & 0x7f : bits & 3);
      else
        t.data<T>()[i] = T(static_cast<float>(bits >> 8) * 0x1p-24f);
    }
  });
  return t;
}

// The feeds with each float moved by at most two parts in a million.
NamedTensors nudged(const NamedTensors& feeds, std::mt19937& random) {
  NamedTensors moved;
  for (const auto& [name, tensor] : feeds) {
    moved[name] = tensor;
    if (tensor.dtype() != DType::f32) continue;
    Tensor t = tensor.clone();
    for (int64_t i = 0; i < t.size(); ++i) t.data<float>()[i] *= 1 + 2e-6f * (static_cast<float>(random() >> 8) * 0x1p-23f - 1);
    moved[name] = t;
  }
  return moved;
}

// Placeholders on the way to the outputs, with what is known of each.
std::map<std::string, Fact> inputs_of(const Graph& graph, const AnswerOptions& options, const Names& outputs) {
  std::map<std::string, Fact> inputs;
  std::map<Value, Fact> known;
  for (const auto& [name, shape] : options.shapes)
    if (graph.find(name) >= 0) known[graph.value(name)] = {graph.node(graph.find(name)).attr_or("dtype", DType::f32), shape, {}};
  const Facts facts(graph, known);
  for (const std::string& name : options.interface.inputs) inputs[name] = facts.of(graph.value(name));
  Graph needed = graph;
  std::vector<NodeId> keep;
  for (const std::string& name : outputs) keep.push_back(needed.value(name).node);
  needed.sweep(keep);
  for (NodeId id : needed.ids())
    if (const Node& n = needed.node(id); n.op == "Placeholder") inputs.emplace(n.name, facts.of({graph.find(n.name), 0}));
  return inputs;
}

NamedTensors random_feeds(const std::map<std::string, Fact>& inputs, int64_t side, bool flag, std::mt19937& random) {
  NamedTensors feeds;
  for (const auto& [name, fact] : inputs) {
    if (fact.dtype == DType::invalid) throw Error("input " + name, "is of a type that is not known");
    Shape shape = fact.shape.value_or(side > 8 ? Shape{1, side, side, 3} : Shape{});
    for (size_t d = 0; d < shape.size(); ++d)
      if (shape[d] < 0) shape[d] = d == 0 && shape.size() > 1 ? 1 : side;
    feeds[name] = random_tensor(fact.dtype, shape, flag, random);
  }
  return feeds;
}

// Largest difference as a share of the largest magnitude of `wanted`; infinite where type, shape, or an element that is no
// finite float differs. An empty output differs in nothing.
double gap(const Tensor& got, const Tensor& wanted) {
  constexpr double kAll = std::numeric_limits<double>::infinity();
  if (got.dtype() != wanted.dtype() || got.shape() != wanted.shape()) return kAll;
  if (got.dtype() == DType::string)
    return std::equal(got.strings().begin(), got.strings().end(), wanted.strings().begin()) ? 0 : kAll;
  if (!is_floating(got.dtype())) {
    for (int64_t i = 0; i < got.size(); ++i)
      if (got.as_int(i) != wanted.as_int(i)) return kAll;
    return 0;
  }
  double largest = 0, worst = 0;
  for (int64_t i = 0; i < got.size(); ++i) {
    const double g = got.as_double(i), w = wanted.as_double(i);
    if (std::isfinite(w)) largest = std::max(largest, std::abs(w));
    if (g == w || (std::isnan(g) && std::isnan(w))) continue;
    if (!std::isfinite(g) || !std::isfinite(w)) return kAll;
    worst = std::max(worst, std::abs(g - w));
  }
  return worst == 0 ? 0 : worst / std::max(largest, 1e-30);
}

class Comparison {
 public:
  Comparison(const Graph& source, const Graph& result, const AnswerOptions& options)
      : source_(network_of(source)), result_(network_of(result)), options_(options) {
    outputs_ = options.interface.outputs.empty() ? find_outputs(source) : options.interface.outputs;
  }

  AnswerCheck run() {
    std::mt19937 random(20);
    const auto inputs = inputs_of(source_.graph, options_, outputs_);
    const bool flags = std::any_of(inputs.begin(), inputs.end(), [](const auto& i) { return i.second.dtype == DType::boolean; });
    for (int round = 0; round < (flags && options_.feeds.empty() ? 2 : 1); ++round) {
      NamedTensors feeds = options_.feeds;
      std::vector<Tensor> wanted = round_answers(inputs, feeds, round == 1, random);
      if (!wanted.empty()) compare(feeds, wanted, random);
    }
    if (check_.compared.empty() && check_.skipped.empty()) check_.skipped = "the graph has no outputs";
    return check_;
  }

 private:
  // What the source gives; fills empty feeds. Nothing, with the reason kept, where it cannot be run.
  std::vector<Tensor> round_answers(const std::map<std::string, Fact>& inputs, NamedTensors& feeds, bool flag,
                                    std::mt19937& random) {
    const bool given = !feeds.empty();
    std::string reason;
    for (int64_t side : {64, 32, 224, 299, 8}) {
      try {
        if (!given) feeds = random_feeds(inputs, side, flag, random);
        choose_way(feeds);
        return source_answers(feeds);
      } catch (const Error& e) {
        if (reason.empty()) reason = e.what();
      }
      const bool open = std::any_of(inputs.begin(), inputs.end(), [](const auto& i) { return !i.second.has_static_shape(); });
      if (given || !open) break;
    }
    check_.skipped = reason;
    return {};
  }

  // Plain loops are the meaning; large networks without loops go through the kernels.
  void choose_way(const NamedTensors& feeds) {
    std::map<std::string, Shape> shapes;
    for (const auto& [name, tensor] : feeds) shapes[name] = tensor.shape();
    const bool large = work_of(source_.graph, shapes).macs > options_.plain_macs;
    for (Network* n : {&source_, &result_}) n->plain = !large || has_control_flow(n->graph, n->graph.ids());
    if (large && source_.plain)
      throw Error("", "a network with loops is compared up to " + std::to_string(options_.plain_macs / 1000000) +
                          " million multiply-accumulates");
  }

  // All outputs at once, or, where that fails, those that can be computed alone.
  std::vector<Tensor> source_answers(const NamedTensors& feeds) {
    try {
      std::vector<Tensor> values = source_.run(feeds, outputs_);
      names_ = outputs_;
      return values;
    } catch (const Error& e) {
      if (outputs_.size() < 2) throw;
      check_.skipped = e.what();
    }
    names_.clear();
    std::vector<Tensor> values;
    for (const std::string& name : outputs_) try {
        values.push_back(source_.run(feeds, {name})[0]);
        names_.push_back(name);
      } catch (const Error&) {
      }
    if (values.empty()) throw Error("", check_.skipped);
    return values;
  }

  void compare(const NamedTensors& feeds, const std::vector<Tensor>& wanted, std::mt19937& random) {
    std::vector<Tensor> got;
    try {
      got = result_.run(feeds, names_);
    } catch (const Error& e) {
      throw Error("the rewritten graph", "cannot be run, its source can: " + std::string(e.what()), kReport);
    }
    std::optional<std::vector<Tensor>> moved;
    for (size_t i = 0; i < names_.size(); ++i) {
      if (options_.min_sqnr_db) {
        compare_quantized(names_[i], got[i], wanted[i]);
        continue;
      }
      const double g = gap(got[i], wanted[i]);
      if (g > options_.tolerance) {
        if (!moved) moved = source_.run(nudged(feeds, random), names_);
        if (!(g <= 10 * gap((*moved)[i], wanted[i]))) throw differs(names_[i], got[i], wanted[i]);
      } else {
        check_.largest = std::max(check_.largest, g);
      }
      add_compared(names_[i]);
    }
  }

  void add_compared(const std::string& name) {
    if (std::find(check_.compared.begin(), check_.compared.end(), name) == check_.compared.end()) check_.compared.push_back(name);
  }

  void compare_quantized(const std::string& name, const Tensor& got, const Tensor& wanted) {
    if (got.dtype() != wanted.dtype() || got.shape() != wanted.shape()) throw differs(name, got, wanted);
    add_compared(name);
    const bool silent = wanted.dtype() != DType::f32 ||
                        std::all_of(wanted.data<float>(), wanted.data<float>() + wanted.size(), [](float v) { return v == 0; });
    if (silent) return;
    Sqnr sqnr;
    sqnr.add(wanted, got);
    if (sqnr.db() >= *options_.min_sqnr_db) return;
    char text[96];
    std::snprintf(text, sizeof text, "of the written graph is at %.1f dB of what the quantized network gives, less than %.0f",
                  sqnr.db(), *options_.min_sqnr_db);
    throw Error("output " + name, text, kReport);
  }

  static Error differs(const std::string& name, const Tensor& got, const Tensor& wanted) {
    return Error("output " + name, "of the rewritten graph differs from that of its source: " + difference(got, wanted), kReport);
  }

  static constexpr const char* kReport = "nothing was written; --no-check writes it all the same";

  Network source_, result_;
  const AnswerOptions& options_;
  Names outputs_, names_;  // all; those that the source gives
  AnswerCheck check_;
};

}  // namespace

AnswerCheck check_answers(const Graph& source, const Graph& result, const AnswerOptions& options) {
  return Comparison(source, result, options).run();
}

void write_checked(const Graph& source, const Graph& graph, const std::string& out, const AnswerOptions& options,
                   const std::string& where) {
  const std::string bytes = encode_as(graph, out);
  Graph again;
  try {
    again = parse_graph(bytes, out);
  } catch (const Error& e) {
    throw e.within(where);
  }
  write_checked(source, again, bytes, out, options, where);
}

void write_checked(const Graph& source, const Graph& again, const std::string& bytes, const std::string& out,
                   const AnswerOptions& options, const std::string& where) {
  AnswerCheck check;
  try {
    check = check_answers(source, again, options);
  } catch (const Error& e) {
    throw e.within(where);
  }
  write_file(out, bytes);
  if (!check.skipped.empty())
    print_warning(out + ": " + (check.compared.empty() ? "its answers" : "some of its answers") +
                  " could not be compared with the source: " + check.skipped);
}

}  // namespace cytodet::pipeline
