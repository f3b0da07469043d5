// Ops that move elements: join, cut, transpose, pad, gather.
#include "graph/ops/common.h"

namespace cytodet::ops {
namespace {

// out[i] = x[offset + sum at_d * stride_d] over the shape of out.
void strided_copy(const Tensor& x, Tensor& out, const std::vector<int64_t>& strides, int64_t offset) {
  walk(out.shape(), {strides}, [&](int64_t i, const int64_t* at) { copy_element(out, i, x, offset + at[0]); });
}

Tensor concat(std::span<const Tensor> parts, int64_t axis) {
  Shape shape = parts[0].shape();
  int64_t a = axis_of(axis, static_cast<int64_t>(shape.size()));
  shape[static_cast<size_t>(a)] = 0;
  for (const Tensor& p : parts) {
    need(p.rank() == parts[0].rank() && p.dtype() == parts[0].dtype(), "parts differ in rank or type");
    for (int d = 0; d < p.rank(); ++d) need(d == a || p.dim(d) == parts[0].dim(d), "parts differ in dimension " + std::to_string(d));
    shape[static_cast<size_t>(a)] += p.dim(static_cast<int>(a));
  }
  Tensor out(parts[0].dtype(), shape);
  int64_t outer = elements(Shape(shape.begin(), shape.begin() + a)), at = 0;
  for (int64_t o = 0; o < outer; ++o)
    for (const Tensor& p : parts) {
      int64_t run = outer ? p.size() / outer : 0;
      for (int64_t i = 0; i < run; ++i) copy_element(out, at++, p, o * run + i);
    }
  return out;
}
void eval_concat_v2(OpCall& call) {
  need(call.in.size() >= 2, "needs parts and an axis");
  call.out = {concat(call.in.first(call.in.size() - 1), call.in.back().as_int())};
}
void eval_concat(OpCall& call) {
  need(call.in.size() >= 2, "needs an axis and parts");
  call.out = {concat(call.in.subspan(1), call.in[0].as_int())};
}
void infer_concat_v2(InferCall& call) {
  call.out = {fact(call.in[0].dtype)};
  const Fact& axis = call.in.back();
  if (!axis.constant || !known(call, 0)) return;
  Shape shape = *known(call, 0);
  size_t a = static_cast<size_t>(axis_of(axis.constant->as_int(), static_cast<int64_t>(shape.size())));
  for (size_t i = 1; i + 1 < call.in.size(); ++i) {
    const Shape* s = known(call, i);
    if (!s || s->size() != shape.size()) return;
    for (size_t d = 0; d < shape.size(); ++d)
      if (d != a && shape[d] < 0) shape[d] = (*s)[d];
    shape[a] = shape[a] < 0 || (*s)[a] < 0 ? -1 : shape[a] + (*s)[a];
  }
  call.out[0].shape = shape;
}

void eval_pack(OpCall& call) {
  need(!call.in.empty(), "needs at least one input");
  int64_t axis = axis_of(call.node.attr_or("axis", int64_t{0}), call.in[0].rank() + 1);
  std::vector<Tensor> parts;
  for (const Tensor& t : call.in) {
    need(t.shape() == call.in[0].shape(), "inputs differ in shape");
    Shape s = t.shape();
    s.insert(s.begin() + axis, 1);
    parts.push_back(t.reshaped(s));
  }
  call.out = {concat(parts, axis)};
}
void infer_pack(InferCall& call) {
  call.out = {fact(call.in[0].dtype)};
  if (!known(call, 0)) return;
  Shape s = *known(call, 0);
  int64_t axis = axis_of(call.node.attr_or("axis", int64_t{0}), static_cast<int64_t>(s.size()) + 1);
  s.insert(s.begin() + axis, static_cast<int64_t>(call.in.size()));
  call.out[0].shape = s;
}

Tensor cut(const Tensor& x, int64_t axis, int64_t begin, int64_t size) {
  Shape s = x.shape();
  s[static_cast<size_t>(axis)] = size;
  Tensor out(x.dtype(), s);
  std::vector<int64_t> strides = strides_of(x.shape());
  strided_copy(x, out, strides, begin * strides[static_cast<size_t>(axis)]);
  return out;
}
void eval_split(OpCall& call) {
  const Tensor& x = input(call, 1);
  int64_t axis = axis_of(input(call, 0).as_int(), x.rank()), n = call.node.attr<int64_t>("num_split");
  need(n > 0 && n <= 65536 && x.dim(static_cast<int>(axis)) % n == 0, "the dimension does not split evenly");
  int64_t size = x.dim(static_cast<int>(axis)) / n;
  for (int64_t i = 0; i < n; ++i) call.out.push_back(cut(x, axis, i * size, size));
}
void infer_split(InferCall& call) {
  int64_t n = call.node.attr_or("num_split", int64_t{0});
  if (n <= 0 || n > 65536 || call.in.size() < 2) return;
  Fact part = fact(call.in[1].dtype);
  if (known(call, 1) && call.in[0].constant) {
    part.shape = *known(call, 1);
    int64_t& d = (*part.shape)[static_cast<size_t>(axis_of(call.in[0].constant->as_int(), static_cast<int64_t>(part.shape->size())))];
    d = d < 0 ? d : d / n;
  }
  call.out.assign(static_cast<size_t>(n), part);
}
void eval_split_v(OpCall& call) {
  const Tensor& x = input(call, 0);
  std::vector<int64_t> sizes = input(call, 1).as_ints();
  int64_t axis = axis_of(input(call, 2).as_int(), x.rank()), total = 0, hole = -1;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == -1) {
      need(hole < 0, "only one size may be -1");
      hole = static_cast<int64_t>(i);
    } else {
      need(sizes[i] >= 0 && sizes[i] <= x.dim(static_cast<int>(axis)), "a size is out of range");
      total += sizes[i];
    }
  }
  if (hole >= 0) sizes[static_cast<size_t>(hole)] = x.dim(static_cast<int>(axis)) - total;
  need(hole >= 0 ? sizes[static_cast<size_t>(hole)] >= 0 : total == x.dim(static_cast<int>(axis)), "the sizes do not add up to the dimension");
  int64_t begin = 0;
  for (int64_t s : sizes) {
    call.out.push_back(cut(x, axis, begin, s));
    begin += s;
  }
}
void eval_unpack(OpCall& call) {
  const Tensor& x = input(call, 0);
  int64_t axis = axis_of(call.node.attr_or("axis", int64_t{0}), x.rank());
  for (int64_t i = 0; i < x.dim(static_cast<int>(axis)); ++i) {
    Tensor part = cut(x, axis, i, 1);
    Shape s = part.shape();
    s.erase(s.begin() + axis);
    call.out.push_back(part.reshaped(s));
  }
}

