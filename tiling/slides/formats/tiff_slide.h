// A pyramid of tiled or striped images in one TIFF.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "tiling/slides/formats/block_slide.h"
#include "tiling/slides/formats/tiff_choice.h"
#include "tiling/slides/formats/tiff_file.h"
#include "tiling/slides/formats/tiff_rows.h"

namespace cytodet::tiling {

class TiffSlide : public BlockSlide {
 public:
  TiffSlide(const std::string& file, const ImageSelection& selection);

  int orientation() const { return levels_[0][0].orientation; }

 private:
  using Planes = std::vector<TiffDirectory>;  // one, or those of red, green and blue

  void open_levels(TiffFile& f, const TiffChoice& choice, const std::optional<StretchRange>& range);
  std::optional<TiffDirectory> level_at(TiffFile& f, const TiffPlace& place, const std::optional<StretchRange>& range);
  std::optional<StretchRange> settle_range(TiffFile& f, const TiffChoice& choice, const Stretch& stretch);
  SampleExtremes extremes_of(TiffFile& f, size_t level, double enough) const;
  Block decode(Resolution r, int64_t column, int64_t row) const override;
  bool reduces(int level) const override;
  bool striped(int level) const override;
  bool in_order(int level) const override;
  std::unique_ptr<TiffFile> take_file() const;
  Block decode_plane(TiffFile* file, const TiffDirectory& d, TiffRows* rows, const Resolution& r, int64_t column,
                     int64_t row) const;

  std::vector<Planes> levels_;
  std::vector<std::vector<std::unique_ptr<TiffRows>>> rows_;  // by level and plane; null where blocks are decoded whole
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<TiffFile>> idle_;
};

}  // namespace cytodet::tiling
