// The zoo, calibration by any command, and the Python package, through the program.
#include "pipeline/config/zoo.h"

#include <gmock/gmock.h>

#include "core/process.h"
#include "core/settings.h"
#include "models/model_file.h"
#include "quant/ranges.h"
#include "tests/error_of.h"
#include "tests/pipeline/cells.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const std::string kCellGraph = kSource + "/models/classification/blood_cells.pb";

class Zoo : public ProgramTest {
 protected:
  void expect_error(const Output& o, int code, const std::string& part) const {
    EXPECT_EQ(o.code, code) << o.err;
    ASSERT_EQ(o.errors().size(), 1u) << o.err;
    EXPECT_THAT(o.errors()[0], HasSubstr(part));
  }
  // A program that runs a network: it prints what cytodet's own calibration log says, and the path that it was given.
  std::string logging_command(const std::string& more = "") {
    const Output o = run({"calibrate", kClassifier, "--images", kCells + "/calibration", "-o", path("ranges.json"), "--log",
                          path("log.txt"), "--quiet"});
    EXPECT_EQ(o.code, 0) << o.err;
    put("infer.sh", "test -f \"$1\" || exit 9\necho \"graph $1\"\nsed 's/^/[noise]/' " + path("log.txt") + " >&2\n" + more);
    return "sh " + path("infer.sh") + " {}";
  }
  std::vector<std::string> quantize(const std::string& command, std::vector<std::string> more = {}) const {
    // A bare graph: the shipped one without its model file.
    std::filesystem::copy_file(kCellGraph, folder / "fp32.pb", std::filesystem::copy_options::overwrite_existing);
    std::vector<std::string> words{"quantize", path("fp32.pb"), "-o",      path("int8.pb"), "--inputs",
                                   "input",    "--outputs",     "predict", "--callback",    command};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
};

TEST(ZooList, HoldsTheNineNetworksOfTheSource) {
  const std::vector<ZooEntry> zoo = parse_zoo(shipped_zoo(), "models.json");
  std::vector<std::string> names;
  for (const ZooEntry& e : zoo) names.push_back(e.name);
  EXPECT_THAT(names, ElementsAre("resnet50", "resnet50v1_5", "resnet101", "mobilenet_v1", "ssd_mobilenet", "ssd_resnet34",
                                 "faster_rcnn", "rfcn", "inceptionv3"));
  EXPECT_EQ(zoo_command(zoo[0], {"models", "image net", ""}),
            "python models/benchmarks/launch_benchmark.py --model-name resnet50 --framework tensorflow --precision int8 --mode "
            "inference "
            "--batch-size 100 --accuracy-only --data-location 'image net' --in-graph {}");
  EXPECT_THAT(zoo_command(zoo[7], {"models", "coco", "tf models"}),
              HasSubstr("--in-graph {} --model-source-dir 'tf models' -- split=\"accuracy_message\""));
  EXPECT_TRUE(zoo[1].converter.per_channel);
  EXPECT_THAT(zoo[1].converter.outputs, ElementsAre("ArgMax", "softmax_tensor"));
}

TEST(ZooList, PreprocessingIsThatOfModelFiles) {
  const Json models = shipped_zoo_models();
  EXPECT_EQ(models.size(), 9u);
  for (const auto& [name, keys] : models.items()) {
    Json json = keys;
    json["graph"] = "g.pb";
    EXPECT_EQ(error_of([&, n = name] { parse_model_file(json, n); }), "");
  }
}

TEST(ZooList, BadEntriesAreNamed) {
  const auto problem = [](const std::function<void(Json&)>& change) {
    Json json = shipped_zoo();
    change(json);
    return error_of([&] { parse_zoo(json, "m.json"); });
  };
  EXPECT_THAT(problem([](Json& j) { j = Json::object(); }), HasSubstr("m.json: must be a list"));
  EXPECT_THAT(problem([](Json& j) { j[1]["MODEL_NAME"] = "resnet50"; }),
              HasSubstr("m.json: [1]: MODEL_NAME: \"resnet50\" is in the list already"));
  EXPECT_THAT(problem([](Json& j) { j[0]["LAUNCH_BENCHMARK_PARAMS"]["IN_GRAPH"] = "--in-graph"; }),
              HasSubstr("IN_GRAPH: must hold {}"));
  EXPECT_THAT(problem([](Json& j) { j[0]["QUANTIZE_GRAPH_CONVERTER_PARAMS"]["PER_CHANNEL"] = true; }),
              HasSubstr("did you mean PER_CHANNEL_FLAG?"));
}

TEST_F(Zoo, OneCommandFromFloatToInt8) {
  const Output o = run({"zoo", "--model", "resnet50", "--in_graph", kClassifier, "--out_graph", path("int8.pb"),
                        "--data_location", kCells + "/calibration", "--debug", "--quiet"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, ::testing::StartsWith("Model Config: MODEL_NAME:resnet50\nModel Config: LAUNCH_BENCHMARK_PARAMS:{"));
  EXPECT_THAT(o.out, HasSubstr("Model Config: Supported models - ['resnet50', 'resnet50v1_5', "));
  EXPECT_THAT(o.out, ::testing::EndsWith("Converted graph file is saved to: " + path("int8.pb") + "\n"));
  EXPECT_THAT(names(folder), ElementsAre("int8.json", "int8.pb", "int8_stages"));
  EXPECT_EQ(names(folder / "int8_stages").size(), 6u);
  expect_error(run({"zoo", "resnet500", "--in_graph", kCellGraph}), 2,
               "\"resnet500\" is no network of the list; did you mean resnet50");
  expect_error(run({"zoo", "rfcn", "--in_graph", path("int8.pb")}), 2, "needs --data_location");
}

TEST_F(Zoo, EvaluateComparesBothGraphsAndNoticesMissingLabelsBeforeTheWork) {
  const auto zoo = [&](const std::string& data) {
    return run({"zoo", "resnet50", "--in_graph", kClassifier, "--out_graph", path("int8.pb"), "--data_location", data,
                "--evaluate", "--quiet"});
  };
  std::filesystem::create_directory(path("bare"));
  for (const auto& image : std::filesystem::recursive_directory_iterator(kCells + "/val"))
    if (image.is_regular_file() && names(folder / "bare").size() < 3)
      std::filesystem::copy_file(image.path(), folder / "bare" / image.path().filename());
  expect_error(zoo(path("bare")), 2, "has no label");
  EXPECT_THAT(names(folder), ElementsAre("bare"));
  const Output o = zoo(kCells + "/val");
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("fp32"));
  EXPECT_THAT(o.out, HasSubstr("int8"));
}

// The tool's own default name: a file that somebody else made there stays.
TEST_F(Zoo, TheDefaultNameOfTheResultReplacesOnlyOurOwn) {
  for (const char* end : {".json", ".pb"})
    std::filesystem::copy_file(kSource + "/models/classification/blood_cells" + end, path(std::string("blood_cells") + end));
  const std::vector<std::string> zoo{"zoo",
                                     "resnet50",
                                     "--in_graph",
                                     path("blood_cells.json"),
                                     "--data_location",
                                     kSource + "/tests/data/cells/calibration",
                                     "--max-images",
                                     "2",
                                     "--quiet"};
  const std::string result = put("int8_final_fused_graph.pb", "mine");
  const Output refused = run(zoo);
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("int8_final_fused_graph.pb: stands there already"));
  EXPECT_EQ(read_file(result), "mine");
  std::filesystem::remove(result);
  EXPECT_EQ(run(zoo).code, 0);
  const Output again = run(zoo);
  EXPECT_EQ(again.code, 0) << again.err;
}

