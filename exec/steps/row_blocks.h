// Rows of images, or of matrices, cut into blocks that a thread works on one at a time.
#pragma once

#include <algorithm>
#include <cstdint>

namespace cytodet::exec {

struct RowBlock {
  int64_t image, first, rows;
};

// Blocks of `block` rows, the last of each image of what is left, counted over all images.
struct RowBlocks {
  int64_t images, rows, block;

  int64_t per_image() const { return (rows + block - 1) / block; }
  int64_t count() const { return images * per_image(); }
  RowBlock at(int64_t i) const {
    const int64_t first = i % per_image() * block;
    return {i / per_image(), first, std::min(block, rows - first)};
  }
};

}  // namespace cytodet::exec
