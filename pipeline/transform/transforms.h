// Every transform is one function; names and summaries are in transform_table.cpp.
#pragma once

#include <set>

#include "pipeline/transform/transform_table.h"

namespace cytodet::pipeline {

// node_transforms.cpp
void transform_remove_nodes(TransformContext& c);
void transform_strip_unused_nodes(TransformContext& c);
void transform_rename_node(TransformContext& c);
void transform_rename_op(TransformContext& c);
void transform_rename_attribute(TransformContext& c);
void transform_remove_attribute(TransformContext& c);
void transform_remove_control_dependencies(TransformContext& c);
void transform_remove_device(TransformContext& c);
void transform_set_device(TransformContext& c);
void transform_obfuscate_names(TransformContext& c);
void transform_sort_by_execution_order(TransformContext& c);
void transform_merge_duplicate_nodes(TransformContext& c);
void transform_backport_concatv2(TransformContext& c);

// weight_transforms.cpp
void transform_quantize_weights(TransformContext& c);
void transform_round_weights(TransformContext& c);

// range_transforms.cpp
void transform_insert_logging(TransformContext& c);
void transform_freeze_requantization_ranges(TransformContext& c);
void transform_freeze_max(TransformContext& c);
void transform_freeze_min(TransformContext& c);

// integer_transforms.cpp
void transform_fuse_quantized_conv_and_requantize(TransformContext& c);
void transform_fuse_quantized_matmul_and_requantize(TransformContext& c);
void transform_rerange_quantized_concat(TransformContext& c);
void transform_quantize_nodes(TransformContext& c);

// Ids of the interface's outputs and inputs; of find_outputs where none are named.
std::set<NodeId> kept_nodes(const TransformContext& c);

}  // namespace cytodet::pipeline
