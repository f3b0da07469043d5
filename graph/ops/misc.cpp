// Blocks of space and batch, fake quantization.
#include "graph/ir/conv_node.h"
#include "graph/ops/window.h"

namespace cytodet::graph::ops {
namespace {

void depth_space(OpCall& call, bool to_space) {
  const bool first = is_channels_first(call.node);
  need(input(call, 0).rank() == 4 && data_format(call.node).size() == 4 && (first || is_channels_last(call.node)),
       "needs a map in NHWC or NCHW");
  const Tensor x = to_last(call.in[0], first);
  int64_t b = call.node.attr<int64_t>("block_size"), n = x.dim(0), h = x.dim(1), w = x.dim(2), c = x.dim(3);
  need(b > 0 && b < 1 << 20, "block size must be positive");
  need(to_space ? c % (b * b) == 0 : h % b == 0 && w % b == 0, "the block does not fit " + to_string(x.shape()));
  int64_t oc = to_space ? c / (b * b) : elements({c, b, b});
  Tensor out(x.dtype(), to_space ? Shape{n, elements({h, b}), elements({w, b}), oc} : Shape{n, h / b, w / b, oc});
  const Tensor& space = to_space ? out : x;  // the wide side
  int64_t sh = space.dim(1), sw = space.dim(2), sc = space.dim(3);
  for (int64_t i = 0; i < space.size(); ++i) {
    int64_t k = i % sc, xx = i / sc % sw, y = i / sc / sw % sh, m = i / sc / sw / sh;
    int64_t deep = (((m * (sh / b) + y / b) * (sw / b) + xx / b) * b * b + (y % b) * b + xx % b) * sc + k;
    if (to_space)
      copy_element(out, i, x, deep);
    else
      copy_element(out, deep, x, i);
  }
  call.out = {from_last(out, first)};
}
void infer_depth_space(InferCall& call) {
  call.out = {fact(call.in[0].dtype)};
  const Shape* s = known(call, 0);
  const int64_t b = call.node.attr<int64_t>("block_size");
  if (!s || s->size() != 4 || b <= 0 || b >= 1 << 20) return;
  const size_t c = channels_first(call.node) ? 1 : 3, y = c == 1 ? 2 : 1, x = y + 1;
  const bool to_space = call.node.op == "DepthToSpace";
  Shape out = *s;
  auto scale = [&](int64_t& d, bool up, int64_t by) { d = d < 0 ? -1 : up ? elements({d, by}) : d / by; };
  scale(out[y], to_space, b), scale(out[x], to_space, b), scale(out[c], !to_space, b * b);
  call.out[0].shape = out;
}

// Both directions walk the spread-out tensor [batch, space..., rest]; `pads` is crops or paddings [m, 2].
void space_batch(OpCall& call, bool to_batch, std::vector<int64_t> block, const Tensor& pads) {
  const Tensor& x = input(call, 0);
  size_t m = block.size();
  need(x.rank() >= static_cast<int>(m) + 1 && pads.size() == static_cast<int64_t>(2 * m),
       "block and paddings do not fit the rank");
  int64_t product = 1;
  for (int64_t b : block) {
    need(b > 0 && b < 1 << 20, "a block size is not positive");
    product = elements({product, b});
  }
  Shape s = x.shape();
  if (to_batch)
    s[0] *= product;
  else
    need(s[0] % product == 0, "the batch does not divide by the blocks"), s[0] /= product;
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
      if (to_batch)
        copy_element(out, to + k, x, i * inner + k);
      else
        copy_element(out, i * inner + k, x, to + k);
    }
  }
  call.out = {out};
}
// The batch and the dimensions behind it; what is not known of block or pads leaves a dimension open.
void infer_space_batch(InferCall& call, bool to_batch, const std::vector<int64_t>& block, const Fact& pads) {
  call.out = {fact(input_type(call, 0), call.in[0].shape)};
  if (!known(call, 0)) return;
  Shape& s = *call.out[0].shape;
  const bool sized = !block.empty() && pads.constant && pads.constant->size() == static_cast<int64_t>(2 * block.size());
  need(s.size() > block.size(), "the block has too many dimensions");
  if (block.empty()) {
    std::fill(s.begin(), s.end(), -1);
    return;
  }
  for (size_t d = 0; d < block.size(); ++d) {
    need(block[d] > 0, "blocks must be positive");
    int64_t& size = s[d + 1];
    const int64_t moved =
        sized ? pads.constant->as_int(static_cast<int64_t>(2 * d)) + pads.constant->as_int(static_cast<int64_t>(2 * d + 1)) : 0;
    if (!sized || size < 0)
      size = -1;
    else
      size = to_batch ? (size + moved) / block[d] : size * block[d] - moved;
    if (s[0] >= 0) s[0] = to_batch ? s[0] * block[d] : s[0] / block[d];
  }
}
std::vector<int64_t> block_of(const InferCall& call) {
  return call.in.size() > 1 && call.in[1].constant ? call.in[1].constant->as_ints() : std::vector<int64_t>{};
}
std::vector<int64_t> square_block(const InferCall& call) {
  return std::vector<int64_t>(2, call.node.attr<int64_t>("block_size"));
}
void infer_space_to_batch_nd(InferCall& call) { infer_space_batch(call, true, block_of(call), call.in[2]); }
void infer_batch_to_space_nd(InferCall& call) { infer_space_batch(call, false, block_of(call), call.in[2]); }
void infer_space_to_batch(InferCall& call) { infer_space_batch(call, true, square_block(call), call.in[1]); }
void infer_batch_to_space(InferCall& call) { infer_space_batch(call, false, square_block(call), call.in[1]); }

