// INT8 that is far from float: the quantizer finds the cause, says what it did, and refuses what stays far.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <set>

#include "core/settings.h"
#include "graph/io/named_tensors.h"
#include "graph/io/tensorflow/graph_def.h"
#include "tests/graph/fixtures.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kChannels = 8;

class Int8SearchTest : public ProgramTest {
 protected:
  explicit Int8SearchTest(int64_t side = 6) : side_(side) {}
  void SetUp() override {
    ProgramTest::SetUp();
    placeholder(graph_, "x", {1, side_, side_, kChannels});
  }

  Tensor normal(const Shape& shape, float deviation) {
    Tensor t(DType::f32, shape);
    std::normal_distribution<float> values(0, deviation);
    for (int64_t i = 0; i < t.size(); ++i) t.data<float>()[i] = values(random_);
    return t;
  }
  Tensor pointwise_weights() { return normal({1, 1, kChannels, kChannels}, 0.35f); }
  void convolution(const std::string& name, const std::string& in, const Tensor& weights, const std::string& op = "Conv2D") {
    constant(graph_, name + "/weights", weights);
    add(graph_, name, op, {in, name + "/weights"}, conv_attrs("SAME"));
  }

  // The difference of two products that are nearly alike: what is left of it in 8 bits is noise.
  void nearly_nothing(const std::string& name, const std::string& in) {
    const Tensor one = pointwise_weights();
    Tensor other = one.clone();
    const Tensor little = normal(one.shape(), 0.001f);
    for (int64_t i = 0; i < other.size(); ++i) other.data<float>()[i] += little.data<float>()[i];
    convolution(name + "/one", in, one);
    convolution(name + "/other", in, other);
    add(graph_, name, "Sub", {name + "/one", name + "/other"});
  }

  Output quantize(std::vector<std::string> more = {}, int feeds = 9) {
    write_graph(graph_, path("net.pb"));
    std::filesystem::create_directories(folder / "feeds");
    for (int i = 0; i < feeds; ++i) {
      NamedTensors feed{{"x:0", normal({1, side_, side_, kChannels}, 1)}};
      Tensor& x = feed["x:0"];
      if (i == 1) x.data<float>()[5] = outlier_;
      put("feeds/" + std::to_string(i) + ".json", Json{{"inputs", tensors_to_json(feed)}}.dump());
    }
    std::vector<std::string> a{"quantize", path("net.pb"),  "--images", path("feeds"),
                               "-o",       path("int8.pb"), "--report", path("report.json")};
    a.insert(a.end(), more.begin(), more.end());
    return run(a);
  }
  Json report() { return read_json(path("report.json")); }
  std::set<std::string> layers(const std::string& precision) {
    std::set<std::string> names;
    const Json all = report();
    for (const Json& layer : all["layers"])
      if (layer["precision"] == precision) names.insert(layer["name"]);
    return names;
  }

  const int64_t side_;  // of a feed
  float outlier_ = 0;   // in a feed that is calibrated on
  Graph graph_;
  std::mt19937 random_{11};
};

TEST_F(Int8SearchTest, TheLayersThatDominateReturnToFloat) {
  convolution("a", "x", pointwise_weights());
  add(graph_, "b", "Relu", {"a"});
  convolution("c", "b", pointwise_weights());
  add(graph_, "d", "Relu", {"c"});
  nearly_nothing("e", "d");
  const Output o = quantize();
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("looking for the cause"));
  EXPECT_THAT(o.out, HasSubstr("2 layers in float (e/one, e/other)"));
  EXPECT_THAT(o.out, HasSubstr("held back from calibration"));
  EXPECT_EQ(layers("float"), (std::set<std::string>{"e/one", "e/other"}));
  EXPECT_EQ(layers("int8"), (std::set<std::string>{"a", "c"}));
  EXPECT_GE(report()["outputs_sqnr_db"]["e"].get<double>(), 20);
  EXPECT_FALSE(report()["search"].empty());
}

TEST_F(Int8SearchTest, WhatStaysFarIsRefusedUnlessForced) {
  nearly_nothing("e", "x");
  const Output refused = quantize();
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("net.pb: in INT8 its outputs are at "));
  EXPECT_THAT(refused.err, HasSubstr("nothing was written; calibrate on images like those it will see, or --force"));
  EXPECT_FALSE(std::filesystem::exists(folder / "int8.pb"));
  const Output forced = quantize({"--force", "--no-search"});
  EXPECT_EQ(forced.code, 0) << forced.err;
  EXPECT_THAT(forced.out, Not(HasSubstr("looking for the cause")));
  EXPECT_THAT(forced.err, HasSubstr("warning"));
  EXPECT_TRUE(std::filesystem::exists(folder / "int8.pb"));
}

// Channels of very different size: TensorFlow would round them all by the largest one's step.
TEST_F(Int8SearchTest, ALayerThatTensorFlowRoundsTooCoarselyIsLeftToItInFloat) {
  Tensor spread = normal({3, 3, kChannels, 1}, 0.3f), back = pointwise_weights();
  for (int64_t c = 0; c < kChannels; ++c) {
    const float factor = std::pow(0.55f, static_cast<float>(c));
    for (int64_t tap = 0; tap < 9; ++tap) spread.data<float>()[tap * kChannels + c] *= factor;
    for (int64_t out = 0; out < kChannels; ++out) back.data<float>()[c * kChannels + out] /= factor;
  }
  convolution("a", "x", pointwise_weights());
  add(graph_, "b", "Relu", {"a"});
  convolution("c", "b", spread, "DepthwiseConv2dNative");
  convolution("d", "c", back);
  add(graph_, "e", "Relu", {"d"});
  convolution("f", "e", pointwise_weights());
  const Output o = quantize();
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("it gets 1 layers on floats (c)"));
  EXPECT_EQ(layers("int8"), (std::set<std::string>{"a", "c", "d", "f"})) << o.out;
  const double here = report()["outputs_sqnr_db"]["f"], there = report()["outputs_sqnr_db_in_tensorflow"]["f"];
  EXPECT_GE(here, 20);
  EXPECT_GE(there, here - 1);
}

