// Convolutions in 8 bits against the plain evals of the same quantized graph, on every layer shape of D0 and D2 (narrowed) and on
// adversarial ones: odd channels, single pixels, stride 2 with even sizes, values outside the range.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "exec/kernels/pack_weights.h"
#include "exec/steps/packed_conv.h"
#include "exec/steps/patches.h"
#include "graph/quantized/quant_nodes.h"
#include "tests/exec/answers.h"
#include "tests/exec/compare.h"
#include "tests/exec/gelu.h"
#include "tests/exec/quantized_net.h"
#include "tests/exec/random.h"
#include "tests/graph/fixtures.h"

namespace cytodet {
namespace {

using namespace test;

// Powers of two, so that scaled values lie as far within their steps as before.
Tensor channel_factors(int64_t channels) {
  Tensor t(DType::f32, {channels});
  for (int64_t i = 0; i < channels; ++i) t.data<float>()[i] = std::ldexp(1.0f, static_cast<int>(i % 3));
  return t;
}

struct Shapes {
  int64_t n, h, w, c, oc;
  int k, stride;
  const char* padding;
};
void PrintTo(const Shapes& c, std::ostream* os) {
  *os << c.n << "x" << c.h << "x" << c.w << "x" << c.c << "->" << c.oc << " k" << c.k << " s" << c.stride << " " << c.padding;
}

const QuantParams kQuants[] = {{0.021f, 13, false}, {0.05f, 0, false}, {0.03f, 0, true}, {0.01f, 255, false}};

class Q8Dense : public ::testing::TestWithParam<Shapes> {};

TEST_P(Q8Dense, EveryEpilogueAndRange) {
  const Shapes c = GetParam();
  std::mt19937 random(1);
  for (const QuantParams& quant : kQuants)
    for (const char* act : {"none", "Relu", "Relu6", "Sigmoid", "swish"})
      for (bool residual : {false, true}) {
        const bool factors = residual, q8_16bit_safe = std::string(act) != "Relu";
        Graph g;
        placeholder(g, "x", {c.n, c.h, c.w, c.c});
        const Tensor w = normal_tensor({c.k, c.k, c.c, c.oc}, random, 1 / std::sqrt(static_cast<float>(c.k * c.k * c.c)));
        constant(g, "w", w);
        constant(g, "b", normal_tensor({c.oc}, random));
        if (factors) {
          constant(g, "factors", channel_factors(c.c));
          add(g, "scaled", "Mul", {"x", "factors"});
        }
        const NodeId conv = add(g, "conv", "Conv2D", {factors ? "scaled" : "x", "w"}, conv_attrs(c.padding, c.stride));
        add(g, "bias", "BiasAdd", {"conv", "b"});
        std::map<std::string, Tensor> data{{"x", tensor_near_q8({c.n, c.h, c.w, c.c}, quant, random, factors)}};
        const Shape out = *Facts(g).of(g.value("bias")).shape;
        std::string last = "bias";
        if (std::string(act) == "swish") {
          add(g, "act/sigmoid", "Sigmoid", {last});
          add(g, "act", "Mul", {last, "act/sigmoid"});
          last = "act";
        } else if (std::string(act) != "none") {
          add(g, "act", act, {last});
          last = "act";
        }
        if (residual) {
          placeholder(g, "r", out);
          data["r"] = normal_tensor(out, random);
          add(g, "sum", "AddV2", {"r", last});
          last = "sum";
        }
        set_quantized(g, conv, quant, quantize_weights(w, c.oc, true, {127, q8_16bit_safe}));
        Answers a = run_both(g, data, {last});
        EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), std::string(act) == "swish" ? kSwish2e3Error : 2e-5) << act;
        const char* kernel = c.k == 1 && c.stride == 1 ? "int8_gemm" : c.c % 8 == 0 ? "int8_window_gemm" : "int8_patches_gemm";
        // Which of the two takes a stem depends on the machine.
        const std::string for_few = c.c <= 4 && c.k > 1 ? "int8_window_gemm" : kernel;
        EXPECT_THAT(a.kernels, ::testing::ElementsAre(::testing::AnyOf(kernel, for_few)));
      }
}
INSTANTIATE_TEST_SUITE_P(Layers, Q8Dense,
                         ::testing::Values(Shapes{1, 16, 16, 16, 96, 1, 1, "SAME"}, Shapes{1, 9, 7, 24, 144, 1, 1, "SAME"},
                                           Shapes{1, 8, 8, 672, 112, 1, 1, "SAME"}, Shapes{2, 5, 5, 64, 27, 1, 1, "SAME"},
                                           Shapes{1, 1, 1, 32, 8, 1, 1, "SAME"}, Shapes{3, 1, 1, 5, 3, 1, 1, "SAME"},
                                           Shapes{1, 32, 32, 3, 32, 3, 2, "SAME"}, Shapes{1, 33, 17, 3, 32, 3, 2, "SAME"},
                                           Shapes{1, 7, 9, 5, 17, 3, 1, "VALID"}, Shapes{1, 6, 6, 4, 1, 5, 1, "SAME"},
                                           Shapes{1, 5, 130, 3, 32, 3, 2, "SAME"}, Shapes{2, 7, 67, 5, 17, 3, 1, "VALID"},
                                           Shapes{1, 20, 64, 4, 5, 5, 1, "SAME"}, Shapes{1, 3, 200, 1, 18, 7, 3, "SAME"},
                                           Shapes{1, 2, 70, 6, 3, 5, 1, "SAME"}, Shapes{1, 11, 11, 13, 33, 1, 2, "SAME"},
                                           Shapes{1, 9, 2, 4, 8, 3, 2, "SAME"}, Shapes{1, 4, 2, 3, 5, 5, 3, "SAME"},
                                           Shapes{1, 5, 5, 1, 1, 1, 1, "SAME"}));

