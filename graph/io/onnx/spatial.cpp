#include "graph/io/onnx/spatial.h"

#include <algorithm>

namespace cytodet::graph::onnx {
namespace {

constexpr int64_t kLargest = 1 << 20;

std::vector<int64_t> list_of(const Call& c, const char* name, size_t count, int64_t fallback, int64_t min) {
  std::vector<int64_t> list = c.integers(name);
  if (list.empty()) list.assign(count, fallback);
  if (list.size() != count)
    refuse(std::string(name) + " has " + std::to_string(list.size()) + " numbers, not " + std::to_string(count),
           "the model is damaged");
  for (int64_t v : list)
    if (v < min || v >= kLargest) refuse(std::string(name) + " has " + std::to_string(v), "it is out of range");
  return list;
}

int64_t same_total(const Window& w) {
  return std::max<int64_t>(0, ((w.in + w.stride - 1) / w.stride - 1) * w.stride + w.extent() - w.in);
}

bool is_same(const Window& w) {
  if (!w.pads() && w.extent() == 1) return true;
  if (w.in < 0) return w.stride == 1 && w.before == (w.extent() - 1) / 2 && w.before + w.after == w.extent() - 1;
  const int64_t total = same_total(w);
  return w.before == total / 2 && w.after == total - total / 2 && (w.out < 0 || w.out == (w.in + w.stride - 1) / w.stride);
}

}  // namespace

std::vector<Window> windows_of(const Call& c, const Shape& in, const Shape& kernel) {
  const size_t n = in.size();
  if (kernel.size() != n)
    refuse("has a window of " + std::to_string(kernel.size()) + " dimensions over a map of " + std::to_string(n),
           "the model is damaged");
  const std::vector<int64_t> strides = list_of(c, "strides", n, 1, 1), dilations = list_of(c, "dilations", n, 1, 1),
                             pads = list_of(c, "pads", 2 * n, 0, 0);
  const std::string automatic = c.text("auto_pad", "NOTSET");
  std::vector<Window> windows;
  for (size_t i = 0; i < n; ++i) {
    Window w{in[i], kernel[i], strides[i], dilations[i]};
    if (w.kernel < 1 || w.kernel >= kLargest) refuse("has a window of size " + std::to_string(w.kernel), "the model is damaged");
    if (automatic == "NOTSET" || automatic.empty()) {
      w.before = pads[i];
      w.after = pads[n + i];
    } else if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
      if (w.in < 0 && w.stride > 1)
        refuse("pads by auto_pad " + automatic + ", but the map's size is not known",
               "give the model's inputs sizes: --input NAME=1,3,640,640");
      const int64_t total = w.in < 0 ? w.extent() - 1 : same_total(w);
      w.before = automatic == "SAME_UPPER" ? total / 2 : total - total / 2;
      w.after = total - w.before;
    } else if (automatic != "VALID") {
      refuse("has auto_pad " + automatic, "known are NOTSET, SAME_UPPER, SAME_LOWER, VALID");
    }
    windows.push_back(w);
  }
  return windows;
}

void set_outputs(std::vector<Window>& windows, bool ceil_mode) {
  for (Window& w : windows) {
    if (w.in < 0) {
      if (ceil_mode && w.stride > 1)
        refuse("has ceil_mode, but the map's size is not known", "give the model's inputs sizes: --input NAME=1,3,640,640");
      continue;
    }
    const int64_t whole = w.in + w.before + w.after - w.extent();
    if (whole < 0) refuse("has a window larger than its map", "the model is damaged");
    w.out = (whole + (ceil_mode ? w.stride - 1 : 0)) / w.stride + 1;
    if (ceil_mode && (w.out - 1) * w.stride >= w.in + w.before) --w.out;
    w.after = std::max<int64_t>(0, (w.out - 1) * w.stride + w.extent() - w.in - w.before);
  }
}

bool are_same_pads(const std::vector<Window>& windows) { return std::all_of(windows.begin(), windows.end(), is_same); }
bool have_pads(const std::vector<Window>& windows) {
  return std::any_of(windows.begin(), windows.end(), [](const Window& w) { return w.pads(); });
}
bool are_dilated(const std::vector<Window>& windows) {
  return std::any_of(windows.begin(), windows.end(), [](const Window& w) { return w.dilation > 1 && w.kernel > 1; });
}

AttrList around(const std::vector<Window>& windows, int64_t Window::*member) {
  AttrList list;
  list.ints.push_back(1);
  for (const Window& w : windows) list.ints.push_back(w.*member);
  list.ints.push_back(1);
  return list;
}

void set_padding(AttrMap& attrs, const std::vector<Window>& windows) {
  if (!have_pads(windows)) {
    attrs.emplace("padding", "VALID");
  } else if (are_same_pads(windows)) {
    attrs.emplace("padding", "SAME");
  } else {
    AttrList list;
    list.ints = {0, 0};
    for (const Window& w : windows) list.ints.insert(list.ints.end(), {w.before, w.after});
    list.ints.insert(list.ints.end(), {0, 0});
    attrs.emplace("padding", "EXPLICIT");
    attrs.emplace("explicit_paddings", list);
  }
}

Value padded(Builder& b, Value x, const std::vector<Window>& windows, double fill) {
  if (!have_pads(windows)) return x;
  std::vector<int32_t> list = {0, 0};
  for (const Window& w : windows) list.insert(list.end(), {static_cast<int32_t>(w.before), static_cast<int32_t>(w.after)});
  list.insert(list.end(), {0, 0});
  const Value pads = b.constant(Tensor::from<int32_t>({static_cast<int64_t>(list.size() / 2), 2}, list));
  return fill == 0 ? b.add("Pad", {x, pads}) : b.add("PadV2", {x, pads, b.number(fill, x)});
}

Value as_plane(Builder& b, Value x) { return b.expand_dims(x, {2}); }
Value as_line(Builder& b, Value x) { return b.squeeze(x, {2}); }

}  // namespace cytodet::graph::onnx
