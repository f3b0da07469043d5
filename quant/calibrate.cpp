#include "quant/calibrate.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>

#include "core/cpu.h"
#include "core/error.h"
#include "core/parallel.h"
#include "core/progress.h"
#include "graph/control_flow.h"
#include "graph/op.h"

namespace cytodet {
namespace {

bool is_layer(const Graph& graph, NodeId id) {
  const Node& n = graph.node(id);
  return (n.op == "Conv2D" || n.op == "DepthwiseConv2dNative" || n.op == "MatMul") && n.inputs.size() >= 2 &&
         graph.constant(n.inputs[1]);
}

// The sum with a constant vector that alone reads v; v itself when there is none.
Value after_bias(const Graph& graph, const Consumers& uses, Value v) {
  if (uses.of(v).size() != 1) return v;
  const Consumers::Use use = uses.of(v)[0];
  const Node& n = graph.node(use.node);
  if (n.op != "BiasAdd" && n.op != "Add" && n.op != "AddV2") return v;
  const Tensor* bias = n.inputs.size() == 2 ? graph.constant(n.inputs[static_cast<size_t>(1 - use.input)]) : nullptr;
  return bias && bias->rank() <= 1 ? Value{use.node, 0} : v;
}

// What one stream saw of one value.
struct Watch {
  std::unique_ptr<Observer> observer;
  std::vector<float> channel_low, channel_high;
  bool seen = false;

  void see_channels(const Tensor& t) {
    const size_t channels = t.rank() > 0 ? static_cast<size_t>(t.dim(-1)) : 1;
    start_channels(channels);
    const float* v = t.data<float>();
    for (const float* end = v + t.size(); v != end; v += channels) widen(v, v);
  }
  void merge(const Watch& other) {
    if (!other.seen) return;
    observer->merge(*other.observer);
    if (!other.channel_low.empty()) {
      start_channels(other.channel_low.size());
      widen(other.channel_low.data(), other.channel_high.data());
    }
    seen = true;
  }
  Range range() const {
    Range r = observer->range();
    r.channel_low = channel_low;
    r.channel_high = channel_high;
    return r;
  }

 private:
  void start_channels(size_t channels) {
    if (channel_low.empty()) {
      channel_low.assign(channels, std::numeric_limits<float>::infinity());
      channel_high.assign(channels, -std::numeric_limits<float>::infinity());
    }
    if (channel_low.size() != channels)
      throw Error("", "its last dimension differs between samples", "calibrate without --per-channel");
  }
  void widen(const float* lows, const float* highs) {
    float* low = channel_low.data();
    float* high = channel_high.data();
    for (size_t c = 0, n = channel_low.size(); c < n; ++c) {
      low[c] = lows[c] < low[c] ? lows[c] : low[c];
      high[c] = highs[c] > high[c] ? highs[c] : high[c];
    }
  }
};

struct Extent {
  int64_t sample;
  int tap;
  float low, high;
};

struct Stream {
  Runner runner;
  std::vector<Watch> watches;
  std::vector<Extent> extents;
};

struct Sample {
  size_t index;
  std::string problem;         // the sample is bad
  std::optional<Error> fatal;  // the network is
};

class Calibrator {
 public:
  Calibrator(const Graph& graph, PlanOptions plan, const CalibrationData& data, const CalibrateOptions& options)
      : data_(data), options_(options), row_(require_observer(options.method)) {
    if (has_control_flow(graph, graph.ids()))
      throw Error("graph", "has loops or conditions, so its values have no fixed place", "calibrate the part between them");
    plan.taps = options.all_values ? all_float_values(graph, plan) : values_of_layers(graph);
    if (plan.taps.empty())
      throw Error("graph", "has no convolution or matrix product with a constant filter", "calibrate with --values all");
    taps_ = plan.taps;
    auto compiled = Plan::compile(graph, plan);
    int streams = options.streams > 0 ? options.streams : usable_cpus();
    streams = std::clamp(streams, 1, static_cast<int>(std::max<size_t>(1, data.samples.size())));
    for (int s = 0; s < streams; ++s) {
      streams_.push_back({Runner(compiled), std::vector<Watch>(taps_.size()), {}});
      for (Watch& w : streams_.back().watches) w.observer = row_.make(options.observer);
    }
    result_.ranges = {row_.name, data.name, graph_hash(graph), 0, {}};
  }

  Calibration run() {
    if (data_.samples.empty()) throw Error(data_.name, "holds no images");
    show_samples();
    if (result_.ranges.images == 0)
      throw Error(data_.name, "none of " + std::to_string(data_.samples.size()) +
                                  " images could be used; the first: " + result_.problems.front());
    choose_ranges();
    if (options_.records) gather_records();
    return std::move(result_);
  }