class Q8Depthwise : public ::testing::TestWithParam<Shapes> {};

// expand -> swish -> depthwise -> swish (-> mean), and depthwise -> pointwise; all in 8 bits.
TEST_P(Q8Depthwise, AloneBehindAnExpansionAndBeforeAPointwise) {
  const Shapes c = GetParam();
  std::mt19937 random(2);
  for (const QuantParams& quant : {kQuants[0], kQuants[2]})
    for (bool expand : {false, true})
      for (bool pointwise : {false, true}) {
        Graph g;
        const int64_t in = expand ? 6 : c.c;
        placeholder(g, "x", {c.n, c.h, c.w, in});
        std::string last = "x";
        std::vector<std::tuple<NodeId, QuantParams, Tensor>> convs;
        auto conv = [&](const std::string& name, const char* op, Shape filter, int stride, const char* padding,
                        const QuantParams& q) {
          if (name != "e") {
            constant(g, name + "/factors", channel_factors(filter[2]));
            add(g, name + "/scaled", "Mul", {last, name + "/factors"});
            last = name + "/scaled";
          }
          const Tensor w = normal_tensor(filter, random, 0.4f);
          constant(g, name + "/w", w);
          constant(g, name + "/b", normal_tensor({op[0] == 'C' ? filter[3] : filter[2]}, random));
          convs.emplace_back(add(g, name + "/conv", op, {last, name + "/w"}, conv_attrs(padding, stride)), q, w);
          add(g, name + "/bias", "BiasAdd", {name + "/conv", name + "/b"});
          add(g, name + "/sigmoid", "Sigmoid", {name + "/bias"});
          add(g, name, "Mul", {name + "/bias", name + "/sigmoid"});
          last = name;
        };
        if (expand) conv("e", "Conv2D", {1, 1, in, c.c}, 1, "SAME", quant);
        conv("dw", "DepthwiseConv2dNative", {c.k, c.k, c.c, 1}, c.stride, c.padding,
             expand ? QuantParams{0.03f, 10, false} : quant);
        if (pointwise) conv("pw", "Conv2D", {1, 1, c.c, 36}, 1, "SAME", {0.04f, 8, false});
        for (auto& [node, q, w] : convs)
          set_quantized(g, node, q, quantize_weights(w, w.dim(g.node(node).op == "Conv2D" ? 3 : 2), true));
        Answers a = run_both(g, {{"x", tensor_near_q8({c.n, c.h, c.w, in}, quant, random, !expand)}}, {last});
        // Behind the first convolution a value may be rounded either way. One step is little among many values, but not among 8,
        // nor in windows of one; nor is the error of the swish before it (steps of 0.03, values of about 1).
        if (!expand && !pointwise)
          EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), kSwish2e3Error);
        else
          EXPECT_GT(sqnr_db(a.plan[0], a.plain[0]), c.h * c.w == 1 || c.k == 1 ? 36 : 45);
        for (const std::string& k : a.kernels) EXPECT_THAT(k, ::testing::StartsWith("int8_"));
      }
}
INSTANTIATE_TEST_SUITE_P(Layers, Q8Depthwise,
                         ::testing::Values(Shapes{1, 16, 16, 32, 32, 3, 1, "SAME"}, Shapes{1, 16, 16, 96, 96, 3, 2, "SAME"},
                                           Shapes{1, 15, 13, 40, 40, 5, 2, "SAME"}, Shapes{2, 9, 9, 17, 17, 5, 1, "SAME"},
                                           Shapes{1, 8, 8, 1, 1, 3, 2, "VALID"}, Shapes{1, 64, 5, 24, 24, 3, 1, "SAME"},
                                           Shapes{1, 1, 1, 8, 8, 3, 1, "SAME"}, Shapes{1, 12, 11, 20, 20, 7, 1, "SAME"},
                                           Shapes{1, 13, 10, 33, 33, 7, 2, "SAME"}, Shapes{1, 12, 13, 24, 24, 9, 1, "SAME"},
                                           Shapes{1, 14, 9, 16, 16, 4, 1, "SAME"}, Shapes{2, 11, 12, 19, 19, 4, 2, "VALID"},
                                           Shapes{1, 16, 17, 24, 24, 3, 3, "SAME"}, Shapes{1, 14, 16, 40, 40, 5, 3, "VALID"},
                                           Shapes{1, 10, 13, 12, 12, 1, 1, "SAME"}, Shapes{1, 13, 13, 12, 12, 2, 4, "SAME"},
                                           Shapes{2, 3, 3, 32, 32, 5, 1, "SAME"}, Shapes{1, 2, 4, 40, 40, 5, 2, "SAME"},
                                           Shapes{1, 30, 1, 24, 24, 3, 1, "SAME"}, Shapes{1, 1, 30, 24, 24, 5, 1, "SAME"},
                                           Shapes{1, 1, 33, 24, 24, 3, 2, "SAME"}, Shapes{1, 7, 65, 36, 36, 3, 1, "SAME"},
                                           Shapes{1, 9, 65, 17, 17, 5, 2, "SAME"}, Shapes{1, 6, 139, 8, 8, 5, 1, "SAME"}));

