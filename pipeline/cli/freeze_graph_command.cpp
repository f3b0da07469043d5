// cytodet freeze_graph: variables become constants. The flags are those of TensorFlow's tool of this name.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "core/error.h"
#include "core/join.h"
#include "core/output_plan.h"
#include "core/text_width.h"
#include "graph/io/file_kind.h"
#include "graph/io/read_graph.h"
#include "graph/io/tensorflow/freeze.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/io/tensorflow/variables.h"
#include "graph/ir/endpoints.h"
#include "pipeline/cli/boolean_flag.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/tool_flags.h"
#include "pipeline/detect/files_read.h"

namespace cytodet::pipeline {
namespace {

namespace fs = std::filesystem;

struct FreezeFlags {
  std::string source, graph, meta, saved_model, checkpoint, saver, out;
  std::string restore_op = "save/restore_all", ignored;
  bool clear_devices = true, binary = false;
  int version = 2;
  FreezeOptions options;
};

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

fs::path existing_checkpoint(const std::string& name) {
  const fs::path prefix = checkpoint_prefix(name);
  if (name.empty() || (!is_there(prefix.string() + ".index") && !is_there(prefix)))
    throw Error("", "Input checkpoint '" + name + "' doesn't exist!", "name it by its prefix, such as model.ckpt-1000");
  return prefix;
}

Unfrozen unfrozen_source(const std::string& path) {
  if (const auto found = find_unfrozen(path)) return *found;
  if (!is_there(path)) throw Error(path, "cannot open: no such file, folder or checkpoint", "check the path");
  if (const auto kind = kind_at(path); kind && kind->readable == ReadableKind::none)
    throw Error(path, "is " + kind->name + ", neither a SavedModel nor a checkpoint", kind->advice);
  throw Error(path, "is neither a SavedModel nor a checkpoint",
              "a graph without variables is frozen; with a checkpoint: --input_graph " + path + " --input_checkpoint PREFIX");
}

Frozen freeze_saved_model(const FreezeFlags& f) {
  const auto found = find_unfrozen(f.saved_model);
  if (!found || found->kind != ReadableKind::saved_model)
    throw Error(f.saved_model, "holds no saved_model.pb", "name the folder of a SavedModel");
  return freeze(*found, f.options);
}

Frozen freeze_meta_graph(const FreezeFlags& f, const std::string& file) {
  if (!is_there(file)) throw Error("", "Input meta graph file '" + file + "' does not exist!");
  const Checkpoint checkpoint(f.checkpoint.empty() ? checkpoint_prefix(file) : existing_checkpoint(f.checkpoint));
  FreezeOptions options = f.options;
  if (!f.saver.empty()) options.restore_op = read_restore_op(f.saver);
  return freeze(read_meta_graph(file), &checkpoint, options, file);
}

// A GraphDef says nothing of its checkpoint: variables are found by their names, then by its restore node.
Frozen freeze_graph_def(const FreezeFlags& f) {
  if (!is_there(f.graph)) throw Error("", "Input graph file '" + f.graph + "' does not exist!");
  const auto found = find_unfrozen(f.graph);
  if (found && found->kind == ReadableKind::meta_graph) return freeze_meta_graph(f, f.graph);
  const Checkpoint checkpoint(existing_checkpoint(f.checkpoint));
  MetaGraph meta;
  meta.graph = read_graph(f.graph);
  FreezeOptions options = f.options;
  options.names_first = f.saver.empty();
  options.restore_op = f.saver.empty() ? f.restore_op : read_restore_op(f.saver);
  const std::vector<NodeId> ids = meta.graph.ids();
  if (std::none_of(ids.begin(), ids.end(), [&](NodeId id) { return is_variable(meta.graph.node(id)); }))
    throw Error(f.graph,
                "No variables were found in this model. It is likely the model was frozen previously. You cannot freeze a graph "
                "twice.");
  return freeze(std::move(meta), &checkpoint, options, f.graph);
}

Frozen freeze_source(const FreezeFlags& f) {
  const int sources = !f.source.empty() + !f.saved_model.empty() + !f.meta.empty() + !f.graph.empty();
  if (sources > 1) throw UsageError("cytodet freeze_graph", "is given several graphs", "name one");
  if (!f.saved_model.empty()) return freeze_saved_model(f);
  if (!f.meta.empty()) return freeze_meta_graph(f, f.meta);
  if (!f.graph.empty()) return freeze_graph_def(f);
  const std::string& source = f.source.empty() ? f.checkpoint : f.source;
  if (!source.empty()) return freeze(unfrozen_source(source), f.options);
  throw UsageError(
      "cytodet freeze_graph", "needs a graph",
      "SAVED_MODEL or CHECKPOINT, --input_saved_model_dir, --input_meta_graph, or --input_graph with --input_checkpoint");
}

void check_files(const FreezeFlags& f) {
  if (f.out.empty()) throw UsageError("cytodet freeze_graph", "needs a name for the result", "--output_graph FROZEN.pb");
  OutputPlan plan;
  for (const std::string& path : {f.source, f.saved_model, f.meta, f.graph, f.checkpoint}) add_graph(plan.inputs(), path);
  plan.add_input(f.saver, "the saver");
  plan.add_output(f.out, "the frozen graph");
  check_outputs(plan);
}

int run(FreezeFlags& f) {
  if (f.version != 1 && f.version != 2)
    throw UsageError("cytodet freeze_graph", "Invalid checkpoint version (must be '1' or '2'): " + std::to_string(f.version));
  check_files(f);
  const Frozen frozen = freeze_source(f);
  write_graph(frozen.graph, f.out);
  std::fprintf(stderr, "%s",
               printable_lines("Converted " + std::to_string(frozen.variables) + " variables to const ops.\ninputs: " +
                               join(find_inputs(frozen.graph), ", ") + "\noutputs: " + join(frozen.outputs, ", ") + "\n")
                   .c_str());
  std::printf("%d ops in the final graph.\n", frozen.graph.size());
  return 0;
}

// --flag NAMES, between commas.
void add_names(CLI::App& app, const char* flags, std::vector<std::string>& names, const char* help) {
  app.add_option_function<std::string>(
         flags, [&names](const std::string& text) { names = names_between_commas(text); }, help)
      ->type_name("NAME,...");
}

}  // namespace

std::function<int()> setup_freeze_graph(CLI::App& app) {
  auto o = std::make_shared<FreezeFlags>();
  app.add_option("SOURCE", o->source,
                 "Folder of a SavedModel; or a checkpoint by its prefix (model.ckpt-1000) or any of its files");
  app.add_option("-o,--out,--output_graph", o->out, "The frozen graph; text when it ends in .pbtxt");
  add_names(app, "--outputs,--output_node_names", o->options.outputs,
            "Nodes, or keys of the signature; default: those of the signature");
  app.add_option("--signature", o->options.signature, "Signature of a SavedModel; default: serving_default, or the only one");
  add_names(app, "--tags,--saved_model_tags", o->options.tags,
            "Tags of the graph in a SavedModel; default: serve, or the only one");
  app.add_option("--input_saved_model_dir", o->saved_model, "Folder of a SavedModel");
  app.add_option("--input_meta_graph", o->meta, "MetaGraphDef (.meta); its checkpoint lies beside it or is named");
  app.add_option("--input_graph", o->graph, "GraphDef, .pb or .pbtxt, to a checkpoint");
  app.add_option("--input_checkpoint", o->checkpoint, "Checkpoint, by its prefix");
  app.add_option("--input_saver", o->saver, "SaverDef, whose restore node says where variables lie");
  add_boolean(app, "--input_binary", o->binary, "Taken, and not needed: binary and text are distinguished by content");
  app.add_option("--restore_op_name", o->restore_op, "Node that restores variables which are not found by their names");
  app.add_option("--filename_tensor_name", o->ignored, "Taken, and not needed");
  add_boolean(app, "--clear_devices", o->options.clear_devices, "Remove devices and colocations; default: true");
  add_names(app, "--initializer_nodes", o->options.initializers, "Nodes that set variables, behind the checkpoint");
  add_names(app, "--variable_names_whitelist", o->options.only, "Only these variables become constants");
  add_names(app, "--variable_names_blacklist,--variable_names_denylist", o->options.without, "These stay variables");
  app.add_option("--checkpoint_version", o->version, "Taken, and not needed: 2 is what is read");
  return [o] { return run(*o); };
}

}  // namespace cytodet::pipeline
