// Non-maximum suppression in every form that TensorFlow has.
#include <bit>
#include <cmath>
#include <limits>

#include "graph/ops/eval_helpers.h"

namespace cytodet::graph::ops {
namespace {

// Intersection over union of two boxes given by any two opposite corners, in float as TensorFlow's kernel computes it: a box at
// the threshold must fall on the same side. core/box.h and the suppressions on it compute in double.
float corner_iou(const float* p, const float* q) {
  auto ordered = [](const float* c) {
    return std::array<float, 4>{std::min(c[0], c[2]), std::min(c[1], c[3]), std::max(c[0], c[2]), std::max(c[1], c[3])};
  };
  auto a = ordered(p), c = ordered(q);
  float area_a = (a[2] - a[0]) * (a[3] - a[1]), area_c = (c[2] - c[0]) * (c[3] - c[1]);
  if (area_a <= 0 || area_c <= 0) return 0;
  float inter =
      std::max(0.0f, std::min(a[2], c[2]) - std::max(a[0], c[0])) * std::max(0.0f, std::min(a[3], c[3]) - std::max(a[1], c[1]));
  return inter / (area_a + area_c - inter);
}

struct Kept {
  float score;
  int64_t box;
};

struct Suppression {
  int64_t max;       // boxes kept
  double threshold;  // a box that overlaps a kept one by more goes
  double min;        // so does one of this score or less
  float sigma = 0;   // > 0: instead of going, its score falls by exp(-overlap^2 / (2 sigma))
};

// The kept of boxes 0..scores.size()-1, best first.
template <class Overlap>
std::vector<Kept> suppress(std::span<const float> scores, const Suppression& s, Overlap overlap) {
  struct Candidate {
    float score;
    int64_t box;
    size_t seen;  // kept boxes it has been compared with
  };
  auto later = [](const Candidate& x, const Candidate& y) { return x.score < y.score || (x.score == y.score && x.box > y.box); };
  std::vector<Candidate> heap;
  for (size_t i = 0; i < scores.size(); ++i)
    if (scores[i] > s.min) heap.push_back({scores[i], static_cast<int64_t>(i), 0});
  std::make_heap(heap.begin(), heap.end(), later);
  std::vector<Kept> kept;
  while (!heap.empty() && static_cast<int64_t>(kept.size()) < s.max) {
    std::pop_heap(heap.begin(), heap.end(), later);
    Candidate c = heap.back();
    heap.pop_back();
    const float before = c.score;
    bool dropped = false;
    for (size_t k = kept.size(); k-- > c.seen && !dropped;) {
      const float o = overlap(c.box, kept[k].box);
      if (s.sigma > 0) c.score *= std::exp(-0.5f / s.sigma * o * o);
      dropped = s.sigma > 0 ? c.score <= s.min : o > s.threshold;
    }
    if (dropped) continue;
    c.seen = kept.size();
    if (c.score == before) {
      kept.push_back({c.score, c.box});
    } else {
      heap.push_back(c);
      std::push_heap(heap.begin(), heap.end(), later);
    }
  }
  return kept;
}

// Boxes by coordinate, corners in order, so that one is compared with many at once.
class BoxColumns {
 public:
  void add(const float* corners) {
    if (count_ % kBlock == 0) blocks_.emplace_back();
    Block& b = blocks_.back();
    const size_t k = count_++ % kBlock;
    const Ordered box(corners);
    b.top[k] = box.top, b.left[k] = box.left, b.bottom[k] = box.bottom, b.right[k] = box.right, b.area[k] = box.area;
  }

  // Whether corner_iou with one of them is above `most` (>= 0): the same operations, without branches.
  bool any_overlaps(const float* corners, float most) const {
    const Ordered box(corners);
    if (!(box.area > 0)) return false;
    for (const Block& b : blocks_) {
      int above = 0;
      for (size_t k = 0; k < kBlock; ++k) {
        const float height = smaller(box.bottom, b.bottom[k]) - larger(box.top, b.top[k]),
                    width = smaller(box.right, b.right[k]) - larger(box.left, b.left[k]);
        const float inter = larger(0.0f, height) * larger(0.0f, width), overlap = inter / (box.area + b.area[k] - inter);
        above |= static_cast<int>(overlap > most) & static_cast<int>(b.area[k] > 0);
      }
      if (above) return true;
    }
    return false;
  }

