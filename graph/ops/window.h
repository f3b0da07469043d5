// Sliding windows over maps: where each output reads. Maps are [batch, (depth,) height, width, channels]; a map without depth
// has depth 1. NCHW and NCDHW maps are transposed in and out.
#pragma once

#include "graph/ops/eval_helpers.h"

namespace cytodet::graph::ops {

// One spatial dimension; in and out are -1 when unknown (inference only).
struct Side {
  int64_t in = 1, kernel = 1, stride = 1, dilation = 1, out = 1, before = 0;
};

struct Windows {
  std::array<Side, 3> side;  // depth, height, width
  int64_t in() const { return side[0].in * side[1].in * side[2].in; }
  int64_t out() const { return side[0].out * side[1].out * side[2].out; }
  int64_t taps() const { return side[0].kernel * side[1].kernel * side[2].kernel; }
  // [n, spatial..., c] with `rank` dimensions.
  Shape out_shape(int64_t n, int64_t c, size_t rank) const;
};

// Names of the attributes that differ between ops; null: all 1.
struct WindowAttrs {
  const char* strides = "strides";
  const char* dilations = "dilations";
};

bool channels_first(const Node& n);  // data_format NCHW or NCDHW; throws Error on others than those and NHWC, NDHWC
Tensor to_last(const Tensor& x, bool first);
Tensor from_last(const Tensor& x, bool first);

// The spatial entries of a list attribute over all `rank` dimensions, or ones when the attribute is missing.
std::vector<int64_t> spatial_attr(const Node& n, const char* name, size_t rank);
// `in` and `kernel` are spatial sizes (2 or 3 of them). Throws Error on sizes, strides, dilations out of range and unknown
// padding.
Windows windows(const Node& n, const Shape& in, const Shape& kernel, const WindowAttrs& attrs);
Windows windows_with(const Node& n, const Shape& in, const Shape& kernel, const std::vector<int64_t>& strides,
                     const std::vector<int64_t>& dilations);
inline Shape spatial(const Tensor& last) { return {last.shape().begin() + 1, last.shape().end() - 1}; }

// Throws Error unless the tensor is a map with the rank of the op (4, or 5 for ops with 3D in their name).
void check_map(const Node& n, const Tensor& x);

// f(flat output position, flat tap, flat input position) for every tap inside the map, output by output.
template <class F>
void for_taps(const Windows& w, F f) {
  const auto& [d, h, x] = w.side;
  int64_t out = 0;
  for (int64_t od = 0; od < d.out; ++od)
    for (int64_t oh = 0; oh < h.out; ++oh)
      for (int64_t ox = 0; ox < x.out; ++ox, ++out)
        for (int64_t kd = 0; kd < d.kernel; ++kd) {
          const int64_t id = od * d.stride - d.before + kd * d.dilation;
          if (id < 0 || id >= d.in) continue;
          for (int64_t kh = 0; kh < h.kernel; ++kh) {
            const int64_t ih = oh * h.stride - h.before + kh * h.dilation;
            if (ih < 0 || ih >= h.in) continue;
            for (int64_t kx = 0; kx < x.kernel; ++kx) {
              const int64_t ix = ox * x.stride - x.before + kx * x.dilation;
              if (ix >= 0 && ix < x.in) f(out, (kd * h.kernel + kh) * x.kernel + kx, (id * h.in + ih) * x.in + ix);
            }
          }
        }
}

// Out 0: [n, spatial..., channels] (channels -1: those of the input) in the node's format, as far as known. `kernel` may be
// empty.
void infer_windows(InferCall& call, const Shape& kernel, int64_t channels, const WindowAttrs& attrs);

}  // namespace cytodet::graph::ops
