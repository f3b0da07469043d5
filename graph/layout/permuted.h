// A value of a graph seen through a transpose that has not been made.
#pragma once

#include <optional>
#include <vector>

#include "graph/io/builder.h"

namespace cytodet::graph {

using Perm = std::vector<int64_t>;  // dimension i of what is meant is dimension perm[i] of what is there

bool is_identity(const Perm& p);
Perm identity_perm(size_t rank);

// What is meant: `value` transposed by `perm`, then in the shape `flat` where that is set: [rows, columns].
struct Permuted {
  Value value;
  Perm perm;  // empty: as it is
  std::optional<Shape> flat;
  bool plain() const { return !flat && is_identity(perm); }
};

// Adds nodes that move dimensions, and finds when there is nothing to move.
class Mover {
 public:
  explicit Mover(Builder& builder) : b(builder) {}
  Builder& b;

  // x transposed by perm: nothing, another shape of the same elements where only dimensions of size 1 move, a constant, or a
  // Transpose, which is made once.
  Value moved(Value x, const Perm& perm);
  // In the order that is meant.
  Value made(const Permuted& x);
  // The value that, transposed by perm, is x with `rank` dimensions (missing ones of size 1 come first).
  Value before(const Permuted& x, const Perm& perm);

 private:
  Value reshaped(Value x, const Shape& dims);
  std::map<std::pair<Value, Perm>, Value> made_;
};

// A Reshape of what is meant as a Reshape of what is there: new sizes in its order, and the permutation that is meant then.
struct MovedReshape {
  Perm first;  // what is there is transposed by this before; empty: dimensions that are joined lie side by side
  Shape dims;
  Perm perm;
};
// `from` and `to`: what is meant, before and after, with at most one unknown size each. Nothing where sizes are not known.
std::optional<MovedReshape> move_reshape(const Shape& from, const Shape& to, const Perm& perm);

}  // namespace cytodet::graph
