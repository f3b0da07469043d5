#include "graph/io/onnx/call.h"

#include <algorithm>

namespace cytodet::graph::onnx {

void refuse(const std::string& what, const std::string& fix) { throw Error("", what, fix); }

Value Call::in(size_t i) const {
  if (!has(i)) throw Error("", "has no input " + std::to_string(i), "the model is damaged or of another operator set");
  return *inputs_[i];
}
Value Call::in_of_rank(size_t i, int64_t rank) const {
  const Value v = in(i);
  if (b.fact(v).shape) return v;
  return b.add("Reshape", {v, b.add("Slice", {b.shape(v), b.ints({0}), b.ints({rank})})});
}
std::vector<Value> Call::all() const {
  std::vector<Value> values;
  for (size_t i = 0; i < inputs_.size(); ++i) values.push_back(in(i));
  return values;
}
const Tensor& Call::need_constant(size_t i, const char* what) const {
  const Tensor* t = constant(i);
  if (!t)
    refuse(std::string("computes ") + what + " while it runs",
           "export the model with fixed sizes, or give its inputs sizes: --input NAME=1,3,640,640");
  return *t;
}

const OnnxAttr* Call::find(std::string_view name) const {
  const auto it = node_.attrs.find(name);
  return it == node_.attrs.end() ? nullptr : &it->second;
}
const OnnxGraph& Call::graph(std::string_view name, const char* what) const {
  const OnnxAttr* a = find(name);
  const auto* inner = a ? std::get_if<std::shared_ptr<OnnxGraph>>(a) : nullptr;
  if (!inner || !*inner) refuse(std::string("lacks ") + what, "the model is damaged");
  return **inner;
}

Value Call::anchored(Builder& b, Value v, NodeId anchor) {
  if (anchor < 0) return v;
  const Tensor* t = b.constant(v);
  const Value copy = t ? b.constant(*t) : b.add("Identity", {v});
  b.graph.node(copy.node).controls = {anchor};
  return copy;
}

template <class T>
T Call::attr(std::string_view name, T fallback) const {
  const OnnxAttr* a = find(name);
  if (!a) return fallback;
  const T* value = std::get_if<T>(a);
  if (!value) refuse("has an attribute " + std::string(name) + " of another kind", "the model is damaged");
  return *value;
}
template int64_t Call::attr(std::string_view, int64_t) const;
template float Call::attr(std::string_view, float) const;
template std::string Call::attr(std::string_view, std::string) const;
template std::vector<int64_t> Call::attr(std::string_view, std::vector<int64_t>) const;
template std::vector<float> Call::attr(std::string_view, std::vector<float>) const;

void Call::set(size_t output, Value v) {
  if (output < out.size()) out[output] = v;
}

int64_t Call::axis_in(int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank)
    throw Error("", "axis " + std::to_string(axis) + " is out of range for " + std::to_string(rank) + " dimensions",
                "the model is damaged");
  return axis < 0 ? axis + rank : axis;
}
std::vector<int64_t> Call::axes_in(std::vector<int64_t> axes, int64_t rank) {
  for (int64_t& a : axes) a = axis_in(a, rank);
  std::sort(axes.begin(), axes.end());
  if (std::adjacent_find(axes.begin(), axes.end()) != axes.end()) throw Error("", "names an axis twice", "the model is damaged");
  return axes;
}

}  // namespace cytodet::graph::onnx
