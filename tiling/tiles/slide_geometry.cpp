#include "tiling/tiles/slide_geometry.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "core/ascii.h"
#include "core/error.h"
#include "tiling/tiles/grid.h"

namespace cytodet::tiling {
namespace {

constexpr double kSquare = 0.01;

void add_warning(std::string& all, const std::string& one) { all += (all.empty() ? "" : "; ") + one; }

}  // namespace

const char* name_of(Origin origin) { return origin == Origin::slide ? "slide" : "bounds"; }

Origin origin_named(const std::string& name, const std::string& where) {
  for (const Origin origin : {Origin::bounds, Origin::slide})
    if (name == name_of(origin)) return origin;
  throw UsageError(where, "must be bounds or slide, not \"" + name + "\"");
}

PixelArea scanned_area(const Slide& slide) {
  const PixelArea all{0, 0, slide.width(), slide.height()};
  if (!slide.bounds) return all;
  const PixelArea& b = *slide.bounds;
  const int64_t x0 = std::clamp<int64_t>(b.x, 0, all.width), y0 = std::clamp<int64_t>(b.y, 0, all.height);
  const int64_t x1 = std::clamp<int64_t>(b.x + b.width, x0, all.width), y1 = std::clamp<int64_t>(b.y + b.height, y0, all.height);
  return x0 < x1 && y0 < y1 ? PixelArea{x0, y0, x1 - x0, y1 - y0} : all;
}

std::vector<Box> scanned_parts(const Slide& slide) {
  const Box all = box_of(scanned_area(slide));
  std::vector<Box> parts;
  for (const PixelArea& p : slide.parts) {
    const Box b = box_of(p), cut{std::max(b.x0, all.x0), std::max(b.y0, all.y0), std::min(b.x1, all.x1), std::min(b.y1, all.y1)};
    if (cut.x0 < cut.x1 && cut.y0 < cut.y1) parts.push_back(cut);
  }
  return parts.empty() ? std::vector{all} : parts;
}

bool may_have_bounds(const std::string& path) {
  const std::string extension = lower_ascii(std::filesystem::path(path).extension().string());
  return extension == ".scn" || extension == ".mrxs" || extension == ".bif";
}

std::optional<PixelArea> bounds_of_file(const std::string& path) {
  try {
    const std::unique_ptr<Slide> slide = open_measured_slide(path);
    return slide ? slide->bounds : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::array<double, 2> frame_corner(const std::optional<PixelArea>& bounds, Origin origin) {
  if (origin == Origin::slide || !bounds) return {0, 0};
  return {static_cast<double>(bounds->x), static_cast<double>(bounds->y)};
}

void settle_pixel_size(Slide& slide, const TilingSettings& s) {
  if (slide.mpp_x && !slide.mpp_y) slide.mpp_y = slide.mpp_x;
  if (!s.set_mpp.empty()) {
    slide.mpp_x = s.set_mpp.front();
    slide.mpp_y = s.set_mpp.back();
    slide.mpp_source = "--set-mpp";
    slide.mpp_warning.clear();  // of what the file says
    return;
  }
  if (!s.assume_mpp) return;
  if (!slide.mpp_x) {
    slide.mpp_x = slide.mpp_y = s.assume_mpp;
    slide.mpp_source = "assumed";
  } else if (!is_square(*slide.mpp_x, *s.assume_mpp) || !is_square(*slide.mpp_y, *s.assume_mpp)) {
    add_warning(slide.mpp_warning, "--assume-mpp " + pixel_size_text(*s.assume_mpp, *s.assume_mpp) +
                                       " is not used, since the file says " + pixel_size_text(*slide.mpp_x, *slide.mpp_y) +
                                       " micrometres per pixel (" + slide.mpp_source + "); --set-mpp overrules the file");
  }
}

bool is_square(double mpp_x, double mpp_y) { return std::abs(mpp_x - mpp_y) <= kSquare * std::max(mpp_x, mpp_y); }

std::string pixel_size_text(double mpp_x, double mpp_y) {
  char x[32], y[32];
  std::snprintf(x, sizeof x, "%.4g", mpp_x);
  std::snprintf(y, sizeof y, "%.4g", mpp_y);
  return std::string(x) == y ? x : std::string(x) + " x " + y;
}

}  // namespace cytodet::tiling
