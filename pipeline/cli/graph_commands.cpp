// inspect, optimize, infer.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "core/error.h"
#include "core/file.h"
#include "core/messages.h"
#include "core/settings.h"
#include "core/text_width.h"
#include "exec/run_graph.h"
#include "graph/inspect.h"
#include "graph/interpret/feed_check.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/passes/pass.h"
#include "pipeline/cli/command_files.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/input_shapes.h"
#include "pipeline/quantize/answer_check.h"

namespace cytodet::pipeline {
namespace {

// What --dump-dir writes: DIR/NN_PASS.pb.
std::vector<std::string> dumped_files(const std::string& folder) {
  std::vector<std::string> files;
  if (folder.empty()) return files;
  for (size_t i = 0; i < all_passes().size(); ++i) {
    char number[8];
    std::snprintf(number, sizeof number, "%02zu_", i + 1);
    files.push_back((std::filesystem::path(folder) / (number + std::string(all_passes()[i].name) + ".pb")).string());
  }
  return files;
}

Json inspect_json(const InspectReport& r) {
  Json j{{"inputs", r.inputs},
         {"outputs", r.outputs},
         {"variables", r.variables},
         {"const_parameters", r.const_parameters},
         {"variable_parameters", r.variable_parameters},
         {"control_edges", r.control_edges},
         {"macs", r.macs},
         {"layers_unsized", r.layers_unsized}};
  for (const auto& [op, count] : r.op_counts) j["ops"][op] = count;
  j["nodes"] = Json::array();
  for (const InspectNode& n : r.nodes)
    j["nodes"].push_back({{"name", n.name}, {"op", n.op}, {"inputs", n.inputs}, {"outputs", n.shapes}, {"macs", n.macs}});
  return j;
}

}  // namespace

std::function<int()> setup_inspect(CLI::App& app) {
  struct Options {
    std::string graph;
    std::vector<std::string> shapes;
    bool structure = false, json = false;
  };
  auto o = std::make_shared<Options>();
  app.add_option("GRAPH", o->graph, "Frozen graph, .pb or .pbtxt")->required();
  app.add_option("--shape", o->shapes, "Shape of an input: name=1,512,512,3");
  app.add_flag("--structure", o->structure, "One line per node");
  app.add_flag("--json", o->json, "JSON instead of text");
  return [o] {
    Graph graph = read_graph(o->graph);
    try {
      InspectReport r = inspect(graph, parse_shapes(o->shapes));
      std::string text = o->json ? inspect_json(r).dump(1) + "\n" : printable_lines(to_text(r, o->graph, o->structure));
      std::fputs(text.c_str(), stdout);
    } catch (const UsageError&) {
      throw;
    } catch (const Error& e) {
      throw e.within(o->graph);
    }
    return 0;
  };
}

std::function<int()> setup_optimize(CLI::App& app) {
  struct Options {
    std::string graph, out, stop_after, dump_dir;
    std::vector<std::string> inputs, outputs, passes, without;
    std::string feeds;
    bool list = false, no_check = false;
  };
  auto o = std::make_shared<Options>();
  app.add_option("GRAPH", o->graph, "Frozen graph, .pb or .pbtxt");
  app.add_option("-o,--out", o->out, "Result; text when it ends in .pbtxt");
  app.add_option("--inputs", o->inputs, "Nodes to feed; the graph is cut there")->delimiter(',');
  app.add_option("--outputs", o->outputs, "Nodes to fetch; default: nodes nobody reads")->delimiter(',');
  app.add_option("--passes", o->passes, "Only these")->delimiter(',');
  app.add_option("--without", o->without, "All but these")->delimiter(',');
  app.add_option("--stop-after", o->stop_after, "Last pass to run");
  app.add_option("--dump-dir", o->dump_dir, "Write the graph here after each pass");
  app.add_flag("--list", o->list, "Print the passes in their order");
  app.add_option("--feeds", o->feeds, "Feeds (.json, as of infer) to check the result on; default: random ones");
  app.add_flag("--no-check", o->no_check, "Do not compare the result's answers with the source's before it is written");
  return [o] {
    if (o->list) {
      for (const Pass& p : all_passes()) std::printf("%-30s %s\n", p.name, p.summary);
      return 0;
    }
    if (o->graph.empty() || o->out.empty()) throw UsageError("cytodet optimize", "needs GRAPH and -o OUT");
    OutputPlan plan;
    plan.add_input(o->graph, "the graph that is read");
    plan.add_output(o->out, "the optimized graph");
    check_outputs(plan);
    for (const std::string& file : dumped_files(o->dump_dir)) plan.add_output(file, "the graph after a pass");
    plan.check();
    const Graph source = read_graph(o->graph);
    if (const std::string variable = first_variable(source); !variable.empty())
      print_warning(o->graph + ": is not frozen: it holds variables, such as " + variable);
    Graph graph = source;
    PassOptions options;
    options.interface = {o->inputs, o->outputs};
    if (!o->passes.empty()) options.only = o->passes;
    options.without = o->without;
    options.stop_after = o->stop_after;
    options.dump_dir = o->dump_dir;
    std::vector<PassReport> reports;
    try {
      reports = run_passes(graph, options);
    } catch (const Error& e) {
      const bool of_dump = !o->dump_dir.empty() && e.where().starts_with(o->dump_dir);
      throw e.code() == Exit::usage || of_dump ? e : e.within(o->graph);
    }
    if (o->no_check)
      write_graph(graph, o->out);
    else
      write_checked(source, graph, o->out, {options.interface, o->feeds.empty() ? NamedTensors() : read_case(o->feeds).inputs},
                    o->graph);
    for (const PassReport& r : reports)
      std::fprintf(stderr, "%-30s %5d -> %5d nodes %8.1f ms%s\n", r.pass.c_str(), r.nodes_before, r.nodes_after, r.time_ms,
                   r.changed ? "" : "  (nothing to do)");
    return 0;
  };
}

std::function<int()> setup_infer(CLI::App& app) {
  struct Options {
    std::string graph, feeds, out, cases, precision = "graph";
    std::vector<std::string> outputs;
    bool plain = false;
    int threads = 1;
  };
  auto o = std::make_shared<Options>();
  app.add_option("GRAPH", o->graph, "Frozen graph, .pb or .pbtxt");
  app.add_option("--feeds", o->feeds, "JSON: {\"inputs\": {\"name:0\": {\"dtype\", \"shape\", \"data\"}}}");
  app.add_option("-o,--out", o->out, "JSON of the outputs; default: standard output");
  app.add_option("--outputs", o->outputs, "Outputs, \"name\" or \"name:slot\"")->delimiter(',');
  app.add_option("--cases", o->cases, "Folder of cases (graph.pb, case.json): pass or fail each");
  app.add_flag("--plain", o->plain, "The plain interpreter instead of the kernels");
  app.add_option("--threads", o->threads, "Threads inside the network")->check(CLI::Range(1, 256));
  app.add_option("--precision", o->precision, "What layers in float are computed in: graph (as they are) or bf16");
  return [o] {
    InferOptions options{o->outputs, o->plain, o->threads, precision_named(o->precision)};
    if (!o->cases.empty()) {
      int passed = 0, failed = 0;
      for (const CaseResult& r : run_cases(o->cases, options)) {
        std::printf("%s %s%s%s\n", r.problem.empty() ? "pass" : "FAIL", r.name.c_str(), r.problem.empty() ? "" : ": ",
                    r.problem.c_str());
        ++(r.problem.empty() ? passed : failed);
      }
      std::printf("%d passed, %d failed\n", passed, failed);
      return static_cast<int>(failed == 0 ? Exit::ok : passed ? Exit::partial : Exit::failed);
    }
    if (o->graph.empty()) throw UsageError("cytodet infer", "needs GRAPH or --cases DIR");
    OutputPlan plan;
    plan.add_input(o->graph, "the graph that is read");
    plan.add_input(o->feeds, "the feeds");
    plan.add_output(o->out, "the answer");
    check_outputs(plan);
    NamedTensors feeds;
    if (!o->feeds.empty()) feeds = read_case(o->feeds).inputs;
    Json j{{"outputs", tensors_to_json(infer(o->graph, feeds, options))}};
    std::string text = j.dump() + "\n";
    if (o->out.empty())
      std::fputs(text.c_str(), stdout);
    else
      write_file(o->out, text);
    return 0;
  };
}

}  // namespace cytodet::pipeline
