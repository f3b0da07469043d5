#include "tiling/slides/formats/tiff_file.h"

#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "core/error.h"
#include "tiling/slides/formats/jpeg.h"
#include "tiling/slides/slide.h"

namespace cytodet::tiling {
namespace {

constexpr int64_t kMaxBlockPixels = int64_t{64} << 20;  // of one stored tile, of a strip of JPEG, and of a row
constexpr int64_t kMaxStripPixels = int64_t{16} << 20;  // of another strip that is decoded whole
constexpr int64_t kBandPixels = int64_t{4} << 20;       // of the rows that are decoded at once of larger ones
constexpr int kMaxDirectories = 256;
constexpr int64_t kMaxBlockBytes = int64_t{512} << 20;
constexpr int kMaxPages = 4096;
constexpr size_t kMaxDescription = size_t{1} << 16;  // kept of a page other than the first

std::string formatted(const char* format, va_list arguments) {
  char text[512];
  std::vsnprintf(text, sizeof text, format, arguments);
  return text;
}

std::string codec_name(uint16_t compression) {
  struct Name {
    uint16_t compression;
    const char* name;
  };
  constexpr Name kNames[] = {{COMPRESSION_NONE, "uncompressed"},
                             {COMPRESSION_JPEG, "JPEG"},
                             {COMPRESSION_OJPEG, "old-style JPEG"},
                             {COMPRESSION_LZW, "LZW"},
                             {COMPRESSION_ADOBE_DEFLATE, "Deflate"},
                             {COMPRESSION_DEFLATE, "Deflate"},
                             {COMPRESSION_PACKBITS, "PackBits"},
                             {COMPRESSION_ZSTD, "Zstandard"},
                             {COMPRESSION_WEBP, "WebP"},
                             {COMPRESSION_LZMA, "LZMA"},
                             {COMPRESSION_CCITTFAX3, "fax"},
                             {COMPRESSION_CCITTFAX4, "fax"}};
  for (const Name& n : kNames)
    if (n.compression == compression) return n.name;
  return "compression " + std::to_string(compression);
}

int64_t rows_of(const TiffDirectory& d, int64_t row) {
  return d.tiled ? d.block_height : std::min(d.block_height, d.height - row * d.block_height);
}

}  // namespace

// The file is named by whoever opened it; "nowhere" is what libtiff says of blocks that are read as they are stored.
int TiffFile::on_error(TIFF* tiff, void* user, const char*, const char* format, va_list arguments) {
  auto* file = static_cast<TiffFile*>(user);
  if (!file->error_.empty()) return 1;
  file->error_ = formatted(format, arguments);
  const std::string own = tiff ? TIFFFileName(tiff) + std::string(": ") : "", nowhere = " at row 4294967295, col 4294967295";
  if (!own.empty() && file->error_.starts_with(own)) file->error_.erase(0, own.size());
  if (const size_t at = file->error_.find(nowhere); at != std::string::npos) file->error_.erase(at, nowhere.size());
  return 1;
}

// The JPEG codec only warns of data that is missing or wrong, and leaves gray behind.
int TiffFile::on_warning(TIFF*, void* user, const char* module, const char* format, va_list arguments) {
  auto* file = static_cast<TiffFile*>(user);
  if (!module || std::strcmp(module, "JPEGLib") != 0) return 1;
  std::string text = formatted(format, arguments);
  bool damaged = text.starts_with("Premature end") ||
                 (text.starts_with("Corrupt JPEG data") && text.find("extraneous") == std::string::npos);
  if (damaged && file->damage_.empty()) file->damage_ = std::move(text);
  return 1;
}

TIFFOpenOptions* TiffFile::options() {
  TIFFOpenOptions* options = TIFFOpenOptionsAlloc();
  TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, this);
  TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, this);
  TIFFOpenOptionsSetMaxSingleMemAlloc(options, tmsize_t{512} << 20);
  return options;
}

TiffFile::TiffFile(const std::string& path) {
  std::error_code ignored;
  file_bytes_ = static_cast<int64_t>(std::filesystem::file_size(path, ignored));
  TIFFOpenOptions* o = options();
  tiff_ = TIFFOpenExt(path.c_str(), "rm", o);
  TIFFOpenOptionsFree(o);
  if (!tiff_) fail();
}

