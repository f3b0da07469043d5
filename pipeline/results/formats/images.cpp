// Heat map and contact sheet.
#include "core/error.h"
#include "pipeline/results/formats/output_entries.h"
#include "tiling/draw/contact_sheet.h"
#include "tiling/draw/heat_map.h"
#include "tiling/slides/image_io.h"

namespace cytodet::pipeline {
namespace {

class HeatMapFile : public OutputFile {
 public:
  HeatMapFile(const OutputImage& p, std::filesystem::path to)
      : slide_(p.slide), map_(p.width, p.height, p.bounds), to_(std::move(to)) {}
  void add(const Detection& d) override { map_.add(d.box); }
  void finish() override { write_image(map_.draw(slide_.get()), to_); }

 private:
  std::shared_ptr<const Slide> slide_;
  HeatMap map_;
  std::filesystem::path to_;
};

class Crops : public OutputFile {
 public:
  Crops(const OutputImage& p, const OutputSettings& s, std::filesystem::path to)
      : image_(p), sheet_(ContactSheetOptions{.per_class = s.crops}), to_(std::move(to)) {
    if (!p.slide) throw Error(to_.string(), "crops need the slide's pixels", "name the slide's file");
  }
  void add(const Detection& d) override { sheet_.add(d); }
  void finish() override { write_image(sheet_.draw(*image_.slide, image_.classes->names()), to_); }

 private:
  OutputImage image_;
  ContactSheet sheet_;
  std::filesystem::path to_;
};

}  // namespace

std::unique_ptr<OutputFile> open_heat_map(const OutputImage& p, const OutputSettings&, const std::filesystem::path& to) {
  try {
    return std::make_unique<HeatMapFile>(p, to);
  } catch (const Error& e) {
    throw e.within(to.string());
  }
}
std::unique_ptr<OutputFile> open_crops(const OutputImage& p, const OutputSettings& s, const std::filesystem::path& to) {
  return std::make_unique<Crops>(p, s, to);
}

}  // namespace cytodet::pipeline
