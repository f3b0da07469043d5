#include "tiling/slides/formats/tiff_rows.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace cytodet::tiling {
namespace {

constexpr size_t kCursors = 16;
constexpr int64_t kMaxStrips = 1 << 20;

struct TiffCloser {
  void operator()(TIFF* t) const { TIFFClose(t); }
};
using Handle = std::unique_ptr<TIFF, TiffCloser>;

template <class Value>
void copy_value(TIFF* from, TIFF* to, uint32_t tag) {
  Value v{};
  if (TIFFGetField(from, tag, &v)) TIFFSetField(to, tag, v);
}

// Everything that says how samples become colours.
void copy_colour_tags(TIFF* from, TIFF* to) {
  for (uint32_t tag : {TIFFTAG_BITSPERSAMPLE, TIFFTAG_SAMPLESPERPIXEL, TIFFTAG_SAMPLEFORMAT, TIFFTAG_PLANARCONFIG,
                       TIFFTAG_PHOTOMETRIC, TIFFTAG_INKSET, TIFFTAG_MINSAMPLEVALUE, TIFFTAG_MAXSAMPLEVALUE})
    copy_value<uint16_t>(from, to, tag);
  uint16_t count = 0, *list = nullptr, *red = nullptr, *green = nullptr, *blue = nullptr;
  if (TIFFGetField(from, TIFFTAG_EXTRASAMPLES, &count, &list)) TIFFSetField(to, TIFFTAG_EXTRASAMPLES, count, list);
  if (TIFFGetField(from, TIFFTAG_COLORMAP, &red, &green, &blue)) TIFFSetField(to, TIFFTAG_COLORMAP, red, green, blue);
  for (uint32_t tag : {TIFFTAG_WHITEPOINT, TIFFTAG_REFERENCEBLACKWHITE, TIFFTAG_YCBCRCOEFFICIENTS})
    copy_value<float*>(from, to, tag);
}

}  // namespace

TiffRows::TiffRows(std::string path, const TiffDirectory& d)
    : path_(std::move(path)), directory_(d), file_(std::make_unique<TiffFile>(path_)) {
  file_->open(d.sub, d.where);
  TIFF* tiff = file_->tiff();
  uint16_t compression = COMPRESSION_NONE, planar = PLANARCONFIG_CONTIG, samples = 1, bits = 8, fill_order = FILLORDER_MSB2LSB;
  TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &compression);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &planar);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &bits);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_FILLORDER, &fill_order);
  compressed_ = compression != COMPRESSION_NONE;
  jpeg_ = compression == COMPRESSION_JPEG;
  separate_ = planar == PLANARCONFIG_SEPARATE;
  planes_ = separate_ ? samples : 1;
  samples_ = separate_ ? 1 : samples;
  pixel_bits_ = int64_t{bits} * samples_;
  rgb_bytes_ = stores_rgb_bytes(d) && (compressed_ || fill_order == FILLORDER_MSB2LSB);
  const int64_t strips = (d.height + d.strip_rows - 1) / d.strip_rows * planes_;
  if (strips > kMaxStrips || strips > static_cast<int64_t>(TIFFNumberOfStrips(tiff)))
    throw Error("", "damaged TIFF: it has " + std::to_string(TIFFNumberOfStrips(tiff)) + " strips", "restore the file");
  for (int64_t i = 0; i < strips; ++i) {
    offsets_.push_back(TIFFGetStrileOffset(tiff, static_cast<uint32_t>(i)));
    counts_.push_back(TIFFGetStrileByteCount(tiff, static_cast<uint32_t>(i)));
  }
  if (compressed_) return;
  fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) throw Error("", std::string("cannot open: ") + std::strerror(errno), "check the permissions");
}

TiffRows::~TiffRows() {
  if (fd_ >= 0) ::close(fd_);
}

int64_t TiffRows::decoded_rows() const {
  std::lock_guard lock(mutex_);
  return decoded_rows_;
}

