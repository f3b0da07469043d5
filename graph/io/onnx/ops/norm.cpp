// Normalizations.
#include <numeric>

#include "graph/io/onnx/op_table.h"

namespace cytodet::graph::onnx {
namespace {

Value shifted(const Call& c, Value x, double k) { return c.b.add("AddV2", {x, c.b.number(k, x)}); }

// [c] as [c, 1, ...], which broadcasts over [n, c, ...].
Value by_channel(Builder& b, Value v, int64_t rank) {
  std::vector<int64_t> axes;
  for (int64_t d = 1; d < rank - 1; ++d) axes.push_back(d);
  return b.expand_dims(v, axes);
}

void batch_normalization(Call& c) {
  Builder& b = c.b;
  if (c.flag("training_mode", false) || (c.wants(1) && c.opset >= 14))
    refuse("is in training mode", "export the model for inference");
  const Value x = c.in(0), scale = c.in(1), bias = c.in(2), mean = c.in(3), variance = c.in(4);
  const float epsilon = c.real("epsilon", 1e-5f);
  const int64_t rank = b.rank(x);
  const bool floats = b.type(x) == DType::f32 && b.type(scale) == DType::f32 && b.type(mean) == DType::f32;
  if (rank == 4 && floats && b.is_static(scale)) {
    const Value y = b.add("FusedBatchNormV3", {b.to_last(x), scale, bias, mean, variance},
                          {{"epsilon", epsilon}, {"is_training", false}, {"data_format", "NHWC"}, {"U", DType::f32}});
    return c.set(0, b.from_last(y));
  }
  const Value factor = b.add("Mul", {scale, b.add("Rsqrt", {shifted(c, variance, epsilon)})});
  const Value shift = b.add("Sub", {bias, b.add("Mul", {mean, factor})});
  const DType type = b.type(x);
  const auto fitted = [&](Value v) { return by_channel(b, b.cast(v, type), std::max<int64_t>(rank, 2)); };
  c.set(0, b.add("AddV2", {b.add("Mul", {x, fitted(factor)}), fitted(shift)}));
}

struct Moments {
  Value centred, mean, deviation;  // deviation: sqrt(variance + epsilon)
};
Moments moments_of(const Call& c, Value x, const std::vector<int64_t>& axes, float epsilon) {
  Builder& b = c.b;
  const Value over = b.int32s(axes);
  const Value mean = b.add("Mean", {x, over}, {{"keep_dims", true}});
  const Value centred = b.add("Sub", {x, mean});
  const Value variance = b.add("Mean", {b.add("Square", {centred}), over}, {{"keep_dims", true}});
  return {centred, mean, b.add("Sqrt", {shifted(c, variance, epsilon)})};
}

std::vector<int64_t> from(int64_t first, int64_t end) {
  std::vector<int64_t> axes(static_cast<size_t>(std::max<int64_t>(0, end - first)));
  std::iota(axes.begin(), axes.end(), first);
  return axes;
}

void layer_normalization(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  const int64_t rank = b.rank(x), axis = Call::axis_in(c.integer("axis", -1), rank);
  const Moments m = moments_of(c, x, from(axis, rank), c.real("epsilon", 1e-5f));
  Value y = b.add("Mul", {b.add("RealDiv", {m.centred, m.deviation}), c.in(1)});
  if (c.has(2)) y = b.add("AddV2", {y, c.in(2)});
  c.set(0, y);
  if (c.wants(1)) c.set(1, m.mean);
  if (c.wants(2)) c.set(2, b.add("Reciprocal", {m.deviation}));
}

void instance_normalization(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  const int64_t rank = b.rank(x);
  const Moments m = moments_of(c, x, from(2, rank), c.real("epsilon", 1e-5f));
  const Value y = b.add("Mul", {b.add("RealDiv", {m.centred, m.deviation}), by_channel(b, c.in(1), rank)});
  c.set(0, b.add("AddV2", {y, by_channel(b, c.in(2), rank)}));
}

// Channels in groups, each normalized with all its pixels. Before operator set 21 scale and bias are per group, since then per
// channel.
void group_normalization(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  const Shape s = b.static_dims(x);
  const int64_t groups = c.integer("num_groups", 0), rank = static_cast<int64_t>(s.size());
  if (rank < 3 || groups < 1 || s[1] % groups)
    refuse("has " + std::to_string(groups) + " groups of channels", "the model is damaged");
  Shape split = s;
  split[1] = s[1] / groups;
  split.insert(split.begin() + 1, groups);
  const Moments m = moments_of(c, b.reshape(x, split), from(2, rank + 1), c.real("epsilon", 1e-5f));
  Value y = b.add("RealDiv", {m.centred, m.deviation});
  const bool by_group = b.static_dims(c.in(1)) == Shape{groups} && groups != s[1];
  if (!by_group) y = b.reshape(y, s);
  const auto fitted = [&](size_t i) { return by_channel(b, c.in(i), by_group ? rank + 1 : rank); };
  y = b.add("AddV2", {b.add("Mul", {y, fitted(1)}), fitted(2)});
  c.set(0, b.reshape(y, s));
}

// x / (bias + alpha / size * sum of squares of `size` channels around)^beta. TensorFlow's window is symmetric; an even one is
// summed by a pool along the channels.
void local_response(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  const int64_t size = c.integer("size", 0), rank = b.rank(x);
  const float alpha = c.real("alpha", 1e-4f), beta = c.real("beta", 0.75f), bias = c.real("bias", 1);
  if (size < 1) refuse("has a window of " + std::to_string(size) + " channels", "the model is damaged");
  if (rank == 4 && size % 2 == 1 && b.type(x) == DType::f32) {
    const Value y =
        b.add("LRN", {b.to_last(x)},
              {{"depth_radius", size / 2}, {"bias", bias}, {"alpha", alpha / static_cast<float>(size)}, {"beta", beta}});
    return c.set(0, b.from_last(y));
  }
  const int64_t channels = b.static_dims(x)[1], before = (size - 1) / 2;
  std::vector<float> band(static_cast<size_t>(channels * channels), 0);
  for (int64_t o = 0; o < channels; ++o)
    for (int64_t i = std::max<int64_t>(0, o - before); i <= std::min(channels - 1, o - before + size - 1); ++i)
      band[static_cast<size_t>(i * channels + o)] = 1;
  const Value last = b.to_last(x);
  const Value sums = b.add(
      "BatchMatMulV2", {b.add("Square", {last}), b.cast(b.constant(Tensor::from<float>({channels, channels}, band)), b.type(x))});
  const Value base = shifted(c, b.add("Mul", {sums, b.number(alpha / static_cast<float>(size), x)}), bias);
  c.set(0, b.from_last(b.add("RealDiv", {last, b.add("Pow", {base, b.number(beta, x)})})));
}

void mean_variance(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  std::vector<int64_t> axes = c.integers("axes");
  if (axes.empty()) axes = {0, 2, 3};
  const Moments m = moments_of(c, x, Call::axes_in(axes, b.rank(x)), 1e-9f);
  c.set(0, b.add("RealDiv", {m.centred, m.deviation}));
}

void lp_normalization(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  const int64_t p = c.integer("p", 2);
  if (p != 1 && p != 2) refuse("has p " + std::to_string(p), "known are 1 and 2");
  const Value over = b.int32s({Call::axis_in(c.integer("axis", -1), b.rank(x))});
  const Value sum = b.add("Sum", {b.add(p == 1 ? "Abs" : "Square", {x}), over}, {{"keep_dims", true}});
  c.set(0, b.add("DivNoNan", {x, p == 1 ? sum : b.add("Sqrt", {sum})}));
}

}  // namespace

const std::vector<OnnxOp>& norm_entries() {
  static const std::vector<OnnxOp> entries = {
      {"BatchNormalization", 7, batch_normalization},       {"GroupNormalization", 18, group_normalization},
      {"InstanceNormalization", 6, instance_normalization}, {"LRN", 1, local_response},
      {"LayerNormalization", 17, layer_normalization},      {"LpNormalization", 1, lp_normalization},
      {"MeanVarianceNormalization", 9, mean_variance},
  };
  return entries;
}

}  // namespace cytodet::graph::onnx
