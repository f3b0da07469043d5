// The rows that the windows of a depthwise convolution still need, in scratch.
#pragma once

#include "exec/steps/packed_conv.h"

namespace cytodet::exec {

// A ring of rows, or of strips of them, padded with zeros: floats, or, where the convolution takes them, words of codes
// (DepthwiseWords). A pixel holds all channels of the map, or a panel of them.
class DepthwiseWindow {
 public:
  // Output columns that are worked at once; a ring of `most_bytes` (0: any) decides how many.
  DepthwiseWindow(const KernelSet& set, const PackedDepthwise& packed, const ConvShape& s, int64_t channels,
                  int64_t most_bytes = 0);
  int64_t strips() const { return (s_.out_w + columns_ - 1) / columns_; }
  struct Strip {
    int64_t x, width;        // output columns
    int64_t first, columns;  // columns of the map that they read
    int64_t at;              // where those begin in the ring's rows
  };
  Strip strip(int64_t i) const;

  int64_t bytes() const { return rows_ / (words_ ? 4 : 1) * row_ * 4 + packed_.panel * 4; }
  int64_t pixel_stride() const { return pixel_; }  // in numbers
  void clear(char* scratch) const;                 // before the first row

  // Whether results come in a form at once.
  bool makes(Form form) const { return words_ || form == Form::floats || form == Form::bf16; }

  // Where a strip's columns of a row of the map go; of words, byte `byte`.
  struct Row {
    float* floats;
    uint32_t* words;
    int byte;
  };
  // The first row that output row y reads, less one: nothing is there yet.
  int64_t before(int64_t y) const { return top(y) - 1; }
  // Rows after `have` up to the last that output row y reads: put(row, Row) for those of the map, zeros outside.
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

  // Where a strip's results go: its pixel x at number x * stride of `out`; `rule` of codes. Of windows of floats only
  // floats and bfloat16 numbers.
  struct Results {
    void* out;
    int64_t stride;
    Form form = Form::floats;
    CodeRule rule;
    float unit = 1;  // of halves
    float* sums = nullptr;
  };
  // Straight into `out`, from channel `first` of `pixel` on.
  static Results into(const ResultRows& out, const RunContext& context, int64_t pixel, int64_t first) {
    return {out.at(context, pixel, first), out.channels(), out.form(), out.rule(first), out.unit(context)};
  }
  // A strip of output row y of panel p, the first of whose channels is `channel` of a pixel.
  void run(const char* scratch, const Strip& strip, int64_t y, int64_t p, int64_t channel, Act act, const Results& results) const;

 private:
  int64_t top(int64_t y) const { return y * s_.stride_h - s_.pad_top; }
  // A ring of words holds 4 or 8 rows.
  int64_t turn(int64_t row) const { return words_ ? row & (rows_ - 1) : (row % rows_ + rows_) % rows_; }
  int64_t columns_read(int64_t width) const { return (width - 1) * s_.stride_w + int64_t{s_.kernel_w - 1} * s_.dilation_w + 1; }
  Row place(char* scratch, const Strip& strip, int64_t row) const;
  void zero(const Strip& strip, const Row& row) const;

  const KernelSet& set_;
  const PackedDepthwise& packed_;
  ConvShape s_;
  bool words_;
  int64_t rows_, pixel_, columns_, row_;  // rows of the ring; numbers of a pixel; output columns of a strip; numbers of a row
  uint32_t zero_;                         // word of zeros
};

}  // namespace cytodet::exec