// Windows of any shape, with gaps between their rows (which packed4 rows have not) and columns, with a scale per channel or one.
TEST(Q8DepthwiseWindows, AloneAndBehindAnExpansion) {
  struct Window {
    int h, w, down = 1, across = 1;  // dilations
  };
  std::mt19937 random(8);
  const QuantParams quant = kQuants[0];
  for (const Window& window : {Window{3, 3, 2, 2}, Window{5, 5, 1, 2}, Window{3, 5, 2, 1}, Window{3, 3, 3, 3}, Window{8, 8, 1, 2},
                               Window{1, 7}, Window{7, 1}, Window{9, 3}, Window{3, 9}, Window{6, 3}, Window{3, 5}, Window{5, 3}})
    for (const bool expand : {false, true})
      for (const bool per_channel : {false, true}) {
        SCOPED_TRACE(::testing::Message() << window.h << "x" << window.w << " dilated " << window.down << "x" << window.across
                                          << (expand ? " behind an expansion" : ""));
        const Shape in{1, 15, 17, expand ? 6 : 40};
        Graph g;
        placeholder(g, "x", in);
        const Tensor e = normal_tensor({1, 1, in[3], 40}, random, 0.4f),
                     w = normal_tensor({window.h, window.w, 40, 1}, random, 0.4f);
        constant(g, "e/w", e);
        constant(g, "w", w);
        const NodeId expansion = expand ? add(g, "e", "Conv2D", {"x", "e/w"}, conv_attrs("SAME")) : -1;
        AttrMap attrs = conv_attrs("SAME");
        attrs.emplace("dilations", ints({1, window.down, window.across, 1}));
        const NodeId depthwise = add(g, "dw", "DepthwiseConv2dNative", {expand ? "e" : "x", "w"}, std::move(attrs));
        if (expand) set_quantized(g, expansion, quant, quantize_weights(e, 40, per_channel));
        set_quantized(g, depthwise, quant, quantize_weights(w, 40, per_channel));
        const Answers a = run_both(g, {{"x", tensor_near_q8(in, quant, random)}}, {"dw"});
        if (expand)
          EXPECT_GT(sqnr_db(a.plan[0], a.plain[0]), 45);
        else
          EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 2e-5);
        EXPECT_THAT(a.kernels, ::testing::ElementsAre(expand ? "int8_expand_depthwise" : "int8_depthwise"));
      }
}

