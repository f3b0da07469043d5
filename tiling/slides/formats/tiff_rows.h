// Rows of a striped image whose strips are too large to be decoded whole: uncompressed ones are read where they lie, others are
// decoded row by row from the start of their strip. What comes out is handed to libtiff as a small uncompressed TIFF with the
// tags of the image, so that pixels become RGB as they do elsewhere.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/error.h"
#include "tiling/slides/formats/tiff_file.h"

namespace cytodet::tiling {

class TiffRows {
 public:
  // `d` must be by_rows.
  TiffRows(std::string path, const TiffDirectory& d);
  ~TiffRows();
  TiffRows(const TiffRows&) = delete;
  TiffRows& operator=(const TiffRows&) = delete;

  struct Area {
    int64_t x = 0, y = 0, width = 0, height = 0;
  };
  // RGB of an area, white where it is outside the image. Safe from many threads. Compressed strips are cheap to read downwards:
  // a few places are gone on from, per panel of columns; elsewhere the strip is decoded from its start.
  Block read(const Area& area);

  // The extremes of the area's samples, as TiffFile::extremes.
  void extremes(const Area& area, SampleExtremes& met);

  bool compressed() const { return compressed_; }
  // Rows decoded so far, those included that were only passed.
  int64_t decoded_rows() const;

 private:
  struct Cursor {
    std::vector<std::unique_ptr<TiffFile>> planes;  // one, or one a sample where these are stored apart
    int64_t next = 0;                               // row that comes next
    int64_t x = 0;                                  // panel that it reads for
  };
  // Samples of an area's part within the image: rows of `columns` pixels, by plane.
  struct Samples {
    int64_t columns = 0, skip = 0;  // the area's first pixel is columns[skip]
    std::vector<std::vector<uint8_t>> planes;
  };
  Samples read_stored(const Area& a) const;
  Samples decode_rows(const Area& a);
  std::unique_ptr<Cursor> take_cursor(const Area& a);
  void next_row(Cursor& cursor, std::vector<uint8_t>& line, const Area* keep, Samples* samples);
  bool left_out(const Area& a) const;
  void check_damage(const Area& a) const;
  std::vector<uint8_t> small_tiff(const Samples& samples, int64_t rows) const;
  TiffDirectory small_directory(const Samples& samples, int64_t rows) const;
  Area within(const Area& area) const;
  Block to_rgb(Samples samples, const Area& inside, const Area& area) const;
  Block rgb_of(Samples& samples, const Area& inside) const;

  const std::string path_;
  const TiffDirectory directory_;
  std::unique_ptr<TiffFile> file_;  // for its tags
  bool compressed_ = false, separate_ = false, jpeg_ = false;
  bool rgb_bytes_ = false;  // rows hold red, green and blue of one pixel after the other
  int samples_ = 1;         // of a pixel in one plane
  int planes_ = 1;
  int64_t pixel_bits_ = 8;                  // in one plane
  std::vector<uint64_t> offsets_, counts_;  // of strips; count 0: left out
  int fd_ = -1;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Cursor>> idle_;
  int64_t decoded_rows_ = 0;
  std::map<int64_t, std::pair<int64_t, Error>> damage_;  // by strip: the first row that cannot be decoded, and why
};

}  // namespace cytodet::tiling
