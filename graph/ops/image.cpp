// Resizing, cropping, box suppression, colour.
#include "graph/ops/common.h"

namespace cytodet::ops {
namespace {

struct Scale {
  float factor;
  bool half_pixel;
  float source(int64_t i) const { return half_pixel ? (static_cast<float>(i) + 0.5f) * factor - 0.5f : static_cast<float>(i) * factor; }
};
Scale scale_of(const Node& n, int64_t in, int64_t out) {
  bool corners = n.attr_or("align_corners", false), half = n.attr_or("half_pixel_centers", false);
  float f = corners && out > 1 ? static_cast<float>(in - 1) / static_cast<float>(out - 1) : static_cast<float>(in) / static_cast<float>(out);
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
  auto pick = [&](const Scale& s, int64_t i, int64_t size) {
    float at = s.half_pixel ? (static_cast<float>(i) + 0.5f) * s.factor : static_cast<float>(i) * s.factor;
    int64_t p = static_cast<int64_t>(corners ? std::round(at) : std::floor(at));
    return std::clamp<int64_t>(p, 0, size - 1);
  };
  Scale sy = scale_of(call.node, z.h, z.out_h), sx = scale_of(call.node, z.w, z.out_w);
  for (int64_t n = 0; n < z.n; ++n)
    for (int64_t y = 0; y < z.out_h; ++y)
      for (int64_t xx = 0; xx < z.out_w; ++xx) {
        int64_t from = ((n * z.h + pick(sy, y, z.h)) * z.w + pick(sx, xx, z.w)) * z.c, to = ((n * z.out_h + y) * z.out_w + xx) * z.c;
        for (int64_t i = 0; i < z.c; ++i) copy_element(out, to + i, x, from + i);
      }
  call.out = {out};
}

struct Tap {
  int64_t low, high;
  float share;
};
Tap tap_of(const Scale& s, int64_t i, int64_t size) {
  float at = s.source(i), low = std::floor(at);
  return {std::max<int64_t>(0, static_cast<int64_t>(low)), std::min<int64_t>(size - 1, static_cast<int64_t>(std::ceil(at))), at - low};
}

void eval_resize_bilinear(OpCall& call) {
  Sizes z = resize_sizes(call);
  const Tensor& x = call.in[0];
  Tensor out(DType::f32, {z.n, z.out_h, z.out_w, z.c});
  Scale sy = scale_of(call.node, z.h, z.out_h), sx = scale_of(call.node, z.w, z.out_w);
  on_numbers(x.dtype(), [&]<class T>() {
    for (int64_t n = 0; n < z.n; ++n)
      for (int64_t y = 0; y < z.out_h; ++y) {
        Tap ty = tap_of(sy, y, z.h);
        for (int64_t xx = 0; xx < z.out_w; ++xx) {
          Tap tx = tap_of(sx, xx, z.w);
          auto at = [&](int64_t yy, int64_t xi, int64_t i) { return static_cast<float>(widen(x.data<T>()[((n * z.h + yy) * z.w + xi) * z.c + i])); };
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

void eval_crop_and_resize(OpCall& call) {
  const Tensor &x = input(call, 0), &boxes = input(call, 1), &index = input(call, 2), &size = input(call, 3);
  need(x.rank() == 4 && boxes.rank() == 2 && boxes.dim(1) == 4 && index.size() == boxes.dim(0) && size.size() == 2, "needs a map, boxes [n, 4], n indices and a size");
  int64_t h = x.dim(1), w = x.dim(2), c = x.dim(3), oh = size.as_int(0), ow = size.as_int(1), count = boxes.dim(0);
  need(oh > 0 && ow > 0, "crop size must be positive");
  float fill = call.node.attr_or("extrapolation_value", 0.0f);
  bool nearest = call.node.attr_or<std::string>("method", "bilinear") == "nearest";
  Tensor out(DType::f32, {count, oh, ow, c});
  on_numbers(x.dtype(), [&]<class T>() {
    for (int64_t b = 0; b < count; ++b) {
      int64_t n = index.as_int(b);
      need(n >= 0 && n < x.dim(0), "a box index is out of range");
      const float* box = boxes.data<float>() + b * 4;
      auto place = [](float lo, float hi, int64_t size_in, int64_t size_out, int64_t i) {
        float span = static_cast<float>(size_in - 1);
        return size_out > 1 ? lo * span + static_cast<float>(i) * (hi - lo) * span / static_cast<float>(size_out - 1) : 0.5f * (lo + hi) * span;
      };
      for (int64_t y = 0; y < oh; ++y)
        for (int64_t xx = 0; xx < ow; ++xx) {
          float fy = place(box[0], box[2], h, oh, y), fx = place(box[1], box[3], w, ow, xx);
          float* to = out.data<float>() + ((b * oh + y) * ow + xx) * c;
          if (!(fy >= 0 && fy <= static_cast<float>(h - 1) && fx >= 0 && fx <= static_cast<float>(w - 1))) {
            std::fill_n(to, c, fill);
            continue;
          }
          auto at = [&](float yy, float xi, int64_t i) { return static_cast<float>(widen(x.data<T>()[((n * h + static_cast<int64_t>(yy)) * w + static_cast<int64_t>(xi)) * c + i])); };
          for (int64_t i = 0; i < c; ++i) {
            if (nearest) {
              to[i] = at(std::round(fy), std::round(fx), i);
              continue;
            }
            float y0 = std::floor(fy), y1 = std::ceil(fy), x0 = std::floor(fx), x1 = std::ceil(fx);
            float top = at(y0, x0, i) + (at(y0, x1, i) - at(y0, x0, i)) * (fx - x0), bottom = at(y1, x0, i) + (at(y1, x1, i) - at(y1, x0, i)) * (fx - x0);
            to[i] = top + (bottom - top) * (fy - y0);
          }
        }
    }
  });
  call.out = {out};
}

float corner_iou(const std::vector<float>& b, int64_t i, int64_t j) {
  auto box = [&](int64_t k) {
    const float* p = b.data() + k * 4;
    return std::array<float, 4>{std::min(p[0], p[2]), std::min(p[1], p[3]), std::max(p[0], p[2]), std::max(p[1], p[3])};
  };
  auto a = box(i), c = box(j);
  float area_a = (a[2] - a[0]) * (a[3] - a[1]), area_c = (c[2] - c[0]) * (c[3] - c[1]);
  if (area_a <= 0 || area_c <= 0) return 0;
  float inter = std::max(0.0f, std::min(a[2], c[2]) - std::max(a[0], c[0])) * std::max(0.0f, std::min(a[3], c[3]) - std::max(a[1], c[1]));
  return inter / (area_a + area_c - inter);
}

// V1: threshold an attribute; V2: an input; V3: + score threshold; V4: + padding, count; V5: + soft sigma, scores.
void eval_nms(OpCall& call) {
  const std::string& op = call.node.op;
  int version = op.back() >= '2' && op.back() <= '5' ? op.back() - '0' : 1;
  const Tensor &boxes = input(call, 0), &scores = input(call, 1);
  need(boxes.rank() == 2 && boxes.dim(1) == 4 && scores.size() == boxes.dim(0), "needs boxes [n, 4] and n scores");
  int64_t n = scores.size(), most = input(call, 2).as_int();
  need(most >= 0, "the output size is negative");
  double threshold = version == 1 ? call.node.attr_or("iou_threshold", 0.5f) : input(call, 3).as_double();
  double least = version >= 3 ? input(call, 4).as_double() : -std::numeric_limits<double>::infinity();
  float sigma = version == 5 ? static_cast<float>(input(call, 5).as_double()) : 0;
  std::vector<float> b(static_cast<size_t>(n * 4));
  for (int64_t i = 0; i < n * 4; ++i) b[static_cast<size_t>(i)] = static_cast<float>(boxes.as_double(i));
  struct Candidate {
    float score;
    int64_t box;
    size_t seen;  // kept boxes it has been compared with
  };
  auto later = [](const Candidate& x, const Candidate& y) { return x.score < y.score || (x.score == y.score && x.box > y.box); };
  std::vector<Candidate> heap;
  for (int64_t i = 0; i < n; ++i)
    if (scores.as_double(i) > least) heap.push_back({static_cast<float>(scores.as_double(i)), i, 0});
  std::make_heap(heap.begin(), heap.end(), later);
  std::vector<int64_t> kept;
  std::vector<float> kept_scores;
  while (!heap.empty() && static_cast<int64_t>(kept.size()) < most) {
    std::pop_heap(heap.begin(), heap.end(), later);
    Candidate c = heap.back();
    heap.pop_back();
    float before = c.score;
    bool dropped = false;
    for (size_t k = kept.size(); k-- > c.seen;) {
      float overlap = corner_iou(b, c.box, kept[k]);
      if (sigma > 0) c.score *= overlap <= threshold ? std::exp(-0.5f / sigma * overlap * overlap) : 0.0f;
      if (sigma > 0 ? c.score <= least : overlap > threshold) {
        dropped = true;
        break;
      }
    }
    if (dropped) continue;
    c.seen = kept.size();
    if (c.score == before) {
      kept.push_back(c.box);
      kept_scores.push_back(c.score);
    } else if (c.score > least) {
      heap.push_back(c);
      std::push_heap(heap.begin(), heap.end(), later);
    }
  }
  int32_t valid = static_cast<int32_t>(kept.size());
  bool pad = version >= 4 && call.node.attr_or("pad_to_max_output_size", false);
  if (pad) kept.resize(static_cast<size_t>(std::min<int64_t>(most, int64_t{1} << 24)), 0), kept_scores.resize(kept.size(), 0);
  Tensor index(DType::i32, {static_cast<int64_t>(kept.size())});
  for (size_t i = 0; i < kept.size(); ++i) index.data<int32_t>()[i] = static_cast<int32_t>(kept[i]);
  call.out = {index};
  if (version == 5) {
    Tensor out(scores.dtype(), index.shape());
    on_floats(scores.dtype(), [&]<class T>() {
      for (size_t i = 0; i < kept_scores.size(); ++i) out.data<T>()[i] = static_cast<T>(kept_scores[i]);
    });
    call.out.push_back(out);
  }
  if (version >= 4) call.out.push_back(Tensor::scalar(valid));
}

void eval_adjust_contrast(OpCall& call) {
  const Tensor& x = input(call, 0);
  need(x.rank() >= 3 && x.dtype() == DType::f32, "needs float images");
  float f = static_cast<float>(input(call, 1).as_double());
  int64_t c = x.dim(-1), plane = x.dim(-2) * x.dim(-3), images = plane > 0 && c > 0 ? x.size() / (plane * c) : 0;
  Tensor out(x.dtype(), x.shape());
  for (int64_t n = 0; n < images; ++n)
    for (int64_t k = 0; k < c; ++k) {
      double mean = 0;
      for (int64_t p = 0; p < plane; ++p) mean += x.data<float>()[(n * plane + p) * c + k];
      mean /= static_cast<double>(plane);
      for (int64_t p = 0; p < plane; ++p) {
        int64_t i = (n * plane + p) * c + k;
        out.data<float>()[i] = static_cast<float>((x.data<float>()[i] - mean) * f + mean);
      }
    }
  call.out = {out};
}

}  // namespace

const std::vector<Op>& image_rows() {
  static const std::vector<Op> rows = {
      {"AdjustContrastv2", infer_same, eval_adjust_contrast},
      {"CropAndResize", nullptr, eval_crop_and_resize},
      {"NonMaxSuppression", nullptr, eval_nms},
      {"NonMaxSuppressionV2", nullptr, eval_nms},
      {"NonMaxSuppressionV3", nullptr, eval_nms},
      {"NonMaxSuppressionV4", nullptr, eval_nms},
      {"NonMaxSuppressionV5", nullptr, eval_nms},
      {"ResizeBilinear", [](InferCall& c) { infer_resize(c, true); }, eval_resize_bilinear},
      {"ResizeNearestNeighbor", [](InferCall& c) { infer_resize(c, false); }, eval_resize_nearest},
  };
  return rows;
}

}  // namespace cytodet::ops
