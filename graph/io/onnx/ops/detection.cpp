// What detectors do with boxes.
#include "graph/io/onnx/op_table.h"

namespace cytodet::graph::onnx {
namespace {

// [x, y, w, h] about a centre -> [y1, x1, y2, x2]
Value as_corners(Builder& b, Value boxes) {
  const int64_t axis = b.rank(boxes) - 1;
  const auto column = [&](int64_t i) { return b.slice(boxes, axis, i, i + 1); };
  const auto half = [&](int64_t i) { return b.add("Mul", {column(i), b.number(0.5, boxes)}); };
  const Value x = column(0), y = column(1), w = half(2), h = half(3);
  return b.add("ConcatV2",
               {b.add("Sub", {y, h}), b.add("Sub", {x, w}), b.add("AddV2", {y, h}), b.add("AddV2", {x, w}), b.int32(axis)});
}

constexpr int64_t kMaxClasses = 4096;  // of all images of the batch: each is suppressed by a node of its own

// Class by class: [image, class, box] of every box that stays. A score must be above its threshold.
void non_max_suppression(Call& c) {
  Builder& b = c.b;
  const Value scores = c.in(1);
  const Value boxes = c.flag("center_point_box", false) ? as_corners(b, c.in(0)) : c.in(0);
  const Shape s = b.dims(scores);
  if (s.size() != 3 || s[0] < 0 || s[1] < 0 || s[0] * s[1] > kMaxClasses)
    refuse("suppresses boxes of " + to_string(s) + " scores",
           "the number of images and classes must be known, and at most " + std::to_string(kMaxClasses));
  const auto number = [&](size_t i, DType type, double fallback) {
    return c.has(i) ? b.reshape(b.cast(c.in(i), type), {}) : b.number(fallback, type);
  };
  const Value most = number(2, DType::i32, 0), overlap = number(3, DType::f32, 0);
  const Value least = number(4, DType::f32, -3.4e38);
  std::vector<Value> found;
  for (int64_t image = 0; image < s[0]; ++image) {
    const Value own = b.squeeze(b.slice(boxes, 0, image, image + 1), {0}),
                all = b.squeeze(b.slice(scores, 0, image, image + 1), {0});
    for (int64_t k = 0; k < s[1]; ++k) {
      const Value of_class = b.squeeze(b.slice(all, 0, k, k + 1), {0});
      const Value kept = b.cast(b.add("NonMaxSuppressionV3", {own, of_class, most, overlap, least}), DType::i64);
      const Value column = b.add("ExpandDims", {kept, b.int32(1)});
      const Value label = b.reshape(b.ints({image, k}), {1, 2});
      const Value count = b.add("Shape", {kept}, {{"out_type", DType::i64}});
      const Value labels = b.add("Tile", {label, b.add("ConcatV2", {count, b.ints({1}), b.int32(0)})});
      found.push_back(b.add("ConcatV2", {labels, column, b.int32(1)}));
    }
  }
  if (found.empty()) return c.set(0, b.constant(Tensor(DType::i64, {0, 3})));
  if (found.size() == 1) return c.set(0, found[0]);
  found.push_back(b.int32(0));
  c.set(0, b.add("ConcatV2", found));
}

}  // namespace

const std::vector<OnnxOp>& detection_entries() {
  static const std::vector<OnnxOp> entries = {
      {"NonMaxSuppression", 10, non_max_suppression},
  };
  return entries;
}

}  // namespace cytodet::graph::onnx
