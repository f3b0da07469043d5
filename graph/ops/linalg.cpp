// Dense linear algebra on batches of matrices, in double: textbook algorithms (Golub and Van Loan, Matrix Computations).
#include "graph/ops/eval_helpers.h"

namespace cytodet::graph::ops {
namespace {

struct Matrix {
  int64_t rows = 0, columns = 0;
  std::vector<double> v;
  Matrix(int64_t r, int64_t c) : rows(r), columns(c), v(static_cast<size_t>(elements({r, c}))) {}
  double& operator()(int64_t r, int64_t c) { return v[static_cast<size_t>(r * columns + c)]; }
  double operator()(int64_t r, int64_t c) const { return v[static_cast<size_t>(r * columns + c)]; }
};
Matrix transposed(const Matrix& m) {
  Matrix t(m.columns, m.rows);
  for (int64_t r = 0; r < m.rows; ++r)
    for (int64_t c = 0; c < m.columns; ++c) t(c, r) = m(r, c);
  return t;
}

void check_matrix(const Tensor& x) {
  need(x.rank() >= 2 && is_floating(x.dtype()),
       "needs floating matrices, not " + name_of(x.dtype()) + " " + to_string(x.shape()));
}
void check_square(const Tensor& x) {
  check_matrix(x);
  need(x.dim(-1) == x.dim(-2), "needs square matrices, not " + to_string(x.shape()));
}
Shape batch_of(const Tensor& x) { return {x.shape().begin(), x.shape().end() - 2}; }
Shape with(Shape batch, std::initializer_list<int64_t> dims) {
  batch.insert(batch.end(), dims);
  return batch;
}
Matrix matrix_at(const Tensor& x, int64_t index) {
  Matrix m(x.dim(-2), x.dim(-1));
  const int64_t n = static_cast<int64_t>(m.v.size());
  on_floats(x.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < n; ++i) m.v[static_cast<size_t>(i)] = widen(x.data<T>()[index * n + i]);
  });
  return m;
}
void store(Tensor& out, int64_t index, const std::vector<double>& v) {
  on_floats(out.dtype(), [&]<class T>() {
    T* to = out.data<T>() + index * static_cast<int64_t>(v.size());
    for (size_t i = 0; i < v.size(); ++i) to[i] = static_cast<T>(static_cast<wide_t<T>>(v[i]));
  });
}

// In place, rows exchanged; perm[i] is the row that came to i. Returns the sign of the permutation.
int lu(Matrix& a, std::vector<int64_t>& perm) {
  const int64_t n = a.rows;
  perm.resize(static_cast<size_t>(n));
  std::iota(perm.begin(), perm.end(), 0);
  int sign = 1;
  for (int64_t k = 0; k < n; ++k) {
    int64_t best = k;
    for (int64_t r = k + 1; r < n; ++r)
      if (std::abs(a(r, k)) > std::abs(a(best, k))) best = r;
    if (best != k) {
      for (int64_t c = 0; c < n; ++c) std::swap(a(k, c), a(best, c));
      std::swap(perm[static_cast<size_t>(k)], perm[static_cast<size_t>(best)]);
      sign = -sign;
    }
    if (a(k, k) == 0) continue;
    for (int64_t r = k + 1; r < n; ++r) {
      const double f = a(r, k) /= a(k, k);
      for (int64_t c = k + 1; c < n; ++c) a(r, c) -= f * a(k, c);
    }
  }
  return sign;
}
void substitute(const Matrix& a, Matrix& b, bool lower, bool unit) {
  for (int64_t k = 0; k < a.rows; ++k) {
    const int64_t r = lower ? k : a.rows - 1 - k;
    for (int64_t c = 0; c < b.columns; ++c) {
      double sum = b(r, c);
      for (int64_t j = lower ? 0 : r + 1; j < (lower ? r : a.rows); ++j) sum -= a(r, j) * b(j, c);
      b(r, c) = unit ? sum : sum / a(r, r);
    }
  }
}
Matrix solve(Matrix a, const Matrix& b) {
  std::vector<int64_t> perm;
  lu(a, perm);
  for (int64_t i = 0; i < a.rows; ++i) need(a(i, i) != 0, "the matrix is not invertible");
  Matrix x(b.rows, b.columns);
  for (int64_t r = 0; r < b.rows; ++r)
    for (int64_t c = 0; c < b.columns; ++c) x(r, c) = b(perm[static_cast<size_t>(r)], c);
  substitute(a, x, true, true);
  substitute(a, x, false, false);
  return x;
}

