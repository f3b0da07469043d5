// cytodet freeze_graph by TensorFlow's flags, and unfrozen networks given to the other commands.
#include <gmock/gmock.h>

#include "core/error.h"
#include "graph/io/named_tensors.h"
#include "graph/io/read_graph.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kSaved = kSource + "/tests/data/graph/saved/";

class FreezeGraph : public ProgramTest {
 protected:
  // What the frozen graph answers to the feeds of a case are the answers of TensorFlow.
  void expect_answers(const std::string& graph, const std::string& name) {
    const Case wanted = read_case(kSaved + name + "/case.json");
    std::string outputs;
    for (const auto& [key, tensor] : wanted.outputs) outputs += (outputs.empty() ? "" : ",") + key;
    const Output o =
        run({"infer", graph, "--feeds", kSaved + name + "/case.json", "--outputs", outputs, "-o", path("answer.json")});
    ASSERT_EQ(o.code, 0) << o.err;
    const Case got = read_case(path("answer.json"));
    for (const auto& [key, tensor] : wanted.outputs) EXPECT_EQ(difference(got.outputs.at(key), tensor), "") << name << " " << key;
  }
  // Nothing is written, and one line says why.
  void expect_refused(const Output& o, int code, const std::string& problem) {
    EXPECT_EQ(o.code, code) << o.err;
    ASSERT_EQ(o.errors().size(), 1u) << o.err;
    EXPECT_THAT(o.errors()[0], HasSubstr(problem));
    EXPECT_FALSE(std::filesystem::exists(path("f.pb")));
  }
};

TEST_F(FreezeGraph, FlagsOfTheSourceTool) {
  const std::string slim = kSaved + "slim/";
  // Step 2 of the recipe, word for word.
  Output o = run({"freeze_graph", "--input_graph", slim + "graph.pbtxt", "--output_graph", path("a.pb"), "--input_binary",
                  "False", "--input_checkpoint", slim + "model.ckpt-7", "--output_node_names", "Net/predictions"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(o.out, std::to_string(read_graph(slim + "frozen.pb").size()) + " ops in the final graph.\n");
  EXPECT_THAT(o.err,
              AllOf(HasSubstr("Converted 12 variables to const ops."), HasSubstr("inputs: input\noutputs: Net/predictions\n")));
  expect_answers(path("a.pb"), "slim");
  o = run({"freeze_graph", "--input_meta_graph=" + slim + "model.ckpt-7.meta", "--input_binary", "--clear_devices=false",
           "--input_checkpoint=" + slim + "model.ckpt-7", "--output_node_names= Net/predictions, loss",
           "--output_graph=" + path("b.pb"), "--restore_op_name=save/restore_all", "--filename_tensor_name=save/Const:0",
           "--checkpoint_version=2"});
  EXPECT_EQ(o.code, 0) << o.err;
  expect_answers(path("b.pb"), "slim");
  o = run({"freeze_graph", "--input_saved_model_dir", kSaved + "tags/saved_model", "--saved_model_tags", "serve,cpu",
           "--output_node_names", "y,z", "--output_graph", path("c.pbtxt")});
  EXPECT_EQ(o.code, 0) << o.err;
  expect_answers(path("c.pbtxt"), "tags");
  o = run({"freeze_graph", kSaved + "nested/saved_model", "--signature", "serving_default", "-o", path("d.pb")});
  EXPECT_EQ(o.code, 0) << o.err;
  expect_answers(path("d.pb"), "nested");
}

TEST_F(FreezeGraph, MessagesOfTheSourceTool) {
  const std::string slim = kSaved + "slim/", out = path("f.pb");
  expect_refused(run({"freeze_graph", "--input_graph", slim + "graph.pbtxt", "--input_checkpoint", path("x"), "-o", out}), 1,
                 "Input checkpoint '" + path("x") + "' doesn't exist!");
  expect_refused(
      run({"freeze_graph", "--input_graph", slim + "graph.pbtxt", "--input_checkpoint", slim + "model.ckpt-7", "-o", out}), 2,
      "You need to supply the name of a node to --output_node_names.; possible outputs: loss");
  expect_refused(run({"freeze_graph", "--input_graph", path("g.pb"), "--input_checkpoint", slim + "model.ckpt-7", "-o", out}), 1,
                 "Input graph file '" + path("g.pb") + "' does not exist!");
  expect_refused(run({"freeze_graph", "--input_graph", slim + "frozen.pb", "--input_checkpoint", slim + "model.ckpt-7",
                      "--outputs", "Net/predictions", "-o", out}),
                 1, "You cannot freeze a graph twice.");
  expect_refused(run({"freeze_graph", slim + "model.ckpt-7", "--outputs", "Net/prediction", "-o", out}), 1, "Net/predictions");
  expect_refused(run({"freeze_graph", slim + "model.ckpt-7", "--outputs", "loss"}), 2, "--output_graph");
  expect_refused(run({"freeze_graph", "-o", out}), 2, "needs a graph");
  expect_refused(run({"freeze_graph", slim + "frozen.pb", "-o", out}), 1, "neither a SavedModel nor a checkpoint");
  expect_refused(run({"freeze_graph", path("none"), "-o", out}), 1, "no such file");
  expect_refused(run({"freeze_graph", kSaved + "assets/saved_model", "-o", out}), 1, "words.txt");
}

TEST_F(FreezeGraph, InputsAreNotWrittenOver) {
  std::filesystem::copy(kSaved + "keras/saved_model", folder / "m", std::filesystem::copy_options::recursive);
  for (const char* file : {"m/saved_model.pb", "m/variables/variables.index", "m/variables/variables.data-00000-of-00001"})
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"freeze_graph", path("m")}, {"optimize", path("m")}}) {
      std::vector<std::string> words = command;
      words.insert(words.end(), {"-o", path(file)});
      const Output o = run(words);
      EXPECT_EQ(o.code, 2) << o.err;
      EXPECT_EQ(read_file(folder / file), read_file(kSaved + "keras/saved_model" + std::string(file).substr(1)));
    }
}

TEST_F(FreezeGraph, OtherCommandsFreezeOnTheirWay) {
  const std::string keras = kSaved + "keras/saved_model";
  expect_answers(keras, "keras");
  expect_answers(kSaved + "slim/model.ckpt-7", "slim");
  Output o = run({"inspect", keras});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out,
              AllOf(HasSubstr("name=serving_default_image"), HasSubstr("No variables spotted."), HasSubstr("name=output_0")));
  o = run({"optimize", keras, "-o", path("o.pb")});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(o.err.find("warning"), std::string::npos) << o.err;
  expect_answers(path("o.pb"), "keras");
  o = run({"bench", "--model", keras, "--seconds", "0.1", "--shape", "serving_default_image=1,8,8,3"});
  EXPECT_EQ(o.code, 0) << o.err;
}

TEST_F(FreezeGraph, ALinkOfThatNameIsTheCommand) {
  std::filesystem::create_symlink(kProgram, folder / "freeze_graph");
  const std::string line = path("freeze_graph") + " " + kSaved + "keras/saved_model -o " + path("k.pb") + " > /dev/null 2>&1";
  EXPECT_EQ(std::system(line.c_str()), 0);
  EXPECT_TRUE(std::filesystem::exists(path("k.pb")));
}

}  // namespace
}  // namespace cytodet::test
