// Functions of cytodet/c.h on slides.
#include "tiling/slides/slide.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "api/handles.h"
#include "core/settings.h"
#include "core/text_width.h"
#include "tiling/tiles/region.h"
#include "tiling/tiles/slide_geometry.h"

struct cytodet_slide {
  std::unique_ptr<cytodet::tiling::Slide> slide;
  std::vector<std::string> warnings;  // of the slide and of its damage
};

namespace cytodet::api {
namespace {

using core::UsageError;

constexpr int64_t kMaxReadBytes = int64_t{1} << 40;

// Bytes from row to row of a caller's buffer. Throws UsageError where the region does not fit into it.
int64_t checked_stride(int32_t width, int32_t height, const uint8_t* rgb, int64_t stride, size_t size) {
  require(rgb, "rgb");
  if (width < 1 || height < 1)
    throw UsageError("size", "is " + std::to_string(width) + " x " + std::to_string(height) + " pixels", "ask for one at least");
  const int64_t row = int64_t{width} * 3;
  if (stride == 0) stride = row;
  if (stride < row)
    throw UsageError("stride", "is " + std::to_string(stride) + " bytes, less than a row's " + std::to_string(row));
  int64_t bytes = 0;
  if (__builtin_mul_overflow(stride, int64_t{height} - 1, &bytes) || bytes > kMaxReadBytes || row * height > kMaxReadBytes)
    throw UsageError("size", "is more than memory can hold", "read in parts");
  if (bytes += row; static_cast<uint64_t>(bytes) > size)
    throw UsageError("size", "of the buffer is " + std::to_string(size) + " bytes, " + std::to_string(bytes) + " are needed");
  return stride;
}

void copy_rows(const std::vector<uint8_t>& from, int32_t width, int32_t height, uint8_t* rgb, int64_t stride) {
  const size_t row = static_cast<size_t>(width) * 3;
  for (int64_t y = 0; y < height; ++y) std::memcpy(rgb + y * stride, from.data() + static_cast<size_t>(y) * row, row);
}

const tiling::Slide& slide_of(const cytodet_slide* s) {
  require(s, "slide");
  return *s->slide;
}

// Adds the file's name to what reading throws.
template <class Read>
void in_slide(const tiling::Slide& slide, Read read) {
  try {
    read();
  } catch (const core::Error& e) {
    throw e.within(slide.path);
  }
}

void read_region(const tiling::Slide& slide, int32_t level, int64_t x, int64_t y, int32_t width, int32_t height, uint8_t* rgb,
                 int64_t stride, size_t size) {
  stride = checked_stride(width, height, rgb, stride, size);
  const auto levels = static_cast<int32_t>(slide.levels.size());
  if (level < 0 || level >= levels)
    throw UsageError("level", "is " + std::to_string(level) + ", the slide has " + std::to_string(levels), "levels count from 0");
  constexpr int64_t kFar = int64_t{1} << 40;
  if (x < -kFar || x > kFar || y < -kFar || y > kFar) throw UsageError("x, y", "are too far from the slide");
  in_slide(slide, [&] {
    if (stride == int64_t{width} * 3) return slide.read(level, x, y, width, height, rgb);
    std::vector<uint8_t> rows(static_cast<size_t>(width) * static_cast<size_t>(height) * 3);
    slide.read(level, x, y, width, height, rows.data());
    copy_rows(rows, width, height, rgb, stride);
  });
}

void read_area(const tiling::Slide& slide, const core::Box& area, int32_t width, int32_t height, uint8_t* rgb, int64_t stride,
               size_t size) {
  stride = checked_stride(width, height, rgb, stride, size);
  constexpr double kFar = 1e12;
  for (const double v : {area.x0, area.y0, area.x1, area.y1})
    if (!(std::abs(v) < kFar)) throw UsageError("area", "is not finite, or too far from the slide");
  if (!(area.x0 < area.x1 && area.y0 < area.y1)) throw UsageError("area", "is empty", "x0 lies before x1, y0 before y1");
  in_slide(slide, [&] { copy_rows(tiling::read_scaled(slide, area, width, height).rgb, width, height, rgb, stride); });
}

cytodet_slide* open_slide(const char* path, const cytodet_settings* settings) {
  require(path, "path");
  tiling::ImageSelection selection;
  core::read_settings(json_of(settings), selection, "settings");
  tiling::check(selection);
  auto handle = std::make_unique<cytodet_slide>();
  handle->slide = tiling::open_slide(path, selection);
  handle->warnings = valid_texts(handle->slide->warnings);
  if (!handle->slide->damage.empty()) handle->warnings.push_back("damaged: " + core::valid_utf8(handle->slide->damage));
  return handle.release();
}

const tiling::LevelInfo* level_of(const cytodet_slide* s, int32_t level) {
  return s && level >= 0 && static_cast<size_t>(level) < s->slide->levels.size() ? &s->slide->levels[static_cast<size_t>(level)]
                                                                                 : nullptr;
}

}  // namespace
}  // namespace cytodet::api

