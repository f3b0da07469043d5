// The shape of a tensor: read, changed, cut, joined, padded.
#include <algorithm>

#include "graph/io/tflite/op_table.h"

namespace cytodet::graph::lite {
namespace {

using Code = schema::BuiltinOperator;

Value same_value(Call& c, Value x, Value y) { return x == y ? c.b.add("Identity", {x}) : y; }

// The new shape is an input, or an option of older files.
void lite_reshape(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  const auto* stated = c.options<schema::ReshapeOptions>().new_shape();
  const Tensor* wanted = c.has(1) ? b.constant(c.in(1)) : nullptr;
  if (c.has(1) && !wanted) return c.set(0, b.add("Reshape", {x, c.in(1)}));
  Shape dims;
  if (wanted)
    for (int64_t d : wanted->as_ints()) dims.push_back(d);
  else if (stated)
    dims.assign(stated->begin(), stated->end());
  else
    refuse("states no shape", "the file is damaged");
  // One of an old file's scalar is a list of one 0.
  if (!wanted && dims == Shape{0} && b.is_static(x) && elements(b.dims(x)) == 1) dims.clear();
  c.set(0, same_value(c, x, b.reshape(x, dims)));
}

void lite_squeeze(Call& c) {
  AttrList dims;
  if (const auto* stated = c.options<schema::SqueezeOptions>().squeeze_dims()) dims.ints.assign(stated->begin(), stated->end());
  c.set(0, c.b.add("Squeeze", {c.in(0)}, {{"squeeze_dims", dims}}));
}

void lite_expand_dims(Call& c) {
  const Tensor* axis = c.constant(1);
  if (!axis || axis->size() != 1) return c.set(0, c.b.add("ExpandDims", {c.in(0), c.in(1)}));
  c.set(0, c.b.expand_dims(c.in(0), {Call::axis_in(axis->as_int(), c.b.rank(c.in(0)) + 1)}));
}

void lite_transpose(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  const int64_t rank = b.rank(x);
  std::vector<int64_t> perm = c.need_constant(1, "the order of dimensions").as_ints(), sorted;
  for (int64_t& p : perm) p = Call::axis_in(p, rank);
  sorted = perm;
  std::sort(sorted.begin(), sorted.end());
  bool is_order = static_cast<int64_t>(perm.size()) == rank;
  for (int64_t d = 0; is_order && d < rank; ++d) is_order = sorted[static_cast<size_t>(d)] == d;
  if (!is_order) refuse("has an order that does not name every dimension once", "the file is damaged");
  c.set(0, same_value(c, x, b.transpose(x, perm)));
}

void lite_pad(Call& c) { c.set(0, c.b.add("Pad", {c.in(0), c.in(1)})); }
void lite_pad_v2(Call& c) { c.set(0, c.b.add("PadV2", {c.in(0), c.in(1), c.b.reshape(c.in(2), {})})); }
void lite_mirror_pad(Call& c) {
  const bool reflect = c.options<schema::MirrorPadOptions>().mode() == schema::MirrorPadMode::REFLECT;
  c.set(0, c.b.add("MirrorPad", {c.in(0), c.in(1)}, {{"mode", reflect ? "REFLECT" : "SYMMETRIC"}}));
}

void lite_strided_slice(Call& c) {
  const auto& o = c.options<schema::StridedSliceOptions>();
  if (o.offset()) refuse("counts its ends from its begins");
  c.set(0, c.b.add("StridedSlice", {c.in(0), c.in(1), c.in(2), c.in(3)},
                   {{"begin_mask", int64_t{o.begin_mask()}},
                    {"end_mask", int64_t{o.end_mask()}},
                    {"ellipsis_mask", int64_t{o.ellipsis_mask()}},
                    {"new_axis_mask", int64_t{o.new_axis_mask()}},
                    {"shrink_axis_mask", int64_t{o.shrink_axis_mask()}}}));
}

void give_parts(Call& c, Value first) {
  for (size_t i = 0; i < c.out.size(); ++i) c.set(i, Builder::output(first, static_cast<int>(i)));
}
void lite_split(Call& c) {
  const int64_t parts = c.options<schema::SplitOptions>().num_splits();
  if (parts != static_cast<int64_t>(c.out.size()))
    refuse("is split into " + std::to_string(parts) + " parts", "the file is damaged");
  give_parts(c, c.b.add("Split", {c.in(0), c.in(1)}, {{"num_split", parts}}));
}
void lite_split_v(Call& c) {
  give_parts(c, c.b.add("SplitV", {c.in(0), c.in(1), c.in(2)}, {{"num_split", static_cast<int64_t>(c.out.size())}}));
}
void lite_unpack(Call& c) {
  const auto& o = c.options<schema::UnpackOptions>();
  if (o.num() != static_cast<int>(c.out.size()))
    refuse("is split into " + std::to_string(o.num()) + " parts", "the file is damaged");
  give_parts(c, c.b.add("Unpack", {c.in(0)}, {{"num", int64_t{o.num()}}, {"axis", int64_t{o.axis()}}}));
}

void concatenation(Call& c) {
  const auto& o = c.options<schema::ConcatenationOptions>();
  std::vector<Value> parts = c.all();
  if (parts.empty()) refuse("joins nothing", "the file is damaged");
  const size_t n = parts.size();
  parts.push_back(c.b.int32(c.axis_of(o.axis(), 0)));
  const Value y = n == 1 ? c.b.add("Identity", {parts[0]}) : c.b.add("ConcatV2", parts);
  c.give(y, o.fused_activation_function());
}
void lite_pack(Call& c) { c.set(0, c.b.add("Pack", c.all(), {{"axis", int64_t{c.options<schema::PackOptions>().axis()}}})); }

void lite_space_to_depth(Call& c) {
  c.set(0, c.b.add("SpaceToDepth", {c.in(0)}, {{"block_size", int64_t{c.options<schema::SpaceToDepthOptions>().block_size()}}}));
}
void lite_depth_to_space(Call& c) {
  c.set(0, c.b.add("DepthToSpace", {c.in(0)}, {{"block_size", int64_t{c.options<schema::DepthToSpaceOptions>().block_size()}}}));
}

void lite_shape_of(Call& c) { c.set(0, c.b.cast(c.b.shape(c.in(0)), c.result(0).dtype)); }
void lite_rank(Call& c) { c.set(0, c.b.int32(c.b.rank(c.in(0)))); }

// TensorFlow's op, which reads what the operator reads.
#define LITE_SAME_INPUTS(code, tf, moves)                              \
  {                                                                    \
    Code::code, [](Call& c) { c.set(0, c.b.add(tf, c.all())); }, moves \
  }

}  // namespace

const std::vector<LiteEntry>& lite_shape_entries() {
  static const std::vector<LiteEntry> entries = {
      LITE_SAME_INPUTS(BATCH_TO_SPACE_ND, "BatchToSpaceND", true),
      LITE_SAME_INPUTS(BROADCAST_ARGS, "BroadcastArgs", false),
      LITE_SAME_INPUTS(BROADCAST_TO, "BroadcastTo", true),
      {Code::CONCATENATION, concatenation, true},
      {Code::DEPTH_TO_SPACE, lite_depth_to_space, true},
      {Code::EXPAND_DIMS, lite_expand_dims, true},
      LITE_SAME_INPUTS(FILL, "Fill", true),
      {Code::MIRROR_PAD, lite_mirror_pad, true},
      {Code::PACK, lite_pack, true},
      {Code::PAD, lite_pad, true},
      {Code::PADV2, lite_pad_v2, true},
      LITE_SAME_INPUTS(RANGE, "Range", false),
      {Code::RANK, lite_rank},
      {Code::RESHAPE, lite_reshape, true},
      {Code::SHAPE, lite_shape_of},
      LITE_SAME_INPUTS(SLICE, "Slice", true),
      LITE_SAME_INPUTS(SPACE_TO_BATCH_ND, "SpaceToBatchND", true),
      {Code::SPACE_TO_DEPTH, lite_space_to_depth, true},
      {Code::SPLIT, lite_split, true},
      {Code::SPLIT_V, lite_split_v, true},
      {Code::SQUEEZE, lite_squeeze, true},
      {Code::STRIDED_SLICE, lite_strided_slice, true},
      LITE_SAME_INPUTS(TILE, "Tile", true),
      {Code::TRANSPOSE, lite_transpose, true},
      {Code::UNPACK, lite_unpack, true},
  };
  return entries;
}

}  // namespace cytodet::graph::lite
