#include "quant/learned_rounding.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "core/parallel.h"
#include "quant/products.h"

namespace cytodet::quant {
namespace {

constexpr double kDamping = 0.01;  // of the mean of the diagonal
constexpr int kSweeps = 2;         // over all values, one step each
constexpr int64_t kFactorRows = 64;

// H of one block of a filter's rows, in the order in which they are kept: the rows that matter most last, since rounding begins
// with the last row.
struct Quadratic {
  int64_t n = 0;
  std::vector<int64_t> order;  // row of the block at each place
  std::vector<float> h, u;     // [n, n]: h whole, u the upper factor
};

// Upper U with h = U'U, in place of the upper half of `a`. h is positive definite.
void factorize(std::vector<float>& a, int64_t n) {
  for (float& v : a) v = -v;  // add_products() adds
  std::vector<float> panel;
  for (int64_t b = 0; b < n; b += kFactorRows) {
    const int64_t end = std::min(n, b + kFactorRows), rest = n - end;
    for (int64_t k = b; k < end; ++k) {
      float* row = a.data() + k * n;
      const float pivot = std::sqrt(std::max(-row[k], 1e-30f));
      row[k] = pivot;
      for (int64_t j = k + 1; j < n; ++j) row[j] = -row[j] / pivot;
      for (int64_t i = k + 1; i < end; ++i)
        for (int64_t j = i; j < n; ++j) a[static_cast<size_t>(i * n + j)] += row[i] * row[j];
    }
    if (rest == 0) break;
    panel.resize(static_cast<size_t>((end - b) * rest));
    for (int64_t k = b; k < end; ++k) std::copy_n(a.data() + k * n + end, rest, panel.data() + (k - b) * rest);
    add_products(panel.data(), end - b, rest, a.data() + end * n + end, n);
  }
}

struct SquareSource {
  int64_t n;
  std::function<double(int64_t, int64_t)> product;  // of j >= i
  std::function<double(int64_t)> factor;
};

Quadratic quadratic_of(const SquareSource& s, int64_t windows, int64_t size, const RoundingInput& input) {
  Quadratic q;
  q.n = s.n;
  std::vector<double> diagonal(static_cast<size_t>(s.n));
  const auto entry = [&](int64_t i, int64_t j) { return s.product(std::min(i, j), std::max(i, j)) * s.factor(i) * s.factor(j); };
  for (int64_t i = 0; i < s.n; ++i) diagonal[static_cast<size_t>(i)] = std::max(0.0, entry(i, i));
  q.order.resize(static_cast<size_t>(s.n));
  std::iota(q.order.begin(), q.order.end(), 0);
  std::stable_sort(q.order.begin(), q.order.end(),
                   [&](int64_t a, int64_t b) { return diagonal[static_cast<size_t>(a)] < diagonal[static_cast<size_t>(b)]; });
  const double mean = std::accumulate(diagonal.begin(), diagonal.end(), 0.0) / static_cast<double>(s.n);
  const double noise = static_cast<double>(input.step) * input.step / 12;
  const double damping = mean > 0 ? kDamping * mean : 1;
  const double together = static_cast<double>(windows) / static_cast<double>(windows + size);
  q.h.resize(static_cast<size_t>(s.n * s.n));
  for (int64_t i = 0; i < s.n; ++i)
    for (int64_t j = i; j < s.n; ++j) {
      const int64_t a = q.order[static_cast<size_t>(i)], b = q.order[static_cast<size_t>(j)];
      const double v = i == j ? diagonal[static_cast<size_t>(a)] + noise + damping : entry(a, b) * together;
      q.h[static_cast<size_t>(i * s.n + j)] = q.h[static_cast<size_t>(j * s.n + i)] = static_cast<float>(v);
    }
  q.u = q.h;
  factorize(q.u, s.n);
  return q;
}

// The quantized values that weights may have (WeightLimits, levels).
class AllowedValues {
 public:
  AllowedValues(const WeightLimits& limits, const std::vector<int>& levels) : limits_(limits), levels_(levels) {
    max_ = limits.max_abs;
    if (levels.empty()) return;
    for (int c = -128; c <= 128; ++c) {
      const auto up = std::upper_bound(levels.begin(), levels.end(), c);
      next_[0][c + 128] = up == levels.end() ? c : *up;
      const auto at = std::lower_bound(levels.begin(), levels.end(), c);
      next_[1][c + 128] = at == levels.begin() ? c : *(at - 1);
    }
  }
  // The allowed value in [low, high] nearest to c, for NaN to 0; without one in it, the one nearest to 0.
  int nearest(float c, int low, int high) const {
    low = std::max(low, -max_), high = std::min(high, max_);
    if (std::isnan(c)) c = 0;  // of a weight that is no number, or of products that ran over
    if (levels_.empty())
      return static_cast<int>(std::clamp(std::nearbyint(c), static_cast<float>(low), static_cast<float>(high)));
    const auto first = std::lower_bound(levels_.begin(), levels_.end(), low), end = std::upper_bound(first, levels_.end(), high);
    if (first == end)
      return *std::min_element(levels_.begin(), levels_.end(), [](int a, int b) { return std::abs(a) < std::abs(b); });
    auto at = std::lower_bound(first, end, c, [](int level, float v) { return static_cast<float>(level) < v; });
    if (at == end || (at != first && c - static_cast<float>(*(at - 1)) <= static_cast<float>(*at) - c)) --at;
    return *at;
  }
  // The next allowed value above or below; `value` where there is none.
  int next(int value, bool up) const {
    if (levels_.empty()) return std::clamp(up ? value + 1 : value - 1, -max_, max_);
    return next_[up ? 0 : 1][value + 128];
  }
  bool safe_16bit() const { return limits_.safe_16bit; }

