#include "models/efficientdet/decode.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"

namespace cytodet {
namespace {

// Of ranked boxes.
Detections hard(const Detections& boxes, const SuppressionSettings& s) {
  Detections kept;
  std::vector<size_t> left(boxes.size());
  std::iota(left.begin(), left.end(), size_t{0});
  while (!left.empty() && static_cast<int>(kept.size()) < s.detections) {
    const size_t best = left.front();
    const Box top = boxes[best].box;
    kept.push_back(boxes[best]);
    std::erase_if(left, [&](size_t i) {
      const Box& b = boxes[i].box;
      const bool touches = (b.x0 < top.x1) & (top.x0 < b.x1) & (b.y0 < top.y1) & (top.y0 < b.y1);  // no branches: most do not
      return i == best || (touches && iou(top, b) > s.iou);
    });
  }
  return kept;
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
  std::sort(boxes.begin(), boxes.end(), ranks_before);
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
    for (int64_t i = 0; i < n; ++i)
      for (int c = 0; c < classes; ++c) {
        float logit = l[i * classes + c];
        if (!(logit > least_logit)) continue;
        float score = 1.0f / (1.0f + std::exp(-logit));
        if (!(score > least)) continue;
        const Anchor& a = anchors[static_cast<size_t>(i)];
        const float* t = d + i * 4;
        double cy = t[0] * a.height + a.cy, cx = t[1] * a.width + a.cx;
        double h = std::exp(std::min(t[2], 20.0f)) * a.height, w = std::exp(std::min(t[3], 20.0f)) * a.width;
        Box box{std::clamp((cx - w / 2) / scale, 0.0, width), std::clamp((cy - h / 2) / scale, 0.0, height),
                std::clamp((cx + w / 2) / scale, 0.0, width), std::clamp((cy + h / 2) / scale, 0.0, height)};
        if (box.width() > 0 && box.height() > 0) per_class[static_cast<size_t>(c)].push_back({box, c, score});
      }
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
