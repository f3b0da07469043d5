#include "tiling/slides/formats/tiff_slide.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "tiling/slides/formats/physical_size.h"
#include "tiling/slides/formats/tiff_choice.h"
#include "tiling/slides/level_ratio.h"
#include "tiling/slides/sample_range.h"

namespace cytodet::tiling {
namespace {

// Sets the slide's pixel size to what the file says of `image`, which is the current directory; an image without a description
// takes the first image's, if that is as wide. The tags of other images are looked at if those of `image` say nothing.
void read_pixel_size(const TiffFile& file, const TiffDirectory& image, const TiffContents& held, Slide& slide) {
  TiffScale scale;
  scale.description = file.description();
  if (scale.description.empty() && !held.chain.empty() && held.chain[0].image.width == image.width)
    scale.description = held.chain[0].description;
  scale.width = image.width;
  scale.unit = RESUNIT_INCH;
  TIFFGetFieldDefaulted(file.tiff(), TIFFTAG_RESOLUTIONUNIT, &scale.unit);
  if (!TIFFGetField(file.tiff(), TIFFTAG_XRESOLUTION, &scale.x_resolution) ||
      !TIFFGetField(file.tiff(), TIFFTAG_YRESOLUTION, &scale.y_resolution))
    scale.x_resolution = scale.y_resolution = 0;
  ChosenPixelSize chosen = tiff_pixel_size(scale);
  if (!chosen.size) {
    const auto smaller = [&](const TiffPage& page) { return page.image.width <= image.width; };
    const bool largest = std::all_of(held.chain.begin(), held.chain.end(), smaller);  // not a label or thumbnail
    for (const TiffPage& page : held.chain)
      if (largest && !page.description.empty()) scale.elsewhere.push_back(page.description);
    chosen = tiff_pixel_size(scale);
  }
  if (!chosen.size) return;
  slide.mpp_x = chosen.size->x;
  slide.mpp_y = chosen.size->y;
  slide.mpp_source = chosen.size->source;
  slide.mpp_warning = chosen.warning;
}

// Whether images can be laid over each other as the channels of one image: of one size, in blocks of one size.
bool are_channels(const std::vector<TiffDirectory>& images) {
  const TiffDirectory& a = images[0];
  return std::all_of(images.begin(), images.end(), [&](const TiffDirectory& b) {
    return b.width == a.width && b.height == a.height && b.tiled == a.tiled && b.block_width == a.block_width &&
           b.block_height == a.block_height && b.orientation == a.orientation;
  });
}

Block white_block(int64_t width, int64_t height) {
  return std::make_shared<std::vector<uint8_t>>(static_cast<size_t>(width * height * 3), uint8_t{255});
}

}  // namespace

TiffSlide::TiffSlide(const std::string& file, const ImageSelection& wanted) {
  path = file;
  auto f = std::make_unique<TiffFile>(file);
  const TiffContents held = tiff_contents(*f);
  TiffChoice choice = choose_image(held, wanted);
  const TiffPlace& whole = choice.levels[0][0];
  const TiffDirectory first = f->open(whole.sub, whole.where);
  read_pixel_size(*f, first, held, *this);
  if (!held.damage.empty()) damage = "damaged TIFF: its chain of images breaks off, levels may be missing: " + held.damage;
  for (const TiffPage& page : held.chain)
    if (damage.empty() && page.problem.starts_with("damaged")) damage = "a level may be missing: " + page.problem;
  const std::optional<StretchRange> range = settle_range(*f, choice, parse_stretch(wanted.stretch));
  contents = std::move(choice.contents);
  selection = std::move(choice.selection);
  if (range) say_range(selection, *range);
  warnings.insert(warnings.begin(), choice.warnings.begin(), choice.warnings.end());
  const bool channels = levels_[0].size() > 1;
  const TiffDirectory& full = levels_[0][0];
  contents.bits = full.form.bits;
  if (const int unknown = full.form.unknown_samples())
    warnings.push_back("has " + std::string(unknown == 1 ? "a sample of which" : std::to_string(unknown) + " samples of which") +
                       " the file does not give the meaning beside each pixel's colours; left out");
  for (const Planes& level : levels_) {
    const TiffDirectory& d = level[0];
    double down = (static_cast<double>(full.width) / static_cast<double>(d.width) +
                   static_cast<double>(full.height) / static_cast<double>(d.height)) /
                  2;
    const std::string form = std::string(d.by_rows ? " in large strips" : "") + (channels ? " in 3 channels" : "");
    levels.push_back({d.width, d.height, down, d.block_width, d.block_height, d.codec + form});
    rows_.emplace_back();
    for (const TiffDirectory& plane : level)
      rows_.back().push_back(plane.by_rows && plane.stack == 0 ? std::make_unique<TiffRows>(file, plane) : nullptr);
  }
  start_cache();
  idle_.push_back(std::move(f));
  settle_level_ratios(*this);
}

// Level 0, which must be readable, and those of the others that are.
void TiffSlide::open_levels(TiffFile& f, const TiffChoice& choice, const std::optional<StretchRange>& range) {
  levels_.clear();
  Planes whole;
  for (const TiffPlace& place : choice.levels[0]) {
    TiffDirectory d = f.open(place.sub, place.where);
    d.stack = place.stack;
    f.prepare(d, place.channel, range);
    whole.push_back(std::move(d));
  }
  if (!are_channels(whole))
    throw Error("", "holds " + std::to_string(whole.size()) + " channels that differ in size or form",
                "save them as one 8-bit RGB image");
  levels_.push_back(std::move(whole));
  for (size_t i = 1; i < choice.levels.size(); ++i) {
    Planes level;
    for (const TiffPlace& place : choice.levels[i])
      if (auto d = level_at(f, place, range)) level.push_back(std::move(*d));
    if (level.size() == levels_[0].size() && are_channels(level)) levels_.push_back(std::move(level));
  }
  std::sort(levels_.begin() + 1, levels_.end(), [](const Planes& a, const Planes& b) { return a[0].width > b[0].width; });
}

// Empty: it cannot be read, or is no level.
std::optional<TiffDirectory> TiffSlide::level_at(TiffFile& f, const TiffPlace& place, const std::optional<StretchRange>& range) {
  try {
    TiffDirectory d = f.open(place.sub, place.where);
    if (!is_level(levels_[0][0], d)) return std::nullopt;
    f.prepare(d, place.channel, range);
    return d;
  } catch (const Error& e) {
    if (damage.empty() && e.problem().starts_with("damaged")) damage = "a level may be missing: " + e.problem();
    return std::nullopt;
  }
}

// Opens the levels, with the values of black and white that are wanted; gives those that were asked for. Whole numbers of more
// than 8 bits that use a fraction of them are noticed.
std::optional<StretchRange> TiffSlide::settle_range(TiffFile& f, const TiffChoice& choice, const Stretch& stretch) {
  const bool automatic = stretch.kind == Stretch::Kind::automatic;
  std::optional<StretchRange> range;
  if (stretch.kind == Stretch::Kind::range) range = stretch.range;
  if (automatic) range = StretchRange{0, 255};  // so that any form is opened; the values are looked at next
  open_levels(f, choice, range);
  const TiffDirectory& full = levels_[0][0];
  const uint16_t kind = full.form.sample_format;
  const bool floats = kind == 3, deep = full.form.bits > 8 || (kind != 1 && kind != 4);
  stretched = stretch.kind == Stretch::Kind::range || (automatic && deep);
  if (automatic && !deep) open_levels(f, choice, std::nullopt);  // its RGB is stretched, by whoever opened the slide
  if (stretch.kind == Stretch::Kind::range) return range;
  if (!deep) return std::nullopt;
  const double white = std::exp2(full.form.bits) - 1, enough = automatic ? HUGE_VAL : white / 2;
  SampleExtremes met = extremes_of(f, levels_.size() - 1, enough);
  if (!automatic && met.any && met.largest >= enough) return std::nullopt;
  if (levels_.size() > 1)
    if (const SampleExtremes more = extremes_of(f, 0, enough); more.any) {
      met.add(more.min);
      met.add(more.largest);
    }
  f.open(full.sub, full.where);
  const double stated = f.stated_largest();
  if (automatic) {
    range = automatic_range(met, floats, stated);
    open_levels(f, choice, range);
    return range;
  }
  if (met.any && met.largest < enough) warnings.push_back(unused_depth(met.largest, full.form.bits, stated));
  return std::nullopt;
}

// Smallest and largest sample of at most 16 blocks, evenly spread over the level. Ends where a value reaches `enough`. Damaged
// blocks are left out.
SampleExtremes TiffSlide::extremes_of(TiffFile& f, size_t level, double enough) const {
  SampleExtremes met;
  for (const TiffDirectory& d : levels_[level]) {
    const int64_t columns = (d.width + d.block_width - 1) / d.block_width,
                  rows = (d.height + d.block_height - 1) / d.block_height;
    const int64_t blocks = columns * rows, looked = std::min<int64_t>(blocks, 16);
    const auto rows_read = d.by_rows && d.stack == 0 ? std::make_unique<TiffRows>(path, d) : nullptr;
    for (int64_t i = 0; i < looked && !(met.any && met.largest >= enough); ++i) try {
        const int64_t block = blocks * (2 * i + 1) / (2 * looked);
        if (rows_read)
          rows_read->extremes({0, block * d.block_height, d.width, d.block_height}, met);
        else
          f.extremes(d, block % columns, block / columns, met);
      } catch (const Error&) {
      }
  }
  return met;
}

bool TiffSlide::reduces(int level) const {
  const Planes& planes = levels_[static_cast<size_t>(level)];
  return std::all_of(planes.begin(), planes.end(), [](const TiffDirectory& d) { return d.plain_jpeg && !d.by_rows; });
}

Block TiffSlide::decode(Resolution r, int64_t column, int64_t row) const {
  const Planes& planes = levels_[static_cast<size_t>(r.level)];
  // When level 0 is padded and this level is not, this level ends before level 0 does.
  if (column * panel_width(r) >= planes[0].width || row * planes[0].block_height >= planes[0].height)
    return white_block(panel_width(r) / r.reduce, planes[0].block_height / r.reduce);
  std::unique_ptr<TiffFile> f = take_file();
  const auto plane = [&](size_t c) {
    return decode_plane(f.get(), planes[c], rows_[static_cast<size_t>(r.level)][c].get(), r, column, row);
  };
  // A file that failed is closed, not given back.
  Block block = plane(0);
  if (planes.size() > 1) {
    auto rgb = std::make_shared<std::vector<uint8_t>>(*block);
    for (size_t c = 1; c < planes.size(); ++c) {
      const Block gray = plane(c);
      for (size_t i = c; i < rgb->size(); i += 3) (*rgb)[i] = (*gray)[i];
    }
    block = std::move(rgb);
  }
  std::lock_guard lock(mutex_);
  idle_.push_back(std::move(f));
  return block;
}

bool TiffSlide::striped(int level) const { return !levels_[static_cast<size_t>(level)][0].tiled; }

bool TiffSlide::in_order(int level) const {
  const auto& rows = rows_[static_cast<size_t>(level)];
  return rows[0] && rows[0]->compressed();
}

std::unique_ptr<TiffFile> TiffSlide::take_file() const {
  {
    std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<TiffFile> f = std::move(idle_.back());
      idle_.pop_back();
      return f;
    }
  }
  return std::make_unique<TiffFile>(path);
}

// A panel of a strip is cut from the whole strip.
Block TiffSlide::decode_plane(TiffFile* file, const TiffDirectory& d, TiffRows* rows, const Resolution& r, int64_t column,
                              int64_t row) const {
  const int64_t width = panel_width(r), left = column * width;
  if (rows) {
    const Block block = rows->read({left, row * d.block_height, width, d.block_height});
    if (r.reduce == 1) return block;
    throw Error("", "TIFF rows cannot be reduced");
  }
  if (r.panels == 1) return file->decode(d, {column, row, r.reduce});
  const Block whole = file->decode(d, {0, row, r.reduce});
  const int64_t stride = d.block_width / r.reduce, own = width / r.reduce, first = left / r.reduce,
                height = d.block_height / r.reduce, copied = std::min(own, stride - first);
  auto panel = std::make_shared<std::vector<uint8_t>>(static_cast<size_t>(own * height * 3), uint8_t{255});
  for (int64_t y = 0; y < height; ++y)
    std::memcpy(panel->data() + y * own * 3, whole->data() + (y * stride + first) * 3, static_cast<size_t>(copied) * 3);
  return panel;
}

}  // namespace cytodet::tiling
