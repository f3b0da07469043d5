// TIFF through libtiff: tiled or striped, pyramids by directories or SubIFDs, any pixel form that libtiff turns into RGBA. Blocks
// are decoded when they are needed, so memory does not grow with the file.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "tiling/formats/rows.h"
#include "tiling/formats/tiff_file.h"

namespace cytodet {
namespace {

// Rows of tiles share the blocks between them as long as a band of the slide's width is held.
int64_t cache_bytes(int64_t width) { return std::clamp(width * 3 * 768, int64_t{64} << 20, int64_t{192} << 20); }

void read_mpp(TIFF* tiff, Slide& slide) {
  float rx = 0, ry = 0;
  uint16_t unit = RESUNIT_INCH;
  TIFFGetFieldDefaulted(tiff, TIFFTAG_RESOLUTIONUNIT, &unit);
  if (!TIFFGetField(tiff, TIFFTAG_XRESOLUTION, &rx) || !TIFFGetField(tiff, TIFFTAG_YRESOLUTION, &ry) || unit == RESUNIT_NONE)
    return;
  const double micrometres = unit == RESUNIT_CENTIMETER ? 10000 : 25400, mx = micrometres / rx, my = micrometres / ry;
  // Coarser than this is a printer's or a screen's resolution, written by programs that know nothing of the slide.
  constexpr double kFinest = 0.005, kCoarsest = 12.7;
  if (!(mx > kFinest && mx < kCoarsest && my > kFinest && my < kCoarsest)) return;
  slide.mpp_x = mx;
  slide.mpp_y = my;
  slide.mpp_source = "TIFF XResolution";
}

class TiffSlide : public Slide {
 public:
  explicit TiffSlide(const std::string& file) {
    path = file;
    auto f = std::make_unique<TiffFile>(file);
    directories_.push_back(f->open(false, 0));
    read_mpp(f->tiff(), *this);
    for (uint64_t offset : f->sub_images()) consider(*f, true, offset);
    for (int i = 1, n = f->images(); i < n; ++i) consider(*f, false, static_cast<uint64_t>(i));
    std::sort(directories_.begin() + 1, directories_.end(),
              [](const TiffDirectory& a, const TiffDirectory& b) { return a.width > b.width; });
    const TiffDirectory& first = directories_[0];
    for (const TiffDirectory& d : directories_) {
      double down = (static_cast<double>(first.width) / static_cast<double>(d.width) +
                     static_cast<double>(first.height) / static_cast<double>(d.height)) /
                    2;
      levels.push_back({d.width, d.height, down});
    }
    cache_ = std::make_unique<BlockCache>(cache_bytes(first.width));
    idle_.push_back(std::move(f));
  }

  int orientation() const { return directories_[0].orientation; }

  void read(int level, int64_t x, int64_t y, int w, int h, uint8_t* rgb) const override {
    const TiffDirectory& d = directories_[static_cast<size_t>(level)];
    std::memset(rgb, 255, static_cast<size_t>(w) * static_cast<size_t>(h) * 3);
    const int64_t x0 = std::max<int64_t>(0, x), y0 = std::max<int64_t>(0, y), x1 = std::min(d.width, x + w),
                  y1 = std::min(d.height, y + h);
    if (x0 >= x1 || y0 >= y1) return;
    for (int64_t row = y0 / d.block_height; row * d.block_height < y1; ++row)
      for (int64_t column = x0 / d.block_width; column * d.block_width < x1; ++column) {
        const Block block = cache_->get({level, column, row}, [&] { return decode(level, column, row); });
        const int64_t left = column * d.block_width, top = row * d.block_height;
        const int64_t cx0 = std::max(x0, left), cx1 = std::min(x1, left + d.block_width),
                      cy1 = std::min(y1, top + d.block_height);
        for (int64_t yy = std::max(y0, top); yy < cy1; ++yy)
          std::memcpy(rgb + ((yy - y) * w + (cx0 - x)) * 3, block->data() + ((yy - top) * d.block_width + (cx0 - left)) * 3,
                      static_cast<size_t>(cx1 - cx0) * 3);
      }
  }