void eval_cholesky(OpCall& call) {
  const Tensor& x = input(call, 0);
  check_square(x);
  Tensor out(x.dtype(), x.shape());
  for (int64_t m = 0, n = elements(batch_of(x)); m < n && x.size(); ++m) {
    Matrix a = matrix_at(x, m);
    for (int64_t r = 0; r < a.rows; ++r)
      for (int64_t c = 0; c < a.columns; ++c) {
        double sum = a(r, c);
        for (int64_t k = 0; k < std::min(r, c); ++k) sum -= a(r, k) * a(c, k);
        if (c < r)
          a(r, c) = sum / a(c, c);
        else if (c == r) {
          need(sum > 0, "the matrix is not positive definite");
          a(r, c) = std::sqrt(sum);
        }
      }
    for (int64_t r = 0; r < a.rows; ++r)
      for (int64_t c = r + 1; c < a.columns; ++c) a(r, c) = 0;
    store(out, m, a.v);
  }
  call.out = {out};
}

void eval_inverse(OpCall& call) {
  const Tensor& x = input(call, 0);
  check_square(x);
  Tensor out(x.dtype(), x.shape());
  for (int64_t m = 0, n = elements(batch_of(x)); m < n && x.size(); ++m) {
    Matrix a = matrix_at(x, m), identity(a.rows, a.rows);
    for (int64_t i = 0; i < a.rows; ++i) identity(i, i) = 1;
    store(out, m, solve(call.node.attr_or("adjoint", false) ? transposed(a) : a, identity).v);
  }
  call.out = {out};
}

void eval_determinant(OpCall& call) {
  const Tensor& x = input(call, 0);
  check_square(x);
  Tensor sign(x.dtype(), batch_of(x)), value(x.dtype(), batch_of(x));
  const bool logarithm = call.node.op == "LogMatrixDeterminant";
  for (int64_t m = 0; m < value.size(); ++m) {
    Matrix a = matrix_at(x, m);
    std::vector<int64_t> perm;
    double s = lu(a, perm), log_abs = 0, product = s;
    for (int64_t i = 0; i < a.rows; ++i) {
      product *= a(i, i);
      log_abs += std::log(std::abs(a(i, i)));
      s *= a(i, i) < 0 ? -1 : a(i, i) == 0 ? 0 : 1;
    }
    store(sign, m, {s});
    store(value, m, {logarithm ? log_abs : product});
  }
  call.out = logarithm ? std::vector<Tensor>{sign, value} : std::vector<Tensor>{value};
}
void infer_determinant(InferCall& call) {
  call.out.assign(call.node.op == "LogMatrixDeterminant" ? 2 : 1, fact(call.in[0].dtype));
  if (known(call, 0) && known(call, 0)->size() >= 2)
    for (Fact& f : call.out) f.shape = Shape(known(call, 0)->begin(), known(call, 0)->end() - 2);
}

void eval_solve(OpCall& call) {
  const Tensor &x = input(call, 0), &b = input(call, 1);
  check_square(x);
  check_matrix(b);
  need(x.dtype() == b.dtype() && batch_of(x) == batch_of(b) && x.dim(-1) == b.dim(-2), "matrix and right-hand side do not fit");
  Tensor out(b.dtype(), b.shape());
  for (int64_t m = 0, n = elements(batch_of(x)); m < n && out.size(); ++m) {
    Matrix a = matrix_at(x, m);
    store(out, m, solve(call.node.attr_or("adjoint", false) ? transposed(a) : a, matrix_at(b, m)).v);
  }
  call.out = {out};
}
void eval_triangular_solve(OpCall& call) {
  const Tensor &x = input(call, 0), &b = input(call, 1);
  check_square(x);
  check_matrix(b);
  need(x.dtype() == b.dtype() && x.dim(-1) == b.dim(-2), "matrix and right-hand side do not fit");
  const Shape batch = broadcast_shapes(batch_of(x), batch_of(b));
  Tensor out(b.dtype(), with(batch, {b.dim(-2), b.dim(-1)}));
  const bool adjoint = call.node.attr_or("adjoint", false), lower = call.node.attr_or("lower", true) != adjoint;
  if (out.size())
    walk(batch, {broadcast_strides(batch_of(x), batch), broadcast_strides(batch_of(b), batch)},
         [&](int64_t m, const int64_t* at) {
           const Matrix a = adjoint ? transposed(matrix_at(x, at[0])) : matrix_at(x, at[0]);
           for (int64_t i = 0; i < a.rows; ++i) need(a(i, i) != 0, "the matrix is not invertible");
           Matrix rhs = matrix_at(b, at[1]);
           substitute(a, rhs, lower, false);
           store(out, m, rhs.v);
         });
  call.out = {out};
}
void infer_solve(InferCall& call) {
  call.out = {call.in.size() > 1 && call.node.op == "MatrixSolve" ? fact(call.in[1].dtype, call.in[1].shape)
                                                                  : fact(call.in[0].dtype)};
}

