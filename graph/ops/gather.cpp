// Ops that move whole elements: transpose, tile, reverse, roll, gather, one-hot.
#include "graph/ops/copy_elements.h"
#include "graph/ops/eval_helpers.h"

namespace cytodet::graph::ops {
namespace {

void eval_transpose(OpCall& call) {
  const Tensor& x = input(call, 0);
  std::vector<int64_t> perm = input(call, 1).as_ints(), seen;
  need(static_cast<int>(perm.size()) == x.rank(), "the permutation does not fit the rank");
  Shape s;
  std::vector<int64_t> own = strides_of(x.shape()), strides;
  for (int64_t& p : perm) {
    p = axis_of(p, x.rank());
    need(std::find(seen.begin(), seen.end(), p) == seen.end(), "the permutation repeats an axis");
    seen.push_back(p);
    s.push_back(x.dim(static_cast<int>(p)));
    strides.push_back(own[static_cast<size_t>(p)]);
  }
  Tensor out(x.dtype(), s);
  strided_copy(x, out, strides, 0);
  call.out = {out};
}
void infer_transpose(InferCall& call) {
  call.out = {fact(call.in[0].dtype)};
  const Shape* s = known(call, 0);
  if (!s || !call.in[1].constant || call.in[1].constant->size() != static_cast<int64_t>(s->size())) return;
  Shape out;
  for (int64_t p : call.in[1].constant->as_ints())
    out.push_back((*s)[static_cast<size_t>(axis_of(p, static_cast<int64_t>(s->size())))]);
  call.out[0].shape = out;
}

void eval_tile(OpCall& call) {
  const Tensor& x = input(call, 0);
  std::vector<int64_t> times = input(call, 1).as_ints();
  need(static_cast<int>(times.size()) == x.rank(), "multiples must have one number per dimension");
  Shape s = x.shape();
  for (size_t d = 0; d < s.size(); ++d) {
    need(times[d] >= 0, "a multiple is negative");
    s[d] = s[d] == 0 || times[d] == 0 ? 0 : elements({s[d], times[d]});
  }
  Tensor out(x.dtype(), s);
  std::vector<int64_t> own = strides_of(x.shape()), at(s.size(), 0);
  for (int64_t i = 0; i < out.size(); ++i) {
    int64_t from = 0;
    for (size_t d = 0; d < s.size(); ++d) from += at[d] % x.dim(static_cast<int>(d)) * own[d];
    copy_element(out, i, x, from);
    for (size_t d = s.size(); d-- > 0;) {
      if (++at[d] < s[d]) break;
      at[d] = 0;
    }
  }
  call.out = {out};
}

void eval_reverse(OpCall& call) {
  const Tensor& x = input(call, 0);
  std::vector<int64_t> axes = axes_of(input(call, 1), x.rank()), strides = strides_of(x.shape());
  int64_t offset = 0;
  for (int64_t a : axes) {
    auto& s = strides[static_cast<size_t>(a)];
    offset += s * std::max<int64_t>(0, x.dim(static_cast<int>(a)) - 1);
    s = -s;
  }
  Tensor out(x.dtype(), x.shape());
  strided_copy(x, out, strides, offset);
  call.out = {out};
}

// Version 1: a bool per dimension.
void eval_reverse_v1(OpCall& call) {
  const Tensor& dims = input(call, 1);
  need(dims.dtype() == DType::boolean && dims.rank() == 1 && dims.size() == input(call, 0).rank(), "needs a bool per dimension");
  std::vector<int32_t> axes;
  for (int32_t d = 0; d < dims.size(); ++d)
    if (dims.data<bool>()[d]) axes.push_back(d);
  const std::vector<Tensor> in{call.in[0], Tensor::from({static_cast<int64_t>(axes.size())}, axes)};
  OpCall v2{call.node, in, {}};
  eval_reverse(v2);
  call.out = v2.out;
}

// All indices, each in [0, size).
std::vector<int64_t> places_of(const Tensor& index, int64_t size) {
  std::vector<int64_t> from;
  if (index.dtype() == DType::i32)
    from.assign(index.data<int32_t>(), index.data<int32_t>() + index.size());
  else if (index.dtype() == DType::i64)
    from.assign(index.data<int64_t>(), index.data<int64_t>() + index.size());
  else
    from = index.as_ints();
  for (int64_t i : from)
    if (i < 0 || i >= size) throw Error("", "index " + std::to_string(i) + " is not in [0, " + std::to_string(size) + ")");
  return from;
}

// Runs of Bytes bytes.
template <size_t Bytes>
void copy_runs(char* to, const char* from, std::span<const int64_t> runs) {
  for (size_t k = 0; k < runs.size(); ++k) std::memcpy(to + k * Bytes, from + static_cast<size_t>(runs[k]) * Bytes, Bytes);
}

void gather(OpCall& call, int64_t axis, int64_t batch) {
  const Tensor &x = input(call, 0), &index = input(call, 1);
  axis = axis_of(axis, x.rank());
  batch = batch < 0 ? batch + index.rank() : batch;
  need(batch >= 0 && batch <= index.rank() && batch <= axis, "batch_dims is out of range");
  for (int64_t d = 0; d < batch; ++d)
    need(x.dim(static_cast<int>(d)) == index.dim(static_cast<int>(d)), "batch dimensions differ");
  Shape s(x.shape().begin(), x.shape().begin() + axis);
  s.insert(s.end(), index.shape().begin() + batch, index.shape().end());
  s.insert(s.end(), x.shape().begin() + axis + 1, x.shape().end());
  Tensor out(x.dtype(), s);
  int64_t batches = elements(Shape(x.shape().begin(), x.shape().begin() + batch));
  int64_t outer = elements(Shape(x.shape().begin() + batch, x.shape().begin() + axis));
  int64_t inner = elements(Shape(x.shape().begin() + axis + 1, x.shape().end())), size = x.dim(static_cast<int>(axis));
  int64_t picks = batches ? index.size() / batches : 0, at = 0;
  if (out.size() == 0) {
    call.out = {out};
    return;
  }
  const std::vector<int64_t> from = places_of(index, size);
  const size_t run = x.dtype() == DType::string ? 0 : static_cast<size_t>(inner) * size_of(x.dtype());
  const auto copy = run == 4 ? copy_runs<4> : run == 8 ? copy_runs<8> : run == 16 ? copy_runs<16> : nullptr;
  for (int64_t b = 0; b < batches; ++b)
    for (int64_t o = 0; o < outer; ++o, at += picks * inner) {
      const std::span<const int64_t> own(from.data() + b * picks, static_cast<size_t>(picks));
      const int64_t first = (b * outer + o) * size;
      if (copy) {
        copy(static_cast<char*>(out.raw()) + static_cast<size_t>(at / inner) * run,
             static_cast<const char*>(x.raw()) + static_cast<size_t>(first) * run, own);
        continue;
      }
      for (int64_t k = 0; k < picks; ++k)
        copy_elements(out, at + k * inner, x, (first + own[static_cast<size_t>(k)]) * inner, inner);
    }
  call.out = {out};
}
void eval_gather_v2(OpCall& call) { gather(call, input(call, 2).as_int(), call.node.attr_or("batch_dims", int64_t{0})); }
void eval_gather(OpCall& call) { gather(call, 0, 0); }
void eval_gather_nd(OpCall& call) {
  const Tensor &x = input(call, 0), &index = input(call, 1);
  need(index.rank() >= 1, "indices must have a dimension");
  int64_t depth = index.dim(-1),
          rows = depth ? index.size() / depth : elements(Shape(index.shape().begin(), index.shape().end() - 1));
  need(depth <= x.rank(), "indices are deeper than the tensor");
  Shape s(index.shape().begin(), index.shape().end() - 1);
  s.insert(s.end(), x.shape().begin() + depth, x.shape().end());
  Tensor out(x.dtype(), s);
  int64_t inner = elements(Shape(x.shape().begin() + depth, x.shape().end()));
  std::vector<int64_t> own = strides_of(x.shape());
  for (int64_t r = 0; r < rows; ++r) {
    int64_t from = 0;
    for (int64_t d = 0; d < depth; ++d) {
      int64_t i = index.as_int(r * depth + d);
      if (i < 0 || i >= x.dim(static_cast<int>(d))) throw Error("", "index " + std::to_string(i) + " is out of range");
      from += i * own[static_cast<size_t>(d)];
    }
    copy_elements(out, r * inner, x, from, inner);
  }
  call.out = {out};
}

void eval_one_hot(OpCall& call) {
  const Tensor &index = input(call, 0), &on = input(call, 2), &off = input(call, 3);
  int64_t depth = input(call, 1).as_int(), axis = call.node.attr_or("axis", int64_t{-1});
  need(depth >= 0 && depth < int64_t{1} << 31, "depth is out of range");
  axis = axis_of(axis, index.rank() + 1);
  Shape s = index.shape();
  s.insert(s.begin() + axis, depth);
  Tensor out(on.dtype(), s);
  int64_t inner = elements(Shape(index.shape().begin() + axis, index.shape().end()));
  for (int64_t i = 0; i < out.size(); ++i) {
    int64_t k = i / inner % depth, from = i / inner / depth * inner + i % inner;
    copy_element(out, i, index.as_int(from) == k ? on : off, 0);
  }
  call.out = {out};
}

void eval_roll(OpCall& call) {
  const Tensor& x = input(call, 0);
  std::vector<int64_t> shift = input(call, 1).as_ints(), axes = input(call, 2).as_ints(), by(x.shape().size(), 0),
                       own = strides_of(x.shape());
  need(shift.size() == axes.size(), "shift and axis differ in length");
  for (size_t i = 0; i < axes.size(); ++i) by[static_cast<size_t>(axis_of(axes[i], x.rank()))] += shift[i];
  Tensor out(x.dtype(), x.shape());
  for (int64_t i = 0; i < x.size(); ++i) {
    int64_t to = 0;
    for (size_t d = 0; d < own.size(); ++d) {
      int64_t size = x.dim(static_cast<int>(d)), at = i / own[d] % size;
      to += ((at + by[d]) % size + size) % size * own[d];
    }
    copy_element(out, to, x, i);
  }
  call.out = {out};
}

void infer_gather(InferCall& call) {
  call.out = {fact(call.in[0].dtype)};
  const Shape *x = known(call, 0), *index = known(call, 1);
  if (!x || !index || (call.node.op == "GatherV2" && (call.in.size() < 3 || !call.in[2].constant))) return;
  const int64_t axis = axis_of(call.node.op == "GatherV2" ? call.in[2].constant->as_int() : 0, static_cast<int64_t>(x->size()));
  int64_t batch = call.node.attr_or("batch_dims", int64_t{0});
  batch = batch < 0 ? batch + static_cast<int64_t>(index->size()) : batch;
  need(batch >= 0 && batch <= static_cast<int64_t>(index->size()) && batch <= axis, "batch_dims is out of range");
  Shape s(x->begin(), x->begin() + axis);
  s.insert(s.end(), index->begin() + batch, index->end());
  s.insert(s.end(), x->begin() + axis + 1, x->end());
  call.out[0].shape = s;
}
void infer_gather_nd(InferCall& call) {
  call.out = {fact(call.in[0].dtype)};
  const Shape *x = known(call, 0), *index = known(call, 1);
  if (!x || !index || index->empty() || index->back() < 0) return;
  need(index->back() <= static_cast<int64_t>(x->size()), "indices are deeper than the tensor");
  Shape s(index->begin(), index->end() - 1);
  s.insert(s.end(), x->begin() + index->back(), x->end());
  call.out[0].shape = s;
}
void infer_one_hot(InferCall& call) {
  call.out = {fact(call.in.size() > 2 ? call.in[2].dtype : DType::invalid)};
  if (!known(call, 0)) return;
  Shape s = *known(call, 0);
  s.insert(s.begin() + axis_of(call.node.attr_or("axis", int64_t{-1}), static_cast<int64_t>(s.size()) + 1),
           call.in[1].constant ? call.in[1].constant->as_int() : -1);
  call.out[0].shape = s;
}
void infer_tile(InferCall& call) {
  call.out = {fact(call.in[0].dtype)};
  if (!known(call, 0)) return;
  Shape s = *known(call, 0);
  const std::optional<Tensor>& times = call.in[1].constant;
  need(!times || times->size() == static_cast<int64_t>(s.size()), "multiples must have one number per dimension");
  for (size_t d = 0; d < s.size(); ++d) s[d] = !times || s[d] < 0 ? -1 : elements({s[d], times->as_int(static_cast<int64_t>(d))});
  call.out[0].shape = s;
}

}  // namespace

const std::vector<Op>& gather_ops() {
  static const std::vector<Op> rows = {
      {"Gather", infer_gather, eval_gather},
      {"GatherNd", infer_gather_nd, eval_gather_nd},
      {"GatherV2", infer_gather, eval_gather_v2},
      {"OneHot", infer_one_hot, eval_one_hot},
      {"Reverse", infer_same, eval_reverse_v1},
      {"ReverseV2", infer_same, eval_reverse},
      {"Roll", infer_same, eval_roll},
      {"Tile", infer_tile, eval_tile},
      {"Transpose", infer_transpose, eval_transpose},
  };
  return rows;
}

}  // namespace cytodet::graph::ops
