// Dense convolutions in float that read windows in place, and those by Winograd's transforms, against the plain evals.
#include "exec/steps/window_conv.h"

#include <gtest/gtest.h>

#include "exec/steps/winograd_conv.h"
#include "tests/exec/answers.h"
#include "tests/exec/compare.h"
#include "tests/exec/quantized_net.h"

namespace cytodet {
namespace {

using namespace test;

struct WindowCase {
  int64_t h, w, in_c, out_c, kernel_h, kernel_w;
  int stride, dilation;
  const char* padding;
  const char* kernel;
};

// conv -> bias -> [residual ->] Relu [-> residual]
Answers answers(const WindowCase& c, const std::string& residual, int64_t batch = 2) {
  Graph g;
  std::mt19937 random(static_cast<unsigned>(c.in_c + c.out_c));
  std::map<std::string, Tensor> data{{"x", normal_tensor({batch, c.h, c.w, c.in_c}, random)}};
  placeholder(g, "x", data["x"].shape());
  const float scale = 1 / std::sqrt(static_cast<float>(c.kernel_h * c.kernel_w * c.in_c));
  constant(g, "weights", normal_tensor({c.kernel_h, c.kernel_w, c.in_c, c.out_c}, random, scale));
  constant(g, "b", normal_tensor({c.out_c}, random));
  AttrMap attrs = conv_attrs(c.padding, c.stride);
  attrs.insert_or_assign("dilations", ints({1, c.dilation, c.dilation, 1}));
  add(g, "conv", "Conv2D", {"x", "weights"}, attrs);
  add(g, "bias", "BiasAdd", {"conv", "b"});
  std::string last = "bias";
  const auto add_residual = [&] {
    const int64_t span_h = (c.kernel_h - 1) * c.dilation, span_w = (c.kernel_w - 1) * c.dilation;
    const bool same = std::string(c.padding) == "SAME";
    const Shape out{batch, ((same ? c.h : c.h - span_h) + c.stride - 1) / c.stride,
                    ((same ? c.w : c.w - span_w) + c.stride - 1) / c.stride, c.out_c};
    data["r"] = normal_tensor(out, random);
    placeholder(g, "r", out);
    add(g, "sum", "AddV2", {last, "r"});
    last = "sum";
  };
  if (residual == "before") add_residual();
  add(g, "act", "Relu", {last});
  last = "act";
  if (residual == "after") add_residual();
  return run_both(g, data, {last});
}

constexpr WindowCase kCases[] = {
    {23, 21, 3, 20, 7, 7, 2, 1, "SAME", "window_gemm"},   // a stem: rows of windows are 21 floats
    {17, 19, 3, 33, 3, 3, 2, 1, "VALID", "window_gemm"},  // read in the image itself
    {9, 9, 24, 40, 1, 7, 1, 1, "SAME", "window_gemm"},    //
    {9, 9, 24, 40, 7, 1, 1, 1, "SAME", "window_gemm"},    //
    {11, 10, 48, 17, 5, 5, 1, 1, "SAME", "window_gemm"},  //
    {12, 13, 20, 12, 3, 3, 1, 2, "SAME", "window_gemm"},  // dilated: every tap a segment
    {7, 6, 200, 9, 3, 3, 1, 1, "SAME", "window_gemm"},    // rows of windows are cut into segments
    {9, 9, 512, 34, 1, 1, 2, 1, "VALID", "window_gemm"},  // pixels that crowd the cache are moved apart
    {5, 5, 512, 16, 3, 3, 2, 1, "SAME", "window_gemm"},   //
    {2, 2, 40, 8, 3, 3, 1, 1, "SAME", "window_gemm"},     // every window reaches beyond the map on two sides
    {8, 8, 32, 32, 3, 3, 1, 1, "SAME", "winograd"},       //
    {9, 11, 33, 45, 3, 3, 1, 1, "SAME", "winograd"},      // odd everything
    {13, 10, 40, 70, 3, 3, 1, 1, "VALID", "winograd"},    //
    {16, 15, 400, 36, 3, 3, 1, 1, "SAME", "winograd"},    // several blocks of tiles, of several segments
};

TEST(WindowConv, EveryGeometryGivesThePlainAnswer) {
  for (const WindowCase& c : kCases)
    for (const char* residual : {"none", "before", "after"}) {
      SCOPED_TRACE(std::to_string(c.kernel_h) + "x" + std::to_string(c.kernel_w) + " of " + std::to_string(c.in_c) +
                   ", residual " + residual);
      const Answers a = answers(c, residual);
      EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 2e-6);
      EXPECT_TRUE(a.kernels.contains(c.kernel)) << *a.kernels.begin();
      EXPECT_FALSE(a.kernels.contains("plain"));
    }
}

// Vectors along what a window holds, for every number of results and every rest of a vector; sides of windows may be long.
TEST(WindowConv, FewResultsPerPixel) {
  for (int64_t out_c = 1; out_c <= 9; ++out_c)
    for (const WindowCase& c : {WindowCase{9, 8, 16, out_c, 1, 1, 1, 1, "SAME", ""},
                                {9, 13, 40, out_c, 1, 1, 1, 1, "SAME", ""},
                                {11, 10, 24, out_c, 3, 3, 1, 1, "SAME", ""},
                                {11, 12, 33, out_c, 3, 3, 2, 1, "VALID", ""},
                                {12, 11, 17, out_c, 3, 3, 1, 2, "SAME", ""},
                                {9, 9, 8, out_c, 5, 5, 1, 1, "SAME", ""},
                                {1, 700, 1, out_c, 1, 300, 3, 1, "SAME", ""}})
      for (const char* residual : {"none", "before", "after"}) {
        SCOPED_TRACE(std::to_string(c.kernel_h) + "x" + std::to_string(c.kernel_w) + " of " + std::to_string(c.in_c) + " to " +
                     std::to_string(out_c) + ", residual " + residual);
        const Answers a = answers(c, residual);
        EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 2e-6);
        EXPECT_FALSE(a.kernels.contains("plain"));
      }
}