 private:
  void show_samples() {
    Progress progress("calibrate", static_cast<int64_t>(data_.samples.size()), "images", options_.quiet);
    size_t next = 0;
    Pipeline<Sample> pipeline{[&]() -> std::optional<Sample> {
                                if (next >= data_.samples.size()) return std::nullopt;
                                return Sample{next++, {}, {}};
                              },
                              [&](Sample& s, int stream) { work(s, streams_[static_cast<size_t>(stream)]); },
                              [&](Sample& s) {
                                if (s.fatal) throw *s.fatal;
                                if (s.problem.empty())
                                  ++result_.ranges.images;
                                else
                                  result_.problems.push_back(s.problem);
                                progress.add();
                              }};
    pipeline.run(static_cast<int>(streams_.size()), static_cast<int>(streams_.size()) + 1);
  }

  void work(Sample& s, Stream& stream) {
    try {
      data_.feed(s.index, stream.runner);
    } catch (const Error& e) {
      s.problem = e.what();
      return;
    }
    try {
      stream.runner.run([&](int tap, const Tensor& t) { see(stream, s.index, tap, t); });
    } catch (const Error& e) {
      s.fatal = e.within(data_.samples[s.index]);
    }
  }

  void see(Stream& stream, size_t sample, int tap, const Tensor& t) {
    if (t.size() == 0) return;
    const std::string node = "node " + taps_[static_cast<size_t>(tap)];
    std::span<const float> values = t.span<float>();
    Extremes e = extremes(values);
    if (!e.finite) throw Error(node, "gives NaN or infinite values", "check the weights and the input's normalisation");
    Watch& watch = stream.watches[static_cast<size_t>(tap)];
    watch.seen = true;
    watch.observer->see(values, e, static_cast<int64_t>(sample));
    if (options_.records) stream.extents.push_back({static_cast<int64_t>(sample), tap, e.low, e.high});
    try {
      if (options_.per_channel) watch.see_channels(t);
    } catch (const Error& error) {
      throw error.within(node);
    }
  }

  void choose_ranges() {
    std::vector<Range> ranges(taps_.size());
    std::vector<Watch>& all = streams_[0].watches;
    parallel_for(static_cast<int64_t>(taps_.size()), 0, [&](int64_t i) {
      auto tap = static_cast<size_t>(i);
      for (size_t s = 1; s < streams_.size(); ++s) {
        all[tap].merge(streams_[s].watches[tap]);
        streams_[s].watches[tap] = {};
      }
      if (all[tap].seen) ranges[tap] = all[tap].range();
    });
    for (size_t tap = 0; tap < taps_.size(); ++tap)
      if (all[tap].seen) result_.ranges.values[taps_[tap]] = std::move(ranges[tap]);
  }

  void gather_records() {
    std::vector<Extent> extents;
    for (const Stream& s : streams_) extents.insert(extents.end(), s.extents.begin(), s.extents.end());
    std::sort(extents.begin(), extents.end(),
              [](const Extent& a, const Extent& b) { return std::pair(a.sample, a.tap) < std::pair(b.sample, b.tap); });
    for (const Extent& e : extents)
      result_.records.push_back({LogKind::requant_min_max, taps_[static_cast<size_t>(e.tap)], {e.low, e.high}});
  }

  const CalibrationData& data_;
  const CalibrateOptions& options_;
  const ObserverRow& row_;
  std::vector<std::string> taps_;
  std::vector<Stream> streams_;
  Calibration result_;
};

}  // namespace

std::vector<std::string> values_of_layers(const Graph& graph) {
  Consumers uses(graph);
  std::vector<std::string> names;
  std::set<Value> listed;
  auto add = [&](Value v) {
    if (!graph.constant(v) && listed.insert(v).second) names.push_back(graph.name_of(v));
  };
  for (NodeId id : graph.topological_order()) {
    if (!is_layer(graph, id)) continue;
    add(graph.node(id).inputs[0]);
    add(after_bias(graph, uses, {id, 0}));
  }
  return names;
}

std::vector<std::string> all_float_values(const Graph& graph, const PlanOptions& plan) {
  std::map<Value, Fact> known;
  for (const auto& [name, shape] : plan.input_shapes) {
    Value v = graph.value(name);
    known[v] = Fact{graph.node(v.node).attr_or("dtype", DType::f32), shape, {}};
  }
  Facts facts(graph, known);
  Consumers uses(graph);
  std::vector<std::string> names;
  for (NodeId id : graph.topological_order())
    for (int slot = 0; slot < facts.outputs(id); ++slot) {
      const Fact& fact = facts.of({id, slot});
      if (fact.dtype != DType::f32 || fact.constant || graph.constant(id)) continue;
      if (slot == 0 || !uses.of(Value{id, slot}).empty()) names.push_back(graph.name_of({id, slot}));
    }
  return names;
}

Calibration calibrate(const Graph& graph, PlanOptions plan, const CalibrationData& data, const CalibrateOptions& options) {
  return Calibrator(graph, std::move(plan), data, options).run();
}

}  // namespace cytodet
