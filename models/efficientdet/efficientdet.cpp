#include "models/efficientdet/efficientdet.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/error.h"
#include "core/settings.h"
#include "models/common/scores.h"
#include "models/detection_model.h"
#include "models/efficientdet/anchors.h"
#include "models/efficientdet/efficientdet_settings.h"

namespace cytodet::models {
namespace {

constexpr const char* kAdvice = "check input size, anchors and classes in the model file";

struct Candidate {
  int64_t anchor;
  int category;
  float logit;
};

// found(i, x[i]) for every x[i] above `min`, of which there are few.
template <class Found>
void for_each_above(const float* x, int64_t n, float min, Found found) {
  constexpr int64_t kAtOnce = 64;
  for (int64_t first = 0; first < n; first += kAtOnce) {
    const int64_t last = std::min(n, first + kAtOnce);
    if (last - first == kAtOnce) {
      int any = 0;
      for (int64_t i = 0; i < kAtOnce; ++i) any |= x[first + i] > min;
      if (!any) continue;
    }
    for (int64_t i = first; i < last; ++i)
      if (x[i] > min) found(i, x[i]);
  }
}

// Class heads [1, h, w, anchors * classes] and box heads [1, h, w, anchors * 4] per level. A box is (ty, tx, th, tw): centre =
// t * side of the anchor + its centre, side = exp(t) * side of the anchor. Per class: score = sigmoid(logit) above the least,
// best candidates_per_class, suppression; then the best `detections` of the image.
class EfficientDet : public DetectionModel {
 public:
  explicit EfficientDet(ModelFile model) : DetectionModel(std::move(model)), own_(efficientdet_settings(file())) {
    for (int level = own_.anchors.min_level; level <= own_.anchors.max_level; ++level)
      anchors_.emplace_back(file().input, own_.anchors, level);
  }

  std::vector<std::string> outputs() const override {
    std::vector<std::string> nodes = own_.class_logits;
    nodes.insert(nodes.end(), own_.box_deltas.begin(), own_.box_deltas.end());
    return nodes;
  }

  std::vector<float> priors() const override {
    std::vector<float> numbers;
    for (const AnchorLevel& level : anchors_)
      for (int64_t i = 0; i < level.size(); ++i) {
        const Anchor a = level[i];
        numbers.insert(numbers.end(), {a.cx, a.cy, a.width, a.height});
      }
    return numbers;
  }

  void check_outputs(std::span<const OutputSpec> compiled) const override {
    for (size_t i = 0; i < compiled.size(); ++i) {
      const OutputSpec& out = compiled[i];
      const int64_t wanted = anchors_[i % levels()].size() * (i < levels() ? file().class_count() : 4);
      if (out.dtype != DType::f32 || !is_static(out.shape) || elements(out.shape) != wanted)
        throw Error("output " + out.name,
                    "is " + name_of(out.dtype) + " " + to_string(out.shape) + ", but " + std::to_string(wanted) +
                        " float values are expected",
                    kAdvice);
    }
  }

 protected:
  Detections decode_square(std::span<const Tensor* const> outputs, double scale, double width, double height) const override {
    std::vector<Detections> per_class(static_cast<size_t>(file().class_count()));
    std::vector<Candidate> candidates;
    for (size_t level = 0; level < levels(); ++level) {
      const Tensor &logits = *outputs[level], &deltas = *outputs[levels() + level];
      check_heads(level, logits, deltas);
      find_candidates(logits, deltas, candidates);
      add_boxes(anchors_[level], candidates, deltas.data<float>(), {scale, width, height}, per_class);
    }
    return suppress_by_class(std::move(per_class), file().suppression);
  }

 private:
  struct Source {
    double scale, width, height;  // input pixels per source pixel; size in source pixels
  };

  size_t levels() const { return anchors_.size(); }
  double min_score() const { return std::max(file().suppression.score, 1e-9); }

  void check_heads(size_t level, const Tensor& logits, const Tensor& deltas) const {
    const int64_t n = anchors_[level].size();
    const int classes = file().class_count();
    if (logits.size() != n * classes || deltas.size() != n * 4 || logits.dtype() != DType::f32)
      throw Error("output " + own_.class_logits[level],
                  "has shape " + to_string(logits.shape()) + ", but " + std::to_string(n) + " anchors x " +
                      std::to_string(classes) + " classes are expected",
                  kAdvice);
  }

  // Replaces `candidates` by those of a level whose logits are not surely too low.
  void find_candidates(const Tensor& logits, const Tensor& deltas, std::vector<Candidate>& candidates) const {
    const int classes = file().class_count();
    const float* d = deltas.data<float>();
    candidates.clear();
    for_each_above(logits.data<float>(), logits.size(), min_logit(min_score()), [&](int64_t at, float logit) {
      const int64_t i = at / classes;
      __builtin_prefetch(d + i * 4);  // they lie far apart
      candidates.push_back({i, static_cast<int>(at % classes), logit});
    });
  }

  void add_boxes(const AnchorLevel& anchors, const std::vector<Candidate>& candidates, const float* deltas, const Source& source,
                 std::vector<Detections>& per_class) const {
    const double min = min_score();
    for (const auto& [i, c, logit] : candidates) {
      const float score = sigmoid(logit);
      if (!(score > min)) continue;
      const Box box = box_of(anchors[i], deltas + i * 4, source);
      if (box.width() > 0 && box.height() > 0) per_class[static_cast<size_t>(c)].push_back({box, c, score});
    }
  }

  static Box box_of(const Anchor& a, const float* t, const Source& source) {
    const double scale = source.scale, width = source.width, height = source.height;
    double cy = t[0] * a.height + a.cy, cx = t[1] * a.width + a.cx;
    double h = std::exp(std::min(t[2], 20.0f)) * a.height, w = std::exp(std::min(t[3], 20.0f)) * a.width;
    return {std::clamp((cx - w / 2) / scale, 0.0, width), std::clamp((cy - h / 2) / scale, 0.0, height),
            std::clamp((cx + w / 2) / scale, 0.0, width), std::clamp((cy + h / 2) / scale, 0.0, height)};
  }

  const EfficientDetSettings& own_;
  std::vector<AnchorLevel> anchors_;
};

}  // namespace

constinit const ModelFamily kEfficientDet = {
    .name = "efficientdet",
    .recognises = [](const Json& j) { return j.contains("class_logits") || j.contains("box_deltas") || j.contains("anchors"); },
    .settings = []() -> std::unique_ptr<FamilySettings> { return std::make_unique<EfficientDetSettings>(); },
    .check = check_efficientdet,
    .make = [](ModelFile m) -> std::shared_ptr<const NetworkModel> { return std::make_shared<EfficientDet>(std::move(m)); },
};

}  // namespace cytodet::models
