// Dense convolutions that read their windows where they lie in the image, without copies of patches.
#pragma once

#include "exec/steps/conv_steps.h"

namespace cytodet::exec {

// Addresses of the windows of a band of output rows: in the image itself, or in a copy of the band's input rows with zeros
// around. Offsets and strides are in elements.
struct WindowLayout {
  // `copy`: of the elements as they are stored, there is no image.
  WindowLayout(const ConvShape& shape, int64_t element_bytes, bool copy);
  int64_t band_rows(int64_t out_rows) const;  // input rows of so many output rows
  // Elements of the copy of a band of so many output rows.
  int64_t band_size(int64_t out_rows) const { return copies ? band_rows(out_rows) * row_stride * shape.depth.kernel : 0; }
  // The copy holds the planes that the window of a volume reads one behind the other, each of the rows of so many output rows;
  // segments of all of them are listed. To be called once, also for a map.
  void stack_planes(int64_t max_out_rows);
  // Copies the input rows of the output rows of `out_plane` from y0 on; image_row(plane, y) gives those of the planes, [in_w,
  // in_c]. Planes are counted through all images.
  template <class T, class ImageRow>
  void copy_planes(ImageRow image_row, int64_t out_plane, int64_t y0, int64_t out_rows, T zero, T* band) const;
  template <class T, class ImageRow>
  void copy_band(ImageRow image_row, int64_t y0, int64_t out_rows, T zero, T* band) const;  // of one plane
  // The first elements of the windows of `out_rows` output rows, the first of which begins at `from`.
  template <class T>
  void windows(const T* from, int64_t out_rows, const void** rows) const {
    for (int64_t y = 0; y < out_rows; ++y)
      for (int64_t x = 0; x < shape.out_w; ++x) *rows++ = from + y * stride_h * row_stride + x * stride_w * pixel_stride;
  }

  ConvShape shape;
  bool copies;
  int64_t pixel_stride = 0, row_stride = 0, plane_stride = 0;
  int64_t skip_h = 1, skip_w = 1;    // a copy holds every skip_h-th row and every skip_w-th pixel of the image,
  int64_t stride_h, stride_w;        // and windows are so far apart there
  std::vector<RowSegment> segments;  // of a window, in the order of the weights
};

// Whether make_window_conv takes it: in float if it is not pointwise, or gives few results for each of many pixels, or its
// pixels, so far apart as they are, would share few sets of the first cache; in 8 bits if it is not pointwise and channels are
// groups of k16BitSafeRows, or few as those of an image (with VNNI). It does not multiply by a gate.
bool reads_windows(const DenseConv& conv);

// The step of make_dense_conv for these: kernels "window_gemm" and "int8_window_gemm".
std::unique_ptr<Step> make_window_conv(const DenseConv& conv, const ConvIo& io);

}  // namespace cytodet::exec