TiffFile::TiffFile(std::vector<uint8_t> bytes)
    : memory_(std::make_unique<TiffMemory>(std::move(bytes))), file_bytes_(static_cast<int64_t>(memory_->bytes().size())) {
  TIFFOpenOptions* o = options();
  tiff_ = memory_->open("rc", o);  // c: a single strip is not cut up
  TIFFOpenOptionsFree(o);
  if (!tiff_) fail();
}

TiffFile::~TiffFile() {
  if (tiff_) TIFFClose(tiff_);
}

void TiffFile::fail() const {
  const std::string& why = error_.empty() ? damage_ : error_;
  throw Error("", "damaged TIFF: " + (why.empty() ? "no reason given" : why), "restore the file");
}

void TiffFile::select(bool sub, uint64_t where) {
  if (selected_ && sub_ == sub && where_ == where) return;
  selected_ = false;
  if (!(sub ? TIFFSetSubDirectory(tiff_, where) : TIFFSetDirectory(tiff_, static_cast<tdir_t>(where)))) fail();
  selected_ = true;
  sub_ = sub;
  where_ = where;
}

// Whether the current image's strips are too large to be decoded whole, and can be read by rows.
bool TiffFile::read_by_rows(int64_t width, int64_t strip_rows) const {
  if (strip_rows == 0 || width > kMaxBlockPixels) return false;
  uint16_t compression = COMPRESSION_NONE, photometric = 0, across = 1, down = 1;
  TIFFGetFieldDefaulted(tiff_, TIFFTAG_COMPRESSION, &compression);
  TIFFGetField(tiff_, TIFFTAG_PHOTOMETRIC, &photometric);
  const bool jpeg = compression == COMPRESSION_JPEG;
  if (strip_rows * width <= (jpeg ? kMaxBlockPixels : kMaxStripPixels)) return false;
  if (photometric == PHOTOMETRIC_YCBCR && !jpeg) TIFFGetFieldDefaulted(tiff_, TIFFTAG_YCBCRSUBSAMPLING, &across, &down);
  // libtiff gives no single rows of colours stored for several pixels, nor of floating-point luminance.
  return across == 1 && down == 1 && compression != COMPRESSION_OJPEG && photometric != PHOTOMETRIC_LOGL &&
         photometric != PHOTOMETRIC_LOGLUV;
}

