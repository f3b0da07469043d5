// cytodet infer: any graph on named inputs.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "core/error.h"
#include "core/file.h"
#include "core/output_plan.h"
#include "core/settings.h"
#include "exec/run_graph.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/graph_flags.h"
#include "pipeline/detect/files_read.h"

namespace cytodet::pipeline {
namespace {

struct InferFlags {
  std::string graph, feeds, out, cases, precision = "graph";
  std::vector<std::string> outputs;
  bool plain = false;
  int threads = 1;
  GraphFlags graph_flags;
};

int run_folder_of_cases(const std::string& folder, const InferOptions& options) {
  int passed = 0, failed = 0;
  for (const CaseResult& r : run_cases(folder, options)) {
    std::printf("%s %s%s%s\n", r.problem.empty() ? "pass" : "FAIL", r.name.c_str(), r.problem.empty() ? "" : ": ",
                r.problem.c_str());
    ++(r.problem.empty() ? passed : failed);
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return static_cast<int>(failed == 0 ? Exit::ok : passed ? Exit::partial : Exit::failed);
}

int infer_once(const InferFlags& o, const InferOptions& options) {
  OutputPlan plan;
  add_graph(plan.inputs(), o.graph);
  plan.add_input(o.feeds, "the feeds");
  plan.add_output(o.out, "the answer");
  check_outputs(plan);
  const GraphRunner runner(o.graph, options);
  const NamedTensors answers = runner.run(read_feeds(o.feeds), {});
  Json tensors = Json::object();
  for (const std::string& name : runner.outputs()) tensors[name] = tensors_to_json({{name, answers.at(name)}})[name];
  Json j{{"outputs", std::move(tensors)}};
  std::string text = j.dump() + "\n";
  if (o.out.empty())
    std::fputs(text.c_str(), stdout);
  else
    write_file(o.out, text);
  return 0;
}

}  // namespace

std::function<int()> setup_infer(CLI::App& app) {
  auto o = std::make_shared<InferFlags>();
  app.add_option("GRAPH", o->graph, "Frozen graph, .pb or .pbtxt; SavedModel, checkpoint, ONNX or TensorFlow Lite model");
  app.add_option("--feeds", o->feeds, "JSON: {\"inputs\": {\"name:0\": {\"dtype\", \"shape\", \"data\"}}}");
  app.add_option("-o,--out", o->out, "JSON of the outputs; default: standard output");
  app.add_option("--outputs", o->outputs, "Outputs, \"name\" or \"name:slot\"")->delimiter(',');
  app.add_option("--cases", o->cases, "Folder of cases (graph.pb, case.json): pass or fail each");
  o->graph_flags.add_changes(app);
  app.add_flag("--plain", o->plain, "The plain interpreter instead of the kernels");
  app.add_option("--threads", o->threads, "Threads inside the network")->check(CLI::Range(1, 256));
  app.add_option("--precision", o->precision, "What layers in float are computed in: graph (as they are) or bf16");
  return [o] {
    const InferOptions options{o->outputs, o->plain, o->threads, precision_named(o->precision), o->graph_flags.changes()};
    if (!o->cases.empty()) return run_folder_of_cases(o->cases, options);
    if (o->graph.empty()) throw UsageError("cytodet infer", "needs GRAPH or --cases DIR");
    return infer_once(*o, options);
  };
}

}  // namespace cytodet::pipeline
