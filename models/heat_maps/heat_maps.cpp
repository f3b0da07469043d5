#include "models/heat_maps/heat_maps.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/settings.h"
#include "models/common/scores.h"
#include "models/detection_model.h"
#include "models/heat_maps/heat_map_settings.h"

namespace cytodet::models {
namespace {

constexpr const char* kMapAdvice = "check outputs, layout and classes in the model file";

// Values of a map [1, height, width, channels], in either layout.
struct MapView {
  const float* at;
  int64_t height, width, channels, row, column, channel;  // sizes, and steps between neighbours
  float operator()(int64_t c, int64_t y, int64_t x) const { return at[y * row + x * column + c * channel]; }
};

// Peaks of a map of scores become detections: a square of the radius, or a box of the size that a second map has at the peak.
class HeatMapNetwork : public DetectionModel {
 public:
  explicit HeatMapNetwork(ModelFile model) : DetectionModel(std::move(model)), own_(heat_map_settings(file())) {}

  std::vector<std::string> outputs() const override {
    std::vector<std::string> nodes{own_.outputs.heat_map};
    for (const std::string& name : {own_.outputs.size, own_.outputs.offset})
      if (!name.empty()) nodes.push_back(name);
    return nodes;
  }

  void check_outputs(std::span<const OutputSpec> compiled) const override {
    for (size_t i = 0; i < compiled.size(); ++i) {
      const OutputSpec& out = compiled[i];
      if (out.dtype != DType::f32)
        throw Error("output " + out.name, "is " + name_of(out.dtype) + ", but float values are expected", kMapAdvice);
      if (out.shape.size() != 4) continue;  // looked at when it is there
      const int64_t found = out.shape[is_last() ? 3 : 1];
      if (found >= 0 && found != channels_of(i)) refuse_shape(out.name, out.shape, i);
    }
  }

 protected:
  bool keeps_centres() const override { return own_.radius > 0; }

  Detections decode_square(std::span<const Tensor* const> outputs, double scale, double width, double height) const override {
    const MapView heat = view(*outputs[0], 0);
    Peaks peaks{heat, nullptr, nullptr, scale, width, height};
    std::optional<MapView> size, offset;
    for (size_t i = 1; i < outputs.size(); ++i) {
      const MapView map = view(*outputs[i], i);
      if (map.height != heat.height || map.width != heat.width)
        throw Error("output " + name_of_output(i), "is not as high and wide as the heat map", kMapAdvice);
      (is_size(i) ? size : offset) = map;
    }
    peaks.size = size ? &*size : nullptr;
    peaks.offset = offset ? &*offset : nullptr;
    std::vector<Detections> by_class(static_cast<size_t>(file().class_count()));
    for (int c = 0; c < file().class_count(); ++c) add_peaks(peaks, c, by_class[static_cast<size_t>(c)]);
    return own_.suppressed ? best_of_classes(by_class, file().suppression.detections)
                           : suppress_by_class(std::move(by_class), file().suppression);
  }

 private:
  struct Peaks {
    MapView heat;
    const MapView *size, *offset;             // null: none
    double scale, image_width, image_height;  // input pixels per source pixel; size in source pixels
  };

  bool is_last() const { return own_.layout == MapLayout::channels_last; }
  bool is_size(size_t i) const { return i == 1 && !own_.outputs.size.empty(); }
  int64_t channels_of(size_t i) const {
    return i == 0 ? file().class_count() : is_size(i) && own_.size_form == SizeForm::distances ? 4 : 2;
  }
  const std::string& name_of_output(size_t i) const {
    return i == 0 ? own_.outputs.heat_map : is_size(i) ? own_.outputs.size : own_.outputs.offset;
  }
  [[noreturn]] void refuse_shape(const std::string& name, const Shape& shape, size_t i) const {
    const std::string channels = std::to_string(channels_of(i));
    throw Error("output " + name,
                "has shape " + to_string(shape) + ", but " +
                    (is_last() ? "[1, height, width, " + channels + "]" : "[1, " + channels + ", height, width]") +
                    " is expected",
                kMapAdvice);
  }

