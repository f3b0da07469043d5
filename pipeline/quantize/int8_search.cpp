#include "pipeline/quantize/int8_search.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>

#include "core/error.h"
#include "core/join.h"
#include "core/messages.h"
#include "graph/inspect.h"
#include "pipeline/quantize/quantize_report.h"
#include "quant/fallback.h"
#include "quant/row_ops.h"
#include "quant/sensitivity.h"
#include "quant/sqnr.h"

namespace cytodet::pipeline {
namespace {

constexpr double kWorthDb = 0.5;                   // a choice that is not the default must gain as much
constexpr double kBytesMayCostDb = 0.25;           // what bytes between layers may cost, which are half of the memory
constexpr size_t kLayersOfOwn = 6;                 // most harmful layers whose values may get another observer's range
constexpr int64_t kMaxRankingMacs = 200000000000;  // multiply-accumulates to rank layers by trials
constexpr int kRemovals = 8;                       // trials that take one layer back out of those in float

std::string decibels(double db) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f dB", db);
  return text;
}

// What the decibels were taken on, and whether those images also gave the ranges, which flatters.
std::string samples_text(const QuantizeSettings& s, const HeldBack& samples) {
  const std::string count = std::to_string(samples.data.samples.size());
  if (!s.ranges.empty()) return count + " of the images; " + s.ranges + " does not say whether it was calibrated on them";
  return samples.calibrated_on ? count + " images that were calibrated on: others come out lower"
                               : count + " images held back from calibration";
}

using Decibels = std::vector<std::pair<std::string, double>>;  // of each output

// SQNR in dB over all outputs together, each scaled to the same energy: as OutputSqnr::of.
double together(const Decibels& each) {
  double sum = 0;
  for (const auto& [name, db] : each) sum += std::pow(10, -db / 10);
  return to_db(sum / static_cast<double>(each.size()));
}

CalibrationData first_of(CalibrationData data) {
  data.samples.resize(1);
  return data;
}

class Int8Search {
 public:
  Int8Search(QuantizationTarget& target, const QuantizeSettings& s, bool quiet, RangesBy ranges_by)
      : target_(target),
        s_(s),
        quiet_(quiet),
        ranges_by_(std::move(ranges_by)),
        samples_(held_back(target, s.images, s.max_images, 4)) {
    if (!ranges_by_) ranges_by_ = [this](const QuantizeSettings& other) { return ranges_of(target_, other, true); };
    measure_.emplace(target.graph, target.plan, samples_.data);
  }

  void run(Int8Network& n) {
    n_ = &n;
    db_ = measure_->of(n.quantized.graph);
    if (s_.max_drop < 0) {
      choose_ranges();
      choose_rounding();
      choose_equalization();
      choose_elementwise();
      if (may_search() && db_ < kGoodDb) look_for_the_cause();
    }
    n.quantized = quantize_target(target_, n.ranges, n.layers);
    require_int8_layers(target_.path, n.quantized.report);
    Decibels in_tensorflow;
    n.file = to_tf_int8(target_, n.quantized, n.ranges, precise_layers(in_tensorflow));
    take_figures(in_tensorflow);
  }

 private:
  double of(const QuantizeOptions& layers, const Ranges& ranges) const {
    return measure_->of(quantize_target(target_, ranges, layers).graph);
  }

  void say(const std::string& line) {
    n_->log.push_back(line);
    if (!quiet_) std::printf("%s\n", line.c_str());
    std::fflush(stdout);
  }

  // Measures the choice, and takes it where it gains enough.
  bool try_choice(const std::string& what, const QuantizeOptions& layers, const Ranges& ranges) {
    return try_measured(what, layers, ranges, of(layers, ranges));
  }

  bool try_measured(const std::string& what, const QuantizeOptions& layers, const Ranges& ranges, double db) {
    const bool better = db > db_ + kWorthDb;
    say(what + ": " + decibels(db) + (better ? " instead of " + decibels(db_) + ", taken" : ""));
    if (!better) return false;
    n_->layers = layers;
    n_->ranges = ranges;
    db_ = db;
    return true;
  }

  Ranges ranges_by(const ObserverEntry& observer) const {
    QuantizeSettings other = s_;
    other.method = &observer;
    return ranges_by_(other);
  }

  // Ranges of least squared error where those are clearly better, unless s_ names an observer, or ranges that are there.
  void choose_ranges() {
    if (s_.method || !calibrates() || n_->layers.records || samples_.calibrated_on) return;
    try_choice("calibrated by mse", n_->layers, ranges_by(require_observer("mse")));
  }

