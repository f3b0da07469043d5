// Diagonals of matrices. A band of diagonals lo..hi is stored as rows [hi - d, position], each padded to the longest.
#include "graph/ops/eval_helpers.h"

namespace cytodet::graph::ops {
namespace {

struct Band {
  int64_t lo = 0, hi = 0, rows = 0, columns = 0, longest = 0;
  bool left_super = true, left_sub = true;

  int64_t count() const { return hi - lo + 1; }
  int64_t length(int64_t d) const { return std::min(rows + std::min<int64_t>(d, 0), columns - std::max<int64_t>(d, 0)); }
  int64_t offset(int64_t d) const { return (d >= 0 && left_super) || (d <= 0 && left_sub) ? 0 : longest - length(d); }
  bool holds(int64_t r, int64_t c) const { return c - r >= lo && c - r <= hi; }
  // Flat index of matrix element (r, c) in one stored band.
  int64_t at(int64_t r, int64_t c) const { return (hi - (c - r)) * longest + std::min(r, c) + offset(c - r); }
};

void set_range(Band& b, const Tensor& k) {
  need(k.size() == 1 || k.size() == 2, "k must be one or two numbers");
  b.lo = k.as_int(0);
  b.hi = k.as_int(k.size() - 1);
  need(b.lo <= b.hi, "k must rise");
}
void set_align(Band& b, const Node& n) {
  const std::string align = n.op.ends_with("V3") ? n.attr_or<std::string>("align", "RIGHT_LEFT") : "LEFT_LEFT";
  b.left_super = align.starts_with("LEFT");
  b.left_sub = align.ends_with("LEFT");
}
// Once rows and columns are known.
void set_longest(Band& b) {
  need((b.lo > -b.rows || b.lo == 0) && (b.hi < b.columns || b.hi == 0) && b.hi > -std::max<int64_t>(b.rows, 1) &&
           b.lo < std::max<int64_t>(b.columns, 1),
       "k is outside of a matrix of " + std::to_string(b.rows) + " x " + std::to_string(b.columns));
  b.longest = std::min(b.rows + std::min<int64_t>(b.hi, 0), b.columns - std::max<int64_t>(b.lo, 0));
}

void eval_matrix_diag(OpCall& call) {
  const Tensor& x = input(call, 0);
  need(x.rank() >= 1, "needs at least one dimension");
  Band b;
  Tensor padding(x.dtype(), {});
  if (call.node.op != "MatrixDiag") {
    set_range(b, input(call, 1));
    set_align(b, call.node);
    b.rows = input(call, 2).as_int();
    b.columns = input(call, 3).as_int();
    padding = input(call, 4);
    need(padding.size() == 1 && padding.dtype() == x.dtype(), "the padding must be a scalar of the same type");
    need(b.rows < int64_t{1} << 31 && b.columns < int64_t{1} << 31 && b.lo > -(int64_t{1} << 31) && b.hi < int64_t{1} << 31,
         "rows, columns or k are huge");
  } else {
    b.rows = b.columns = -1;
  }
  const bool banded = b.count() > 1;
  need(!banded || (x.rank() >= 2 && x.dim(-2) == b.count()), "the diagonals do not fit k");
  b.longest = x.dim(-1);
  const int64_t min_rows = b.longest - std::min<int64_t>(b.hi, 0), min_columns = b.longest + std::max<int64_t>(b.lo, 0);
  if (b.rows == -1 && b.columns == -1)
    b.rows = b.columns = std::max(min_rows, min_columns);
  else if (b.rows == -1)
    b.rows = min_rows;
  else if (b.columns == -1)
    b.columns = min_columns;
  need(b.rows >= min_rows && b.columns >= min_columns && (b.rows == min_rows || b.columns == min_columns),
       "rows and columns do not fit the diagonals");
  Shape s(x.shape().begin(), x.shape().end() - (banded ? 2 : 1));
  const int64_t batch = elements(s), stored = b.count() * b.longest;
  s.insert(s.end(), {b.rows, b.columns});
  Tensor out(x.dtype(), s);
  for (int64_t m = 0, i = 0; m < batch; ++m)
    for (int64_t r = 0; r < b.rows; ++r)
      for (int64_t c = 0; c < b.columns; ++c, ++i) {
        if (b.holds(r, c))
          copy_element(out, i, x, m * stored + b.at(r, c));
        else
          copy_element(out, i, padding, 0);
      }
  call.out = {out};
}

void eval_matrix_diag_part(OpCall& call) {
  const Tensor& x = input(call, 0);
  need(x.rank() >= 2, "needs a matrix");
  Band b;
  Tensor padding(x.dtype(), {});
  if (call.node.op != "MatrixDiagPart") {
    set_range(b, input(call, 1));
    set_align(b, call.node);
    padding = input(call, 2);
    need(padding.size() == 1 && padding.dtype() == x.dtype(), "the padding must be a scalar of the same type");
  }
  b.rows = x.dim(-2);
  b.columns = x.dim(-1);
  set_longest(b);
  Shape s(x.shape().begin(), x.shape().end() - 2);
  const int64_t batch = elements(s), stored = b.count() * b.longest;
  if (b.count() > 1) s.push_back(b.count());
  s.push_back(b.longest);
  Tensor out(x.dtype(), s);
  for (int64_t i = 0; i < out.size(); ++i) copy_element(out, i, padding, 0);
  for (int64_t m = 0, i = 0; m < batch; ++m)
    for (int64_t r = 0; r < b.rows; ++r)
      for (int64_t c = 0; c < b.columns; ++c, ++i)
        if (b.holds(r, c)) copy_element(out, m * stored + b.at(r, c), x, i);
  call.out = {out};
}

void eval_matrix_set_diag(OpCall& call) {
  const Tensor &x = input(call, 0), &diagonal = input(call, 1);
  need(x.rank() >= 2 && diagonal.dtype() == x.dtype(), "needs a matrix and a diagonal of one type");
  Band b;
  if (call.node.op != "MatrixSetDiag") {
    set_range(b, input(call, 2));
    set_align(b, call.node);
  }
  b.rows = x.dim(-2);
  b.columns = x.dim(-1);
  set_longest(b);
  Shape s(x.shape().begin(), x.shape().end() - 2);
  const int64_t batch = elements(s), stored = b.count() * b.longest;
  if (b.count() > 1) s.push_back(b.count());
  s.push_back(b.longest);
  need(diagonal.shape() == s, "the diagonal must be " + to_string(s) + ", not " + to_string(diagonal.shape()));
  Tensor out = x.clone();
  for (int64_t m = 0, i = 0; m < batch; ++m)
    for (int64_t r = 0; r < b.rows; ++r)
      for (int64_t c = 0; c < b.columns; ++c, ++i)
        if (b.holds(r, c)) copy_element(out, i, diagonal, m * stored + b.at(r, c));
  call.out = {out};
}

void eval_matrix_band_part(OpCall& call) {
  const Tensor& x = input(call, 0);
  int64_t lower = input(call, 1).as_int(), upper = input(call, 2).as_int();
  need(x.rank() >= 2, "needs a matrix");
  Tensor out(x.dtype(), x.shape());
  int64_t columns = x.dim(-1), rows = x.dim(-2);
  for (int64_t i = 0; i < x.size(); ++i) {
    int64_t c = i % columns, r = i / columns % rows;
    if ((lower < 0 || r - c <= lower) && (upper < 0 || c - r <= upper)) copy_element(out, i, x, i);
  }
  call.out = {out};
}

// Diag: [d...] -> [d..., d...]; DiagPart undoes it.
void eval_diag(OpCall& call) {
  const Tensor& x = input(call, 0);
  Shape s = x.shape();
  s.insert(s.end(), x.shape().begin(), x.shape().end());
  Tensor out(x.dtype(), s);
  for (int64_t i = 0; i < x.size(); ++i) copy_element(out, i * (x.size() + 1), x, i);
  call.out = {out};
}
void eval_diag_part(OpCall& call) {
  const Tensor& x = input(call, 0);
  const long half = x.rank() / 2;
  need(x.rank() >= 2 && x.rank() % 2 == 0 && std::equal(x.shape().begin(), x.shape().begin() + half, x.shape().begin() + half),
       "needs a shape of two equal halves");
  Tensor out(x.dtype(), Shape(x.shape().begin(), x.shape().begin() + half));
  for (int64_t i = 0; i < out.size(); ++i) copy_element(out, i, x, i * (out.size() + 1));
  call.out = {out};
}
// Half of the shape.
void infer_diag_part(InferCall& call) {
  call.out = {fact(input_type(call, 0))};
  if (const Shape* s = known(call, 0)) call.out[0].shape = Shape(s->begin(), s->begin() + static_cast<long>(s->size() / 2));
}
// The size of a matrix of diagonals is that of its rows and columns, where they are given.
void infer_matrix_diag(InferCall& call) {
  call.out = {fact(input_type(call, 0))};
  const Shape* s = known(call, 0);
  if (!s || s->empty()) return;
  if (call.node.op == "MatrixDiag") {
    call.out[0].shape = *s;
    call.out[0].shape->push_back(s->back());
    return;
  }
  if (call.in.size() < 2 || !call.in[1].constant) return;
  const Tensor& k = *call.in[1].constant;
  const bool banded = k.size() == 2 && k.as_int(0) != k.as_int(1);
  if (banded && s->size() < 2) return;
  Shape out(s->begin(), s->end() - (banded ? 2 : 1));
  out.insert(out.end(), {known_int(call, 2), known_int(call, 3)});
  call.out[0].shape = out;
}
void infer_matrix_diag_part(InferCall& call) {
  call.out = {fact(input_type(call, 0))};
  const Shape* s = known(call, 0);
  if (!s || s->size() < 2) return;
  Shape out(s->begin(), s->end() - 2);
  const int64_t rows = known_dim(call, 0, -2), columns = known_dim(call, 0, -1);
  if (call.node.op == "MatrixDiagPart") {
    out.push_back(rows < 0 || columns < 0 ? -1 : std::min(rows, columns));
  } else {
    if (call.in.size() < 2 || !call.in[1].constant) return;
    const Tensor& k = *call.in[1].constant;
    if (k.size() == 2 && k.as_int(0) != k.as_int(1)) out.push_back(k.as_int(1) - k.as_int(0) + 1);
    out.push_back(-1);
  }
  call.out[0].shape = out;
}
void infer_diag(InferCall& call) {
  call.out = {fact(call.in[0].dtype)};
  if (!known(call, 0)) return;
  Shape s = *known(call, 0);
  s.insert(s.end(), known(call, 0)->begin(), known(call, 0)->end());
  call.out[0].shape = s;
}

}  // namespace

const std::vector<Op>& diag_ops() {
  static const std::vector<Op> rows = {
      {"Diag", infer_diag, eval_diag},
      {"DiagPart", infer_diag_part, eval_diag_part},
      {"MatrixBandPart", infer_same, eval_matrix_band_part},
      {"MatrixDiag", infer_matrix_diag, eval_matrix_diag},
      {"MatrixDiagPart", infer_matrix_diag_part, eval_matrix_diag_part},
      {"MatrixDiagPartV2", infer_matrix_diag_part, eval_matrix_diag_part},
      {"MatrixDiagPartV3", infer_matrix_diag_part, eval_matrix_diag_part},
      {"MatrixDiagV2", infer_matrix_diag, eval_matrix_diag},
      {"MatrixDiagV3", infer_matrix_diag, eval_matrix_diag},
      {"MatrixSetDiag", infer_same, eval_matrix_set_diag},
      {"MatrixSetDiagV2", infer_same, eval_matrix_set_diag},
      {"MatrixSetDiagV3", infer_same, eval_matrix_set_diag},
  };
  return rows;
}

}  // namespace cytodet::graph::ops
