// Resizing, cropping, box suppression, colour.
#include "graph/ir/crop_side.h"
#include "graph/ops/eval_helpers.h"

namespace cytodet::graph::ops {
namespace {

struct GridScale {
  float factor;
  bool half_pixel;
  float source(int64_t i) const {
    return half_pixel ? (static_cast<float>(i) + 0.5f) * factor - 0.5f : static_cast<float>(i) * factor;
  }
};
GridScale grid_scale_of(const Node& n, int64_t in, int64_t out) {
  bool corners = n.attr_or("align_corners", false), half = n.attr_or("half_pixel_centers", false);
  float f = corners && out > 1 ? static_cast<float>(in - 1) / static_cast<float>(out - 1)
                               : static_cast<float>(in) / static_cast<float>(out);
  return {f, half};
}
struct Sizes {
  int64_t n, h, w, c, out_h, out_w;
};
Sizes resize_sizes(const OpCall& call) {
  const Tensor &x = input(call, 0), &s = input(call, 1);
  need(x.rank() == 4 && s.size() == 2, "needs a map and a size of two numbers");
  Sizes z{x.dim(0), x.dim(1), x.dim(2), x.dim(3), s.as_int(0), s.as_int(1)};
  need(z.out_h > 0 && z.out_w > 0 && z.h > 0 && z.w > 0, "sizes must be positive");
  return z;
}
void infer_resize(InferCall& call, bool to_float) {
  call.out = {fact(to_float ? DType::f32 : call.in[0].dtype)};
  const Shape* s = known(call, 0);
  if (!s || s->size() != 4) return;
  Shape out{(*s)[0], -1, -1, (*s)[3]};
  if (call.in.size() > 1 && call.in[1].constant && call.in[1].constant->size() == 2) {
    out[1] = call.in[1].constant->as_int(0);
    out[2] = call.in[1].constant->as_int(1);
  }
  call.out[0].shape = out;
}

void eval_resize_nearest(OpCall& call) {
  Sizes z = resize_sizes(call);
  const Tensor& x = call.in[0];
  Tensor out(x.dtype(), {z.n, z.out_h, z.out_w, z.c});
  bool corners = call.node.attr_or("align_corners", false);
  auto pick = [&](const GridScale& s, int64_t i, int64_t size) {
    float at = s.half_pixel ? (static_cast<float>(i) + 0.5f) * s.factor : static_cast<float>(i) * s.factor;
    int64_t p = static_cast<int64_t>(corners ? std::round(at) : std::floor(at));
    return std::clamp<int64_t>(p, 0, size - 1);
  };
  GridScale sy = grid_scale_of(call.node, z.h, z.out_h), sx = grid_scale_of(call.node, z.w, z.out_w);
  for (int64_t n = 0; n < z.n; ++n)
    for (int64_t y = 0; y < z.out_h; ++y)
      for (int64_t xx = 0; xx < z.out_w; ++xx) {
        int64_t from = ((n * z.h + pick(sy, y, z.h)) * z.w + pick(sx, xx, z.w)) * z.c,
                to = ((n * z.out_h + y) * z.out_w + xx) * z.c;
        for (int64_t i = 0; i < z.c; ++i) copy_element(out, to + i, x, from + i);
      }
  call.out = {out};
}

ResizeTap tap_of(const GridScale& s, int64_t i, int64_t size) {
  float at = s.source(i), low = std::floor(at);
  return {std::max<int64_t>(0, static_cast<int64_t>(low)), std::min<int64_t>(size - 1, static_cast<int64_t>(std::ceil(at))),
          at - low};
}

void eval_resize_bilinear(OpCall& call) {
  Sizes z = resize_sizes(call);
  const Tensor& x = call.in[0];
  Tensor out(DType::f32, {z.n, z.out_h, z.out_w, z.c});
  GridScale sy = grid_scale_of(call.node, z.h, z.out_h), sx = grid_scale_of(call.node, z.w, z.out_w);
  on_numeric(x.dtype(), [&]<class T>() {
    for (int64_t n = 0; n < z.n; ++n)
      for (int64_t y = 0; y < z.out_h; ++y) {
        ResizeTap ty = tap_of(sy, y, z.h);
        for (int64_t xx = 0; xx < z.out_w; ++xx) {
          ResizeTap tx = tap_of(sx, xx, z.w);
          auto at = [&](int64_t yy, int64_t xi, int64_t i) {
            return static_cast<float>(widen(x.data<T>()[((n * z.h + yy) * z.w + xi) * z.c + i]));
          };
          for (int64_t i = 0; i < z.c; ++i) {
            float top = at(ty.low, tx.low, i) + (at(ty.low, tx.high, i) - at(ty.low, tx.low, i)) * tx.share;
            float bottom = at(ty.high, tx.low, i) + (at(ty.high, tx.high, i) - at(ty.high, tx.low, i)) * tx.share;
            out.data<float>()[((n * z.out_h + y) * z.out_w + xx) * z.c + i] = top + (bottom - top) * ty.share;
          }
        }
      }
  });
  call.out = {out};
}

void infer_crop_and_resize(InferCall& call) {
  int64_t h = -1, w = -1;
  if (call.in.size() > 3 && call.in[3].constant && call.in[3].constant->size() == 2)
    h = call.in[3].constant->as_int(0), w = call.in[3].constant->as_int(1);
  call.out = {fact(DType::f32, Shape{known_dim(call, 1, 0), h, w, known_dim(call, 0, 3)})};
}
template <class T>
void copy_pixel(const T* from, float* to, int64_t channels) {
  for (int64_t i = 0; i < channels; ++i) to[i] = static_cast<float>(widen(from[i]));
}

// Bilinear, of the four pixels around (y, x) of a map [.., width, channels].
template <class T>
void mix_pixels(const T* map, int64_t width, int64_t channels, float y, float x, float* to) {
  const auto row = [&](float at) { return map + static_cast<int64_t>(at) * width * channels; };
  const int64_t left = static_cast<int64_t>(std::floor(x)) * channels, right = static_cast<int64_t>(std::ceil(x)) * channels;
  const T *above = row(std::floor(y)), *below = row(std::ceil(y));
  const float dx = x - std::floor(x), dy = y - std::floor(y);
  for (int64_t i = 0; i < channels; ++i) {
    const auto value = [&](const T* pixels, int64_t at) { return static_cast<float>(widen(pixels[at + i])); };
    const float top = value(above, left) + (value(above, right) - value(above, left)) * dx,
                bottom = value(below, left) + (value(below, right) - value(below, left)) * dx;
    to[i] = top + (bottom - top) * dy;
  }
}

void eval_crop_and_resize(OpCall& call) {
  const Tensor &x = input(call, 0), &boxes = input(call, 1), &index = input(call, 2), &size = input(call, 3);
  need(x.rank() == 4 && boxes.rank() == 2 && boxes.dim(1) == 4 && index.size() == boxes.dim(0) && size.size() == 2,
       "needs a map, boxes [n, 4], n indices and a size");
  int64_t h = x.dim(1), w = x.dim(2), c = x.dim(3), oh = size.as_int(0), ow = size.as_int(1), count = boxes.dim(0);
  need(oh > 0 && ow > 0, "crop size must be positive");
  float fill = call.node.attr_or("extrapolation_value", 0.0f);
  bool nearest = call.node.attr_or<std::string>("method", "bilinear") == "nearest";
  Tensor out(DType::f32, {count, oh, ow, c});
  on_numeric(x.dtype(), [&]<class T>() {
    for (int64_t b = 0; b < count; ++b) {
      const int64_t n = index.as_int(b);
      need(n >= 0 && n < x.dim(0), "a box index is out of range");
      const float* box = boxes.data<float>() + b * 4;
      const CropSide rows(box[0], box[2], h, oh), columns(box[1], box[3], w, ow);
      const T* map = x.data<T>() + n * h * w * c;
      for (int64_t y = 0; y < oh; ++y)
        for (int64_t col = 0; col < ow; ++col) {
          const float fy = rows.at(y), fx = columns.at(col);
          float* to = out.data<float>() + ((b * oh + y) * ow + col) * c;
          if (!rows.holds(fy) || !columns.holds(fx))
            std::fill_n(to, c, fill);
          else if (nearest)
            copy_pixel(map + (static_cast<int64_t>(std::round(fy)) * w + static_cast<int64_t>(std::round(fx))) * c, to, c);
          else
            mix_pixels(map, w, c, fy, fx, to);
        }
    }
  });
  call.out = {out};
}

}  // namespace

void infer_resize_float(InferCall& call) { infer_resize(call, true); }

const std::vector<Op>& image_ops() {
  static const std::vector<Op> rows = {
      {"CropAndResize", infer_crop_and_resize, eval_crop_and_resize},
      {"ResizeBilinear", infer_resize_float, eval_resize_bilinear},
      {"ResizeNearestNeighbor", [](InferCall& c) { infer_resize(c, false); }, eval_resize_nearest},
  };
  return rows;
}

}  // namespace cytodet::graph::ops

namespace cytodet::graph {

std::vector<ResizeTap> resize_taps(const Node& resize, int64_t in, int64_t out) {
  const ops::GridScale scale = ops::grid_scale_of(resize, in, out);
  std::vector<ResizeTap> taps;
  for (int64_t i = 0; i < out; ++i) taps.push_back(ops::tap_of(scale, i, in));
  return taps;
}

}  // namespace cytodet::graph