  // Weights to the nearest where that is better, unless s_ says how.
  void choose_rounding() {
    if (!n_->layers.moments || s_.rounding != Rounding::automatic || samples_.calibrated_on) return;
    QuantizeOptions nearest = n_->layers;
    nearest.moments = nullptr;
    const double db = of(nearest, n_->ranges);
    if (db <= db_) return;
    say("weights rounded to the nearest: " + decibels(db) + " instead of " + decibels(db_) + " by second moments, taken");
    n_->layers = nearest;
    db_ = db;
  }

  // Without equalization where that is clearly better. It is measured once.
  void choose_equalization() {
    if (!n_->layers.equalize || samples_.calibrated_on) return;
    not_equalized_db_ = of(not_equalized(), n_->ranges);
    if (*not_equalized_db_ > db_ + kWorthDb) try_not_equalized();
  }

  // Sums, products and activations in INT8 where that costs little, unless the options say.
  void choose_elementwise() {
    if (n_->layers.elementwise || n_->layers.records || samples_.calibrated_on) return;
    if (row_inputs(target_.graph, true).size() == row_inputs(target_.graph, false).size()) return;
    QuantizeOptions bytes = n_->layers;
    bytes.elementwise = true;
    const double db = of(bytes, n_->ranges), cost = db_ - db;
    const bool taken = cost <= kBytesMayCostDb && (db >= kGoodDb || db_ < kGoodDb);
    say("sums and products in INT8 too: costs " + decibels(cost) + (taken ? ", taken" : ", not taken"));
    if (!taken) return;
    n_->layers = bytes;
    db_ = db;
  }

  QuantizeOptions not_equalized() const {
    QuantizeOptions plain = n_->layers;
    plain.equalize = false;
    return plain;
  }

  void try_not_equalized() {
    if (!not_equalized_db_) not_equalized_db_ = of(not_equalized(), n_->ranges);
    try_measured("input channels not equalized", not_equalized(), n_->ranges, *not_equalized_db_);
  }

  void look_for_the_cause() {
    say("outputs at " + decibels(db_) + " of float, less than " + decibels(kGoodDb) + ": looking for the cause");
    if (n_->layers.equalize) try_not_equalized();
    const std::map<std::string, Ranges> others = other_observers();
    for (const auto& [method, ranges] : others) try_choice("calibrated by " + method, n_->layers, ranges);
    QuantizeOptions turned = n_->layers;
    turned.symmetric = !turned.symmetric;
    try_choice(turned.symmetric ? "symmetric" : "with zero points", turned, n_->ranges);
    if (db_ >= kGoodDb) return;
    const std::vector<std::string> ranked = most_harmful();
    give_ranges_of_their_own(ranked, others);
    if (db_ < kGoodDb) return_to_float(ranked);
  }

  std::map<std::string, Ranges> other_observers() {
    std::map<std::string, Ranges> found;
    if (!calibrates()) return found;
    for (const ObserverEntry& entry : all_observers())
      if (entry.searched && entry.name != n_->ranges.method) found[entry.name] = ranges_by(entry);
    return found;
  }

  // By trials of each layer alone; in large networks, where those would take minutes, by how far each layer's result is from
  // float.
  std::vector<std::string> most_harmful() const {
    const Quantized q = quantize_target(target_, n_->ranges, n_->layers);
    const int64_t macs = work_of(target_.graph, target_.plan.input_shapes).macs;
    if (macs * static_cast<int64_t>(q.report.layers.size()) <= kMaxRankingMacs) {
      SensitivityOptions options;
      options.quantize = n_->layers;
      options.quiet = true;
      return layers_by_harm(target_.graph, n_->ranges, OutputSqnr(target_.graph, target_.plan, first_of(samples_.data)), options);
    }
    std::vector<LayerRow> rows = layer_rows(target_, q, &samples_.data);
    std::erase_if(rows, [](const LayerRow& r) { return r.layer.precision != LayerPrecision::int8; });
    std::stable_sort(rows.begin(), rows.end(),
                     [](const LayerRow& a, const LayerRow& b) { return a.sqnr_db.value_or(0) < b.sqnr_db.value_or(0); });
    std::vector<std::string> names;
    for (const LayerRow& row : rows) names.push_back(row.layer.name);
    return names;
  }

  void give_ranges_of_their_own(const std::vector<std::string>& ranked, const std::map<std::string, Ranges>& others) {
    const QuantizeReport report = quantize_target(target_, n_->ranges, n_->layers).report;
    for (size_t i = 0; i < std::min(ranked.size(), kLayersOfOwn) && db_ < kGoodDb; ++i) {
      const auto layer =
          std::find_if(report.layers.begin(), report.layers.end(), [&](const auto& l) { return l.name == ranked[i]; });
      for (const auto& [method, ranges] : others) {
        const auto range = ranges.values.find(layer->input_name);
        if (range == ranges.values.end()) continue;
        Ranges trial = n_->ranges;
        trial.values[layer->input_name] = range->second;
        try_choice("what " + layer->name + " reads by " + method, n_->layers, trial);
      }
    }
  }

