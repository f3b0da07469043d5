// One open TIFF file: libtiff behind errors that are thrown. A handle is used by one thread at a time.
#pragma once

#include <tiffio.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tiling/slides/formats/block_cache.h"
#include "tiling/slides/formats/tiff_memory.h"
#include "tiling/slides/formats/tiff_samples.h"

namespace cytodet::tiling {

// An image in the file. It is stored in blocks: tiles, or strips as wide as the image. A strip that is too large to be decoded
// whole (by_rows) is read in blocks of some of its rows, by TiffRows.
struct TiffDirectory {
  bool sub = false;
  uint64_t where = 0;  // number in the main chain, or offset of a SubIFD
  int64_t width = 0, height = 0;
  int64_t block_width = 0, block_height = 0;
  bool tiled = false, by_rows = false;
  int64_t strip_rows = 0;    // of a stored strip
  std::string codec;         // "JPEG", "JPEG 2000", "LZW", ...
  bool plain_jpeg = false;   // blocks are JPEG streams of 8-bit gray, RGB or YCbCr, which libjpeg reads directly
  uint16_t orientation = 1;  // TIFF 6.0, tag 274
  uint32_t subfile_type = 0;
  TiffLayout form;
  SampleReading reading;  // once prepared
  int64_t stack = 0;      // number among the images that the directory describes, stored behind each other
};

// An image of the main chain, as its tags give it.
struct TiffPage {
  TiffDirectory image;
  std::string description;
  std::vector<uint64_t> subs;  // offsets of its SubIFDs
  std::string problem;         // why it cannot be read; empty: it can, as far as its tags say
};

// Whether samples as they are stored, once decompressed, are the bytes of red, green and blue of one pixel after the other.
bool stores_rgb_bytes(const TiffDirectory& d);

class TiffFile {
 public:
  explicit TiffFile(const std::string& path);
  // A file in memory.
  explicit TiffFile(std::vector<uint8_t> bytes);
  ~TiffFile();
  TiffFile(const TiffFile&) = delete;
  TiffFile& operator=(const TiffFile&) = delete;

  // Makes an image current and describes it. Throws Error when it is damaged, empty, or stored in pieces that are too large.
  TiffDirectory open(bool sub, uint64_t where);
  // Decides how the samples of the current image become RGB, see sample_reading(). Throws Error when they cannot.
  void prepare(TiffDirectory& d, int channel, const std::optional<StretchRange>& range);
  // The images of the main chain, at most 4,096 of them. total: how many there are; damage: why the chain breaks off.
  std::vector<TiffPage> pages(int64_t& total, std::string& damage);
  // The extremes of the samples of a block of an image that is prepared.
  void extremes(const TiffDirectory& d, int64_t column, int64_t row, SampleExtremes& met);
  TIFF* tiff() const { return tiff_; }

  // Offsets of the current image's SubIFDs; number of images in the main chain (at most 256 each). damage (may be null): why the
  // chain breaks off; empty: it does not.
  std::vector<uint64_t> sub_images() const;
  int images(std::string* damage = nullptr);

  // ImageDescription of the current image; empty: none.
  std::string description() const;
  // The largest sample value of the current image by its tags MaxSampleValue or SMaxSampleValue; 0: they do not say.
  double stated_largest() const;
  // No block of the current image is left out.
  bool complete(const TiffDirectory& d) const;

  // RGB pixels of a block of an image, alpha laid over white; the part outside the image, and a block that the file leaves out,
  // are white. reduce (1, 2, 4, 8; above 1 only of plain JPEG whose blocks' sides it divides): 1 / reduce of the pixels each way.
  struct BlockPlace {
    int64_t column = 0, row = 0;
    int reduce = 1;
  };
  Block decode(const TiffDirectory& d, const BlockPlace& at);

  // A row of samples as the codec gives them, of a plane where these are stored apart. Rows of a strip must be read one after the
  // other from its first.
  void read_row(const TiffDirectory& d, int64_t row, int plane, uint8_t* samples);

 private:
  TIFFOpenOptions* options();
  static int on_error(TIFF*, void* user, const char* module, const char* format, va_list arguments);
  static int on_warning(TIFF*, void* user, const char* module, const char* format, va_list arguments);
  [[noreturn]] void fail() const;
  void select(bool sub, uint64_t where);
  bool read_by_rows(int64_t width, int64_t strip_rows) const;
  bool decode_raw_jpeg(const TiffDirectory& d, uint32_t index, int reduce, uint8_t* rgb);
  void give_buffer(const TiffDirectory& d);
  template <class Row>
  void for_each_row(const TiffDirectory& d, int64_t column, int64_t row, Row each);
  std::vector<uint8_t> stored_block(const TiffDirectory& d, int64_t column, int64_t row, int sample);
  std::vector<uint8_t> stacked_rows(const TiffDirectory& d, int64_t row);
  void decode_pixels(const TiffDirectory& d, const BlockPlace& at, std::vector<uint8_t>& rgb);
  void decode_any(const TiffDirectory& d, int64_t column, int64_t row, uint8_t* rgb);
  void copy_rgb(const TiffDirectory& d, int64_t column, int64_t row, uint8_t* rgb);

  TIFF* tiff_ = nullptr;
  std::string error_, damage_;   // first error; first warning that reports damaged pixels
  std::vector<uint8_t> buffer_;  // libtiff's read buffer, where it is ours
  std::unique_ptr<TiffMemory> memory_;
  int64_t file_bytes_ = 0;
  bool selected_ = false, sub_ = false;
  uint64_t where_ = 0;
};

}  // namespace cytodet::tiling
