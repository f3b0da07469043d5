#include "models/efficientdet/decode.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/error.h"

namespace cytodet {
namespace {

// Boxes that were kept, in blocks whose sides lie together as floats (rounded outwards), since most do not touch a given one.
class KeptBoxes {
 public:
  void add(const Detection& d) {
    if (kept_.size() % kBlock == 0) blocks_.emplace_back();
    blocks_.back().set(kept_.size() % kBlock, d.box);
    kept_.push_back(d);
  }
  // One of them overlaps `box` by more than `most`.
  bool overlap(const Box& box, double most) const {
    const float x0 = below(box.x0), y0 = below(box.y0), x1 = above(box.x1), y1 = above(box.y1);
    for (size_t b = 0; b < blocks_.size(); ++b) {
      const Block& block = blocks_[b];
      int touches = 0;
      for (size_t i = 0; i < kBlock; ++i)
        touches |= static_cast<int>((block.x0[i] < x1) & (x0 < block.x1[i]) & (block.y0[i] < y1) & (y0 < block.y1[i])) << i;
      for (unsigned left = static_cast<unsigned>(touches); left; left &= left - 1)
        if (iou(kept_[b * kBlock + static_cast<size_t>(std::countr_zero(left))].box, box) > most) return true;
    }
    return false;
  }
  size_t size() const { return kept_.size(); }
  Detections take() { return std::move(kept_); }