TEST_F(Zoo, ACommandGivesTheRangesOfTheLog) {
  const std::string command = logging_command();
  const Output o = run(quantize(command, {"--quiet", "--report", path("report.json")}));
  ASSERT_EQ(o.code, 0) << o.err;
  const Output from_log = run({"calibrate", path("fp32.pb"), "--inputs", "input", "--outputs", "predict", "--from-log",
                               path("log.txt"), "-o", path("of_log.json")});
  ASSERT_EQ(from_log.code, 0) << from_log.err;
  const Output same = run({"quantize", path("fp32.pb"), "--inputs", "input", "--outputs", "predict", "--ranges",
                           path("of_log.json"), "-o", path("same.pb"), "--quiet"});
  ASSERT_EQ(same.code, 0) << same.err;
  EXPECT_EQ(read_file(path("int8.pb")), read_file(path("same.pb")));
  EXPECT_EQ(read_json(path("report.json"))["ranges"]["data"], "callback");
  for (const std::string& name : names(folder)) EXPECT_THAT(name, Not(HasSubstr("logged"))) << "is left behind";
  // What it prints besides goes on.
  EXPECT_THAT(run(quantize(command)).err, HasSubstr("graph " + folder.string() + "/cytodet-"));
}

TEST_F(Zoo, ThePathBehindInputGraphIsReplaced) {
  logging_command();
  put("named.sh", "path=${1#--input_graph=}\nexec sh " + path("infer.sh") + " \"$path\"\n");
  EXPECT_EQ(run(quantize("sh " + path("named.sh") + " --input_graph=other.pb", {"--quiet"})).code, 0);
  expect_error(run(quantize("sh infer.sh")), 2, "callback: does not say where the graph goes");
}