// Rows lie one after the other in a strip, each from a whole byte on.
TiffRows::Samples TiffRows::read_stored(const Area& a) const {
  const bool whole = pixel_bits_ % 8 != 0;
  Samples s{whole ? directory_.width : a.width, whole ? a.x : 0, {}};
  const int64_t row_bytes = (directory_.width * pixel_bits_ + 7) / 8, wanted = (s.columns * pixel_bits_ + 7) / 8,
                first = whole ? 0 : a.x * pixel_bits_ / 8;
  const int64_t strips = (directory_.height + directory_.strip_rows - 1) / directory_.strip_rows;
  for (int p = 0; p < planes_; ++p) {
    std::vector<uint8_t> plane(static_cast<size_t>(wanted * a.height), uint8_t{255});
    for (int64_t y = 0; y < a.height; ++y) {
      const int64_t row = a.y + y;
      const auto strip = static_cast<size_t>(p * strips + row / directory_.strip_rows);
      if (counts_[strip] == 0) continue;  // left out; rows of other strips in the area are not
      const int64_t at = static_cast<int64_t>(offsets_[strip]) + row % directory_.strip_rows * row_bytes + first;
      if (::pread(fd_, plane.data() + y * wanted, static_cast<size_t>(wanted), at) != wanted)
        throw Error("", "damaged TIFF: the file ends within row " + std::to_string(row), "restore the file");
    }
    s.planes.push_back(std::move(plane));
  }
  return s;
}