// The shape of a batch of matrices with its last two dimensions replaced; nothing of an unknown one.
std::optional<Shape> matrices(const InferCall& call, std::initializer_list<int64_t> last) {
  const Shape* s = known(call, 0);
  if (!s || s->size() < 2) return {};
  Shape out(s->begin(), s->end() - 2);
  out.insert(out.end(), last);
  return out;
}
void infer_lu(InferCall& call) {
  call.out = {fact(input_type(call, 0), call.in[0].shape),
              fact(call.node.attr_or("output_idx_type", DType::i32), matrices(call, {known_dim(call, 0, -1)}))};
}
void infer_qr(InferCall& call) {
  const int64_t rows = known_dim(call, 0, -2), columns = known_dim(call, 0, -1);
  const int64_t min = rows < 0 || columns < 0 ? -1 : std::min(rows, columns);
  const int64_t k = call.node.attr_or("full_matrices", false) ? rows : min;
  call.out = {fact(input_type(call, 0), matrices(call, {rows, k})), fact(input_type(call, 0), matrices(call, {k, columns}))};
}
void infer_self_adjoint_eig(InferCall& call) {
  const bool vectors = call.node.attr_or("compute_v", true);
  call.out = {fact(input_type(call, 0), matrices(call, {known_dim(call, 0, -1)})),
              fact(input_type(call, 0), vectors ? call.in[0].shape : std::optional<Shape>(Shape{0}))};
}
void eval_lu(OpCall& call) {
  const Tensor& x = input(call, 0);
  check_square(x);
  Tensor out(x.dtype(), x.shape());
  std::vector<int64_t> perms;
  for (int64_t m = 0, n = elements(batch_of(x)); m < n && x.size(); ++m) {
    Matrix a = matrix_at(x, m);
    std::vector<int64_t> perm;
    lu(a, perm);
    for (int64_t i = 0; i < a.rows; ++i) need(a(i, i) != 0, "the matrix is not invertible");
    store(out, m, a.v);
    perms.insert(perms.end(), perm.begin(), perm.end());
  }
  call.out = {out, int_tensor(call.node.attr_or("output_idx_type", DType::i32), with(batch_of(x), {x.dim(-1)}), perms)};
}

// Householder; the diagonal of r gets the sign opposite to the column's first entry, a zero column is left as it is.
void eval_qr(OpCall& call) {
  const Tensor& x = input(call, 0);
  check_matrix(x);
  const int64_t rows = x.dim(-2), columns = x.dim(-1), k = std::min(rows, columns);
  const bool full = call.node.attr_or("full_matrices", false);
  Tensor q_out(x.dtype(), with(batch_of(x), {rows, full ? rows : k})),
      r_out(x.dtype(), with(batch_of(x), {full ? rows : k, columns}));
  for (int64_t m = 0, n = elements(batch_of(x)); m < n && x.size(); ++m) {
    Matrix r = matrix_at(x, m), q(rows, rows);
    for (int64_t i = 0; i < rows; ++i) q(i, i) = 1;
    for (int64_t j = 0; j < k; ++j) {
      double tail = 0;
      for (int64_t i = j + 1; i < rows; ++i) tail += r(i, j) * r(i, j);
      if (tail == 0) continue;
      const double beta = (r(j, j) >= 0 ? -1 : 1) * std::sqrt(r(j, j) * r(j, j) + tail);
      std::vector<double> u(static_cast<size_t>(rows), 0);
      u[static_cast<size_t>(j)] = r(j, j) - beta;
      for (int64_t i = j + 1; i < rows; ++i) u[static_cast<size_t>(i)] = r(i, j);
      const double scale = 2 / (u[static_cast<size_t>(j)] * u[static_cast<size_t>(j)] + tail);
      for (int64_t c = 0; c < columns; ++c) {
        double dot = 0;
        for (int64_t i = j; i < rows; ++i) dot += u[static_cast<size_t>(i)] * r(i, c);
        for (int64_t i = j; i < rows; ++i) r(i, c) -= scale * dot * u[static_cast<size_t>(i)];
      }
      for (int64_t row = 0; row < rows; ++row) {
        double dot = 0;
        for (int64_t i = j; i < rows; ++i) dot += q(row, i) * u[static_cast<size_t>(i)];
        for (int64_t i = j; i < rows; ++i) q(row, i) -= scale * dot * u[static_cast<size_t>(i)];
      }
      for (int64_t i = j + 1; i < rows; ++i) r(i, j) = 0;
    }
    std::vector<double> q_kept, r_kept;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t c = 0; c < (full ? rows : k); ++c) q_kept.push_back(q(i, c));
    for (int64_t i = 0; i < (full ? rows : k); ++i)
      for (int64_t c = 0; c < columns; ++c) r_kept.push_back(r(i, c));
    store(q_out, m, q_kept);
    store(r_out, m, r_kept);
  }
  call.out = {q_out, r_out};
}

