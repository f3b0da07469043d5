// Matrix products.
#include "graph/io/onnx/ops/product.h"

#include <algorithm>

#include "graph/io/onnx/op_table.h"

namespace cytodet::graph::onnx {
namespace {

void matmul(Call& c) { c.set(0, product_of(c.b, c.in(0), c.in(1))); }

// alpha * A' B' + beta * C
void gemm(Call& c) {
  Builder& b = c.b;
  const float alpha = c.real("alpha", 1), beta = c.real("beta", 1);
  Value w = c.in(1);
  if (c.flag("transB", false)) w = b.transpose(w, {1, 0});
  Value y = b.add("MatMul", {c.in(0), w}, {{"transpose_a", c.flag("transA", false)}, {"transpose_b", false}});
  if (alpha != 1) y = b.add("Mul", {y, b.number(alpha, y)});
  if (!c.has(2) || beta == 0) return c.set(0, y);
  Value bias = c.in(2);
  if (beta != 1) bias = b.add("Mul", {bias, b.number(beta, bias)});
  c.set(0, b.add_bias(y, bias));
}

Value einsum_of(Builder& b, const std::string& equation, const std::vector<Value>& in) {
  return b.add("Einsum", in, {{"equation", equation}, {"N", static_cast<int64_t>(in.size())}});
}

// The first two of several operands become one, which keeps the letters that the others or the result have, until two are left.
Value einsum_by_pairs(Builder& b, const std::string& equation, std::vector<Value> in) {
  const size_t arrow = equation.find("->");
  const std::string result = equation.substr(arrow + 2);
  std::vector<std::string> terms(1);
  for (const char ch : equation.substr(0, arrow))
    if (ch == ',')
      terms.emplace_back();
    else
      terms.back() += ch;
  if (terms.size() != in.size()) refuse("has " + std::to_string(in.size()) + " operands for " + equation, "the model is damaged");
  if (equation.find('.') != std::string::npos) refuse("has dimensions without letters (...) in more than two operands");
  while (in.size() > 2) {
    std::string kept;
    for (const char ch : terms[0] + terms[1]) {
      const bool needed = result.find(ch) != std::string::npos || std::any_of(terms.begin() + 2, terms.end(), [&](const auto& t) {
                            return t.find(ch) != std::string::npos;
                          });
      if (needed && kept.find(ch) == std::string::npos) kept += ch;
    }
    in[1] = einsum_of(b, terms[0] + "," + terms[1] + "->" + kept, {in[0], in[1]});
    terms[1] = kept;
    in.erase(in.begin());
    terms.erase(terms.begin());
  }
  return einsum_of(b, terms[0] + "," + terms[1] + "->" + result, in);
}

void einsum(Call& c) {
  std::string equation = c.text("equation", "");
  equation.erase(std::remove(equation.begin(), equation.end(), ' '), equation.end());
  const std::vector<Value> in = c.all();
  if (in.empty()) refuse("has no operands", "the model is damaged");
  if (equation.find("->") == std::string::npos) {  // the result's letters: those that stand once, in order; all of "..." first
    std::string once;
    for (char ch = 'A'; ch <= 'z'; ++ch)
      if (std::count(equation.begin(), equation.end(), ch) == 1) once += ch;
    equation += (equation.find("...") == std::string::npos ? "->" : "->...") + once;
  }
  c.set(0, in.size() > 2 ? einsum_by_pairs(c.b, equation, in) : einsum_of(c.b, equation, in));
}

}  // namespace

Value product_of(Builder& b, Value x, Value w) {
  const int64_t rx = b.rank(x), rw = b.rank(w);
  if (rx == 0 || rw == 0) refuse("multiplies a number", "the model is damaged");
  if (rx == 1 || rw == 1) {
    const Value left = rx == 1 ? b.expand_dims(x, {0}) : x, right = rw == 1 ? b.expand_dims(w, {1}) : w;
    Value y = product_of(b, left, right);
    const int64_t rank = b.rank(y);
    std::vector<int64_t> gone;
    if (rx == 1) gone.push_back(rank - 2);
    if (rw == 1) gone.push_back(rank - 1);
    return b.squeeze(y, gone);
  }
  if (rx == 2 && rw == 2) return b.add("MatMul", {x, w}, {{"transpose_a", false}, {"transpose_b", false}});
  // Rows of all matrices against one: a plain product.
  if (rw == 2 && b.constant(w) && b.is_static(x) && b.is_static(w)) {
    Shape s = b.dims(x);
    const int64_t k = s.back();
    s.back() = b.dims(w)[1];
    const int64_t rows = k ? elements(b.dims(x)) / k : 0;
    if (k > 0) {
      const Value y = b.add("MatMul", {b.reshape(x, {rows, k}), w}, {{"transpose_a", false}, {"transpose_b", false}});
      return b.reshape(y, s);
    }
  }
  return b.add("BatchMatMulV2", {x, w}, {{"adj_x", false}, {"adj_y", false}});
}

const std::vector<OnnxOp>& product_entries() {
  static const std::vector<OnnxOp> entries = {
      {"Einsum", 12, einsum},
      {"Gemm", 7, gemm},
      {"MatMul", 1, matmul},
  };
  return entries;
}

}  // namespace cytodet::graph::onnx
