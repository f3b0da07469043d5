// Nodes that only move elements -> a copy: Pad, PadV2, MirrorPad, Slice, StridedSlice, Split, SplitV, Unpack, Transpose, Tile,
// ReverseV2, Roll, SpaceToDepth, DepthToSpace, ResizeNearestNeighbor of any ratio, GatherV2 by constant indices. And Pad before a
// depthwise convolution, which pads by itself.
#include <algorithm>
#include <numeric>
#include <set>

#include "exec/lower/match.h"
#include "exec/steps/copy_step.h"
#include "graph/ir/conv_node.h"

namespace cytodet::exec {
namespace {

using Offsets = std::vector<int64_t>;

std::vector<int64_t> dense_strides(const Shape& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * shape[d];
  return strides;
}

// count elements from `begin` on, `step` apart, of a dimension with this stride.
Offsets even(int64_t count, int64_t stride, int64_t begin = 0, int64_t step = 1) {
  Offsets offsets;
  for (int64_t i = 0; i < count; ++i) offsets.push_back((begin + i * step) * stride);
  return offsets;
}

Copy whole(const Shape& shape) {
  Copy copy;
  const std::vector<int64_t> strides = dense_strides(shape);
  for (size_t d = 0; d < shape.size(); ++d) copy.offsets.push_back(even(shape[d], strides[d]));
  return copy;
}

// The number that Pad or PadV2 fills with; nothing where it is not known.
std::optional<float> pad_value(const Lowering& low, const Node& n) {
  if (n.op != "PadV2") return 0.0f;
  const Tensor* value = n.inputs.size() == 3 ? low.constant(n.inputs[2]) : nullptr;
  if (!value || value->dtype() != DType::f32 || value->size() != 1) return {};
  return value->data<float>()[0];
}

std::optional<Copy> pad_copy(const Lowering& low, const Node& n, const Shape& in) {
  const auto pads = known_ints(low, n, 1);
  if (!pads || pads->size() != 2 * in.size() || *std::min_element(pads->begin(), pads->end()) < 0) return {};
  const std::optional<float> fill = pad_value(low, n);
  if (!fill) return {};
  Copy copy;
  copy.fill = *fill;
  const bool mirrors = n.op == "MirrorPad", reflects = mirrors && n.attr_or<std::string>("mode", "") == "REFLECT";
  const std::vector<int64_t> strides = dense_strides(in);
  for (size_t d = 0; d < in.size(); ++d) {
    Offsets offsets;
    const int64_t size = in[d], edge = reflects ? 1 : 0;
    if (mirrors && std::max((*pads)[2 * d], (*pads)[2 * d + 1]) > size - edge) return {};
    for (int64_t i = -(*pads)[2 * d]; i < size + (*pads)[2 * d + 1]; ++i) {
      const int64_t from = !mirrors || (i >= 0 && i < size) ? i : i < 0 ? -i - 1 + edge : 2 * size - 1 - i - edge;
      offsets.push_back(from < 0 || from >= size ? kFill : from * strides[d]);
    }
    copy.offsets.push_back(std::move(offsets));
  }
  return copy;
}

std::optional<Copy> slice_copy(const Lowering& low, const Node& n, const Shape& in, const Shape& out) {
  const auto begin = known_ints(low, n, 1);
  if (!begin || begin->size() != in.size() || out.size() != in.size()) return {};
  Copy copy;
  const std::vector<int64_t> strides = dense_strides(in);
  for (size_t d = 0; d < in.size(); ++d) {
    if ((*begin)[d] < 0 || (*begin)[d] + out[d] > in[d]) return {};
    copy.offsets.push_back(even(out[d], strides[d], (*begin)[d]));
  }
  return copy;
}

// What the plain eval makes of the indices of the input says where each element comes from.
std::optional<Copy> probed_copy(const Lowering& low, const Node& n, const Shape& in, const Shape& out) {
  constexpr int64_t kMaxProbe = 4 << 20;
  if (elements(in) > kMaxProbe || elements(out) > kMaxProbe) return {};
  Tensor indices(DType::i32, in);
  std::iota(indices.data<int32_t>(), indices.data<int32_t>() + indices.size(), 0);
  std::vector<Tensor> inputs{indices};
  for (size_t i = 1; i < n.inputs.size(); ++i) {
    const Tensor* t = low.constant(n.inputs[i]);
    if (!t) return {};
    inputs.push_back(*t);
  }
  const Tensor found = evaluate(n, inputs)[0];
  if (found.shape() != out || found.dtype() != DType::i32) return {};
  Copy copy;
  const int32_t* index = found.data<int32_t>();
  copy.first = index[0];
  const std::vector<int64_t> strides = dense_strides(out);
  for (size_t d = 0; d < out.size(); ++d) {
    Offsets offsets;
    for (int64_t i = 0; i < out[d]; ++i) offsets.push_back(index[i * strides[d]] - index[0]);
    copy.offsets.push_back(std::move(offsets));
  }
  // Parts are counted from the smallest, so that none is kFill.
  for (Offsets& offsets : copy.offsets) {
    const int64_t min = *std::min_element(offsets.begin(), offsets.end());
    for (int64_t& o : offsets) o -= min;
    copy.first += min;
  }
  return copy;
}

std::optional<Copy> transpose_copy(const Lowering& low, const Node& n, const Shape& in) {
  const auto order = known_ints(low, n, 1);
  if (!order || order->size() != in.size()) return {};
  Copy copy;
  const std::vector<int64_t> strides = dense_strides(in);
  for (int64_t o : *order) {
    const std::optional<size_t> d = dimension_of(o, in.size());
    if (!d) return {};
    copy.offsets.push_back(even(in[*d], strides[*d]));
  }
  return copy;
}

std::optional<Copy> tile_copy(const Lowering& low, const Node& n, const Shape& in) {
  const auto repeats = known_ints(low, n, 1);
  if (!repeats || repeats->size() != in.size()) return {};
  Copy copy = whole(in);
  for (size_t d = 0; d < in.size(); ++d) {
    const Offsets once = copy.offsets[d];
    for (int64_t r = 1; r < (*repeats)[d]; ++r) copy.offsets[d].insert(copy.offsets[d].end(), once.begin(), once.end());
  }
  return copy;
}

std::optional<Copy> reverse_copy(const Lowering& low, const Node& n, const Shape& in) {
  const auto axes = known_ints(low, n, 1);
  if (!axes) return {};
  Copy copy = whole(in);
  for (int64_t a : *axes) {
    const std::optional<size_t> d = dimension_of(a, in.size());
    if (!d) return {};
    std::reverse(copy.offsets[*d].begin(), copy.offsets[*d].end());
  }
  return copy;
}

// Element i of an axis comes from i - shift, around its end.
std::optional<Copy> roll_copy(const Lowering& low, const Node& n, const Shape& in) {
  const auto shifts = known_ints(low, n, 1), axes = known_ints(low, n, 2);
  if (!shifts || !axes || shifts->size() != axes->size()) return {};
  Copy copy = whole(in);
  for (size_t i = 0; i < axes->size(); ++i) {
    const std::optional<size_t> d = dimension_of((*axes)[i], in.size());
    if (!d) return {};
    Offsets& offsets = copy.offsets[*d];
    const int64_t size = in[*d], shift = ((*shifts)[i] % size + size) % size;
    std::rotate(offsets.begin(), offsets.end() - shift, offsets.end());
  }
  return copy;
}

std::optional<Copy> gather_copy(const Lowering& low, const Node& n, const Shape& in) {
  const auto indices = known_ints(low, n, 1);
  const auto axis = known_dimension(low, n, 2, in.size());
  if (!indices || !axis || n.attr_or("batch_dims", int64_t{0}) != 0) return {};
  Copy copy = whole(in);
  const int64_t stride = dense_strides(in)[*axis];
  copy.offsets[*axis].clear();
  for (int64_t i : *indices) {
    if (i < 0 || i >= in[*axis]) return {};
    copy.offsets[*axis].push_back(i * stride);
  }
  return copy;
}

// [n, h * b, w * b, c] <-> [n, h, w, b * b * c], as six dimensions of the result.
std::optional<Copy> depth_copy(const Node& n, const Shape& in) {
  const int64_t b = n.attr_or("block_size", int64_t{0});
  if (in.size() != 4 || b < 1 || !is_channels_last(n)) return {};
  const std::vector<int64_t> s = dense_strides(in);
  Copy copy;
  if (n.op == "SpaceToDepth")
    copy.offsets = {even(in[0], s[0]), even(in[1] / b, b * s[1]), even(in[2] / b, b * s[2]), even(b, s[1]), even(b, s[2]),
                    even(in[3], 1)};
  else
    copy.offsets = {even(in[0], s[0]), even(in[1], s[1]),      even(b, in[3] / b),
                    even(in[2], s[2]), even(b, in[3] / b / b), even(in[3] / b / b, 1)};
  return copy;
}

std::optional<Copy> copy_of(const Lowering& low, const Node& n, const Shape& in, const Shape& out) {
  if (n.op == "Pad" || n.op == "PadV2" || n.op == "MirrorPad") return pad_copy(low, n, in);
  if (n.op == "Slice") return slice_copy(low, n, in, out);
  if (n.op == "StridedSlice" || n.op == "ResizeNearestNeighbor") return probed_copy(low, n, in, out);
  if (n.op == "Transpose") return transpose_copy(low, n, in);
  if (n.op == "Tile") return tile_copy(low, n, in);
  if (n.op == "ReverseV2") return reverse_copy(low, n, in);
  if (n.op == "Roll") return roll_copy(low, n, in);
  if (n.op == "GatherV2") return gather_copy(low, n, in);
  if (n.op == "SpaceToDepth" || n.op == "DepthToSpace") return depth_copy(n, in);
  return {};
}

int64_t count_of(const Copy& copy) {
  int64_t count = 1;
  for (const Offsets& offsets : copy.offsets) count *= static_cast<int64_t>(offsets.size());
  return count;
}

// What the parts of Split, SplitV or Unpack hold.
struct Parts {
  Value input;
  std::vector<Copy> copies;
};
std::optional<Parts> parts_of(const Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  const bool split = n.op == "Split", split_v = n.op == "SplitV", unpack = n.op == "Unpack";
  if (!split && !split_v && !unpack) return {};
  if (n.inputs.size() != (split ? 2u : split_v ? 3u : 1u)) return {};
  Parts parts{n.inputs[split ? 1 : 0], {}};
  const Shape* in = low.float_shape(parts.input);
  if (!in || in->empty() || elements(*in) == 0 || low.constant(parts.input)) return {};
  const auto axis =
      unpack ? dimension_of(n.attr_or("axis", int64_t{0}), in->size()) : known_dimension(low, n, split ? 0 : 2, in->size());
  if (!axis) return {};
  const int64_t count = n.attr_or(unpack ? "num" : "num_split", int64_t{0}), stride = dense_strides(*in)[*axis];
  int64_t begin = 0;
  for (int64_t i = 0; i < count; ++i) {
    const Shape* shape = low.float_shape({id, static_cast<int>(i)});
    if (!shape || elements(*shape) == 0) return {};
    const int64_t size = unpack ? 1 : (*shape)[*axis];
    Copy copy = whole(*in);
    copy.offsets[*axis] = even(size, stride, begin);
    begin += size;
    if (count_of(copy) != elements(*shape)) return {};
    // Without the dimension that Unpack takes away.
    if (unpack) copy.first = copy.offsets[*axis][0], copy.offsets.erase(copy.offsets.begin() + static_cast<long>(*axis));
    parts.copies.push_back(std::move(copy));
  }
  if (begin != (*in)[*axis]) return {};
  return parts;
}

// The output channel that the values of each input channel come to, -1 where none is read; empty where they come to several.
std::vector<int64_t> channels_after(const Copy& copy, int64_t channels) {
  std::set<int64_t> starts{copy.first % channels};  // input channels at which pixels of the output begin
  for (size_t d = 0; d + 1 < copy.offsets.size(); ++d) {
    std::set<int64_t> more;
    for (int64_t offset : std::set<int64_t>(copy.offsets[d].begin(), copy.offsets[d].end()))
      for (int64_t start : starts)
        if (offset != kFill) more.insert((start + offset) % channels);
    starts = std::move(more);
  }
  std::vector<int64_t> after(static_cast<size_t>(channels), -1);
  for (int64_t start : starts)
    for (size_t c = 0; c < copy.offsets.back().size(); ++c) {
      if (copy.offsets.back()[c] == kFill) continue;
      int64_t& to = after[static_cast<size_t>((start + copy.offsets.back()[c]) % channels)];
      if (to >= 0 && to != static_cast<int64_t>(c)) return {};
      to = static_cast<int64_t>(c);
    }
  return after;
}

void claim_copy(Lowering& low, NodeId id, Value input, Value output, Copy copy) {
  const bool fills = std::any_of(copy.offsets.begin(), copy.offsets.end(),
                                 [](const Offsets& offsets) { return std::count(offsets.begin(), offsets.end(), kFill) > 0; });
  const bool moves = !fills || copy.fill == 0;
  const Shape &in = *low.float_shape(input), &out = *low.float_shape(output);
  const bool has_channels = !in.empty() && !out.empty() && static_cast<int64_t>(copy.offsets.back().size()) == out.back();
  std::vector<int64_t> after = moves && has_channels ? channels_after(copy, in.back()) : std::vector<int64_t>();
  MakeStep make = [copy = std::move(copy)](const LayerIo& io) { return make_copy(copy, io.inputs[0], io.output); };
  Layer& layer = low.add_layer(output, Opaque{{input}, std::move(make)}, {id});
  if (moves) layer.movement = DataMovement::other_channels;
  layer.channels_after = std::move(after);
}

}  // namespace

//   value ─▶ Transpose | Slice | Pad | Tile | SpaceToDepth | ... ─▶ moved elements, each read once (copy_of has all forms)
bool match_copy(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.inputs.empty() || low.constant(n.inputs[0])) return false;
  const Shape *in = low.float_shape(n.inputs[0]), *out = low.float_shape({id, 0});
  if (!in || !out || elements(*in) == 0 || elements(*out) == 0 || !fits_tensor(low, {id, 0})) return false;
  std::optional<Copy> copy = copy_of(low, n, *in, *out);
  if (!copy || count_of(*copy) != elements(*out)) return false;
  claim_copy(low, id, n.inputs[0], {id, 0}, std::move(*copy));
  return true;
}