 private:
  static constexpr size_t kBlock = 16;
  struct Block {
    float top[kBlock] = {}, left[kBlock] = {}, bottom[kBlock] = {}, right[kBlock] = {}, area[kBlock] = {};
  };
  // std::min(a, b) and std::max(a, b), also of NaN.
  static float smaller(float a, float b) { return b < a ? b : a; }
  static float larger(float a, float b) { return a < b ? b : a; }
  struct Ordered {
    explicit Ordered(const float* c)
        : top(smaller(c[0], c[2])),
          left(smaller(c[1], c[3])),
          bottom(larger(c[0], c[2])),
          right(larger(c[1], c[3])),
          area((bottom - top) * (right - left)) {}
    float top, left, bottom, right, area;
  };

  std::vector<Block> blocks_;
  size_t count_ = 0;
};

// BoxColumns of strips of the plane, so that a box is compared with those near it alone: a box lies in every strip that it
// reaches, and two that overlap share one. Strips are as high as two average boxes. Boxes of several classes that were moved far
// apart, as detectors do to suppress all of them at once, share few.
class BoxStrips {
 public:
  // boxes: the numbers of all boxes that may be added; box(i): the corners of one.
  template <class Box>
  BoxStrips(const std::vector<int64_t>& boxes, Box box) {
    double low = std::numeric_limits<double>::infinity(), high = -low, heights = 0;
    size_t count = 0;
    for (int64_t i : boxes) {
      const Sides s(box(i));
      if (!s.finite()) continue;
      low = std::min(low, s.low);
      high = std::max(high, s.high);
      heights += s.high - s.low;
      ++count;
    }
    if (count == 0 || !(high > low)) return;
    low_ = low;
    height_ = std::max((high - low) / kMaxStrips, 2 * heights / static_cast<double>(count));
    strips_.resize(strip_at(high) + 1);
  }

  void add(const float* corners) {
    const Sides s(corners);
    if (!s.finite()) return;  // its overlap with any box is 0, or no number
    for (size_t i = strip_at(s.low); i <= strip_at(s.high); ++i) strips_[i].add(corners);
  }
  bool any_overlaps(const float* corners, float most) const {
    const Sides s(corners);
    if (!s.finite()) return false;
    for (size_t i = strip_at(s.low); i <= strip_at(s.high); ++i)
      if (strips_[i].any_overlaps(corners, most)) return true;
    return false;
  }

 private:
  static constexpr double kMaxStrips = 512;
  struct Sides {
    explicit Sides(const float* c)
        : low(std::min(c[0], c[2])), high(std::max(c[0], c[2])), finite_(std::isfinite(c[1]) && std::isfinite(c[3])) {}
    bool finite() const { return finite_ && std::isfinite(low) && std::isfinite(high); }
    double low, high;

   private:
    bool finite_;
  };
  size_t strip_at(double y) const { return height_ > 0 ? static_cast<size_t>((y - low_) / height_) : 0; }

