// Einsum: sums of products over named dimensions; "..." stands for broadcast batch dimensions.
#include "graph/ops/eval_helpers.h"

namespace cytodet::graph::ops {
namespace {

// Each subscript as labels per dimension: letters, and '0' + k for the k-th of the dimensions under "..." (aligned to the right).
constexpr int64_t max_batch = 8;

std::string labels_of(std::string text, int64_t rank, const char* what) {
  const size_t dots = text.find("...");
  if (dots != std::string::npos) {
    const int64_t hidden = rank - (static_cast<int64_t>(text.size()) - 3);
    need(hidden >= 0 && hidden <= max_batch, std::string(what) + " has the wrong number of dimensions for its subscript");
    std::string names;
    for (int64_t k = max_batch - hidden; k < max_batch; ++k) names += static_cast<char>('0' + k);
    text = text.substr(0, dots) + names + text.substr(dots + 3);
  }
  need(static_cast<int64_t>(text.size()) == rank, std::string(what) + " has the wrong number of dimensions for its subscript");
  for (char c : text) need(std::isalnum(static_cast<unsigned char>(c)), "the equation has a character that is no letter");
  return text;
}

struct Equation {
  std::vector<std::string> in;
  std::string out;
};
Equation parse(std::string text, const std::vector<int64_t>& ranks) {
  std::erase(text, ' ');
  const size_t arrow = text.find("->");
  need(arrow != std::string::npos, "the equation has no ->");
  std::vector<std::string> parts{""};
  for (char c : text.substr(0, arrow)) {
    if (c == ',')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  need(parts.size() == ranks.size(),
       "the equation has " + std::to_string(parts.size()) + " inputs, not " + std::to_string(ranks.size()));
  Equation e;
  std::string batch;
  for (size_t i = 0; i < parts.size(); ++i) {
    e.in.push_back(labels_of(parts[i], ranks[i], "an input"));
    std::string own;
    for (char c : e.in.back())
      if (c <= '9') own += c;
    if (own.size() > batch.size()) batch = own;
  }
  e.out = text.substr(arrow + 2);
  if (const size_t dots = e.out.find("..."); dots != std::string::npos) e.out.replace(dots, 3, batch);
  for (size_t i = 0; i < e.out.size(); ++i) need(e.out.find(e.out[i], i + 1) == std::string::npos, "the output repeats a label");
  return e;
}

void eval_einsum(OpCall& call) {
  need(!call.in.empty() && call.in.size() <= 8, "needs one to eight inputs");
  std::vector<int64_t> ranks;
  for (const Tensor& t : call.in) {
    need(t.dtype() == call.in[0].dtype(), "inputs differ in type");
    ranks.push_back(t.rank());
  }
  const Equation e = parse(call.node.attr<std::string>("equation"), ranks);
  std::map<char, int64_t> size;
  for (size_t i = 0; i < e.in.size(); ++i)
    for (size_t d = 0; d < e.in[i].size(); ++d) {
      int64_t& s = size.try_emplace(e.in[i][d], 1).first->second;
      const int64_t own = call.in[i].dim(static_cast<int>(d));
      need(s == own || s == 1 || (own == 1 && e.in[i][d] <= '9'), "dimensions of one label differ");
      s = own == 1 ? s : own;
    }
  Shape shape, summed;
  std::string order = e.out;
  for (char c : e.out) {
    need(size.contains(c), "the output has a label that no input has");
    shape.push_back(size[c]);
  }
  for (const auto& [c, s] : size)
    if (e.out.find(c) == std::string::npos) summed.push_back(s), order += c;
  std::vector<std::vector<int64_t>> outer, inner;
  for (size_t i = 0; i < e.in.size(); ++i) {
    const std::vector<int64_t> own = strides_of(call.in[i].shape());
    std::vector<int64_t> strides;
    for (char c : order) {
      int64_t step = 0;
      for (size_t d = 0; d < e.in[i].size(); ++d)
        if (e.in[i][d] == c && (call.in[i].dim(static_cast<int>(d)) > 1 || size[c] == 1)) step += own[d];
      strides.push_back(step);
    }
    for (size_t d = 0; d < e.in[i].size(); ++d)
      need(call.in[i].dim(static_cast<int>(d)) == size[e.in[i][d]] || e.in[i][d] <= '9', "dimensions of one label differ");
    outer.emplace_back(strides.begin(), strides.begin() + static_cast<long>(e.out.size()));
    inner.emplace_back(strides.begin() + static_cast<long>(e.out.size()), strides.end());
  }
  Tensor out(call.in[0].dtype(), shape);
  on_numeric(out.dtype(), [&]<class T>() {
    using W = wide_t<T>;
    using A = std::conditional_t<std::is_integral_v<W>, uint64_t, double>;
    walk(shape, outer, [&](int64_t o, const int64_t* base) {
      A sum = 0;
      walk(summed, inner, [&](int64_t, const int64_t* at) {
        A product = 1;
        for (size_t i = 0; i < call.in.size(); ++i) product *= static_cast<A>(widen(call.in[i].data<T>()[base[i] + at[i]]));
        sum += product;
      });
      out.data<T>()[o] = static_cast<T>(static_cast<W>(sum));
    });
  });
  call.out = {out};
}
void infer_einsum(InferCall& call) {
  call.out = {call.in.empty() ? Fact{} : fact(call.in[0].dtype)};
  std::vector<int64_t> ranks;
  for (size_t i = 0; i < call.in.size(); ++i) {
    if (!known(call, i)) return;
    ranks.push_back(static_cast<int64_t>(known(call, i)->size()));
  }
  const Equation e = parse(call.node.attr<std::string>("equation"), ranks);
  std::map<char, int64_t> size;
  for (size_t i = 0; i < e.in.size(); ++i)
    for (size_t d = 0; d < e.in[i].size(); ++d) {
      const int64_t own = (*known(call, i))[d];
      int64_t& s = size.try_emplace(e.in[i][d], own).first->second;
      if (s <= 1) s = own == 1 ? s : own;
    }
  Shape shape;
  for (char c : e.out) shape.push_back(size.contains(c) && !(c <= '9' && size[c] <= 1) ? size[c] : -1);
  call.out[0].shape = shape;
}

}  // namespace

const std::vector<Op>& einsum_ops() {
  static const std::vector<Op> rows = {{"Einsum", infer_einsum, eval_einsum}};
  return rows;
}

}  // namespace cytodet::graph::ops