 private:
  WeightLimits limits_;
  const std::vector<int>& levels_;
  int max_ = 127;
  int next_[2][257] = {};
};

// The sum of four products (is_16bit_safe) that a filter's row is in.
int64_t sum_of_row(int64_t row) { return row / k16BitSafeRows * 2 + row % 4 / 2; }

// kColumns output channels of one filter.
class ColumnRounder {
 public:
  ColumnRounder(const AllowedValues& allowed, int64_t rows)
      : allowed_(allowed), sums_(static_cast<size_t>((rows / k16BitSafeRows + 1) * 2)) {}

  void start() { std::fill(sums_.begin(), sums_.end(), Room{}); }

  // Rounds the rows first .. first + q.n. weights, result: [q.n, kColumns] in q.order. Adds each column's error to errors.
  void round(const Quadratic& q, int64_t first, const float* weights, const float* scales, int columns, int8_t* result,
             double* errors) {
    const int64_t n = q.n;
    e_.resize(static_cast<size_t>(n * kColumns));
    alignas(64) float ahead[kColumns];
    for (int64_t k = n - 1; k >= 0; --k) {
      const float* u = q.u.data() + k * n;
      weighted_rows(u + k + 1, e_.data() + (k + 1) * kColumns, n - k - 1, ahead);
      const int64_t sum = sum_of_row(first + q.order[static_cast<size_t>(k)]);
      for (int c = 0; c < kColumns; ++c) {
        float& e = e_[static_cast<size_t>(k * kColumns + c)];
        e = 0;
        if (c >= columns) continue;
        const float wanted = weights[k * kColumns + c] + ahead[c] / u[k];
        const int value = put(sum, c, wanted / scales[c]);
        result[k * kColumns + c] = static_cast<int8_t>(value);
        e = weights[k * kColumns + c] - static_cast<float>(value) * scales[c];
        const double off = static_cast<double>(u[k]) * (wanted - static_cast<float>(value) * scales[c]);
        errors[c] += off * off;
      }
    }
  }

