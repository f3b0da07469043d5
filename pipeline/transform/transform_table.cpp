#include "pipeline/transform/transform_table.h"

#include <algorithm>

#include "core/error.h"
#include "core/suggest.h"
#include "graph/ir/validate.h"
#include "graph/passes/pass.h"
#include "pipeline/transform/transforms.h"

namespace cytodet::pipeline {
namespace {

// A transform that is one or several passes of `optimize`.
template <const char* const*... Names>
void run_passes_of(TransformContext& c) {
  PassOptions options;
  options.interface = c.interface;
  options.only.emplace();
  for (const char* const* names : {Names...})
    for (; *names; ++names) options.only->push_back(*names);
  run_passes(c.graph, options);
}
// Lists of passes, each ends with null.
constexpr const char* kConstants[] = {"fold_constants", nullptr};
// Either name folds either form.
constexpr const char* kBatchNorms[] = {"fuse_column_wise_mul", "fold_old_batch_norms", "fuse_decomposed_batch_norm",
                                       "fold_batch_norms", nullptr};
constexpr const char* kBiasMul[] = {"fold_convolutionwithbias_mul", nullptr};
constexpr const char* kSubDivMul[] = {"fold_subdivmul_batch_norms", nullptr};
constexpr const char* kPadAndConv[] = {"fuse_pad_and_conv", nullptr};
constexpr const char* kFunctions[] = {"inline_functions", nullptr};
constexpr const char* kShared[] = {"split_shared_constants", nullptr};

void fold_constants(TransformContext& c) {
  run_passes_of<kConstants>(c);
  if (!c.call.truth("clear_output_shapes", true)) return;
  for (NodeId id : c.graph.ids()) c.graph.node(id).attrs.erase("_output_shapes");
}

constexpr const char* kKernelsDo = "kernels resize and pad while they read: nothing is to be fused in the graph";

const std::vector<Transform>& table() {
  static const std::vector<Transform> transforms = {
      {"add_default_attributes", {}, "an attribute that is absent has its default here", nullptr},
      {"backport_concatv2", {}, "ConcatV2 -> Concat", transform_backport_concatv2},
      {"backport_tensor_array_v3", {}, "it is for TensorFlow 0.12: TensorArrayV3 runs as it is", nullptr},
      {"flatten_atrous_conv", {}, "kernels run dilated convolutions as they are", nullptr},
      {"fold_batch_norms", {}, "linear op -> batch norm, in any form -> linear op -> BiasAdd", run_passes_of<kBatchNorms>},
      {"fold_constants", {"clear_output_shapes"}, "op of constants -> Const", fold_constants},
      {"fold_convolutionwithbias_mul", {}, "linear op -> BiasAdd -> Mul -> linear op -> BiasAdd", run_passes_of<kBiasMul>},
      {"fold_old_batch_norms", {}, "linear op -> batch norm, in any form -> linear op -> BiasAdd", run_passes_of<kBatchNorms>},
      {"fold_subdivmul_batch_norms",
       {},
       "linear op -> Sub -> RealDiv -> Mul -> BiasAdd -> linear op -> BiasAdd",
       run_passes_of<kSubDivMul>},
      {"freeze_max",
       {"min_max_log_file", "min_percentile", "max_percentile"},
       "Max -> Const, by a log's __max: records",
       transform_freeze_max},
      {"freeze_min",
       {"min_max_log_file", "min_percentile", "max_percentile"},
       "Min -> Const, by a log's __min: records",
       transform_freeze_min},
      {"freeze_requantization_ranges",
       {"min_max_log_file", "min_percentile", "max_percentile"},
       "RequantizationRange -> Const, by a log's __requant_min_max: records",
       transform_freeze_requantization_ranges},
      {"fuse_convolutions", {}, "Pad -> Conv2D VALID -> Conv2D EXPLICIT", run_passes_of<kPadAndConv>},
      {"fuse_pad_and_conv", {}, "Pad -> Conv2D VALID -> Conv2D EXPLICIT", run_passes_of<kPadAndConv>},
      {"fuse_quantized_conv_and_requantize",
       {},
       "QuantizedConv2D... -> Requantize by constants -> ...AndRequantize",
       transform_fuse_quantized_conv_and_requantize},
      {"fuse_quantized_matmul_and_requantize",
       {},
       "QuantizedMatMul... -> Requantize by constants -> ...AndRequantize",
       transform_fuse_quantized_matmul_and_requantize},
      {"fuse_resize_and_conv", {}, kKernelsDo, nullptr},
      {"fuse_resize_pad_and_conv", {}, kKernelsDo, nullptr},
      {"inline_partitionedcall", {}, "call of a function -> its body", run_passes_of<kFunctions>},
      {"insert_logging",
       {"op", "prefix", "show_op", "show_name", "message", "first_n", "summarize"},
       "x -> Print(x), which writes x to stderr",
       transform_insert_logging},
      {"merge_duplicate_nodes", {}, "nodes of equal op, inputs and attributes -> one", transform_merge_duplicate_nodes},
      {"mkl_fuse_pad_and_conv", {}, "Pad -> Conv2D VALID -> Conv2D EXPLICIT", run_passes_of<kPadAndConv>},
      {"obfuscate_names", {}, "names -> short ones; inputs and outputs keep theirs", transform_obfuscate_names},
      {"obsfucate_names", {}, "names -> short ones; inputs and outputs keep theirs", transform_obfuscate_names},
      {"quantize_nodes",
       {"input_min", "input_max", "fallback_min", "fallback_max"},
       "what quantize_graph does",
       transform_quantize_nodes},
      {"quantize_weights", {"minimum_size"}, "float Const -> 8-bit Const -> Dequantize", transform_quantize_weights},
      {"remove_attribute", {"attribute_name", "op_name"}, "an attribute -> gone", transform_remove_attribute},
      {"remove_control_dependencies", {}, "control inputs -> gone", transform_remove_control_dependencies},
      {"remove_device", {}, "devices -> gone", transform_remove_device},
      {"remove_nodes", {"op", "max_inputs"}, "nodes of an op -> their first input", transform_remove_nodes},
      {"rename_attribute",
       {"old_attribute_name", "new_attribute_name", "op_name"},
       "an attribute under another name",
       transform_rename_attribute},
      {"rename_node", {"old_node_name", "new_node_name"}, "a node under another name", transform_rename_node},
      {"rename_op", {"old_op_name", "new_op_name"}, "an op under another name", transform_rename_op},
      {"rerange_quantized_concat", {}, "all that a QuantizedConcatV2 joins -> one range", transform_rerange_quantized_concat},
      {"round_weights", {"num_steps"}, "float Const -> the nearest of equal steps", transform_round_weights},
      {"set_device", {"device", "if_default"}, "a device for all nodes", transform_set_device},
      {"sort_by_execution_order", {}, "inputs before their readers", transform_sort_by_execution_order},
      {"sparsify_gather", {}, "tables that are looked up stay in the graph as they are", nullptr},
      {"split_shared_nodes", {}, "Const read by several layers -> one each", run_passes_of<kShared>},
      {"strip_unused_nodes",
       {"type", "shape", "name", "type_for_name", "shape_for_name"},
       "what no output needs -> gone",
       transform_strip_unused_nodes},
  };
  return transforms;
}

const Transform& require_transform(const TransformCall& call) {
  const Transform* row = entry_named(table(), call.name);
  if (!row) throw Error("", "Transform '" + call.name + "' not recognized.", suggest(call.name, names_of(table())));
  std::vector<std::string> known{"ignore_errors"};
  known.insert(known.end(), row->parameters.begin(), row->parameters.end());
  for (const auto& [name, value] : call.parameters)
    if (row->run && std::find(known.begin(), known.end(), name) == known.end())
      throw Error("", "Transform '" + call.name + "' has no parameter '" + name + "'", suggest(name, known));
  call.truth("ignore_errors", false);
  return *row;
}

void apply(const Transform& row, Graph& graph, const Interface& interface, const TransformCall& call) {
  const bool sound = problem_in(graph).empty();
  TransformContext context{graph, interface, call};
  row.run(context);
  graph.check();
  if (const std::string problem = sound ? problem_in(graph) : ""; !problem.empty()) throw Error("", problem + " after it");
}

}  // namespace

std::span<const Transform> all_transforms() { return table(); }

std::set<NodeId> kept_nodes(const TransformContext& c) {
  std::set<NodeId> kept;
  for (const std::string& name : c.interface.outputs.empty() ? find_outputs(c.graph) : c.interface.outputs)
    kept.insert(c.graph.value(name).node);
  for (const std::string& name : c.interface.inputs) kept.insert(c.graph.value(name).node);
  return kept;
}

void apply_transforms(Graph& graph, const Interface& interface, const std::vector<TransformCall>& calls,
                      void (*say)(const std::string&)) {
  for (const TransformCall& call : calls) require_transform(call);
  for (const TransformCall& call : calls) {
    const Transform& row = require_transform(call);
    say("Applying " + call.name);
    if (!row.run) {
      say(call.name + ": nothing to do: " + row.summary);
      continue;
    }
    const Graph before = graph;
    try {
      apply(row, graph, interface, call);
    } catch (const Error& e) {
      if (!call.truth("ignore_errors", false)) throw e.within("transform " + call.name);
      say(call.name + ": Ignoring error " + e.what());
      graph = before;
    }
  }
}

}  // namespace cytodet::pipeline