void eval_space_to_batch_nd(OpCall& call) { space_batch(call, true, input(call, 1).as_ints(), input(call, 2)); }
void eval_batch_to_space_nd(OpCall& call) { space_batch(call, false, input(call, 1).as_ints(), input(call, 2)); }
void eval_space_to_batch(OpCall& call) {
  space_batch(call, true, {call.node.attr<int64_t>("block_size"), call.node.attr<int64_t>("block_size")}, input(call, 1));
}
void eval_batch_to_space(OpCall& call) {
  space_batch(call, false, {call.node.attr<int64_t>("block_size"), call.node.attr<int64_t>("block_size")}, input(call, 1));
}

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
    if (lo != 0 || hi != 0)
      grids[static_cast<size_t>(c)].emplace(lo, hi, call.node.attr_or("num_bits", int64_t{8}),
                                            call.node.attr_or("narrow_range", false));
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
  fake_quant(
      call, [=](int64_t) { return std::pair(lo, hi); }, 1);
}
void eval_fake_quant_vars(OpCall& call) {
  const Tensor &lo = input(call, 1), &hi = input(call, 2);
  need(lo.size() == 1 && hi.size() == 1, "min and max must be scalars");
  fake_quant(
      call, [&](int64_t) { return std::pair(static_cast<float>(lo.as_double()), static_cast<float>(hi.as_double())); }, 1);
}
void eval_fake_quant_channels(OpCall& call) {
  const Tensor &x = input(call, 0), &lo = input(call, 1), &hi = input(call, 2);
  need(x.rank() >= 1 && lo.size() == x.dim(-1) && hi.size() == x.dim(-1), "min and max must have one number per channel");
  fake_quant(
      call, [&](int64_t c) { return std::pair(static_cast<float>(lo.as_double(c)), static_cast<float>(hi.as_double(c))); },
      x.dim(-1));
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

}  // namespace

const std::vector<Op>& misc_ops() {
  static const std::vector<Op> rows = {
      {"BatchToSpace", infer_batch_to_space, eval_batch_to_space},
      {"BatchToSpaceND", infer_batch_to_space_nd, eval_batch_to_space_nd},
      {"DepthToSpace", infer_depth_space, [](OpCall& c) { depth_space(c, true); }},
      {"FakeQuantWithMinMaxArgs", infer_same, eval_fake_quant_args},
      {"FakeQuantWithMinMaxVars", infer_same, eval_fake_quant_vars},
      {"FakeQuantWithMinMaxVarsPerChannel", infer_same, eval_fake_quant_channels},
      {"InvertPermutation", infer_same, eval_invert_permutation},
      {"SpaceToBatch", infer_space_to_batch, eval_space_to_batch},
      {"SpaceToBatchND", infer_space_to_batch_nd, eval_space_to_batch_nd},
      {"SpaceToDepth", infer_depth_space, [](OpCall& c) { depth_space(c, false); }},
  };
  return rows;
}

}  // namespace cytodet::graph::ops
