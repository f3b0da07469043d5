#include "models/common/suppress.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/cpu.h"
#include "core/settings.h"
#include "models/common/need.h"

namespace cytodet::models {

const char* name_of(SuppressionMethod method) { return method == SuppressionMethod::gaussian ? "gaussian" : "hard"; }

SuppressionMethod suppression_method_named(const std::string& name, const std::string& where) {
  for (const SuppressionMethod method : {SuppressionMethod::hard, SuppressionMethod::gaussian})
    if (name == name_of(method)) return method;
  throw UsageError(where, "must be hard or gaussian, not \"" + name + "\"");
}

void fields(Fields& f, SuppressionSettings& s) {
  std::string method = name_of(s.method);
  f("method", method);
  s.method = suppression_method_named(method, "suppression.method");
  f("iou", s.iou);
  f("sigma", s.sigma);
  f("score", s.score);
  f("candidates_per_class", s.candidates_per_class);
  f("detections", s.detections);
}

void check(const SuppressionSettings& s, const std::string& where) {
  need(s.iou >= 0 && s.iou <= 1, "suppression.iou", "must be 0 to 1", where);
  need(s.sigma > 0, "suppression.sigma", "must be positive", where);
  need(s.score >= 0 && s.score < 1, "suppression.score", "must be 0 to 1", where);
  need(s.candidates_per_class > 0 && s.detections > 0, "suppression", "counts must be positive", where);
}

namespace {

constexpr size_t kBlock = 16;

// A box as floats, rounded so that no overlap is missed.
struct Outline {
  explicit Outline(const Box& box)
      : x0(below(box.x0)), y0(below(box.y0)), x1(above(box.x1)), y1(above(box.y1)), area(below(box.area())) {}
  float x0, y0, x1, y1, area;

 private:
  // Floats that are not more, not less than x.
  static float below(double x) { return step(static_cast<float>(x), -1); }
  static float above(double x) { return step(static_cast<float>(x), 1); }
  static float step(float x, float sign) { return x + sign * (std::abs(x) * 1.2e-7f + std::numeric_limits<float>::min()); }
};

struct Block {
  float x0[kBlock], y0[kBlock], x1[kBlock], y1[kBlock], area[kBlock];
  Block() {
    for (float* side : {x0, y0, x1, y1}) std::fill_n(side, kBlock, 0.0f);
    std::fill_n(area, kBlock, std::numeric_limits<float>::infinity());  // overlaps nothing
  }
  void set(size_t i, const Outline& box) {
    x0[i] = box.x0;
    y0[i] = box.y0;
    x1[i] = box.x1;
    y1[i] = box.y1;
    area[i] = box.area;
  }
};

constexpr unsigned kBits[kBlock] = {1u << 0, 1u << 1, 1u << 2,  1u << 3,  1u << 4,  1u << 5,  1u << 6,  1u << 7,
                                    1u << 8, 1u << 9, 1u << 10, 1u << 11, 1u << 12, 1u << 13, 1u << 14, 1u << 15};

// Bit i: the intersection over union of `box` with box i of `block` may be more than `max_overlap`, since
// i / (a + b - i) > max_overlap where i * (1 + max_overlap) > (a + b) * max_overlap. The operations' own roundings are far below
// 1e-5.
[[gnu::always_inline]] inline unsigned may_overlap_in(const Block& block, const Outline& box, double max_overlap) {
  const float shared = static_cast<float>((1 + max_overlap) * 1.00001), whole = static_cast<float>(max_overlap);
  unsigned may = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    const float w = std::max(0.0f, std::min(block.x1[i], box.x1) - std::max(block.x0[i], box.x0)),
                h = std::max(0.0f, std::min(block.y1[i], box.y1) - std::max(block.y0[i], box.y0));
    may |= w * h * shared >= (block.area[i] + box.area) * whole ? kBits[i] : 0;
  }
  return may;
}

unsigned may_overlap_baseline(const Block& block, const Outline& box, double max_overlap) {
  return may_overlap_in(block, box, max_overlap);
}
#if defined(__x86_64__)
[[gnu::target("avx2")]] unsigned may_overlap_avx2(const Block& block, const Outline& box, double max_overlap) {
  return may_overlap_in(block, box, max_overlap);
}
[[gnu::target("avx512f" CYTODET_PREFER_512_BITS)]] unsigned may_overlap_avx512(const Block& block, const Outline& box,
                                                                               double max_overlap) {
  return may_overlap_in(block, box, max_overlap);
}
#endif

auto may_overlap_here() {
  return select_for_isa<decltype(&may_overlap_baseline)>({
    {Isa::baseline, may_overlap_baseline},
#if defined(__x86_64__)
        {Isa::avx2, may_overlap_avx2}, {Isa::avx512, may_overlap_avx512},
#endif
  });
}

// Boxes that were kept.
class KeptBoxes {
 public:
  explicit KeptBoxes(double max_overlap) : max_overlap_(max_overlap) {}
  void add(const Detection& d) {
    if (kept_.size() % kBlock == 0) blocks_.emplace_back();
    blocks_.back().set(kept_.size() % kBlock, Outline(d.box));
    kept_.push_back(d);
  }
  // The intersection over union with one of them exceeds `max_overlap`.
  bool overlap(const Box& box) const {
    const Outline outline(box);
    for (size_t b = 0; b < blocks_.size(); ++b)
      for (unsigned left = may_overlap_(blocks_[b], outline, max_overlap_); left; left &= left - 1)
        if (iou(kept_[b * kBlock + static_cast<size_t>(std::countr_zero(left))].box, box) > max_overlap_) return true;
    return false;
  }
  size_t size() const { return kept_.size(); }
  Detections take() { return std::move(kept_); }

