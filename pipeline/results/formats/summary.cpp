#include "pipeline/results/formats/summary.h"

#include "core/enum_names.h"
#include "core/error.h"
#include "core/file.h"
#include "core/settings.h"
#include "pipeline/results/formats/output_entries.h"

namespace cytodet::pipeline {
namespace {

class SummaryFile : public OutputFile {
 public:
  SummaryFile(const OutputImage& p, const OutputSettings& s, std::filesystem::path to)
      : image_(p), density_area_(s.density_area), counting_(s.counting), to_(std::move(to)) {}
  void add(const Detection& d) override { summary_.add(d); }
  void finish() override { write_file(to_, json_text(summary_.json(image_, density_area_, counting_))); }

 private:
  OutputImage image_;
  DensityOf density_area_;
  CountingScores counting_;
  Summary summary_;
  std::filesystem::path to_;
};

constexpr EnumName<DensityOf> kDensityAreas[] = {
    {DensityOf::regions, "regions"}, {DensityOf::tiles, "tiles"}, {DensityOf::slide, "slide"}};

}  // namespace

const char* name_of(DensityOf which) { return name_in(kDensityAreas, which); }

DensityOf density_of_named(const std::string& name) {
  if (const DensityOf* which = value_in(kDensityAreas, name)) return *which;
  throw UsageError("density_area", "must be regions, tiles or slide, not \"" + name + "\"");
}

std::optional<DensityArea> density_area(const OutputImage& p, DensityOf which) {
  if (p.width < 1 || p.height < 1 || !p.mpp_x || !p.mpp_y) return std::nullopt;
  const auto area = [&](double pixels, DensityOf of, bool unknown) {
    return DensityArea{square_millimetres(pixels, *p.mpp_x, *p.mpp_y), of, unknown};
  };
  if (which == DensityOf::tiles && p.run_px) return area(*p.run_px, DensityOf::tiles, false);
  if (which == DensityOf::regions && p.analysed_px)
    return area(*p.analysed_px, p.regions ? DensityOf::regions : DensityOf::slide, false);
  const double all = static_cast<double>(p.shown_width()) * static_cast<double>(p.shown_height());
  return area(all, DensityOf::slide, which == DensityOf::tiles || (which == DensityOf::regions && p.regions));
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

Json Summary::json(const OutputImage& p, DensityOf which, const CountingScores& counting) const {
  const auto known = [](bool yes, auto value) { return yes ? Json(value) : Json(nullptr); };
  const std::optional<DensityArea> area = density_area(p, which);
  const bool some = area && area->mm2 > 0;
  const auto density = [&](int64_t boxes) { return some ? Json(static_cast<double>(boxes) / area->mm2) : Json(nullptr); };
  Json j{
      {"image", p.name},
      {"image_id", p.image_id},
      {"width", known(p.width > 0, p.shown_width())},
      {"height", known(p.height > 0, p.shown_height())},
      {"bounds", p.bounds ? Json::array({p.bounds->x, p.bounds->y, p.bounds->width, p.bounds->height}) : Json(nullptr)},
      {"mpp", p.mpp_x && p.mpp_y ? Json::array({*p.mpp_x, *p.mpp_y}) : Json(nullptr)},
      {"area_mm2", area ? Json(area->mm2) : Json(nullptr)},
      {"area_of", area ? Json(name_of(area->of) +
                              (area->unknown ? std::string(", as the run does not give the area of its ") + name_of(which) : ""))
                       : Json(nullptr)},
      {"boxes", boxes_},
      {"boxes_per_mm2", density(boxes_)}};
  if (!counting.all()) j["boxes_count"] = text_of(counting, p.classes->names());
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

std::unique_ptr<OutputFile> open_summary(const OutputImage& p, const OutputSettings& s, const std::filesystem::path& to) {
  return std::make_unique<SummaryFile>(p, s, to);
}

}  // namespace cytodet::pipeline
