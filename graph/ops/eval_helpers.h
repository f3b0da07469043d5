// What the op rows share: dispatch over element types, broadcasting, axes, and the usual inferences.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>

#include "core/dispatch.h"
#include "core/error.h"
#include "graph/ir/op.h"

namespace cytodet::graph::ops {

// The type arithmetic is done in: float for the 16-bit floats, T otherwise.
template <class T>
struct Wide {
  using type = T;
};
template <>
struct Wide<Half> {
  using type = float;
};
template <>
struct Wide<BFloat16> {
  using type = float;
};
template <class T>
using wide_t = typename Wide<T>::type;

template <class T>
wide_t<T> widen(T v) {
  return static_cast<wide_t<T>>(v);
}

// v as it is when held as a T: TensorFlow's 16-bit kernels round after every operation.
template <class T>
wide_t<T> held(wide_t<T> v) {
  return widen(static_cast<T>(v));
}
template <class T>
struct Held {
  wide_t<T> operator()(wide_t<T> v) const { return held<T>(v); }
};

// Integers wrap like TensorFlow's: arithmetic is done on wrap()ped values, without signed overflow.
template <class T>
auto wrap(T v) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<uint64_t>(v);
  else
    return v;
}

// Inputs.
const Tensor& input(const OpCall& call, size_t i);  // throws Error when there are fewer
void eval_pass(OpCall& call);                       // out 0 is input 0
inline void need(bool ok, const std::string& problem) {
  if (!ok) throw Error("", problem);
}
// axis in [-rank, rank) -> [0, rank); throws Error.
int64_t axis_of(int64_t axis, int64_t rank);
std::vector<int64_t> axes_of(const Tensor& axes, int64_t rank);  // sorted, distinct
Shape shape_of(const Tensor& t);                                 // a 1-D (or scalar) integer tensor as dimensions, each >= 0

// Row-major strides, 0 on dimensions of size 1 when broadcast to `to`; throws Error when shapes do not broadcast.
Shape broadcast_shapes(const Shape& a, const Shape& b);
std::vector<int64_t> broadcast_strides(const Shape& from, const Shape& to);
std::vector<int64_t> strides_of(const Shape& shape);
// f(flat output index, flat index into each of the inputs) over `shape`; `strides` one list per input.
void walk(const Shape& shape, const std::vector<std::vector<int64_t>>& strides,
          const std::function<void(int64_t, const int64_t*)>& f);

// The rows of a broadcast of a and b to the shape `to`: elements out + j of the result are made of elements at_a + j * step_a of
// a and at_b + j * step_b of b, j in [0, length). Rows are as long as they can be: equal shapes are one, and so is a scalar with
// anything.
class BroadcastRows {
 public:
  BroadcastRows(const Shape& a, const Shape& b, const Shape& to);
  bool next();  // to the first row, or the next one; false behind the last

  int64_t length = 0, out = 0, at_a = 0, at_b = 0, step_a = 1, step_b = 1;

 private:
  Shape outer_;  // the dimensions of `to` before the rows'
  std::vector<int64_t> strides_a_, strides_b_, at_;
  int64_t left_ = 0;
  bool started_ = false;
};

// A tensor of type t (int32 or int64; throws Error otherwise) with these values.
Tensor int_tensor(DType t, Shape shape, const std::vector<int64_t>& values);

double digamma(double x);

// Copies elements of any held type.
void copy_element(Tensor& to, int64_t to_index, const Tensor& from, int64_t from_index);

// out[i] = x[offset + sum at_d * stride_d] over the shape of out.
void strided_copy(const Tensor& x, Tensor& out, const std::vector<int64_t>& strides, int64_t offset);

// Inference helpers. `known(i)`: shape of input i or null.
inline const Shape* known(const InferCall& call, size_t i) {
  return i < call.in.size() && call.in[i].shape ? &*call.in[i].shape : nullptr;
}
inline Fact fact(DType dtype, std::optional<Shape> shape = {}) { return {dtype, std::move(shape), {}}; }
inline DType input_type(const InferCall& call, size_t i) { return i < call.in.size() ? call.in[i].dtype : DType::invalid; }
// Dimension d of input i (from the end when negative), and the number that a scalar input holds; -1 where not known.
int64_t known_dim(const InferCall& call, size_t i, int64_t d);
int64_t known_int(const InferCall& call, size_t i);
void infer_same(InferCall& call);          // out 0 like input 0
void infer_nothing(InferCall& call);       // no outputs
void infer_broadcast(InferCall& call);     // out 0: broadcast of inputs 0 and 1, dtype of input 0
void infer_compare(InferCall& call);       // the same, bool
void infer_resize_float(InferCall& call);  // out 0: float32 [n, size, c]
std::optional<Shape> broadcast_partial(const Shape& a, const Shape& b);

const std::vector<Op>& elementwise_ops();
const std::vector<Op>& shape_ops();
const std::vector<Op>& slice_ops();
const std::vector<Op>& gather_ops();
const std::vector<Op>& reduce_ops();
const std::vector<Op>& conv_ops();
const std::vector<Op>& nn_ops();
const std::vector<Op>& image_ops();
const std::vector<Op>& nms_ops();
const std::vector<Op>& misc_ops();
const std::vector<Op>& pool_ops();
const std::vector<Op>& special_ops();
const std::vector<Op>& grad_ops();
const std::vector<Op>& rnn_ops();
const std::vector<Op>& search_ops();
const std::vector<Op>& sparse_ops();
const std::vector<Op>& diag_ops();
const std::vector<Op>& linalg_ops();
const std::vector<Op>& einsum_ops();
const std::vector<Op>& color_ops();
const std::vector<Op>& quant_ops();
const std::vector<Op>& integer_layer_ops();
const std::vector<Op>& quantized_map_ops();
const std::vector<Op>& quantized_arithmetic_ops();
const std::vector<Op>& print_ops();
const std::vector<Op>& random_ops();
const std::vector<Op>& control_ops();

}  // namespace cytodet::graph::ops