  // Moves single values by a step while that lowers a column's error. Called after round() of the same block.
  void improve(const Quadratic& q, int64_t first, const float* scales, int columns, int8_t* values) {
    const int64_t n = q.n;
    gradient_.resize(static_cast<size_t>(n * kColumns));
    for (int64_t k = 0; k < n; ++k) weighted_rows(q.h.data() + k * n, e_.data(), n, gradient_.data() + k * kColumns);
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
      bool moved = false;
      for (int64_t k = n - 1; k >= 0; --k) moved |= improve_row(q, k, first, scales, columns, values);
      if (!moved) break;
    }
  }

 private:
  struct Room {
    int up[kColumns] = {}, down[kColumns] = {};  // the sums of positive and of negative values, as magnitudes
  };

  int put(int64_t sum, int column, float value) {
    if (!allowed_.safe_16bit()) return allowed_.nearest(value, -127, 127);
    Room& room = sums_[static_cast<size_t>(sum)];
    const int c = allowed_.nearest(value, room.down[column] - kMax16BitSafeSum, kMax16BitSafeSum - room.up[column]);
    (c > 0 ? room.up[column] : room.down[column]) += std::abs(c);
    return c;
  }

  bool fits(int64_t sum, int column, int from, int to) {
    if (!allowed_.safe_16bit()) return true;
    const Room& room = sums_[static_cast<size_t>(sum)];
    return to > 0 ? room.up[column] - std::max(from, 0) + to <= kMax16BitSafeSum
                  : room.down[column] - std::max(-from, 0) - to <= kMax16BitSafeSum;
  }
  void move(int64_t sum, int column, int from, int to) {
    Room& room = sums_[static_cast<size_t>(sum)];
    room.up[column] += std::max(to, 0) - std::max(from, 0);
    room.down[column] += std::max(-to, 0) - std::max(-from, 0);
  }

  bool improve_row(const Quadratic& q, int64_t k, int64_t first, const float* scales, int columns, int8_t* values) {
    alignas(64) float step[kColumns] = {};
    bool moved = false;
    const float h = q.h[static_cast<size_t>(k * q.n + k)];
    const int64_t sum = sum_of_row(first + q.order[static_cast<size_t>(k)]);
    for (int c = 0; c < columns; ++c) {
      const float g = gradient_[static_cast<size_t>(k * kColumns + c)];
      int8_t& value = values[k * kColumns + c];
      const int to = allowed_.next(value, g > 0);
      const float d = static_cast<float>(to - value) * scales[c];
      if (!(d * d * h < 2 * d * g * 0.9999f) || !fits(sum, c, value, to)) continue;
      move(sum, c, value, to);
      value = static_cast<int8_t>(to);
      step[c] = -d;
      e_[static_cast<size_t>(k * kColumns + c)] -= d;
      moved = true;
    }
    if (moved) add_outer(q.h.data() + k * q.n, step, q.n, gradient_.data());
    return moved;
  }

  const AllowedValues& allowed_;
  std::vector<Room> sums_;
  std::vector<float> e_, gradient_;
};

// Columns of a filter that share their quadratic forms: kColumns of a dense one at most, those of one input of a depthwise.
struct ColumnGroup {
  int64_t first = 0;  // output channel
  int columns = 0;
  const std::vector<Quadratic>* blocks = nullptr;
};

// Shares of the largest scale that are tried.
std::vector<float> shares_of(const WeightLimits& limits, bool levels) {
  if (levels) return {1.0f, 0.9f, 0.8f};
  if (limits.max_abs > 15) return {1.0f, 0.95f, 0.9f, 0.85f, 0.8f};
  std::vector<float> shares;
  for (int i = 20; i >= 7; --i) shares.push_back(0.05f * static_cast<float>(i));
  return shares;
}

class FilterRounding {
 public:
  FilterRounding(const Tensor& filter, int64_t channels, const WeightLimits& limits, const std::vector<int>& levels,
                 const std::vector<float>& base, std::vector<ColumnGroup> groups)
      : filter_(filter),
        channels_(channels),
        rows_(filter.size() / channels),
        allowed_(limits, levels),
        base_(base),
        groups_(std::move(groups)) {}

