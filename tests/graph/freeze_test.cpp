// SavedModels and checkpoints that TensorFlow wrote (scripts/make_freeze_golden.py): frozen here, they hold the weights that its
// own freezing finds, bit for bit, and give its answers.
#include "graph/io/tensorflow/freeze.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cstring>
#include <map>

#include "core/file.h"
#include "graph/interpret/control_flow.h"
#include "graph/io/read_graph.h"
#include "graph/io/tensorflow/variables.h"
#include "graph/ir/validate.h"
#include "tests/error_of.h"
#include "tests/graph/cases.h"

namespace cytodet::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

std::filesystem::path saved(const std::string& below) { return data("graph/saved") / below; }

// Type, shape and bytes of every weight: constants of floats that are no scalars; and how many there are of each.
std::map<std::string, int> weights(const Graph& g) {
  std::map<std::string, int> all;
  for (NodeId id : g.ids()) {
    const Tensor* t = g.constant(id);
    if (!t || !is_floating(t->dtype()) || t->size() < 2) continue;
    ++all[name_of(t->dtype()) + to_string(t->shape()) + std::string(static_cast<const char*>(t->raw()), t->bytes())];
  }
  return all;
}

Frozen frozen(const std::filesystem::path& path, const FreezeOptions& options = {}) {
  const auto source = find_unfrozen(path);
  if (!source) throw Error(path.string(), "is not found");
  return freeze(*source, options);
}

void expect_answers(const Graph& graph, const std::string& name) {
  const Case c = read_case(saved(name) / "case.json");
  Feeds feeds;
  std::vector<Value> fetches;
  for (const auto& [key, tensor] : c.inputs) feeds[graph.value(key)] = tensor;
  for (const auto& [key, tensor] : c.outputs) fetches.push_back(graph.value(key));
  const std::vector<Tensor> got = interpret(graph, feeds, fetches);
  size_t i = 0;
  for (const auto& [key, tensor] : c.outputs) EXPECT_EQ(difference(got[i++], tensor), "") << name << " " << key;
}

void expect_as_tensorflow(const Frozen& f, const std::string& name) {
  for (NodeId id : f.graph.ids()) {
    EXPECT_FALSE(is_variable(f.graph.node(id))) << f.graph.node(id).name;
    EXPECT_EQ(f.graph.node(id).device, "");
    EXPECT_FALSE(f.graph.node(id).has_attr("_class"));
  }
  EXPECT_EQ(problem_in(f.graph), "");
  EXPECT_EQ(weights(f.graph), weights(read_graph(saved(name) / "frozen.pb"))) << name;
  expect_answers(f.graph, name);
  expect_answers(parse_graph(encode_graph(f.graph), "again"), name);
}

TEST(Freeze, CheckpointWithItsMetaGraph) {
  FreezeOptions options;
  options.outputs = {"Net/predictions"};
  for (const char* path : {"slim/model.ckpt-7", "slim/model.ckpt-7.index", "slim/model.ckpt-7.meta", "slim",
                           "slim/model.ckpt-7.data-00000-of-00001", "slim/checkpoint"}) {
    const Frozen f = frozen(saved(path), options);
    EXPECT_EQ(f.variables, 12) << path;
    expect_as_tensorflow(f, "slim");
    // As freeze_graph's constants, with their names.
    const Graph wanted = read_graph(saved("slim/frozen.pb"));
    EXPECT_EQ(f.graph.size(), wanted.size());
    for (NodeId id : wanted.ids()) EXPECT_GE(f.graph.find(wanted.node(id).name), 0) << wanted.node(id).name;
  }
}

TEST(Freeze, GraphAndCheckpointByNames) {
  FreezeOptions options;
  options.outputs = {"Net/predictions"};
  options.names_first = true;
  MetaGraph meta;
  meta.graph = read_graph(saved("slim/graph.pbtxt"));
  const Checkpoint checkpoint(saved("slim/model.ckpt-7"));
  expect_as_tensorflow(freeze(meta, &checkpoint, options, "slim"), "slim");
  options.without = {"Net/Logits/biases"};
  const Frozen part = freeze(meta, &checkpoint, options, "slim");
  EXPECT_EQ(part.variables, 11);
  EXPECT_EQ(part.graph.node(part.graph.find("Net/Logits/biases")).op, "VariableV2");
  options.without = {};
  options.only = {"Net/Logits/biases"};
  EXPECT_EQ(freeze(meta, &checkpoint, options, "slim").variables, 1);
}

