// A pyramid of tiled or striped images in one TIFF.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tiling/formats/block_slide.h"
#include "tiling/formats/tiff_file.h"

namespace cytodet {

class TiffSlide : public BlockSlide {
 public:
  explicit TiffSlide(const std::string& file);

  int orientation() const { return directories_[0].orientation; }

 private:
  void consider(TiffFile& f, bool sub, uint64_t where);
  Block decode(Resolution r, int64_t column, int64_t row) const override;
  bool reduces(int level) const override { return directories_[static_cast<size_t>(level)].plain_jpeg; }

  std::vector<TiffDirectory> directories_;  // of the levels
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<TiffFile>> idle_;
};

}  // namespace cytodet