  MapView view(const Tensor& t, size_t i) const {
    const bool last = is_last();
    if (t.rank() != 4 || t.dim(0) != 1 || t.dim(last ? 3 : 1) != channels_of(i) || t.size() == 0)
      refuse_shape(name_of_output(i), t.shape(), i);
    const int64_t height = t.dim(last ? 1 : 2), width = t.dim(last ? 2 : 3), channels = channels_of(i);
    if (last) return {t.data<float>(), height, width, channels, width * channels, channels, 1};
    return {t.data<float>(), height, width, channels, width, 1, height * width};
  }

  // Whether no score of the class around (y, x) is larger. Equal neighbours are all peaks, as in the networks' own decoders.
  bool is_peak(const MapView& heat, int64_t c, int64_t y, int64_t x, float value) const {
    const int64_t r = own_.peak_window / 2;
    for (int64_t v = std::max<int64_t>(0, y - r); v <= std::min(heat.height - 1, y + r); ++v)
      for (int64_t u = std::max<int64_t>(0, x - r); u <= std::min(heat.width - 1, x + r); ++u)
        if (!(heat(c, v, u) <= value)) return false;
    return true;
  }

  void add_peaks(const Peaks& p, int c, Detections& to) const {
    const auto min_score = static_cast<float>(file().suppression.score);
    const float threshold = min_value(own_.score_form, file().suppression.score);
    for (int64_t y = 0; y < p.heat.height; ++y)
      for (int64_t x = 0; x < p.heat.width; ++x) {
        const float value = p.heat(c, y, x);
        if (!(value > threshold) || !is_peak(p.heat, c, y, x, value)) continue;
        const float score = score_of(own_.score_form, value);
        const Box box = box_of(p, y, x);
        if (score > min_score && box.width() > 0 && box.height() > 0) to.push_back({box, c, score});
      }
  }

  // In pixels of the source. Centres without an offset lie in the middle of their cell.
  Box box_of(const Peaks& p, int64_t y, int64_t x) const {
    const double cell_w = static_cast<double>(input().width) / static_cast<double>(p.heat.width),
                 cell_h = static_cast<double>(input().height) / static_cast<double>(p.heat.height);
    const auto offset = [&](int64_t c) { return p.offset ? static_cast<double>((*p.offset)(c, y, x)) : 0.5; };
    const double cx = (static_cast<double>(x) + offset(0)) * cell_w / p.scale,
                 cy = (static_cast<double>(y) + offset(1)) * cell_h / p.scale;
    if (!p.size) {
      const double r = own_.radius / p.scale;
      return {cx - r, cy - r, cx + r, cy + r};
    }
    const bool cells = own_.unit == MapUnit::cells;
    const double fx = (cells ? cell_w : 1) / p.scale, fy = (cells ? cell_h : 1) / p.scale;
    const auto size = [&](int64_t c) { return static_cast<double>((*p.size)(c, y, x)); };
    double left, top, right, bottom;
    if (own_.size_form == SizeForm::distances) {
      left = size(0), top = size(1), right = size(2), bottom = size(3);
    } else {
      const int64_t w = own_.size_form == SizeForm::height_width;
      left = right = size(w) / 2;
      top = bottom = size(1 - w) / 2;
    }
    return {std::clamp(cx - left * fx, 0.0, p.image_width), std::clamp(cy - top * fy, 0.0, p.image_height),
            std::clamp(cx + right * fx, 0.0, p.image_width), std::clamp(cy + bottom * fy, 0.0, p.image_height)};
  }

  const HeatMapSettings& own_;
};

}  // namespace

constinit const ModelFamily kHeatMaps = {
    .name = "heat_maps",
    .recognises =
        [](const Json& j) { return j.contains("outputs") && j["outputs"].is_object() && j["outputs"].contains("heat_map"); },
    .settings = []() -> std::unique_ptr<FamilySettings> { return std::make_unique<HeatMapSettings>(); },
    .check = check_heat_maps,
    .make = [](ModelFile m) -> std::shared_ptr<const NetworkModel> { return std::make_shared<HeatMapNetwork>(std::move(m)); },
};

}  // namespace cytodet::models