TEST_F(Zoo, ACommandThatFailsIsAnError) {
  std::filesystem::current_path(folder);
  put("fails.sh", "echo no such module >&2; exit 4\n");
  expect_error(run(quantize("sh fails.sh {}", {"--quiet"})), 1,
               "callback: \"sh\" failed with exit code 4; it last said: no such module");
  put("silent.sh", "exit 0\n");
  expect_error(run(quantize("sh silent.sh {}", {"--quiet"})), 1, "callback: printed no records");
  put("hangs.sh", "echo working; sleep 60\n");
  expect_error(run(quantize("sh hangs.sh {}", {"--quiet", "--callback-timeout", "1"})), 1,
               "callback: took over 1 s and was ended; it last said: working");
  expect_error(run(quantize("no-such-program {}", {"--quiet"})), 1, "no-such-program: cannot be started");
  std::filesystem::current_path(kSource);
  EXPECT_THAT(names(folder), ElementsAre("fails.sh", "fp32.pb", "hangs.sh", "silent.sh"));
}

TEST_F(Zoo, FalseMeansFalse) {
  const std::string command = logging_command();
  const auto bytes_of = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words{"--quiet"};
    words.insert(words.end(), more.begin(), more.end());
    const Output o = run(quantize(command, words));
    EXPECT_EQ(o.code, 0) << o.err;
    return read_file(path("int8.pb"));
  };
  const std::string per_tensor = bytes_of({"--per-tensor"}), per_channel = bytes_of({});
  EXPECT_NE(per_tensor, per_channel);
  EXPECT_EQ(bytes_of({"--per_channel", "False"}), per_tensor);
  EXPECT_EQ(bytes_of({"--per_channel=0"}), per_tensor);
  EXPECT_EQ(bytes_of({"--per_channel", "True"}), per_channel);
  expect_error(run(quantize(command, {"--per_channel", "maybe"})), 2, "--per_channel: is \"maybe\"");
}