TEST(Freeze, ShardsOtherNamesAndConditions) {
  FreezeOptions options;
  options.outputs = {"y"};
  const Frozen f = frozen(saved("sharded/model.ckpt"), options);
  expect_as_tensorflow(f, "sharded");
  // The saved shape of a handle is none of the variable's: TensorFlow refuses a graph that says so.
  EXPECT_FALSE(f.graph.node(f.graph.find("cond/add/ReadVariableOp/Switch")).has_attr("_output_shapes"));
}

TEST(Freeze, PartitionedVariables) {
  expect_as_tensorflow(frozen(saved("partitioned/saved_model")), "partitioned");
  // Without the restore node the parts are found in order.
  FreezeOptions options;
  options.restore_op = "none";
  expect_as_tensorflow(frozen(saved("partitioned/saved_model"), options), "partitioned");
}

TEST(Freeze, MetaGraphsByTagsAndSignatures) {
  const auto path = saved("tags/saved_model");
  EXPECT_THAT(error_of([&] { frozen(path); }), AllOf(HasSubstr("several graphs"), HasSubstr("train | cpu,serve")));
  FreezeOptions options;
  options.tags = {"serve", "cpu"};
  EXPECT_THAT(error_of([&] { frozen(path, options); }), AllOf(HasSubstr("several signatures"), HasSubstr("one, two")));
  options.signature = "twos";
  EXPECT_THAT(error_of([&] { frozen(path, options); }), HasSubstr("did you mean two"));
  options.signature = "two";
  const Frozen f = frozen(path, options);
  EXPECT_THAT(f.outputs, ElementsAre("y", "z"));
  expect_as_tensorflow(f, "tags");
  options.tags = {"train"};
  options.signature = "";
  EXPECT_THAT(frozen(path, options).outputs, ElementsAre("y"));
}

TEST(Freeze, KerasModel) {
  const Frozen f = frozen(saved("keras/saved_model"));
  EXPECT_THAT(f.outputs, ElementsAre("output_0"));
  expect_as_tensorflow(f, "keras");
  EXPECT_EQ(f.graph.library, "");
  expect_as_tensorflow(frozen(saved("keras/saved_model/saved_model.pb")), "keras");
  expect_as_tensorflow(frozen(saved("keras/saved_model/variables/variables.index")), "keras");
}

TEST(Freeze, KeysOfTheObjectGraphServeWithoutTheRestoreNode) {
  FreezeOptions options;
  options.restore_op = "none";
  expect_as_tensorflow(frozen(saved("keras/saved_model"), options), "keras");
  EXPECT_THAT(error_of([&] { frozen(saved("nested/saved_model"), options); }),
              AllOf(HasSubstr("variable"), HasSubstr("may be any")));
}

TEST(Freeze, FunctionsInFunctionsWithLoopsAndConditions) {
  const Frozen f = frozen(saved("nested/saved_model"));
  EXPECT_THAT(f.outputs, ElementsAre("best", "y"));
  expect_as_tensorflow(f, "nested");
  FreezeOptions options;
  options.signature = "first";
  EXPECT_THAT(frozen(saved("nested/saved_model"), options).outputs, ElementsAre("z"));
  options = {};
  options.outputs = {"y"};
  EXPECT_THAT(frozen(saved("nested/saved_model"), options).outputs, ElementsAre("y"));
  options.outputs = {"yy"};
  EXPECT_NE(error_of([&] { frozen(saved("nested/saved_model"), options); }), "");
}

TEST(Freeze, TablesAreNamed) {
  EXPECT_THAT(error_of([&] { frozen(saved("assets/saved_model")); }), AllOf(HasSubstr("Table"), HasSubstr("words.txt")));
  FreezeOptions options;
  options.outputs = {"StatefulPartitionedCall:1"};
  EXPECT_NE(error_of([&] { frozen(saved("assets/saved_model"), options); }), "") << "the call runs the table, too";
}

TEST(Freeze, OutputsAreSuggested) {
  const MetaGraph meta = read_meta_graph(saved("slim/model.ckpt-7.meta"));
  EXPECT_THAT(suggested_outputs(meta.graph), UnorderedElementsAre("loss"));
  EXPECT_THAT(error_of([&] { frozen(saved("slim/model.ckpt-7")); }),
              AllOf(HasSubstr("You need to supply the name of a node to --output_node_names."), HasSubstr("loss")));
  FreezeOptions options;
  options.find_outputs = true;
  EXPECT_THAT(frozen(saved("slim/model.ckpt-7"), options).outputs, ElementsAre("loss"));
}

TEST(Freeze, ReadGraphFreezesOnItsWay) {
  expect_answers(read_graph(saved("keras/saved_model")), "keras");
  expect_answers(read_graph(saved("slim/model.ckpt-7")), "slim");
  EXPECT_EQ(files_of_graph(saved("slim/model.ckpt-7")).size(), 4u);
  EXPECT_EQ(files_of_graph(saved("keras/saved_model")).size(), 3u);
  EXPECT_EQ(files_of_graph(saved("keras/frozen.pb")).size(), 1u);
}

