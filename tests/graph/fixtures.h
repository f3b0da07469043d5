// Small graphs for tests, in code.
#pragma once

#include "graph/ir/op.h"

namespace cytodet::test {

inline NodeId add(Graph& g, const std::string& name, const std::string& op, const std::vector<std::string>& inputs,
                  AttrMap attrs = {}) {
  Node n;
  n.name = name;
  n.op = op;
  for (const std::string& i : inputs) {
    if (i[0] == '^')
      n.controls.push_back(g.require(i.substr(1)));
    else
      n.inputs.push_back(g.value(i));
  }
  attrs.try_emplace("T", DType::f32);
  n.attrs = std::move(attrs);
  return g.add(std::move(n));
}

inline void constant(Graph& g, const std::string& name, Tensor t) {
  g.rename(g.add_const(name + "_tmp", std::move(t)).node, name);
}

inline Attr ints(std::vector<int64_t> v) {
  AttrList l;
  l.ints = std::move(v);
  return Attr(l);
}

inline AttrMap kept_dims() {
  AttrMap a;
  a.emplace("keep_dims", true);
  return a;
}

inline AttrMap conv_attrs(const std::string& padding = "VALID", int64_t stride = 1) {
  AttrMap a;
  a.emplace("strides", ints({1, stride, stride, 1}));
  a.emplace("padding", padding);
  return a;
}

inline void placeholder(Graph& g, const std::string& name, Shape shape) {
  AttrMap a;
  a.emplace("dtype", DType::f32);
  a.emplace("shape", ShapeAttr{true, std::move(shape)});
  add(g, name, "Placeholder", {}, std::move(a));
}

// Fixture F: X [1,1,6,2] through a 1x2 convolution with W [1,2,2,2], stride 1, VALID; "conv" is the result.
inline Tensor fixture_input() { return Tensor::from<float>({1, 1, 6, 2}, {1, 4, 2, 5, 3, 6, -1, -4, -2, -5, -3, -6}); }
inline Tensor fixture_weights(Shape shape = {1, 2, 2, 2}) {
  return Tensor::from<float>(std::move(shape), {1, 2, 3, 4, .1f, .2f, .3f, .4f});
}
inline Graph fixture() {
  Graph g;
  placeholder(g, "x", {1, 1, 6, 2});
  constant(g, "w", fixture_weights());
  add(g, "conv", "Conv2D", {"x", "w"}, conv_attrs());
  return g;
}

inline std::vector<float> run(const Graph& g, const std::string& output, const Tensor& x = fixture_input()) {
  Feeds feeds;
  if (g.find("x") >= 0) feeds[g.value("x")] = x;
  Tensor t = interpret(g, feeds, {g.value(output)})[0];
  return {t.data<float>(), t.data<float>() + t.size()};
}

inline int count(const Graph& g, const std::string& op) {
  int n = 0;
  for (NodeId id : g.ids()) n += g.node(id).op == op;
  return n;
}

}  // namespace cytodet::test