// Cyclic Jacobi on a symmetric matrix: a becomes diagonal, the columns of the result are the eigenvectors.
Matrix jacobi(Matrix& a) {
  const int64_t n = a.rows;
  Matrix v(n, n);
  for (int64_t i = 0; i < n; ++i) v(i, i) = 1;
  for (int sweep = 0; sweep < 60; ++sweep) {
    double off = 0, all = 0;
    for (int64_t r = 0; r < n; ++r)
      for (int64_t c = 0; c < n; ++c) (r == c ? all : off) += a(r, c) * a(r, c);
    if (!(off > 1e-30 * (all + off))) break;
    for (int64_t p = 0; p < n; ++p)
      for (int64_t q = p + 1; q < n; ++q) {
        if (a(p, q) == 0) continue;
        const double theta = (a(q, q) - a(p, p)) / (2 * a(p, q)),
                     t = (theta >= 0 ? 1 : -1) / (std::abs(theta) + std::sqrt(theta * theta + 1)), c = 1 / std::sqrt(t * t + 1),
                     s = t * c;
        for (int64_t i = 0; i < n; ++i) {
          const double x = a(i, p), y = a(i, q);
          a(i, p) = c * x - s * y, a(i, q) = s * x + c * y;
        }
        for (int64_t i = 0; i < n; ++i) {
          const double x = a(p, i), y = a(q, i), vx = v(i, p), vy = v(i, q);
          a(p, i) = c * x - s * y, a(q, i) = s * x + c * y;
          v(i, p) = c * vx - s * vy, v(i, q) = s * vx + c * vy;
        }
      }
  }
  return v;
}
void eval_self_adjoint_eig(OpCall& call) {
  const Tensor& x = input(call, 0);
  check_square(x);
  const int64_t n = x.dim(-1);
  const bool vectors = call.node.attr_or("compute_v", true);
  Tensor e(x.dtype(), with(batch_of(x), {n})), v(x.dtype(), vectors ? x.shape() : Shape{0});
  for (int64_t m = 0, count = elements(batch_of(x)); m < count && x.size(); ++m) {
    Matrix a = matrix_at(x, m);
    for (int64_t r = 0; r < n; ++r)
      for (int64_t c = r + 1; c < n; ++c) a(r, c) = a(c, r);
    const Matrix w = jacobi(a);
    std::vector<int64_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) { return a(i, i) < a(j, j); });
    std::vector<double> values, columns;
    for (int64_t i : order) values.push_back(a(i, i));
    for (int64_t r = 0; r < n; ++r)
      for (int64_t i : order) columns.push_back(w(r, i));
    store(e, m, values);
    if (vectors) store(v, m, columns);
  }
  call.out = {e, v};
}

void eval_cross(OpCall& call) {
  const Tensor &a = input(call, 0), &b = input(call, 1);
  need(a.rank() >= 1 && a.dim(-1) == 3 && a.shape() == b.shape() && a.dtype() == b.dtype(), "needs two equal shapes [..., 3]");
  Tensor out(a.dtype(), a.shape());
  on_numeric(a.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < a.size(); i += 3)
      for (int64_t k = 0; k < 3; ++k) {
        const int64_t p = i + (k + 1) % 3, q = i + (k + 2) % 3;
        const auto product = [&](int64_t m, int64_t n) {
          return wrap(held<T>(static_cast<wide_t<T>>(wrap(widen(a.data<T>()[m])) * wrap(widen(b.data<T>()[n])))));
        };
        out.data<T>()[i + k] = static_cast<T>(static_cast<wide_t<T>>(product(p, q) - product(q, p)));
      }
  });
  call.out = {out};
}

}  // namespace

const std::vector<Op>& linalg_ops() {
  static const std::vector<Op> rows = {
      {"Cholesky", infer_same, eval_cholesky},
      {"Cross", infer_same, eval_cross},
      {"LogMatrixDeterminant", infer_determinant, eval_determinant},
      {"Lu", infer_lu, eval_lu},
      {"MatrixDeterminant", infer_determinant, eval_determinant},
      {"MatrixInverse", infer_same, eval_inverse},
      {"MatrixSolve", infer_solve, eval_solve},
      {"MatrixTriangularSolve", infer_solve, eval_triangular_solve},
      {"Qr", infer_qr, eval_qr},
      {"SelfAdjointEigV2", infer_self_adjoint_eig, eval_self_adjoint_eig},
  };
  return rows;
}

}  // namespace cytodet::graph::ops