  // The quantized values, and the errors of each channel, with the scales times one share.
  struct Trial {
    Tensor values;
    std::vector<double> errors;
  };
  Trial trial(float share, bool improve) const {
    Trial t{Tensor(DType::i8, filter_.shape()), std::vector<double>(static_cast<size_t>(channels_), 0)};
    parallel_for(static_cast<int64_t>(groups_.size()), 0,
                 [&](int64_t g) { round_group(groups_[static_cast<size_t>(g)], share, improve, t); });
    return t;
  }

 private:
  void round_group(const ColumnGroup& group, float share, bool improve, Trial& t) const {
    ColumnRounder rounder(allowed_, rows_);
    rounder.start();
    float scales[kColumns];
    for (int c = 0; c < group.columns; ++c)
      scales[c] = share * base_[base_.size() == 1 ? 0 : static_cast<size_t>(group.first + c)];
    double errors[kColumns] = {};
    std::vector<float> weights;
    std::vector<int8_t> values;
    int64_t first = 0;
    for (const Quadratic& q : *group.blocks) {
      weights.assign(static_cast<size_t>(q.n * kColumns), 0);
      values.assign(weights.size(), 0);
      const auto at = [&](int64_t k) { return (first + q.order[static_cast<size_t>(k)]) * channels_ + group.first; };
      for (int64_t k = 0; k < q.n; ++k) std::copy_n(filter_.data<float>() + at(k), group.columns, weights.data() + k * kColumns);
      rounder.round(q, first, weights.data(), scales, group.columns, values.data(), errors);
      if (improve) rounder.improve(q, first, scales, group.columns, values.data());
      for (int64_t k = 0; k < q.n; ++k) std::copy_n(values.data() + k * kColumns, group.columns, t.values.data<int8_t>() + at(k));
      first += q.n;
    }
    for (int c = 0; c < group.columns; ++c) t.errors[static_cast<size_t>(group.first + c)] = errors[c];
  }

