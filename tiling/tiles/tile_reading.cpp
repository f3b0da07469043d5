#include "tiling/tiles/tile_reading.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <opencv2/imgproc.hpp>
#include <optional>

#include "core/error.h"

namespace cytodet::tiling {
namespace {

constexpr int64_t kSmallestCell = 64;  // level pixels
constexpr int kFillSide = 512;         // level pixels filled at a time
constexpr double kTolerated = 2.02;    // times as coarse as wanted; levels' sizes are rounded

Image resized(const Image& image, int width, int height) {
  if (image.width == width && image.height == height) return image;
  Image out(width, height);
  const cv::Mat from(image.height, image.width, CV_8UC3, const_cast<uint8_t*>(image.rgb.data()));
  cv::Mat to(height, width, CV_8UC3, out.rgb.data());
  cv::resize(from, to, to.size(), 0, 0, cv::INTER_AREA);
  return out;
}

// The tile from another, finer level; empty when that is damaged too, or the area there is too large to hold.
std::optional<Image> from_finer(const Slide& slide, const Tile& tile, int level, int width, int height) {
  const LevelInfo &own = slide.levels[static_cast<size_t>(tile.level)], &fine = slide.levels[static_cast<size_t>(level)];
  const double kx = static_cast<double>(fine.width) / static_cast<double>(own.width),
               ky = static_cast<double>(fine.height) / static_cast<double>(own.height);
  Tile t = tile;
  t.level = level;
  t.x = std::llround(static_cast<double>(tile.x) * kx);
  t.y = std::llround(static_cast<double>(tile.y) * ky);
  const double w = std::round(tile.width * kx), h = std::round(tile.height * ky);
  if (w * h > static_cast<double>(kMaxImagePixels)) return std::nullopt;
  t.width = static_cast<int>(w);
  t.height = static_cast<int>(h);
  t.downsample_factor = std::max(1, static_cast<int>(tile.downsample_factor * std::min(kx, ky) + 1e-3));
  try {
    return resized(read_tile(slide, t), width, height);
  } catch (const Error&) {
    return std::nullopt;
  }
}

// The tile, unshrunk, from a coarser level: bilinear, so that neighbouring pieces meet without a seam. Empty when damaged.
std::optional<Image> from_coarser(const Slide& slide, const Tile& tile, int level) {
  const LevelInfo &own = slide.levels[static_cast<size_t>(tile.level)], &coarse = slide.levels[static_cast<size_t>(level)];
  struct Side {
    int64_t first;
    int size;
    double scale, start;  // of the coarse pixel's centre under the tile's first
  };
  auto side = [](int64_t at, int size, int64_t own_length, int64_t length) {
    const double k = static_cast<double>(length) / static_cast<double>(own_length),
                 from = (static_cast<double>(at) + 0.5) * k - 0.5;
    const int64_t first = std::clamp<int64_t>(static_cast<int64_t>(std::floor(from)), 0, length - 1),
                  last = std::clamp<int64_t>(static_cast<int64_t>(std::floor(from + k * (size - 1))) + 1, first, length - 1);
    return Side{first, static_cast<int>(last - first + 1), k, from - static_cast<double>(first)};
  };
  const Side x = side(tile.x, tile.width, own.width, coarse.width), y = side(tile.y, tile.height, own.height, coarse.height);
  Image part(x.size, y.size), out(tile.width, tile.height);
  try {
    slide.read(level, x.first, y.first, x.size, y.size, part.rgb.data());
  } catch (const Error&) {
    return std::nullopt;
  }
  const cv::Mat from(part.height, part.width, CV_8UC3, part.rgb.data());
  const cv::Matx23d place(x.scale, 0, x.start, 0, y.scale, y.start);
  cv::Mat to(out.height, out.width, CV_8UC3, out.rgb.data());
  cv::warpAffine(from, to, place, to.size(), cv::INTER_LINEAR | cv::WARP_INVERSE_MAP, cv::BORDER_REPLICATE);
  return out;
}

// Reads areas of one level piece by piece, what is damaged from other levels.
class TileRepair {
 public:
  TileRepair(const Slide& slide, const Tile& tile) : slide_(slide), tile_(tile), pixels(tile.width, tile.height) {
    std::fill(pixels.rgb.begin(), pixels.rgb.end(), uint8_t{255});
    const LevelInfo& own = slide.levels[static_cast<size_t>(tile.level)];
    const auto cell = [](int64_t stored) { return stored > 0 ? (kSmallestCell + stored - 1) / stored * stored : kSmallestCell; };
    cell_width_ = cell(own.tile_width);
    cell_height_ = cell(own.tile_height);
    tolerated_ = own.downsample * tile.downsample_factor * kTolerated;
    read({std::max<int64_t>(0, tile.x), std::max<int64_t>(0, tile.y), std::min(own.width, tile.x + tile.width),
          std::min(own.height, tile.y + tile.height)});
  }

 private:
  struct Part {  // level pixels
    int64_t x0, y0, x1, y1;
  };

  // The place at which a side is halved: between two stored tiles; the side's end when it lies in one stored tile.
  static int64_t middle(int64_t from, int64_t to, int64_t cell) {
    const int64_t first = from / cell, last = (to - 1) / cell;
    return first == last ? to : (first + (last - first + 1) / 2) * cell;
  }

  Tile tile_of(const Part& p) const {
    Tile t = tile_;
    t.x = p.x0;
    t.y = p.y0;
    t.width = static_cast<int>(p.x1 - p.x0);
    t.height = static_cast<int>(p.y1 - p.y0);
    t.downsample_factor = 1;
    return t;
  }

