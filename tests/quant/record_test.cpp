#include "quant/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "core/file.h"
#include "graph/passes/raise_fake_quant.h"
#include "quant/calibrate.h"
#include "quant/fake_quant.h"
#include "quant/graph_hash.h"
#include "quant/quantize.h"
#include "quant/sensitivity.h"
#include "tests/quant/subjects.h"

namespace cytodet {
namespace {

using namespace test;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Record, ReadsWhatAmctWrites) {
  const Records records = parse_records(read_file(source_dir() + "/tests/data/fuzz/amct/record.txt"));
  ASSERT_EQ(records.size(), 2u);
  const LayerRecord& first = records.at("MobilenetV2/expanded_conv/project/Conv2D");
  EXPECT_EQ(first.scale_d, 0.00392156886f);
  EXPECT_EQ(first.input(), (QuantParams{0.00392156886f, 0, false}));
  EXPECT_THAT(first.scale_w, ElementsAre(0.0123f, 0.005f));
  EXPECT_THAT(first.cluster, ElementsAre(-5, 7));
  EXPECT_THAT(records.at("b").scale_w, ElementsAre(2, 3.5f));
  EXPECT_TRUE(records.at("b").skip_fusion);
  EXPECT_EQ(records_text(parse_records(records_text(records))), records_text(records));
  EXPECT_THAT(records_text(records), HasSubstr("    scale_d: 0.00392156886\n    offset_d: -128\n"));
}

TEST(Record, BadOnesAreRefusedByLine) {
  const auto problem = [](const std::string& value) {
    return error_of([&] { parse_records("record {\n key: \"a\"\n value {\n" + value + "}}"); });
  };
  EXPECT_THAT(problem("scale_d: 0 scale_w: 1"), HasSubstr("line 4: scale_d: of a is 0: a scale must be above 0 and finite"));
  EXPECT_THAT(problem("scale_d: nan scale_w: 1"), HasSubstr("scale_d"));
  for (const std::string word : {"inf", "-inf", "infinity", "nan"})
    EXPECT_THAT(problem("scale_d: " + word + " scale_w: 1"), HasSubstr("line 4: scale_d: of a is " + word)) << word;
  EXPECT_THAT(problem("scale_d: 1e39 scale_w: 1"), HasSubstr("a scale must be above 0 and finite"));
  EXPECT_THAT(problem("scale_d: 1 scale_w: -1"), HasSubstr("line 4: scale_w"));
  EXPECT_THAT(problem("scale_d: 1 offset_d: 128 scale_w: 1"), HasSubstr("outside of -128..127"));
  EXPECT_THAT(problem("scale_d: 1 scale_w: 1 offset_w: 3"), HasSubstr("weights have no offset"));
  EXPECT_THAT(problem("scale_d: 1"), HasSubstr("has no scale_w"));
  EXPECT_THAT(problem("scale_w: 1"), HasSubstr("has no scale_d"));
  EXPECT_THAT(problem("scale_d: 1 scale_w: 1 shift_bit: 3"), HasSubstr("is not read"));
  EXPECT_THAT(problem("scale_d: 1 scale_w: 1 scal_w: 3"), HasSubstr("did you mean scale_w"));
  EXPECT_THAT(problem("scale_d: 1 scale_w: 1 wts_type: INT4"), HasSubstr("is INT4"));
  EXPECT_THAT(error_of([] {
                parse_records(
                    "record { key: \"a\" value { scale_d: 1 scale_w: 1 } } record { key: \"a\" value { "
                    "scale_d: 1 scale_w: 1 } }");
              }),
              HasSubstr("is the second one of a"));
  EXPECT_THAT(error_of([] { parse_records("record { key: \"a\" value {"); }), HasSubstr("has no end"));
  EXPECT_THAT(error_of([] { parse_records(""); }), HasSubstr("holds no record"));
}

Records lenet_records(const Graph& graph, const Ranges& ranges) {
  Records records;
  for (const std::string name : {"Lenet/conv1_1/Conv2D", "Lenet/conv3_1/Conv2D", "Lenet/conv5_1/Conv2D", "Lenet/fc7_1/MatMul"}) {
    const Node& n = graph.node(graph.require(name));
    const Range& r = ranges.values.at(graph.name_of(n.inputs[0]));
    const QuantParams q = QuantParams::of_range(r.low, r.high, false);
    const Tensor& filter = *graph.constant(n.inputs[1]);
    records[name] = {q.scale, q.zero_point - 128, quantize_weights(filter, filter.dim(-1), n.op != "MatMul").scales, {}};
  }
  return records;
}

TEST(Record, QuantizesALayerAsItSays) {
  TestSubject s = lenet();
  const Ranges ranges = calibrate(s.graph, s.plan, s.data, quiet()).ranges;
  Records records = lenet_records(s.graph, ranges);
  Ranges none;
  none.graph_hash = graph_hash(s.graph);
  QuantizeOptions options;
  const auto quantized = [&] {
    options.records = std::make_shared<const Records>(records);
    Graph g = s.graph;
    const QuantizeReport report = quantize(g, none, options);
    EXPECT_EQ(report.int8_layers(), static_cast<int>(records.size()));
    return g;
  };
  const OutputSqnr outputs(s.graph, s.plan, s.data);
  const Graph g = quantized();
  EXPECT_GE(outputs.of(g), 25);
  const QuantizedConv conv = *quantized_conv(g, g.require("Lenet/conv3_1/Conv2D"));
  EXPECT_EQ(conv.quant.zero_point, records.at("Lenet/conv3_1/Conv2D").offset_d + 128);
  EXPECT_FLOAT_EQ(conv.quant.scale, records.at("Lenet/conv3_1/Conv2D").scale_d);
  const Tensor& filter = *s.graph.constant(s.graph.node(s.graph.require("Lenet/conv3_1/Conv2D")).inputs[1]);
  for (int64_t i = 0; i < filter.size(); ++i)
    ASSERT_NEAR(conv.weights.values.data<int8_t>()[i],
                filter.data<float>()[i] / conv.weights.scales[static_cast<size_t>(i % filter.dim(3))], 0.5001);
  // Only the codes of a cluster.
  records.at("Lenet/conv3_1/Conv2D").cluster = {-90, -30, 0, 30, 90};
  const Graph few = quantized();
  const QuantizedConv coarse = *quantized_conv(few, few.require("Lenet/conv3_1/Conv2D"));
  for (int64_t i = 0; i < filter.size(); ++i) ASSERT_EQ(coarse.weights.values.data<int8_t>()[i] % 30, 0);
  // Names and numbers that do not fit.
  records["Lenet/conv5/Conv2D"] = records.at("Lenet/conv3_1/Conv2D");
  EXPECT_THAT(error_of(quantized), HasSubstr("record of Lenet/conv5/Conv2D: the graph has no layer of this name; did you mean"));
  records.erase("Lenet/conv5/Conv2D");
  records.at("Lenet/conv3_1/Conv2D").scale_w.resize(3);
  EXPECT_THAT(error_of(quantized), HasSubstr("has 3 scale_w, and the layer"));
}

TEST(FakeQuant, IsReadAsTheLayersThatItWasMadeOf) {
  TestSubject s = lenet();
  const Ranges ranges = calibrate(s.graph, s.plan, s.data, quiet()).ranges;
  const OutputSqnr outputs(s.graph, s.plan, s.data);
  for (int bits : {8, 4}) {
    QuantizeOptions options;
    options.weight_bits = bits;
    Graph quantized = s.graph;
    const QuantizeReport report = quantize(quantized, ranges, options);
    Graph trainable = quantized;
    EXPECT_EQ(to_fake_quant(trainable), report.int8_layers());
    EXPECT_FALSE(has_quantized(trainable));
    EXPECT_NEAR(outputs.of(trainable), outputs.of(quantized), 0.2);
    PassOptions passes;
    passes.interface = {{"input"}, s.plan.outputs};
    Graph again = trainable;
    run_passes(again, passes);
    for (const QuantizedLayer& l : report.layers) {
      const QuantizedConv before = *quantized_conv(quantized, quantized.require(l.name));
      const std::optional<QuantizedConv> after = quantized_conv(again, again.require(l.name));
      ASSERT_TRUE(after) << l.name;
      EXPECT_EQ(after->quant.zero_point, before.quant.zero_point);
      EXPECT_NEAR(after->quant.scale, before.quant.scale, 1e-6 * before.quant.scale);
      for (int64_t i = 0; i < before.weights.values.size(); ++i)
        ASSERT_EQ(after->weights.values.data<int8_t>()[i], before.weights.values.data<int8_t>()[i]) << l.name;
    }
  }
}

// Ranges by which no layer can be made: what each is called, and that the pass leaves the layer alone.
TEST(FakeQuant, RangesThatCannotBeReadAreCalledByTheirFault) {
  TestSubject s = lenet();
  const Ranges ranges = calibrate(s.graph, s.plan, s.data, quiet()).ranges;
  Graph trainable = s.graph;
  QuantizeOptions options;
  options.exclude_nodes = {"Lenet/conv3_1/Conv2D", "Lenet/conv5_1/Conv2D", "Lenet/fc7_1/MatMul", "Lenet/fc9_1/MatMul"};
  quantize(trainable, ranges, options);
  ASSERT_EQ(to_fake_quant(trainable), 1);
  EXPECT_EQ(why_not_raised(s.graph), "");
  const auto fault = [&](const std::function<void(Graph&, Node & input)>& change) {
    Graph g = trainable;
    change(g, g.node(g.node(g.require("Lenet/conv1_1/Conv2D")).inputs[0].node));
    PassOptions passes;
    passes.interface = {{"input"}, s.plan.outputs};
    run_passes(g, passes);
    EXPECT_FALSE(has_quantized(g));
    return why_not_raised(g);
  };
  const auto with_range = [&](float low, float high) {
    return fault([&](Graph& g, Node& n) {
      const std::string name = n.name;
      const Value l = g.add_const(name + "/low", Tensor::scalar(low)), h = g.add_const(name + "/high", Tensor::scalar(high));
      Node& again = g.node(g.require(name));
      again.inputs[1] = l, again.inputs[2] = h;
    });
  };
  EXPECT_THAT(with_range(0, NAN), HasSubstr("Lenet/conv1_1/Conv2D: the range of"));
  EXPECT_THAT(with_range(0, NAN), HasSubstr("is not finite"));
  EXPECT_THAT(with_range(-INFINITY, 1), HasSubstr("is not finite"));
  EXPECT_THAT(with_range(0, 0), HasSubstr("must hold 0 and more"));
  EXPECT_THAT(with_range(1, 2), HasSubstr("goes from 1.000000 to 2.000000"));
  EXPECT_THAT(with_range(1, -1), HasSubstr("must hold 0 and more"));
  EXPECT_THAT(fault([](Graph&, Node& n) { n.attrs["num_bits"] = int64_t{4}; }), HasSubstr("rounds to 4 bits"));
  EXPECT_THAT(fault([](Graph& g, Node& n) {
                const std::string name = n.name;
                Node computed;
                computed.name = name + "/computed";
                computed.op = "Max";
                const Value input = n.inputs[0];
                computed.inputs = {input, g.add_const(name + "/axes", Tensor::from({2}, std::vector<int32_t>{0, 1}))};
                computed.attrs["T"] = DType::f32;
                computed.attrs["Tidx"] = DType::i32;
                computed.attrs["keep_dims"] = false;
                const NodeId id = g.add(std::move(computed));
                g.node(g.require(name)).inputs[2] = {id, 0};
              }),
              HasSubstr("is not constant"));
  EXPECT_THAT(fault([](Graph& g, Node& n) {
                const NodeId conv = g.require("Lenet/conv1_1/Conv2D");
                (void)n;
                Node& filter = g.node(g.node(conv).inputs[1].node);
                filter.attrs["narrow_range"] = false;
              }),
              HasSubstr("its filter is not constant behind a FakeQuant node"));
}

}  // namespace
}  // namespace cytodet