// Empty lists mean none, as the tutorial types them; lists of ops are written for many networks.
TEST_F(Zoo, EmptyExclusionsAndThoseOfOtherNetworks) {
  const std::string command = logging_command();
  const auto bytes_of = [&](const std::vector<std::string>& more) {
    const Output o = run(quantize(command, more));
    EXPECT_EQ(o.code, 0) << o.err;
    return std::pair(read_file(path("int8.pb")), o.err);
  };
  const std::string plain = bytes_of({"--quiet"}).first;
  EXPECT_EQ(bytes_of({"--quiet", "--excluded_ops", "", "--excluded_nodes", ""}).first, plain);
  EXPECT_EQ(bytes_of({"--excluded_ops=", "--excluded_nodes=", "--quiet"}).first, plain);
  EXPECT_EQ(bytes_of({"--excluded_ops", ",", "--quiet"}).first, plain);
  EXPECT_EQ(bytes_of({"--quiet", "--excluded_ops=MatMul, MaxPool"}).first,
            bytes_of({"--quiet", "--excluded_ops", "MatMul,MaxPool"}).first);
  const auto [bytes, err] = bytes_of({"--quiet", "--excluded_ops", "ConcatV2"});
  EXPECT_EQ(bytes, plain);
  EXPECT_THAT(err, HasSubstr("warning: excluded ops: ConcatV2 is not in the graph"));
  EXPECT_EQ(err.find("ConcatV2"), err.rfind("ConcatV2")) << "said once";
  expect_error(run(quantize("sh no.sh {}", {"--excluded_nodes", "predictt"})), 2,
               "excluded nodes: predictt is not in the graph; did you mean predict");
}

// A model file beside the graph says what is fed and fetched; to say the same again is no error.
TEST_F(Zoo, InputsAndOutputsBesideAModelFile) {
  for (const char* end : {".json", ".pb"})
    std::filesystem::copy_file(kSource + "/models/classification/blood_cells" + end, path(std::string("blood_cells") + end));
  const auto quantize = [&](const std::string& input, const std::string& output) {
    return run({"quantize", path("blood_cells.pb"), "--inputs", input, "--outputs", output, "--images", kCells + "/calibration",
                "--max-images", "2", "-o", path("int8.pb"), "--rounding", "nearest", "--quiet"});
  };
  const Output same = quantize("input", "predict:0");
  EXPECT_EQ(same.code, 0) << same.err;
  expect_error(quantize("input", "logits"), 2, "its model file says that input is fed and predict fetched");
  expect_error(quantize("image", "predict"), 2, "its model file says that input is fed and predict fetched");
}

TEST_F(Zoo, AGraphOfAnotherNetworkIsRefusedBeforeTheWork) {
  std::filesystem::copy_file(kCellGraph, folder / "fp32.pb");
  const Output o = run({"zoo", "resnet50", "--in_graph", path("fp32.pb"), "--out_graph", path("int8.pb"), "--data_location",
                        kCells + "/calibration"});
  expect_error(o, 1, "fp32.pb: does not fit the model file of resnet50: input input is [?,64,64,3], and not [1,224,224,3]");
  // A model file of a user's own is checked against its graph as the zoo's are.
  Json model = read_json(kClassifier);
  model["graph"] = "fp32.pb";
  model["classes"] = {"a", "b"};
  const Output other = run({"quantize", put("m.json", model.dump()), "--images", kCells + "/calibration", "-o", path("int8.pb")});
  expect_error(other, 1, "output predict is float32 [1,3], but float scores of 2 classes are expected");
  EXPECT_THAT(names(folder), ElementsAre("fp32.pb", "m.json"));
}

TEST_F(Zoo, NoEmptyFolderStaysOfARunThatFails) {
  put("fails.sh", "exit 4\n");
  EXPECT_EQ(run({"zoo", "resnet50", "--in_graph", kClassifier, "--out_graph", path("int8.pb"), "--callback",
                 "sh " + path("fails.sh") + " {}", "--debug"})
                .code,
            1);
  EXPECT_EQ(run(quantize("sh " + path("fails.sh") + " {}", {"--dump-dir", path("dump")})).code, 1);
  EXPECT_THAT(names(folder), ElementsAre("fails.sh", "fp32.pb"));
}

// A command that prints the graph itself.
TEST_F(Zoo, BytesOfAGraphAreNotPrinted) {
  const Output o = run(quantize("cat {}"));
  expect_error(o, 1, "callback: printed no records");
  EXPECT_LT(o.err.size(), 5000u);
}