// An expansion hands quantized values to the depthwise layer: after every activation, for small, tiny and other bounds.
TEST(Q8ExpandDepthwise, EveryActivationIsRequantized) {
  std::mt19937 random(3);
  const QuantParams quants[] = {{0.03f, 10, false}, {0.004f, 0, true}, {6.0f / 255, 0, false}};  // the last ends at 6
  for (const char* act : {"none", "Relu", "Relu6", "Sigmoid", "swish", "hard_swish", "gelu", "gelu by tanh"})
    for (const QuantParams& quant : quants)
      for (const auto& [largest, bias, kernel] :
           {std::tuple{0.4f, 1.0f, 1}, {40.0f, 1.0f, 1}, {0.1f, 1.0f, 3}, {0.01f, 0.1f, 1}}) {
        const Shape in = kernel == 1 ? Shape{1, 33, 35, 12} : Shape{1, 9, 133, 12};
        Graph g;
        placeholder(g, "x", in);
        const Tensor w = normal_tensor({kernel, kernel, 12, 40}, random, largest),
                     taps = normal_tensor({3, 3, 40, 1}, random, 0.4f);
        constant(g, "w", w);
        constant(g, "b", normal_tensor({40}, random, bias));
        constant(g, "taps", taps);
        const NodeId expand = add(g, "conv", "Conv2D", {"x", "w"}, conv_attrs("SAME", kernel == 1 ? 1 : 2));
        add(g, "bias", "BiasAdd", {"conv", "b"});
        std::string last = "bias";
        if (std::string(act) == "swish") {
          add(g, "sigmoid", "Sigmoid", {"bias"});
          add(g, "act", "Mul", {"bias", "sigmoid"});
          last = "act";
        } else if (std::string(act) == "hard_swish") {
          constant(g, "three", Tensor::scalar(3.0f));
          constant(g, "sixth", Tensor::scalar(1.0f / 6));
          add(g, "add", "AddV2", {"bias", "three"});
          add(g, "relu6", "Relu6", {"add"});
          add(g, "gate", "Mul", {"relu6", "sixth"});
          add(g, "act", "Mul", {"bias", "gate"});
          last = "act";
        } else if (std::string(act).starts_with("gelu")) {
          add_gelu(g, last = "act", "bias", std::string(act) == "gelu" ? 1 : 2);
        } else if (std::string(act) != "none") {
          add(g, "act", act, {"bias"});
          last = "act";
        }
        constant(g, "factors", channel_factors(40));
        add(g, "scaled", "Mul", {last, "factors"});
        const NodeId depthwise = add(g, "out", "DepthwiseConv2dNative", {"scaled", "taps"}, conv_attrs("SAME", 2));
        set_quantized(g, expand, kQuants[0], quantize_weights(w, 40, true));
        set_quantized(g, depthwise, quant, quantize_weights(taps, 40, true));
        Answers a = run_both(g, {{"x", tensor_near_q8(in, kQuants[0], random)}}, {"out"});
        EXPECT_GT(sqnr_db(a.plan[0], a.plain[0]), 45) << act << ", code " << quant.scale << ", weights " << largest;
        EXPECT_THAT(a.kernels, ::testing::ElementsAre("int8_expand_depthwise"));
      }
}

