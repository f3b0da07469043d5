#include "tiling/formats/tiff_slide.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "tiling/formats/ome.h"

namespace cytodet {
namespace {

void read_mpp(TIFF* tiff, const std::string& description, Slide& slide) {
  if (const auto size = ome_pixel_size(description)) {
    slide.mpp_x = (*size)[0];
    slide.mpp_y = (*size)[1];
    slide.mpp_source = "OME PhysicalSizeX";
    return;
  }
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
  read_mpp(f->tiff(), f->description(), *this);
  for (uint64_t offset : f->sub_images()) consider(*f, true, offset);
  std::string broken;
  for (int i = 1, n = f->images(&broken); i < n; ++i) consider(*f, false, static_cast<uint64_t>(i));
  if (!broken.empty()) damage = "damaged TIFF: its chain of images breaks off, levels may be missing: " + broken;
  std::sort(directories_.begin() + 1, directories_.end(),
            [](const TiffDirectory& a, const TiffDirectory& b) { return a.width > b.width; });
  const TiffDirectory& first = directories_[0];
  for (const TiffDirectory& d : directories_) {
    double down = (static_cast<double>(first.width) / static_cast<double>(d.width) +
                   static_cast<double>(first.height) / static_cast<double>(d.height)) /
                  2;
    levels.push_back({d.width, d.height, down, d.block_width, d.block_height, d.codec});
  }
  start_cache();
  idle_.push_back(std::move(f));
}

// Levels are the smaller images of the same shape; labels, masks, thumbnails of another shape and what cannot be read are left
// out.
void TiffSlide::consider(TiffFile& f, bool sub, uint64_t where) {
  const TiffDirectory& first = directories_[0];
  TiffDirectory d;
  try {
    d = f.open(sub, where);
  } catch (const Error& e) {
    if (damage.empty() && e.problem().starts_with("damaged")) damage = "a level may be missing: " + e.problem();
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
  // A file that failed is closed, not given back.
  Block block = f->decode(d, {column, row, r.reduce});
  std::lock_guard lock(mutex_);
  idle_.push_back(std::move(f));
  return block;
}

}  // namespace cytodet
