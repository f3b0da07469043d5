#include <algorithm>
#include <cstdio>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/suggest.h"
#include "core/timing.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/ir/colocations.h"
#include "graph/ir/validate.h"
#include "graph/passes/passes.h"

namespace cytodet::graph {
namespace {

constexpr Pass kPasses[] = {
    {"inline_functions", "call of a library function -> its body", pass_inline_functions},
    {"float16_to_float32", "float16 and bfloat16 ops and constants -> float32; inputs and outputs keep their types",
     pass_float16_to_float32, false},
    {"strip_unused_nodes", "nodes that no output needs -> gone; an input inside the graph -> Placeholder",
     pass_strip_unused_nodes},
    {"update_ops", "Concat -> ConcatV2", pass_update_ops},
    {"fold_switch_merge", "Switch/Merge with a constant predicate -> the branch taken", pass_fold_switch_merge},
    {"remove_training_nodes", "Identity, IdentityN, CheckNumerics, StopGradient -> gone", pass_remove_training_nodes},
    {"unpack_filters", "Cast -> GatherV2 -> Reshape of a packed 8-bit filter -> Const", pass_unpack_filters},
    {"raise_fake_quant", "FakeQuantWithMinMaxVars of a layer's input and filter -> 8-bit layer", pass_raise_fake_quant},
    {"raise_int8", "TensorFlow's integer convolutions -> convolutions between QuantizeV2 and Dequantize", pass_raise_int8},
    {"fold_constants", "op of constants -> Const", pass_fold_constants},
    {"channels_last", "convolutions, pools and batch norms of maps [n, c, h, w] -> of maps [n, h, w, c]", pass_channels_last},
    {"remove_no_ops", "x * 1, x / 1, Reshape to the same shape -> x", pass_remove_no_ops},
    {"split_shared_constants", "Const read by several convolutions or biases -> one each", pass_split_shared_constants},
    {"merge_dilated_convolutions", "SpaceToBatchND -> convolution -> BatchToSpaceND -> dilated convolution",
     pass_merge_dilated_convolutions},
    {"merge_channel_convolutions", "Split -> Conv2D of every part -> ConcatV2 -> Conv2D of groups, or DepthwiseConv2dNative",
     pass_merge_channel_convolutions},
    {"fuse_column_wise_mul", "linear op -> Mul by a channel constant -> linear op", pass_fuse_column_wise_mul},
    {"fold_old_batch_norms", "linear op [-> BiasAdd] -> batch norm -> linear op -> BiasAdd", pass_fold_old_batch_norms},
    {"fold_subdivmul_batch_norms", "linear op -> Sub -> RealDiv -> Mul -> BiasAdd -> linear op -> BiasAdd",
     pass_fold_subdivmul_batch_norms},
    {"fuse_decomposed_batch_norm", "linear op -> Mul, Add, Sub by constants -> linear op -> BiasAdd",
     pass_fuse_decomposed_batch_norm},
    {"fold_batch_norms", "linear op -> Mul -> Mul -> linear op", pass_fold_batch_norms},
    {"fold_convolutionwithbias_mul", "linear op -> BiasAdd -> Mul -> linear op -> BiasAdd", pass_fold_convolutionwithbias_mul},
    {"add_to_bias", "linear op [-> BiasAdd] -> Add of a channel constant -> linear op -> BiasAdd", pass_add_to_bias},
    {"fuse_pad_and_conv", "Pad -> Conv2D VALID -> Conv2D EXPLICIT", pass_fuse_pad_and_conv},
};

void check_name(const std::string& name) {
  if (!find_pass(name)) throw UsageError("pass " + name, "there is no such pass", suggest(name, names_of(kPasses)));
}

// TensorFlow refuses a node that is to run where another runs ("_class": "loc:@other") when the other is gone.
void drop_lost_colocations(Graph& graph) {
  for (NodeId id : graph.ids()) erase_colocations(graph.node(id), [&](std::string_view other) { return graph.find(other) < 0; });
}

// What a pass left must load where what it was given does.
void check_after_pass(const Graph& graph, bool was_sound) {
  graph.check();
  if (!was_sound) return;
  if (const std::string problem = problem_in(graph); !problem.empty())
    throw Error("", problem + " after it", "leave the pass out with --without, and report the graph");
}

}  // namespace

std::span<const Pass> all_passes() { return kPasses; }

const Pass* find_pass(std::string_view name) { return entry_named(kPasses, name); }

std::string dump_name(int number, const std::string& pass) {
  char prefix[16];
  std::snprintf(prefix, sizeof prefix, "%02d_", number);
  return prefix + pass + ".pb";
}

std::vector<PassReport> run_passes(Graph& graph, const PassOptions& options) {
  if (options.only)
    for (const std::string& name : *options.only) check_name(name);
  for (const std::string& name : options.without) check_name(name);
  if (!options.stop_after.empty()) check_name(options.stop_after);
  for (const auto* names : {&options.interface.inputs, &options.interface.outputs})
    for (const std::string& name : *names) graph.value(name);
  // The outputs of the graph as it is now stay its outputs, whatever becomes unread on the way.
  Interface io = options.interface;
  if (io.outputs.empty()) io.outputs = find_outputs(graph);
  if (io.outputs.empty()) throw Error("graph", "has no outputs", "name them with --outputs");
  graph.output_order.clear();  // nodes that replace outputs stand where passes add them
  std::set<NodeId> ordered;    // outputs may be of one node
  for (const std::string& name : io.outputs)
    if (const NodeId id = graph.value(name).node; ordered.insert(id).second) graph.output_order.push_back(graph.node(id).name);
  if (!options.dump_dir.empty()) make_folder(options.dump_dir);

  std::vector<PassReport> reports;
  const bool sound = problem_in(graph).empty();
  int number = 0;
  for (const Pass& pass : kPasses) {
    const std::string name = pass.name;
    auto listed = [&](const std::vector<std::string>& names) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    bool wanted = options.only ? listed(*options.only) : pass.by_default;
    ++number;
    if (wanted && !listed(options.without)) {
      PassReport report{name, false, graph.size(), 0, 0};
      Stopwatch watch;
      try {
        report.changed = pass.run(graph, io);
        drop_lost_colocations(graph);
        check_after_pass(graph, sound);
      } catch (const Error& e) {
        throw e.within("pass " + name);
      }
      report.time_ms = watch.ms();
      report.nodes_after = graph.size();
      reports.push_back(report);
      if (!options.dump_dir.empty()) {
        write_graph(graph, options.dump_dir / dump_name(number, name));
      }
    }
    if (name == options.stop_after) break;
  }
  return reports;
}

}  // namespace cytodet::graph