using namespace cytodet;
using namespace cytodet::api;

cytodet_slide* cytodet_slide_open(const char* path, const cytodet_settings* settings, cytodet_error** error) {
  return guarded(error, [&] { return api::open_slide(path, settings); });
}
const char* cytodet_slide_format(const cytodet_slide* s) { return s ? s->slide->format.c_str() : ""; }
int64_t cytodet_slide_width(const cytodet_slide* s) { return cytodet_slide_level_width(s, 0); }
int64_t cytodet_slide_height(const cytodet_slide* s) { return cytodet_slide_level_height(s, 0); }
int32_t cytodet_slide_level_count(const cytodet_slide* s) { return s ? static_cast<int32_t>(s->slide->levels.size()) : 0; }
int64_t cytodet_slide_level_width(const cytodet_slide* s, int32_t level) {
  const tiling::LevelInfo* l = level_of(s, level);
  return l ? l->width : 0;
}
int64_t cytodet_slide_level_height(const cytodet_slide* s, int32_t level) {
  const tiling::LevelInfo* l = level_of(s, level);
  return l ? l->height : 0;
}
double cytodet_slide_level_downsample(const cytodet_slide* s, int32_t level) {
  const tiling::LevelInfo* l = level_of(s, level);
  return l ? l->downsample : 0;
}
double cytodet_slide_mpp_x(const cytodet_slide* s) { return s ? s->slide->mpp_x.value_or(0) : 0; }
double cytodet_slide_mpp_y(const cytodet_slide* s) { return s ? s->slide->mpp_y.value_or(cytodet_slide_mpp_x(s)) : 0; }
const char* cytodet_slide_mpp_source(const cytodet_slide* s) { return s ? s->slide->mpp_source.c_str() : ""; }
const char* cytodet_slide_mpp_warning(const cytodet_slide* s) { return s ? s->slide->mpp_warning.c_str() : ""; }
int cytodet_slide_bounds(const cytodet_slide* s, int64_t* bounds) {
  if (!s || !bounds) return 0;
  const tiling::PixelArea a = s->slide->bounds.value_or(tiling::PixelArea{0, 0, s->slide->width(), s->slide->height()});
  const int64_t values[] = {a.x, a.y, a.width, a.height};
  std::copy_n(values, 4, bounds);
  return s->slide->bounds.has_value();
}
size_t cytodet_slide_warning_count(const cytodet_slide* s) { return s ? s->warnings.size() : 0; }
const char* cytodet_slide_warning(const cytodet_slide* s, size_t index) { return s ? text_at(s->warnings, index) : ""; }

cytodet_status cytodet_slide_read(const cytodet_slide* slide, int32_t level, int64_t x, int64_t y, int32_t width, int32_t height,
                                  uint8_t* rgb, int64_t stride, size_t size, cytodet_error** error) {
  return guarded_status(error, [&] { read_region(slide_of(slide), level, x, y, width, height, rgb, stride, size); });
}
cytodet_status cytodet_slide_read_scaled(const cytodet_slide* slide, double x0, double y0, double x1, double y1, int32_t width,
                                         int32_t height, uint8_t* rgb, int64_t stride, size_t size, cytodet_error** error) {
  return guarded_status(error, [&] { read_area(slide_of(slide), {x0, y0, x1, y1}, width, height, rgb, stride, size); });
}
void cytodet_slide_free(cytodet_slide* s) { delete s; }
