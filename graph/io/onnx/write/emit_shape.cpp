// Shapes, parts, reductions.
#include <algorithm>
#include <limits>

#include "core/error.h"
#include "graph/io/onnx/write/emit.h"

namespace cytodet::graph::onnx {
namespace {

AttrList attr_ints(std::vector<int64_t> values) {
  AttrList list;
  list.ints = std::move(values);
  return list;
}

template <const char* (*op)()>
void emit_reduction(Emit& e) {
  const std::vector<int64_t> axes = e.axes(1, e.rank(0));
  const AttrMap keep{{"keepdims", int64_t{e.n.attr_or("keep_dims", false)}}};
  if (axes.empty()) return e.last("Identity", {e.in(0)});
  if (std::string(op()) == "ReduceSum") return e.last(op(), {e.in(0), e.ints(axes)}, keep);
  AttrMap attrs = keep;
  attrs.emplace("axes", attr_ints(axes));
  e.last(op(), {e.in(0)}, attrs);
}
const char* reduce_max_op() { return "ReduceMax"; }
const char* reduce_mean_op() { return "ReduceMean"; }
const char* reduce_min_op() { return "ReduceMin"; }
const char* reduce_prod_op() { return "ReduceProd"; }
const char* reduce_sum_op() { return "ReduceSum"; }

// int64 in ONNX.
void emit_arg(Emit& e) {
  const AttrMap attrs{{"axis", e.axes(1, e.rank(0)).at(0)}, {"keepdims", int64_t{0}}};
  if (e.n.attr_or("output_type", DType::i64) == DType::i64) return e.last(e.n.op, {e.in(0)}, attrs);
  e.last("Cast", {e.add(e.n.op, {e.in(0)}, attrs)}, {{"to", int64_t{6}}});
}

void emit_concat(Emit& e) {
  std::vector<std::string> parts;
  for (size_t i = 0; i + 1 < e.n.inputs.size(); ++i) parts.push_back(e.in(i));
  e.last("Concat", parts, {{"axis", e.axes(e.n.inputs.size() - 1, e.rank(0)).at(0)}});
}
void emit_split(Emit& e) {
  const bool sized = e.n.op == "SplitV";
  const size_t data = sized ? 0 : 1;
  const int64_t axis = e.axes(sized ? 2 : 0, e.rank(data)).at(0), parts = e.n.attr<int64_t>("num_split");
  std::vector<std::string> inputs{e.in(data)};
  if (sized) {
    std::vector<int64_t> sizes = e.need_constant(1).as_ints();
    const int64_t whole = (*e.fact(0).shape)[static_cast<size_t>(axis)];
    int64_t known = 0;
    for (int64_t s : sizes) known += s < 0 ? 0 : s;
    for (int64_t& s : sizes)
      if (s < 0) s = whole - known;
    inputs.push_back(e.ints(sizes));
  }
  e.last("Split", inputs, {{"axis", axis}}, static_cast<int>(parts));
}
void emit_pack(Emit& e) {
  const int64_t rank = e.rank(0) + 1;
  int64_t axis = e.n.attr_or("axis", int64_t{0});
  if (axis < 0) axis += rank;
  std::vector<std::string> parts;
  const std::string at = e.ints({axis});
  for (size_t i = 0; i < e.n.inputs.size(); ++i) parts.push_back(e.add("Unsqueeze", {e.in(i), at}));
  e.last("Concat", parts, {{"axis", axis}});
}
void emit_unpack(Emit& e) {
  int64_t axis = e.n.attr_or("axis", int64_t{0});
  if (axis < 0) axis += e.rank(0);
  const int64_t parts = e.n.attr<int64_t>("num");
  for (int64_t i = 0; i < parts; ++i)
    e.one_of("Gather", {e.in(0), e.number(static_cast<double>(i), DType::i64)}, {{"axis", axis}}, static_cast<int>(i));
}

// A size of 0 would be the input's.
void emit_reshape(Emit& e) {
  const Tensor* t = e.is_constant(1) ? &e.need_constant(1) : nullptr;
  if (t)
    for (int64_t s : t->as_ints())
      if (s == 0) return e.last("Reshape", {e.in(0), e.as_int64(1)}, {{"allowzero", int64_t{1}}});
  e.last("Reshape", {e.in(0), e.as_int64(1)});
}
void emit_squeeze(Emit& e) {
  const std::vector<int64_t> axes = e.n.attr_or("squeeze_dims", AttrList{}).ints;
  if (axes.empty()) return e.last("Squeeze", {e.in(0)});
  e.last("Squeeze", {e.in(0), e.ints(axes)});
}
void emit_expand_dims(Emit& e) { e.last("Unsqueeze", {e.in(0), e.ints({e.need_constant(1).as_int()})}); }
void emit_transpose(Emit& e) { e.last("Transpose", {e.in(0)}, {{"perm", attr_ints(e.axes(1, e.rank(0)))}}); }
void emit_tile(Emit& e) { e.last("Tile", {e.in(0), e.as_int64(1)}); }
void emit_broadcast_to(Emit& e) { e.last("Expand", {e.in(0), e.as_int64(1)}); }
void emit_fill(Emit& e) { e.last("Expand", {e.in(1), e.as_int64(0)}); }

void emit_shape(Emit& e) {
  if (e.n.attr_or("out_type", DType::i32) == DType::i64) return e.last("Shape", {e.in(0)});
  e.last("Cast", {e.add("Shape", {e.in(0)})}, {{"to", int64_t{6}}});
}
void emit_range(Emit& e) { e.last("Range", {e.in(0), e.in(1), e.in(2)}); }

void emit_gather(Emit& e) {
  if (e.n.attr_or("batch_dims", int64_t{0}) != 0) throw Error("", "gathers in batches", "ONNX's Gather does not");
  const int64_t axis = e.n.inputs.size() > 2 ? e.axes(2, e.rank(0)).at(0) : 0;
  e.last("Gather", {e.in(0), e.in(1)}, {{"axis", axis}});
}
void emit_gather_nd(Emit& e) {
  if (e.n.attr_or("batch_dims", int64_t{0}) != 0) throw Error("", "gathers in batches");
  e.last("GatherND", {e.in(0), e.fact(1).dtype == DType::i64 ? e.in(1) : e.add("Cast", {e.in(1)}, {{"to", int64_t{7}}})});
}

constexpr int64_t kFar = std::numeric_limits<int64_t>::max();

void emit_slice(Emit& e) {
  const std::vector<int64_t> begin = e.need_constant(1).as_ints(), size = e.need_constant(2).as_ints();
  std::vector<int64_t> end, axes;
  for (size_t d = 0; d < begin.size(); ++d) {
    end.push_back(size.at(d) < 0 ? kFar : begin[d] + size[d]);
    axes.push_back(static_cast<int64_t>(d));
  }
  if (axes.empty()) return e.last("Identity", {e.in(0)});
  e.last("Slice", {e.in(0), e.ints(begin), e.ints(end), e.ints(axes)});
}

// Masks of whole ends; one index instead of a range, whose dimension goes. New dimensions and "..." are not met behind the
// passes.
void emit_strided_slice(Emit& e) {
  if (e.n.attr_or("ellipsis_mask", int64_t{0}) || e.n.attr_or("new_axis_mask", int64_t{0}))
    throw Error("", "slices with new dimensions or \"...\"", "such slices are not written as ONNX");
  const std::vector<int64_t> begin = e.need_constant(1).as_ints(), end = e.need_constant(2).as_ints(),
                             step = e.need_constant(3).as_ints();
  const int64_t from_start = e.n.attr_or("begin_mask", int64_t{0}), to_end = e.n.attr_or("end_mask", int64_t{0}),
                one = e.n.attr_or("shrink_axis_mask", int64_t{0});
  std::vector<int64_t> starts, ends, axes, steps, gone;
  for (size_t d = 0; d < begin.size(); ++d) {
    const int64_t bit = int64_t{1} << d;
    const bool down = step.at(d) < 0;
    axes.push_back(static_cast<int64_t>(d));
    steps.push_back(step[d]);
    if (one & bit) {
      gone.push_back(static_cast<int64_t>(d));
      steps.back() = 1;
      starts.push_back(begin[d]);
      ends.push_back(begin[d] == -1 ? kFar : begin[d] + 1);
      continue;
    }
    starts.push_back(from_start & bit ? (down ? kFar : 0) : begin[d]);
    ends.push_back(to_end & bit ? (down ? -kFar : kFar) : end.at(d));
  }
  const std::vector<std::string> inputs{e.in(0), e.ints(starts), e.ints(ends), e.ints(axes), e.ints(steps)};
  if (gone.empty()) return e.last("Slice", inputs);
  e.last("Squeeze", {e.add("Slice", inputs), e.ints(gone)});
}

void emit_reverse(Emit& e) {
  const std::vector<int64_t> axes = e.axes(1, e.rank(0)), first(axes.size(), -1), end(axes.size(), -kFar);
  e.last("Slice", {e.in(0), e.ints(first), e.ints(end), e.ints(axes), e.ints(first)});
}

void emit_pad(Emit& e) {
  const Tensor& t = e.need_constant(1);
  const std::vector<int64_t> pairs = t.as_ints();
  std::vector<int64_t> pads;
  for (size_t side = 0; side < 2; ++side)
    for (size_t d = 0; 2 * d < pairs.size(); ++d) pads.push_back(pairs[2 * d + side]);
  std::vector<std::string> inputs{e.in(0), e.ints(pads)};
  const bool mirrored = e.n.op == "MirrorPad";
  if (mirrored && e.n.attr<std::string>("mode") != "REFLECT")
    throw Error("", "repeats the edge when it mirrors", "ONNX has REFLECT only");
  if (e.n.op == "PadV2") inputs.push_back(e.in(2));
  e.last("Pad", inputs, {{"mode", mirrored ? "reflect" : "constant"}});
}

void emit_top_k(Emit& e) {
  const std::string k = e.is_constant(1) ? e.ints({e.need_constant(1).as_int()}) : e.add("Reshape", {e.as_int64(1), e.ints({1})});
  const std::string values = e.own(0), places = e.add_two("TopK", {e.in(0), k}, {{"axis", int64_t{-1}}}, values);
  e.one_of("Cast", {places}, {{"to", int64_t{6}}}, 1);
}
void emit_cumsum(Emit& e) {
  e.last("CumSum", {e.in(0), e.in(1)},
         {{"exclusive", int64_t{e.n.attr_or("exclusive", false)}}, {"reverse", int64_t{e.n.attr_or("reverse", false)}}});
}

// ONNX suppresses boxes of many images and classes at once, and tells of each box that stays all three numbers.
void emit_nms(Emit& e) {
  const std::string one = e.ints({1});
  const std::string picked =
      e.add("NonMaxSuppression",
            {e.add("Unsqueeze", {e.in(0), e.ints({0})}), e.add("Unsqueeze", {e.in(1), e.ints({0, 1})}),
             e.add("Reshape", {e.as_int64(2), one}), e.add("Reshape", {e.in(3), one}), e.add("Reshape", {e.in(4), one})});
  e.last("Cast", {e.add("Gather", {picked, e.number(2, DType::i64)}, {{"axis", int64_t{1}}})}, {{"to", int64_t{6}}});
}
void emit_where(Emit& e) { e.last("Transpose", {e.add("NonZero", {e.in(0)})}, {{"perm", attr_ints({1, 0})}}); }
void emit_scatter_update(Emit& e) { e.last("ScatterND", {e.in(0), e.as_int64(1), e.in(2)}); }
void emit_truncate_div(Emit& e) {  // of whole numbers Div drops what is left
  if (!is_integer(e.fact(0).dtype)) throw Error("", "divides and truncates numbers of type " + name_of(e.fact(0).dtype));
  e.last("Div", {e.in(0), e.in(1)});
}

}  // namespace

const std::vector<EmitEntry>& emit_shape_entries() {
  static const std::vector<EmitEntry> entries = {
      {"ArgMax", emit_arg},
      {"ArgMin", emit_arg},
      {"BroadcastTo", emit_broadcast_to},
      {"ConcatV2", emit_concat},
      {"Cumsum", emit_cumsum},
      {"ExpandDims", emit_expand_dims},
      {"Fill", emit_fill},
      {"GatherNd", emit_gather_nd},
      {"GatherV2", emit_gather},
      {"Max", emit_reduction<reduce_max_op>},
      {"Mean", emit_reduction<reduce_mean_op>},
      {"Min", emit_reduction<reduce_min_op>},
      {"MirrorPad", emit_pad},
      {"NonMaxSuppressionV3", emit_nms},
      {"Pack", emit_pack},
      {"Pad", emit_pad},
      {"PadV2", emit_pad},
      {"Prod", emit_reduction<reduce_prod_op>},
      {"Range", emit_range},
      {"Reshape", emit_reshape},
      {"ReverseV2", emit_reverse},
      {"Shape", emit_shape},
      {"Slice", emit_slice},
      {"Split", emit_split},
      {"SplitV", emit_split},
      {"Squeeze", emit_squeeze},
      {"StridedSlice", emit_strided_slice},
      {"Sum", emit_reduction<reduce_sum_op>},
      {"TensorScatterUpdate", emit_scatter_update},
      {"Tile", emit_tile},
      {"TopKV2", emit_top_k},
      {"Transpose", emit_transpose},
      {"TruncateDiv", emit_truncate_div},
      {"Unpack", emit_unpack},
      {"Where", emit_where},
  };
  return entries;
}

}  // namespace cytodet::graph::onnx
