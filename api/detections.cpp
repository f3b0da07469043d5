#include "api/detections.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>

#include "api/handles.h"
#include "core/output_plan.h"
#include "core/settings.h"
#include "pipeline/results/formats/output.h"
#include "tiling/slides/slide.h"

namespace cytodet::api {
namespace {

using core::UsageError;

constexpr size_t kMaxListed = 100'000'000;

void check_detections(const cytodet_image_detections& image) {
  require(image.name, "name");
  if (image.count) require(image.detections, "detections");
  for (size_t i = 0; i < image.count; ++i) {
    const cytodet_detection& d = image.detections[i];
    const auto where = [&] { return std::string(image.name) + ": detection " + std::to_string(i); };
    if (d.class_index < 0 || d.class_index >= kMaxClasses)
      throw UsageError(where(), "has the class_index " + std::to_string(d.class_index), "use 0 to 9999");
    if (d.class_id < std::numeric_limits<int>::min() || d.class_id > std::numeric_limits<int>::max())
      throw UsageError(where(), "has the class_id " + std::to_string(d.class_id), "use numbers of 32 bits");
    if (!(std::isfinite(d.x0) && std::isfinite(d.y0) && std::isfinite(d.x1) && std::isfinite(d.y1) && std::isfinite(d.score)))
      throw UsageError(where(), "has a box or score that is not finite", "leave it out");
    if (d.x0 > d.x1 || d.y0 > d.y1) throw UsageError(where(), "has x0 > x1 or y0 > y1", "boxes are x0, y0, x1, y1");
  }
}

const pipeline::Output& form_of(const char* path) {
  if (const pipeline::Output* form = pipeline::output_for(path)) return *form;
  std::string suffixes;
  for (const pipeline::Output& o : pipeline::outputs()) suffixes += std::string(suffixes.empty() ? "" : ", ") + o.suffix;
  throw UsageError(path, "has a name that says no form", "let it end in one of " + suffixes);
}

std::shared_ptr<const tiling::Slide> slide_for(const pipeline::Output& form, const std::string& name) {
  std::error_code ignored;
  if (form.pixels == pipeline::Pixels::none || !std::filesystem::is_regular_file(name, ignored)) return nullptr;
  return tiling::open_slide(name);
}

void write(const cytodet_image_detections& given, const char* const* classes, size_t class_count, const char* path,
           core::Json json) {
  require(path, "path");
  pipeline::OutputSettings settings;
  settings.origin = tiling::origin_named(take(json, "origin", std::string(tiling::name_of(settings.origin))), "origin");
  settings.crops = take(json, "crops", settings.crops);
  const int image_id = take(json, "image_id", 1);
  refuse_rest(json, {"image_id", "origin", "crops"});
  if (image_id < 0) throw UsageError("image_id", "is negative");
  pipeline::check(settings);
  const pipeline::Output& form = form_of(path);
  const ClassList list = classes_of({given}, classes, class_count);
  pipeline::Classes known;
  for (size_t c = 0; c < list.names.size(); ++c) known.add(list.ids[c], list.names[c]);
  core::OutputPlan plan;
  plan.add_input(given.name, "the image");
  plan.add_output(path, "the detections");
  plan.check();
  pipeline::OutputImage image;
  image.name = std::filesystem::path(given.name).filename().string();
  image.image_id = image_id;
  image.width = given.width;
  image.height = given.height;
  image.classes = &known;
  if (std::shared_ptr<const tiling::Slide> slide = slide_for(form, given.name))
    image = pipeline::output_image_of(image.name, image_id, std::move(slide), known);
  if (form.pixels == pipeline::Pixels::needed && !image.slide)
    throw core::Error(path, "is made of the image's pixels, and there is no file " + std::string(given.name),
                      "detect on a file, or write another form");
  const std::unique_ptr<pipeline::OutputFile> file = form.open(image, settings, path);
  for (core::Detection d : detections_of(given)) {
    d.category = known.index_of(list.ids[static_cast<size_t>(d.category)]);
    file->add(d);
  }
  file->finish();
}

}  // namespace

std::vector<cytodet_image_detections> image_detections_of(const cytodet_image_detections* images, size_t count) {
  if (count == 0) return {};
  require(images, "images");
  if (count > kMaxListed) throw UsageError("count", "is " + std::to_string(count));
  constexpr size_t kFirst = offsetof(cytodet_image_detections, count) + sizeof(size_t);  // of version 1
  const size_t size = images->struct_size;
  if (size < kFirst || size > 4096)
    throw UsageError("struct_size", "is " + std::to_string(size), "set it to sizeof(cytodet_image_detections)");
  std::vector<cytodet_image_detections> known(count);
  for (size_t i = 0; i < count; ++i) {
    std::memcpy(&known[i], reinterpret_cast<const char*>(images) + i * size, std::min(size, sizeof known[i]));
    check_detections(known[i]);
  }
  return known;
}

core::Detections detections_of(const cytodet_image_detections& image) {
  core::Detections all;
  all.reserve(image.count);
  for (size_t i = 0; i < image.count; ++i) {
    const cytodet_detection& d = image.detections[i];
    all.push_back({{d.x0, d.y0, d.x1, d.y1}, d.class_index, d.score});
  }
  return all;
}

ClassList classes_of(const std::vector<cytodet_image_detections>& images, const char* const* classes, size_t class_count) {
  ClassList list;
  size_t count = classes ? class_count : 0;
  if (count > static_cast<size_t>(kMaxClasses)) throw UsageError("class_count", "is more than 10000");
  for (const cytodet_image_detections& image : images)
    for (size_t i = 0; i < image.count; ++i) count = std::max(count, static_cast<size_t>(image.detections[i].class_index) + 1);
  std::vector<bool> given(count);
  for (size_t c = 0; c < count; ++c) list.ids.push_back(static_cast<int>(c) + 1);
  for (const cytodet_image_detections& image : images)
    for (size_t i = 0; i < image.count; ++i) {
      const auto c = static_cast<size_t>(image.detections[i].class_index);
      const int id = static_cast<int>(image.detections[i].class_id);
      if (given[c] && list.ids[c] != id)
        throw UsageError(image.name, "has class_index " + std::to_string(c) + " with the class_ids " +
                                         std::to_string(list.ids[c]) + " and " + std::to_string(id));
      list.ids[c] = id;
      given[c] = true;
    }
  for (size_t c = 0; c < count; ++c) {
    if (classes && c < class_count) require(classes[c], "classes");
    list.names.push_back(classes && c < class_count ? classes[c] : "class " + std::to_string(list.ids[c]));
  }
  return list;
}

}  // namespace cytodet::api

using namespace cytodet;
using namespace cytodet::api;

cytodet_status cytodet_write_detections(const cytodet_image_detections* image, const char* const* classes, size_t class_count,
                                        const char* path, const cytodet_settings* settings, cytodet_error** error) {
  return guarded_status(error, [&] {
    require(image, "image");
    write(image_detections_of(image, 1).front(), classes, class_count, path, json_of(settings));
  });
}