void eval_slice(OpCall& call) {
  const Tensor& x = input(call, 0);
  std::vector<int64_t> begin = input(call, 1).as_ints(), size = input(call, 2).as_ints();
  need(static_cast<int>(begin.size()) == x.rank() && begin.size() == size.size(), "begin and size must have one number per dimension");
  std::vector<int64_t> strides = strides_of(x.shape());
  int64_t offset = 0;
  for (size_t d = 0; d < begin.size(); ++d) {
    if (size[d] == -1) size[d] = x.dim(static_cast<int>(d)) - begin[d];
    need(begin[d] >= 0 && size[d] >= 0 && begin[d] <= x.dim(static_cast<int>(d)) - size[d], "the slice leaves dimension " + std::to_string(d));
    offset += begin[d] * strides[d];
  }
  Tensor out(x.dtype(), size);
  strided_copy(x, out, strides, offset);
  call.out = {out};
}

void eval_strided_slice(OpCall& call) {
  const Tensor& x = input(call, 0);
  std::vector<int64_t> begin = input(call, 1).as_ints(), end = input(call, 2).as_ints(), step = input(call, 3).as_ints();
  need(begin.size() == end.size() && end.size() == step.size() && begin.size() <= 32, "begin, end and strides differ in length");
  const Node& n = call.node;
  auto mask = [&](const char* name) { return static_cast<uint64_t>(n.attr_or(name, int64_t{0})); };
  uint64_t begin_mask = mask("begin_mask"), end_mask = mask("end_mask"), ellipsis = mask("ellipsis_mask"), new_axis = mask("new_axis_mask"), shrink = mask("shrink_axis_mask");
  std::vector<int64_t> from, steps, strides = strides_of(x.shape());
  Shape dense, shape;  // of the cut, and of the result
  int64_t offset = 0, consumed = 0, d = 0;
  for (size_t i = 0; i < begin.size(); ++i)
    if (!(new_axis >> i & 1) && !(ellipsis >> i & 1)) ++consumed;
  std::vector<int64_t> walk_strides;
  auto whole = [&] {
    dense.push_back(x.dim(static_cast<int>(d)));
    shape.push_back(x.dim(static_cast<int>(d)));
    walk_strides.push_back(strides[static_cast<size_t>(d++)]);
  };
  bool empty = false;
  for (size_t i = 0; i < begin.size(); ++i) {
    if (ellipsis >> i & 1) {
      for (int64_t k = x.rank() - consumed; k > 0; --k) whole();
    } else if (new_axis >> i & 1) {
      shape.push_back(1);
    } else {
      need(d < x.rank(), "more slices than dimensions");
      int64_t size = x.dim(static_cast<int>(d)), s = step[i];
      need(s != 0, "a stride is 0");
      if (shrink >> i & 1) {
        int64_t at = begin[i] < 0 ? begin[i] + size : begin[i];
        need(at >= 0 && at < size, "index " + std::to_string(begin[i]) + " is out of range for dimension of " + std::to_string(size));
        offset += at * strides[static_cast<size_t>(d)];
        dense.push_back(1);
        walk_strides.push_back(0);
      } else {
        auto clamp = [&](int64_t v) { return std::clamp<int64_t>(v < 0 ? v + size : v, s > 0 ? 0 : -1, s > 0 ? size : size - 1); };
        int64_t b = begin_mask >> i & 1 ? (s > 0 ? 0 : size - 1) : clamp(begin[i]);
        int64_t e = end_mask >> i & 1 ? (s > 0 ? size : -1) : clamp(end[i]);
        int64_t count = s > 0 ? (e - b + s - 1) / s : (e - b + s + 1) / s;
        count = (s > 0 ? e > b : e < b) ? count : 0;
        empty = empty || count == 0;
        offset += count ? b * strides[static_cast<size_t>(d)] : 0;
        dense.push_back(count);
        shape.push_back(count);
        walk_strides.push_back(s * strides[static_cast<size_t>(d)]);
      }
      ++d;
    }
  }
  while (d < x.rank()) whole();
  Tensor out(x.dtype(), dense);
  if (!empty) strided_copy(x, out, walk_strides, offset);
  call.out = {out.reshaped(shape)};
}

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
  for (int64_t p : call.in[1].constant->as_ints()) out.push_back((*s)[static_cast<size_t>(axis_of(p, static_cast<int64_t>(s->size())))]);
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