 private:
  double max_overlap_;
  unsigned (*may_overlap_)(const Block&, const Outline&, double) = may_overlap_here();
  std::vector<Block> blocks_;
  Detections kept_;
};

// Not shared with tiling/merge: there all of a slide's boxes are kept, so that each kept one drops its neighbours in a spatial
// index, and soft scores fall in double; here a few boxes are kept of thousands, and comparing each with those is faster.

// Hard non-maximum suppression of boxes by falling score: drops those whose IoU with a kept one exceeds s.iou.
Detections hard(const Detections& boxes, const SuppressionSettings& s) {
  KeptBoxes kept(s.iou);
  for (const Detection& d : boxes) {
    if (static_cast<int>(kept.size()) >= s.detections) break;
    if (!kept.overlap(d.box)) kept.add(d);
  }
  return kept.take();
}

// Soft-NMS (Bodla et al. 2017): the scores of overlapped boxes decay by exp(-iou^2 / sigma).
Detections gaussian(Detections boxes, const SuppressionSettings& s) {
  Detections kept;
  while (!boxes.empty() && static_cast<int>(kept.size()) < s.detections) {
    size_t best = 0;
    for (size_t i = 1; i < boxes.size(); ++i)
      if (ranks_before(boxes[i], boxes[best])) best = i;
    Detection top = boxes[best];
    boxes.erase(boxes.begin() + static_cast<long>(best));
    kept.push_back(top);
    for (Detection& d : boxes) {
      double o = iou(top.box, d.box);
      d.score = static_cast<float>(d.score * std::exp(-o * o / s.sigma));
    }
    std::erase_if(boxes, [&](const Detection& d) { return d.score <= s.score; });
  }
  return kept;
}

// Keys by their upper halves, those of one upper half in the order that they are in.
void sort_by_upper_half(std::vector<uint64_t>& keys) {
  constexpr int kDigit = 9, kDigits = 1 << kDigit;
  const auto [lowest, highest] = std::minmax_element(keys.begin(), keys.end());
  const uint64_t first = *lowest >> 32, span = (*highest >> 32) - first;
  const auto upper = [&](uint64_t key) { return (key >> 32) - first; };
  std::vector<uint64_t> sorted(keys.size());
  for (int shift = 0; span >> shift; shift += kDigit) {
    size_t at[kDigits + 1] = {};
    for (uint64_t key : keys) ++at[(upper(key) >> shift) % kDigits + 1];
    for (int i = 1; i < kDigits; ++i) at[i] += at[i - 1];
    for (uint64_t key : keys) sorted[at[(upper(key) >> shift) % kDigits]++] = key;
    keys.swap(sorted);
  }
}

// Sorts by ranks_before: by the bits of the scores, which are not negative, then those of one score.
void rank(Detections& boxes) {
  if (boxes.empty()) return;
  std::vector<uint64_t> keys(boxes.size());
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = uint64_t{~std::bit_cast<uint32_t>(boxes[i].score)} << 32 | i;
  sort_by_upper_half(keys);
  Detections ranked;
  ranked.reserve(boxes.size());
  for (uint64_t key : keys) ranked.push_back(boxes[key & 0xffffffff]);
  for (auto first = ranked.begin(); first != ranked.end();) {
    const auto last = std::find_if(first, ranked.end(), [&](const Detection& d) { return d.score != first->score; });
    if (last - first > 1) std::sort(first, last, ranks_before);
    first = last;
  }
  boxes = std::move(ranked);
}

}  // namespace

Detections suppress(Detections boxes, const SuppressionSettings& s) {
  const size_t limit = static_cast<size_t>(s.candidates_per_class);
  if (boxes.size() > limit) {
    std::nth_element(boxes.begin(), boxes.begin() + static_cast<long>(limit), boxes.end(), ranks_before);
    boxes.resize(limit);
  }
  rank(boxes);
  return s.method == SuppressionMethod::gaussian ? gaussian(std::move(boxes), s) : hard(boxes, s);
}

Detections best_of_classes(const std::vector<Detections>& detections_by_class, int detections) {
  Detections all;
  for (const Detections& boxes : detections_by_class) all.insert(all.end(), boxes.begin(), boxes.end());
  std::sort(all.begin(), all.end(), ranks_before);
  if (static_cast<int>(all.size()) > detections) all.resize(static_cast<size_t>(detections));
  return all;
}

Detections suppress_by_class(std::vector<Detections> detections_by_class, const SuppressionSettings& s) {
  for (Detections& boxes : detections_by_class) boxes = suppress(std::move(boxes), s);
  return best_of_classes(detections_by_class, s.detections);
}

}  // namespace cytodet::models