  void put(const Part& p, const Image& piece) {
    empty = false;
    for (int r = 0; r < piece.height; ++r)
      std::memcpy(pixels.row(static_cast<int>(p.y0 - tile_.y) + r) + (p.x0 - tile_.x) * 3, piece.row(r),
                  static_cast<size_t>(piece.width) * 3);
  }

  void read(const Part& p) {
    if (p.x0 >= p.x1 || p.y0 >= p.y1) return;
    try {
      put(p, read_tile(slide_, tile_of(p)));
    } catch (const Error&) {
      const int64_t mx = middle(p.x0, p.x1, cell_width_), my = middle(p.y0, p.y1, cell_height_);
      if (mx == p.x1 && my == p.y1) return fill(p);
      for (const Part& q :
           {Part{p.x0, p.y0, mx, my}, Part{mx, p.y0, p.x1, my}, Part{p.x0, my, mx, p.y1}, Part{mx, my, p.x1, p.y1}})
        read(q);
    }
  }

  // A finer level may hold smaller parts of a level that is damaged in places.
  bool split(const Part& p) {
    const int64_t w = (p.x1 - p.x0) / 2, h = (p.y1 - p.y0) / 2;
    if (tile_.level == 0 || std::max(w, h) < kSmallestCell / 2) return false;
    for (const Part& q : {Part{p.x0, p.y0, p.x0 + w, p.y0 + h}, Part{p.x0 + w, p.y0, p.x1, p.y0 + h},
                          Part{p.x0, p.y0 + h, p.x0 + w, p.y1}, Part{p.x0 + w, p.y0 + h, p.x1, p.y1}})
      if (q.x0 < q.x1 && q.y0 < q.y1) fill_piece(q);
    return true;
  }

  void fill(const Part& all) {
    for (int64_t y = all.y0; y < all.y1; y += kFillSide)
      for (int64_t x = all.x0; x < all.x1; x += kFillSide)
        fill_piece({x, y, std::min(all.x1, x + kFillSide), std::min(all.y1, y + kFillSide)});
  }

  void fill_piece(const Part& p) {
    const Tile t = tile_of(p);
    for (int level = tile_.level - 1; level >= 0; --level)
      if (const std::optional<Image> piece = from_finer(slide_, t, level, t.width, t.height)) {
        fell_back = true;
        return put(p, *piece);
      }
    if (split(p)) return;
    for (size_t level = static_cast<size_t>(tile_.level) + 1; level < slide_.levels.size(); ++level)
      if (const std::optional<Image> piece = from_coarser(slide_, t, static_cast<int>(level))) {
        fell_back = coarser = true;
        poor |= slide_.levels[level].downsample > tolerated_;
        return put(p, *piece);
      }
    poor = true;
  }

  const Slide& slide_;
  const Tile& tile_;
  int64_t cell_width_, cell_height_;
  double tolerated_;

 public:
  Image pixels;
  bool fell_back = false, coarser = false, poor = false, empty = true;
};

class DamageFilled : public Slide {
 public:
  explicit DamageFilled(std::shared_ptr<const Slide> slide) : Slide(*slide), slide_(std::move(slide)) {}
  void read(int level, int64_t x, int64_t y, int w, int h, uint8_t* rgb) const override {
    try {
      slide_->read(level, x, y, w, h, rgb);
    } catch (const Error&) {
      Tile place;
      place.level = level;
      place.x = x;
      place.y = y;
      place.width = w;
      place.height = h;
      const TileRepair repair(*slide_, place);
      std::copy(repair.pixels.rgb.begin(), repair.pixels.rgb.end(), rgb);
    }
  }
  void read_downsampled(int level, int64_t x, int64_t y, int w, int h, int factor, uint8_t* rgb) const override {
    try {
      slide_->read_downsampled(level, x, y, w, h, factor, rgb);
    } catch (const Error&) {
      Slide::read_downsampled(level, x, y, w, h, factor, rgb);
    }
  }

 private:
  std::shared_ptr<const Slide> slide_;
};

}  // namespace

std::unique_ptr<Slide> with_damage_filled(std::shared_ptr<const Slide> slide) {
  return std::make_unique<DamageFilled>(std::move(slide));
}

TileImage read_tile_tolerant(const Slide& slide, const Tile& tile) {
  TileImage t;
  try {
    t.image = read_tile(slide, tile);
    return t;
  } catch (const Error& e) {
    t.damage = e.what();
  }
  const int width = (tile.width + tile.downsample_factor - 1) / tile.downsample_factor,
            height = (tile.height + tile.downsample_factor - 1) / tile.downsample_factor;
  for (int level = tile.level - 1; level >= 0; --level)
    if (std::optional<Image> image = from_finer(slide, tile, level, width, height)) {
      t.image = std::move(*image);
      t.fell_back = true;
      return t;
    }
  if (int64_t{tile.width} * tile.height > kMaxImagePixels) {
    t.image = Image(width, height);
    std::fill(t.image.rgb.begin(), t.image.rgb.end(), uint8_t{255});
    t.damaged = t.empty = true;
    return t;
  }
  TileRepair repair(slide, tile);
  t.fell_back = repair.fell_back;
  t.coarser = repair.coarser;
  t.damaged = repair.poor;
  t.empty = repair.empty;
  t.image = tile.downsample_factor == 1 ? std::move(repair.pixels) : resized(repair.pixels, width, height);
  return t;
}

}  // namespace cytodet::tiling
