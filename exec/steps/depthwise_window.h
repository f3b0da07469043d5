// The rows that the windows of a depthwise convolution still need, in scratch.
#pragma once

#include "exec/steps/packed_conv.h"

namespace cytodet::exec {

// A ring buffer of input rows, or of strips of them, padded with zeros: floats, or, where the convolution reads them, packed4
// rows (DepthwisePacked4). A pixel holds all channels of the map, or one panel of them.
class DepthwiseWindow {
 public:
  // With max_bytes, output rows are worked in strips, so narrow that the ring takes about so many bytes; 0: whole rows.
  DepthwiseWindow(const KernelSet& set, const PackedDepthwise& packed, const ConvShape& s, int64_t channels,
                  int64_t max_bytes = 0);
  int64_t strips() const { return (s_.out_w + columns_ - 1) / columns_; }
  struct Strip {
    int64_t x, width;        // output columns
    int64_t first, columns;  // columns of the map that they read
    int64_t at;              // where they begin in the ring's rows
  };
  Strip strip(int64_t i) const;

  int64_t bytes() const { return (rows_ / (packed4_ ? 4 : 1) * row_ + packed_.panel + read_ahead()) * 4; }
  int64_t pixel_stride() const { return pixel_; }  // in elements
  void clear(char* scratch) const;                 // before the first row

  // Whether run() writes this storage type itself, without a pass of conversion after it.
  bool writes(StorageType storage) const { return packed4_ || storage == StorageType::f32 || storage == StorageType::bf16; }

  // The place of a strip's columns of an input row: `floats`, or byte `byte` of the elements of `packed4`.
  struct Row {
    float* floats;
    uint32_t* packed4;
    int byte;
  };
  // The row before the first that output row y reads: what advance() takes as `have` when the ring is empty.
  int64_t before(int64_t y) const { return top(y) - 1; }
  // Fills the ring with the rows after `have` up to the last that output row y reads: put(row, Row) for rows of the map, zeros
  // for rows outside it.
  template <class Put>
  void advance(char* scratch, const Strip& strip, int64_t y, int64_t& have, Put put) const {
    const int64_t last = top(y) + int64_t{s_.kernel_h - 1} * s_.dilation_h;
    for (int64_t row = std::max(have + 1, top(y)); row <= last; ++row) {
      const Row to = place(scratch, strip, row);
      if (row < 0 || row >= s_.in_h)
        zero(strip, to);
      else
        put(row, to);
    }
    have = std::max(have, last);
  }

  // The place of a strip's results: its pixel x at element x * stride of `out`. `quant` is of q8 results.
  struct Results {
    void* out;
    int64_t stride;
    StorageType storage = StorageType::f32;
    QuantizeParams quant;
    float fp16_scale = 1;
    float* sums = nullptr;
  };
  // Straight into `out`, from channel `first` of `pixel` on.
  static Results into(const ResultRows& out, const RunContext& context, int64_t pixel, int64_t first) {
    return {out.at(context, pixel, first), out.channels(), out.storage(), out.params(first), out.fp16_scale(context)};
  }
  // Computes a strip of output row y of panel p; the panel's first channel is channel `channel` of the ring's pixels.
  void run(const char* scratch, const Strip& strip, int64_t y, int64_t p, int64_t channel, Act act, const Results& results) const;

 private:
  int64_t top(int64_t y) const { return y * s_.stride_h - s_.pad_top; }
  // The slot of a row in the ring; a packed4 ring holds 4 or 8 rows.
  int64_t slot(int64_t row) const { return packed4_ ? row & (rows_ - 1) : (row % rows_ + rows_) % rows_; }
  int64_t columns_read(int64_t width) const { return (width - 1) * s_.stride_w + s_.window_w(); }
  int64_t read_ahead() const { return int64_t{kDepthwiseReadAhead} * s_.stride_w * pixel_; }  // behind the last row
  Row place(char* scratch, const Strip& strip, int64_t row) const;
  void zero(const Strip& strip, const Row& row) const;

  const KernelSet& set_;
  const PackedDepthwise& packed_;
  ConvShape s_;
  bool packed4_;
  int64_t rows_, pixel_, columns_, row_;  // rows of the ring; elements of a pixel; output columns of a strip; elements of a row
  uint32_t zero_;                         // four quantized zeros
};

}  // namespace cytodet::exec
