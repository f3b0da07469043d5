// Element-wise operations on blocks of floats that lie in the first-level cache: what an expression of a graph is computed
// with (exec/steps/expression_step.h). One ExpressionKernels per instruction set.
#pragma once

#include <cstdint>

#include "core/cpu.h"

namespace cytodet::exec {

// Comparisons give 1 or 0, and `select` reads such. leaky_relu: x > 0 ? x : x * b; power: a ^ b.
enum class ExprOp : int {
  // one operand a
  neg,
  abs,
  sign,
  square,
  sqrt,
  rsqrt,
  reciprocal,
  exp,
  expm1,
  log,
  log1p,
  tanh,
  sigmoid,
  relu,
  relu6,
  elu,
  selu,
  softplus,
  softsign,
  erf,
  floor,
  ceil,
  round,
  logical_not,
  // two operands a, b
  add,
  sub,
  mul,
  div,
  div_no_nan,
  max,
  min,
  squared_difference,
  leaky_relu,
  power,
  equal,
  not_equal,
  less,
  less_equal,
  // three operands: a != 0 ? b : c; a * b + c, and the larger of that and 0
  select,
  mul_add,
  mul_add_relu
};
constexpr int kUnaryOps = static_cast<int>(ExprOp::add);
constexpr int kBinaryOps = static_cast<int>(ExprOp::select) - kUnaryOps;
constexpr bool is_unary(ExprOp op) { return op < ExprOp::add; }
constexpr bool is_binary(ExprOp op) { return op >= ExprOp::add && op < ExprOp::select; }

// Which operand of two is one value for the whole block.
enum class OneValue : int { none, left, right };

// out[i] = op(a[i], ...) for i < n; `out` may be an operand. Results are those of the plain evals of graph/ops, NaN and infinity
// included, with a relative error of at most
//   1.2e-7 (that of one rounding)  neg to round, add to select, where not listed below; mul_add of |a * b| + |c|
//   3e-7   exp, expm1, log, log1p, sigmoid, elu, selu, tanh, softplus, erf
//   3e-7 + 1.2e-7 * |b * ln a|     power
struct ExpressionKernels {
  using Unary = void (*)(const float* a, float* out, int64_t n);
  using Binary = void (*)(const float* a, const float* b, float* out, int64_t n);
  Unary unary[kUnaryOps];
  Binary binary[kBinaryOps][3];  // by OneValue
  using Ternary = void (*)(const float* a, const float* b, const float* c, float* out, int64_t n);
  Ternary ternary[3];
  float (*sum)(const float* a, int64_t n);
  // The largest, or smallest, of `so_far` and all of a; NaN where one is.
  float (*max_of_all)(const float* a, int64_t n, float so_far);
  float (*min_of_all)(const float* a, int64_t n, float so_far);
  // For each of `rows` rows of n values: e^(a - the row's largest), divided by their sum. Relative error at most 1e-6.
  void (*softmax)(const float* a, float* out, int64_t rows, int64_t n);
  // For each of `rows` rows of n values: (a - mean) / sqrt(variance + epsilon) * scale + shift, by columns; where it is not
  // centred the mean counts as 0. The variance is the mean of squares of a - mean. `out` may be `a`. Errors are those of sums in
  // float.
  void (*normalize)(const float* a, int64_t rows, int64_t n, float epsilon, bool centred, const float* scale, const float* shift,
                    float* out);

  Unary of_one(ExprOp op) const { return unary[static_cast<int>(op)]; }
  Ternary of_three(ExprOp op) const { return ternary[static_cast<int>(op) - static_cast<int>(ExprOp::select)]; }
  Binary of_two(ExprOp op, OneValue one) const { return binary[static_cast<int>(op) - kUnaryOps][static_cast<int>(one)]; }
};

extern const ExpressionKernels kExpressionBaseline, kExpressionAvx2, kExpressionAvx512;
const ExpressionKernels& expression_kernels();  // of isa()

}  // namespace cytodet::exec
