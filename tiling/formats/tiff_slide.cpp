#include "tiling/formats/tiff_slide.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "tiling/formats/ome.h"
#include "tiling/formats/tiff_planes.h"

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
  const TiffDirectory first = f->open(false, 0);
  read_mpp(f->tiff(), f->description(), *this);
  Planes planes;
  std::vector<std::vector<uint64_t>> subs;
  for (uint64_t image : picture_planes(*f, first)) {
    planes.push_back(f->open(false, image));
    subs.push_back(f->sub_images());
  }
  const bool channels = planes.size() > 1;
  if (channels && !are_channels(planes))
    throw Error("", "is an OME-TIFF whose 3 channels differ in size or form", "save them as one 8-bit RGB picture");
  levels_.push_back(std::move(planes));
  for (size_t i = 0; i < subs[0].size(); ++i) {
    Planes level;
    for (const std::vector<uint64_t>& of_plane : subs)
      if (i < of_plane.size())
        if (const auto d = smaller_image(*f, true, of_plane[i])) level.push_back(*d);
    if (level.size() == subs.size() && (!channels || are_channels(level))) levels_.push_back(std::move(level));
  }
  std::string broken;
  const int images = f->images(&broken);
  for (int i = 1; i < images && !channels; ++i)
    if (const auto d = smaller_image(*f, false, static_cast<uint64_t>(i))) levels_.push_back({*d});
  if (!broken.empty()) damage = "damaged TIFF: its chain of images breaks off, levels may be missing: " + broken;
  std::sort(levels_.begin() + 1, levels_.end(), [](const Planes& a, const Planes& b) { return a[0].width > b[0].width; });
  const TiffDirectory& full = levels_[0][0];
  for (const Planes& level : levels_) {
    const TiffDirectory& d = level[0];
    double down = (static_cast<double>(full.width) / static_cast<double>(d.width) +
                   static_cast<double>(full.height) / static_cast<double>(d.height)) /
                  2;
    levels.push_back({d.width, d.height, down, d.block_width, d.block_height, d.codec + (channels ? " in 3 channels" : "")});
  }
  start_cache();
  idle_.push_back(std::move(f));
}

// Levels are the smaller images of the same shape; labels, masks, thumbnails of another shape and what cannot be read are left
// out.
std::optional<TiffDirectory> TiffSlide::smaller_image(TiffFile& f, bool sub, uint64_t where) {
  const TiffDirectory& first = levels_[0][0];
  TiffDirectory d;
  try {
    d = f.open(sub, where);
  } catch (const Error& e) {
    if (damage.empty() && e.problem().starts_with("damaged")) damage = "a level may be missing: " + e.problem();
    return std::nullopt;
  }
  const double rx = static_cast<double>(first.width) / static_cast<double>(d.width),
               ry = static_cast<double>(first.height) / static_cast<double>(d.height);
  const bool smaller = d.width < first.width && d.height <= first.height &&
                       std::abs(rx / ry - 1) < 0.02 + 2.0 / static_cast<double>(std::min(d.width, d.height));
  if (smaller && !(d.subfile_type & FILETYPE_MASK) && d.orientation == first.orientation &&
      (d.tiled || (d.subfile_type & FILETYPE_REDUCEDIMAGE)))
    return d;
  return std::nullopt;
}

bool TiffSlide::reduces(int level) const {
  const Planes& planes = levels_[static_cast<size_t>(level)];
  return std::all_of(planes.begin(), planes.end(), [](const TiffDirectory& d) { return d.plain_jpeg; });
}

Block TiffSlide::decode(Resolution r, int64_t column, int64_t row) const {
  const Planes& planes = levels_[static_cast<size_t>(r.level)];
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
  Block block = f->decode(planes[0], {column, row, r.reduce});
  if (planes.size() > 1) {
    auto rgb = std::make_shared<std::vector<uint8_t>>(*block);
    for (size_t c = 1; c < planes.size(); ++c) {
      const Block gray = f->decode(planes[c], {column, row, r.reduce});
      for (size_t i = c; i < rgb->size(); i += 3) (*rgb)[i] = (*gray)[i];
    }
    block = std::move(rgb);
  }
  std::lock_guard lock(mutex_);
  idle_.push_back(std::move(f));
  return block;
}

}  // namespace cytodet
