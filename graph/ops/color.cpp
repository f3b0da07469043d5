// Colour spaces, and the resizes that read more than the nearest four pixels.
#include "graph/ops/eval_helpers.h"

namespace cytodet::graph::ops {
namespace {

using Pixel = std::array<double, 3>;

Pixel to_hsv(const Pixel& p) {
  const double v = std::max({p[0], p[1], p[2]}), range = v - std::min({p[0], p[1], p[2]}), norm = range > 0 ? 1 / (6 * range) : 0;
  double h = p[0] == v ? norm * (p[1] - p[2]) : p[1] == v ? norm * (p[2] - p[0]) + 1.0 / 3 : norm * (p[0] - p[1]) + 2.0 / 3;
  if (!(range > 0)) h = 0;
  return {h < 0 ? h + 1 : h, v > 0 ? range / v : 0, v};
}
Pixel to_rgb(const Pixel& p) {
  const double h = p[0] * 6, s = p[1], v = p[2];
  auto channel = [&](double d) { return (1 - s + s * std::clamp(d, 0.0, 1.0)) * v; };
  return {channel(std::abs(h - 3) - 1), channel(2 - std::abs(h - 2)), channel(2 - std::abs(h - 4))};
}

template <class F>
void each_pixel(OpCall& call, F f) {
  const Tensor& x = input(call, 0);
  need(x.rank() >= 1 && x.dim(-1) == 3, "needs three channels, not " + to_string(x.shape()));
  Tensor out(x.dtype(), x.shape());
  on_floats(x.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < x.size(); i += 3) {
      Pixel p;
      for (int64_t k = 0; k < 3; ++k) p[static_cast<size_t>(k)] = widen(x.data<T>()[i + k]);
      p = f(p);
      for (int64_t k = 0; k < 3; ++k) out.data<T>()[i + k] = static_cast<T>(static_cast<wide_t<T>>(p[static_cast<size_t>(k)]));
    }
  });
  call.out = {out};
}
double scalar_of(const OpCall& call, size_t i) {
  need(input(call, i).size() == 1, "needs a scalar as input " + std::to_string(i));
  return input(call, i).as_double();
}
void eval_adjust_hue(OpCall& call) {
  const double delta = scalar_of(call, 1);
  need(std::isfinite(delta), "delta must be finite");
  each_pixel(call, [delta](Pixel p) {
    p = to_hsv(p);
    p[0] += delta;
    p[0] -= std::floor(p[0]);
    return to_rgb(p);
  });
}
void eval_adjust_saturation(OpCall& call) {
  const double scale = scalar_of(call, 1);
  each_pixel(call, [scale](Pixel p) {
    p = to_hsv(p);
    p[1] = std::min(1.0, std::max(0.0, p[1] * scale));
    return to_rgb(p);
  });
}
void eval_adjust_contrast(OpCall& call) {
  const Tensor& x = input(call, 0);
  need(x.rank() >= 3, "needs images");
  const double factor = scalar_of(call, 1);
  const int64_t c = x.dim(-1), plane = x.dim(-2) * x.dim(-3), images = plane > 0 && c > 0 ? x.size() / (plane * c) : 0;
  Tensor out(x.dtype(), x.shape());
  on_floats(x.dtype(), [&]<class T>() {
    for (int64_t n = 0; n < images; ++n)
      for (int64_t k = 0; k < c; ++k) {
        double mean = 0;
        for (int64_t p = 0; p < plane; ++p) mean += widen(x.data<T>()[(n * plane + p) * c + k]);
        mean /= static_cast<double>(plane);
        for (int64_t p = 0; p < plane; ++p) {
          const int64_t i = (n * plane + p) * c + k;
          out.data<T>()[i] = static_cast<T>(static_cast<wide_t<T>>((widen(x.data<T>()[i]) - mean) * factor + mean));
        }
      }
  });
  call.out = {out};
}

// Source positions and their shares, for every output position of one dimension.
struct Mix {
  std::vector<int64_t> from;
  std::vector<float> share;
};
float scale_of(const Node& n, int64_t in, int64_t out) {
  return n.attr_or("align_corners", false) && out > 1 ? static_cast<float>(in - 1) / static_cast<float>(out - 1)
                                                      : static_cast<float>(in) / static_cast<float>(out);
}

