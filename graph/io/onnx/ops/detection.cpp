// What detectors do with boxes.
#include <limits>

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
constexpr int64_t kMaxCrop = 1024;     // samples of a side

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
  const double all = std::numeric_limits<int32_t>::max();  // a larger number of boxes, too, means all
  const Value max_boxes = c.has(2)
                              ? b.reshape(b.cast(b.add("Minimum", {c.in(2), b.number(all, b.type(c.in(2)))}), DType::i32), {})
                              : b.number(0, DType::i32);
  const Value overlap = number(3, DType::f32, 0);
  const Value min_score = number(4, DType::f32, -3.4e38);
  std::vector<Value> found;
  for (int64_t image = 0; image < s[0]; ++image) {
    const Value own = b.squeeze(b.slice(boxes, 0, image, image + 1), {0}),
                of_image = b.squeeze(b.slice(scores, 0, image, image + 1), {0});
    for (int64_t k = 0; k < s[1]; ++k) {
      const Value of_class = b.squeeze(b.slice(of_image, 0, k, k + 1), {0});
      const Value kept = b.cast(b.add("NonMaxSuppressionV3", {own, of_class, max_boxes, overlap, min_score}), DType::i64);
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

// The first and last of `count` points of a side of each roi, evenly spaced with half a step before and behind, as shares of the
// map's side that one replicated pixel was added to at each end: [rois, 1] each.
struct SampledSide {
  Value first, last;
};
SampledSide sampled_side(Builder& b, Value begin, Value end, bool at_least_one, int64_t count, int64_t size) {
  const auto number = [&](double v) { return b.number(v, DType::f32); };
  Value length = b.add("Sub", {end, begin});
  if (at_least_one) length = b.add("Maximum", {length, number(1)});
  const auto point = [&](double share) {
    const Value at = b.add("AddV2", {begin, b.add("Mul", {length, number(share)})});
    return b.add("RealDiv", {b.add("AddV2", {at, number(1)}), number(static_cast<double>(size + 1))});
  };
  const auto n = static_cast<double>(count);
  return {point(0.5 / n), point((n - 0.5) / n)};
}

// Means of bilinear samples of each roi. Samples up to one pixel outside the map are those of its edge, others 0: so is
// CropAndResize of the map with its edge replicated once, and its crops are averaged.
void roi_align(Call& c) {
  Builder& b = c.b;
  const int64_t h = c.integer("output_height", 1), w = c.integer("output_width", 1), samples = c.integer("sampling_ratio", 0);
  if (c.text("mode", "avg") != "avg") refuse("takes the largest of its samples", "averages are read");
  if (samples < 1) refuse("takes as many samples as each roi is large", "export it with sampling_ratio 2");
  if (h < 1 || w < 1 || h * samples > kMaxCrop || w * samples > kMaxCrop)
    refuse("makes crops of " + std::to_string(h) + " x " + std::to_string(w) + " with " + std::to_string(samples) + " samples",
           "crops of up to " + std::to_string(kMaxCrop) + " samples are read");
  const Shape map = b.dims(c.in(0));
  if (map.size() != 4 || map[2] < 1 || map[3] < 1) refuse("samples a map of " + to_string(map), "its size must be known");
  const bool half_pixel =
      c.text("coordinate_transformation_mode", c.opset < 16 ? "output_half_pixel" : "half_pixel") == "half_pixel";
  Value rois = b.add("Mul", {c.in(1), b.number(c.real("spatial_scale", 1), DType::f32)});
  if (half_pixel) rois = b.add("Sub", {rois, b.number(0.5, DType::f32)});
  const auto column = [&](int64_t i) { return b.slice(rois, 1, i, i + 1); };
  const SampledSide y = sampled_side(b, column(1), column(3), !half_pixel, h * samples, map[2]),
                    x = sampled_side(b, column(0), column(2), !half_pixel, w * samples, map[3]);
  const Value boxes = b.add("ConcatV2", {y.first, x.first, y.last, x.last, b.int32(1)});
  const Value edges = b.constant(Tensor::from<int32_t>({4, 2}, {0, 0, 1, 1, 1, 1, 0, 0}));
  const Value padded = b.add("MirrorPad", {b.transpose(c.in(0), {0, 2, 3, 1}), edges}, {{"mode", std::string("SYMMETRIC")}});
  const Value sizes =
      b.constant(Tensor::from<int32_t>({2}, {static_cast<int32_t>(h * samples), static_cast<int32_t>(w * samples)}));
  Value crops = b.add("CropAndResize", {padded, boxes, b.cast(c.in(2), DType::i32), sizes},
                      {{"method", std::string("bilinear")}, {"extrapolation_value", 0.0f}});
  if (samples > 1) {
    AttrList window;
    window.ints = {1, samples, samples, 1};
    crops =
        b.add("AvgPool", {crops},
              {{"ksize", window}, {"strides", window}, {"padding", std::string("VALID")}, {"data_format", std::string("NHWC")}});
  }
  c.set(0, b.transpose(crops, {0, 3, 1, 2}));
}

}  // namespace

const std::vector<OnnxOp>& detection_entries() {
  static const std::vector<OnnxOp> entries = {
      {"NonMaxSuppression", 10, non_max_suppression},
      {"RoiAlign", 10, roi_align},
  };
  return entries;
}

}  // namespace cytodet::graph::onnx