std::vector<Q8Kernels> q8_kernels() {
  std::vector<Q8Kernels> all{kernels().q8};
  if (kernels().q8_16bit_safe.gemm) all.push_back(kernels().q8_16bit_safe);
  return all;
}

// q of column i of a row that pack_q8 made.
int q_of(const std::vector<uint8_t>& row, int64_t i, int group, const QuantizeParams& params) {
  if (group == 4) return row[static_cast<size_t>(i)] + static_cast<int>(params.qmin);
  int16_t q;
  std::memcpy(&q, row.data() + 2 * i, 2);
  return q;
}

// Patches of windows at every edge, of 16-bit-safe and other weights; nothing beyond the last one is written.
TEST(Q8Patches, EqualAPlainLoopAndEndWhereTheyEnd) {
  struct Window {
    int64_t h, w, c;
    int kernel, stride, pad;
  };
  std::mt19937 random(6);
  for (const Window& window : {Window{5, 9, 21, 3, 1, 1},
                               {5, 9, 63, 1, 2, 0},
                               {4, 9, 31, 1, 2, 0},
                               {9, 23, 9, 7, 1, 3},
                               {6, 20, 3, 3, 2, 0},
                               {9, 2, 4, 3, 2, 0},
                               {1, 30, 5, 3, 1, 1},
                               {7, 12, 16, 1, 3, 0},
                               {8, 40, 1, 5, 1, 2}})
    for (const bool q8_16bit_safe : {false, true}) {
      DenseConv conv;
      ConvShape& s = conv.shape;
      s.in_h = window.h, s.in_w = window.w, s.in_c = window.c, s.out_c = 3;
      s.kernel_h = s.kernel_w = window.kernel;
      s.stride_h = s.stride_w = window.stride;
      s.pad_top = s.pad_left = window.pad;
      s.pad_bottom = s.pad_right = window.pad ? window.pad : 1;
      s.out_h = (s.in_h + s.pad_top + s.pad_bottom - s.kernel_h) / s.stride_h + 1;
      s.out_w = (s.in_w + s.pad_left + s.pad_right - s.kernel_w) / s.stride_w + 1;
      const QuantParams quant{0.5f, 100, false};
      conv.weights = normal_tensor({window.kernel, window.kernel, window.c, 3}, random);
      conv.bias.assign(3, 0.0f);
      conv.quant = QuantizedConv{{}, quant, quantize_weights(conv.weights, 3, true, {127, q8_16bit_safe})};
      const PackedDense packed(kernels(), conv);
      const Tensor in = tensor_near_q8({s.in_h, s.in_w, s.in_c}, quant, random);
      const int group = packed.row_bytes() == row_groups(packed.k, 4) * 4 ? 4 : 2;
      const int64_t bytes = s.out_h * s.out_w * packed.row_bytes(), guard = 64;
      std::vector<uint8_t> out(static_cast<size_t>(bytes + guard), 0xa5),
          image(static_cast<size_t>(packed.image_bytes(s, s.out_h)));
      packed.convert_patches(s, {in.raw(), StorageType::f32}, 0, 0, s.out_h, image.data(), out.data());
      for (int64_t i = bytes; i < bytes + guard; ++i)
        ASSERT_EQ(out[static_cast<size_t>(i)], 0xa5) << "byte " << i - bytes << " past the end";
      const PackedQuantizeParams table(quant, {}, packed.k, kernels().panel);
      for (int64_t pixel = 0; pixel < s.out_h * s.out_w; ++pixel) {
        const auto begin = out.begin() + pixel * packed.row_bytes();
        const std::vector<uint8_t> row(begin, begin + packed.row_bytes());
        for (int64_t i = 0; i < packed.k; ++i) {
          const int64_t tap = i / s.in_c, y = pixel / s.out_w * s.stride_h - s.pad_top + tap / s.kernel_w,
                        x = pixel % s.out_w * s.stride_w - s.pad_left + tap % s.kernel_w;
          const bool inside = y >= 0 && y < s.in_h && x >= 0 && x < s.in_w;
          const int wanted =
              inside ? quant.quantize(in.data<float>()[(y * s.in_w + x) * s.in_c + i % s.in_c]) - quant.zero_point : 0;
          ASSERT_EQ(q_of(row, i, group, table.params()), wanted)
              << window.w << "x" << window.c << " k" << window.kernel << ", pixel " << pixel << ", element " << i;
        }
      }
    }
}