 private:
  // Levels are the smaller images of the same shape; labels, masks, thumbnails of another shape and what cannot be read are left
  // out.
  void consider(TiffFile& f, bool sub, uint64_t where) {
    const TiffDirectory& first = directories_[0];
    TiffDirectory d;
    try {
      d = f.open(sub, where);
    } catch (const Error&) {
      return;
    }
    const double rx = static_cast<double>(first.width) / static_cast<double>(d.width),
                 ry = static_cast<double>(first.height) / static_cast<double>(d.height);
    const bool smaller = d.width < first.width && d.height <= first.height &&
                         std::abs(rx / ry - 1) < 0.02 + 2.0 / static_cast<double>(std::min(d.width, d.height));
    if (smaller && !(d.subfile_type & FILETYPE_MASK) && d.orientation == first.orientation &&
        (d.tiled || (d.subfile_type & FILETYPE_REDUCEDIMAGE)))
      directories_.push_back(d);
  }

  Block decode(int level, int64_t column, int64_t row) const {
    const TiffDirectory& d = directories_[static_cast<size_t>(level)];
    std::unique_ptr<TiffFile> f;
    {
      std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        f = std::move(idle_.back());
        idle_.pop_back();
      }
    }
    if (!f) f = std::make_unique<TiffFile>(path);
    try {
      // A file that failed is closed, not given back.
      Block block = f->decode(d, column, row);
      std::lock_guard lock(mutex_);
      idle_.push_back(std::move(f));
      return block;
    } catch (const Error& e) {
      throw e.within("level " + std::to_string(level) + ", stored tile at " + std::to_string(column * d.block_width) + "," +
                     std::to_string(row * d.block_height));
    }
  }

  std::vector<TiffDirectory> directories_;
  std::unique_ptr<BlockCache> cache_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<TiffFile>> idle_;
};

// A slide turned as its orientation tag says (TIFF 6.0, tag 274), region by region.
class UprightSlide : public Slide {
 public:
  explicit UprightSlide(std::unique_ptr<TiffSlide> stored) : stored_(std::move(stored)) {
    const int o = stored_->orientation();
    turned_ = o >= 5;
    flip_x_ = o == 2 || o == 3 || o == 7 || o == 8;
    flip_y_ = o == 3 || o == 4 || o == 6 || o == 7;
    levels = stored_->levels;
    mpp_x = stored_->mpp_x;
    mpp_y = stored_->mpp_y;
    mpp_source = stored_->mpp_source;
    if (!turned_) return;
    for (LevelInfo& l : levels) std::swap(l.width, l.height);
    std::swap(mpp_x, mpp_y);
  }

  void read(int level, int64_t x, int64_t y, int w, int h, uint8_t* rgb) const override {
    const LevelInfo& in = stored_->levels[static_cast<size_t>(level)];
    Image part(turned_ ? h : w, turned_ ? w : h);
    int64_t sx = turned_ ? y : x, sy = turned_ ? x : y;
    if (flip_x_) sx = in.width - sx - part.width;
    if (flip_y_) sy = in.height - sy - part.height;
    stored_->read(level, sx, sy, part.width, part.height, part.rgb.data());
    for (int py = 0; py < part.height; ++py)
      for (int px = 0; px < part.width; ++px) {
        const int fx = flip_x_ ? part.width - 1 - px : px, fy = flip_y_ ? part.height - 1 - py : py;
        const int64_t to = turned_ ? int64_t{fx} * w + fy : int64_t{fy} * w + fx;
        std::memcpy(rgb + to * 3, part.row(py) + px * 3, 3);
      }
  }

 private:
  std::unique_ptr<TiffSlide> stored_;
  bool turned_, flip_x_, flip_y_;
};

}  // namespace

std::unique_ptr<Slide> open_tiff(const std::string& path) {
  auto slide = std::make_unique<TiffSlide>(path);
  if (slide->orientation() > 1 && slide->orientation() <= 8) return std::make_unique<UprightSlide>(std::move(slide));
  return slide;
}

}  // namespace cytodet