  double low_ = 0, height_ = 0;
  std::vector<BoxColumns> strips_ = std::vector<BoxColumns>(1);
};

// A number that is greater for what comes first: the higher score, then the lower box. Not for NaN.
uint64_t rank_of(float score, int64_t box) {
  const uint32_t bits = std::bit_cast<uint32_t>(score + 0.0f);  // -0 is 0
  const uint32_t ordered = bits >> 31 ? ~bits : bits | 0x80000000u;
  return uint64_t{ordered} << 32 | (0xffffffffu - static_cast<uint32_t>(box));
}

int64_t box_of(uint64_t rank) { return 0xffffffffu - static_cast<uint32_t>(rank); }

// suppress() of boxes where nobody's score falls.
template <class Box>
std::vector<Kept> suppress_at_once(std::span<const float> scores, const Suppression& s, Box box) {
  std::vector<uint64_t> heap(scores.size());
  size_t count = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    heap[count] = rank_of(scores[i], static_cast<int64_t>(i));
    count += scores[i] > s.min;
  }
  heap.resize(count);
  std::make_heap(heap.begin(), heap.end());
  std::vector<int64_t> candidates;
  for (uint64_t rank : heap) candidates.push_back(box_of(rank));
  BoxStrips strips(candidates, box);
  std::vector<Kept> kept;
  while (!heap.empty() && static_cast<int64_t>(kept.size()) < s.max) {
    std::pop_heap(heap.begin(), heap.end());
    const int64_t i = box_of(heap.back());
    heap.pop_back();
    if (strips.any_overlaps(box(i), static_cast<float>(s.threshold))) continue;
    kept.push_back({scores[static_cast<size_t>(i)], i});
    strips.add(box(i));
  }
  return kept;
}

// box(i): the corners of box i.
template <class Box>
std::vector<Kept> suppress_boxes(std::span<const float> scores, const Suppression& s, Box box) {
  const bool exact = static_cast<double>(static_cast<float>(s.threshold)) == s.threshold;  // compared as double otherwise
  if (s.sigma > 0 || !(s.threshold >= 0) || !exact || scores.size() > size_t{0x7fffffff})
    return suppress(scores, s, [&](int64_t i, int64_t j) { return corner_iou(box(i), box(j)); });
  return suppress_at_once(scores, s, box);
}

// t itself where it holds floats.
Tensor floats_of(const Tensor& t) {
  if (t.dtype() == DType::f32) return t;
  Tensor v(DType::f32, t.shape());
  for (int64_t i = 0; i < t.size(); ++i) v.data<float>()[i] = static_cast<float>(t.as_double(i));
  return v;
}

Tensor indices_of(const std::vector<Kept>& kept) {
  Tensor index(DType::i32, {static_cast<int64_t>(kept.size())});
  for (size_t i = 0; i < kept.size(); ++i) index.data<int32_t>()[i] = static_cast<int32_t>(kept[i].box);
  return index;
}

// V1: threshold an attribute; V2: an input; V3: + score threshold; V4: + padding, count; V5: + soft sigma, scores.
void eval_nms(OpCall& call) {
  const std::string& op = call.node.op;
  const int version = op.back() >= '2' && op.back() <= '5' ? op.back() - '0' : 1;
  const Tensor &boxes = input(call, 0), &scores = input(call, 1);
  need(boxes.rank() == 2 && boxes.dim(1) == 4 && scores.size() == boxes.dim(0), "needs boxes [n, 4] and n scores");
  Suppression s{input(call, 2).as_int(), version == 1 ? call.node.attr_or("iou_threshold", 0.5f) : input(call, 3).as_double(),
                version >= 3 ? input(call, 4).as_double() : -std::numeric_limits<double>::infinity(),
                version == 5 ? static_cast<float>(input(call, 5).as_double()) : 0};
  need(s.max >= 0, "the output size is negative");
  const Tensor corners = floats_of(boxes), own = floats_of(scores);
  const float* b = corners.data<float>();
  std::vector<Kept> kept = suppress_boxes(own.span<float>(), s, [&](int64_t i) { return b + i * 4; });
  const int32_t valid = static_cast<int32_t>(kept.size());
  if (version >= 4 && call.node.attr_or("pad_to_max_output_size", false)) {
    need(s.max <= int64_t{1} << 24, "the output size is too large");
    kept.resize(static_cast<size_t>(s.max), {0, 0});
  }
  call.out = {indices_of(kept)};
  if (version == 5) {
    Tensor out(scores.dtype(), call.out[0].shape());
    on_floats(scores.dtype(), [&]<class T>() {
      for (size_t i = 0; i < kept.size(); ++i) out.data<T>()[i] = static_cast<T>(kept[i].score);
    });
    call.out.push_back(out);
  }
  if (version >= 4) call.out.push_back(Tensor::scalar(valid));
}

void eval_nms_overlaps(OpCall& call) {
  const Tensor &overlaps = input(call, 0), &scores = input(call, 1);
  const int64_t n = scores.size();
  need(overlaps.rank() == 2 && overlaps.dim(0) == n && overlaps.dim(1) == n, "needs overlaps [n, n] and n scores");
  const Suppression s{input(call, 2).as_int(), input(call, 3).as_double(), input(call, 4).as_double()};
  need(s.max >= 0, "the output size is negative");
  const Tensor all = floats_of(overlaps), own = floats_of(scores);
  const float* o = all.data<float>();
  call.out = {indices_of(suppress(own.span<float>(), s, [&](int64_t i, int64_t j) { return o[i * n + j]; }))};
}

// Per image and class, then the best of all classes; boxes [batch, n, 1 or classes, 4], scores [batch, n, classes].
void eval_combined_nms(OpCall& call) {
  const Tensor &boxes = input(call, 0), &scores = input(call, 1);
  need(boxes.rank() == 4 && boxes.dim(3) == 4 && scores.rank() == 3 && boxes.dim(0) == scores.dim(0) &&
           boxes.dim(1) == scores.dim(1),
       "needs boxes [batch, n, q, 4] and scores [batch, n, classes]");
  const int64_t batch = scores.dim(0), n = scores.dim(1), classes = scores.dim(2), q = boxes.dim(2),
                total = input(call, 3).as_int();
  need(q == 1 || q == classes, "boxes must be shared or one per class");
  const Suppression s{input(call, 2).as_int(), input(call, 4).as_double(), input(call, 5).as_double()};
  need(s.max > 0 && total > 0 && total <= int64_t{1} << 24, "output sizes must be positive");
  const int64_t rows = call.node.attr_or("pad_per_class", false) ? std::min(total, s.max * classes) : total;
  const bool clip = call.node.attr_or("clip_boxes", true);
  const Tensor corners = floats_of(boxes), all_scores = floats_of(scores);
  const float *b = corners.data<float>(), *all = all_scores.data<float>();
  Tensor out_boxes(DType::f32, {batch, rows, 4}), out_scores(DType::f32, {batch, rows}), out_classes(DType::f32, {batch, rows}),
      valid(DType::i32, {batch});
  struct Found {
    float score;
    const float* box;
    int64_t category;
  };
  for (int64_t image = 0; image < batch; ++image) {
    std::vector<Found> found;
    for (int64_t category = 0; category < classes; ++category) {
      std::vector<float> own(static_cast<size_t>(n));
      for (int64_t i = 0; i < n; ++i) own[static_cast<size_t>(i)] = all[(image * n + i) * classes + category];
      auto box = [&](int64_t i) { return b + ((image * n + i) * q + (q == 1 ? 0 : category)) * 4; };
      for (const Kept& k : suppress_boxes(own, s, box)) found.push_back({k.score, box(k.box), category});
    }
    std::stable_sort(found.begin(), found.end(), [](const Found& x, const Found& y) { return x.score > y.score; });
    found.resize(std::min(found.size(), static_cast<size_t>(rows)));
    for (size_t i = 0; i < found.size(); ++i) {
      const int64_t at = image * rows + static_cast<int64_t>(i);
      for (int k = 0; k < 4; ++k)
        out_boxes.data<float>()[at * 4 + k] = clip ? std::clamp(found[i].box[k], 0.0f, 1.0f) : found[i].box[k];
      out_scores.data<float>()[at] = found[i].score;
      out_classes.data<float>()[at] = static_cast<float>(found[i].category);
    }
    valid.data<int32_t>()[image] = static_cast<int32_t>(found.size());
  }
  call.out = {out_boxes, out_scores, out_classes, valid};
}

// Indices of as many boxes as are kept (all that are asked for, when padded), then scores (V5) and the number kept (V4, V5).
void infer_nms(InferCall& call) {
  const int version = call.node.op.back() >= '2' && call.node.op.back() <= '5' ? call.node.op.back() - '0' : 1;
  const int64_t kept = version >= 4 && call.node.attr_or("pad_to_max_output_size", false) ? known_int(call, 2) : -1;
  call.out = {fact(DType::i32, Shape{kept})};
  if (version == 5) call.out.push_back(fact(input_type(call, 1), Shape{kept}));
  if (version >= 4) call.out.push_back(fact(DType::i32, Shape{}));
}
void infer_nms_overlaps(InferCall& call) { call.out = {fact(DType::i32, Shape{-1})}; }
void infer_combined_nms(InferCall& call) {
  const int64_t batch = known_dim(call, 1, 0), classes = known_dim(call, 1, 2), total = known_int(call, 3),
                max = known_int(call, 2);
  int64_t rows = total;
  if (call.node.attr_or("pad_per_class", false)) rows = total < 0 || max < 0 || classes < 0 ? -1 : std::min(total, max * classes);
  call.out = {fact(DType::f32, Shape{batch, rows, 4}), fact(DType::f32, Shape{batch, rows}), fact(DType::f32, Shape{batch, rows}),
              fact(DType::i32, Shape{batch})};
}

}  // namespace

const std::vector<Op>& nms_ops() {
  static const std::vector<Op> rows = {
      {"CombinedNonMaxSuppression", infer_combined_nms, eval_combined_nms},
      {"NonMaxSuppression", infer_nms, eval_nms},
      {"NonMaxSuppressionV2", infer_nms, eval_nms},
      {"NonMaxSuppressionV3", infer_nms, eval_nms},
      {"NonMaxSuppressionV4", infer_nms, eval_nms},
      {"NonMaxSuppressionV5", infer_nms, eval_nms},
      {"NonMaxSuppressionWithOverlaps", infer_nms_overlaps, eval_nms_overlaps},
  };
  return rows;
}

}  // namespace cytodet::graph::ops