namespace {

// With one list for each dimension of `shape`: those of one element come and go. Nothing where the others differ.
std::optional<Copy> over_dimensions(const Copy& copy, const Shape& shape) {
  Copy out{{}, copy.first, copy.fill};
  size_t next = 0;
  const auto skip = [&] {
    for (; next < copy.offsets.size() && copy.offsets[next].size() == 1; ++next) out.first += copy.offsets[next][0];
  };
  for (int64_t size : shape) {
    skip();
    if (size == 1) {
      out.offsets.push_back({0});
      continue;
    }
    if (next == copy.offsets.size() || static_cast<int64_t>(copy.offsets[next].size()) != size) return {};
    out.offsets.push_back(copy.offsets[next++]);
  }
  skip();
  return next == copy.offsets.size() ? std::optional(out) : std::nullopt;
}

}  // namespace

std::optional<Copy> one_move(const Lowering& low, Value v) {
  const Node& n = low.graph.node(v.node);
  if (n.inputs.empty()) return {};
  const bool part = n.op == "Split" || n.op == "SplitV" || n.op == "Unpack";
  const Shape *out = low.float_shape(v), *in = low.float_shape(n.inputs[n.op == "Split" ? 1 : 0]);
  if (!in || !out || elements(*in) == 0 || elements(*out) == 0 || (v.slot != 0 && !part)) return {};
  std::optional<Copy> copy;
  if (part) {
    const std::optional<Parts> parts = parts_of(low, v.node);
    if (parts && static_cast<size_t>(v.slot) < parts->copies.size()) copy = parts->copies[static_cast<size_t>(v.slot)];
  } else if (is_alias(n.op)) {
    copy = whole(*out);
  } else {
    copy = copy_of(low, n, *in, *out);
  }
  if (!copy || count_of(*copy) != elements(*out)) return {};
  for (const Offsets& offsets : copy->offsets)
    if (std::count(offsets.begin(), offsets.end(), kFill) > 0) return {};
  return over_dimensions(*copy, *out);
}

