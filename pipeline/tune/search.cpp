#include "pipeline/tune/search.h"

#include <algorithm>
#include <numeric>
#include <tuple>

#include "core/error.h"

namespace cytodet::pipeline {
namespace {

class Search {
 public:
  Search(const TuneGrid& grid, const TuneMeasure& measure, bool prune) : grid_(grid), measure_(measure), prune_(prune) {}

  TuneResult run() {
    if (!all_seconds()) return std::move(result_);
    std::vector<size_t> order;
    for (size_t n = 0; n < grid_.networks; ++n)
      if (!seconds_[n].empty()) order.push_back(n);
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return fastest(a) < fastest(b); });
    for (size_t n : order)
      if (!accuracy(n)) break;
    std::sort(result_.failures.begin(), result_.failures.end(),
              [](const TuneFailure& a, const TuneFailure& b) { return a.network < b.network; });
    if (result_.failures.size() == grid_.networks) throw Error("", result_.failures[0].reason);
    std::sort(result_.points.begin(), result_.points.end(), [](const TunePoint& a, const TunePoint& b) {
      return std::tie(a.network, a.parallel, a.merge) < std::tie(b.network, b.parallel, b.merge);
    });
    return std::move(result_);
  }

 private:
  double fastest(size_t network) const { return *std::min_element(seconds_[network].begin(), seconds_[network].end()); }
  bool stop() { return !(result_.complete = result_.complete && !(measure_.stop && measure_.stop())); }
  void step(size_t n = 1) const {
    if (measure_.step) measure_.step(n);
  }

  bool all_seconds() {
    seconds_.resize(grid_.networks);
    for (size_t n = 0; n < grid_.networks; ++n)
      for (size_t parallel = 0; parallel < grid_.parallel_settings; ++parallel) {
        if (stop()) return false;
        try {
          seconds_[n].push_back(measure_.seconds(n, parallel));
          step();
        } catch (const Error& e) {
          seconds_[n].clear();
          fail(n, e, grid_.parallel_settings - parallel + static_cast<size_t>(measure_.stages));
          break;
        }
      }
    return true;
  }

  void fail(size_t network, const Error& e, size_t steps_left) {
    if (e.code() == Exit::usage) throw;
    result_.failures.push_back({network, e.what()});
    step(steps_left);
  }

  // False: stopped.
  bool accuracy(size_t network) {
    std::vector<size_t> merges(grid_.merges);
    std::iota(merges.begin(), merges.end(), size_t{0});
    for (int stage = 0; stage < measure_.stages; ++stage) {
      if (stop()) return false;
      const bool last = stage + 1 == measure_.stages;
      std::vector<TuneAccuracy> found;
      try {
        found = measure_.accuracy(network, stage, merges);
      } catch (const Error& e) {
        fail(network, e, static_cast<size_t>(measure_.stages - stage));
        return true;
      }
      step();
      if (last) {
        finish(network, merges, found);
      } else if (prune_) {
        drop_hopeless(network, merges, found);
        if (!merges.empty()) continue;
        ++result_.networks_pruned;
        step(static_cast<size_t>(measure_.stages - stage - 1));
        return true;
      }
    }
    return true;
  }

  void finish(size_t network, const std::vector<size_t>& merges, const std::vector<TuneAccuracy>& found) {
    for (size_t i = 0; i < merges.size(); ++i)
      for (size_t parallel = 0; parallel < grid_.parallel_settings; ++parallel)
        result_.points.push_back({network, parallel, merges[i], found[i].map,
                                  round_speed(1 / (seconds_[network][parallel] + found[i].merge_seconds))});
  }

  void drop_hopeless(size_t network, std::vector<size_t>& merges, const std::vector<TuneAccuracy>& bounds) {
    std::vector<size_t> left;
    for (size_t i = 0; i < merges.size(); ++i) {
      const TunePoint best{network, 0, merges[i], bounds[i].map, round_speed(1 / fastest(network))};
      const bool hopeless =
          std::any_of(result_.points.begin(), result_.points.end(), [&](const TunePoint& p) { return dominates(p, best); });
      if (hopeless)
        result_.pruned += grid_.parallel_settings;
      else
        left.push_back(merges[i]);
    }
    merges = std::move(left);
  }

  const TuneGrid& grid_;
  const TuneMeasure& measure_;
  const bool prune_;
  std::vector<std::vector<double>> seconds_;  // by network and parallelism setting; empty: failed
  TuneResult result_;
};

}  // namespace

size_t tune_steps(const TuneGrid& grid, int stages) {
  return grid.networks * (grid.parallel_settings + static_cast<size_t>(stages));
}

TuneResult search(const TuneGrid& grid, const TuneMeasure& measure, bool prune) { return Search(grid, measure, prune).run(); }

}  // namespace cytodet::pipeline