TiffDirectory TiffFile::open(bool sub, uint64_t where) {
  error_.clear();
  select(sub, where);
  TiffDirectory d{sub, where};
  uint32_t width = 0, height = 0, block_width = 0, block_height = 0;
  TIFFGetField(tiff_, TIFFTAG_IMAGEWIDTH, &width);
  TIFFGetField(tiff_, TIFFTAG_IMAGELENGTH, &height);
  if (width == 0 || height == 0)
    throw Error("", "damaged TIFF: the image is " + std::to_string(width) + " x " + std::to_string(height) + " pixels",
                "restore the file");
  d.width = width;
  d.height = height;
  d.tiled = TIFFIsTiled(tiff_);
  if (d.tiled) {
    TIFFGetField(tiff_, TIFFTAG_TILEWIDTH, &block_width);
    TIFFGetField(tiff_, TIFFTAG_TILELENGTH, &block_height);
  } else {
    block_width = width;
    TIFFGetFieldDefaulted(tiff_, TIFFTAG_ROWSPERSTRIP, &block_height);
    block_height = std::min(block_height, height);
    d.strip_rows = block_height;
    d.by_rows = read_by_rows(width, block_height);
    if (d.by_rows) block_height = static_cast<uint32_t>(std::clamp<int64_t>(kBandPixels / width, 1, 256));
  }
  if (block_width == 0 || block_height == 0 || static_cast<int64_t>(block_width) > kMaxBlockPixels / block_height)
    throw Error("",
                "TIFF is stored in pieces of " + std::to_string(block_width) + " x " + std::to_string(block_height) +
                    " pixels; the limit is " + std::to_string(kMaxBlockPixels) + " each",
                "save it as a tiled TIFF");
  d.block_width = block_width;
  d.block_height = block_height;
  uint16_t compression = 1, planar = PLANARCONFIG_CONTIG, extras = 0;
  const uint16_t* extra = nullptr;
  TIFFGetFieldDefaulted(tiff_, TIFFTAG_ORIENTATION, &d.orientation);
  TIFFGetFieldDefaulted(tiff_, TIFFTAG_SAMPLESPERPIXEL, &d.form.samples);
  TIFFGetFieldDefaulted(tiff_, TIFFTAG_BITSPERSAMPLE, &d.form.bits);
  TIFFGetFieldDefaulted(tiff_, TIFFTAG_SAMPLEFORMAT, &d.form.sample_format);
  if (TIFFGetField(tiff_, TIFFTAG_EXTRASAMPLES, &extras, &extra) && extra) d.form.extra.assign(extra, extra + extras);
  TIFFGetFieldDefaulted(tiff_, TIFFTAG_COMPRESSION, &compression);
  TIFFGetFieldDefaulted(tiff_, TIFFTAG_PLANARCONFIG, &planar);
  const uint16_t samples = d.form.samples, bits = d.form.bits;
  if (!TIFFGetField(tiff_, TIFFTAG_PHOTOMETRIC, &d.form.photometric))
    d.form.photometric = samples - extras >= 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK;
  const uint16_t photometric = d.form.photometric;
  d.form.separate = planar == PLANARCONFIG_SEPARATE && samples > 1;
  TIFFGetField(tiff_, TIFFTAG_SUBFILETYPE, &d.subfile_type);
  d.codec = codec_name(compression);
  bool gray = samples == 1 && photometric == PHOTOMETRIC_MINISBLACK,
       colour = samples == 3 && (photometric == PHOTOMETRIC_RGB || photometric == PHOTOMETRIC_YCBCR);
  d.plain_jpeg = compression == COMPRESSION_JPEG && bits == 8 && (gray || (colour && planar == PLANARCONFIG_CONTIG));
  return d;
}

void TiffFile::prepare(TiffDirectory& d, int channel, const std::optional<StretchRange>& range) {
  uint16_t compression = COMPRESSION_NONE;
  TIFFGetFieldDefaulted(tiff_, TIFFTAG_COMPRESSION, &compression);
  if (!TIFFIsCODECConfigured(compression))
    throw Error("", "TIFF compression " + std::to_string(compression) + " is not supported", "save it with another compression");
  d.reading = sample_reading(d.form, channel, range);
  char why[1024] = "";
  if (d.reading.by == SampleReading::By::library && d.stack == 0 && !d.plain_jpeg && !TIFFRGBAImageOK(tiff_, why))
    throw Error("", std::string("TIFF cannot be turned into RGB: ") + why, "save it as 8-bit RGB");
  if (d.stack == 0) return;
  d.reading.by = SampleReading::By::own;
  const int64_t row_bytes = (d.width * d.form.samples * d.form.bits + 7) / 8;
  const auto first = static_cast<int64_t>(TIFFGetStrileOffset(tiff_, 0));
  if (d.tiled || d.form.separate || d.codec != "uncompressed" || d.form.bits % 8 != 0 || d.form.bits == 24)
    throw Error("", "describes a stack of images by one of them, and stores them in a way that is not read",
                "save the image that is wanted as a file of its own");
  if (first <= 0 || first > file_bytes_ || d.stack >= (file_bytes_ - first) / row_bytes / d.height)
    throw Error("", "damaged TIFF: the file ends before image " + std::to_string(d.stack) + " of its stack", "restore the file");
}

