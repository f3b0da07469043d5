// TFLite_Detection_PostProcess: boxes of a detector decoded and suppressed, within the model.
#include <flatbuffers/flexbuffers.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "graph/io/tflite/op_table.h"

namespace cytodet::graph::lite {
namespace {

constexpr int64_t kMaxDetections = 100'000;

struct PostProcess {
  int64_t detections, classes, classes_per_box, detections_per_class;
  bool by_class;
  float score, overlap, y_scale, x_scale, h_scale, w_scale;
};

int64_t count_of(const flexbuffers::Map& map, const char* key, int64_t fallback) {
  const flexbuffers::Reference v = map[key];
  const int64_t n = v.IsNull() ? fallback : v.AsInt64();
  if (n < 1 || n > kMaxDetections) refuse("has " + std::string(key) + " " + std::to_string(n), "the file is damaged");
  return n;
}
float number_of(const flexbuffers::Map& map, const char* key, float fallback) {
  const flexbuffers::Reference v = map[key];
  const float x = v.IsNull() ? fallback : v.AsFloat();
  if (!std::isfinite(x)) refuse("has " + std::string(key) + " " + std::to_string(x), "the file is damaged");
  return x;
}

PostProcess post_process_of(const Call& c) {
  const auto* stated = c.op().custom_options();
  const std::vector<uint8_t> bytes = stated ? std::vector<uint8_t>(stated->begin(), stated->end()) : std::vector<uint8_t>();
  if (bytes.empty() || !flexbuffers::VerifyBuffer(bytes.data(), bytes.size()))
    refuse("has no options that can be read", "the file is damaged");
  const flexbuffers::Reference root = flexbuffers::GetRoot(bytes.data(), bytes.size());
  if (!root.IsMap()) refuse("has no options that can be read", "the file is damaged");
  const flexbuffers::Map map = root.AsMap();
  return {count_of(map, "max_detections", 0),
          count_of(map, "num_classes", 0),
          count_of(map, "max_classes_per_detection", 1),
          count_of(map, "detections_per_class", 100),
          map["use_regular_nms"].AsBool(),
          number_of(map, "nms_score_threshold", 0),
          number_of(map, "nms_iou_threshold", 0.6f),
          number_of(map, "y_scale", 1),
          number_of(map, "x_scale", 1),
          number_of(map, "h_scale", 1),
          number_of(map, "w_scale", 1)};
}

// Corners (y, x, y, x), [n, 4], of encodings [n, 4 or more] and default boxes (y, x, h, w) [n, 4].
Value decoded(Builder& b, Value encodings, Value priors, const PostProcess& p) {
  const auto column = [&](Value v, int64_t i) { return b.reshape(b.slice(v, 1, i, i + 1), {-1}); };
  const auto over = [&](Value v, float scale) { return scale == 1 ? v : b.add("RealDiv", {v, b.number(scale, v)}); };
  const auto center = [&](int64_t i, float scale) {
    const Value shift = b.add("Mul", {over(column(encodings, i), scale), column(priors, i + 2)});
    return b.add("AddV2", {shift, column(priors, i)});
  };
  const auto half = [&](int64_t i, float scale) {
    const Value size = b.add("Mul", {b.add("Exp", {over(column(encodings, i), scale)}), column(priors, i)});
    return b.add("Mul", {size, b.number(0.5, size)});
  };
  const Value y = center(0, p.y_scale), x = center(1, p.x_scale), h = half(2, p.h_scale), w = half(3, p.w_scale);
  return b.add("Pack", {b.add("Sub", {y, h}), b.add("Sub", {x, w}), b.add("AddV2", {y, h}), b.add("AddV2", {x, w})},
               {{"axis", int64_t{1}}});
}

// The best of all classes at once: one box may have several classes.
void by_best_class(Call& c, const PostProcess& p, Value boxes, Value scores) {
  Builder& b = c.b;
  const int64_t k = std::min(p.classes_per_box, p.classes), n = p.detections;
  const Value ranked = b.add("TopKV2", {scores, b.int32(k)}, {{"sorted", true}});
  const Value best = b.reshape(b.slice(ranked, 1, 0, 1), {-1});
  // A score that equals the threshold stays: TensorFlow's op keeps what is above.
  const float below = std::nextafter(p.score, -std::numeric_limits<float>::infinity());
  const Value kept =
      b.add("NonMaxSuppressionV4", {boxes, best, b.int32(n), b.number(p.overlap, DType::f32), b.number(below, DType::f32)},
            {{"pad_to_max_output_size", true}});
  const Value count = Builder::output(kept, 1);
  const Value valid = b.cast(b.add("Less", {b.add("Range", {b.int32(0), b.int32(n), b.int32(1)}), count}), DType::f32);
  const auto chosen = [&](Value of) { return b.add("GatherV2", {of, kept, b.int32(0)}); };
  const Value rows = b.reshape(valid, {n, 1});
  Value corners = b.add("Mul", {chosen(boxes), rows});
  if (k > 1) corners = b.add("Tile", {b.reshape(corners, {n, 1, 4}), b.int32s({1, k, 1})});
  c.set(0, b.reshape(corners, {1, n * k, 4}));
  c.set(1, b.reshape(b.add("Mul", {b.cast(chosen(Builder::output(ranked, 1)), DType::f32), rows}), {1, n * k}));
  c.set(2, b.reshape(b.add("Mul", {chosen(ranked), rows}), {1, n * k}));
  c.set(3, b.reshape(b.cast(count, DType::f32), {1}));  // of boxes, however many classes each has
}

// Suppressed class by class.
void by_class(Call& c, const PostProcess& p, Value boxes, Value scores, int64_t priors) {
  Builder& b = c.b;
  const float below = std::nextafter(p.score, -std::numeric_limits<float>::infinity());
  const Value kept =
      b.add("CombinedNonMaxSuppression",
            {b.reshape(boxes, {1, priors, 1, 4}), b.reshape(scores, {1, priors, p.classes}), b.int32(p.detections_per_class),
             b.int32(p.detections), b.number(p.overlap, DType::f32), b.number(below, DType::f32)},
            {{"pad_per_class", false}, {"clip_boxes", false}});
  c.set(0, b.add("Identity", {kept}));
  c.set(1, Builder::output(kept, 2));
  c.set(2, Builder::output(kept, 1));
  c.set(3, b.cast(Builder::output(kept, 3), DType::f32));
}

void detection_post_process(Call& c) {
  Builder& b = c.b;
  const PostProcess p = post_process_of(c);
  const Shape e = b.static_dims(c.in(0)), s = b.static_dims(c.in(1)), a = b.static_dims(c.in(2));
  const bool fits = e.size() == 3 && s.size() == 3 && a.size() == 2 && e[0] == 1 && s[0] == 1 && e[1] == s[1] && a[0] == e[1] &&
                    e[2] >= 4 && a[1] == 4 && s[2] >= p.classes;
  if (!fits)
    refuse("has boxes of " + to_string(e) + ", scores of " + to_string(s) + " and default boxes of " + to_string(a) + " for " +
               std::to_string(p.classes) + " classes",
           "models of one image with their default boxes are read");
  const Value boxes = decoded(b, b.reshape(c.in(0), {e[1], e[2]}), c.in(2), p);
  const Value scores = b.slice(b.reshape(c.in(1), {s[1], s[2]}), 1, s[2] - p.classes, s[2]);
  if (p.by_class)
    by_class(c, p, boxes, scores, e[1]);
  else
    by_best_class(c, p, boxes, scores);
}

}  // namespace

const std::vector<CustomEntry>& lite_detection_entries() {
  static const std::vector<CustomEntry> entries = {{"TFLite_Detection_PostProcess", detection_post_process}};
  return entries;
}

}  // namespace cytodet::graph::lite
