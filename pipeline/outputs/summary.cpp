#include "pipeline/outputs/summary.h"

#include "core/file.h"
#include "pipeline/outputs/rows.h"

namespace cytodet {
namespace {

class SummaryFile : public OutputFile {
 public:
  SummaryFile(const OutputPicture& p, std::filesystem::path to) : picture_(p), to_(std::move(to)) {}
  void add(const Detection& d) override { summary_.add(d); }
  void finish() override { write_file(to_, summary_.json(picture_).dump(1, ' ', false, Json::error_handler_t::replace) + "\n"); }

 private:
  OutputPicture picture_;
  Summary summary_;
  std::filesystem::path to_;
};

}  // namespace

std::optional<double> area_mm2(const OutputPicture& p) {
  if (p.width < 1 || p.height < 1 || !p.mpp_x || !p.mpp_y) return std::nullopt;
  return static_cast<double>(p.width) * *p.mpp_x / 1000 * (static_cast<double>(p.height) * *p.mpp_y / 1000);
}

void Summary::add(const Detection& d) {
  if (classes_.size() <= static_cast<size_t>(d.category)) classes_.resize(static_cast<size_t>(d.category) + 1);
  Class& c = classes_[static_cast<size_t>(d.category)];
  ++boxes_;
  ++c.boxes;
  c.score_sum += static_cast<double>(d.score);
  c.width_sum += d.box.width();
  c.height_sum += d.box.height();
}

Json Summary::json(const OutputPicture& p) const {
  const auto known = [](bool yes, auto value) { return yes ? Json(value) : Json(nullptr); };
  const std::optional<double> area = area_mm2(p);
  const auto density = [&](int64_t boxes) { return area ? Json(static_cast<double>(boxes) / *area) : Json(nullptr); };
  Json j{{"image", p.name},
         {"image_id", p.image_id},
         {"width", known(p.width > 0, p.width)},
         {"height", known(p.height > 0, p.height)},
         {"mpp", p.mpp_x && p.mpp_y ? Json::array({*p.mpp_x, *p.mpp_y}) : Json(nullptr)},
         {"area_mm2", area ? Json(*area) : Json(nullptr)},
         {"boxes", boxes_},
         {"boxes_per_mm2", density(boxes_)}};
  j["classes"] = Json::array();
  for (size_t i = 0; i < p.classes->all().size(); ++i) {
    const Class c = i < classes_.size() ? classes_[i] : Class{};
    const double n = static_cast<double>(std::max<int64_t>(1, c.boxes));
    const bool any = c.boxes > 0;
    j["classes"].push_back({{"name", p.classes->all()[i].name},
                            {"category_id", p.classes->all()[i].id},
                            {"boxes", c.boxes},
                            {"boxes_per_mm2", density(c.boxes)},
                            {"mean_score", known(any, c.score_sum / n)},
                            {"mean_width", known(any, c.width_sum / n)},
                            {"mean_height", known(any, c.height_sum / n)}});
  }
  return j;
}

std::unique_ptr<OutputFile> open_summary(const OutputPicture& p, const OutputSettings&, const std::filesystem::path& to) {
  return std::make_unique<SummaryFile>(p, to);
}

}  // namespace cytodet
