#include "quant/fallback.h"

#include <algorithm>

#include "core/file.h"
#include "core/settings.h"

namespace cytodet::quant {

void fields(Fields& f, FallbackTrial& t) {
  f("in_float", t.in_float);
  f("accuracy", t.accuracy);
}

void fields(Fields& f, FallbackState& s) {
  f("settings", s.settings);
  f("float_accuracy", s.float_accuracy);
  f("ranked", s.ranked);
  f("trials", s.trials);
}

FallbackState resume_fallback(const std::filesystem::path& path, const std::string& settings) {
  FallbackState state;
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) {
    try {
      read_settings(read_json(path), state, path.string());
    } catch (const Error& e) {
      throw Error(e.where(), e.problem(), "remove the file to start the search anew");
    }
  }
  if (state.settings != settings) state = {};
  state.settings = settings;
  return state;
}

void save_fallback(const FallbackState& state, const std::filesystem::path& path) {
  write_file(path, write_settings(state).dump(1) + "\n");
}

namespace {

class Search {
 public:
  Search(FallbackState& state, const FallbackOptions& options) : state_(state), options_(options) {}

  FallbackTrial run() {
    FallbackTrial best = trial(state_.ranked.begin(), state_.ranked.begin());
    if (met(best)) return best;
    if (state_.ranked.empty()) state_.ranked = options_.rank();
    const size_t n = state_.ranked.size();
    size_t fails = 0, meets = 1;
    for (; meets < n && !met(best = first(meets)); meets *= 2) fails = meets;
    if (meets >= n) best = {first_names(meets = n), state_.float_accuracy};
    while (meets - fails > 1) {
      const size_t middle = fails + (meets - fails) / 2;
      if (FallbackTrial t = first(middle); met(t)) {
        best = t;
        meets = middle;
      } else {
        fails = middle;
      }
    }
    return reduced(best, meets);
  }

 private:
  using Names = std::vector<std::string>;

  bool met(const FallbackTrial& t) const { return state_.float_accuracy - t.accuracy <= options_.max_drop; }

  Names first_names(size_t n) const {
    Names names(state_.ranked.begin(), state_.ranked.begin() + static_cast<std::ptrdiff_t>(n));
    std::sort(names.begin(), names.end());
    return names;
  }
  FallbackTrial first(size_t n) { return trial(state_.ranked.begin(), state_.ranked.begin() + static_cast<std::ptrdiff_t>(n)); }

  FallbackTrial trial(Names::const_iterator begin, Names::const_iterator end) {
    FallbackTrial t{Names(begin, end), 0};
    std::sort(t.in_float.begin(), t.in_float.end());
    auto known = std::find_if(state_.trials.begin(), state_.trials.end(),
                              [&](const FallbackTrial& other) { return other.in_float == t.in_float; });
    const bool is_known = known != state_.trials.end();
    t.accuracy = is_known ? known->accuracy : options_.measure(t.in_float);
    if (!is_known) state_.trials.push_back(t);
    if (options_.tried) options_.tried(t, is_known);
    return t;
  }

  // Leaves out halves, quarters, ... single layers that are not needed.
  FallbackTrial reduced(FallbackTrial best, size_t ranked) {
    Names order(state_.ranked.begin(), state_.ranked.begin() + static_cast<std::ptrdiff_t>(ranked));  // those still in float
    int left = options_.max_removals;
    for (size_t chunk = std::max<size_t>(1, ranked / 2);; chunk /= 2) {
      for (size_t end = order.size(); end > 0 && order.size() > 1 && left > 0; --left) {
        const size_t begin = end > chunk ? end - chunk : 0;
        Names fewer(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(begin));
        fewer.insert(fewer.end(), order.begin() + static_cast<std::ptrdiff_t>(end), order.end());
        if (FallbackTrial t = trial(fewer.begin(), fewer.end()); met(t)) {
          best = t;
          order = fewer;
        }
        end = begin;
      }
      if (chunk == 1 || left == 0) return best;
    }
  }

  FallbackState& state_;
  const FallbackOptions& options_;
};

}  // namespace

FallbackTrial search_fallback(FallbackState& state, const FallbackOptions& options) { return Search(state, options).run(); }

}  // namespace cytodet::quant