std::optional<Copy> composed(const Copy& first, const Shape& between, const Copy& then) {
  if (first.offsets.size() != between.size()) return {};
  const std::vector<int64_t> strides = dense_strides(between);
  const auto place = [&](int64_t element, size_t d) { return element / strides[d] % between[d]; };
  Copy out{then.offsets, first.first, first.fill};
  for (Offsets& offsets : out.offsets) std::fill(offsets.begin(), offsets.end(), 0);
  for (size_t d = 0; d < between.size(); ++d) {
    const int64_t start = place(then.first, d);
    // The dimensions of the result that move over this one.
    std::vector<size_t> over;
    int64_t largest = start;
    for (size_t r = 0; r < then.offsets.size(); ++r) {
      int64_t max_place = 0;
      for (int64_t offset : then.offsets[r]) {
        if (offset < 0) return {};
        max_place = std::max(max_place, place(offset, d));
      }
      if (max_place > 0) over.push_back(r);
      largest += max_place;
    }
    if (largest >= between[d]) return {};  // a sum of parts would carry over
    const Offsets& own = first.offsets[d];
    if (over.size() == 1) {
      for (size_t i = 0; i < then.offsets[over[0]].size(); ++i)
        out.offsets[over[0]][i] += own[static_cast<size_t>(start + place(then.offsets[over[0]][i], d))];
      continue;
    }
    out.first += own[static_cast<size_t>(start)];
    const int64_t step = own.size() > 1 ? own[1] - own[0] : 0;
    for (size_t i = 1; !over.empty() && i < own.size(); ++i)
      if (own[i] - own[i - 1] != step) return {};
    for (size_t r : over)
      for (size_t i = 0; i < then.offsets[r].size(); ++i) out.offsets[r][i] += step * place(then.offsets[r][i], d);
  }
  return out;
}

