// Ops that count, search and distinguish: bins, bounds, ranks, distinct values.
#include <unordered_map>

#include "graph/ops/eval_helpers.h"

namespace cytodet::graph::ops {
namespace {

constexpr int64_t max_bins = int64_t{1} << 31;

int64_t bins_of(const Tensor& t) {
  need(t.size() == 1, "the number of bins must be one number");
  const int64_t n = t.as_int();
  need(n >= 0 && n < max_bins, "the number of bins is out of range");
  return n;
}

void count_row(const Tensor& values, int64_t first, int64_t count, const Tensor& weights, bool binary, int64_t row, Tensor& out) {
  const int64_t bins = out.dim(-1);
  on_numeric(out.dtype(), [&]<class T>() {
    T* to = out.data<T>() + row * bins;
    for (int64_t i = first; i < first + count; ++i) {
      const int64_t v = values.as_int(i);
      need(v >= 0, "values must not be negative");
      if (v >= bins) continue;
      const wide_t<T> w = binary || weights.size() == 0 ? wide_t<T>(1) : widen(weights.data<T>()[i]);
      to[v] = static_cast<T>(binary ? w : static_cast<wide_t<T>>(wrap(widen(to[v])) + wrap(w)));
    }
  });
}
void eval_bincount(OpCall& call) {
  const Tensor &values = input(call, 0), &weights = input(call, 2);
  need(weights.size() == 0 || weights.size() == values.size(), "weights do not fit the values");
  const bool dense = call.node.op == "DenseBincount", rows = dense && values.rank() == 2;
  need(!dense || values.rank() <= 2, "needs one or two dimensions");
  const int64_t bins = bins_of(input(call, 1)), n = rows ? values.dim(0) : 1, each = rows ? values.dim(1) : values.size();
  Tensor out(weights.dtype(), rows ? Shape{n, bins} : Shape{bins});
  for (int64_t r = 0; r < n; ++r) count_row(values, r * each, each, weights, call.node.attr_or("binary_output", false), r, out);
  call.out = {out};
}
void infer_bincount(InferCall& call) { call.out = {fact(call.in.size() > 2 ? call.in[2].dtype : DType::invalid)}; }

void eval_histogram(OpCall& call) {
  const Tensor &x = input(call, 0), &range = input(call, 1);
  need(range.size() == 2, "value_range must have two numbers");
  const int64_t bins = bins_of(input(call, 2));
  const double lo = range.as_double(0), hi = range.as_double(1);
  need(bins > 0 && lo < hi, "needs bins and a range that rises");
  std::vector<int64_t> count(static_cast<size_t>(Tensor(DType::i64, {bins}).size()), 0);
  const double step = (hi - lo) / static_cast<double>(bins);
  for (int64_t i = 0; i < x.size(); ++i) {
    const double at = std::floor((std::clamp(x.as_double(i), lo, hi) - lo) / step);
    ++count[static_cast<size_t>(std::isnan(at) ? 0 : std::min<int64_t>(bins - 1, static_cast<int64_t>(at)))];
  }
  call.out = {int_tensor(call.node.attr_or("dtype", DType::i32), {bins}, count)};
}

void eval_bucketize(OpCall& call) {
  const Tensor& x = input(call, 0);
  const AttrList list = call.node.attr<AttrList>("boundaries");
  need(std::is_sorted(list.floats.begin(), list.floats.end()), "boundaries must rise");
  std::vector<int64_t> at(static_cast<size_t>(x.size()));
  for (size_t i = 0; i < at.size(); ++i)
    at[i] = std::upper_bound(list.floats.begin(), list.floats.end(), x.as_double(static_cast<int64_t>(i)),
                             [](double v, float b) { return v < b; }) -
            list.floats.begin();
  call.out = {int_tensor(DType::i32, x.shape(), at)};
}
void infer_bucketize(InferCall& call) { call.out = {fact(DType::i32, call.in[0].shape)}; }

void bounds(OpCall& call, bool upper) {
  const Tensor &sorted = input(call, 0), &values = input(call, 1);
  need(sorted.rank() == 2 && values.rank() == 2 && sorted.dim(0) == values.dim(0) && sorted.dtype() == values.dtype(),
       "needs two lists of rows of one type");
  const int64_t n = sorted.dim(1), m = values.dim(1);
  std::vector<int64_t> at(static_cast<size_t>(values.size()));
  on_numeric(sorted.dtype(), [&]<class T>() {
    auto less = [](T a, T b) { return widen(a) < widen(b); };
    for (size_t i = 0; i < at.size(); ++i) {
      const T* row = sorted.data<T>() + static_cast<int64_t>(i) / m * n;
      const T v = values.data<T>()[i];
      at[i] = (upper ? std::upper_bound(row, row + n, v, less) : std::lower_bound(row, row + n, v, less)) - row;
    }
  });
  call.out = {int_tensor(call.node.attr_or("out_type", DType::i32), values.shape(), at)};
}
void infer_bounds(InferCall& call) {
  call.out = {fact(call.node.attr_or("out_type", DType::i32), call.in.size() > 1 ? call.in[1].shape : std::nullopt)};
}

// True when fewer than k predictions beat the target's; never for a prediction that is not finite.
void eval_in_top_k(OpCall& call) {
  const Tensor &p = input(call, 0), &targets = input(call, 1);
  const int64_t k = call.node.op == "InTopK" ? call.node.attr<int64_t>("k") : input(call, 2).as_int();
  need(p.rank() == 2 && targets.rank() == 1 && targets.size() == p.dim(0),
       "needs predictions [batch, classes] and one target per row");
  Tensor out(DType::boolean, targets.shape());
  for (int64_t r = 0; r < p.dim(0); ++r) {
    const int64_t target = targets.as_int(r), classes = p.dim(1);
    bool bad = target < 0 || target >= classes || !std::isfinite(p.as_double(r * classes + target));
    int64_t better = 0;
    for (int64_t c = 0; c < classes && !bad; ++c) {
      const double v = p.as_double(r * classes + c);
      bad = !std::isfinite(v);
      better += v > p.as_double(r * classes + target);
    }
    out.data<bool>()[r] = !bad && better < k;
  }
  call.out = {out};
}
void infer_in_top_k(InferCall& call) { call.out = {fact(DType::boolean, call.in.size() > 1 ? call.in[1].shape : std::nullopt)}; }

void eval_nth_element(OpCall& call) {
  const Tensor& x = input(call, 0);
  need(x.rank() >= 1 && input(call, 1).size() == 1, "needs at least one dimension and one n");
  const int64_t size = x.dim(-1), n = input(call, 1).as_int();
  need(n >= 0 && n < size, "n is out of range");
  const bool reverse = call.node.attr_or("reverse", false);
  Tensor out(x.dtype(), Shape(x.shape().begin(), x.shape().end() - 1));
  on_numeric(x.dtype(), [&]<class T>() {
    for (int64_t r = 0; r < out.size(); ++r) {
      std::vector<T> row(x.data<T>() + r * size, x.data<T>() + (r + 1) * size);
      std::stable_sort(row.begin(), row.end(), [&](T a, T b) {
        const auto u = widen(a), v = widen(b);
        if constexpr (std::is_floating_point_v<wide_t<T>>)
          if (std::isnan(u) || std::isnan(v)) return !std::isnan(u) && std::isnan(v);
        return reverse ? u > v : u < v;
      });
      out.data<T>()[r] = row[static_cast<size_t>(n)];
    }
  });
  call.out = {out};
}
void infer_nth_element(InferCall& call) {
  call.out = {fact(call.in[0].dtype)};
  if (known(call, 0) && !known(call, 0)->empty()) call.out[0].shape = Shape(known(call, 0)->begin(), known(call, 0)->end() - 1);
}

// f(hashable value of element i) for any type but bool's kin; -0 equals 0, NaN equals nothing.
template <class F>
void on_keys(DType t, F&& f) {
  if (t == DType::string)
    f.template operator()<std::string>([](const Tensor& x, int64_t i) { return x.strings()[static_cast<size_t>(i)]; });
  else
    on_any(t, [&]<class T>() {
      f.template operator()<wide_t<T>>([](const Tensor& x, int64_t i) { return widen(x.data<T>()[i]); });
    });
}

struct Distinct {
  std::vector<int64_t> first, group, count;  // first occurrence of each, group of each element, elements of each
};
template <class Key, class KeyOf>
Distinct find_distinct(int64_t n, KeyOf key) {
  Distinct d;
  std::unordered_map<Key, int64_t> seen;
  for (int64_t i = 0; i < n; ++i) {
    auto [it, fresh] = seen.try_emplace(key(i), static_cast<int64_t>(d.first.size()));
    if (fresh) d.first.push_back(i), d.count.push_back(0);
    d.group.push_back(it->second);
    ++d.count[static_cast<size_t>(it->second)];
  }
  return d;
}
void eval_unique(OpCall& call) {
  const Tensor& x = input(call, 0);
  const bool v2 = call.node.op.ends_with("V2"), counts = call.node.op.find("Counts") != std::string::npos;
  int64_t axis = 0;
  if (v2 && input(call, 1).size() > 0) {
    need(call.in[1].size() == 1, "at most one axis");
    axis = axis_of(call.in[1].as_int(), x.rank());
  } else {
    need(x.rank() == 1, "needs a vector");
  }
  const int64_t n = x.dim(static_cast<int>(axis)), inner = elements(Shape(x.shape().begin() + axis + 1, x.shape().end())),
                outer = elements(Shape(x.shape().begin(), x.shape().begin() + axis));
  Distinct d;
  if (outer * inner == 1) {
    on_keys(x.dtype(), [&]<class Key>(auto key) { d = find_distinct<Key>(n, [&](int64_t i) { return key(x, i); }); });
  } else {
    need(x.dtype() != DType::string, "strings have no other axis");
    const size_t item = size_of(x.dtype());
    d = find_distinct<std::string>(n, [&](int64_t i) {
      std::string bytes;
      for (int64_t o = 0; o < outer; ++o)
        bytes.append(static_cast<const char*>(x.raw()) + static_cast<size_t>((o * n + i) * inner) * item,
                     static_cast<size_t>(inner) * item);
      return bytes;
    });
  }
  const int64_t groups = static_cast<int64_t>(d.first.size());
  Shape s = x.shape();
  s[static_cast<size_t>(axis)] = groups;
  Tensor values(x.dtype(), s);
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t g = 0; g < groups; ++g)
      for (int64_t i = 0; i < inner; ++i)
        copy_element(values, (o * groups + g) * inner + i, x, (o * n + d.first[static_cast<size_t>(g)]) * inner + i);
  const DType type = call.node.attr_or("out_idx", DType::i32);
  call.out = {values, int_tensor(type, {n}, d.group)};
  if (counts) call.out.push_back(int_tensor(type, {groups}, d.count));
}
void infer_unique(InferCall& call) {
  call.out.assign(call.node.op.find("Counts") != std::string::npos ? 3 : 2,
                  fact(call.node.attr_or("out_idx", DType::i32), Shape{-1}));
  const bool flat = known(call, 0) && known(call, 0)->size() == 1;
  call.out[0] = fact(call.in[0].dtype, flat ? std::optional(Shape{-1}) : std::nullopt);
  if (flat) call.out[1].shape = *known(call, 0);
}

void eval_list_diff(OpCall& call) {
  const Tensor &x = input(call, 0), &y = input(call, 1);
  need(x.rank() == 1 && y.rank() == 1 && x.dtype() == y.dtype(), "needs two vectors of one type");
  std::vector<int64_t> kept;
  on_keys(x.dtype(), [&]<class Key>(auto key) {
    std::unordered_map<Key, bool> drop;
    for (int64_t i = 0; i < y.size(); ++i) drop[key(y, i)] = true;
    for (int64_t i = 0; i < x.size(); ++i)
      if (!drop.contains(key(x, i))) kept.push_back(i);
  });
  Tensor out(x.dtype(), {static_cast<int64_t>(kept.size())});
  for (size_t i = 0; i < kept.size(); ++i) copy_element(out, static_cast<int64_t>(i), x, kept[i]);
  call.out = {out, int_tensor(call.node.attr_or("out_idx", DType::i32), out.shape(), kept)};
}
void infer_list_diff(InferCall& call) {
  call.out = {fact(call.in[0].dtype, Shape{-1}), fact(call.node.attr_or("out_idx", DType::i32), Shape{-1})};
}

}  // namespace

const std::vector<Op>& search_ops() {
  static const std::vector<Op> rows = {
      {"Bincount", infer_bincount, eval_bincount},
      {"Bucketize", infer_bucketize, eval_bucketize},
      {"DenseBincount", infer_bincount, eval_bincount},
      {"HistogramFixedWidth", [](InferCall& c) { c.out = {fact(c.node.attr_or("dtype", DType::i32), Shape{-1})}; },
       eval_histogram},
      {"InTopK", infer_in_top_k, eval_in_top_k},
      {"InTopKV2", infer_in_top_k, eval_in_top_k},
      {"ListDiff", infer_list_diff, eval_list_diff},
      {"LowerBound", infer_bounds, [](OpCall& c) { bounds(c, false); }},
      {"NthElement", infer_nth_element, eval_nth_element},
      {"Unique", infer_unique, eval_unique},
      {"UniqueV2", infer_unique, eval_unique},
      {"UniqueWithCounts", infer_unique, eval_unique},
      {"UniqueWithCountsV2", infer_unique, eval_unique},
      {"UpperBound", infer_bounds, [](OpCall& c) { bounds(c, true); }},
  };
  return rows;
}

}  // namespace cytodet::graph::ops