  // The layers that a search leaves out, the first ones of `ranked` before others; nothing where all would be.
  std::vector<std::string> fewest(const std::vector<std::string>& ranked, double wanted, double allowed,
                                  const std::function<double(const std::vector<std::string>&)>& measure) const {
    FallbackState state;
    state.float_accuracy = wanted;
    state.ranked = ranked;
    FallbackOptions options;
    options.max_drop = allowed;
    options.max_removals = kRemovals;
    options.measure = measure;
    const std::vector<std::string> found = search_fallback(state, options).in_float;
    return found.size() < ranked.size() ? found : std::vector<std::string>();
  }

  void return_to_float(const std::vector<std::string>& ranked) {
    const auto without = [&](const std::vector<std::string>& names) {
      QuantizeOptions layers = n_->layers;
      layers.exclude_nodes.insert(layers.exclude_nodes.end(), names.begin(), names.end());
      return layers;
    };
    const std::vector<std::string> in_float =
        fewest(ranked, kGoodDb, 0, [&](const auto& names) { return of(without(names), n_->ranges); });
    if (in_float.empty()) return say("no few layers in float would reach " + decibels(kGoodDb));
    try_choice(std::to_string(in_float.size()) + " layers in float (" + listed(in_float) + ")", without(in_float), n_->ranges);
  }

  // The graph that computes what TensorFlow computes of the file that is written with these layers left on floats.
  Graph as_in_tensorflow(const std::set<std::string>& precise) const {
    Graph g = n_->quantized.graph;
    round_as_tensorflow(target_, g, n_->ranges, precise);
    return g;
  }

  // Ranges come from images, by an observer.
  bool calibrates() const { return s_.ranges.empty() && s_.callback.empty(); }

  // Records say all that could be tried.
  bool may_search() const { return s_.search && !n_->layers.records; }

  // What TensorFlow gives, and the layers that it gets on floats for it.
  std::set<std::string> precise_layers(Decibels& there) {
    there = measure_->each(as_in_tensorflow({}));
    if (!may_search() || together(there) >= kTensorFlowGoodDb || together(there) >= db_ - kTensorFlowGapDb) return {};
    const std::vector<std::string> ranked = most_coarsely_rounded(target_, n_->quantized, n_->ranges);
    const std::vector<std::string> precise = fewest(ranked, db_, kTensorFlowGapDb, [&](const auto& names) {
      return measure_->of(as_in_tensorflow({names.begin(), names.end()}));
    });
    if (precise.empty()) return {};
    say("TensorFlow would give " + decibels(together(there)) + ": it gets " + std::to_string(precise.size()) +
        " layers on floats (" + listed(precise) + ")");
    const std::set<std::string> found(precise.begin(), precise.end());
    there = measure_->each(as_in_tensorflow(found));
    return found;
  }

  void take_figures(const Decibels& there) {
    Int8Figures& f = n_->figures;
    const Decibels here = measure_->each(from_tf_int8(target_, n_->file));
    for (size_t i = 0; i < here.size(); ++i) f.outputs.push_back({here[i].first, here[i].second, there[i].second});
    f.here = together(here);
    f.tensorflow = together(there);
    f.samples = samples_text(s_, samples_);
  }

  QuantizationTarget& target_;
  const QuantizeSettings& s_;
  const bool quiet_;
  RangesBy ranges_by_;
  const HeldBack samples_;
  std::optional<OutputSqnr> measure_;
  Int8Network* n_ = nullptr;
  double db_ = 0;  // of the choice so far
  std::optional<double> not_equalized_db_;
};

}  // namespace

Int8Network make_int8(QuantizationTarget& target, const Ranges& ranges, const QuantizeSettings& s, const QuantizeOptions& layers,
                      bool quiet, const RangesBy& ranges_by) {
  Int8Network n{ranges, layers, quantize_target(target, ranges, layers), {}, {}, {}};
  require_int8_layers(target.path, n.quantized.report);
  if (s.images.empty()) {
    n.file = to_tf_int8(target, n.quantized, ranges);
    return n;
  }
  Int8Search(target, s, quiet, ranges_by).run(n);
  const std::string figure = "in INT8 its outputs are at " + decibels(n.figures.here) + " of float (" + n.figures.samples + ")";
  if (n.figures.here < kPoorDb && !s.force)
    throw Error(target.path, figure + ", less than " + decibels(kPoorDb) + ": nothing was written",
                "calibrate on images like those it will see, or --force");
  if (n.figures.here < kGoodDb) print_warning(target.path + ": " + figure);
  return n;
}

}  // namespace cytodet::pipeline
