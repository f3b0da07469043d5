// Steps that work through feature maps row by row, whatever their storage type (row_io.h). All tensors NHWC.
#pragma once

#include <memory>
#include <vector>

#include "exec/steps/row_io.h"

namespace cytodet::exec {

// Geometry of a convolution or a pooling.
struct ConvShape {
  int64_t batch = 1, in_h = 1, in_w = 1, in_c = 1;
  int64_t out_h = 1, out_w = 1, out_c = 1;
  int kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;

  bool pointwise() const {
    return kernel_h == 1 && kernel_w == 1 && stride_h == 1 && stride_w == 1 && !pad_top && !pad_left && !pad_bottom && !pad_right;
  }
  int64_t taps() const { return int64_t{kernel_h} * kernel_w; }
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

// The largest values, or the means, of windows: kernels "max_pool" and "avg_pool".
std::unique_ptr<Step> make_pool(const ConvShape& shape, bool average, const StepInput& input, const StepOutput& output);

// The mean over height and width: kernel "mean".
std::unique_ptr<Step> make_mean(const Shape& input_shape, const StepInput& input, const StepOutput& output);

// Bilinear interpolation between the pixels that `rows` [out_h] and `columns` [out_w] name: kernel "resize_bilinear".
std::unique_ptr<Step> make_bilinear(const Shape& input_shape, std::vector<BetweenPixels> rows, std::vector<BetweenPixels> columns,
                                    const StepInput& input, const StepOutput& output);

}  // namespace cytodet::exec