TEST_F(Zoo, NodesThatPrintNothingAreNamed) {
  const std::string command = logging_command();
  std::string log = read_file(path("log.txt"));
  log.erase(0, log.find('\n') + 1);  // its first record, of the input of the first layer
  const size_t images = 60;
  for (size_t at = 0, left = images; left-- && (at = log.find(";input__print__", at)) != std::string::npos;)
    log.erase(at, log.find('\n', at) + 1 - at);
  put("log.txt", log);
  const Output o = run(quantize(command, {"--quiet"}));
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.err, HasSubstr("printed nothing"));
}

// GraphConverter of python/, run by python3 where there is one.
class PythonPackage : public Zoo {
 protected:
  struct Ran {
    int code;
    std::string text;
  };
  Ran python(const std::string& script) const {
    Ran r{0, ""};
    put("script.py", script);
    r.code = run_process({"env", "PYTHONPATH=" + kSource + "/python", "PYTHONDONTWRITEBYTECODE=1", "CYTODET=" + kProgram,
                          "python3", path("script.py")},
                         250, [&](std::string_view line) { r.text += std::string(line) + "\n"; })
                 .code;
    return r;
  }
};

TEST_F(PythonPackage, ConvertsAsTheTutorialsScript) {
  const std::string command = logging_command();
  std::filesystem::copy_file(kCellGraph, folder / "fp32.pb");
  const std::string script =
      "import cytodet.graph_converter as converter\n"
      "c = converter.GraphConverter('" +
      path("fp32.pb") +
      "', None, ['input'], ['predict'], per_channel=True)\n"
      "c.gen_calib_data_cmds = '" +
      command + "'\n";
  const Ran plain = python(script + "assert c.debug is False\nc.covert()\nprint(c.output_graph, c.gen_calib_data_cmds)\n");
  ASSERT_EQ(plain.code, 0) << plain.text;
  EXPECT_THAT(plain.text, HasSubstr(path("int8_final_fused_graph.pb") + " " + command));
  EXPECT_THAT(names(folder), ::testing::IsSupersetOf({"fp32_optimized_graph.pb", "int8_final_fused_graph.pb"}));
  EXPECT_THAT(names(folder), Not(::testing::Contains("int8_logged_graph.pb")));
  const std::string int8 = read_file(path("int8_final_fused_graph.pb"));
  const Ran debug = python(script + "c.debug = True\nc.convert()\n");
  ASSERT_EQ(debug.code, 0) << debug.text;
  EXPECT_EQ(read_file(path("int8_final_fused_graph.pb")), int8);
  EXPECT_THAT(names(folder),
              ::testing::IsSupersetOf({"int8_dynamic_range_graph.pb", "int8_frozen_range_graph.pb", "int8_logged_graph.pb"}));
  const Ran optimized = python("from cytodet import GraphConverter\nc = GraphConverter('" + path("fp32_optimized_graph.pb") +
                               "', '" + path("again.pb") + "', 'input', 'predict', per_channel=True)\nc.gen_calib_data_cmds = '" +
                               command + "'\nc.quantize()\n");
  ASSERT_EQ(optimized.code, 0) << optimized.text;
  EXPECT_EQ(read_file(path("again.pb")), int8);
}

TEST_F(PythonPackage, LeavesFilesOfOthersOfTheNamesThatItChooses) {
  const std::string command = logging_command();
  std::filesystem::copy_file(kCellGraph, folder / "fp32.pb");
  const auto convert = [&](const std::string& settings) {
    return python("from cytodet import GraphConverter\nc = GraphConverter('" + path("fp32.pb") +
                  "', None, ['input'], ['predict'])\nc.gen_calib_data_cmds = '" + command + "'\n" + settings + "c.convert()\n");
  };
  for (const std::string name : {"fp32_optimized_graph.pb", "int8_final_fused_graph.pb", "int8_logged_graph.pb"}) {
    put(name, "mine");
    const Ran refused = convert("c.debug = True\n");
    EXPECT_NE(refused.code, 0);
    EXPECT_THAT(refused.text, HasSubstr(name + ": stands there already, and was not written by this program"));
    EXPECT_EQ(read_file(path(name)), "mine");
    std::filesystem::remove(path(name));
  }
  put("int8_logged_graph.pb", "mine");
  EXPECT_EQ(convert("").code, 0);  // a name that is not written now
  EXPECT_EQ(read_file(path("int8_logged_graph.pb")), "mine");
  EXPECT_EQ(convert("c.debug = True\nc.overwrite = True\n").code, 0);
  EXPECT_NE(read_file(path("int8_logged_graph.pb")), "mine");
  EXPECT_EQ(convert("c.debug = True\n").code, 0);  // all of them are its own now
}

