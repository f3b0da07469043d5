#include "tiling/tiles/region.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <opencv2/imgproc.hpp>

#include "core/error.h"
#include "core/parallel.h"
#include "tiling/tiles/slide_geometry.h"

namespace cytodet::tiling {
namespace {

constexpr std::array<std::array<uint8_t, 3>, 8> kColours = {
    {{220, 40, 40}, {30, 90, 230}, {20, 150, 60}, {230, 140, 0}, {150, 40, 190}, {0, 160, 170}, {120, 90, 40}, {90, 90, 90}}};

constexpr double kPiecePixels = 1 << 21;  // stored pixels held at a time by one thread
constexpr int64_t kMaxReduction = 8192;   // stored pixels on a side that one image pixel is the mean of

struct SourceSpan {
  int64_t at, size;
};

// Level pixels under image pixels [from, from + n) of a side.
SourceSpan source(int from, int n, int side, double start, double length) {
  const double k = length / side;
  const int64_t a = std::llround(start + from * k), b = std::llround(start + (from + n) * k);
  return {a, std::clamp<int64_t>(b - a, 1, std::max<int64_t>(kMaxReduction, 2 * n))};
}

}  // namespace

std::array<uint8_t, 3> class_colour(int category) { return kColours[static_cast<size_t>(category) % kColours.size()]; }

Image read_scaled(const Slide& slide, const Box& area, int width, int height, const std::atomic<bool>* stop) {
  const double wanted = std::max(area.width() / width, area.height() / height);
  size_t level = 0;
  for (size_t i = 0; i < slide.levels.size(); ++i)
    if (slide.levels[i].downsample <= wanted * 1.001) level = i;
  const LevelInfo& info = slide.levels[level];
  // A level's sides are rounded, so its own ratio to level 0 counts.
  const double kx = static_cast<double>(info.width) / static_cast<double>(slide.width()),
               ky = static_cast<double>(info.height) / static_cast<double>(slide.height());
  const Box in{area.x0 * kx, area.y0 * ky, area.x1 * kx, area.y1 * ky};
  const double per_pixel = std::max(1e-9, in.width() / width * in.height() / height);
  const int piece = std::clamp(static_cast<int>(std::sqrt(kPiecePixels / per_pixel)), 1, 4096);
  const int columns = std::min(width, std::max(1, piece)), rows = std::min(height, std::max(1, piece));
  const int across = (width + columns - 1) / columns, down = (height + rows - 1) / rows;
  Image out(width, height);
  parallel_for(int64_t{across} * down, 0, [&](int64_t i) {
    if (stop && *stop) throw Error("", "stopped");
    const int x = static_cast<int>(i % across) * columns, y = static_cast<int>(i / across) * rows;
    const int w = std::min(columns, width - x), h = std::min(rows, height - y);
    const SourceSpan sx = source(x, w, width, in.x0, in.width()), sy = source(y, h, height, in.y0, in.height());
    Image part(static_cast<int>(sx.size), static_cast<int>(sy.size));
    slide.read(static_cast<int>(level), sx.at, sy.at, part.width, part.height, part.rgb.data());
    cv::Mat from(part.height, part.width, CV_8UC3, part.rgb.data()), to;
    cv::resize(from, to, cv::Size(w, h), 0, 0, part.width < w || part.height < h ? cv::INTER_LINEAR : cv::INTER_AREA);
    for (int r = 0; r < h; ++r) std::memcpy(out.row(y + r) + x * 3, to.ptr<uint8_t>(r), static_cast<size_t>(w) * 3);
  });
  return out;
}

Image thumbnail(const Slide& slide, int max_side) {
  const Box all = box_of(scanned_area(slide));
  const double scale = std::min(1.0, max_side / std::max(all.width(), all.height()));
  return read_scaled(slide, all, std::max(1, static_cast<int>(all.width() * scale)),
                     std::max(1, static_cast<int>(all.height() * scale)));
}

}  // namespace cytodet::tiling