// Cubic convolution in TensorFlow's form: shares from a table of 1024 steps; a = -0.5 with half pixel centres (border shares
// dropped and the rest rescaled), otherwise a = -0.75 with the border repeated.
std::vector<Mix> cubic(const Node& n, int64_t in, int64_t out) {
  const bool half = n.attr_or("half_pixel_centers", false);
  const float scale = scale_of(n, in, out), a = half ? -0.5f : -0.75f;
  auto near = [a](float x) { return ((a + 2) * x - (a + 3)) * x * x + 1; };
  auto far = [a](float x) { return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a; };
  std::vector<Mix> mixes;
  for (int64_t i = 0; i < out; ++i) {
    const float at = half ? (static_cast<float>(i) + 0.5f) * scale - 0.5f : static_cast<float>(i) * scale, low = std::floor(at);
    const float step = static_cast<float>(std::lrint((at - low) * 1024)) / 1024;
    Mix m{{}, {far(1 + step), near(step), near(1 - step), far(2 - step)}};
    float total = 0;
    for (int64_t k = 0; k < 4; ++k) {
      const int64_t wanted = static_cast<int64_t>(low) - 1 + k;
      m.from.push_back(std::clamp<int64_t>(wanted, 0, in - 1));
      if (half && m.from.back() != wanted) m.share[static_cast<size_t>(k)] = 0;
      total += m.share[static_cast<size_t>(k)];
    }
    if (half && std::abs(total) >= 1000 * std::numeric_limits<float>::min())
      for (float& s : m.share) s /= total;
    mixes.push_back(m);
  }
  return mixes;
}
// Every source pixel by the part of it that the output pixel covers.
std::vector<Mix> area(const Node& n, int64_t in, int64_t out) {
  const float scale = scale_of(n, in, out);
  std::vector<Mix> mixes;
  int64_t total = 0;
  for (int64_t i = 0; i < out; ++i) {
    const float begin = static_cast<float>(i) * scale, end = static_cast<float>(i + 1) * scale;
    Mix m;
    if (scale == 0) m = {{0}, {1}};  // one source pixel, aligned corners
    for (int64_t k = static_cast<int64_t>(std::floor(begin)); k < static_cast<int64_t>(std::ceil(end)); ++k) {
      const float f = static_cast<float>(k), covered = f < begin     ? (f + 1 > end ? scale : f + 1 - begin)
                                                       : f + 1 > end ? end - f
                                                                     : 1.0f;
      m.from.push_back(std::clamp<int64_t>(k, 0, in - 1));
      m.share.push_back(covered / scale);
    }
    total += static_cast<int64_t>(m.from.size());
    need(total < int64_t{1} << 28, "the resize is too large");
    mixes.push_back(std::move(m));
  }
  return mixes;
}

void eval_image_resize(OpCall& call) {
  const Tensor &x = input(call, 0), &size = input(call, 1);
  need(x.rank() == 4 && size.size() == 2, "needs a map and a size of two numbers");
  const int64_t h = x.dim(1), w = x.dim(2), c = x.dim(3), oh = size.as_int(0), ow = size.as_int(1);
  need(oh > 0 && ow > 0 && h > 0 && w > 0, "sizes must be positive");
  Tensor out(DType::f32, {x.dim(0), oh, ow, c});
  if (out.size() == 0) {
    call.out = {out};
    return;
  }
  auto* mixes = call.node.op == "ResizeArea" ? area : cubic;
  const std::vector<Mix> ys = mixes(call.node, h, oh), xs = mixes(call.node, w, ow);
  on_numeric(x.dtype(), [&]<class T>() {
    const T* data = x.data<T>();
    float* to = out.data<float>();
    for (int64_t n = 0; n < x.dim(0); ++n)
      for (const Mix& y : ys)
        for (const Mix& m : xs)
          for (int64_t k = 0; k < c; ++k) {
            float sum = 0;
            for (size_t i = 0; i < y.from.size(); ++i) {
              float row = 0;
              for (size_t j = 0; j < m.from.size(); ++j)
                row += m.share[j] * static_cast<float>(widen(data[((n * h + y.from[i]) * w + m.from[j]) * c + k]));
              sum += y.share[i] * row;
            }
            *to++ = sum;
          }
  });
  call.out = {out};
}

}  // namespace

const std::vector<Op>& color_ops() {
  static const std::vector<Op> rows = {
      {"AdjustContrastv2", infer_same, eval_adjust_contrast},
      {"AdjustHue", infer_same, eval_adjust_hue},
      {"AdjustSaturation", infer_same, eval_adjust_saturation},
      {"HSVToRGB", infer_same, [](OpCall& c) { each_pixel(c, to_rgb); }},
      {"RGBToHSV", infer_same, [](OpCall& c) { each_pixel(c, to_hsv); }},
      {"ResizeArea", infer_resize_float, eval_image_resize},
      {"ResizeBicubic", infer_resize_float, eval_image_resize},
  };
  return rows;
}

}  // namespace cytodet::graph::ops
