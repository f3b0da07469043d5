#include "models/boxes/boxes.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "core/settings.h"
#include "models/boxes/settings.h"
#include "models/detection_model.h"

namespace cytodet::models {
namespace {

constexpr const char* kBoxAdvice = "check outputs, classes and background in the model file";

// Boxes [1, n, 4], scores [1, n] with classes [1, n], or scores [1, n, classes]; a leading 1 may be missing. Scores above the
// least one become detections, clipped to the image; then the network's own suppression is trusted, or boxes of a class are
// suppressed.
class BoxNetwork : public DetectionModel {
 public:
  explicit BoxNetwork(ModelFile model) : DetectionModel(std::move(model)), own_(box_settings(file())) {
    for (int c = 0; c < file().class_count(); ++c) channel_of_id_.emplace(file().category_id(c), c);
  }

  std::vector<std::string> outputs() const override {
    std::vector<std::string> nodes{own_.outputs.boxes, own_.outputs.scores};
    for (const std::string& name : {own_.outputs.classes, own_.outputs.count})
      if (!name.empty()) nodes.push_back(name);
    return nodes;
  }

  void check_outputs(std::span<const OutputSpec> compiled) const override {
    for (size_t i = 0; i < compiled.size(); ++i) {
      const OutputSpec& out = compiled[i];
      const int64_t last = i == 0 ? 4 : i == 1 && per_box() != 1 ? per_box() : 0;
      const int64_t found = out.shape.empty() ? -1 : out.shape.back();
      if (last && found >= 0 && found != last)
        throw Error("output " + out.name,
                    "is " + to_string(out.shape) + ", but its last dimension must be " + std::to_string(last), kBoxAdvice);
      if (out.dtype != DType::f32 && (i < 2 || !is_number(out.dtype)))
        throw Error("output " + out.name, "is " + name_of(out.dtype) + ", but float values are expected", kBoxAdvice);
    }
  }

 protected:
  Detections decode_square(std::span<const Tensor* const> outputs, double scale, double width, double height) const override {
    const Tensor &boxes = *outputs[0], &scores = *outputs[1];
    const Tensor* classes = own_.outputs.classes.empty() ? nullptr : outputs[2];
    const int64_t n = boxes.size() / 4, given = count_of(outputs, n);
    if (boxes.size() % 4 != 0 || scores.size() != n * per_box() || (classes && classes->size() != n))
      throw Error("output " + own_.outputs.scores,
                  "has shape " + to_string(scores.shape()) + (classes ? ", the classes " + to_string(classes->shape()) : "") +
                      ", which do not fit boxes of shape " + to_string(boxes.shape()),
                  kBoxAdvice);
    std::vector<Detections> by_class(static_cast<size_t>(file().class_count()));
    const auto min = static_cast<float>(file().suppression.score);
    for (int64_t i = 0; i < given; ++i)
      for (int64_t k = own_.background; k < per_box(); ++k) {
        const float score = scores.data<float>()[i * per_box() + k];
        if (!(score > min)) continue;
        const int c = classes ? class_of(classes->as_double(i)) : static_cast<int>(k - own_.background);
        const Box box = box_of(boxes.data<float>() + i * 4, scale, width, height);
        if (box.width() > 0 && box.height() > 0) by_class[static_cast<size_t>(c)].push_back({box, c, score});
      }
    return own_.suppressed ? ranked(by_class) : suppress_by_class(std::move(by_class), file().suppression);
  }

 private:
  static bool is_number(DType t) { return t == DType::i32 || t == DType::i64 || t == DType::u8 || t == DType::f64; }

  // Scores of one box.
  int64_t per_box() const { return own_.outputs.classes.empty() ? file().class_count() + own_.background : 1; }

  // How many boxes of n count.
  int64_t count_of(std::span<const Tensor* const> outputs, int64_t n) const {
    if (own_.outputs.count.empty()) return n;
    const Tensor& t = *outputs.back();
    const double count = t.size() == 1 ? t.as_double(0) : -1;
    if (!(count >= 0 && count <= static_cast<double>(n)))
      throw Error("output " + own_.outputs.count,
                  "must be one number of 0 to " + std::to_string(n) + " boxes, and has shape " + to_string(t.shape()),
                  kBoxAdvice);
    return static_cast<int64_t>(count);
  }

  int class_of(double number) const {
    const auto id = static_cast<int>(std::clamp(std::nearbyint(number), -1e9, 1e9));
    if (own_.class_numbers == ClassNumbers::channels) {
      if (id >= 0 && id < file().class_count()) return id;
    } else if (const auto found = channel_of_id_.find(id); found != channel_of_id_.end()) {
      return found->second;
    }
    throw Error("output " + own_.outputs.classes, "gives class " + std::to_string(id) + ", which the model file does not know",
                "complete classes and category_ids, or check class_numbers");
  }

  // Four numbers of a box in pixels of the source.
  Box box_of(const float* v, double scale, double width, double height) const {
    const bool y_first = own_.form == BoxForm::yxyx;
    double x0 = v[y_first ? 1 : 0], y0 = v[y_first ? 0 : 1], x1 = v[y_first ? 3 : 2], y1 = v[y_first ? 2 : 3];
    if (own_.form == BoxForm::cxcywh) {
      x0 -= x1 / 2;
      y0 -= y1 / 2;
    }
    if (own_.form == BoxForm::cxcywh || own_.form == BoxForm::xywh) {
      x1 += x0;
      y1 += y0;
    }
    const bool share = own_.unit == BoxUnit::share;
    const double fx = (share ? input().width : 1) / scale, fy = (share ? input().height : 1) / scale;
    return {std::clamp(x0 * fx, 0.0, width), std::clamp(y0 * fy, 0.0, height), std::clamp(x1 * fx, 0.0, width),
            std::clamp(y1 * fy, 0.0, height)};
  }

  Detections ranked(const std::vector<Detections>& by_class) const {
    Detections all;
    for (const Detections& some : by_class) all.insert(all.end(), some.begin(), some.end());
    std::sort(all.begin(), all.end(), ranks_before);
    all.resize(std::min(all.size(), static_cast<size_t>(file().suppression.detections)));
    return all;
  }

  const BoxSettings& own_;
  std::map<int, int> channel_of_id_;
};

}  // namespace

constinit const ModelFamily kBoxes = {
    .name = "boxes",
    .recognises =
        [](const Json& j) { return j.contains("outputs") && j["outputs"].is_object() && j["outputs"].contains("boxes"); },
    .settings = []() -> std::unique_ptr<FamilySettings> { return std::make_unique<BoxSettings>(); },
    .check = check_boxes,
    .make = [](ModelFile m) -> std::shared_ptr<const NetworkModel> { return std::make_shared<BoxNetwork>(std::move(m)); },
};

}  // namespace cytodet::models