std::vector<TiffPage> TiffFile::pages(int64_t& total, std::string& damage) {
  selected_ = false;
  error_.clear();
  total = TIFFNumberOfDirectories(tiff_);
  damage = error_;
  std::vector<TiffPage> pages;
  bool follows = false;  // the directory before was read, so the next one can be
  for (int64_t i = 0; i < std::min<int64_t>(total, kMaxPages); ++i) {
    TiffPage page;
    page.image.where = static_cast<uint64_t>(i);
    error_.clear();
    if (follows ? TIFFReadDirectory(tiff_) : TIFFSetDirectory(tiff_, static_cast<tdir_t>(i))) {
      follows = true;
      try {
        selected_ = true;
        sub_ = false;
        where_ = page.image.where;
        page.image = open(false, page.image.where);
      } catch (const Error& e) {
        page.problem = e.problem();
      }
      page.description = description();
      if (i > 0 && page.description.size() > kMaxDescription) page.description.resize(kMaxDescription);
      page.subs = sub_images();
    } else {
      follows = false;
      page.problem = "damaged TIFF: " + (error_.empty() ? "no reason given" : error_);
    }
    pages.push_back(std::move(page));
  }
  selected_ = false;
  return pages;
}

std::vector<uint64_t> TiffFile::sub_images() const {
  uint16_t count = 0;
  uint64_t* offsets = nullptr;
  if (!TIFFGetField(tiff_, TIFFTAG_SUBIFD, &count, &offsets) || !offsets) return {};
  return {offsets, offsets + std::min<int>(count, kMaxDirectories)};
}

int TiffFile::images(std::string* damage) {
  selected_ = false;
  error_.clear();
  const int count = std::min<int>(static_cast<int>(TIFFNumberOfDirectories(tiff_)), kMaxDirectories);
  if (damage) *damage = error_;
  return count;
}

std::string TiffFile::description() const {
  const char* text = nullptr;
  return TIFFGetField(tiff_, TIFFTAG_IMAGEDESCRIPTION, &text) && text ? text : "";
}

double TiffFile::stated_largest() const {
  double value = 0;
  if (TIFFGetField(tiff_, TIFFTAG_SMAXSAMPLEVALUE, &value) && value > 0) return value;
  uint16_t whole = 0;
  return TIFFGetField(tiff_, TIFFTAG_MAXSAMPLEVALUE, &whole) ? whole : 0;
}

bool TiffFile::complete(const TiffDirectory& d) const {
  constexpr uint32_t kMaxBlocks = 1u << 24;
  const uint32_t count = d.tiled ? TIFFNumberOfTiles(tiff_) : TIFFNumberOfStrips(tiff_);
  if (count > kMaxBlocks) return false;
  for (uint32_t i = 0; i < count; ++i)
    if (TIFFGetStrileByteCount(tiff_, i) == 0) return false;
  return true;
}

void TiffFile::read_row(const TiffDirectory& d, int64_t row, int plane, uint8_t* samples) {
  error_.clear();
  damage_.clear();
  select(d.sub, d.where);
  if (TIFFReadScanline(tiff_, samples, static_cast<uint32_t>(row), static_cast<uint16_t>(plane)) < 0 || !damage_.empty()) fail();
}

Block TiffFile::decode(const TiffDirectory& d, const BlockPlace& at) {
  error_.clear();
  damage_.clear();
  select(d.sub, d.where);
  const int64_t width = d.block_width / at.reduce, height = d.block_height / at.reduce;
  auto block = std::make_shared<std::vector<uint8_t>>(static_cast<size_t>(width * height * 3), uint8_t{255});
  const auto x = static_cast<uint32_t>(at.column * d.block_width), y = static_cast<uint32_t>(at.row * d.block_height);
  const uint32_t index = d.tiled ? TIFFComputeTile(tiff_, x, y, 0, 0) : TIFFComputeStrip(tiff_, y, 0);
  if (TIFFGetStrileByteCount(tiff_, index) == 0) return block;
  const bool own = d.reading.by == SampleReading::By::own;
  if (own || !d.plain_jpeg || !decode_raw_jpeg(d, index, at.reduce, block->data())) decode_pixels(d, at, *block);
  if (d.reading.table)
    for (uint8_t& v : *block) v = (*d.reading.table)[v];
  return block;
}

bool stores_rgb_bytes(const TiffDirectory& d) {
  const TiffLayout& f = d.form;
  return d.reading.by == SampleReading::By::library && f.photometric == PHOTOMETRIC_RGB && f.bits == 8 && f.samples == 3 &&
         !f.separate && d.stack == 0 && d.codec.find("JPEG") == std::string::npos;
}

