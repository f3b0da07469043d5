// TIFF through libtiff: tiled or striped, pyramids by directories or SubIFDs, any pixel form that libtiff turns into RGBA.
#include <cstring>

#include "core/error.h"
#include "tiling/slides/formats/format_entries.h"
#include "tiling/slides/formats/tiff_slide.h"
#include "tiling/slides/stored_blocks.h"

namespace cytodet::tiling {
namespace {

// A slide rotated or mirrored as its orientation tag says (TIFF 6.0, tag 274), region by region.
class UprightSlide : public Slide, public StoredBlocks {
 public:
  explicit UprightSlide(std::unique_ptr<TiffSlide> stored) : stored_(std::move(stored)) {
    const int o = stored_->orientation();
    transposed_ = o >= 5;
    flip_x_ = o == 2 || o == 3 || o == 7 || o == 8;
    flip_y_ = o == 3 || o == 4 || o == 6 || o == 7;
    Slide::operator=(*stored_);
    if (!transposed_) return;
    for (LevelInfo& l : levels) {
      std::swap(l.width, l.height);
      std::swap(l.tile_width, l.tile_height);
    }
    std::swap(mpp_x, mpp_y);
  }

  // Rotated by a quarter, rows of tiles are columns of the stored image, for which nothing is known.
  ReadPlan plan_reads(int level, int64_t height, int factor) const override {
    return transposed_ ? ReadPlan{0, kept_bytes, false} : stored_->plan_reads(level, height, factor);
  }
  DecodeWork decoded() const override { return stored_->decoded(); }

  void read(int level, int64_t x, int64_t y, int w, int h, uint8_t* rgb) const override {
    const LevelInfo& in = stored_->levels[static_cast<size_t>(level)];
    Image part(transposed_ ? h : w, transposed_ ? w : h);
    int64_t sx = transposed_ ? y : x, sy = transposed_ ? x : y;
    if (flip_x_) sx = in.width - sx - part.width;
    if (flip_y_) sy = in.height - sy - part.height;
    stored_->read(level, sx, sy, part.width, part.height, part.rgb.data());
    for (int py = 0; py < part.height; ++py)
      for (int px = 0; px < part.width; ++px) {
        const int fx = flip_x_ ? part.width - 1 - px : px, fy = flip_y_ ? part.height - 1 - py : py;
        const int64_t to = transposed_ ? int64_t{fx} * w + fy : int64_t{fy} * w + fx;
        std::memcpy(rgb + to * 3, part.row(py) + px * 3, 3);
      }
  }

 private:
  std::unique_ptr<TiffSlide> stored_;
  bool transposed_, flip_x_, flip_y_;
};

}  // namespace

std::unique_ptr<Slide> open_tiff(const std::string& path, const ImageSelection& selection) {
  auto slide = std::make_unique<TiffSlide>(path, selection);
  if (slide->orientation() > 1 && slide->orientation() <= 8) return std::make_unique<UprightSlide>(std::move(slide));
  return slide;
}

SlideContents list_tiff(const std::string& path) {
  TiffFile file(path);
  return listing(tiff_contents(file));
}

}  // namespace cytodet::tiling
