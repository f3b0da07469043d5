// Windows over maps as ONNX's attributes state them: kernel_shape, strides, dilations, pads, auto_pad, ceil_mode.
#pragma once

#include <string>
#include <vector>

#include "graph/io/onnx/call.h"

namespace cytodet::graph::onnx {

// One spatial dimension. in, out: -1 when not known; then pads are those stated.
struct Window {
  int64_t in = -1, kernel = 1, stride = 1, dilation = 1, before = 0, after = 0, out = -1;
  int64_t extent() const { return (kernel - 1) * dilation + 1; }
  bool pads() const { return before > 0 || after > 0; }
};

// `in`: spatial sizes of the map. Throws Error: lists of other lengths, numbers out of range, an auto_pad that needs a size that
// is not known, a padding below 0.
std::vector<Window> windows_of(const Call& c, const Shape& in, const Shape& kernel);
// Out and the padding after the map that the last window needs with ceil_mode: a window that would begin behind the map and its
// stated padding is left out. Throws Error where a size is not known that is needed.
void set_outputs(std::vector<Window>& windows, bool ceil_mode);

// Whether TensorFlow's padding SAME pads as the windows do, for the sizes that are known, or for all of them.
bool are_same_pads(const std::vector<Window>& windows);
bool have_pads(const std::vector<Window>& windows);
bool are_dilated(const std::vector<Window>& windows);

// {1, spatial..., 1}: an attribute of TensorFlow's ops on [n, ..., c].
AttrList around(const std::vector<Window>& windows, int64_t Window::*member);
// padding VALID, SAME or EXPLICIT (with explicit_paddings) of ops on [n, h, w, c].
void set_padding(AttrMap& attrs, const std::vector<Window>& windows);
// x [n, ..., c] with the windows' padding around, of `fill`, or zeros.
Value padded(Builder& b, Value x, const std::vector<Window>& windows, double fill = 0);

// A map with one spatial dimension gets another of size 1 before it, [n, c, 1, l], and loses it again.
Value as_plane(Builder& b, Value x);
Value as_line(Builder& b, Value x);

}  // namespace cytodet::graph::onnx
