#include "eval/error_costs.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "eval/coco_matching.h"

namespace cytodet::eval {
namespace {

// What becomes of an error.
enum class Fix { none, right, drop };

// Detections of one class, best first, as bits: a match or not.
double ap_of(const std::vector<uint8_t>& correct, int64_t truths, std::vector<double>& recall, std::vector<double>& precision) {
  if (truths <= 0) return 0;
  recall.clear();
  precision.clear();
  double right = 0, all = 0;
  for (uint8_t c : correct) {
    right += c;
    all += 1;
    precision.push_back(right / all);
    recall.push_back(right / static_cast<double>(truths));
  }
  return average_precision(precision, [&](size_t i, size_t r) { return recall[i] >= static_cast<double>(r) / 100; });
}

class Costs {
 public:
  Costs(const std::vector<Outcome>& outcomes, const std::vector<int64_t>& truths) : outcomes_(outcomes), truths_(truths) {
    for (size_t i = 0; i < outcomes.size(); ++i)
      if (outcomes[i].detection >= 0) ranked_.push_back(i);
    std::stable_sort(ranked_.begin(), ranked_.end(), [&](size_t a, size_t b) { return outcomes[a].score > outcomes[b].score; });
    // tidecv lists errors before matches when it sets errors right: equal scores fall in that order there.
    errors_first_ = ranked_;
    std::stable_sort(errors_first_.begin(), errors_first_.end(), [&](size_t a, size_t b) {
      return outcomes[a].score != outcomes[b].score ? outcomes[a].score > outcomes[b].score
                                                    : outcomes[a].correct < outcomes[b].correct;
    });
  }

  const std::vector<double>& as_found() {
    return run(ranked_, truths_, [](const Outcome&) { return Fix::none; });
  }
  const std::vector<double>& fixed(const std::function<bool(const Outcome&)>& chosen) {
    std::vector<int64_t> truths = truths_;
    for (const Outcome& o : outcomes_)
      if (o.detection < 0 && chosen(o)) --truths[static_cast<size_t>(o.category)];
    return run(errors_first_, truths, [&](const Outcome& o) {
      return o.correct || !chosen(o) ? Fix::none : o.fixable ? Fix::right : Fix::drop;
    });
  }
  // Matches first.
  const std::vector<double>& without_false_positives() {
    std::vector<size_t> order = ranked_;
    std::stable_partition(order.begin(), order.end(), [&](size_t i) { return outcomes_[i].correct; });
    return run(order, truths_, [](const Outcome&) { return Fix::none; });
  }
  const std::vector<double>& without_false_negatives() {
    std::vector<int64_t> found(truths_.size(), 0);
    for (const Outcome& o : outcomes_)
      if (o.correct) ++found[static_cast<size_t>(o.category)];
    return run(errors_first_, found, [](const Outcome&) { return Fix::none; });
  }
  // Over classes that occurred in the last run.
  double mean() const {
    double total = 0, n = 0;
    for (size_t c = 0; c < ap_.size(); ++c)
      if (occurs_[c]) total += ap_[c], ++n;
    return n > 0 ? total / n : 0;
  }

 private:
  template <class F>
  const std::vector<double>& run(const std::vector<size_t>& order, const std::vector<int64_t>& truths, F fix) {
    lists_.resize(truths.size());
    for (auto& list : lists_) list.clear();
    for (size_t i : order) {
      const Outcome& o = outcomes_[i];
      const Fix f = fix(o);
      if (f == Fix::drop || (f == Fix::none && o.ignored)) continue;
      const int32_t category = f == Fix::right ? o.truth_category : o.category;
      lists_[static_cast<size_t>(category)].push_back(o.correct || f == Fix::right);
    }
    ap_.assign(truths.size(), 0);
    occurs_.assign(truths.size(), false);
    for (size_t c = 0; c < truths.size(); ++c) {
      occurs_[c] = !lists_[c].empty() || truths[c] != 0;
      ap_[c] = ap_of(lists_[c], truths[c], recall_, precision_);
    }
    return ap_;
  }

  const std::vector<Outcome>& outcomes_;
  const std::vector<int64_t>& truths_;
  std::vector<size_t> ranked_, errors_first_;
  std::vector<std::vector<uint8_t>> lists_;
  std::vector<double> ap_, recall_, precision_;
  std::vector<bool> occurs_;
};

}  // namespace

void compute_costs(const std::vector<Outcome>& outcomes, const std::vector<int64_t>& truths, Errors& errors) {
  Costs costs(outcomes, truths);
  const std::vector<double> found = costs.as_found();
  errors.ap = costs.mean();
  for (size_t c = 0; c < found.size(); ++c) errors.classes[c].ap = found[c];
  for (const Outcome& o : outcomes) {
    if (o.correct) continue;
    const auto k = static_cast<size_t>(o.kind);
    ++errors.all.count[k];
    ++errors.sizes[static_cast<size_t>(o.size)].count[k];
    ++errors.classes[static_cast<size_t>(o.category)].count[k];
  }
  for (size_t k = 0; k < kErrorKinds; ++k) {
    auto of_kind = [k](const Outcome& o) { return !o.correct && static_cast<size_t>(o.kind) == k; };
    const std::vector<double>& fixed = costs.fixed(of_kind);
    errors.all.gain[k] = std::max(0.0, costs.mean() - errors.ap);
    for (size_t c = 0; c < found.size(); ++c) errors.classes[c].gain[k] = fixed[c] - found[c];
    for (int s = 0; s < 3; ++s) {
      costs.fixed([&](const Outcome& o) { return of_kind(o) && o.size == s; });
      errors.sizes[static_cast<size_t>(s)].gain[k] = std::max(0.0, costs.mean() - errors.ap);
    }
  }
  costs.without_false_positives();
  errors.false_positives_gain = costs.mean() - errors.ap;
  costs.without_false_negatives();
  errors.false_negatives_gain = costs.mean() - errors.ap;
}

}  // namespace cytodet::eval
