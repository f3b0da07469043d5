#include "tiling/formats/tiff_slide.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"

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

}  // namespace

TiffSlide::TiffSlide(const std::string& file) {
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
    levels.push_back({d.width, d.height, down, d.block_width, d.block_height, d.codec});
  }
  cache_ = std::make_unique<BlockCache>(cache_bytes(first.width));
  idle_.push_back(std::move(f));
}

// Levels are the smaller images of the same shape; labels, masks, thumbnails of another shape and what cannot be read are left
// out.
void TiffSlide::consider(TiffFile& f, bool sub, uint64_t where) {
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

void TiffSlide::region(Resolution r, Rect want, uint8_t* rgb) const {
  const TiffDirectory& d = directories_[static_cast<size_t>(r.level)];
  const int64_t width = (d.width + r.reduce - 1) / r.reduce, height = (d.height + r.reduce - 1) / r.reduce;
  const int64_t bw = d.block_width / r.reduce, bh = d.block_height / r.reduce;
  const int64_t x0 = std::max<int64_t>(0, want.x), y0 = std::max<int64_t>(0, want.y), x1 = std::min(width, want.x + want.w),
                y1 = std::min(height, want.y + want.h);
  if (x0 != want.x || y0 != want.y || x1 - x0 != want.w || y1 - y0 != want.h)
    std::memset(rgb, 255, static_cast<size_t>(want.w) * static_cast<size_t>(want.h) * 3);
  if (x0 >= x1 || y0 >= y1) return;
  for (int64_t row = y0 / bh; row * bh < y1; ++row)
    for (int64_t column = x0 / bw; column * bw < x1; ++column) {
      const Block block = cache_->get({r.level * 16 + r.reduce, row, column}, [&] { return decode(r, column, row); });
      const int64_t left = column * bw, top = row * bh;
      const int64_t cx0 = std::max(x0, left), cx1 = std::min(x1, left + bw), cy1 = std::min(y1, top + bh);
      for (int64_t yy = std::max(y0, top); yy < cy1; ++yy)
        std::memcpy(rgb + ((yy - want.y) * want.w + (cx0 - want.x)) * 3, block->data() + ((yy - top) * bw + (cx0 - left)) * 3,
                    static_cast<size_t>(cx1 - cx0) * 3);
    }
}

void TiffSlide::read_shrunk(int level, int64_t x, int64_t y, int w, int h, int shrink, uint8_t* rgb) const {
  const TiffDirectory& d = directories_[static_cast<size_t>(level)];
  int reduce = d.plain_jpeg ? 8 : 1;
  for (; reduce > 1; reduce /= 2)
    if ((x | y | shrink | d.block_width | d.block_height) % reduce == 0) break;
  if (reduce == 1) return Slide::read_shrunk(level, x, y, w, h, shrink, rgb);
  const int rest = shrink / reduce;
  const Rect all{x / reduce, y / reduce, (w + reduce - 1) / reduce, (h + reduce - 1) / reduce};
  if (rest == 1) return region({level, reduce}, all, rgb);
  const int width = (all.w + rest - 1) / rest, band = std::max(1, (4 << 20) / (all.w * rest)) * rest;
  for (int top = 0; top < all.h; top += band) {
    Image part(all.w, std::min(band, all.h - top));
    region({level, reduce}, {all.x, all.y + top, part.width, part.height}, part.rgb.data());
    shrink_by_mean(part, rest, rgb + static_cast<int64_t>(top / rest) * width * 3);
  }
}

Block TiffSlide::decode(Resolution r, int64_t column, int64_t row) const {
  const TiffDirectory& d = directories_[static_cast<size_t>(r.level)];
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
    Block block = f->decode(d, {column, row, r.reduce});
    std::lock_guard lock(mutex_);
    idle_.push_back(std::move(f));
    return block;
  } catch (const Error& e) {
    throw e.within("level " + std::to_string(r.level) + ", stored tile at " + std::to_string(column * d.block_width) + "," +
                   std::to_string(row * d.block_height));
  }
}

}  // namespace cytodet