// Sums of products are exact: the largest that can be, over a long sum, of signed and unsigned values.
TEST(Q8KernelTest, ExtremeValuesAreExact) {
  const int panel = kernels().panel;
  const int64_t k = 4097, n = panel + 3, m = 15;
  for (const Q8Kernels& set : q8_kernels()) {
    const bool q8_16bit_safe = set.gemm == kernels().q8_16bit_safe.gemm;
    const int64_t row_bytes = row_groups(k, set.group) * 4;
    for (const float qmin : {-255.0f, -128.0f, 0.0f}) {
      // Column 2 the largest of one sign, the others of the other; of a 16-bit-safe matrix, sums of four are.
      Tensor weights(DType::i8, {k, n});
      for (int64_t i = 0; i < k * n; ++i)
        weights.data<int8_t>()[i] = static_cast<int8_t>((i % n == 2 ? 1 : -1) * (q8_16bit_safe ? 32 : 127));
      EXPECT_EQ(is_16bit_safe(weights, n), q8_16bit_safe);
      Buffer<uint8_t> packed(packed_weights_bytes(k, n, panel, set.group)), quantized(m * row_bytes);
      pack_q8_weights(weights.data<int8_t>(), k, n, panel, set.group, packed.data());
      FloatBuffer ones(std::max<int64_t>(2 * panel, k)), zeros(2 * panel), c(m * n), rows(m * k);
      Buffer<int32_t> zero_point_corrections(2 * panel);
      add_zero_point_corrections(weights.data<int8_t>(), k, n, static_cast<int>(qmin), zero_point_corrections.data());
      std::fill_n(ones.data(), ones.size(), 1.0f);
      for (int64_t i = 0; i < rows.size(); ++i) rows.data()[i] = i / k % 2 ? -1e9f : 1e9f;
      const QuantizeParams params{ones.data(), qmin, qmin + 255};
      set.pack_q8(rows.data(), k, m, k, nullptr, params, quantized.data());
      set.gemm(quantized.data(), m, {packed.data(), k, n, ones.data(), zero_point_corrections.data()}, 0, 2, c.data(), n,
               Epilogue{zeros.data()});
      for (int64_t i = 0; i < m * n; ++i) {
        const int64_t q = static_cast<int64_t>(i / n % 2 ? params.qmin : params.qmax),
                      weight = int64_t{weights.data<int8_t>()[i % n]};
        ASSERT_EQ(c.data()[i], static_cast<float>(q * weight * k)) << i << ", lowest " << qmin << ", group " << set.group;
      }
    }
  }
}

