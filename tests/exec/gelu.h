// GELU in the spellings of exporters.
#pragma once

#include "tests/graph/fixtures.h"

namespace cytodet::test {

// `name`: x * (1 + erf(x / sqrt 2)) / 2 with a division (spelling 0), or a product and other orders (1); its form on tanh (2).
// Inner nodes: name/erf, name/sum, ...
inline void add_gelu(Graph& g, const std::string& name, const std::string& x, int spelling) {
  const auto inner = [&](const char* of) { return name + "/" + of; };
  constant(g, inner("half"), Tensor::scalar(0.5f));
  constant(g, inner("one"), Tensor::scalar(1.0f));
  if (spelling < 2) {
    constant(g, inner("root"), Tensor::scalar(spelling == 0 ? 1.41421356f : 0.70710678f));
    add(g, inner("u"), spelling == 0 ? "RealDiv" : "Mul", {x, inner("root")});
    add(g, inner("erf"), "Erf", {inner("u")});
    add(g, inner("sum"), "AddV2", {inner("one"), inner("erf")});
    add(g, inner("product"), "Mul", {x, inner(spelling == 0 ? "half" : "sum")});
    add(g, name, "Mul", {inner("product"), inner(spelling == 0 ? "sum" : "half")});
    return;
  }
  constant(g, inner("three"), Tensor::scalar(3.0f));
  constant(g, inner("k"), Tensor::scalar(0.044715f));
  constant(g, inner("root"), Tensor::scalar(0.79788456f));
  add(g, inner("cube"), "Pow", {x, inner("three")});
  add(g, inner("small"), "Mul", {inner("k"), inner("cube")});
  add(g, inner("all"), "AddV2", {x, inner("small")});
  add(g, inner("u"), "Mul", {inner("root"), inner("all")});
  add(g, inner("tanh"), "Tanh", {inner("u")});
  add(g, inner("sum"), "AddV2", {inner("one"), inner("tanh")});
  add(g, inner("half_x"), "Mul", {inner("half"), x});
  add(g, name, "Mul", {inner("half_x"), inner("sum")});
}

}  // namespace cytodet::test
