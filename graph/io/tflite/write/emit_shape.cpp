// Shapes, cuts and joins. Sizes are fixed, so that all that only changes a shape is RESHAPE.
#include "core/error.h"
#include "graph/io/tflite/write/emit.h"
#include "graph/quantized/quant_nodes.h"

namespace cytodet::graph::lite {
namespace {

using Code = schema::BuiltinOperator;

void emit_alias(LiteEmit& e) { e.alias({e.id, 0}, e.in(0)); }

void emit_reshape(LiteEmit& e) {
  const Shape s = e.shape_of({e.id, 0});
  const std::vector<int32_t> dims(s.begin(), s.end());
  const int shape = e.ints("shape", {s.begin(), s.end()});
  e.op<schema::ReshapeOptions>(Code::RESHAPE, {e.in(0), shape}, {e.out()},
                               [dims](auto& b) { return schema::CreateReshapeOptionsDirect(b, &dims); });
}

void emit_transpose(LiteEmit& e) {
  e.op<schema::TransposeOptions>(Code::TRANSPOSE, {e.in(0), e.in_int32(1)}, {e.out()},
                                 [](auto& b) { return schema::CreateTransposeOptions(b); });
}
void emit_pad(LiteEmit& e) {
  e.op<schema::PadOptions>(Code::PAD, {e.in(0), e.in_int32(1)}, {e.out()}, [](auto& b) { return schema::CreatePadOptions(b); });
}
void emit_pad_v2(LiteEmit& e) { e.op(Code::PADV2, {e.in(0), e.in_int32(1), e.in(2)}, {e.out()}); }
void emit_mirror_pad(LiteEmit& e) {
  const auto mode =
      e.n.attr<std::string>("mode") == "REFLECT" ? schema::MirrorPadMode::REFLECT : schema::MirrorPadMode::SYMMETRIC;
  e.op<schema::MirrorPadOptions>(Code::MIRROR_PAD, {e.in(0), e.in_int32(1)}, {e.out()},
                                 [=](auto& b) { return schema::CreateMirrorPadOptions(b, mode); });
}
void emit_slice(LiteEmit& e) {
  e.op<schema::SliceOptions>(Code::SLICE, {e.in(0), e.in_int32(1), e.in_int32(2)}, {e.out()},
                             [](auto& b) { return schema::CreateSliceOptions(b); });
}
void emit_strided_slice(LiteEmit& e) {
  const auto mask = [&](const char* name) { return static_cast<int>(e.n.attr_or(name, int64_t{0})); };
  const int begin = mask("begin_mask"), end = mask("end_mask"), ellipsis = mask("ellipsis_mask"), axis = mask("new_axis_mask"),
            shrink = mask("shrink_axis_mask");
  e.op<schema::StridedSliceOptions>(
      Code::STRIDED_SLICE, {e.in(0), e.in_int32(1), e.in_int32(2), e.in_int32(3)}, {e.out()},
      [=](auto& b) { return schema::CreateStridedSliceOptions(b, begin, end, ellipsis, axis, shrink); });
}

std::vector<int> outs(LiteEmit& e, int64_t count) {
  std::vector<int> tensors;
  for (int64_t i = 0; i < count; ++i) tensors.push_back(e.out(static_cast<int>(i)));
  return tensors;
}
void emit_split(LiteEmit& e) {
  const int64_t parts = e.n.attr<int64_t>("num_split");
  e.op<schema::SplitOptions>(Code::SPLIT, {e.in_int32(0), e.in(1)}, outs(e, parts),
                             [=](auto& b) { return schema::CreateSplitOptions(b, static_cast<int>(parts)); });
}
void emit_split_v(LiteEmit& e) {
  const int64_t parts = e.n.attr<int64_t>("num_split");
  e.op<schema::SplitVOptions>(Code::SPLIT_V, {e.in(0), e.in_int32(1), e.in_int32(2)}, outs(e, parts),
                              [=](auto& b) { return schema::CreateSplitVOptions(b, static_cast<int>(parts)); });
}
void emit_unpack(LiteEmit& e) {
  const int parts = static_cast<int>(e.n.attr<int64_t>("num")), axis = static_cast<int>(e.n.attr_or("axis", int64_t{0}));
  e.op<schema::UnpackOptions>(Code::UNPACK, {e.in(0)}, outs(e, parts),
                              [=](auto& b) { return schema::CreateUnpackOptions(b, parts, axis); });
}

void emit_concat(LiteEmit& e) {
  const size_t parts = e.n.inputs.size() - 1;
  const int axis = static_cast<int>(e.need_constant(parts).as_int());
  std::vector<int> in;
  for (size_t i = 0; i < parts; ++i) in.push_back(e.in(i));
  e.op<schema::ConcatenationOptions>(Code::CONCATENATION, in, {e.out()},
                                     [=](auto& b) { return schema::CreateConcatenationOptions(b, axis); });
}
void emit_pack(LiteEmit& e) {
  const int parts = static_cast<int>(e.n.inputs.size()), axis = static_cast<int>(e.n.attr_or("axis", int64_t{0}));
  e.op<schema::PackOptions>(Code::PACK, e.all(), {e.out()}, [=](auto& b) { return schema::CreatePackOptions(b, parts, axis); });
}

void emit_block(LiteEmit& e, bool to_depth) {
  const int block = static_cast<int>(e.n.attr<int64_t>("block_size"));
  if (e.n.attr_or<std::string>("data_format", "NHWC") != "NHWC")
    throw Error("", "has its channels first", "TensorFlow Lite wants them last");
  if (to_depth)
    e.op<schema::SpaceToDepthOptions>(Code::SPACE_TO_DEPTH, {e.in(0)}, {e.out()},
                                      [=](auto& b) { return schema::CreateSpaceToDepthOptions(b, block); });
  else
    e.op<schema::DepthToSpaceOptions>(Code::DEPTH_TO_SPACE, {e.in(0)}, {e.out()},
                                      [=](auto& b) { return schema::CreateDepthToSpaceOptions(b, block); });
}

void emit_gather(LiteEmit& e) {
  const int axis = static_cast<int>(e.need_constant(2).as_int()), batch = static_cast<int>(e.n.attr_or("batch_dims", int64_t{0}));
  e.op<schema::GatherOptions>(Code::GATHER, {e.in(0), e.in_int32(1)}, {e.out()},
                              [=](auto& b) { return schema::CreateGatherOptions(b, axis, batch); });
}
void emit_tile(LiteEmit& e) {
  e.op<schema::TileOptions>(Code::TILE, {e.in(0), e.in_int32(1)}, {e.out()},
                            [](auto& b) { return schema::CreateTileOptions(b); });
}
void emit_top_k(LiteEmit& e) { e.op(Code::TOPK_V2, {e.in(0), e.in_int32(1)}, outs(e, 2)); }

// QuantizeV2 -> Dequantize: the value's own grid where nobody reads it otherwise, else a rounded copy.
void emit_quantize(LiteEmit&) {}  // by its Dequantize
void emit_dequantize(LiteEmit& e) {
  const auto q = fake_quant_value(e.graph, {e.id, 0});
  if (!q || q->quant.is_signed) throw Error("", "is of a quantization that has no form here", "quantize without --symmetric");
  const Grid grid{q->quant.scale, q->quant.zero_point - 128, -128, 127, DType::i8};
  const int x = e.tensor_of(q->input);
  Writing& w = e.writing();
  bool alone = !e.at(x).data && !w.outputs.contains(q->input.node);
  for (const Consumers::Use& use : w.uses.of(q->input)) {
    const Node& reader = e.graph.node(use.node);
    alone &= reader.op == "QuantizeV2" && use.input == 0 && reader.inputs.size() == 3 &&
             reader.inputs[1] == e.graph.node(e.n.inputs[0].node).inputs[1];
  }
  if (alone || (e.at(x).grid && e.at(x).grid->equals(grid))) {
    e.at(x).grid = grid;
    return e.alias({e.id, 0}, x);
  }
  const int stored = e.between("stored", e.at(x).shape, DType::i8);
  e.at(stored).quant = {{grid.scale}, {grid.zero_point}, 0};
  e.op(Code::QUANTIZE, {x}, {stored});
  const int y = e.out();
  e.at(y).grid = grid;
  e.op(Code::DEQUANTIZE, {stored}, {y});
}

}  // namespace

const std::vector<LiteEmitEntry>& lite_emit_shape_entries() {
  static const std::vector<LiteEmitEntry> entries = {
      {"ConcatV2", emit_concat},
      {"DepthToSpace", [](LiteEmit& e) { emit_block(e, false); }},
      {"Dequantize", emit_dequantize},
      {"ExpandDims", emit_reshape},
      {"GatherV2", emit_gather},
      {"Identity", emit_alias},
      {"MirrorPad", emit_mirror_pad},
      {"Pack", emit_pack},
      {"Pad", emit_pad},
      {"PadV2", emit_pad_v2},
      {"QuantizeV2", emit_quantize},
      {"Reshape", emit_reshape},
      {"Slice", emit_slice},
      {"SpaceToDepth", [](LiteEmit& e) { emit_block(e, true); }},
      {"Split", emit_split},
      {"SplitV", emit_split_v},
      {"Squeeze", emit_reshape},
      {"StopGradient", emit_alias},
      {"StridedSlice", emit_strided_slice},
      {"Tile", emit_tile},
      {"TopKV2", emit_top_k},
      {"Transpose", emit_transpose},
      {"Unpack", emit_unpack},
  };
  return entries;
}

}  // namespace cytodet::graph::lite
