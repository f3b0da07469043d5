#include "pipeline/report/error_report.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <numeric>

#include "core/error.h"
#include "core/settings.h"
#include "tiling/draw/overlay.h"
#include "tiling/draw/sheet.h"
#include "tiling/slides/image_io.h"
#include "tiling/slides/slide.h"
#include "tiling/tiles/tile_reading.h"

namespace cytodet::pipeline {
namespace {

// What is drawn, in the order of the colours of classes.
enum Drawn { kMissed, kClass, kRight, kPlace, kBoth, kDouble, kBackground, kTruth };
const std::vector<std::string> kLegend = {"missed", "Cls", "right", "Loc", "Both", "Dupe", "Bkg", "truth"};

Drawn drawn(DetectionOutcome outcome, ErrorKind kind) {
  if (outcome == DetectionOutcome::right) return kRight;
  switch (kind) {
    case ErrorKind::cls:
      return kClass;
    case ErrorKind::loc:
      return kPlace;
    case ErrorKind::both:
      return kBoth;
    case ErrorKind::dupe:
      return kDouble;
    case ErrorKind::miss:
      return kMissed;
    case ErrorKind::bkg:
      break;
  }
  return kBackground;
}

DetectionSet top_scoring(const DetectionSet& all, double min_score) {
  DetectionSet some;
  for (size_t i = 0; i < all.size(); ++i) {
    if (all.scores[i] < min_score) continue;
    some.image.push_back(all.image[i]);
    some.category.push_back(all.category[i]);
    some.scores.push_back(all.scores[i]);
    some.boxes.insert(some.boxes.end(), all.boxes.begin() + static_cast<std::ptrdiff_t>(4 * i),
                      all.boxes.begin() + static_cast<std::ptrdiff_t>(4 * i + 4));
  }
  return some;
}

// Boxes of one image, errors above matches above ground truth.
Detections boxes_of(const GroundTruth& truth, const DetectionSet& set, const Errors& e, int image) {
  Detections errors, right, wanted;
  auto box = [](const std::vector<double>& b, size_t i) {
    return Box{b[4 * i], b[4 * i + 1], b[4 * i] + b[4 * i + 2], b[4 * i + 1] + b[4 * i + 3]};
  };
  for (size_t i = 0; i < set.size(); ++i) {
    if (set.image[i] != image || e.detections[i] == DetectionOutcome::left_out || e.detections[i] == DetectionOutcome::ignored)
      continue;
    const Drawn d = drawn(e.detections[i], e.kinds[i]);
    (d == kRight ? right : errors).push_back({box(set.boxes, i), d, 1});
  }
  for (size_t t = 0; t < truth.size(); ++t)
    if (truth.image[t] == image && !truth.crowd[t])
      (e.found[t] ? wanted : errors).push_back({box(truth.boxes, t), e.found[t] ? kTruth : kMissed, 1});
  errors.insert(errors.end(), right.begin(), right.end());
  errors.insert(errors.end(), wanted.begin(), wanted.end());
  return errors;
}

// Ground truth boxes that no match found and detections that are none: what the sheet ranks by.
std::vector<int64_t> wrongs(const GroundTruth& truth, const Errors& e, size_t images) {
  std::vector<int64_t> counts(images, 0);
  for (size_t i = 0; i < images; ++i)
    for (size_t k = 0; k < kErrorKinds; ++k)
      if (static_cast<ErrorKind>(k) != ErrorKind::miss) counts[i] += e.images[i][k];
  for (size_t t = 0; t < truth.size(); ++t)
    if (!truth.crowd[t] && !e.found[t]) ++counts[static_cast<size_t>(truth.image[t])];
  return counts;
}

}  // namespace

void ErrorReport::add(CLI::App& app) {
  app.add_flag("--errors", errors, "What kinds of errors there are and what AP each costs (TIDE)");
  app.add_option("--worst", worst, "Picture of the images with most errors (.png or .jpg); needs --images");
  app.add_option("--worst-count", worst_count, "How many images it shows")->check(CLI::Range(1, 100))->capture_default_str();
  app.add_option("--worst-score", worst_score, "Minimum score of a detection that it counts and shows")->capture_default_str();
}

void ErrorReport::run(const GroundTruth& truth, const DetectionSet& set, const ErrorOptions& options,
                      const std::vector<std::string>& files, const ImageSelection& selection, Json& report) const {
  if (errors) {
    const Errors e = find_errors(truth, set, options);
    std::fputs(("\n" + to_text(e)).c_str(), stdout);
    report["errors"] = to_json(e, options);
  }
  if (worst.empty()) return;
  const DetectionSet sure = top_scoring(set, worst_score);
  const Errors e = find_errors(truth, sure, options);
  const std::vector<int64_t> counts = wrongs(truth, e, truth.images.size());
  std::vector<std::pair<int, std::string>> shown;  // image, file
  const std::vector<int> image_of = truth.images_of(files).name_of;
  for (size_t i = 0; i < files.size(); ++i)
    if (image_of[i] >= 0) shown.emplace_back(image_of[i], files[i]);
  std::sort(shown.begin(), shown.end(), [&](const auto& a, const auto& b) {
    const int64_t more = counts[static_cast<size_t>(a.first)] - counts[static_cast<size_t>(b.first)];
    return more != 0 ? more > 0 : a < b;
  });
  if (shown.empty()) throw UsageError("--worst", "has no image to draw", "name the ground truth's images with --images");
  if (shown.size() > static_cast<size_t>(worst_count)) shown.resize(static_cast<size_t>(worst_count));
  std::vector<TitledImage> sheet;
  for (const auto& [image, file] : shown) {
    const auto slide = with_damage_filled(open_slide(file, selection));
    OverlayOptions overlay;
    overlay.score = std::min(worst_score, 1.0);
    overlay.max_side = 900;
    sheet.push_back(
        {std::filesystem::path(file).filename().string() + ": " + std::to_string(counts[static_cast<size_t>(image)]) + " errors",
         draw_overlay(*slide, boxes_of(truth, sure, e, image), kLegend, overlay)});
  }
  write_image(draw_sheet(sheet, sheet.size() < 3 ? static_cast<int>(sheet.size()) : 3), worst);
}

}  // namespace cytodet::pipeline