// Products of 16-bit-safe matrices of every small size, with weights that use all of 16 bits.
TEST(Q8KernelTest, SumsOf16BitSafeWeightsAreExact) {
  const int panel = kernels().panel;
  std::mt19937 random(4);
  for (const Q8Kernels& set : q8_kernels())
    for (int64_t k = 1; k < 70; ++k)
      for (const int64_t n : {int64_t{1}, int64_t{panel}, int64_t{panel + panel / 2 + 1}}) {
        const QuantizedWeights w = quantize_weights(normal_tensor({k, n}, random), n, true, {127, true});
        ASSERT_TRUE(is_16bit_safe(w.values, n));
        const int64_t m = 7, padded = (n + panel - 1) / panel * panel;
        Buffer<uint8_t> packed(packed_weights_bytes(k, n, panel, set.group)), quantized(m * row_groups(k, set.group) * 4);
        pack_q8_weights(w.values.data<int8_t>(), k, n, panel, set.group, packed.data());
        FloatBuffer ones(std::max(padded, k) + panel), zeros(padded), c(m * n), rows(m * k);
        std::fill_n(ones.data(), ones.size(), 1.0f);
        Buffer<int32_t> zero_point_corrections(padded);
        add_zero_point_corrections(w.values.data<int8_t>(), k, n, -13, zero_point_corrections.data());
        for (int64_t i = 0; i < m * k; ++i)
          rows.data()[i] = i / k < 2 ? (i / k ? 1e9f : -1e9f) : static_cast<float>(random() % 256) - 13;
        set.pack_q8(rows.data(), k, m, k, nullptr, {ones.data(), -13, 242}, quantized.data());
        set.gemm(quantized.data(), m, {packed.data(), k, n, ones.data(), zero_point_corrections.data()}, 0, padded / panel,
                 c.data(), n, Epilogue{zeros.data()});
        for (int64_t row = 0; row < m; ++row)
          for (int64_t column = 0; column < n; ++column) {
            float sum = 0;
            for (int64_t i = 0; i < k; ++i)
              sum += std::clamp(rows.data()[row * k + i], -13.0f, 242.0f) *
                     static_cast<float>(w.values.data<int8_t>()[i * n + column]);
            ASSERT_EQ(c.data()[row * n + column], sum)
                << "group " << set.group << ", " << k << "x" << n << " row " << row << " column " << column;
          }
      }
}

TEST(Q8KernelTest, EveryFloatIsQuantized) {
  for (const Q8Kernels& set : q8_kernels())
    for (const QuantParams& q : kQuants) {
      const PackedQuantizeParams table(q, {}, 13, kernels().panel);
      const QuantizeParams params = table.params();
      std::vector<float> x{0,         -0.0f,           q.scale,         -q.scale, 1e30f, -1e30f, INFINITY,
                           -INFINITY, 0.49f * q.scale, 0.51f * q.scale, 7,        -7,    NAN};
      std::vector<uint8_t> quantized(static_cast<size_t>(row_groups(13, set.group)) * 4, 99);
      set.pack_q8(x.data(), 13, 1, 13, nullptr, params, quantized.data());
      for (int i = 0; i < 12; ++i)
        EXPECT_EQ(q_of(quantized, i, set.group, params) + q.zero_point, q.quantize(x[static_cast<size_t>(i)]))
            << x[static_cast<size_t>(i)];
      EXPECT_EQ(q_of(quantized, 12, set.group, params), params.qmin) << "not a number";
      for (size_t i = 13 * 4 / static_cast<size_t>(set.group); i < quantized.size(); ++i) EXPECT_EQ(quantized[i], 0);
      // The same, packed from a map that is quantized already.
      std::vector<uint8_t> map(13), rows(quantized.size(), 99);
      kernels().quantize(x.data(), 13, 1, 13, params, map.data(), 13);
      set.repack_q8(map.data(), 1, 13, params.qmin, rows.data());
      EXPECT_EQ(rows, quantized);
      std::vector<float> numbers(13);
      kernels().dequantize(map.data(), 13, params.qmin, numbers.data());
      kernels().fake_quantize(x.data(), x.data(), 1, 13, params);
      EXPECT_EQ(numbers, x);
      for (int i = 0; i < 13; ++i)
        EXPECT_EQ(x[static_cast<size_t>(i)], static_cast<float>(q_of(quantized, i, set.group, params)));
    }
}