// A block of such bytes, as much of it as lies in the image.
void TiffFile::copy_rgb(const TiffDirectory& d, int64_t column, int64_t row, uint8_t* rgb) {
  const std::vector<uint8_t> stored = stored_block(d, column, row, 0);
  const int64_t stride = d.block_width * 3, inside = std::min(d.block_width, d.width - column * d.block_width) * 3;
  for (int64_t y = 0, rows = rows_of(d, row); y < rows; ++y)
    std::memcpy(rgb + y * stride, stored.data() + y * stride, static_cast<size_t>(inside));
}

void TiffFile::decode_pixels(const TiffDirectory& d, const BlockPlace& at, std::vector<uint8_t>& rgb) {
  const auto decode_whole = [&](uint8_t* out) {
    if (stores_rgb_bytes(d)) return copy_rgb(d, at.column, at.row, out);
    if (d.reading.by == SampleReading::By::library) return decode_any(d, at.column, at.row, out);
    for_each_row(d, at.column, at.row, [&](int64_t y, const std::vector<std::vector<double>>& samples) {
      samples_to_rgb(d.reading, samples, d.block_width, out + y * d.block_width * 3);
    });
  };
  if (at.reduce == 1) return decode_whole(rgb.data());
  Image whole(static_cast<int>(d.block_width), static_cast<int>(d.block_height));
  std::fill(whole.rgb.begin(), whole.rgb.end(), uint8_t{255});
  decode_whole(whole.rgb.data());
  downsample_by_mean(whole, at.reduce, rgb.data());
}

// Calls each(y, samples) for the rows of a block that lie in the image: of each sample that the reading takes, alpha last, one
// value a pixel.
template <class Row>
void TiffFile::for_each_row(const TiffDirectory& d, int64_t column, int64_t row, Row each) {
  std::vector<int> wanted = d.reading.samples;
  if (d.reading.alpha >= 0) wanted.push_back(d.reading.alpha);
  std::vector<std::vector<uint8_t>> stored;
  for (size_t k = 0; k < (d.form.separate ? wanted.size() : 1); ++k)
    stored.push_back(d.stack > 0 ? stacked_rows(d, row) : stored_block(d, column, row, d.form.separate ? wanted[k] : 0));
  const int64_t width = d.block_width, step = d.form.separate ? 1 : d.form.samples;
  const int64_t row_bytes = (width * step * d.form.bits + 7) / 8;
  std::vector<double> all(static_cast<size_t>(width * step));
  std::vector<std::vector<double>> samples(wanted.size(), std::vector<double>(static_cast<size_t>(width)));
  for (int64_t y = 0, rows = rows_of(d, row); y < rows; ++y) {
    if (d.form.separate) {
      for (size_t k = 0; k < wanted.size(); ++k)
        unpack_samples(d.form, stored[k].data() + y * row_bytes, width, samples[k].data());
    } else {
      unpack_samples(d.form, stored[0].data() + y * row_bytes, width * step, all.data());
      for (size_t k = 0; k < wanted.size(); ++k)
        for (int64_t x = 0; x < width; ++x) samples[k][static_cast<size_t>(x)] = all[static_cast<size_t>(x * step + wanted[k])];
    }
    each(y, samples);
  }
}

void TiffFile::extremes(const TiffDirectory& d, int64_t column, int64_t row, SampleExtremes& met) {
  error_.clear();
  damage_.clear();
  select(d.sub, d.where);
  const auto x = static_cast<uint32_t>(column * d.block_width), y = static_cast<uint32_t>(row * d.block_height);
  if (TIFFGetStrileByteCount(tiff_, d.tiled ? TIFFComputeTile(tiff_, x, y, 0, 0) : TIFFComputeStrip(tiff_, y, 0)) == 0) return;
  const auto inside = static_cast<size_t>(std::min(d.block_width, d.width - column * d.block_width));
  const int64_t bottom = d.height - row * d.block_height;
  for_each_row(d, column, row, [&](int64_t line, const std::vector<std::vector<double>>& samples) {
    if (line >= bottom) return;
    for (size_t k = 0; k < d.reading.samples.size(); ++k)
      for (size_t i = 0; i < inside; ++i) met.add(samples[k][i]);
  });
}

