#include "graph/layout/permuted.h"

#include <algorithm>
#include <numeric>

namespace cytodet::graph {
namespace {

// Whether dimensions that are not 1 keep their order.
bool moves_ones_only(const Shape& s, const Perm& perm) {
  int64_t last = -1;
  for (int64_t p : perm) {
    if (s[static_cast<size_t>(p)] == 1) continue;
    if (p < last) return false;
    last = p;
  }
  return std::count(s.begin(), s.end(), -1) <= 1;
}

// Dimensions of `from` and of `to` that hold the same elements.
struct Group {
  std::vector<size_t> from, to;
};
// Sizes of 1 are in no group. Nothing where sizes do not fit together. An unknown size is a group of its own, with another.
std::optional<std::vector<Group>> grouped(const Shape& from, const Shape& to) {
  std::vector<Group> groups;
  size_t i = 0, j = 0;
  const auto skip_ones = [](const Shape& s, size_t& at) {
    while (at < s.size() && s[at] == 1) ++at;
  };
  while (true) {
    skip_ones(from, i);
    skip_ones(to, j);
    if (i == from.size() || j == to.size()) break;
    Group g{{i}, {j}};
    int64_t left = from[i++], right = to[j++];
    if (left < 0 || right < 0) {
      if (left != right) return std::nullopt;
      groups.push_back(g);
      continue;
    }
    if (left == 0 || right == 0) return std::nullopt;
    while (left != right) {
      const bool more_left = left < right;
      const Shape& s = more_left ? from : to;
      size_t& at = more_left ? i : j;
      skip_ones(s, at);
      if (at == s.size() || s[at] <= 0) return std::nullopt;
      (more_left ? g.from : g.to).push_back(at);
      (more_left ? left : right) *= s[at++];
    }
    groups.push_back(g);
  }
  if (i != from.size() || j != to.size()) return std::nullopt;
  return groups;
}

// Whether the dimensions of every group lie side by side, but for sizes of 1. there: places of what is meant; meant: and back.
bool are_joined(const std::vector<Group>& groups, const Shape& from, const std::vector<size_t>& there,
                const std::vector<size_t>& meant) {
  for (const Group& g : groups)
    for (size_t k = 1; k < g.from.size(); ++k) {
      const size_t a = there[g.from[k - 1]], z = there[g.from[k]];
      if (z < a) return false;
      for (size_t between = a + 1; between < z; ++between)
        if (from[meant[between]] != 1) return false;
    }
  return true;
}

}  // namespace

bool is_identity(const Perm& p) { return std::is_sorted(p.begin(), p.end()); }
Perm identity_perm(size_t rank) {
  Perm p(rank);
  std::iota(p.begin(), p.end(), 0);
  return p;
}

Value Mover::reshaped(Value x, const Shape& dims) {
  while (b.graph.node(x.node).op == "Reshape" && b.graph.constant(b.graph.node(x.node).inputs[1])) {
    const Value inner = b.graph.node(x.node).inputs[0];
    if (!b.is_static(inner)) break;
    x = inner;
  }
  return b.reshape(x, dims);
}

Value Mover::moved(Value x, const Perm& perm) {
  if (is_identity(perm)) return x;
  const auto [it, fresh] = made_.try_emplace({x, perm}, x);
  if (!fresh) return it->second;
  const Shape s = b.dims(x);
  const Value y = moves_ones_only(s, perm) ? reshaped(x, transposed_shape(s, perm)) : b.transpose(x, perm);
  made_[{x, perm}] = y;
  return y;
}

Value Mover::made(const Permuted& x) {
  const Value y = moved(x.value, x.perm);
  return x.flat ? b.reshape(y, *x.flat) : y;
}

Value Mover::before(const Permuted& x, const Perm& perm) {
  const size_t rank = perm.size();
  if (!x.flat && x.perm == perm) return x.value;
  Value y = made(x);
  const size_t own = static_cast<size_t>(b.rank(y));
  if (own < rank) {
    const Shape s = b.dims(y);
    Perm first(rank - own);
    std::iota(first.begin(), first.end(), 0);
    y = b.expand_dims(y, first);
  }
  return moved(y, inverse_perm(perm));
}

std::optional<MovedReshape> move_reshape(const Shape& from, const Shape& to, const Perm& perm) {
  const auto groups = grouped(from, to);
  if (!groups) return std::nullopt;
  std::vector<size_t> there(from.size());
  for (size_t d = 0; d < from.size(); ++d) there[d] = static_cast<size_t>(perm[d]);
  std::vector<size_t> meant(from.size());
  for (size_t d = 0; d < from.size(); ++d) meant[there[d]] = d;
  std::vector<size_t> order;  // groups as they lie there
  for (size_t at = 0; at < from.size(); ++at)
    for (size_t g = 0; g < groups->size(); ++g)
      if ((*groups)[g].from.front() == meant[at]) order.push_back(g);  // by what is outermost in what is meant
  MovedReshape moved;
  if (!are_joined(*groups, from, there, meant)) {
    std::vector<bool> taken(from.size(), false);
    for (size_t g : order)
      for (size_t d : (*groups)[g].from) {
        moved.first.push_back(static_cast<int64_t>(there[d]));
        taken[there[d]] = true;
      }
    const auto begin = std::find(taken.begin(), taken.end(), true) - taken.begin();
    for (int64_t at = begin; at-- > 0;) moved.first.insert(moved.first.begin(), at);  // sizes of 1 stay first, or go last
    for (size_t at = static_cast<size_t>(begin); at < from.size(); ++at)
      if (!taken[at]) moved.first.push_back(static_cast<int64_t>(at));
  }
  std::vector<size_t> result;  // dimensions of `to` as they shall lie
  const bool kept = std::is_sorted(order.begin(), order.end());
  if (kept) {
    result.resize(to.size());
    std::iota(result.begin(), result.end(), 0);
  } else {
    std::vector<bool> used(to.size(), false);
    for (size_t g : order)
      for (size_t d : (*groups)[g].to) used[d] = true;
    const size_t first = static_cast<size_t>(std::find(used.begin(), used.end(), true) - used.begin());
    for (size_t d = 0; d < first; ++d) result.push_back(d);  // sizes of 1 stay first, or come behind what lies first
    for (size_t k = 0; k < order.size(); ++k) {
      for (size_t d : (*groups)[order[k]].to) result.push_back(d);
      if (k > 0) continue;
      for (size_t d = first; d < to.size(); ++d)
        if (!used[d]) result.push_back(d);
    }
  }
  moved.perm.resize(to.size());
  for (size_t at = 0; at < result.size(); ++at) {
    moved.dims.push_back(to[result[at]]);
    moved.perm[result[at]] = static_cast<int64_t>(at);
  }
  return moved;
}

}  // namespace cytodet::graph
