#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/observers/histogram.h"
#include "quant/observers/observer_entries.h"

namespace cytodet::quant {
namespace {

constexpr int kLevels = 256;
constexpr int kMaxBins = 2048;  // on each side of 0

// What clipped numbers find where there were none: far less than one, but not impossible.
constexpr double kEmpty = 1e-4;

// Largest share of the numbers that a range may clip. The divergence alone does not see how far clipped numbers move: of numbers
// that all lie far from 0 it would clip every one but a few to a range that these few fill evenly.
constexpr double kMaxClipped = 0.01;

double x_log_x(double x) { return x > 0 ? x * std::log(x) : 0; }

// Counts of bins [first, first + size) with the sums that make a candidate cheap.
class Reference {
 public:
  explicit Reference(const Histogram& h) {
    int side = std::max(h.last_bin() + 1, -h.first_bin());
    int merge = side > kMaxBins ? 2 : 1;
    width_ = h.width() * merge;
    first_ = static_cast<int>(std::floor(std::min(h.first_bin(), 0) / static_cast<double>(merge)));
    int end = std::max(h.last_bin(), 0) / merge + 1;
    counts_.assign(static_cast<size_t>(end - first_), 0);
    for (int b = h.first_bin(); b <= h.last_bin(); ++b)
      at(static_cast<int>(std::floor(b / static_cast<double>(merge)))) +=
          static_cast<double>(h.counts()[static_cast<size_t>(int64_t{Histogram::kBins} + b)]);
    level_zero();
    for (double c : counts_) {
      sums_.push_back(sums_.back() + c);
      used_.push_back(used_.back() + (c > 0));
      logs_.push_back(logs_.back() + x_log_x(c));
    }
  }

  double width() const { return width_; }
  int first() const { return first_; }
  int end() const { return first_ + static_cast<int>(counts_.size()); }
  double total() const { return sums_.back(); }

  // Share of the numbers outside of bins [a, b).
  double clipped(int a, int b) const { return 1 - sum(sums_, a, b) / total(); }

  // Kullback-Leibler divergence between the values clipped to bins [a, b) and what 256 quantization levels keep of the values
  // inside: each level's count spread evenly over those of its bins that are not empty.
  double divergence(int a, int b) const {
    const int bins = b - a;
    double clipped_low = sum(sums_, first_, a), clipped_high = sum(sums_, b, end()), inside = sum(sums_, a, b);
    if (inside == 0) return std::numeric_limits<double>::infinity();
    double cross = 0;
    for (int level = 0; level < kLevels; ++level) {
      int from = a + level * bins / kLevels, to = a + (level + 1) * bins / kLevels;
      double q = sum(sums_, from, to), used = sum(used_, from, to), p = q;
      if (from == a) add_clipped(clipped_low, from, p, used);
      if (to == b) add_clipped(clipped_high, to - 1, p, used);
      if (p > 0) cross += p * std::log(q > 0 ? q / used : kEmpty);
    }
    double own = sum(logs_, a, b) + edge_gain(clipped_low, a) + edge_gain(clipped_high, b - 1);
    return (own - cross) / total() - std::log(total()) + std::log(inside);
  }

 private:
  double& at(int bin) { return counts_[static_cast<size_t>(bin - first_)]; }
  double at(int bin) const { return counts_[static_cast<size_t>(bin - first_)]; }
  double sum(const std::vector<double>& sums, int a, int b) const {
    return sums[static_cast<size_t>(b - first_)] - sums[static_cast<size_t>(a - first_)];
  }
  void add_clipped(double clipped, int edge, double& p, double& used) const {
    p += clipped;
    used += clipped > 0 && at(edge) == 0;
  }
  double edge_gain(double clipped, int edge) const { return x_log_x(at(edge) + clipped) - x_log_x(at(edge)); }

  // 0 has a level of its own in every range: however many zeros there are, they are no reason to prefer one. The bins beside 0
  // count as their neighbours do.
  void level_zero() {
    if (end() > 1) at(0) = std::min(at(0), at(1));
    if (first_ < -1) at(-1) = std::min(at(-1), at(-2));
  }

  int first_ = 0;
  double width_ = 1;
  std::vector<double> counts_, sums_ = {0}, used_ = {0}, logs_ = {0};
};

class Entropy : public HistogramObserver {
 public:
  Range range() const override {
    const Reference r(histogram_);
    const int side = std::max(r.end(), -r.first());
    Range best{histogram_.low(), histogram_.high(), {}, {}};
    if (r.end() - r.first() < kLevels || r.total() == 0) return best;
    double min = r.divergence(r.first(), r.end());
    for (int reach = side - 1; reach > 0; --reach) {
      int a = std::max(r.first(), -reach), b = std::min(r.end(), reach);
      if (b - a < kLevels || r.clipped(a, b) > kMaxClipped) break;
      double d = r.divergence(a, b);
      if (d >= min) continue;
      min = d;
      auto edge = static_cast<float>(reach * r.width());
      best.low = std::max(histogram_.low(), -edge);
      best.high = std::min(histogram_.high(), edge);
    }
    return best;
  }
};

}  // namespace

std::unique_ptr<Observer> make_entropy(const ObserverOptions&) { return std::make_unique<Entropy>(); }

}  // namespace cytodet::quant
