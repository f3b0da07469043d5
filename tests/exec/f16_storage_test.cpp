// The map of a depthwise layer in 8 bits whose readers do not all quantize it alike is stored as f16, where the kernels have it
// and all readers take it: above all a product in 8 bits with a gate.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "exec/kernels/kernels.h"
#include "graph/quantized/quant_nodes.h"
#include "tests/exec/answers.h"
#include "tests/exec/random.h"
#include "tests/graph/fixtures.h"

namespace cytodet {
namespace {

using namespace test;

// x [-> expansion -> swish] -> depthwise "dw" -> swish "map"; its mean -> product -> sigmoid "gate"; map * gate -> product "out".
struct F16Block {
  Shape in{2, 13, 15, 24};
  int channels = 24;  // of the map; others than of `in` only behind an expansion
  bool expand = false;
  int kernel = 3, stride = 1, dilation = 1;
  bool relu = false;          // instead of swish
  float bias = 0;             // of one channel of the depthwise layer
  float size = 1;             // multiplies all values of the map
  bool quantized_map = true;  // the depthwise layer is in 8 bits
  bool coded_out = true;      // the last product is
  int out_kernel = 1;         // its kernel
  bool gated_twice = false;   // a second product reads the map with another gate, "out2"
};
void PrintTo(const F16Block& b, std::ostream* os) {
  *os << b.in[0] << "x" << b.in[1] << "x" << b.in[2] << "x" << b.in[3] << "->" << b.channels << (b.expand ? " expanded" : "")
      << ", kernel " << b.kernel << " stride " << b.stride << " dilation " << b.dilation;
}

Graph graph_of(const F16Block& b) {
  std::mt19937 random(21);
  Graph g;
  std::vector<std::tuple<NodeId, QuantParams, Tensor>> quantized;
  const auto conv = [&](const std::string& name, const std::string& in, Shape filter, float scale, AttrMap attrs,
                        const QuantParams* quant) {
    const bool depthwise = filter[3] == 1;
    const Tensor w = normal_tensor(filter, random, scale);
    Tensor bias = normal_tensor({filter[depthwise ? 2 : 3]}, random, depthwise ? 0.3f * b.size : 0.3f);
    if (depthwise) bias.data<float>()[filter[2] / 2] += b.bias;
    constant(g, name + "/w", w);
    constant(g, name + "/b", bias);
    const NodeId id = add(g, name + "/conv", depthwise ? "DepthwiseConv2dNative" : "Conv2D", {in, name + "/w"}, std::move(attrs));
    if (quant) quantized.emplace_back(id, *quant, w);
    add(g, name, "BiasAdd", {name + "/conv", name + "/b"});
  };
  const auto swish = [&](const std::string& name, const std::string& in) {
    add(g, name + "/sigmoid", "Sigmoid", {in});
    add(g, name, "Mul", {in, name + "/sigmoid"});
  };
  const QuantParams of_input{0.04f, 128, false}, of_expanded{0.02f, 14, false}, of_gated{0.02f * b.size, 20, false};
  placeholder(g, "x", b.in);
  if (b.expand) {
    conv("e", "x", {1, 1, b.in[3], b.channels}, 0.7f, conv_attrs("SAME"), &of_input);
    swish("expanded", "e");
  }
  AttrMap window = conv_attrs("SAME", b.stride);
  window.emplace("dilations", ints({1, b.dilation, b.dilation, 1}));
  conv("dw", b.expand ? "expanded" : "x", {b.kernel, b.kernel, b.channels, 1}, 3 * b.size / static_cast<float>(b.kernel),
       std::move(window), b.quantized_map ? (b.expand ? &of_expanded : &of_input) : nullptr);
  if (b.relu)
    add(g, "map", "Relu", {"dw"});
  else
    swish("map", "dw");
  constant(g, "axes", Tensor::from<int32_t>({2}, {1, 2}));
  add(g, "mean", "Mean", {"map", "axes"}, kept_dims());
  for (const std::string suffix : {"", "2"}) {
    if (!suffix.empty() && !b.gated_twice) continue;
    conv("excite" + suffix, "mean", {1, 1, b.channels, b.channels}, 0.2f, conv_attrs("SAME"), nullptr);
    add(g, "gate" + suffix, "Sigmoid", {"excite" + suffix});
    add(g, "gated" + suffix, "Mul", {"map", "gate" + suffix});
    conv("out" + suffix, "gated" + suffix, {b.out_kernel, b.out_kernel, b.channels, b.channels}, 0.3f, conv_attrs("SAME"),
         b.coded_out ? &of_gated : nullptr);
  }
  for (auto& [id, quant, w] : quantized)
    set_quantized(g, id, quant, quantize_weights(w, w.dim(g.node(id).op == "Conv2D" ? 3 : 2), true));
  return g;
}

// Bytes that the step moves which computes the map.
int64_t map_bytes(const Graph& g, const std::vector<std::string>& outputs) {
  PlanOptions o;
  o.outputs = outputs;
  for (const StepInfo& s : Plan::compile(g, o)->steps())
    if (s.name == "map") return s.bytes;
  ADD_FAILURE() << "no step computes the map";
  return 0;
}

// A plan output is stored as floats of 4 bytes, f16 has 2.
void expect_f16(const Graph& g, std::vector<std::string> outputs, bool halves) {
  const Shape map = *Facts(g).of(g.value("map")).shape;
  const int64_t bytes = map_bytes(g, outputs);
  outputs.push_back("map");
  const int64_t saved = map_bytes(g, outputs) - bytes;
  EXPECT_EQ(saved, halves && kernels().f32_to_f16 ? 2 * elements(map) : 0);
}

// The answer is that of the plain evals, as far as 8 bits let it, and does not depend on the number of threads. Behind an
// expansion values are quantized three times, so that more of them fall to the other side of a rounding.
Answers expect_answers(const Graph& g, const F16Block& b, const std::vector<std::string>& outputs) {
  std::mt19937 random(22);
  Answers a = run_both(g, {{"x", normal_tensor(b.in, random)}}, outputs);
  for (size_t i = 0; i < outputs.size(); ++i) EXPECT_GT(sqnr_db(a.plan[i], a.plain[i]), b.expand ? 43 : 45) << outputs[i];
  return a;
}

class F16Storage : public ::testing::TestWithParam<F16Block> {};

TEST_P(F16Storage, DepthwiseMapBeforeGatedProduct) {
  const F16Block& b = GetParam();
  const Graph g = graph_of(b);
  expect_f16(g, {"out"}, true);
  const Answers a = expect_answers(g, b, {"out"}), floats = expect_answers(g, b, {"out", "map"});
  EXPECT_GT(sqnr_db(a.plan[0], floats.plan[0]), 52);
  EXPECT_THAT(a.kernels,
              ::testing::UnorderedElementsAre(b.expand ? "int8_expand_depthwise" : "int8_depthwise", "gemm", "int8_gemm"));
}
INSTANTIATE_TEST_SUITE_P(
    Blocks, F16Storage,
    ::testing::Values(F16Block{}, F16Block{.in = {1, 16, 16, 8}, .channels = 48, .expand = true},
                      F16Block{.in = {1, 9, 70, 17}, .channels = 17, .kernel = 5, .stride = 2},
                      F16Block{.in = {2, 12, 11, 8}, .channels = 37, .expand = true, .kernel = 5, .stride = 2, .relu = true},
                      F16Block{.in = {1, 12, 11, 33}, .channels = 33, .kernel = 9},
                      F16Block{.in = {1, 12, 11, 8}, .channels = 37, .expand = true, .kernel = 9},
                      F16Block{.in = {1, 14, 13, 20}, .channels = 20, .dilation = 2},
                      F16Block{.in = {2, 14, 13, 8}, .channels = 70, .expand = true, .dilation = 2},
                      F16Block{.in = {1, 90, 80, 16}, .channels = 24, .expand = true}));

TEST(F16StorageOf, TwoGatedReaders) {
  const F16Block b{.expand = true, .gated_twice = true};
  const Graph g = graph_of(b);
  expect_f16(g, {"out", "out2"}, true);
  expect_answers(g, b, {"out", "out2"});
}

// The fp16 scale fits the map's bound, where it has one.
TEST(F16StorageOf, ValuesOfAnySizeKeepTheirPrecision) {
  for (const bool expand : {false, true})
    for (const bool relu : {false, true})
      for (const auto& [size, bias] :
           {std::pair{1.0f, 70000.0f}, {1.0f, -70000.0f}, {1.0f, 1e9f}, {5e-4f, 0.0f}, {1e-9f, 0.0f}}) {
        SCOPED_TRACE(::testing::Message() << expand << relu << " size " << size << " bias " << bias);
        const F16Block b{.expand = expand, .relu = relu, .bias = bias, .size = size};
        const Graph g = graph_of(b);
        expect_f16(g, {"out"}, true);
        const Answers a = expect_answers(g, b, {"out"}), floats = expect_answers(g, b, {"out", "map"});
        EXPECT_GT(sqnr_db(a.plan[0], floats.plan[0]), 52);
      }
}

TEST(F16StorageRefused, ValuesUnbounded) {
  const F16Block b{.relu = true, .bias = 1e31f};
  const Graph g = graph_of(b);
  expect_f16(g, {"out"}, false);
  expect_answers(g, b, {"out"});
}

// Readers besides the gated product: "other" reads the map.
struct Reader {
  const char* name;
  bool halves;
  std::function<void(Graph&)> build;
};
void PrintTo(const Reader& r, std::ostream* os) { *os << r.name; }

void build_conv(Graph& g, int side, bool depthwise, bool quantized) {
  std::mt19937 random(3);
  constant(g, "w", normal_tensor(depthwise ? Shape{side, side, 24, 1} : Shape{side, side, 24, 24}, random, 0.3f));
  const NodeId conv = add(g, "other", depthwise ? "DepthwiseConv2dNative" : "Conv2D", {"map", "w"}, conv_attrs("SAME"));
  if (quantized) set_quantized(g, conv, {0.02f, 20, false}, quantize_weights(*g.constant(g.value("w")), 24, true));
}
void build_pool(Graph& g, const char* op) {
  AttrMap attrs = conv_attrs("SAME", 2);
  attrs.emplace("ksize", ints({1, 3, 3, 1}));
  add(g, "other", op, {"map"}, attrs);
}
void build_resize(Graph& g, const char* op) {
  constant(g, "size", Tensor::from<int32_t>({2}, {26, 30}));
  add(g, "other", op, {"map", "size"});
}

const Reader kReaders[] = {
    {"Sum", true,
     [](Graph& g) {
       add(g, "other", "AddV2", {"map", "x"});
     }},
    {"Product", true,
     [](Graph& g) {
       add(g, "other", "Mul", {"map", "x"});
     }},
    {"Square", true,
     [](Graph& g) {
       add(g, "other", "Mul", {"map", "map"});
     }},
    {"Activation", true, [](Graph& g) { add(g, "other", "Relu", {"map"}); }},
    {"MaxPool", true, [](Graph& g) { build_pool(g, "MaxPool"); }},
    {"AveragePool", true, [](Graph& g) { build_pool(g, "AvgPool"); }},
    {"ResizeNearest", true, [](Graph& g) { build_resize(g, "ResizeNearestNeighbor"); }},
    {"ResizeBilinear", true, [](Graph& g) { build_resize(g, "ResizeBilinear"); }},
    {"CodedSum", true,
     [](Graph& g) {
       const std::string map = g.name_of(add_fake_quant(g, g.value("map"), {0.03f, 30, false}));
       add(g, "other", "AddV2", {map, "x"});
     }},
    {"CodedProduct", true, [](Graph& g) { build_conv(g, 1, false, true); }},
    {"CodedConvolution", true, [](Graph& g) { build_conv(g, 3, false, true); }},
    {"CodedDepthwise", true, [](Graph& g) { build_conv(g, 3, true, true); }},
    {"FloatProduct", false, [](Graph& g) { build_conv(g, 1, false, false); }},
    {"FloatConvolution", false, [](Graph& g) { build_conv(g, 3, false, false); }},
    {"FloatDepthwise", false, [](Graph& g) { build_conv(g, 3, true, false); }},
    {"PlainNode", false, [](Graph& g) { add(g, "other", "Sin", {"map"}); }},
    {"Alias", false, [](Graph& g) { add(g, "other", "Identity", {"map"}); }},
};

class F16StorageWith : public ::testing::TestWithParam<Reader> {};

TEST_P(F16StorageWith, AnotherReader) {
  const F16Block b{};
  Graph g = graph_of(b);
  GetParam().build(g);
  expect_f16(g, {"other", "out"}, GetParam().halves);
  expect_answers(g, b, {"other", "out"});
}
INSTANTIATE_TEST_SUITE_P(Readers, F16StorageWith, ::testing::ValuesIn(kReaders), [](const auto& of) { return of.param.name; });

// A layer in 8 bits or on floats behind the gated product adds the map.
TEST(F16StorageOf, AResidualOfALaterLayer) {
  const F16Block b{};
  std::mt19937 random(5);
  for (const bool quantized : {true, false}) {
    SCOPED_TRACE(quantized);
    Graph g = graph_of(b);
    const Tensor w = normal_tensor({1, 1, 24, 24}, random, 0.3f);
    constant(g, "w", w);
    const NodeId conv = add(g, "last", "Conv2D", {"out", "w"}, conv_attrs("SAME"));
    if (quantized) set_quantized(g, conv, {0.03f, 128, false}, quantize_weights(w, 24, true));
    add(g, "sum", "AddV2", {"last", "map"});
    expect_f16(g, {"sum"}, quantized);
    expect_answers(g, b, {"sum"});
  }
}

TEST(F16StorageOf, AGatedProductThatAddsTheMap) {
  const F16Block b{};
  Graph g = graph_of(b);
  add(g, "sum", "AddV2", {"out", "map"});
  expect_f16(g, {"sum"}, true);
  expect_answers(g, b, {"sum"});
}

TEST(F16StorageRefused, MapOrProductNotQuantized) {
  for (const F16Block& b : {F16Block{.quantized_map = false}, F16Block{.coded_out = false}}) {
    SCOPED_TRACE(::testing::Message() << b.quantized_map << b.coded_out);
    const Graph g = graph_of(b);
    expect_f16(g, {"out"}, false);
    expect_answers(g, b, {"out"});
  }
}

// Then the gate is a step of its own.
TEST(F16StorageOf, AGateBeforeAConvolution) {
  const F16Block b{.out_kernel = 3};
  const Graph g = graph_of(b);
  expect_f16(g, {"out"}, true);
  EXPECT_THAT(expect_answers(g, b, {"out"}).kernels, ::testing::Contains("gate"));
}

// A map of one pixel may be a gate itself.
TEST(F16StorageRefused, MapIsGate) {
  Graph g;
  std::mt19937 random(4);
  placeholder(g, "x", {1, 1, 1, 24});
  const Tensor taps = normal_tensor({3, 3, 24, 1}, random, 0.4f), w = normal_tensor({1, 1, 24, 18}, random, 0.3f);
  constant(g, "taps", taps);
  constant(g, "w", w);
  const NodeId depthwise = add(g, "dw", "DepthwiseConv2dNative", {"x", "taps"}, conv_attrs("SAME"));
  add(g, "map", "Relu", {"dw"});
  placeholder(g, "y", {1, 7, 6, 24});
  add(g, "gated", "Mul", {"y", "map"});
  const NodeId product = add(g, "out", "Conv2D", {"gated", "w"}, conv_attrs("SAME"));
  set_quantized(g, depthwise, {0.04f, 128, false}, quantize_weights(taps, 24, true));
  set_quantized(g, product, {0.02f, 128, false}, quantize_weights(w, 18, true));
  expect_f16(g, {"out"}, false);
  const Answers a =
      run_both(g, {{"x", normal_tensor({1, 1, 1, 24}, random)}, {"y", normal_tensor({1, 7, 6, 24}, random)}}, {"out"});
  EXPECT_GT(sqnr_db(a.plan[0], a.plain[0]), 45);
}

}  // namespace
}  // namespace cytodet
