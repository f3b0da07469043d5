// Steps whose number of rows is known only when they run, as behind the suppression of a detector's first stage.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/exec/compare.h"
#include "tests/exec/quantized_net.h"

namespace cytodet {
namespace {

using namespace test;
using ::testing::HasSubstr;

AttrMap gather_attrs() {
  AttrMap attrs;
  attrs.emplace("Tparams", DType::f32);
  attrs.emplace("Tindices", DType::i32);
  attrs.emplace("Taxis", DType::i32);
  return attrs;
}

// "kept": the rows of `in` [n, ...] at which "keep" [n] is positive; "places": their numbers.
void keep_rows(QuantizedNet& net, const std::string& in, int64_t n) {
  net.input("keep", {n});
  constant(net.graph, "zero", Tensor::from<float>({}, {0}));
  net.sizes("flat", {-1});
  net.sizes("axis", {0});
  net.op("positive", "Greater", {"keep", "zero"});
  net.op("where", "Where", {"positive"});
  AttrMap cast;
  cast.emplace("SrcT", DType::i64);
  cast.emplace("DstT", DType::i32);
  net.op("cast", "Cast", {"where"}, cast);
  net.op("places", "Reshape", {"cast", "flat"});
  net.op("kept", "GatherV2", {in, "places", "axis"}, gather_attrs());
}

void keep_all(QuantizedNet& net, bool all) {
  Tensor& keep = net.data["keep"];
  for (int64_t i = 0; i < keep.size(); ++i) keep.data<float>()[i] = all ? 1.0f : -1.0f;
}

struct Sizes {
  int64_t rows, k, n;
};

// Two layers of a box head: "relu" and "scores".
QuantizedNet box_head(const Sizes& s, bool quantized) {
  QuantizedNet net;
  net.input("x", {s.rows, s.k});
  keep_rows(net, "x", s.rows);
  const auto product = [&](const std::string& name, const std::string& in, int64_t k, int64_t n) {
    const Tensor w = normal_tensor({k, n}, net.random, 1 / std::sqrt(static_cast<float>(k)));
    constant(net.graph, name + "/w", w);
    constant(net.graph, name + "/b", normal_tensor({n}, net.random));
    net.op(name, "MatMul", {in, name + "/w"});
    if (quantized)
      set_quantized(net.graph, net.graph.require(name), QuantParams{0.03f, 128, false}, quantize_weights(w, n, true));
    net.op(name + "/sum", "BiasAdd", {name, name + "/b"});
  };
  product("first", "kept", s.k, s.n);
  net.op("relu", "Relu", {"first/sum"});
  product("second", "relu", s.n, 5);
  net.op("scores", "Sigmoid", {"second/sum"});
  return net;
}

void expect_head(const Sizes& s, bool quantized, const char* kernel, double min_db) {
  QuantizedNet net = box_head(s, quantized);
  const Answers a = net.expect_answers({"scores", "relu"}, min_db);
  EXPECT_EQ(a.steps.at("relu").kernel, kernel);
  EXPECT_EQ(a.steps.at("scores").kernel, kernel);
}

TEST(OpenRows, ProductsPackTheirWeightsOnce) {
  for (const Sizes s : {Sizes{7, 3, 4}, Sizes{40, 65, 33}, Sizes{300, 130, 64}}) expect_head(s, false, "gemm", 100);
}

TEST(OpenRows, ProductsInEightBits) {
  for (const Sizes s : {Sizes{7, 4, 4}, Sizes{40, 66, 33}, Sizes{300, 130, 64}}) expect_head(s, true, "int8_gemm", 45);
}

TEST(OpenRows, AllOrNoneAreKept) {
  for (bool all : {true, false})
    for (bool quantized : {true, false}) {
      QuantizedNet net = box_head({40, 66, 33}, quantized);
      keep_all(net, all);
      const Answers a = run_both(net.graph, net.data, {"scores"});
      EXPECT_EQ(a.plan[0].shape(), (Shape{all ? 40 : 0, 5}));
      if (all) {
        EXPECT_GT(sqnr_db(a.plan[0], a.plain[0]), 45);
      }
    }
}

TEST(OpenRows, OneRunnerTakesOtherNumbers) {
  QuantizedNet net = box_head({40, 66, 33}, false);
  PlanOptions options;
  options.outputs = {"scores"};
  Runner runner(Plan::compile(net.graph, options));
  for (int64_t kept : {3, 40, 0, 17, 17}) {
    for (size_t i = 0; i < runner.plan().inputs().size(); ++i) {
      const std::string& name = runner.plan().inputs()[i].name;
      Tensor& t = runner.input(static_cast<int>(i));
      std::memcpy(t.raw(), net.data.at(name).raw(), t.bytes());
      for (int64_t row = 0; name == "keep" && row < t.size(); ++row) t.data<float>()[row] = row < kept ? 1.0f : 0.0f;
    }
    runner.run();
    EXPECT_EQ(runner.output(0).shape(), (Shape{kept, 5}));
    for (int64_t i = 0; i < runner.output(0).size(); ++i) EXPECT_GT(runner.output(0).data<float>()[i], 0);
  }
}

TEST(OpenRows, OtherWidthsAreRefused) {
  QuantizedNet net;
  net.input("x", {12});
  net.input("keep", {12});
  constant(net.graph, "zero", Tensor::from<float>({}, {0}));
  net.op("positive", "Greater", {"keep", "zero"});
  net.op("where", "Where", {"positive"});
  AttrMap cast;
  cast.emplace("SrcT", DType::i64);
  cast.emplace("DstT", DType::f32);
  net.op("cast", "Cast", {"where"}, cast);
  net.sizes("two", {-1, 2});
  net.op("pairs", "Reshape", {"cast", "two"});
  net.sizes("swap", {1, 0});
  AttrMap perm;
  perm.emplace("Tperm", DType::i32);
  net.op("columns", "Transpose", {"pairs", "swap"}, perm);
  constant(net.graph, "w", normal_tensor({6, 3}, net.random));
  net.op("y", "MatMul", {"columns", "w"});
  keep_all(net, true);
  EXPECT_EQ(run_both(net.graph, net.data, {"y"}).plan[0].shape(), (Shape{2, 3}));
  net.data["keep"].data<float>()[0] = net.data["keep"].data<float>()[1] = -1;
  PlanOptions options;
  options.outputs = {"y"};
  Runner runner(Plan::compile(net.graph, options));
  for (size_t i = 0; i < runner.plan().inputs().size(); ++i)
    std::memcpy(runner.input(static_cast<int>(i)).raw(), net.data.at(runner.plan().inputs()[i].name).raw(),
                runner.input(static_cast<int>(i)).bytes());
  try {
    runner.run();
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("node y: multiplies rows of 6 numbers, and gets [2,5]"));
  }
}

// Kernels for maps of this many images and for these weights: neither may be taken for those of the run before.
TEST(OpenRows, ConvolutionsFollowTheirWeights) {
  QuantizedNet net;
  net.input("maps", {6, 12, 12, 32});
  net.input("w", {3, 3, 32, 32});
  keep_rows(net, "maps", 6);
  net.op("y", "Conv2D", {"kept", "w"}, conv_attrs("SAME", 1));
  PlanOptions options;
  options.outputs = {"y"};
  const auto plan = Plan::compile(net.graph, options);
  Runner runner(plan);
  Tensor& keep = net.data["keep"];
  for (int64_t run = 0; run < 4; ++run) {
    for (int64_t i = 0; i < 6; ++i) keep.data<float>()[i] = i < 6 - 2 * (run / 2) ? 1.0f : -1.0f;
    net.data["w"] = normal_tensor({3, 3, 32, 32}, net.random);
    Feeds feeds;
    for (const auto& [name, tensor] : net.data) feeds[net.graph.value(name)] = tensor;
    for (size_t i = 0; i < plan->inputs().size(); ++i)
      runner.set_input(static_cast<int>(i), net.data.at(plan->inputs()[i].name).clone());
    runner.run();
    EXPECT_LT(worst_difference(runner.output(0), interpret(net.graph, feeds, {net.graph.value("y")})[0]), 1e-4) << run;
  }
}

struct CropCase {
  int64_t height, width;
  int pool;          // 0: none
  bool open;         // the number of boxes is known only when it runs
  int64_t channels;  // of the map
};

// Crops of 2 maps of 9 x 11 by 24 boxes, some of which reach beyond their map, lie beside it, or are turned over.
QuantizedNet crops(const CropCase& c) {
  QuantizedNet net;
  net.input("map", {2, 9, 11, c.channels});
  net.input("boxes", {24, 4});
  Tensor& boxes = net.data["boxes"];
  std::uniform_real_distribution<float> place(-0.3f, 1.3f);
  for (int64_t i = 0; i < boxes.size(); ++i) boxes.data<float>()[i] = place(net.random);
  for (int64_t i = 0; i < 4; ++i) boxes.data<float>()[i] = i < 2 ? 0.0f : 1.0f;
  std::vector<int32_t> images;
  for (int32_t i = 0; i < 24; ++i) images.push_back(i * 7 % 2);
  net.sizes("images", images);
  std::string from = "boxes", index = "images";
  if (c.open) {
    keep_rows(net, "boxes", 24);
    AttrMap attrs = gather_attrs();
    attrs.insert_or_assign("Tparams", DType::i32);
    net.op("kept_images", "GatherV2", {"images", "places", "axis"}, attrs);
    from = "kept", index = "kept_images";
  }
  net.sizes("size", {static_cast<int32_t>(c.height), static_cast<int32_t>(c.width)});
  AttrMap attrs;
  attrs.emplace("extrapolation_value", 0.5f);
  net.op("crops", "CropAndResize", {"map", from, index, "size"}, attrs);
  if (c.pool == 0) return net;
  AttrMap pool = conv_attrs("VALID", c.pool);
  pool.emplace("ksize", ints({1, c.pool, c.pool, 1}));
  net.op("means", "AvgPool", {"crops"}, pool);
  return net;
}

TEST(Crops, AnswerAsThePlainEval) {
  for (const CropCase c : {CropCase{14, 14, 2, true, 7}, CropCase{14, 14, 2, false, 64}, CropCase{6, 9, 3, true, 20},
                           CropCase{7, 5, 0, true, 33}, CropCase{1, 4, 0, false, 3}, CropCase{1, 1, 0, true, 1}}) {
    QuantizedNet net = crops(c);
    const std::string output = c.pool ? "means" : "crops";
    const Answers a = run_both(net.graph, net.data, {output});
    EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 1e-6);
    EXPECT_EQ(a.steps.at(output).kernel, "crops");
  }
}

TEST(Crops, WindowsThatLeaveARestStayAPool) {
  QuantizedNet net = crops({7, 7, 2, false, 8});
  const Answers a = run_both(net.graph, net.data, {"means"});
  EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 1e-6);
  EXPECT_EQ(a.steps.at("crops").kernel, "crops");
  EXPECT_EQ(a.steps.at("means").kernel, "avg_pool");
}

TEST(Crops, AnIndexThatIsNoImageIsRefused) {
  QuantizedNet net = crops({4, 4, 0, false, 3});
  net.graph.require("images");
  Tensor wrong = Tensor::from<int32_t>({24}, std::vector<int32_t>(24, 2));
  constant(net.graph, "wrong", wrong);
  Graph& g = net.graph;
  g.node(g.require("crops")).inputs[2] = g.value("wrong");
  PlanOptions options;
  options.outputs = {"crops"};
  Runner runner(Plan::compile(g, options));
  EXPECT_THROW(runner.run(), Error);
}

}  // namespace
}  // namespace cytodet
