#include "tiling/draw/contact_sheet.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <opencv2/imgproc.hpp>

#include "core/error.h"
#include "core/parallel.h"
#include "tiling/tiles/region.h"

namespace cytodet::tiling {
namespace {

constexpr int kColumns = 12, kCellGap = 8, kTitleHeight = 34, kLabel = 18;
const cv::Scalar kInk(20, 20, 20);

struct Crop {
  Detection detection;
  int x = 0, y = 0;
};

void draw_crop(const Slide& slide, const Crop& crop, const ContactSheetOptions& options, Image& sheet) {
  const Box& b = crop.detection.box;
  const double side = std::clamp(std::max(b.width(), b.height()) * options.context, 8.0,
                                 static_cast<double>(2 * std::max(slide.width(), slide.height()) + 16));
  const double cx = (b.x0 + b.x1) / 2, cy = (b.y0 + b.y1) / 2, k = options.side_px / side;
  const Box area{cx - side / 2, cy - side / 2, cx + side / 2, cy + side / 2};
  Image cut = read_scaled(slide, area, options.side_px, options.side_px);
  cv::Mat image(cut.height, cut.width, CV_8UC3, cut.rgb.data());
  const auto c = class_colour(crop.detection.category);
  const auto at = [k](double v, double from) { return static_cast<int>(std::lround(std::clamp((v - from) * k, -10.0, 1e4))); };
  cv::rectangle(image, cv::Point(at(b.x0, area.x0), at(b.y0, area.y0)), cv::Point(at(b.x1, area.x0), at(b.y1, area.y0)),
                cv::Scalar(c[0], c[1], c[2]), 1);
  for (int r = 0; r < cut.height; ++r)
    std::memcpy(sheet.row(crop.y + r) + crop.x * 3, cut.row(r), static_cast<size_t>(cut.width) * 3);
}

}  // namespace

void check(const ContactSheetOptions& o) {
  if (o.per_class < 1 || o.per_class > 1000) throw UsageError("crops", "must be 1 to 1000 per class");
}

ContactSheet::ContactSheet(const ContactSheetOptions& options) : options_(options) { check(options); }

void ContactSheet::add(const Detection& d) {
  if (d.category < 0 || d.category >= options_.max_classes) return;
  if (classes_.size() <= static_cast<size_t>(d.category)) classes_.resize(static_cast<size_t>(d.category) + 1);
  Class& c = classes_[static_cast<size_t>(d.category)];
  ++c.seen;
  if (c.heap.size() == static_cast<size_t>(options_.per_class)) {
    if (!ranks_before(d, c.heap.front())) return;
    std::pop_heap(c.heap.begin(), c.heap.end(), ranks_before);
    c.heap.pop_back();
  }
  c.heap.push_back(d);
  std::push_heap(c.heap.begin(), c.heap.end(), ranks_before);
}

Detections ContactSheet::best(int category) const {
  if (static_cast<size_t>(category) >= classes_.size()) return {};
  Detections all = classes_[static_cast<size_t>(category)].heap;
  std::sort(all.begin(), all.end(), ranks_before);
  return all;
}

Image ContactSheet::draw(const Slide& slide, const std::vector<std::string>& names) const {
  struct Title {
    std::string text;
    int y;
  };
  std::vector<Title> titles;
  std::vector<Crop> crops;
  const int step = options_.side_px + kCellGap;
  int y = kCellGap;
  for (size_t c = 0; c < classes_.size(); ++c) {
    const Detections best_of = best(static_cast<int>(c));
    if (best_of.empty()) continue;
    const std::string name = c < names.size() ? names[c] : "class " + std::to_string(c);
    titles.push_back({name + ": " + std::to_string(best_of.size()) + " of " + std::to_string(classes_[c].seen), y});
    y += kTitleHeight;
    for (size_t i = 0; i < best_of.size(); ++i) {
      if (i && i % kColumns == 0) y += step + kLabel;
      crops.push_back({best_of[i], kCellGap + static_cast<int>(i % kColumns) * step, y});
    }
    y += step + kLabel + kCellGap;
  }
  if (titles.empty()) {
    titles.push_back({"no boxes", y});
    y += kTitleHeight;
  }
  Image sheet(kColumns * step + kCellGap, y);
  std::fill(sheet.rgb.begin(), sheet.rgb.end(), uint8_t{255});
  parallel_for(static_cast<int64_t>(crops.size()), 0,
               [&](int64_t i) { draw_crop(slide, crops[static_cast<size_t>(i)], options_, sheet); });
  cv::Mat canvas(sheet.height, sheet.width, CV_8UC3, sheet.rgb.data());
  for (const Title& t : titles)
    cv::putText(canvas, t.text, cv::Point(kCellGap, t.y + kTitleHeight - 12), cv::FONT_HERSHEY_SIMPLEX, 0.6, kInk, 1,
                cv::LINE_AA);
  for (const Crop& c : crops) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3f", static_cast<double>(c.detection.score));
    cv::putText(canvas, text, cv::Point(c.x, c.y + options_.side_px + kLabel - 5), cv::FONT_HERSHEY_SIMPLEX, 0.4, kInk, 1,
                cv::LINE_AA);
  }
  return sheet;
}

}  // namespace cytodet::tiling