// Rows of a product, which are images of a batch, give what each gives alone.
TEST(WindowConv, FewResultsOfManyRowsAreThoseOfOne) {
  for (const int64_t k : {64, 2048}) {
    std::mt19937 random(4);
    const Tensor rows = normal_tensor({40, k}, random), weights = normal_tensor({k, 2}, random, 0.1f);
    const auto product = [&](const Tensor& x) {
      Graph g;
      placeholder(g, "x", x.shape());
      constant(g, "w", weights);
      add(g, "y", "MatMul", {"x", "w"});
      return run_both(g, {{"x", x}}, {"y"}).plan[0];
    };
    const Tensor all = product(rows);
    for (int64_t i = 0; i < 40; i += 13) {
      Tensor row(DType::f32, {1, k});
      std::copy_n(rows.data<float>() + i * k, k, row.data<float>());
      const Tensor one = product(row);
      EXPECT_EQ(one.data<float>()[0], all.data<float>()[2 * i]) << k << " " << i;
      EXPECT_EQ(one.data<float>()[1], all.data<float>()[2 * i + 1]) << k << " " << i;
    }
  }
}

// Windows that reach far beyond the map: taps that never touch it are left out.
TEST(WindowConv, TapsBeyondTheMap) {
  for (const auto& [size, stride, dilation] :
       {std::tuple{16, 1, 12}, {16, 1, 24}, {5, 1, 4}, {5, 1, 5}, {7, 2, 9}, {1, 1, 1}, {2, 1, 3}})
    for (const bool depthwise : {false, true})
      for (const bool int8 : {false, true}) {
        std::mt19937 random(3);
        const QuantParams quant{0.03f, 10, false};
        const int64_t channels = 16;
        Graph g;
        const Shape in{2, size, size + 3, channels};
        placeholder(g, "x", in);
        const Tensor weights = normal_tensor({3, 3, channels, depthwise ? 1 : 24}, random, 0.1f);
        constant(g, "w", weights);
        AttrMap attrs = conv_attrs("SAME", stride);
        attrs.insert_or_assign("dilations", ints({1, dilation, dilation, 1}));
        const NodeId id = add(g, "conv", depthwise ? "DepthwiseConv2dNative" : "Conv2D", {"x", "w"}, std::move(attrs));
        add(g, "y", "Relu", {"conv"});
        if (int8) set_quantized(g, id, quant, quantize_weights(weights, depthwise ? channels : 24, true));
        const Answers a = run_both(g, {{"x", tensor_near_q8(in, quant, random)}}, {"y"});
        const std::string what = std::to_string(size) + " " + std::to_string(dilation) + (depthwise ? " depthwise" : "");
        EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 1e-5) << what;
        EXPECT_FALSE(a.kernels.contains("plain")) << what;
        if (!depthwise && dilation == 24) {
          EXPECT_TRUE(a.kernels.contains(int8 ? "int8_gemm" : "gemm")) << *a.kernels.begin();
        }
      }
}

