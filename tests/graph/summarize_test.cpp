#include "graph/summarize.h"

#include <gtest/gtest.h>

#include "graph/io/tensorflow/graph_def.h"

namespace cytodet::test {
namespace {

Graph small_graph() {
  return parse_graph(R"(
node { name: "w" op: "Const" attr { key: "dtype" value { type: DT_FLOAT } }
       attr { key: "value" value { tensor { dtype: DT_FLOAT tensor_shape { dim { size: 2 } dim { size: 2 } } float_val: [1, 2.5, 0.1, 4] } } } }
node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } }
       attr { key: "shape" value { shape { dim { size: -1 } dim { size: 2 } } } } }
node { name: "any" op: "Placeholder" attr { key: "dtype" value { type: DT_INT64 } } attr { key: "shape" value { shape { unknown_rank: true } } } }
node { name: "v" op: "VariableV2" device: "/cpu:0" attr { key: "dtype" value { type: DT_HALF } } attr { key: "shape" value { shape { dim { size: 3 } } } } }
node { name: "init" op: "NoOp" input: "^w" }
node { name: "y" op: "MatMul" input: "x" input: "w" input: "^any" attr { key: "T" value { type: DT_FLOAT } } }
node { name: "r" op: "Identity" input: "v" attr { key: "T" value { type: DT_HALF } } }
)",
                     "small");
}

TEST(Summarize, SaysWhatTensorFlowsToolSays) {
  EXPECT_EQ(summary(small_graph(), "net.pb", false),
            "Found 2 possible inputs: (name=x, type=float(1), shape=[?,2]) (name=any, type=int64(9), shape=<unknown>) \n"
            "Found 1 variables: (name=v, type=half(19), shape=[3]) \n"
            "Found 2 possible outputs: (name=y, op=MatMul) (name=r, op=Identity) \n"
            "Found 4 (4) const parameters, 0 (0) variable parameters, and 2 control_edges\n"
            "1 nodes assigned to device '/cpu:0'\n"
            "Op types used: 2 Placeholder, 1 Const, 1 Identity, 1 MatMul, 1 NoOp, 1 VariableV2\n"
            "To use with tensorflow/tools/benchmark:benchmark_model try these arguments:\n"
            "bazel run tensorflow/tools/benchmark:benchmark_model -- --graph=net.pb --show_flops --input_layer=x,any,v "
            "--input_layer_type=float,int64,half --input_layer_shape=-1,2::3 --output_layer=y,r\n");
}

TEST(Summarize, StructureHasALineForEachNode) {
  const std::string text = summary(small_graph(), "net.pb", true);
  EXPECT_NE(text.find("\nw (Const): [], value=Tensor<type: float shape: [2,2] values: [1 2.5][0.1...]...>\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("\ny (MatMul): [x, w, ^any]\n"), std::string::npos) << text;
}

// In the form of TensorFlow's Tensor::DebugString.
TEST(Summarize, TensorsAreShownInPart) {
  EXPECT_EQ(tensor_text(Tensor::scalar(7)), "Tensor<type: int32 shape: [] values: 7>");
  EXPECT_EQ(tensor_text(Tensor::from<float>({4}, {1, 0.693147182f, 3, 4})),
            "Tensor<type: float shape: [4] values: 1 0.693147182 3...>");
  EXPECT_EQ(tensor_text(Tensor::from<int64_t>({3, 1}, {1, 2, 3})), "Tensor<type: int64 shape: [3,1] values: [1][2][3]>");
  Tensor words(DType::string, {2});
  words.strings() = {"a\n\"b\"", "\xff"};
  EXPECT_EQ(tensor_text(words), "Tensor<type: string shape: [2] values: a\\n\\\"b\\\" \\377>");
  EXPECT_EQ(tensor_text(Tensor(DType::f32, {0, 3})), "Tensor<type: float shape: [0,3] values: >");
}

TEST(Summarize, Counts) {
  EXPECT_EQ(short_count(161), "161");
  EXPECT_EQ(short_count(1234), "1.23k");
  EXPECT_EQ(short_count(25503912), "25.50M");
  EXPECT_EQ(short_count(3000000000), "3.00B");
  EXPECT_EQ(short_count(4000000000000), "4.00T");
}

}  // namespace
}  // namespace cytodet::test