// Samples of a block as libtiff gives them: rows of packed values in this machine's byte order.
std::vector<uint8_t> TiffFile::stored_block(const TiffDirectory& d, int64_t column, int64_t row, int sample) {
  give_buffer(d);
  const auto x = static_cast<uint32_t>(column * d.block_width), y = static_cast<uint32_t>(row * d.block_height);
  const auto s = static_cast<uint16_t>(sample);
  const uint32_t index = d.tiled ? TIFFComputeTile(tiff_, x, y, 0, s) : TIFFComputeStrip(tiff_, y, s);
  const int64_t values = d.block_width * (d.form.separate ? 1 : d.form.samples);
  const int64_t bytes = (values * d.form.bits + 7) / 8 * rows_of(d, row);
  if (bytes > kMaxBlockBytes)
    throw Error("",
                "TIFF is stored in pieces of " + std::to_string(bytes) + " bytes; the limit is " + std::to_string(kMaxBlockBytes),
                "save it as a tiled TIFF");
  std::vector<uint8_t> data(static_cast<size_t>(bytes));
  const tmsize_t n = d.tiled ? TIFFReadEncodedTile(tiff_, index, data.data(), static_cast<tmsize_t>(bytes))
                             : TIFFReadEncodedStrip(tiff_, index, data.data(), static_cast<tmsize_t>(bytes));
  if (n < 0 || !error_.empty() || !damage_.empty()) fail();
  if (n != static_cast<tmsize_t>(bytes))
    throw Error("", "damaged TIFF: a piece holds " + std::to_string(n) + " of " + std::to_string(bytes) + " bytes",
                "restore the file");
  return data;
}

// The row of an image that has no directory of its own and lies behind the one that `d` describes (ImageJ's stacks).
std::vector<uint8_t> TiffFile::stacked_rows(const TiffDirectory& d, int64_t row) {
  const int64_t values = d.width * d.form.samples, row_bytes = values * d.form.bits / 8, rows = rows_of(d, row);
  if (rows * row_bytes > kMaxBlockBytes)
    throw Error("",
                "TIFF is stored in pieces of " + std::to_string(rows * row_bytes) + " bytes; the limit is " +
                    std::to_string(kMaxBlockBytes),
                "save it as a tiled TIFF");
  std::vector<uint8_t> data(static_cast<size_t>(rows * row_bytes));
  const int64_t at =
      static_cast<int64_t>(TIFFGetStrileOffset(tiff_, 0)) + (d.stack * d.height + row * d.block_height) * row_bytes;
  if (::pread(TIFFFileno(tiff_), data.data(), data.size(), at) != static_cast<ssize_t>(data.size()))
    throw Error("", "damaged TIFF: the file ends within image " + std::to_string(d.stack) + " of its stack", "restore the file");
  if (TIFFIsByteSwapped(tiff_)) {
    if (d.form.bits == 16) TIFFSwabArrayOfShort(reinterpret_cast<uint16_t*>(data.data()), rows * values);
    if (d.form.bits == 32) TIFFSwabArrayOfLong(reinterpret_cast<uint32_t*>(data.data()), rows * values);
    if (d.form.bits == 64) TIFFSwabArrayOfDouble(reinterpret_cast<double*>(data.data()), rows * values);
  }
  return data;
}