//   value ─▶ Split | SplitV | Unpack ─┬▶ part     each part that is read becomes a layer that copies it
//                                     └▶ part ...
//
// No part may be an output of the plan: a part that no node reads gets no layer.
bool match_split(Lowering& low, NodeId id) {
  std::optional<Parts> parts = parts_of(low, id);
  if (!parts) return false;
  for (size_t i = 0; i < parts->copies.size(); ++i)
    if (low.is_wanted({id, static_cast<int>(i)})) return false;
  for (size_t i = 0; i < parts->copies.size(); ++i) {
    const Value part{id, static_cast<int>(i)};
    if (!low.absorbable_uses(part).empty()) claim_copy(low, id, parts->input, part, std::move(parts->copies[i]));
  }
  low.take({id});
  return true;
}

std::optional<ZeroPad> zero_pad_before(const Lowering& low, Value v) {
  const Node& n = low.graph.node(v.node);
  if ((n.op != "Pad" && n.op != "PadV2") || v.slot != 0 || low.is_wanted(v)) return {};
  const auto pads = known_ints(low, n, 1);
  const Shape* in = low.float_shape(n.inputs[0]);
  if (!pads || pads->size() != 8 || !in || in->size() != 4 || *std::min_element(pads->begin(), pads->end()) < 0) return {};
  if ((*pads)[0] || (*pads)[1] || (*pads)[6] || (*pads)[7] || *std::max_element(pads->begin(), pads->end()) > 64) return {};
  if (pad_value(low, n) != 0.0f) return {};
  const auto at = [&](size_t i) { return static_cast<int>((*pads)[i]); };
  return ZeroPad{n.inputs[0], v.node, at(2), at(3), at(4), at(5)};
}

void set_padding(ConvShape& shape, const ZeroPad& pad) {
  shape.pad_top = pad.top;
  shape.pad_bottom = pad.bottom;
  shape.pad_left = pad.left;
  shape.pad_right = pad.right;
}

}  // namespace cytodet::exec