  const Tensor& filter_;
  int64_t channels_, rows_;
  AllowedValues allowed_;
  const std::vector<float>& base_;
  std::vector<ColumnGroup> groups_;
};

// For each channel, or for all together, the share with the smallest error.
QuantizedWeights best_of(const FilterRounding& rounding, const Tensor& filter, int64_t channels, const std::vector<float>& base,
                         const std::vector<float>& shares) {
  std::vector<float> best(static_cast<size_t>(channels), shares.front());
  std::vector<double> min_errors;
  QuantizedWeights w{Tensor(DType::i8, filter.shape()), base};
  for (float share : shares) {
    const FilterRounding::Trial t = rounding.trial(share, true);
    std::vector<double> errors = t.errors;
    if (base.size() == 1) errors.assign(errors.size(), std::accumulate(errors.begin(), errors.end(), 0.0));
    const bool is_first = min_errors.empty();  // its values are kept also where errors are NaN
    if (is_first) min_errors.assign(errors.size(), INFINITY);
    for (int64_t c = 0; c < channels; ++c) {
      if (!is_first && !(errors[static_cast<size_t>(c)] < min_errors[static_cast<size_t>(c)])) continue;
      min_errors[static_cast<size_t>(c)] = errors[static_cast<size_t>(c)];
      w.scales[base.size() == 1 ? 0 : static_cast<size_t>(c)] = share * base[base.size() == 1 ? 0 : static_cast<size_t>(c)];
      for (int64_t i = c; i < filter.size(); i += channels) w.values.data<int8_t>()[i] = t.values.data<int8_t>()[i];
    }
  }
  return w;
}

std::vector<Quadratic> dense_blocks(const InputMoments& m, const RoundingInput& input) {
  std::vector<Quadratic> blocks;
  const int64_t channels = static_cast<int64_t>(input.factors.size());
  for (int64_t b = 0; b < m.blocks(); ++b) {
    const int64_t first = m.first(b);
    const float* square = m.square(b);
    blocks.push_back(
        quadratic_of({m.length(b), [&](int64_t i, int64_t j) { return static_cast<double>(square[i * m.block + j]); },
                      [&](int64_t i) {
                        return channels ? static_cast<double>(input.factors[static_cast<size_t>((first + i) % channels)]) : 1;
                      }},
                     m.windows, m.size, input));
  }
  return blocks;
}

Quadratic depthwise_block(const InputMoments& m, int64_t channel, const RoundingInput& input) {
  const auto at = [&](int64_t i) { return static_cast<size_t>(i * m.channels + channel); };
  const double factor = input.factors.empty() ? 1 : static_cast<double>(input.factors[static_cast<size_t>(channel)]);
  return quadratic_of({m.size, [&](int64_t i, int64_t j) { return static_cast<double>(m.products[at(i * m.size + j)]); },
                       [&](int64_t) { return factor; }},
                      m.windows, m.size, input);
}

// The identity, in blocks.
std::vector<Quadratic> identities(int64_t rows) {
  std::vector<Quadratic> blocks;
  for (int64_t first = 0; first < rows; first += kFactorRows)
    blocks.push_back(quadratic_of({std::min(kFactorRows, rows - first), [](int64_t i, int64_t j) { return i == j ? 1.0 : 0.0; },
                                   [](int64_t) { return 1.0; }},
                                  1, 0, {}));
  return blocks;
}

// How far rounding moves the mean of each output channel.
std::vector<double> moved_means(const Tensor& filter, int64_t channels, const QuantizedWeights& w, const InputMoments& m,
                                const RoundingInput& input) {
  const Tensor rounded = dequantize_weights(w);
  std::vector<double> moved(static_cast<size_t>(channels), 0);
  const int64_t multiplier = m.depthwise ? channels / m.channels : 1, inputs = static_cast<int64_t>(input.factors.size());
  for (int64_t i = 0; i < filter.size(); ++i) {
    const int64_t out = i % channels, row = i / channels, from = m.depthwise ? row * m.channels + out / multiplier : row;
    const double factor = inputs ? static_cast<double>(input.factors[static_cast<size_t>(from % inputs)]) : 1;
    moved[static_cast<size_t>(out)] +=
        m.mean[static_cast<size_t>(from)] * factor * (static_cast<double>(rounded.data<float>()[i]) - filter.data<float>()[i]);
  }
  return moved;
}

}  // namespace

RoundedLayer round_learned(const Tensor& filter, int64_t channels, bool per_channel, const WeightLimits& limits,
                           const std::vector<int>& levels, const InputMoments* moments, const RoundingInput& input) {
  const std::vector<float> base =
      input.scales.empty() ? quantize_weights(filter, channels, per_channel, limits).scales : input.scales;
  const int64_t rows = filter.size() / channels;
  std::vector<std::vector<Quadratic>> forms;
  std::vector<ColumnGroup> groups;
  const auto add_groups = [&](int64_t first, int64_t end, const std::vector<Quadratic>& blocks) {
    for (int64_t c = first; c < end; c += kColumns)
      groups.push_back({c, static_cast<int>(std::min<int64_t>(kColumns, end - c)), &blocks});
  };
  if (moments && moments->depthwise) {
    const int64_t multiplier = channels / moments->channels;
    forms.resize(static_cast<size_t>(moments->channels));
    for (int64_t c = 0; c < moments->channels; ++c) {
      forms[static_cast<size_t>(c)].push_back(depthwise_block(*moments, c, input));
      add_groups(c * multiplier, (c + 1) * multiplier, forms[static_cast<size_t>(c)]);
    }
  } else {
    forms.push_back(moments ? dense_blocks(*moments, input) : identities(rows));
    add_groups(0, channels, forms[0]);
  }
  const std::vector<float> shares = input.scales.empty() ? shares_of(limits, !levels.empty()) : std::vector<float>{1};
  const FilterRounding rounding(filter, channels, limits, levels, base, std::move(groups));
  RoundedLayer r{best_of(rounding, filter, channels, base, shares), {}};
  if (moments) r.moved = moved_means(filter, channels, r.weights, *moments, input);
  return r;
}

}  // namespace cytodet::quant
