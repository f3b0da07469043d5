#include "tiling/formats/tiff_file.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "core/error.h"
#include "tiling/formats/jpeg.h"
#include "tiling/slide.h"

namespace cytodet {
namespace {

constexpr int64_t kMaxBlockPixels = int64_t{64} << 20;  // of one stored tile or strip
constexpr int kMaxImages = 256;

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

TiffFile::TiffFile(const std::string& path) {
  std::error_code ignored;
  file_bytes_ = static_cast<int64_t>(std::filesystem::file_size(path, ignored));
  TIFFOpenOptions* options = TIFFOpenOptionsAlloc();
  TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, this);
  TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, this);
  TIFFOpenOptionsSetMaxSingleMemAlloc(options, tmsize_t{512} << 20);
  tiff_ = TIFFOpenExt(path.c_str(), "rm", options);
  TIFFOpenOptionsFree(options);
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
  }
  if (block_width == 0 || block_height == 0 || static_cast<int64_t>(block_width) > kMaxBlockPixels / block_height)
    throw Error("",
                "TIFF is stored in pieces of " + std::to_string(block_width) + " x " + std::to_string(block_height) +
                    " pixels; the limit is " + std::to_string(kMaxBlockPixels) + " each",
                "save it as a tiled TIFF");
  d.block_width = block_width;
  d.block_height = block_height;
  uint16_t samples = 1, bits = 8, compression = 1, planar = PLANARCONFIG_CONTIG, photometric = 0;
  TIFFGetFieldDefaulted(tiff_, TIFFTAG_ORIENTATION, &d.orientation);
  TIFFGetFieldDefaulted(tiff_, TIFFTAG_SAMPLESPERPIXEL, &samples);
  TIFFGetFieldDefaulted(tiff_, TIFFTAG_BITSPERSAMPLE, &bits);
  TIFFGetFieldDefaulted(tiff_, TIFFTAG_COMPRESSION, &compression);
  TIFFGetFieldDefaulted(tiff_, TIFFTAG_PLANARCONFIG, &planar);
  TIFFGetField(tiff_, TIFFTAG_PHOTOMETRIC, &photometric);
  TIFFGetField(tiff_, TIFFTAG_SUBFILETYPE, &d.subfile_type);
  d.codec = codec_name(compression);
  d.samples = samples;
  d.bits = bits;
  d.gray = photometric == PHOTOMETRIC_MINISBLACK || photometric == PHOTOMETRIC_MINISWHITE;
  if (!TIFFIsCODECConfigured(compression))
    throw Error("", "TIFF compression " + std::to_string(compression) + " is not supported", "save it with another compression");
  char why[1024] = "";
  if (!TIFFRGBAImageOK(tiff_, why))
    throw Error("", std::string("TIFF cannot be turned into RGB: ") + why, "save it as 8-bit RGB");
  bool gray = samples == 1 && photometric == PHOTOMETRIC_MINISBLACK,
       colour = samples == 3 && (photometric == PHOTOMETRIC_RGB || photometric == PHOTOMETRIC_YCBCR);
  d.plain_jpeg = compression == COMPRESSION_JPEG && bits == 8 && (gray || (colour && planar == PLANARCONFIG_CONTIG));
  return d;
}

std::vector<uint64_t> TiffFile::sub_images() const {
  uint16_t count = 0;
  uint64_t* offsets = nullptr;
  if (!TIFFGetField(tiff_, TIFFTAG_SUBIFD, &count, &offsets) || !offsets) return {};
  return {offsets, offsets + std::min<int>(count, kMaxImages)};
}

int TiffFile::images(std::string* damage) {
  selected_ = false;
  error_.clear();
  const int count = std::min<int>(static_cast<int>(TIFFNumberOfDirectories(tiff_)), kMaxImages);
  if (damage) *damage = error_;
  return count;
}

std::string TiffFile::description() const {
  const char* text = nullptr;
  return TIFFGetField(tiff_, TIFFTAG_IMAGEDESCRIPTION, &text) && text ? text : "";
}

bool TiffFile::complete(const TiffDirectory& d) const {
  constexpr uint32_t kMaxBlocks = 1u << 24;
  const uint32_t count = d.tiled ? TIFFNumberOfTiles(tiff_) : TIFFNumberOfStrips(tiff_);
  if (count > kMaxBlocks) return false;
  for (uint32_t i = 0; i < count; ++i)
    if (TIFFGetStrileByteCount(tiff_, i) == 0) return false;
  return true;
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
  if (d.plain_jpeg && decode_raw_jpeg(d, index, at.reduce, block->data())) return block;
  if (at.reduce == 1) {
    decode_any(d, at.column, at.row, block->data());
    return block;
  }
  Image whole(static_cast<int>(d.block_width), static_cast<int>(d.block_height));
  std::fill(whole.rgb.begin(), whole.rgb.end(), uint8_t{255});
  decode_any(d, at.column, at.row, whole.rgb.data());
  shrink_by_mean(whole, at.reduce, block->data());
  return block;
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
  const int64_t rows = rows_of(d, row);
  std::vector<uint32_t> raster(static_cast<size_t>(d.block_width * d.block_height));
  const auto x = static_cast<uint32_t>(column * d.block_width), y = static_cast<uint32_t>(row * d.block_height);
  const int ok = d.tiled ? TIFFReadRGBATileExt(tiff_, x, y, raster.data(), 1) : TIFFReadRGBAStripExt(tiff_, y, raster.data(), 1);
  if (!ok || !error_.empty() || !damage_.empty()) fail();
  for (int64_t r = 0; r < rows; ++r) {
    const uint32_t* in = raster.data() + (rows - 1 - r) * d.block_width;
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

}  // namespace cytodet
