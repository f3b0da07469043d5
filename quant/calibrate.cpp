#include "quant/calibrate.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "core/cpu.h"
#include "core/error.h"
#include "core/parallel.h"
#include "core/progress.h"
#include "graph/ir/conv_node.h"
#include "graph/ir/frames.h"
#include "graph/ir/op.h"
#include "graph/quantized/quant_nodes.h"
#include "quant/channels.h"
#include "quant/graph_hash.h"
#include "quant/row_ops.h"

namespace cytodet::quant {
namespace {

bool is_layer(const Graph& graph, NodeId id) {
  const Node& n = graph.node(id);
  return has_int8_form(n.op) && n.inputs.size() >= 2 && graph.constant(n.inputs[1]);
}

// The sum with a constant vector that alone reads v; v itself when there is none.
Value after_bias(const Graph& graph, const Consumers& uses, Value v) {
  const std::optional<BiasNode> at = bias_behind(graph, uses, v);
  return at && at->bias->rank() <= 1 ? Value{at->node, 0} : v;
}

// What one stream saw of one value.
struct Watch {
  std::unique_ptr<Observer> observer;
  ChannelExtremes channels;
  bool seen = false;

  void merge(const Watch& other) {
    if (!other.seen) return;
    observer->merge(*other.observer);
    channels.merge(other.channels);
    seen = true;
  }
  Range range() const {
    Range r = observer->range();
    r.channel_low = channels.low;
    r.channel_high = channels.high;
    return r;
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
  std::string problem;                       // the sample is bad
  std::map<int, std::vector<double>> means;  // of each channel, by tap
  std::optional<Error> fatal;                // the network is
};

class Calibrator {
 public:
  Calibrator(const Graph& graph, PlanOptions plan, const CalibrationData& data, const CalibrateOptions& options)
      : data_(data), options_(options), row_(require_observer(options.method)) {
    if (has_quantized(graph)) throw Error("graph", "is quantized already", "start from the float graph");
    plan.taps = options.all_values ? all_float_values(graph, plan) : values_of_layers(graph);
    if (plan.taps.empty())
      throw Error("graph", "has no convolution or matrix product with a constant filter", "calibrate with --values all");
    taps_ = plan.taps;
    for (NodeId id : graph.ids())
      if (is_layer(graph, id)) read_by_layers_.insert(graph.name_of(graph.node(id).inputs[0]));
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
                                return Sample{next++, {}, {}, {}};
                              },
                              [&](Sample& s, int stream) { work(s, streams_[static_cast<size_t>(stream)]); },
                              [&](Sample& s) {
                                if (s.fatal) throw *s.fatal;
                                if (s.problem.empty())
                                  add_means(s);
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
      stream.runner.run([&](int tap, const Tensor& t) { observe(stream, s, tap, t); });
    } catch (const Error& e) {
      s.fatal = e.within(data_.samples[s.index]);
    }
  }

  void observe(Stream& stream, Sample& sample, int tap, const Tensor& t) {
    if (t.size() == 0) return;
    const std::string node = "node " + taps_[static_cast<size_t>(tap)];
    std::span<const float> values = t.span<float>();
    Extremes e = extremes(values);
    if (!e.finite) throw Error(node, "gives NaN or infinite values", "check the weights and the input's normalisation");
    Watch& watch = stream.watches[static_cast<size_t>(tap)];
    watch.seen = true;
    watch.observer->observe(values, e, static_cast<int64_t>(sample.index));
    if (options_.records) stream.extents.push_back({static_cast<int64_t>(sample.index), tap, e.low, e.high});
    if (read_by_layers_.contains(taps_[static_cast<size_t>(tap)])) sample.means[tap] = channel_means(t);
    try {
      if (options_.per_channel) watch.channels.observe(t);
    } catch (const Error& error) {
      throw error.within(node);
    }
  }

  // In the order of the samples: sums of doubles depend on it.
  void add_means(const Sample& s) {
    ++result_.ranges.images;
    for (const auto& [tap, means] : s.means) {
      std::vector<double>& sums = mean_sums_[tap];
      sums.resize(means.size(), 0);
      for (size_t c = 0; c < means.size(); ++c) sums[c] += means[c];
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
    for (const auto& [tap, sums] : mean_sums_)
      for (double sum : sums)
        result_.ranges.values[taps_[static_cast<size_t>(tap)]].channel_mean.push_back(
            static_cast<float>(sum / static_cast<double>(result_.ranges.images)));
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
  const ObserverEntry& row_;
  std::vector<std::string> taps_;
  std::set<std::string> read_by_layers_;
  std::map<int, std::vector<double>> mean_sums_;  // by tap
  std::vector<Stream> streams_;
  Calibration result_;
};

}  // namespace

std::vector<std::string> values_of_layers(const Graph& graph) {
  Consumers uses(graph);
  const Frames frames(graph);
  std::vector<std::string> names;
  std::set<Value> listed;
  auto add = [&](Value v) {  // values in loops and behind conditions have no fixed place
    if (!graph.constant(v) && !frames.is_inside(v.node) && listed.insert(v).second) names.push_back(graph.name_of(v));
  };
  for (NodeId id : graph.topological_order()) {
    if (!is_layer(graph, id)) continue;
    add(graph.node(id).inputs[0]);
    add(after_bias(graph, uses, {id, 0}));
  }
  for (const RowInput& in : row_inputs(graph, true)) add(in.value);
  return names;
}

Facts facts_of(const Graph& graph, const PlanOptions& plan) {
  std::map<Value, Fact> known;
  for (const auto& [name, shape] : plan.input_shapes) {
    Value v = graph.value(name);
    known[v] = Fact{graph.node(v.node).attr_or("dtype", DType::f32), shape, {}};
  }
  return Facts(graph, known);
}

std::vector<std::string> all_float_values(const Graph& graph, const PlanOptions& plan) {
  Facts facts = facts_of(graph, plan);
  Consumers uses(graph);
  const Frames frames(graph);
  std::vector<std::string> names;
  for (NodeId id : graph.topological_order())
    for (int slot = 0; slot < facts.outputs(id); ++slot) {
      const Fact& fact = facts.of({id, slot});
      if (fact.dtype != DType::f32 || fact.constant || graph.constant(id) || frames.is_inside(id)) continue;
      if (slot == 0 || !uses.of(Value{id, slot}).empty()) names.push_back(graph.name_of({id, slot}));
    }
  return names;
}

Calibration calibrate(const Graph& graph, PlanOptions plan, const CalibrationData& data, const CalibrateOptions& options) {
  return Calibrator(graph, std::move(plan), data, options).run();
}

}  // namespace cytodet::quant
