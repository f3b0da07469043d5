// Steps that work through feature maps row by row, whatever their storage type (row_io.h). All tensors NHWC.
#pragma once

#include <memory>
#include <vector>

#include "exec/steps/row_io.h"

namespace cytodet::exec {

// Geometry of a convolution or a pooling.
// The third dimension of a window that moves through volumes, [batch, in, in_h, in_w, in_c]; that of maps has one plane.
struct ConvDepth {
  int64_t in = 1, out = 1;
  int kernel = 1, stride = 1, dilation = 1, pad_front = 0, pad_back = 0;

  // Each output plane comes from the input plane of its number alone.
  bool is_flat() const { return kernel == 1 && stride == 1 && pad_front == 0 && pad_back == 0; }
  // The input plane that tap `tap` of output plane `plane` reads; it may lie outside of [0, in).
  int64_t plane(int64_t out_plane, int64_t tap) const { return out_plane * stride - pad_front + tap * dilation; }
};

struct ConvShape {
  int64_t batch = 1, in_h = 1, in_w = 1, in_c = 1;
  int64_t out_h = 1, out_w = 1, out_c = 1;
  int kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  ConvDepth depth;

  bool is_volume() const { return !depth.is_flat(); }
  bool pointwise() const {
    return kernel_h == 1 && kernel_w == 1 && stride_h == 1 && stride_w == 1 && !pad_top && !pad_left && !pad_bottom &&
           !pad_right && !is_volume();
  }
  int64_t taps() const { return int64_t{depth.kernel} * kernel_h * kernel_w; }
  int64_t in_planes() const { return batch * depth.in; }
  int64_t out_planes() const { return batch * depth.out; }
  // Rows and columns of the map from the first to the last tap of a window; rows that so many rows of the result read.
  int64_t window_h() const { return int64_t{kernel_h - 1} * dilation_h + 1; }
  int64_t window_w() const { return int64_t{kernel_w - 1} * dilation_w + 1; }
  int64_t rows_read(int64_t out_rows) const { return (out_rows - 1) * stride_h + window_h(); }
};

// One term of a weighted sum: a feature map that is `repeat` times smaller in height and width (nearest upsampling).
struct SumTerm {
  StepInput input;
  float weight = 1;
  int repeat = 1;
};

// The names of kernels that fake-quantize an input begin with "int8_".

// act(sum of weight * term), 1 to 4 terms, each of `shape` after upsampling: kernel "weighted_sum"; of one term that is not
// upsampled "activation".
std::unique_ptr<Step> make_weighted_sum(const Shape& shape, const std::vector<SumTerm>& terms, Act act, const StepOutput& output);

// a * b of `shape`: kernel "product"; with b one pixel per image, [batch, 1, 1, channels]: kernel "gate".
std::unique_ptr<Step> make_product(const Shape& shape, const StepInput& a, const StepInput& b, bool gate,
                                   const StepOutput& output);

// The largest values, or the means, of windows, in volumes too: kernels "max_pool" and "avg_pool". A window has at most
// kMaxPoolRows rows of pixels.
constexpr int64_t kMaxPoolRows = 64;
std::unique_ptr<Step> make_pool(const ConvShape& shape, bool average, const StepInput& input, const StepOutput& output);

// The mean over height and width: kernel "mean".
std::unique_ptr<Step> make_mean(const Shape& input_shape, const StepInput& input, const StepOutput& output);

// Bilinear interpolation between the pixels that `rows` [out_h] and `columns` [out_w] name: kernel "resize_bilinear".
std::unique_ptr<Step> make_bilinear(const Shape& input_shape, std::vector<BetweenPixels> rows, std::vector<BetweenPixels> columns,
                                    const StepInput& input, const StepOutput& output);

}  // namespace cytodet::exec
