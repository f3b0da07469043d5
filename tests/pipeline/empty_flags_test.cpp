// Flags with empty values: "--flag=" is an empty value, and not the next word.
#include <gmock/gmock.h>

#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::HasSubstr;

class EmptyFlags : public ProgramTest {
 protected:
  const std::string slim_ = kSource + "/tests/data/graph/saved/slim/";
  std::string error_of(std::vector<std::string> words) const {
    const Output o = run(std::move(words));
    EXPECT_NE(o.code, 0);
    return o.errors().empty() ? o.err : o.errors()[0];
  }
};

TEST_F(EmptyFlags, ToolsOfTensorFlow) {
  Output o = run({"transform_graph", "--in_graph=" + slim_ + "frozen.pb", "--out_graph=" + path("o.pb"),
                  "--inputs=", "--outputs=Net/predictions", "--transforms=strip_unused_nodes"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(error_of({"transform_graph", "--in_graph=" + slim_ + "frozen.pb", "--out_graph=" + path("o.pb"), "--transforms="}),
            "You must specify at least one transform.; --transforms='strip_unused_nodes'");
  EXPECT_THAT(error_of({"transform_graph", "--in_graph=", "--out_graph=o.pb"}), HasSubstr("in_graph graph can't be empty."));
  o = run({"quantize_graph", "--input=" + slim_ + "frozen.pb", "--output=" + path("q.pb"), "--output_node_names=Net/predictions",
           "--excluded_ops=", "--mode=eightbit", "--excluded_nodes="});
  EXPECT_EQ(o.code, 0) << o.err;
  o = run({"freeze_graph", "--input_graph", slim_ + "graph.pbtxt", "--input_saver=", "--input_binary=false",
           "--initializer_nodes=", "--variable_names_blacklist=", "--input_meta_graph=", "--input_checkpoint",
           slim_ + "model.ckpt-7", "--output_node_names", "Net/predictions", "--output_graph", path("f.pb"),
           "--input_saved_model_dir="});
  EXPECT_EQ(o.code, 0) << o.err;
}

TEST_F(EmptyFlags, OtherCommands) {
  EXPECT_THAT(error_of({"freeze_graph", "--input_binary=", "--output_graph", path("f.pb")}),
              HasSubstr("--input_binary: has no value; give true or false"));
  EXPECT_THAT(error_of({"detect", "--model=", "--streams", "1", "a.png", "-o", "out"}), HasSubstr("--model"));
  EXPECT_THAT(error_of({"optimize", slim_ + "frozen.pb", "-o", path("o.pb"), "--passes=", "--inputs=", "--no-such-flag"}),
              HasSubstr("--no-such-flag"));
  EXPECT_THAT(error_of({"detect", "--network-px=", "--model", "m.json", "a.png", "-o", "out"}),
              HasSubstr("--network-px: has no value; give numbers between commas"));
  EXPECT_THAT(error_of({"zoo", "resnet50", "--max-images=", "--quiet"}), HasSubstr("--max-images: has no value; give a number"));
  EXPECT_THAT(error_of({"detect", "--score", "", "--model", "m.json", "a.png", "-o", "out"}),
              HasSubstr("--score: has no value; give a number"));
  EXPECT_THAT(error_of({"quantize", "g.pb", "--ranges", "r.json", "--out="}), HasSubstr("--out: has no value"));
  EXPECT_THAT(error_of({"inspect", ""}), HasSubstr("GRAPH: has no value"));
  const Output o =
      run({"optimize", slim_ + "frozen.pb", "-o", path("o.pb"), "--inputs=", "--outputs", "Net/predictions, ", "", "--passes="});
  EXPECT_EQ(o.code, 0) << o.err;
}

}  // namespace
}  // namespace cytodet::test