class Int8SearchOfLargeFeeds : public Int8SearchTest {
 protected:
  Int8SearchOfLargeFeeds() : Int8SearchTest(48) {}
};

// One number far from all others: a range that cuts it gives the others smaller steps.
TEST_F(Int8SearchOfLargeFeeds, RangesOfLeastSquaredErrorAreTakenWhereTheyAreBetter) {
  convolution("a", "x", pointwise_weights());
  outlier_ = 15;
  const Output o = quantize();
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("calibrated by mse: "));
  EXPECT_EQ(report()["ranges"]["method"], "mse") << o.out;
  const double db = report()["outputs_sqnr_db"]["a"];
  std::filesystem::remove_all(folder / "feeds");
  const Output named = quantize({"--method", "minmax"});
  EXPECT_THAT(named.out, Not(HasSubstr("calibrated by mse")));
  EXPECT_EQ(report()["ranges"]["method"], "minmax");
  EXPECT_GT(db, report()["outputs_sqnr_db"]["a"].get<double>() + 0.5);
}

// A block whose input is added to what its convolution gives. The sum reads the bytes of that input, or floats: factors that
// differ by channel, which the last convolution takes back, need floats.
class Int8SearchOfSums : public Int8SearchTest {
 protected:
  Int8SearchOfSums() : Int8SearchTest(16) {}
  void block(float factor_of_next_channel) {
    Tensor first = pointwise_weights(), last = pointwise_weights();
    for (int64_t c = 0; c < kChannels; ++c)
      for (int64_t i = 0; i < kChannels; ++i) {
        const float factor = std::pow(factor_of_next_channel, static_cast<float>(c));
        first.data<float>()[i * kChannels + c] *= factor;
        last.data<float>()[c * kChannels + i] /= factor;
      }
    std::string before = "x";
    for (int i = 0; i < 6; ++i) {  // whose noise hides that of one value more in 8 bits
      const std::string name = "before_" + std::to_string(i);
      convolution(name, before, pointwise_weights());
      add(graph_, before = name + "/relu", "Relu", {name});
    }
    convolution("a", before, first);
    add(graph_, "b", "Relu", {"a"});
    convolution("c", "b", normal({1, 1, kChannels, kChannels}, 0.01f));
    add(graph_, "sum", "AddV2", {"c", "b"});
    convolution("d", "sum", last);
  }
  bool sum_reads_bytes() { return layers("int8").contains("sum"); }
};

TEST_F(Int8SearchOfSums, BytesAreTakenWhereTheyCostLittle) {
  block(1);
  const Output o = quantize();
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, ::testing::ContainsRegex("sums and products in INT8 too: costs -?0[.][0-2] dB, taken"));
  EXPECT_TRUE(sum_reads_bytes()) << report().dump(1);
}

TEST_F(Int8SearchOfSums, FloatsWhereBytesCostMuch) {
  block(0.5f);
  const Output o = quantize();
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("sums and products in INT8 too: costs "));
  EXPECT_THAT(o.out, HasSubstr("dB, not taken"));
  EXPECT_FALSE(sum_reads_bytes());
}

TEST_F(Int8SearchOfSums, WhoSaysGetsWhatIsSaid) {
  block(1);
  EXPECT_THAT(quantize({"--no-elementwise"}).out, Not(HasSubstr("sums and products")));
  EXPECT_FALSE(sum_reads_bytes());
  std::filesystem::remove_all(folder / "feeds");
  EXPECT_THAT(quantize({"--elementwise"}).out, Not(HasSubstr("sums and products")));
  EXPECT_TRUE(sum_reads_bytes());
}

// The boxes that suppression leaves are not as many in 8 bits as in float.
TEST_F(Int8SearchTest, OutputsOfOpenSizesAreComparedByWhatTheyAreMadeOf) {
  std::filesystem::create_directories(folder / "feeds");
  for (int i = 0; i < 8; ++i) {
    const NamedTensors feed{{"images:0", normal({1, 3, 32, 32}, 1)}};
    put("feeds/" + std::to_string(i) + ".json", Json{{"inputs", tensors_to_json(feed)}}.dump());
  }
  const Output o = run({"quantize", kSource + "/tests/data/graph/onnx/net_two_stages/model.onnx", "--images", path("feeds"), "-o",
                        path("int8.pb"), "--report", path("report.json")});
  ASSERT_EQ(o.code, 0) << o.err;
  const Json figures = report()["outputs_sqnr_db"];
  EXPECT_FALSE(figures.empty());
  for (const auto& [name, db] : figures.items()) EXPECT_GT(db.get<double>(), 15) << name;
}

TEST_F(Int8SearchTest, WithEightFeedsAQuarterIsHeldBack) {
  convolution("a", "x", pointwise_weights());
  EXPECT_THAT(quantize({}, 8).out, HasSubstr("dB on 2 images held back from calibration"));
  EXPECT_EQ(report()["ranges"]["images"], 6);
  std::filesystem::remove_all(folder / "feeds");
  EXPECT_THAT(quantize({}, 7).out, HasSubstr("dB on 4 images that were calibrated on"));
}

}  // namespace
}  // namespace cytodet::test
