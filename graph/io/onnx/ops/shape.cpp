// The shape of a tensor: read, changed, widened. Lists of sizes may be constants or computed while the model runs.
#include <numeric>

#include "graph/io/onnx/op_table.h"

namespace cytodet::graph::onnx {
namespace {

// [0, 1, ..., rank - 1] without some axes, which are computed.
Value other_axes(Builder& b, int64_t rank, Value axes) {
  const Value all = b.add("Range", {b.int64(0), b.int64(rank), b.int64(1)});
  const Value named = b.add("FloorMod", {b.cast(axes, DType::i64), b.int64(rank)});
  return b.add("ListDiff", {all, named}, {{"out_idx", DType::i32}});
}

// Sizes of 0 stand for those of the input.
void reshape(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0), wanted = c.in(1);
  const bool zeros = c.flag("allowzero", false);
  if (const Tensor* t = b.constant(wanted)) {
    std::vector<int64_t> sizes = t->as_ints();
    std::vector<Value> parts;
    bool computed = false;
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (sizes[i] == 0 && !zeros) {
        const Shape s = b.dims(x);
        if (i >= s.size()) refuse("keeps size " + std::to_string(i) + " of an input that has fewer", "the model is damaged");
        sizes[i] = s[i];
        computed = computed || s[i] < 0;
        parts.push_back(b.dimension(x, static_cast<int64_t>(i)));
      } else {
        parts.push_back(b.int64(sizes[i]));
      }
    }
    if (!computed) return c.set(0, b.add("Reshape", {x, b.ints(sizes)}));
    return c.set(0, b.add("Reshape", {x, b.add("Pack", parts, {{"axis", int64_t{0}}})}));
  }
  const Shape length = b.dims(wanted);
  if (zeros || length.size() != 1 || length[0] < 0) return c.set(0, b.add("Reshape", {x, wanted}));
  const int64_t rank = b.rank(x), n = length[0];
  Value own = b.shape(x);
  if (n < rank) own = b.slice(own, 0, 0, n);
  if (n > rank) own = b.add("ConcatV2", {own, b.ints(std::vector<int64_t>(static_cast<size_t>(n - rank), 0)), b.int32(0)});
  const Value keeps = b.add("Equal", {wanted, b.int64(0)});
  c.set(0, b.add("Reshape", {x, b.add("SelectV2", {keeps, own, wanted})}));
}

void flatten(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  const Shape s = b.dims(x);
  const int64_t rank = static_cast<int64_t>(s.size());
  int64_t axis = c.integer("axis", 1);
  if (axis < -rank || axis > rank) refuse("has axis " + std::to_string(axis), "the model is damaged");
  if (axis < 0) axis += rank;
  const auto product = [&](int64_t from, int64_t to) {
    int64_t n = 1;
    for (int64_t d = from; d < to; ++d) n = n < 0 || s[static_cast<size_t>(d)] < 0 ? -1 : n * s[static_cast<size_t>(d)];
    return n;
  };
  const int64_t left = product(0, axis), right = product(axis, rank);
  if (left < 0 && right < 0) {
    const Value sizes = b.add("Shape", {x}, {{"out_type", DType::i64}});
    const Value rows = b.add("Prod", {b.slice(sizes, 0, 0, axis), b.ints({0})}, {{"keep_dims", true}});
    return c.set(0, b.add("Reshape", {x, b.add("ConcatV2", {rows, b.ints({-1}), b.int32(0)})}));
  }
  c.set(0, b.add("Reshape", {x, b.ints({left, right})}));
}

void transpose(Call& c) {
  const Value x = c.in(0);
  const int64_t rank = c.b.rank(x);
  std::vector<int64_t> perm = c.integers("perm");
  if (perm.empty())
    for (int64_t d = rank - 1; d >= 0; --d) perm.push_back(d);
  std::vector<int64_t> sorted = Call::axes_in(perm, rank);
  if (static_cast<int64_t>(sorted.size()) != rank) refuse("has a perm that is no order of its axes", "the model is damaged");
  for (int64_t& p : perm) p = Call::axis_in(p, rank);
  const Value y = c.b.transpose(x, perm);
  c.set(0, y == x ? c.b.add("Identity", {x}) : y);
}

std::optional<std::vector<int64_t>> stated_axes(const Call& c) {
  if (c.has_attr("axes")) return c.integers("axes");
  if (!c.has(1)) return std::vector<int64_t>();
  const Tensor* t = c.constant(1);
  if (!t) return std::nullopt;
  return t->as_ints();
}

void squeeze(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  const auto stated = stated_axes(c);
  if (!stated)
    return c.set(0, b.add("Reshape", {x, b.add("GatherV2", {b.shape(x), other_axes(b, b.rank(x), c.in(1)), b.int32(0)})}));
  std::vector<int64_t> axes = *stated;
  const Shape s = b.dims(x);
  if (axes.empty())
    for (size_t d = 0; d < s.size(); ++d)
      if (s[d] == 1) axes.push_back(static_cast<int64_t>(d));
  axes = Call::axes_in(axes, static_cast<int64_t>(s.size()));
  c.set(0, axes.empty() ? b.add("Identity", {x}) : b.squeeze(x, axes));
}

