#include "tiling/tile_reading.h"

#include <cmath>
#include <cstring>
#include <opencv2/imgproc.hpp>
#include <optional>

#include "core/error.h"

namespace cytodet {
namespace {

constexpr int kSmallestPiece = 64;  // level pixels

Image resized(const Image& image, int width, int height) {
  if (image.width == width && image.height == height) return image;
  Image out(width, height);
  const cv::Mat from(image.height, image.width, CV_8UC3, const_cast<uint8_t*>(image.rgb.data()));
  cv::Mat to(height, width, CV_8UC3, out.rgb.data());
  cv::resize(from, to, to.size(), 0, 0, cv::INTER_AREA);
  return out;
}

// The tile from another, finer level; empty when that is damaged too, or the area there is too large to hold.
std::optional<Image> from_finer(const Slide& slide, const Tile& tile, int level, const Image& like) {
  const LevelInfo &own = slide.levels[static_cast<size_t>(tile.level)], &fine = slide.levels[static_cast<size_t>(level)];
  const double kx = static_cast<double>(fine.width) / static_cast<double>(own.width),
               ky = static_cast<double>(fine.height) / static_cast<double>(own.height);
  Tile t = tile;
  t.level = level;
  t.x = std::llround(static_cast<double>(tile.x) * kx);
  t.y = std::llround(static_cast<double>(tile.y) * ky);
  const double width = std::round(tile.width * kx), height = std::round(tile.height * ky);
  if (width * height > static_cast<double>(kMaxImagePixels)) return std::nullopt;
  t.width = static_cast<int>(width);
  t.height = static_cast<int>(height);
  t.shrink = std::max(1, static_cast<int>(tile.shrink * std::min(kx, ky) + 1e-3));
  try {
    return resized(read_tile(slide, t), like.width, like.height);
  } catch (const Error&) {
    return std::nullopt;
  }
}

void read_pieces(const Slide& slide, const Tile& tile, Image& level_pixels, const Box& part) {
  const int x = static_cast<int>(part.x0), y = static_cast<int>(part.y0), w = static_cast<int>(part.width()),
            h = static_cast<int>(part.height());
  if (w <= 0 || h <= 0) return;
  try {
    Image piece(w, h);
    slide.read(tile.level, tile.x + x, tile.y + y, w, h, piece.rgb.data());
    for (int r = 0; r < h; ++r) std::memcpy(level_pixels.row(y + r) + x * 3, piece.row(r), static_cast<size_t>(w) * 3);
  } catch (const Error&) {
    if (w <= kSmallestPiece && h <= kSmallestPiece) return;
    // Halves end on multiples of the smallest piece within the level, as stored tiles do.
    auto half = [](int64_t start, int length) {
      if (length <= kSmallestPiece) return length;
      const int64_t middle = (start + length / 2 + kSmallestPiece / 2) / kSmallestPiece * kSmallestPiece - start;
      return static_cast<int>(middle <= 0 || middle >= length ? length / 2 : middle);
    };
    const double mx = x + half(tile.x + x, w), my = y + half(tile.y + y, h);
    for (const Box& b : {Box{part.x0, part.y0, mx, my}, Box{mx, part.y0, part.x1, my}, Box{part.x0, my, mx, part.y1},
                         Box{mx, my, part.x1, part.y1}})
      read_pieces(slide, tile, level_pixels, b);
  }
}

class DamageWhite : public Slide {
 public:
  explicit DamageWhite(std::shared_ptr<const Slide> slide) : Slide(*slide), slide_(std::move(slide)) {}
  void read(int level, int64_t x, int64_t y, int w, int h, uint8_t* rgb) const override {
    try {
      slide_->read(level, x, y, w, h, rgb);
    } catch (const Error&) {
      Image pixels(w, h);
      std::fill(pixels.rgb.begin(), pixels.rgb.end(), uint8_t{255});
      Tile place;
      place.level = level;
      place.x = x;
      place.y = y;
      read_pieces(*slide_, place, pixels, {0, 0, static_cast<double>(w), static_cast<double>(h)});
      std::copy(pixels.rgb.begin(), pixels.rgb.end(), rgb);
    }
  }
  void read_shrunk(int level, int64_t x, int64_t y, int w, int h, int shrink, uint8_t* rgb) const override {
    try {
      slide_->read_shrunk(level, x, y, w, h, shrink, rgb);
    } catch (const Error&) {
      Slide::read_shrunk(level, x, y, w, h, shrink, rgb);
    }
  }

 private:
  std::shared_ptr<const Slide> slide_;
};

}  // namespace

std::unique_ptr<Slide> with_damage_white(std::shared_ptr<const Slide> slide) {
  return std::make_unique<DamageWhite>(std::move(slide));
}

TileImage read_tile_anyway(const Slide& slide, const Tile& tile) {
  TileImage t;
  try {
    t.image = read_tile(slide, tile);
    return t;
  } catch (const Error& e) {
    t.damage = e.what();
  }
  t.image = Image((tile.width + tile.shrink - 1) / tile.shrink, (tile.height + tile.shrink - 1) / tile.shrink);
  for (int level = tile.level - 1; level >= 0; --level)
    if (std::optional<Image> image = from_finer(slide, tile, level, t.image)) {
      t.image = std::move(*image);
      t.fell_back = true;
      return t;
    }
  t.damaged = true;
  std::fill(t.image.rgb.begin(), t.image.rgb.end(), uint8_t{255});
  if (int64_t{tile.width} * tile.height > kMaxImagePixels) return t;
  Image pixels(tile.width, tile.height);
  std::fill(pixels.rgb.begin(), pixels.rgb.end(), uint8_t{255});
  read_pieces(slide, tile, pixels, {0, 0, static_cast<double>(tile.width), static_cast<double>(tile.height)});
  t.image = tile.shrink == 1 ? std::move(pixels) : resized(pixels, t.image.width, t.image.height);
  return t;
}

}  // namespace cytodet