// The cursor of the same panel that is nearest above the area; else a new one.
std::unique_ptr<TiffRows::Cursor> TiffRows::take_cursor(const Area& a) {
  const int64_t start = a.y / directory_.strip_rows * directory_.strip_rows;
  {
    std::lock_guard lock(mutex_);
    auto best = idle_.end();
    for (auto it = idle_.begin(); it != idle_.end(); ++it)
      if ((*it)->x == a.x && (*it)->next <= a.y && (*it)->next >= start && (best == idle_.end() || (*it)->next > (*best)->next))
        best = it;
    if (best != idle_.end()) {
      std::unique_ptr<Cursor> cursor = std::move(*best);
      idle_.erase(best);
      return cursor;
    }
  }
  auto cursor = std::make_unique<Cursor>();
  cursor->x = a.x;
  cursor->next = start;
  for (int p = 0; p < planes_; ++p) {
    cursor->planes.push_back(std::make_unique<TiffFile>(path_));
    cursor->planes.back()->open(directory_.sub, directory_.where);
    if (jpeg_) TIFFSetField(cursor->planes.back()->tiff(), TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
  }
  return cursor;
}

// Decodes the cursor's row of all planes; where `keep` is given, its columns go to the row's place in the samples. What fails is
// remembered: no row below it in its strip can be decoded.
void TiffRows::next_row(Cursor& cursor, std::vector<uint8_t>& line, const Area* keep, Samples* samples) {
  for (int p = 0; p < planes_; ++p) {
    try {
      cursor.planes[static_cast<size_t>(p)]->read_row(directory_, cursor.next, p, line.data());
    } catch (const Error& e) {
      std::lock_guard lock(mutex_);
      damage_.emplace(cursor.next / directory_.strip_rows, std::pair(cursor.next, e));
      throw;
    }
    if (!keep) continue;
    const int64_t wanted = (samples->columns * pixel_bits_ + 7) / 8, first = samples->skip ? 0 : keep->x * pixel_bits_ / 8;
    std::memcpy(samples->planes[static_cast<size_t>(p)].data() + (cursor.next - keep->y) * wanted, line.data() + first,
                static_cast<size_t>(wanted));
  }
  ++cursor.next;
}

void TiffRows::check_damage(const Area& a) const {
  std::lock_guard lock(mutex_);
  for (int64_t strip = a.y / directory_.strip_rows; strip <= (a.y + a.height - 1) / directory_.strip_rows; ++strip)
    if (const auto known = damage_.find(strip); known != damage_.end() && known->second.first < a.y + a.height)
      throw Error(known->second.second);
}

// A cursor that failed is closed, not given back.
TiffRows::Samples TiffRows::decode_rows(const Area& a) {
  check_damage(a);
  const bool whole = pixel_bits_ % 8 != 0;
  Samples s{whole ? directory_.width : a.width, whole ? a.x : 0, {}};
  const int64_t wanted = (s.columns * pixel_bits_ + 7) / 8;
  std::unique_ptr<Cursor> cursor = take_cursor(a);
  const int64_t began = cursor->next;
  std::vector<uint8_t> line(static_cast<size_t>(TIFFScanlineSize64(cursor->planes[0]->tiff())));
  if (static_cast<int64_t>(line.size()) < (directory_.width * pixel_bits_ + 7) / 8)
    throw Error("", "damaged TIFF: its rows are too short", "restore the file");
  s.planes.assign(static_cast<size_t>(planes_), std::vector<uint8_t>(static_cast<size_t>(wanted * a.height)));
  while (cursor->next < a.y) next_row(*cursor, line, nullptr, nullptr);
  while (cursor->next < a.y + a.height) next_row(*cursor, line, &a, &s);
  std::lock_guard lock(mutex_);
  decoded_rows_ += cursor->next - began;
  idle_.push_back(std::move(cursor));
  if (idle_.size() > kCursors) idle_.erase(idle_.begin());
  return s;
}

bool TiffRows::left_out(const Area& a) const {
  const int64_t first = a.y / directory_.strip_rows, last = (a.y + a.height - 1) / directory_.strip_rows;
  return std::all_of(counts_.begin() + first, counts_.begin() + last + 1, [](uint64_t n) { return n == 0; });
}

// The samples as an uncompressed TIFF of one strip with the colour tags of the image.
std::vector<uint8_t> TiffRows::small_tiff(const Samples& samples, int64_t rows) const {
  TiffMemory memory;
  std::lock_guard tags(mutex_);
  TIFF* own = file_->tiff();
  // Stored samples are in the file's order of bytes, decoded ones in the machine's.
  const bool big = compressed_ ? HOST_BIGENDIAN : TIFFIsBigEndian(own) != 0;
  {
    const Handle out(memory.open(big ? "wb" : "wl", nullptr));
    if (!out) throw Error("", "TIFF rows could not be converted");
    copy_colour_tags(own, out.get());
    if (jpeg_ && samples_ == 3) TIFFSetField(out.get(), TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_RGB);
    if (!compressed_) copy_value<uint16_t>(own, out.get(), TIFFTAG_FILLORDER);
    TIFFSetField(out.get(), TIFFTAG_IMAGEWIDTH, static_cast<uint32_t>(samples.columns));
    TIFFSetField(out.get(), TIFFTAG_IMAGELENGTH, static_cast<uint32_t>(rows));
    TIFFSetField(out.get(), TIFFTAG_ROWSPERSTRIP, static_cast<uint32_t>(rows));
    TIFFSetField(out.get(), TIFFTAG_COMPRESSION, COMPRESSION_NONE);
    for (size_t p = 0; p < samples.planes.size(); ++p) {
      auto* bytes = const_cast<uint8_t*>(samples.planes[p].data());
      TIFFWriteRawStrip(out.get(), static_cast<uint32_t>(p), bytes, static_cast<tmsize_t>(samples.planes[p].size()));
    }
  }
  return memory.take();
}

TiffDirectory TiffRows::small_directory(const Samples& samples, int64_t rows) const {
  TiffDirectory d = directory_;
  d.sub = d.by_rows = d.plain_jpeg = false;
  d.where = 0;
  d.width = d.block_width = samples.columns;
  d.height = d.block_height = d.strip_rows = rows;
  return d;
}

TiffRows::Area TiffRows::within(const Area& area) const {
  return {area.x, area.y, std::min(area.width, directory_.width - area.x), std::min(area.height, directory_.height - area.y)};
}

// [inside.height][samples.columns] pixels. Takes the samples' memory where it can.
Block TiffRows::rgb_of(Samples& samples, const Area& inside) const {
  if (!rgb_bytes_) {
    TiffFile small(small_tiff(samples, inside.height));
    return small.decode(small_directory(samples, inside.height), {0, 0, 1});
  }
  auto rgb = std::make_shared<std::vector<uint8_t>>(std::move(samples.planes[0]));
  if (directory_.reading.table)
    for (uint8_t& v : *rgb) v = (*directory_.reading.table)[v];
  return rgb;
}

Block TiffRows::to_rgb(Samples samples, const Area& inside, const Area& area) const {
  const Block rgb = rgb_of(samples, inside);
  if (samples.columns == area.width && inside.height == area.height) return rgb;
  auto block = std::make_shared<std::vector<uint8_t>>(static_cast<size_t>(area.width * area.height * 3), uint8_t{255});
  for (int64_t y = 0; y < inside.height; ++y)
    std::memcpy(block->data() + y * area.width * 3, rgb->data() + (y * samples.columns + samples.skip) * 3,
                static_cast<size_t>(inside.width) * 3);
  return block;
}

Block TiffRows::read(const Area& area) {
  const Area inside = within(area);
  if (left_out(inside))
    return std::make_shared<std::vector<uint8_t>>(static_cast<size_t>(area.width * area.height * 3), uint8_t{255});
  return to_rgb(compressed_ ? decode_rows(inside) : read_stored(inside), inside, area);
}

void TiffRows::extremes(const Area& area, SampleExtremes& met) {
  const Area inside = within(area);
  if (left_out(inside)) return;
  const Samples samples = compressed_ ? decode_rows(inside) : read_stored(inside);
  TiffFile small(small_tiff(samples, inside.height));
  small.extremes(small_directory(samples, inside.height), 0, 0, met);
}

}  // namespace cytodet::tiling