 private:
  static constexpr size_t kBlock = 16;
  static float below(double x) { return std::nextafter(static_cast<float>(x), -std::numeric_limits<float>::infinity()); }
  static float above(double x) { return std::nextafter(static_cast<float>(x), std::numeric_limits<float>::infinity()); }
  struct Block {
    float x0[kBlock], y0[kBlock], x1[kBlock], y1[kBlock];
    Block() {
      std::fill_n(x0, kBlock, std::numeric_limits<float>::infinity());  // touches nothing
      for (float* side : {y0, x1, y1}) std::fill_n(side, kBlock, 0.0f);
    }
    void set(size_t i, const Box& box) {
      x0[i] = below(box.x0);
      y0[i] = below(box.y0);
      x1[i] = above(box.x1);
      y1[i] = above(box.y1);
    }
  };
  std::vector<Block> blocks_;
  Detections kept_;
};

// Of ranked boxes.
Detections hard(const Detections& boxes, const SuppressionSettings& s) {
  KeptBoxes kept;
  for (const Detection& d : boxes) {
    if (static_cast<int>(kept.size()) >= s.detections) break;
    if (!kept.overlap(d.box, s.iou)) kept.add(d);
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

// Sorts by ranks_before: by the bits of the scores, which are not negative, then those of one score.
void rank(Detections& boxes) {
  std::vector<uint64_t> keys(boxes.size());
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = uint64_t{~std::bit_cast<uint32_t>(boxes[i].score)} << 32 | i;
  std::sort(keys.begin(), keys.end());
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

// found(i, x[i]) for every x[i] above `least`, of which there are few.
template <class Found>
void for_each_above(const float* x, int64_t n, float least, Found found) {
  constexpr int64_t kBlock = 64, kLanes = 16;
  for (int64_t first = 0; first < n; first += kBlock) {
    const int64_t last = std::min(n, first + kBlock);
    if (last - first == kBlock) {
      float most[kLanes];
      std::fill_n(most, kLanes, least);
      for (int64_t row = 0; row < kBlock; row += kLanes)
        for (int64_t i = 0; i < kLanes; ++i) most[i] = x[first + row + i] > most[i] ? x[first + row + i] : most[i];
      int any = 0;
      for (int64_t i = 0; i < kLanes; ++i) any |= most[i] > least;
      if (!any) continue;
    }
    for (int64_t i = first; i < last; ++i)
      if (x[i] > least) found(i, x[i]);
  }
}

}  // namespace

std::vector<Anchor> level_anchors(const ModelFile& m, int level) {
  const AnchorSettings& a = m.anchors;
  const int step = 1 << level;
  const int rows = (m.input.height + step - 1) / step, columns = (m.input.width + step - 1) / step;
  const double stride_y = static_cast<double>(m.input.height) / rows, stride_x = static_cast<double>(m.input.width) / columns;
  std::vector<Anchor> anchors;
  for (int y = 0; y < rows; ++y)
    for (int x = 0; x < columns; ++x)
      for (int o = 0; o < a.octaves; ++o)
        for (double aspect : a.aspects) {
          const double sides = a.scale * std::exp2(static_cast<double>(o) / a.octaves), root = std::sqrt(aspect);
          anchors.push_back({static_cast<float>((x + 0.5) * stride_x), static_cast<float>((y + 0.5) * stride_y),
                             static_cast<float>(sides * stride_x * root), static_cast<float>(sides * stride_y / root)});
        }
  return anchors;
}

Decoder::Decoder(ModelFile model) : model_(std::move(model)) {
  for (int level = model_.anchors.min_level; level <= model_.anchors.max_level; ++level)
    anchors_.push_back(level_anchors(model_, level));
}

Detections suppress(Detections boxes, const SuppressionSettings& s) {
  size_t most = static_cast<size_t>(s.candidates_per_class);
  if (boxes.size() > most) {
    std::nth_element(boxes.begin(), boxes.begin() + static_cast<long>(most), boxes.end(), ranks_before);
    boxes.resize(most);
  }
  rank(boxes);
  return s.method == "gaussian" ? gaussian(std::move(boxes), s) : hard(boxes, s);
}

Detections Decoder::decode(const std::vector<const Tensor*>& logits, const std::vector<const Tensor*>& deltas, double scale,
                           double width, double height) const {
  const int classes = model_.class_count();
  const double least = std::max(model_.suppression.score, 1e-9);
  const float least_logit = static_cast<float>(std::log(least / (1 - least))) - 1e-3f;
  std::vector<Detections> per_class(static_cast<size_t>(classes));
  for (size_t level = 0; level < anchors_.size(); ++level) {
    const std::vector<Anchor>& anchors = anchors_[level];
    int64_t n = static_cast<int64_t>(anchors.size());
    if (logits[level]->size() != n * classes || deltas[level]->size() != n * 4 || logits[level]->dtype() != DType::f32)
      throw Error("output " + model_.class_logits[level],
                  "has shape " + to_string(logits[level]->shape()) + ", but " + std::to_string(n) + " anchors x " +
                      std::to_string(classes) + " classes are expected",
                  "check input size, anchors and classes in the model file");
    const float* l = logits[level]->data<float>();
    const float* d = deltas[level]->data<float>();
    for_each_above(l, n * classes, least_logit, [&](int64_t at, float logit) {
      const int64_t i = at / classes;
      const int c = static_cast<int>(at % classes);
      float score = 1.0f / (1.0f + std::exp(-logit));
      if (!(score > least)) return;
      const Anchor& a = anchors[static_cast<size_t>(i)];
      const float* t = d + i * 4;
      double cy = t[0] * a.height + a.cy, cx = t[1] * a.width + a.cx;
      double h = std::exp(std::min(t[2], 20.0f)) * a.height, w = std::exp(std::min(t[3], 20.0f)) * a.width;
      Box box{std::clamp((cx - w / 2) / scale, 0.0, width), std::clamp((cy - h / 2) / scale, 0.0, height),
              std::clamp((cx + w / 2) / scale, 0.0, width), std::clamp((cy + h / 2) / scale, 0.0, height)};
      if (box.width() > 0 && box.height() > 0) per_class[static_cast<size_t>(c)].push_back({box, c, score});
    });
  }
  Detections all;
  for (Detections& boxes : per_class) {
    Detections kept = suppress(std::move(boxes), model_.suppression);
    all.insert(all.end(), kept.begin(), kept.end());
  }
  std::sort(all.begin(), all.end(), ranks_before);
  if (static_cast<int>(all.size()) > model_.suppression.detections)
    all.resize(static_cast<size_t>(model_.suppression.detections));
  return all;
}

}  // namespace cytodet
