// Patches (im2col): the input pixels of every output pixel of a convolution, as rows of a matrix.
#pragma once

#include "exec/steps/row_steps.h"

namespace cytodet::exec {

// Rows of an image of elements T: pixel (x, y) lies at rows + (y - first) * stride + x * in_c.
template <class T>
struct ImageRows {
  const T* rows;
  const T* end;
  int64_t first, stride;
  T zero;  // outside the image
};

// out[y1 - y0][out_w][patch] of output rows [y0, y1): the kernel_h * kernel_w * in_c elements of each window, then zero bytes up
// to `patch` elements. T: float, uint16_t (q8 values in 16 bits, bf16) or uint8_t (q8 values).
template <class T>
void fill_patches(const ConvShape& s, const ImageRows<T>& image, int64_t y0, int64_t y1, int64_t patch, T* out);
// out[y1 - y0][out_w][kernel_h * kernel_w * in_c] of output rows [y0, y1) of the float image in[in_h][in_w][in_c].
void fill_patches(const ConvShape& s, const float* in, int64_t y0, int64_t y1, float* out);

}  // namespace cytodet::exec
