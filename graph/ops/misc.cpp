// Blocks of space and batch, fake quantization, scatter, unique.
#include <map>

#include "graph/ops/common.h"

namespace cytodet::ops {
namespace {

void depth_space(OpCall& call, bool to_space) {
  const Tensor& x = input(call, 0);
  std::string f = call.node.attr_or<std::string>("data_format", "NHWC");
  need(x.rank() == 4 && f == "NHWC", "needs a map in NHWC");
  int64_t b = call.node.attr<int64_t>("block_size"), n = x.dim(0), h = x.dim(1), w = x.dim(2), c = x.dim(3);
  need(b > 0 && b < 1 << 20, "block size must be positive");
  need(to_space ? c % (b * b) == 0 : h % b == 0 && w % b == 0, "the block does not fit " + to_string(x.shape()));
  int64_t oc = to_space ? c / (b * b) : c * b * b;
  Tensor out(x.dtype(), to_space ? Shape{n, h * b, w * b, oc} : Shape{n, h / b, w / b, oc});
  const Tensor& space = to_space ? out : x;  // the wide side
  int64_t sh = space.dim(1), sw = space.dim(2), sc = space.dim(3);
  for (int64_t i = 0; i < space.size(); ++i) {
    int64_t k = i % sc, xx = i / sc % sw, y = i / sc / sw % sh, m = i / sc / sw / sh;
    int64_t deep = (((m * (sh / b) + y / b) * (sw / b) + xx / b) * b * b + (y % b) * b + xx % b) * sc + k;
    if (to_space) copy_element(out, i, x, deep);
    else copy_element(out, deep, x, i);
  }
  call.out = {out};
}

// Both directions walk the spread-out tensor [batch, space..., rest]; `pads` is crops or paddings [m, 2].
void space_batch(OpCall& call, bool to_batch, std::vector<int64_t> block, const Tensor& pads) {
  const Tensor& x = input(call, 0);
  size_t m = block.size();
  need(x.rank() >= static_cast<int>(m) + 1 && pads.size() == static_cast<int64_t>(2 * m), "block and paddings do not fit the rank");
  int64_t product = 1;
  for (int64_t b : block) {
    need(b > 0 && b < 1 << 20, "a block size is not positive");
    product = elements({product, b});
  }
  Shape s = x.shape();
  if (to_batch) s[0] *= product;
  else need(s[0] % product == 0, "the batch does not divide by the blocks"), s[0] /= product;
  for (size_t d = 0; d < m; ++d) {
    int64_t before = pads.as_int(static_cast<int64_t>(2 * d)), after = pads.as_int(static_cast<int64_t>(2 * d + 1));
    need(before >= 0 && after >= 0 && before < int64_t{1} << 40 && after < int64_t{1} << 40, "a padding or crop is out of range");
    if (to_batch) {
      int64_t padded = s[d + 1] + before + after;
      need(padded % block[d] == 0, "a padded dimension does not divide by its block");
      s[d + 1] = padded / block[d];
    } else {
      s[d + 1] = s[d + 1] * block[d] - before - after;
      need(s[d + 1] >= 0, "the crops are larger than the tensor");
    }
  }
  Tensor out(x.dtype(), s);
  const Shape& wide = to_batch ? x.shape() : s;
  const Shape& deep = to_batch ? s : x.shape();
  std::vector<int64_t> wide_strides = strides_of(wide), deep_strides = strides_of(deep);
  int64_t inner = elements(Shape(wide.begin() + static_cast<long>(m) + 1, wide.end()));
  int64_t count = inner ? elements(wide) / inner : 0;
  for (int64_t i = 0; i < count; ++i) {
    int64_t offset = 0, to = 0;
    for (size_t d = 0; d < m; ++d) {
      int64_t at = i * inner / wide_strides[d + 1] % wide[d + 1] + pads.as_int(static_cast<int64_t>(2 * d));
      offset = offset * block[d] + at % block[d];
      to += at / block[d] * deep_strides[d + 1];
    }
    to += (offset * wide[0] + i * inner / wide_strides[0]) * deep_strides[0];
    for (int64_t k = 0; k < inner; ++k) {
      if (to_batch) copy_element(out, to + k, x, i * inner + k);
      else copy_element(out, i * inner + k, x, to + k);
    }
  }
  call.out = {out};
}
void eval_space_to_batch_nd(OpCall& call) { space_batch(call, true, input(call, 1).as_ints(), input(call, 2)); }
void eval_batch_to_space_nd(OpCall& call) { space_batch(call, false, input(call, 1).as_ints(), input(call, 2)); }
void eval_space_to_batch(OpCall& call) { space_batch(call, true, {call.node.attr<int64_t>("block_size"), call.node.attr<int64_t>("block_size")}, input(call, 1)); }
void eval_batch_to_space(OpCall& call) { space_batch(call, false, {call.node.attr<int64_t>("block_size"), call.node.attr<int64_t>("block_size")}, input(call, 1)); }

// Values snapped to the grid of num_bits between min and max, nudged so that 0 is on it.
struct Grid {
  float low, high, scale;
  Grid(float lo, float hi, int64_t bits, bool narrow) {
    need(bits >= 2 && bits <= 16, "num_bits must be 2 to 16");
    need(lo < hi, "min must be below max");
    float q_low = narrow ? 1.0f : 0.0f, q_high = static_cast<float>((1 << bits) - 1);
    scale = (hi - lo) / (q_high - q_low);
    float zero = q_low - lo / scale;
    float nudged = zero < q_low ? q_low : zero > q_high ? q_high : std::round(zero);
    low = (q_low - nudged) * scale;
    high = (q_high - nudged) * scale;
  }
  float operator()(float x) const {
    float clamped = std::min(std::max(x, low), high);
    return std::floor((clamped - low) / scale + 0.5f) * scale + low;
  }
};
void fake_quant(OpCall& call, const std::function<std::pair<float, float>(int64_t)>& range, int64_t channels) {
  const Tensor& x = input(call, 0);
  need(x.dtype() == DType::f32, "needs float input");
  std::vector<std::optional<Grid>> grids(static_cast<size_t>(channels));
  for (int64_t c = 0; c < channels; ++c) {
    auto [lo, hi] = range(c);
    if (lo != 0 || hi != 0) grids[static_cast<size_t>(c)].emplace(lo, hi, call.node.attr_or("num_bits", int64_t{8}), call.node.attr_or("narrow_range", false));
  }
  Tensor out(DType::f32, x.shape());
  for (int64_t i = 0; i < x.size(); ++i) {
    const auto& grid = grids[static_cast<size_t>(i % channels)];
    out.data<float>()[i] = grid ? (*grid)(x.data<float>()[i]) : 0.0f;
  }
  call.out = {out};
}
void eval_fake_quant_args(OpCall& call) {
  float lo = call.node.attr_or("min", -6.0f), hi = call.node.attr_or("max", 6.0f);
  fake_quant(call, [=](int64_t) { return std::pair(lo, hi); }, 1);
}
void eval_fake_quant_vars(OpCall& call) {
  const Tensor &lo = input(call, 1), &hi = input(call, 2);
  need(lo.size() == 1 && hi.size() == 1, "min and max must be scalars");
  fake_quant(call, [&](int64_t) { return std::pair(static_cast<float>(lo.as_double()), static_cast<float>(hi.as_double())); }, 1);
}
void eval_fake_quant_channels(OpCall& call) {
  const Tensor &x = input(call, 0), &lo = input(call, 1), &hi = input(call, 2);
  need(x.rank() >= 1 && lo.size() == x.dim(-1) && hi.size() == x.dim(-1), "min and max must have one number per channel");
  fake_quant(call, [&](int64_t c) { return std::pair(static_cast<float>(lo.as_double(c)), static_cast<float>(hi.as_double(c))); }, x.dim(-1));
}

template <class F>
void scatter_into(Tensor& out, const Tensor& index, const Tensor& updates, F f) {
  need(index.rank() >= 1, "indices must have a dimension");
  int64_t depth = index.dim(-1);
  need(depth <= out.rank(), "indices are deeper than the tensor");
  int64_t inner = elements(Shape(out.shape().begin() + depth, out.shape().end())), rows = depth ? index.size() / depth : 1;
  need(updates.size() == rows * inner && updates.dtype() == out.dtype(), "updates do not fit indices and shape");
  std::vector<int64_t> own = strides_of(out.shape());
  for (int64_t r = 0; r < rows; ++r) {
    int64_t to = 0;
    for (int64_t d = 0; d < depth; ++d) {
      int64_t i = index.as_int(r * depth + d);
      need(i >= 0 && i < out.dim(static_cast<int>(d)), "index " + std::to_string(i) + " is out of range");
      to += i * own[static_cast<size_t>(d)];
    }
    on_any(out.dtype(), [&]<class T>() {
      for (int64_t k = 0; k < inner; ++k) out.data<T>()[to + k] = static_cast<T>(f(widen(out.data<T>()[to + k]), widen(updates.data<T>()[r * inner + k])));
    });
  }
}
void eval_scatter_nd(OpCall& call) {
  Tensor out(input(call, 1).dtype(), shape_of(input(call, 2)));
  scatter_into(out, call.in[0], call.in[1], [](auto a, auto b) { return a + b; });
  call.out = {out};
}
#define SCATTER(NAME, EXPR)                                                                                     \
  {NAME, infer_same, [](OpCall& c) {                                                                            \
     Tensor out = input(c, 0).clone();                                                                          \
     scatter_into(out, input(c, 1), input(c, 2), [](auto a, auto b) { (void)a; return static_cast<decltype(a)>(EXPR); }); \
     c.out = {out};                                                                                             \
   }}

void eval_unique(OpCall& call) {
  const Tensor& x = input(call, 0);
  need(x.rank() == 1, "needs a vector");
  DType type = call.node.attr_or("out_idx", DType::i32);
  std::vector<int64_t> first, group(static_cast<size_t>(x.size())), count;
  on_any(x.dtype(), [&]<class T>() {
    std::map<wide_t<T>, int64_t> seen;
    for (int64_t i = 0; i < x.size(); ++i) {
      auto [it, fresh] = seen.try_emplace(widen(x.data<T>()[i]), static_cast<int64_t>(first.size()));
      if (fresh) first.push_back(i), count.push_back(0);
      group[static_cast<size_t>(i)] = it->second;
      ++count[static_cast<size_t>(it->second)];
    }
  });
  auto ints = [&](const std::vector<int64_t>& v) {
    Tensor t(type, {static_cast<int64_t>(v.size())});
    for (size_t i = 0; i < v.size(); ++i) {
      if (type == DType::i32) t.data<int32_t>()[i] = static_cast<int32_t>(v[i]);
      else t.data<int64_t>()[i] = v[i];
    }
    return t;
  };
  Tensor values(x.dtype(), {static_cast<int64_t>(first.size())});
  for (size_t i = 0; i < first.size(); ++i) copy_element(values, static_cast<int64_t>(i), x, first[i]);
  call.out = {values, ints(group)};
  if (call.node.op == "UniqueWithCounts") call.out.push_back(ints(count));
}

void eval_invert_permutation(OpCall& call) {
  const Tensor& x = input(call, 0);
  Tensor out(x.dtype(), x.shape());
  on_integers(x.dtype(), [&]<class T>() {
    std::vector<char> seen(static_cast<size_t>(x.size()), 0);
    for (int64_t i = 0; i < x.size(); ++i) {
      int64_t p = x.as_int(i);
      need(p >= 0 && p < x.size() && !seen[static_cast<size_t>(p)], "is not a permutation");
      seen[static_cast<size_t>(p)] = 1;
      out.data<T>()[p] = static_cast<T>(i);
    }
  });
  call.out = {out};
}

void eval_matrix_band_part(OpCall& call) {
  const Tensor& x = input(call, 0);
  int64_t lower = input(call, 1).as_int(), upper = input(call, 2).as_int();
  need(x.rank() >= 2, "needs a matrix");
  Tensor out(x.dtype(), x.shape());
  int64_t columns = x.dim(-1), rows = x.dim(-2);
  for (int64_t i = 0; i < x.size(); ++i) {
    int64_t c = i % columns, r = i / columns % rows;
    if ((lower < 0 || r - c <= lower) && (upper < 0 || c - r <= upper)) copy_element(out, i, x, i);
  }
  call.out = {out};
}
void eval_matrix_diag(OpCall& call) {
  const Tensor& x = input(call, 0);
  need(x.rank() >= 1, "needs a vector");
  Shape s = x.shape();
  int64_t n = s.back();
  s.push_back(n);
  Tensor out(x.dtype(), s);
  for (int64_t i = 0; i < x.size(); ++i) copy_element(out, i * n + i % n, x, i);
  call.out = {out};
}
void eval_matrix_diag_part(OpCall& call) {
  const Tensor& x = input(call, 0);
  need(x.rank() >= 2, "needs a matrix");
  int64_t rows = x.dim(-2), columns = x.dim(-1), n = std::min(rows, columns);
  Shape s(x.shape().begin(), x.shape().end() - 1);
  s.back() = n;
  Tensor out(x.dtype(), s);
  for (int64_t i = 0; i < out.size(); ++i) copy_element(out, i, x, i / n * rows * columns + i % n * (columns + 1));
  call.out = {out};
}

}  // namespace

const std::vector<Op>& misc_rows() {
  static const std::vector<Op> rows = {
      {"BatchToSpace", nullptr, eval_batch_to_space},
      {"BatchToSpaceND", nullptr, eval_batch_to_space_nd},
      {"DepthToSpace", nullptr, [](OpCall& c) { depth_space(c, true); }},
      {"FakeQuantWithMinMaxArgs", infer_same, eval_fake_quant_args},
      {"FakeQuantWithMinMaxVars", infer_same, eval_fake_quant_vars},
      {"FakeQuantWithMinMaxVarsPerChannel", infer_same, eval_fake_quant_channels},
      {"InvertPermutation", infer_same, eval_invert_permutation},
      {"MatrixBandPart", infer_same, eval_matrix_band_part},
      {"MatrixDiag", nullptr, eval_matrix_diag},
      {"MatrixDiagPart", nullptr, eval_matrix_diag_part},
      {"ScatterNd", nullptr, eval_scatter_nd},
      {"SpaceToBatch", nullptr, eval_space_to_batch},
      {"SpaceToBatchND", nullptr, eval_space_to_batch_nd},
      {"SpaceToDepth", nullptr, [](OpCall& c) { depth_space(c, false); }},
      SCATTER("TensorScatterAdd", a + b),
      SCATTER("TensorScatterSub", a - b),
      SCATTER("TensorScatterUpdate", b),
      {"Unique", nullptr, eval_unique},
      {"UniqueWithCounts", nullptr, eval_unique},
  };
  return rows;
}

}  // namespace cytodet::ops
