#include "models/efficientdet/decode.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/error.h"

namespace cytodet::models {
namespace {

struct Candidate {
  int64_t anchor;
  int category;
  float logit;
};

// found(i, x[i]) for every x[i] above `least`, of which there are few.
template <class Found>
void for_each_above(const float* x, int64_t n, float least, Found found) {
  constexpr int64_t kBlock = 64;
  for (int64_t first = 0; first < n; first += kBlock) {
    const int64_t last = std::min(n, first + kBlock);
    if (last - first == kBlock) {
      int any = 0;
      for (int64_t i = 0; i < kBlock; ++i) any |= x[first + i] > least;
      if (!any) continue;
    }
    for (int64_t i = first; i < last; ++i)
      if (x[i] > least) found(i, x[i]);
  }
}

}  // namespace

AnchorLevel::AnchorLevel(const ModelFile& m, int level) {
  const AnchorSettings& a = m.anchors;
  const int step = 1 << level;
  rows_ = (m.input.height + step - 1) / step;
  columns_ = (m.input.width + step - 1) / step;
  stride_y_ = static_cast<double>(m.input.height) / rows_;
  stride_x_ = static_cast<double>(m.input.width) / columns_;
  for (int o = 0; o < a.octaves; ++o)
    for (double aspect : a.aspects) {
      const double sides = a.scale * std::exp2(static_cast<double>(o) / a.octaves), root = std::sqrt(aspect);
      of_cell_.push_back({0, 0, static_cast<float>(sides * stride_x_ * root), static_cast<float>(sides * stride_y_ / root)});
    }
}

Anchor AnchorLevel::operator[](int64_t i) const {
  const int64_t in_cell = static_cast<int64_t>(of_cell_.size()), cell = i / in_cell;
  Anchor a = of_cell_[static_cast<size_t>(i % in_cell)];
  a.cx = static_cast<float>((static_cast<double>(cell % columns_) + 0.5) * stride_x_);
  a.cy = static_cast<float>((static_cast<double>(cell / columns_) + 0.5) * stride_y_);
  return a;
}

Decoder::Decoder(ModelFile model) : model_(std::move(model)) {
  for (int level = model_.anchors.min_level; level <= model_.anchors.max_level; ++level) anchors_.emplace_back(model_, level);
}

Detections Decoder::decode(const std::vector<const Tensor*>& logits, const std::vector<const Tensor*>& deltas, double scale,
                           double width, double height) const {
  const int classes = model_.class_count();
  const double least = std::max(model_.suppression.score, 1e-9);
  const float least_logit = static_cast<float>(std::log(least / (1 - least))) - 1e-3f;
  std::vector<Detections> per_class(static_cast<size_t>(classes));
  std::vector<Candidate> candidates;
  for (size_t level = 0; level < anchors_.size(); ++level) {
    const AnchorLevel& anchors = anchors_[level];
    const int64_t n = anchors.size();
    if (logits[level]->size() != n * classes || deltas[level]->size() != n * 4 || logits[level]->dtype() != DType::f32)
      throw Error("output " + model_.class_logits[level],
                  "has shape " + to_string(logits[level]->shape()) + ", but " + std::to_string(n) + " anchors x " +
                      std::to_string(classes) + " classes are expected",
                  "check input size, anchors and classes in the model file");
    const float* d = deltas[level]->data<float>();
    candidates.clear();
    for_each_above(logits[level]->data<float>(), n * classes, least_logit, [&](int64_t at, float logit) {
      const int64_t i = at / classes;
      __builtin_prefetch(d + i * 4);  // they lie far apart
      candidates.push_back({i, static_cast<int>(at % classes), logit});
    });
    for (const auto& [i, c, logit] : candidates) {
      float score = 1.0f / (1.0f + std::exp(-logit));
      if (!(score > least)) continue;
      const Anchor a = anchors[i];
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

}  // namespace cytodet::models
