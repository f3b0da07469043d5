#include "exec/steps/patches.h"

#include <algorithm>
#include <cstring>

namespace cytodet::exec {
namespace {

// One patch of `patch` elements; those past the window are zero bytes.
template <class T>
void fill_patch(const ConvShape& s, const ImageRows<T>& image, int64_t oy, int64_t ox, int64_t patch, T* to) {
  const int64_t tap = s.in_c;
  for (int ky = 0; ky < s.kernel_h; ++ky) {
    const int64_t y = oy * s.stride_h - s.pad_top + int64_t{ky} * s.dilation_h;
    const T* row = y >= 0 && y < s.in_h ? image.rows + (y - image.first) * image.stride : nullptr;
    for (int kx = 0; kx < s.kernel_w; ++kx, to += tap) {
      const int64_t x = ox * s.stride_w - s.pad_left + int64_t{kx} * s.dilation_w;
      if (row && x >= 0 && x < s.in_w)
        std::memcpy(to, row + x * tap, static_cast<size_t>(tap) * sizeof(T));
      else
        std::fill_n(to, tap, image.zero);
    }
  }
  std::fill_n(to, patch - s.taps() * tap, T{0});
}

// `count` patches of windows that lie inside the image: they begin `step` elements apart and have `rows` rows, `stride` apart, of
// `row` elements. kBytes, which are at least the bytes of a row, are copied at once: what is too much is overwritten by the next
// row.
template <int kBytes, class T>
void copy_patches(const T* from, int64_t step, int64_t rows, int64_t stride, int64_t row, int64_t count, T* out, int64_t patch) {
  for (int64_t i = 0; i < count; ++i, from += step, out += patch) {
    const T* in = from;
    T* to = out;
    for (int64_t r = 0; r < rows; ++r, in += stride, to += row) std::memcpy(to, in, kBytes);
    if (to < out + patch) std::memset(to, 0, 4);  // patches are of whole groups of 4 bytes
  }
}

// Patches of output row oy.
template <class T>
void fill_patch_row(const ConvShape& s, const ImageRows<T>& image, int64_t oy, int64_t patch, T* out, const T* out_end) {
  constexpr int kLargest = 64;
  const int64_t row = s.kernel_w * s.in_c, bytes = row * static_cast<int64_t>(sizeof(T)), block = bytes <= 16 ? 16 : kLargest;
  const int64_t block_elements = block / static_cast<int64_t>(sizeof(T));
  const int64_t y = oy * s.stride_h - s.pad_top, stride = image.stride * s.dilation_h;
  int64_t x = std::min(s.out_w, (s.pad_left + s.stride_w - 1) / int64_t{s.stride_w});  // the first window inside the image
  for (int64_t ox = 0; ox < x; ++ox) fill_patch(s, image, oy, ox, patch, out + ox * patch);
  if (s.dilation_w == 1 && bytes <= kLargest && y >= 0 && y + int64_t{s.kernel_h - 1} * s.dilation_h < s.in_h) {
    const int64_t step = int64_t{s.stride_w} * s.in_c;
    const int64_t last_zero = s.kernel_h * row + 4 / static_cast<int64_t>(sizeof(T));
    const int64_t ahead =
        std::max((s.kernel_h - 1) * row + block_elements, last_zero);  // what copy_patches writes from a patch on
    const T* from = image.rows + (y - image.first) * image.stride + (x * s.stride_w - s.pad_left) * s.in_c;
    T* to = out + x * patch;
    const int64_t readable = image.end - from - (s.kernel_h - 1) * stride - block_elements, writable = out_end - to - ahead;
    const int64_t last = s.in_w + s.pad_left - s.kernel_w;  // the last window inside the image begins at most here
    const int64_t inside = last < 0 ? 0 : last / s.stride_w + 1;
    int64_t count = std::min(s.out_w, inside) - x;
    count = readable < 0 || writable < 0 ? 0 : std::min({count, readable / step + 1, writable / patch + 1});
    if (count > 0) {
      (block == 16 ? copy_patches<16, T> : copy_patches<kLargest, T>)(from, step, s.kernel_h, stride, row, count, to, patch);
      x += count;
    }
  }
  for (; x < s.out_w; ++x) fill_patch(s, image, oy, x, patch, out + x * patch);
}

}  // namespace

template <class T>
void fill_patches(const ConvShape& s, const ImageRows<T>& image, int64_t y0, int64_t y1, int64_t patch, T* out) {
  const T* end = out + (y1 - y0) * s.out_w * patch;
  for (int64_t y = y0; y < y1; ++y) fill_patch_row(s, image, y, patch, out + (y - y0) * s.out_w * patch, end);
}
template void fill_patches(const ConvShape&, const ImageRows<uint8_t>&, int64_t, int64_t, int64_t, uint8_t*);
template void fill_patches(const ConvShape&, const ImageRows<uint16_t>&, int64_t, int64_t, int64_t, uint16_t*);

void fill_patches(const ConvShape& s, const float* in, int64_t y0, int64_t y1, float* out) {
  const int64_t row = s.in_w * s.in_c;
  fill_patches(s, ImageRows<float>{in, in + s.in_h * row, 0, row, 0}, y0, y1, s.taps() * s.in_c, out);
}

}  // namespace cytodet::exec