// Source index for padded position p of a dimension; -1 outside (constant padding).
void eval_pad_mode(OpCall& call, int mirror, const Tensor& value) {
  const Tensor& x = input(call, 0);
  std::vector<int64_t> pads = input(call, 1).as_ints();
  need(static_cast<int>(pads.size()) == 2 * x.rank(), "paddings must be [rank, 2]");
  Shape s = x.shape();
  for (size_t d = 0; d < s.size(); ++d) {
    need(pads[2 * d] >= 0 && pads[2 * d + 1] >= 0 && pads[2 * d] < int64_t{1} << 40 && pads[2 * d + 1] < int64_t{1} << 40, "a padding is negative or huge");
    if (mirror >= 0) need(pads[2 * d] <= s[d] - mirror && pads[2 * d + 1] <= s[d] - mirror, "mirror padding is wider than the tensor");
    s[d] += pads[2 * d] + pads[2 * d + 1];
  }
  Tensor out(x.dtype(), s);
  std::vector<int64_t> own = strides_of(x.shape()), at(s.size(), 0);
  for (int64_t i = 0; i < out.size(); ++i) {
    int64_t from = 0;
    bool inside = true;
    for (size_t d = 0; d < s.size(); ++d) {
      int64_t size = x.dim(static_cast<int>(d)), p = at[d] - pads[2 * d];
      if (mirror >= 0) p = p < 0 ? -p - 1 + mirror : p >= size ? 2 * size - 1 - p - mirror : p;
      inside = inside && p >= 0 && p < size;
      from += p * own[d];
    }
    if (inside) copy_element(out, i, x, from);
    else if (value.defined()) copy_element(out, i, value, 0);
    for (size_t d = s.size(); d-- > 0;) {
      if (++at[d] < s[d]) break;
      at[d] = 0;
    }
  }
  call.out = {out};
}
void eval_pad(OpCall& call) { eval_pad_mode(call, -1, {}); }
void eval_pad_v2(OpCall& call) {
  need(input(call, 2).size() == 1 && input(call, 2).dtype() == input(call, 0).dtype(), "the pad value must be a scalar of the same type");
  eval_pad_mode(call, -1, input(call, 2));
}
void eval_mirror_pad(OpCall& call) { eval_pad_mode(call, call.node.attr<std::string>("mode") == "REFLECT" ? 1 : 0, {}); }
void infer_pad(InferCall& call) {
  call.out = {fact(call.in[0].dtype)};
  const Shape* s = known(call, 0);
  if (!s || call.in.size() < 2 || !call.in[1].constant || call.in[1].constant->size() != 2 * static_cast<int64_t>(s->size())) return;
  Shape out = *s;
  for (size_t d = 0; d < out.size(); ++d)
    if (out[d] >= 0) out[d] += call.in[1].constant->as_int(static_cast<int64_t>(2 * d)) + call.in[1].constant->as_int(static_cast<int64_t>(2 * d + 1));
  call.out[0].shape = out;
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

void gather(OpCall& call, int64_t axis, int64_t batch) {
  const Tensor &x = input(call, 0), &index = input(call, 1);
  axis = axis_of(axis, x.rank());
  batch = batch < 0 ? batch + index.rank() : batch;
  need(batch >= 0 && batch <= index.rank() && batch <= axis, "batch_dims is out of range");
  for (int64_t d = 0; d < batch; ++d) need(x.dim(static_cast<int>(d)) == index.dim(static_cast<int>(d)), "batch dimensions differ");
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
  for (int64_t b = 0; b < batches; ++b)
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t k = 0; k < picks; ++k) {
        int64_t from = index.as_int(b * picks + k);
        need(from >= 0 && from < size, "index " + std::to_string(from) + " is not in [0, " + std::to_string(size) + ")");
        for (int64_t i = 0; i < inner; ++i) copy_element(out, at++, x, ((b * outer + o) * size + from) * inner + i);
      }
  call.out = {out};
}
void eval_gather_v2(OpCall& call) { gather(call, input(call, 2).as_int(), call.node.attr_or("batch_dims", int64_t{0})); }
void eval_gather(OpCall& call) { gather(call, 0, 0); }
void eval_gather_nd(OpCall& call) {
  const Tensor &x = input(call, 0), &index = input(call, 1);
  need(index.rank() >= 1, "indices must have a dimension");
  int64_t depth = index.dim(-1), rows = depth ? index.size() / depth : elements(Shape(index.shape().begin(), index.shape().end() - 1));
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
      need(i >= 0 && i < x.dim(static_cast<int>(d)), "index " + std::to_string(i) + " is out of range");
      from += i * own[static_cast<size_t>(d)];
    }
    for (int64_t i = 0; i < inner; ++i) copy_element(out, r * inner + i, x, from + i);
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
  std::vector<int64_t> shift = input(call, 1).as_ints(), axes = input(call, 2).as_ints(), by(x.shape().size(), 0), own = strides_of(x.shape());
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

}  // namespace

const std::vector<Op>& slice_rows() {
  static const std::vector<Op> rows = {
      {"Concat", nullptr, eval_concat},
      {"ConcatV2", infer_concat_v2, eval_concat_v2},
      {"Gather", nullptr, eval_gather},
      {"GatherNd", nullptr, eval_gather_nd},
      {"GatherV2", nullptr, eval_gather_v2},
      {"MirrorPad", infer_pad, eval_mirror_pad},
      {"OneHot", nullptr, eval_one_hot},
      {"Pack", infer_pack, eval_pack},
      {"Pad", infer_pad, eval_pad},
      {"PadV2", infer_pad, eval_pad_v2},
      {"ReverseV2", infer_same, eval_reverse},
      {"Roll", infer_same, eval_roll},
      {"Slice", nullptr, eval_slice},
      {"Split", infer_split, eval_split},
      {"SplitV", nullptr, eval_split_v},
      {"StridedSlice", nullptr, eval_strided_slice},
      {"Tile", nullptr, eval_tile},
      {"Transpose", infer_transpose, eval_transpose},
      {"Unpack", nullptr, eval_unpack},
  };
  return rows;
}

}  // namespace cytodet::ops
