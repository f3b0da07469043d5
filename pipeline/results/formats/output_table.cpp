#include <algorithm>

#include "core/error.h"
#include "core/suggest.h"
#include "pipeline/results/formats/output_entries.h"
#include "pipeline/results/formats/summary.h"
#include "tiling/draw/contact_sheet.h"

namespace cytodet::pipeline {
namespace {

constexpr Output kOutputs[] = {
    {"box-list", ".json", "box list: {x, y, w, h, p} in whole pixels", Pixels::none, Boxes::all, open_box_list},
    {"coco", ".coco.json", "COCO results", Pixels::none, Boxes::all, open_coco},
    {"csv", ".csv", "a row per box", Pixels::none, Boxes::counted, open_csv},
    {"csv-excel", ".excel.csv", "the same for spreadsheets: texts stay as they are in every language", Pixels::none,
     Boxes::counted, open_csv_excel},
    {"geojson", ".geojson", "QuPath's detections as GeoJSON", Pixels::bounds, Boxes::counted, open_geojson},
    {"geojson.gz", ".geojson.gz", "the same, gzipped", Pixels::bounds, Boxes::counted, open_geojson_gz},
    {"geojson-points", ".points.geojson", "the middles of the boxes as GeoJSON points", Pixels::bounds, Boxes::counted,
     open_geojson_points},
    {"heatmap", ".heatmap.png", "where the boxes lie, over the slide in gray", Pixels::used, Boxes::counted, open_heat_map},
    {"crops", ".crops.png", "contact sheet of the top-scoring boxes of each class", Pixels::needed, Boxes::counted, open_crops},
    {"summary", ".summary.json", "counts, scores and density per class", Pixels::used, Boxes::counted, open_summary},
};

// Names that earlier versions gave, in settings that users keep.
constexpr const char* kOldNames[][2] = {{"competition", "box-list"}};

constexpr size_t kMaxClasses = 10000;

}  // namespace

int Classes::add(int64_t id, std::string name) {
  auto [it, fresh] = index_.try_emplace(id, static_cast<int>(classes_.size()));
  if (fresh) classes_.push_back({id, std::move(name)});
  return it->second;
}

int Classes::index_of(int64_t id) {
  if (auto it = index_.find(id); it != index_.end()) return it->second;
  if (classes_.size() >= kMaxClasses)
    throw Error("category_id " + std::to_string(id), "is one class too many; at most 10000 are known", "check category_id");
  return add(id, "class " + std::to_string(id));
}

std::vector<std::string> Classes::names() const {
  std::vector<std::string> all;
  for (const Class& c : classes_) all.push_back(c.name);
  return all;
}

OutputImage output_image_of(std::string name, int64_t image_id, std::shared_ptr<const Slide> slide, const Classes& classes) {
  OutputImage p{std::move(name), image_id, slide->width(), slide->height(), slide->mpp_x, slide->mpp_y, nullptr, &classes};
  p.bounds = slide->bounds;
  p.slide = std::move(slide);
  return p;
}

void check(const OutputSettings& s) {
  ContactSheetOptions options;
  options.per_class = s.crops;
  check(options);
}

std::span<const Output> outputs() { return kOutputs; }

std::string output_names() {
  std::string text;
  for (const Output& entry : kOutputs) text += (text.empty() ? "" : ", ") + std::string(entry.name);
  return text;
}

const Output& output_named(const std::string& name) {
  if (const Output* entry = entry_named(kOutputs, name)) return *entry;
  for (const auto& [old, now] : kOldNames)
    if (name == old) return output_named(now);
  throw UsageError("output \"" + name + "\"", "is not known", suggest(name, names_of(kOutputs)));
}

const Output* output_for(const std::filesystem::path& file) {
  const std::string name = file.filename().string();
  const Output* best = nullptr;
  for (const Output& o : kOutputs)
    if (name.ends_with(o.suffix) && (!best || std::string_view(o.suffix).size() > std::string_view(best->suffix).size()))
      best = &o;
  return best;
}

void write_outputs(const std::vector<std::string>& names, const OutputImage& image, const Detections& detections,
                   const OutputSettings& settings, const std::filesystem::path& folder, const std::string& file_name) {
  for (const std::string& name : names) {
    const Output& entry = output_named(name);
    std::unique_ptr<OutputFile> file = entry.open(image, settings, folder / (file_name + entry.suffix));
    for (const Detection& d : detections)
      if (entry.boxes == Boxes::all || settings.counting.counts(d)) file->add(d);
    file->finish();
  }
}

}  // namespace cytodet::pipeline
