// The 8-bit grids of quantized tensors.
#pragma once

#include "graph/io/builder.h"
#include "graph/io/tflite/lite_model.h"

namespace cytodet::graph::lite {

// number = (value - zero_point) * scale for value in low..high.
struct Grid {
  float scale = 1;
  int64_t zero_point = 0;
  int64_t low = 0, high = 255;
  DType stored = DType::u8;

  // Whether both hold the same numbers: int8 and uint8 with zero points that are 128 apart do.
  bool equals(const Grid& other) const;
};

// Throws Error: several scales, of a tensor that is no constant.
Grid grid_of(const LiteTensor& tensor);

Value rounded(Builder& b, Value number, const Grid& grid);        // the numbers that the stored values stand for
Value stored_values(Builder& b, Value number, const Grid& grid);  // of type grid.stored
Value numbers(Builder& b, Value stored, const Grid& grid);        // of stored values; already rounded

}  // namespace cytodet::graph::lite