TEST_F(PythonPackage, TakesTheAlgorithmsOfTheOriginalAndSaysWhereTheGraphIs) {
  const std::string command = logging_command();
  std::filesystem::copy_file(kCellGraph, folder / "fp32.pb");
  const Ran r = python("from cytodet import GraphConverter\nc = GraphConverter('" + path("fp32.pb") + "', '" + path("o.pb") +
                       "', ['input'], ['predict'], excluded_ops=['ConcatV2'], algo='KL')\nc.gen_calib_data_cmds = '" + command +
                       "'\nc.convert()\n");
  EXPECT_EQ(r.code, 0) << r.text;
  EXPECT_THAT(r.text, HasSubstr("algo KL: ranges are percentiles of the logged extremes, as of DIRECT"));
  EXPECT_THAT(r.text, HasSubstr("Converted graph file is saved to: " + path("o.pb") + "\n"));
}

// `python freeze_graph.py ...`, and a link that is called so.
TEST_F(PythonPackage, LinksAreCommandsOfTheProgram) {
  std::filesystem::create_symlink(kSource + "/python/cytodet/tool.py", folder / "summarize_graph.py");
  std::string text;
  for (const bool by_python : {true, false}) {
    std::vector<std::string> words{"env", "CYTODET=" + kProgram, "PYTHONDONTWRITEBYTECODE=1"};
    if (by_python) words.push_back("python3");
    words.insert(words.end(), {path("summarize_graph.py"), "--in_graph=" + kCellGraph});
    EXPECT_EQ(run_process(words, 60, [&](std::string_view line) { text += std::string(line) + "\n"; }).code, 0) << text;
  }
  EXPECT_NE(text.find("Found 1 possible inputs"), text.rfind("Found 1 possible inputs")) << text;
}

TEST_F(PythonPackage, ErrorsAreThoseOfTheOriginal) {
  const Ran r = python(
      "from cytodet import GraphConverter\n"
      "def tell(call):\n"
      "    try:\n        call()\n"
      "    except (ValueError, RuntimeError) as e:\n        print(type(e).__name__, e)\n"
      "g = '" +
      kCellGraph +
      "'\n"
      "tell(lambda: GraphConverter('none.pb', None))\n"
      "tell(lambda: GraphConverter(g, '/no/such/folder/x.pb'))\n"
      "tell(lambda: GraphConverter(g, '" +
      path("x.pb") +
      "').convert())\n"
      "c = GraphConverter('" +
      put("bad.pb", "not a graph") + "', '" + path("x.pb") +
      "')\n"
      "c.gen_calib_data_cmds = 'true {}'\n"
      "tell(c.convert)\n");
  ASSERT_EQ(r.code, 0) << r.text;
  EXPECT_THAT(r.text, HasSubstr("ValueError Input graph pb file none.pb does not exist.\n"));
  EXPECT_THAT(r.text, HasSubstr("ValueError \"output_graph\" directory does not exist.\n"));
  EXPECT_THAT(r.text, HasSubstr("ValueError No command was given"));
  EXPECT_THAT(r.text, HasSubstr("RuntimeError " + path("bad.pb") + ": is not a"));
  EXPECT_THAT(names(folder), ElementsAre("bad.pb", "script.py"));
}

}  // namespace
}  // namespace cytodet::test