// Rows are quantized alike alone and side by side, whatever their length, distance and factors.
TEST(Q8KernelTest, RowsOfEveryLengthAreQuantized) {
  std::mt19937 random(5);
  for (const Q8Kernels& set : q8_kernels())
    for (int64_t k : {1, 2, 3, 4, 8, 12, 24, 40, 100, 255, 256, 500, 512, 516, 1030})
      for (int64_t gap : {0, 5}) {
        const int64_t rows = 37, row_bytes = row_groups(k, set.group) * 4;
        const Tensor x = normal_tensor({rows, k + gap}, random, 3), gate = normal_tensor({k}, random);
        std::vector<float> inverse(static_cast<size_t>(k + 2 * kernels().panel));
        for (size_t i = 0; i < inverse.size(); ++i) inverse[i] = static_cast<float>(10 + i % 7);
        const QuantizeParams params{inverse.data(), -100, 127};
        std::vector<uint8_t> quantized(static_cast<size_t>(rows * row_bytes), 99);
        set.pack_q8(x.data<float>(), k + gap, rows, k, gate.data<float>(), params, quantized.data());
        for (int64_t r = 0; r < rows; ++r) {
          const std::vector<uint8_t> row(quantized.begin() + r * row_bytes, quantized.begin() + (r + 1) * row_bytes);
          for (int64_t i = 0; i < k; ++i) {
            const float number = x.data<float>()[r * (k + gap) + i] * (inverse[static_cast<size_t>(i)] * gate.data<float>()[i]);
            ASSERT_EQ(q_of(row, i, set.group, params), std::nearbyint(std::clamp(number, -100.0f, 127.0f)))
                << "row " << r << " column " << i << " of " << k;
          }
        }
      }
}

// swish(convolution + residual), where the convolution's own results are so small that an approximation of swish for small values
// would do for them alone.
TEST(Q8Residual, BeforeSwishIsNotTakenForSmall) {
  for (int kernel : {1, 3, 0, 8}) {  // 0: depthwise and pointwise, 8: groups of 8
    SCOPED_TRACE(kernel);
    QuantizedNet net;
    const QuantParams small{0.0005f, 128, false};
    net.input("x", {1, 9, 11, 16});
    net.input("residual", {1, 9, 11, 16});
    if (kernel == 8) {
      const Tensor w = normal_tensor({3, 3, 8, 16}, net.random, 0.1f);
      constant(net.graph, "c/w", w);
      set_quantized(net.graph, add(net.graph, "c", "Conv2D", {"x", "c/w"}, conv_attrs("SAME")), small,
                    quantize_weights(w, 16, true));
    } else {
      if (kernel == 0) net.conv("d", "x", 16, 0, small);
      net.conv("c", kernel == 0 ? "d" : "x", 16, kernel == 0 ? 1 : kernel, small);
    }
    for (int64_t i = 0; i < net.data["residual"].size(); ++i) net.data["residual"].data<float>()[i] *= 3;
    net.op("sum", "AddV2", {"c", "residual"});
    net.op("sigmoid", "Sigmoid", {"sum"});
    net.op("y", "Mul", {"sum", "sigmoid"});
    const Answers a = net.expect_answers({"y"}, 55);
    EXPECT_FALSE(a.kernels.contains("elementwise"));
  }
}

}  // namespace
}  // namespace cytodet
