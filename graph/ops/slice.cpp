// Ops that join, cut and pad.
#include "graph/ops/copy_elements.h"
#include "graph/ops/eval_helpers.h"

namespace cytodet::graph::ops {
namespace {

Tensor concat(std::span<const Tensor> parts, int64_t axis) {
  Shape shape = parts[0].shape();
  int64_t a = axis_of(axis, static_cast<int64_t>(shape.size()));
  shape[static_cast<size_t>(a)] = 0;
  for (const Tensor& p : parts) {
    need(p.rank() == parts[0].rank() && p.dtype() == parts[0].dtype(), "parts differ in rank or type");
    for (int d = 0; d < p.rank(); ++d)
      if (d != a && p.dim(d) != parts[0].dim(d)) throw Error("", "parts differ in dimension " + std::to_string(d));
    shape[static_cast<size_t>(a)] += p.dim(static_cast<int>(a));
  }
  Tensor out(parts[0].dtype(), shape);
  int64_t outer = elements(Shape(shape.begin(), shape.begin() + a)), at = 0;
  for (int64_t o = 0; o < outer; ++o)
    for (const Tensor& p : parts) {
      const int64_t run = p.size() / outer;
      copy_elements(out, at, p, o * run, run);
      at += run;
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
// Parts first, first + 1, ... up to last joined along an axis.
void infer_joined(InferCall& call, size_t first, size_t last, const Tensor* axis) {
  call.out = {fact(input_type(call, first))};
  if (!known(call, first)) return;
  Shape shape = *known(call, first);
  if (!axis || axis->size() != 1) {
    call.out[0].shape = Shape(shape.size(), -1);
    return;
  }
  const size_t a = static_cast<size_t>(axis_of(axis->as_int(), static_cast<int64_t>(shape.size())));
  for (size_t i = first + 1; i < last; ++i) {
    const Shape* s = known(call, i);
    if (!s || s->size() != shape.size()) return;
    for (size_t d = 0; d < shape.size(); ++d)
      if (d != a && shape[d] < 0) shape[d] = (*s)[d];
    shape[a] = shape[a] < 0 || (*s)[a] < 0 ? -1 : shape[a] + (*s)[a];
  }
  call.out[0].shape = shape;
}
const Tensor* constant_of(const InferCall& call, size_t i) {
  return i < call.in.size() && call.in[i].constant ? &*call.in[i].constant : nullptr;
}
void infer_concat(InferCall& call) { infer_joined(call, 1, call.in.size(), constant_of(call, 0)); }
void infer_concat_v2(InferCall& call) { infer_joined(call, 0, call.in.size() - 1, constant_of(call, call.in.size() - 1)); }
void infer_parallel_concat(InferCall& call) {
  const Tensor axis = Tensor::scalar(0);
  infer_joined(call, 0, call.in.size(), &axis);
}
void infer_concat_offset(InferCall& call) {
  for (size_t i = 1; i < call.in.size(); ++i) call.out.push_back(fact(call.in[i].dtype, call.in[i].shape));
}

void eval_parallel_concat(OpCall& call) {
  need(!call.in.empty(), "needs at least one input");
  call.out = {concat(call.in, 0)};
}
// ConcatOffset: the offset of each shape along the axis [elements] after concatenation; 0 along the other axes.
void eval_concat_offset(OpCall& call) {
  need(call.in.size() >= 2, "needs an axis and shapes");
  const int64_t axis = axis_of(input(call, 0).as_int(), call.in[1].size());
  int64_t at = 0;
  for (const Tensor& s : call.in.subspan(1)) {
    need(s.rank() == 1 && s.size() == call.in[1].size(), "shapes differ in rank");
    std::vector<int64_t> offset(static_cast<size_t>(s.size()), 0);
    offset[static_cast<size_t>(axis)] = at;
    need(s.as_int(axis) >= 0 && at < int64_t{1} << 60, "a dimension is out of range");
    at += s.as_int(axis);
    call.out.push_back(int_tensor(s.dtype(), s.shape(), offset));
  }
}

void eval_pack(OpCall& call) {
  need(!call.in.empty(), "needs at least one input");
  int64_t axis = axis_of(call.node.attr_or("axis", int64_t{0}), call.in[0].rank() + 1);
  for (const Tensor& t : call.in)
    if (t.shape() != call.in[0].shape() || t.dtype() != call.in[0].dtype()) throw Error("", "inputs differ in shape or type");
  if (axis == 0) {
    Shape s = call.in[0].shape();
    s.insert(s.begin(), static_cast<int64_t>(call.in.size()));
    Tensor out(call.in[0].dtype(), std::move(s));
    const int64_t size = call.in[0].size();
    for (size_t i = 0; i < call.in.size(); ++i) copy_elements(out, static_cast<int64_t>(i) * size, call.in[i], 0, size);
    call.out.push_back(std::move(out));
    return;
  }
  std::vector<Tensor> parts;
  for (const Tensor& t : call.in) {
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
    int64_t& d =
        (*part.shape)[static_cast<size_t>(axis_of(call.in[0].constant->as_int(), static_cast<int64_t>(part.shape->size())))];
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
  need(hole >= 0 ? sizes[static_cast<size_t>(hole)] >= 0 : total == x.dim(static_cast<int>(axis)),
       "the sizes do not add up to the dimension");
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
  need(static_cast<int>(begin.size()) == x.rank() && begin.size() == size.size(),
       "begin and size must have one number per dimension");
  std::vector<int64_t> strides = strides_of(x.shape());
  int64_t offset = 0;
  for (size_t d = 0; d < begin.size(); ++d) {
    if (size[d] == -1) size[d] = x.dim(static_cast<int>(d)) - begin[d];
    need(begin[d] >= 0 && size[d] >= 0 && begin[d] <= x.dim(static_cast<int>(d)) - size[d],
         "the slice leaves dimension " + std::to_string(d));
    offset += begin[d] * strides[d];
  }
  Tensor out(x.dtype(), size);
  strided_copy(x, out, strides, offset);
  call.out = {out};
}

// What a strided slice takes: per dimension of the input a count (-1: unknown) and where it begins; the result's shape has the
// new dimensions and not the shrunk ones.
struct Slices {
  Shape dense, shape;
  std::vector<int64_t> begin, step;
};

// Plans one dimension of x after another, as the masks of a StridedSlice say.
class SlicePlanner {
 public:
  SlicePlanner(const Node& n, const Shape& x) : x_(x) {
    const auto mask = [&](const char* name) { return static_cast<uint64_t>(n.attr_or(name, int64_t{0})); };
    begin_mask_ = mask("begin_mask");
    end_mask_ = mask("end_mask");
    ellipsis_ = mask("ellipsis_mask");
    new_axis_ = mask("new_axis_mask");
    shrink_ = mask("shrink_axis_mask");
  }

  Slices run(const std::vector<int64_t>& begin, const std::vector<int64_t>& end, const std::vector<int64_t>& step) {
    int64_t consumed = 0;  // dimensions of x that entries name
    for (size_t i = 0; i < begin.size(); ++i)
      if (!has(new_axis_, i) && !has(ellipsis_, i)) ++consumed;
    for (size_t i = 0; i < begin.size(); ++i) {
      if (has(ellipsis_, i))
        for (int64_t k = static_cast<int64_t>(x_.size()) - consumed; k > 0 && d_ < x_.size(); --k) take_whole();
      else if (has(new_axis_, i))
        slices_.shape.push_back(1);
      else
        slice(i, begin[i], end[i], step[i]);
    }
    while (d_ < x_.size()) take_whole();
    return std::move(slices_);
  }

 private:
  static bool has(uint64_t mask, size_t i) { return mask >> i & 1; }

  // `count` elements of the next dimension; a shrunk one is not in the result's shape.
  void take(int64_t from, int64_t by, int64_t count, bool shrunk) {
    slices_.begin.push_back(from);
    slices_.step.push_back(by);
    slices_.dense.push_back(count);
    if (!shrunk) slices_.shape.push_back(count);
    ++d_;
  }
  void take_whole() { take(0, 1, x_[d_], false); }

  // Entry i of begin, end and strides.
  void slice(size_t i, int64_t begin, int64_t end, int64_t step) {
    need(d_ < x_.size(), "more slices than dimensions");
    need(step != 0 && step > -(int64_t{1} << 40) && step < int64_t{1} << 40, "a stride is 0 or huge");
    const int64_t size = x_[d_];
    if (has(shrink_, i)) return take_one(begin, size);
    if (size < 0) return take(0, step, -1, false);
    const auto clamp = [&](int64_t v) {
      return std::clamp<int64_t>(v < 0 ? v + size : v, step > 0 ? 0 : -1, step > 0 ? size : size - 1);
    };
    const int64_t b = has(begin_mask_, i) ? (step > 0 ? 0 : size - 1) : clamp(begin);
    const int64_t e = has(end_mask_, i) ? (step > 0 ? size : -1) : clamp(end);
    const bool any = step > 0 ? e > b : e < b;
    if (!any) return take(0, step, 0, false);
    take(b, step, step > 0 ? (e - b + step - 1) / step : (e - b + step + 1) / step, false);
  }
  void take_one(int64_t index, int64_t size) {
    const int64_t at = size >= 0 && index < 0 ? index + size : index;
    need(size < 0 || (at >= 0 && at < size),
         "index " + std::to_string(index) + " is out of range for dimension of " + std::to_string(size));
    take(at, 1, 1, true);
  }

  const Shape& x_;
  uint64_t begin_mask_, end_mask_, ellipsis_, new_axis_, shrink_;
  size_t d_ = 0;  // the next dimension of x
  Slices slices_;
};

Slices plan_slices(const Node& n, const Shape& x, const std::vector<int64_t>& begin, const std::vector<int64_t>& end,
                   const std::vector<int64_t>& step) {
  need(begin.size() == end.size() && end.size() == step.size() && begin.size() <= 32, "begin, end and strides differ in length");
  return SlicePlanner(n, x).run(begin, end, step);
}
void eval_strided_slice(OpCall& call) {
  const Tensor& x = input(call, 0);
  const Slices p =
      plan_slices(call.node, x.shape(), input(call, 1).as_ints(), input(call, 2).as_ints(), input(call, 3).as_ints());
  const auto is_one = [](int64_t step) { return step == 1; };
  if (p.dense == x.shape() && std::all_of(p.step.begin(), p.step.end(), is_one)) {  // all of it: batches of one, as a rule
    call.out = {x.reshaped(p.shape)};
    return;
  }
  Tensor out(x.dtype(), p.dense);
  std::vector<int64_t> strides = strides_of(x.shape());
  int64_t offset = 0;
  for (size_t d = 0; d < strides.size(); ++d) {
    offset += p.begin[d] * strides[d];
    strides[d] = p.dense[d] > 1 ? strides[d] * p.step[d] : 0;
  }
  if (out.size() > 0) strided_copy(x, out, strides, offset);
  call.out = {out.reshaped(p.shape)};
}
// The shape of slices whose begins or ends are known only when they run: the size of each dimension that is taken whole, -1 of
// the others. Nothing where dimensions are added or removed.
std::optional<Shape> slices_of_computed_ends(const InferCall& call) {
  for (const char* mask : {"ellipsis_mask", "new_axis_mask", "shrink_axis_mask"})
    if (call.node.attr_or(mask, int64_t{0}) != 0) return {};
  Shape s = *known(call, 0);
  const Shape* count = known(call, 3);
  if (!count || count->size() != 1 || (*count)[0] < 0) return {};
  const int64_t whole = call.node.attr_or("begin_mask", int64_t{0}) & call.node.attr_or("end_mask", int64_t{0});
  for (size_t d = 0; d < std::min(s.size(), static_cast<size_t>((*count)[0])); ++d) {
    const bool step_of_one = call.in[3].constant && call.in[3].constant->as_int(static_cast<int64_t>(d)) == 1;
    if (d > 62 || !(whole >> d & 1) || !step_of_one) s[d] = -1;
  }
  return s;
}
void infer_strided_slice(InferCall& call) {
  call.out = {fact(call.in[0].dtype)};
  if (!known(call, 0) || call.in.size() < 4) return;
  if (!call.in[1].constant || !call.in[2].constant || !call.in[3].constant) {
    call.out[0].shape = slices_of_computed_ends(call);
    return;
  }
  call.out[0].shape = plan_slices(call.node, *known(call, 0), call.in[1].constant->as_ints(), call.in[2].constant->as_ints(),
                                  call.in[3].constant->as_ints())
                          .shape;
}
void infer_slice(InferCall& call) {
  call.out = {fact(call.in[0].dtype)};
  if (call.in.size() < 3 || !call.in[2].constant) {
    if (known(call, 0)) call.out[0].shape = Shape(known(call, 0)->size(), -1);
    return;
  }
  Shape s = call.in[2].constant->as_ints();
  for (size_t d = 0; d < s.size(); ++d)
    if (s[d] == -1 && known(call, 0) && d < known(call, 0)->size() && (*known(call, 0))[d] >= 0 && call.in[1].constant &&
        call.in[1].constant->size() == static_cast<int64_t>(s.size()))
      s[d] = (*known(call, 0))[d] - call.in[1].constant->as_int(static_cast<int64_t>(d));
  call.out[0].shape = s;
}
void infer_unpack(InferCall& call) {
  const int64_t n = call.node.attr_or("num", int64_t{0});
  if (n < 0 || n > 65536) return;
  Fact part = fact(call.in[0].dtype);
  if (known(call, 0)) {
    part.shape = *known(call, 0);
    part.shape->erase(part.shape->begin() +
                      axis_of(call.node.attr_or("axis", int64_t{0}), static_cast<int64_t>(part.shape->size())));
  }
  call.out.assign(static_cast<size_t>(n), part);
}
void infer_split_v(InferCall& call) {
  const int64_t n = call.node.attr_or("num_split", int64_t{0});
  if (n <= 0 || n > 65536) return;
  call.out.assign(static_cast<size_t>(n), fact(call.in[0].dtype));
  if (!known(call, 0) || call.in.size() < 3 || !call.in[2].constant) return;
  const size_t axis = static_cast<size_t>(axis_of(call.in[2].constant->as_int(), static_cast<int64_t>(known(call, 0)->size())));
  for (int64_t i = 0; i < n; ++i) {
    Shape s = *known(call, 0);
    s[axis] = call.in[1].constant && call.in[1].constant->size() == n ? call.in[1].constant->as_int(i) : -1;
    call.out[static_cast<size_t>(i)].shape = s;
  }
}

// x into its place in out, row by row.
void copy_inside(const Tensor& x, Tensor& out, const std::vector<int64_t>& pads) {
  if (x.size() == 0) return;
  if (x.rank() == 0) return copy_element(out, 0, x, 0);
  const std::vector<int64_t> strides = strides_of(out.shape());
  int64_t offset = 0;
  for (size_t d = 0; d < strides.size(); ++d) offset += pads[2 * d] * strides[d];
  const int64_t count = x.dim(-1);
  walk(Shape(x.shape().begin(), x.shape().end() - 1), {{strides.begin(), strides.end() - 1}},
       [&](int64_t row, const int64_t* at) { copy_elements(out, offset + at[0], x, row * count, count); });
}

// Each position of out from its mirrored one in x; mirror 1: the edge is not repeated.
void copy_mirrored(const Tensor& x, Tensor& out, const std::vector<int64_t>& pads, int mirror) {
  const Shape& s = out.shape();
  std::vector<int64_t> own = strides_of(x.shape()), at(s.size(), 0);
  for (int64_t i = 0; i < out.size(); ++i) {
    int64_t from = 0;
    for (size_t d = 0; d < s.size(); ++d) {
      const int64_t size = x.dim(static_cast<int>(d)), p = at[d] - pads[2 * d];
      from += (p < 0 ? -p - 1 + mirror : p >= size ? 2 * size - 1 - p - mirror : p) * own[d];
    }
    copy_element(out, i, x, from);
    for (size_t d = s.size(); d-- > 0;) {
      if (++at[d] < s[d]) break;
      at[d] = 0;
    }
  }
}

void fill(Tensor& out, const Tensor& value) {
  for (int64_t i = 0; i < out.size(); ++i) copy_element(out, i, value, 0);
}

// mirror: -1 for a constant padding, of `value` where it is defined and else of zeros.
void eval_pad_mode(OpCall& call, int mirror, const Tensor& value) {
  const Tensor& x = input(call, 0);
  std::vector<int64_t> pads = input(call, 1).as_ints();
  need(static_cast<int>(pads.size()) == 2 * x.rank(), "paddings must be [rank, 2]");
  Shape s = x.shape();
  for (size_t d = 0; d < s.size(); ++d) {
    need(pads[2 * d] >= 0 && pads[2 * d + 1] >= 0 && pads[2 * d] < int64_t{1} << 40 && pads[2 * d + 1] < int64_t{1} << 40,
         "a padding is negative or huge");
    if (mirror >= 0)
      need(pads[2 * d] <= s[d] - mirror && pads[2 * d + 1] <= s[d] - mirror, "mirror padding is wider than the tensor");
    s[d] += pads[2 * d] + pads[2 * d + 1];
  }
  Tensor out(x.dtype(), s);
  if (value.defined()) fill(out, value);
  if (mirror < 0)
    copy_inside(x, out, pads);
  else
    copy_mirrored(x, out, pads, mirror);
  call.out = {out};
}
void eval_pad(OpCall& call) { eval_pad_mode(call, -1, {}); }
void eval_pad_v2(OpCall& call) {
  need(input(call, 2).size() == 1 && input(call, 2).dtype() == input(call, 0).dtype(),
       "the pad value must be a scalar of the same type");
  eval_pad_mode(call, -1, input(call, 2));
}
void eval_mirror_pad(OpCall& call) { eval_pad_mode(call, call.node.attr<std::string>("mode") == "REFLECT" ? 1 : 0, {}); }
void infer_pad(InferCall& call) {
  call.out = {fact(call.in[0].dtype)};
  const Shape* s = known(call, 0);
  if (!s || call.in.size() < 2 || !call.in[1].constant || call.in[1].constant->size() != 2 * static_cast<int64_t>(s->size()))
    return;
  Shape out = *s;
  for (size_t d = 0; d < out.size(); ++d)
    if (out[d] >= 0)
      out[d] +=
          call.in[1].constant->as_int(static_cast<int64_t>(2 * d)) + call.in[1].constant->as_int(static_cast<int64_t>(2 * d + 1));
  call.out[0].shape = out;
}

}  // namespace

const std::vector<Op>& slice_ops() {
  static const std::vector<Op> rows = {
      {"Concat", infer_concat, eval_concat},
      {"ConcatOffset", infer_concat_offset, eval_concat_offset},
      {"ConcatV2", infer_concat_v2, eval_concat_v2},
      {"MirrorPad", infer_pad, eval_mirror_pad},
      {"Pack", infer_pack, eval_pack},
      {"Pad", infer_pad, eval_pad},
      {"PadV2", infer_pad, eval_pad_v2},
      {"ParallelConcat", infer_parallel_concat, eval_parallel_concat},
      {"Slice", infer_slice, eval_slice},
      {"Split", infer_split, eval_split},
      {"SplitV", infer_split_v, eval_split_v},
      {"StridedSlice", infer_strided_slice, eval_strided_slice},
      {"Unpack", infer_unpack, eval_unpack},
  };
  return rows;
}

}  // namespace cytodet::graph::ops
