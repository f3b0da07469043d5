// cytodet optimize: a graph rewritten by passes.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>

#include "core/error.h"
#include "core/messages.h"
#include "core/output_plan.h"
#include "core/text_width.h"
#include "exec/run_graph.h"
#include "graph/interpret/feed_check.h"
#include "graph/interpret/set_values.h"
#include "graph/io/read_graph.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/map_transposes.h"
#include "graph/passes/pass.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/graph_flags.h"
#include "pipeline/detect/files_read.h"
#include "pipeline/quantize/answer_check.h"
#include "pipeline/results/folder_manifest.h"

namespace cytodet::pipeline {
namespace {

struct OptimizeOptions {
  std::string graph, out, stop_after, dump_dir;
  std::vector<std::string> passes, without;
  GraphFlags flags;
  std::string feeds;
  bool list = false, no_check = false, overwrite = false, own_name = false;
};

// What --dump-dir writes.
std::vector<std::string> dumped_names() {
  std::vector<std::string> names;
  for (const Pass& pass : all_passes()) names.push_back(dump_name(static_cast<int>(names.size()) + 1, pass.name));
  return names;
}

void check_files(const OptimizeOptions& o) {
  OutputPlan plan;
  add_graph(plan.inputs(), o.graph);
  plan.add_output(o.out, "the optimized graph");
  check_outputs(plan);
  if (o.own_name && !o.overwrite) require_own_files({o.out});
  if (o.dump_dir.empty()) return;
  const std::vector<std::string> names = dumped_names();
  for (const std::string& name : names) plan.add_output(std::filesystem::path(o.dump_dir) / name, "the graph after a pass");
  plan.check();
  if (!o.overwrite) FolderManifest(o.dump_dir).require_ours(names);
}

std::vector<PassReport> run_chosen_passes(Graph& graph, const OptimizeOptions& o) {
  PassOptions options;
  options.interface = o.flags.interface;
  if (!o.passes.empty()) options.only = o.passes;
  options.without = o.without;
  options.stop_after = o.stop_after;
  options.dump_dir = o.dump_dir;
  std::optional<FolderManifest> manifest;
  if (!o.dump_dir.empty()) {
    make_folder(o.dump_dir);
    manifest.emplace(o.dump_dir).list_what_is_written();
  }
  try {
    return run_passes(graph, options);
  } catch (const Error& e) {
    const bool of_dump = !o.dump_dir.empty() && e.where().starts_with(o.dump_dir);
    throw e.code() == Exit::usage || of_dump ? e : e.within(o.graph);
  }
}

int optimize(const OptimizeOptions& o) {
  check_files(o);
  const Graph source = read_graph(o.graph, o.flags.changes());
  if (const std::string variable = first_variable(source); !variable.empty())
    print_warning(o.graph + ": is not frozen: it holds variables, such as " + variable);
  Graph graph = source;
  const std::vector<PassReport> reports = run_chosen_passes(graph, o);
  std::optional<FolderManifest> own;
  if (o.own_name) own.emplace(folder_of(o.out)).list_what_is_written();
  if (o.no_check)
    write_graph(graph, o.out);
  else
    write_checked(source, graph, o.out, {o.flags.interface, read_feeds(o.feeds)}, o.graph);
  for (const PassReport& r : reports)
    std::fprintf(stderr, "%-30s %5d -> %5d nodes %8.1f ms%s\n", r.pass.c_str(), r.nodes_before, r.nodes_after, r.time_ms,
                 r.changed ? "" : "  (nothing to do)");
  std::fputs(printable_lines(to_text(map_transposes(graph))).c_str(), stderr);
  return 0;
}

}  // namespace

std::function<int()> setup_optimize(CLI::App& app) {
  auto o = std::make_shared<OptimizeOptions>();
  app.add_option("GRAPH", o->graph, "Frozen graph, .pb or .pbtxt; SavedModel, checkpoint, ONNX or TensorFlow Lite model");
  app.add_option("-o,--out", o->out, "Result; text when it ends in .pbtxt");
  o->flags.add(app);
  app.add_option("--passes", o->passes, "Only these")->delimiter(',');
  app.add_option("--without", o->without, "All but these")->delimiter(',');
  app.add_option("--stop-after", o->stop_after, "Last pass to run");
  app.add_option("--dump-dir", o->dump_dir, "Write the graph here after each pass");
  app.add_flag("--overwrite", o->overwrite, kOverwriteHelp);
  app.add_flag("--own-name", o->own_name, kOwnNameHelp);
  app.add_flag("--list", o->list, "Print the passes in their order");
  app.add_option("--feeds", o->feeds, "Feeds (.json, as of infer) to check the result on; default: random ones");
  app.add_flag("--no-check", o->no_check, "Do not compare the result's answers with the source's before it is written");
  return [o] {
    if (o->list) {
      for (const Pass& p : all_passes()) std::printf("%-30s %s\n", p.name, p.summary);
      return 0;
    }
    if (o->graph.empty() || o->out.empty()) throw UsageError("cytodet optimize", "needs GRAPH and -o OUT");
    return optimize(*o);
  };
}

}  // namespace cytodet::pipeline