// Bands and panels that threads share do not change a result.
TEST(WindowConv, LargeMapsInBands) {
  for (const WindowCase& c :
       {WindowCase{60, 61, 64, 40, 3, 3, 2, 1, "SAME", "window_gemm"}, {40, 41, 48, 64, 3, 3, 1, 1, "SAME", "winograd"}}) {
    const Answers a = answers(c, "none", 1);
    EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 2e-6) << c.kernel;
    EXPECT_TRUE(a.kernels.contains(c.kernel)) << c.kernel;
  }
}

// In 8 bits, of maps that are stored as floats and as bytes; sums are exact, so that only the last rounding differs.
TEST(WindowConv, InEightBits) {
  for (const bool q8_16bit_safe : {true, false})
    for (const WindowCase& c : kCases) {
      if (c.in_c % 8 != 0) continue;
      SCOPED_TRACE(std::to_string(c.kernel_h) + "x" + std::to_string(c.kernel_w) + " of " + std::to_string(c.in_c));
      QuantizedNet net;
      const QuantParams quant{0.03f, 110, false};
      net.input("x", {2, c.h, c.w, c.in_c});
      std::string last = "x";
      for (const char* name : {"first", "second"}) {
        const int64_t in_c = net.shape(last).back(), out_c = last == "x" ? 24 : c.out_c;
        const float scale = 1 / std::sqrt(static_cast<float>(c.kernel_h * c.kernel_w * in_c));
        const Tensor w = normal_tensor({c.kernel_h, c.kernel_w, in_c, out_c}, net.random, scale);
        constant(net.graph, std::string(name) + "/w", w);
        AttrMap attrs = conv_attrs("SAME", c.stride);
        attrs.insert_or_assign("dilations", ints({1, c.dilation, c.dilation, 1}));
        const NodeId id = add(net.graph, name, "Conv2D", {last, std::string(name) + "/w"}, attrs);
        set_quantized(net.graph, id, quant, quantize_weights(w, out_c, true, {127, q8_16bit_safe}));
        last = name;
      }
      const Answers a = net.expect_answers({"second"}, 35);
      EXPECT_EQ(a.kernels, std::set<std::string>{"int8_window_gemm"});
    }
}

// Rows that are far apart in memory are moved together.
TEST(WindowConv, PointwiseOfPixelsThatCrowdTheCache) {
  for (const char* residual : {"none", "before"}) {
    const Answers a = answers({5, 6, 1024, 40, 1, 1, 1, 1, "SAME", "window_gemm"}, residual);
    EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 2e-6);
    EXPECT_EQ(a.kernels, std::set<std::string>{"window_gemm"});
  }
}

TEST(WindowLayout, ReadsTheImageItselfWhereNothingIsPadded) {
  ConvShape s;
  s.in_h = s.in_w = 12, s.in_c = 8, s.out_h = s.out_w = 10, s.kernel_h = s.kernel_w = 3;
  const WindowLayout inside(s, 4, false);
  EXPECT_FALSE(inside.copies);
  EXPECT_EQ(inside.segments.size(), 3u);
  EXPECT_EQ(inside.segments[1].length, 24);
  EXPECT_EQ(inside.segments[1].offset, 12 * 8);
  s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = 1, s.out_h = s.out_w = 12;
  const WindowLayout padded(s, 4, false);
  EXPECT_TRUE(padded.copies);
  EXPECT_EQ(padded.row_stride, 14 * 8);
  EXPECT_EQ(padded.band_rows(4), 6);
}

}  // namespace
}  // namespace cytodet