bool TiffFile::decode_raw_jpeg(const TiffDirectory& d, uint32_t index, int reduce, uint8_t* rgb) {
  const uint64_t bytes = TIFFGetStrileByteCount(tiff_, index);
  if (bytes > static_cast<uint64_t>(file_bytes_))
    throw Error("", "damaged TIFF: a stored tile of " + std::to_string(bytes) + " bytes is longer than the file",
                "restore the file");
  std::vector<uint8_t> data(bytes);
  tmsize_t n = d.tiled ? TIFFReadRawTile(tiff_, index, data.data(), static_cast<tmsize_t>(bytes))
                       : TIFFReadRawStrip(tiff_, index, data.data(), static_cast<tmsize_t>(bytes));
  if (n < 0) fail();
  JpegStream stream;
  stream.data = {data.data(), static_cast<size_t>(n)};
  uint32_t table_bytes = 0;
  const uint8_t* tables = nullptr;
  if (TIFFGetField(tiff_, TIFFTAG_JPEGTABLES, &table_bytes, &tables) && tables && table_bytes > 4)
    stream.tables = {tables, table_bytes};
  uint16_t photometric = 0;
  TIFFGetField(tiff_, TIFFTAG_PHOTOMETRIC, &photometric);
  stream.colour = photometric == PHOTOMETRIC_YCBCR ? JpegColour::ycbcr
                  : photometric == PHOTOMETRIC_RGB ? JpegColour::rgb
                                                   : JpegColour::gray;
  return decode_jpeg_stream(stream, {static_cast<int>(d.block_width), static_cast<int>(rows_of(d, d.tiled ? 0 : index))}, reduce,
                            rgb);
}

// libtiff 4.5 refuses an uncompressed tile unless its read buffer has just the tile's size; its own are multiples of 1024.
void TiffFile::give_buffer(const TiffDirectory& d) {
  uint16_t compression = COMPRESSION_NONE;
  TIFFGetFieldDefaulted(tiff_, TIFFTAG_COMPRESSION, &compression);
  if (d.tiled && compression == COMPRESSION_NONE) {
    buffer_.resize(static_cast<size_t>(TIFFTileSize(tiff_)));
    TIFFReadBufferSetup(tiff_, buffer_.data(), static_cast<tmsize_t>(buffer_.size()));
  } else if (!buffer_.empty()) {
    TIFFReadBufferSetup(tiff_, nullptr, 1024);
    buffer_.clear();
  }
}

void TiffFile::decode_any(const TiffDirectory& d, int64_t column, int64_t row, uint8_t* rgb) {
  // Blocks are wanted as they are stored: libtiff would flip each by itself.
  TIFFSetField(tiff_, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);
  give_buffer(d);
  // libtiff 4.5 steps by half a row over what lies right of the image in 16-bit gray tiles: it is informed that nothing does.
  const bool overhangs = d.tiled && d.form.bits == 16 && d.form.gray() && d.width % d.block_width != 0;
  if (overhangs) TIFFSetField(tiff_, TIFFTAG_IMAGEWIDTH, static_cast<uint32_t>((d.width / d.block_width + 1) * d.block_width));
  const int64_t rows = rows_of(d, row);
  std::vector<uint32_t> raster(static_cast<size_t>(d.block_width * d.block_height));
  const auto x = static_cast<uint32_t>(column * d.block_width), y = static_cast<uint32_t>(row * d.block_height);
  const int ok = d.tiled ? TIFFReadRGBATileExt(tiff_, x, y, raster.data(), 1) : TIFFReadRGBAStripExt(tiff_, y, raster.data(), 1);
  if (overhangs) TIFFSetField(tiff_, TIFFTAG_IMAGEWIDTH, static_cast<uint32_t>(d.width));
  if (!ok || !error_.empty() || !damage_.empty()) fail();
  const int64_t inside = overhangs ? std::min(d.block_width, d.width - column * d.block_width) : d.block_width;
  for (int64_t r = 0; r < rows; ++r) {
    uint32_t* in = raster.data() + (rows - 1 - r) * d.block_width;
    std::fill(in + inside, in + d.block_width, 0u);  // transparent, as libtiff leaves it
    uint8_t* out = rgb + r * d.block_width * 3;
    for (int64_t c = 0; c < d.block_width; ++c, out += 3) {
      // Colours come multiplied by alpha: white shines through.
      const uint32_t p = in[c], white = 255 - TIFFGetA(p);
      out[0] = static_cast<uint8_t>(std::min<uint32_t>(255, TIFFGetR(p) + white));
      out[1] = static_cast<uint8_t>(std::min<uint32_t>(255, TIFFGetG(p) + white));
      out[2] = static_cast<uint8_t>(std::min<uint32_t>(255, TIFFGetB(p) + white));
    }
  }
}

}  // namespace cytodet::tiling
