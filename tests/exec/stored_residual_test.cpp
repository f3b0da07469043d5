// Products in 8 bits that add a residual map as it is stored, bytes, fp16 or floats, and store their results as bytes or fp16.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "exec/kernels/kernels.h"
#include "tests/exec/quantized_net.h"

namespace cytodet {
namespace {

using namespace test;

const QuantParams kInput{0.03f, 128, false}, kMap{0.021f, 90, false}, kResult{0.05f, 60, false};

struct Residual {
  StorageType storage = StorageType::f32;
  std::string act = "Relu";
  bool added_first = true;
  bool halves = false;  // results are stored as fp16, because a later product adds them as well
};

// x -> "map" of `channels` -> "inner" -> "last" (+ map, activation) -> "out", and where results are fp16, out + result.
Answers answers(const Residual& c, int64_t channels, int kernel) {
  QuantizedNet net;
  net.input("x", {2, 7, 9, 5});
  net.conv("map", "x", channels, 1, kInput);
  net.conv("inner", "map", 8, 1, c.storage == StorageType::q8 ? kMap : kInput);
  net.conv("last", "inner", channels, kernel, kInput);
  std::string map = "map", last = "last";
  if (c.storage == StorageType::q8) map = net.fake_quant("map", kMap);
  if (c.storage == StorageType::f32) {
    net.input("y", net.shape("map"));
    map = "y";
  }
  const auto add_map = [&] {
    net.op("sum", "AddV2", {last, map});
    last = "sum";
  };
  if (c.added_first) add_map();
  if (c.act == "Swish") {
    net.op("sigmoid", "Sigmoid", {last});
    net.op("act", "Mul", {last, "sigmoid"});
  } else if (!c.act.empty()) {
    net.op("act", c.act, {last});
  }
  if (!c.act.empty()) last = "act";
  if (!c.added_first) add_map();
  net.conv("out", last, channels, 1, kResult);
  constexpr double kMinDb = 36;  // an approximate swish moves some results by a step
  if (!c.halves) return net.expect_answers({"out"}, kMinDb);
  net.op("again", "AddV2", {"out", last});
  return net.expect_answers({"again"}, kMinDb);
}

TEST(StoredResidual, IsAddedInEveryOrderAndTypeOfStorage) {
  for (const StorageType storage : {StorageType::q8, StorageType::f16, StorageType::f32})
    for (const char* act : {"", "Relu", "Relu6", "Swish"})
      for (const bool added_first : {true, false})
        for (const bool halves : {false, true})
          for (const int64_t channels : {6, 19, 32, 40})
            for (const int kernel : {1, 3}) {
              SCOPED_TRACE(testing::Message()
                           << "storage " << static_cast<int>(storage) << ", " << act << ", first " << added_first
                           << ", fp16 results " << halves << ", " << channels << " channels, kernel " << kernel);
              answers({storage, act, added_first, halves}, channels, kernel);
            }
}

// A map that is read by a product and as a residual is stored in 1 byte a value where both quantize it alike, in 2 where not and
// the kernels have fp16; results likewise.
TEST(StoredResidual, MapsTakeOneOrTwoBytesAValue) {
  constexpr int64_t kChannels = 32, kPixels = 2 * 7 * 9, kValues = kPixels * kChannels;
  const int64_t half = kernels().f32_to_f16 ? 2 : 4;
  const Answers bytes = answers({StorageType::q8, "Relu", true, false}, kChannels, 1);
  const Answers halves = answers({StorageType::f16, "Relu", true, true}, kChannels, 1);
  const int64_t weights = 8 * kChannels + 4 * kChannels;  // of the last product: 8 bits each, and a float a column
  EXPECT_EQ(bytes.steps.at("act").bytes, kPixels * 8 + kValues + kValues + weights);
  EXPECT_EQ(halves.steps.at("act").bytes, kPixels * 8 + half * kValues + half * kValues + weights);
}

}  // namespace
}  // namespace cytodet
