#include "exec/steps/depthwise_window.h"

#include <algorithm>

namespace cytodet::exec {

DepthwiseWindow::DepthwiseWindow(const KernelSet& set, const PackedDepthwise& packed, const ConvShape& s, int64_t channels,
                                 int64_t max_bytes)
    : set_(set),
      packed_(packed),
      s_(s),
      packed4_(packed.packed4()),
      rows_(packed4_ ? 4 * packed.quads() : s.window_h()),
      pixel_(packed4_ ? (channels + packed.panel - 1) / packed.panel * packed.panel : channels),
      columns_(s.out_w),
      zero_(packed4_ ? 0x01010101u * static_cast<uint32_t>(-packed.input.qmin) : 0) {
  if (max_bytes) {
    // Columns that two strips share are computed twice, so strips are at least 24 times as wide as what they share.
    const int64_t column_bytes = rows_ / (packed4_ ? 4 : 1) * pixel_ * 4,
                  shared = std::max<int64_t>(0, columns_read(1) - s.stride_w);
    const int64_t max_columns = std::max(max_bytes / column_bytes / s.stride_w, 24 * shared / s.stride_w);
    const int64_t strips = std::max<int64_t>(1, (s.out_w + max_columns / 2) / std::max<int64_t>(1, max_columns));
    columns_ = std::min(s.out_w, ((s.out_w + strips - 1) / strips + 7) / 8 * 8);
  }
  row_ = std::max(columns_read(columns_), strips() > 1 ? 0 : s.pad_left + s.in_w) * pixel_;
}

DepthwiseWindow::Strip DepthwiseWindow::strip(int64_t i) const {
  if (strips() == 1) return {0, s_.out_w, 0, s_.in_w, s_.pad_left};
  Strip strip;
  strip.x = i * columns_;
  strip.width = std::min(columns_, s_.out_w - strip.x);
  const int64_t left = strip.x * s_.stride_w - s_.pad_left;
  strip.first = std::clamp<int64_t>(left, 0, s_.in_w);
  strip.columns = std::clamp<int64_t>(left + columns_read(strip.width), strip.first, s_.in_w) - strip.first;
  strip.at = strip.first - left;
  return strip;
}

void DepthwiseWindow::clear(char* scratch) const {
  std::fill_n(reinterpret_cast<uint32_t*>(scratch), bytes() / 4, zero_);  // the float 0 has no bits set
}

DepthwiseWindow::Row DepthwiseWindow::place(char* scratch, const Strip& strip, int64_t row) const {
  const int64_t at = slot(row), first = strip.at * pixel_;
  if (!packed4_) return {reinterpret_cast<float*>(scratch) + at * row_ + first, nullptr, 0};
  return {nullptr, reinterpret_cast<uint32_t*>(scratch) + at / 4 * row_ + first, static_cast<int>(at % 4)};
}

void DepthwiseWindow::zero(const Strip& strip, const Row& row) const {
  const int64_t values = strip.columns * pixel_;
  if (packed4_)
    set_.pack4_fill(row.packed4, values, row.byte, static_cast<uint8_t>(zero_));
  else
    std::fill_n(row.floats, values, 0.0f);
}

void DepthwiseWindow::run(const char* scratch, const Strip& strip, int64_t y, int64_t p, int64_t channel, Act act,
                          const Results& results) const {
  if (packed4_) {
    DepthwisePacked4 job = packed_.packed4_job(s_, p, act);
    job.packed4 = reinterpret_cast<const uint32_t*>(scratch) + channel;
    job.quad_stride = row_;
    job.pixel_stride = pixel_;
    job.first_row = static_cast<int>(slot(top(y)));
    job.storage = results.storage;
    job.quant = results.quant;
    job.fp16_scale = results.fp16_scale;
    job.out = results.out;
    job.out_stride = results.stride;
    job.width = strip.width;
    job.sums = results.sums;
    set_.depthwise_packed4(job);
    return;
  }
  const float* rows[kMaxDepthwiseRows];
  for (int k = 0; k < s_.kernel_h; ++k)
    rows[k] = reinterpret_cast<const float*>(scratch) + slot(top(y) + int64_t{k} * s_.dilation_h) * row_ + channel;
  DepthwiseRow job = packed_.job(s_, p, act);
  job.rows = rows;
  job.pixel_stride = pixel_;
  job.storage = results.storage;
  job.out = results.out;
  job.out_stride = results.stride;
  job.width = strip.width;
  job.sums = results.sums;
  set_.depthwise_row(job);
}

}  // namespace cytodet::exec
