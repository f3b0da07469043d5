#include "models/classification/classification.h"

#include <algorithm>

#include "core/error.h"
#include "core/settings.h"
#include "models/classification/resample.h"
#include "models/classification_model.h"
#include "models/common/scores.h"

namespace cytodet::models {
namespace {

class Classification : public ClassificationModel {
 public:
  explicit Classification(ModelFile model)
      : ClassificationModel(std::move(model)), own_(classification_settings(file())), scale_(channel_scale(input())) {}

  std::vector<std::string> outputs() const override { return {own_.output}; }

  void check_outputs(std::span<const OutputSpec> compiled) const override {
    const OutputSpec& out = compiled[0];
    const int64_t classes = file().class_count();
    const bool per_image =
        out.dtype == DType::f32 && out.shape.size() >= 2 && is_static(out.shape) && out.shape[0] * classes == elements(out.shape);
    if (!per_image)
      throw Error("output " + out.name,
                  "is " + std::string(cytodet::core::name_of(out.dtype)) + " " + to_string(out.shape) + ", but float scores of " +
                      std::to_string(classes) + " classes are expected",
                  "check output and classes in the model file");
  }

  JpegDecoding jpeg() const override { return own_.jpeg; }

  void preprocess(const Image& image, float* out) const override {
    resample(image, input_window(image.width, image.height, input(), own_.resize), input(), own_.resize.sampling, out);
    const int64_t pixels = int64_t{input().width} * input().height;
    const bool swap = input().pixel_order == "BGR";
    for (int64_t i = 0; i < pixels; ++i, out += 3) {
      if (swap) std::swap(out[0], out[2]);
      for (size_t c = 0; c < 3; ++c) out[c] = out[c] * scale_.factor[c] + scale_.offset[c];
    }
  }

  std::vector<float> scores(std::span<const Tensor* const> outputs, int64_t row) const override {
    const int64_t classes = file().class_count();
    const float* first = outputs[0]->data<float>() + row * classes;
    std::vector<float> values(first, first + classes);
    if (own_.logits) softmax(values);
    return values;
  }

  std::optional<int> channel_of(int64_t label) const override {
    const int64_t offset = own_.label_offset, classes = file().class_count();
    if (label < -offset || label >= classes - offset) return std::nullopt;
    return static_cast<int>(label + offset);
  }

 private:
  const ClassificationSettings& own_;
  const ChannelScale scale_;
};

}  // namespace

constinit const ModelFamily kClassification = {
    .name = "classification",
    .recognises = [](const Json& j) { return j.contains("resize") || j.contains("label_offset"); },
    .settings = []() -> std::unique_ptr<FamilySettings> { return std::make_unique<ClassificationSettings>(); },
    .check = check_classification,
    .make = [](ModelFile m) -> std::shared_ptr<const NetworkModel> { return std::make_shared<Classification>(std::move(m)); },
    .kind = NetworkKind::classification,
};

}  // namespace cytodet::models