void unsqueeze(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  auto axes = stated_axes(c);
  // Axes that count from the result's first dimension, and a single one of any sign, do not need the number of dimensions.
  const auto counts = [](int64_t a) { return a >= 0; };
  if (axes && !b.fact(x).shape && (axes->size() == 1 || std::all_of(axes->begin(), axes->end(), counts))) {
    std::sort(axes->begin(), axes->end());
    return c.set(0, b.expand_dims(x, *axes));
  }
  if (axes) {
    const Value y = b.expand_dims(x, Call::axes_in(*axes, b.rank(x) + static_cast<int64_t>(axes->size())));
    return c.set(0, y == x ? b.add("Identity", {x}) : y);
  }
  const int64_t more = b.static_dims(c.in(1)).at(0), rank = b.rank(x) + more;
  const Value named = b.add("FloorMod", {b.cast(c.in(1), DType::i64), b.int64(rank)});
  const Value places[] = {b.cast(other_axes(b, rank, c.in(1)), DType::i32), b.cast(named, DType::i32)};
  const Value ones = b.ints(std::vector<int64_t>(static_cast<size_t>(more), 1));
  const Value sizes = b.add("DynamicStitch", {places[0], places[1], b.shape(x), ones}, {{"N", int64_t{2}}, {"T", DType::i64}});
  c.set(0, b.add("Reshape", {x, sizes}));
}

void expand(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0), wanted = c.in(1);
  c.set(0, b.add("BroadcastTo", {x, b.add("BroadcastArgs", {b.shape(x), b.cast(wanted, DType::i64)})}));
}

void tile(Call& c) { c.set(0, c.b.add("Tile", {c.in(0), c.in(1)})); }

void shape(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  if (!b.fact(x).shape && c.integer("start", 0) == 0 && !c.has_attr("end")) return c.set(0, b.shape(x));
  const int64_t rank = b.rank(x);
  const auto bound = [&](const char* name, int64_t fallback) {
    const int64_t v = c.integer(name, fallback);
    return std::clamp<int64_t>(v < 0 ? v + rank : v, 0, rank);
  };
  const int64_t start = bound("start", 0), end = std::max(start, bound("end", rank));
  c.set(0, start == 0 && end == rank ? b.shape(x) : b.slice(b.shape(x), 0, start, end));
}

void size(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  if (b.is_static(x)) return c.set(0, b.int64(elements(b.dims(x))));
  c.set(0, b.add("Size", {x}, {{"out_type", DType::i64}}));
}

void identity(Call& c) { c.set(0, c.in(0)); }

// The input itself where the model is used; the mask says that all was kept.
void dropout(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  if (c.has(2)) {
    const Tensor* training = c.constant(2);
    const Tensor* ratio = c.has(1) ? c.constant(1) : nullptr;
    const bool harmless = (training && !training->as_int()) || (ratio && ratio->as_double() == 0);
    if (!harmless) refuse("drops elements at random, as in training", "export the model for inference");
  }
  c.set(0, x);
  if (c.wants(1)) c.set(1, b.add("Fill", {b.shape(x), b.number(1, DType::boolean)}));
}

int64_t blocks(const Call& c) {
  const int64_t size = c.integer("blocksize", 0);
  if (size < 1) refuse("has blocksize " + std::to_string(size), "the model is damaged");
  return size;
}
// Mode CRD: a pixel of a block is counted innermost; TensorFlow counts channels innermost.
void depth_to_space(Call& c) {
  Builder& b = c.b;
  const int64_t size = blocks(c);
  Value x = b.to_last(c.in(0));
  if (size == 1) return c.set(0, b.add("Identity", {c.in(0)}));
  const std::string mode = c.text("mode", "DCR");
  if (mode == "CRD") {
    const int64_t channels = b.dims(x)[3], each = channels / (size * size);
    if (channels < 0) refuse("has a number of channels that is not known");
    std::vector<int32_t> order;
    for (int64_t p = 0; p < size * size; ++p)
      for (int64_t k = 0; k < each; ++k) order.push_back(static_cast<int32_t>(k * size * size + p));
    x = b.add("GatherV2", {x, b.constant(Tensor::from<int32_t>({static_cast<int64_t>(order.size())}, order)), b.int32(3)});
  } else if (mode != "DCR") {
    refuse("has mode " + mode, "known are DCR and CRD");
  }
  c.set(0, b.from_last(b.add("DepthToSpace", {x}, {{"block_size", size}, {"data_format", "NHWC"}})));
}
void space_to_depth(Call& c) {
  Builder& b = c.b;
  const int64_t size = blocks(c);
  if (size == 1) return c.set(0, b.add("Identity", {c.in(0)}));
  c.set(0, b.from_last(b.add("SpaceToDepth", {b.to_last(c.in(0))}, {{"block_size", size}, {"data_format", "NHWC"}})));
}

}  // namespace

const std::vector<OnnxOp>& shape_entries() {
  static const std::vector<OnnxOp> entries = {
      {"DepthToSpace", 1, depth_to_space}, {"Dropout", 7, dropout}, {"Expand", 8, expand}, {"Flatten", 1, flatten},
      {"Identity", 1, identity},           {"Reshape", 5, reshape}, {"Shape", 1, shape},   {"Size", 1, size},
      {"SpaceToDepth", 1, space_to_depth}, {"Squeeze", 1, squeeze}, {"Tile", 6, tile},     {"Transpose", 1, transpose},
      {"Unsqueeze", 1, unsqueeze},
  };
  return entries;
}

}  // namespace cytodet::graph::onnx