// A graph of two variables, w and v, with y = w * v.
MetaGraph two_variables() {
  MetaGraph meta;
  Graph& g = meta.graph;
  const auto variable = [&](const char* name, const char* op) {
    AttrMap attrs;
    attrs.emplace("dtype", DType::f32);
    attrs.emplace("shape", ShapeAttr{true, {3}});
    return g.add_new(name, op, {}, attrs);
  };
  AttrMap t, read;
  t.emplace("T", DType::f32);
  read.emplace("dtype", DType::f32);
  const Value w = variable("fc/b", "VariableV2"), v = variable("fc/v", "VarHandleOp");
  const Value value = g.add_new("read", "ReadVariableOp", {v}, read);
  g.add_new("y", "Mul", {w, value}, t);
  const Value start = g.add_const("start", Tensor::from<float>({3}, {1, 2, 3}));
  const Value set = g.add_new("set", "AssignVariableOp", {v, start}, read);
  const Value init = g.add_new("init", "NoOp", {}, {});
  g.node(init.node).controls = {set.node};
  return meta;
}

TEST(Freeze, AVariableWithoutAValueIsNamed) {
  const Checkpoint checkpoint(saved("types/all.ckpt"));
  FreezeOptions options;
  options.outputs = {"y"};
  EXPECT_THAT(error_of([&] { freeze(two_variables(), &checkpoint, options, "net.meta"); }),
              AllOf(HasSubstr("net.meta"), HasSubstr("variable fc/v"), HasSubstr("has no value"), HasSubstr("fc/")));
  EXPECT_THAT(error_of([&] { freeze(two_variables(), nullptr, options, "net.meta"); }), HasSubstr("no checkpoint"));
  options.initializers = {"init"};
  const Frozen f = freeze(two_variables(), &checkpoint, options, "net.meta");
  const Tensor y = interpret(f.graph, {}, {f.graph.value("y")})[0];
  EXPECT_EQ(std::vector<float>(y.data<float>(), y.data<float>() + 3), (std::vector<float>{0.5f, -1, 0}));
  options.outputs = {"set"};
  EXPECT_THAT(error_of([&] { freeze(two_variables(), &checkpoint, options, "net.meta"); }),
              AllOf(HasSubstr("writes the variable fc/v"), HasSubstr("training")));
}

TEST(Freeze, AnotherNetworksCheckpointIsNamed) {
  const Checkpoint checkpoint(saved("types/all.ckpt"));
  MetaGraph meta = two_variables();
  meta.graph.node(meta.graph.find("fc/b")).attrs.insert_or_assign("shape", Attr(ShapeAttr{true, {4}}));
  FreezeOptions options;
  options.outputs = {"y"};
  EXPECT_THAT(error_of([&] { freeze(meta, &checkpoint, options, "net.meta"); }),
              AllOf(HasSubstr("[4]"), HasSubstr("[3]"), HasSubstr("another network")));
}

TEST(Freeze, MissingFilesAreNamed) {
  const auto folder = std::filesystem::temp_directory_path() / ("freeze_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  const auto copy = [&](const std::string& file) { std::filesystem::copy(saved(file), folder / saved(file).filename()); };
  copy("sharded/model.ckpt.index");
  copy("sharded/model.ckpt.data-00000-of-00002");
  FreezeOptions options;
  options.outputs = {"y"};
  EXPECT_THAT(error_of([&] { frozen(folder / "model.ckpt", options); }),
              AllOf(HasSubstr("model.ckpt.meta"), HasSubstr("missing")));
  copy("sharded/model.ckpt.meta");
  EXPECT_THAT(error_of([&] { frozen(folder / "model.ckpt", options); }), HasSubstr("data-00001-of-00002"));
  std::filesystem::remove(folder / "model.ckpt.index");
  EXPECT_THAT(error_of([&] { frozen(folder / "model.ckpt.meta", options); }), HasSubstr("model.ckpt.index"));
  std::filesystem::create_directory(folder / "saved");
  std::filesystem::copy(saved("keras/saved_model/saved_model.pb"), folder / "saved/saved_model.pb");
  EXPECT_THAT(error_of([&] { frozen(folder / "saved"); }), AllOf(HasSubstr("variable"), HasSubstr("no checkpoint")));
  std::string bytes = read_file(saved("keras/saved_model/saved_model.pb"));
  write_file(folder / "saved/saved_model.pb", bytes.substr(0, bytes.size() / 2));
  EXPECT_THAT(error_of([&] { frozen(folder / "saved"); }), HasSubstr("is not a SavedModel"));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace cytodet::test
