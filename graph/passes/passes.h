// Every pass is one function; the order and the one-line summaries are in graph/passes/pass_table.cpp.
#pragma once

#include "graph/passes/pass.h"

namespace cytodet::graph {

bool pass_inline_functions(Graph& g, const Interface& io);
bool pass_float16_to_float32(Graph& g, const Interface& io);
bool pass_strip_unused_nodes(Graph& g, const Interface& io);
bool pass_remove_training_nodes(Graph& g, const Interface& io);
bool pass_fold_switch_merge(Graph& g, const Interface& io);
bool pass_raise_int8(Graph& g, const Interface& io);
bool pass_split_shared_constants(Graph& g, const Interface& io);
bool pass_fold_constants(Graph& g, const Interface& io);
bool pass_unpack_filters(Graph& g, const Interface& io);
bool pass_update_ops(Graph& g, const Interface& io);
bool pass_channels_last(Graph& g, const Interface& io);
bool pass_raise_fake_quant(Graph& g, const Interface& io);
bool pass_remove_no_ops(Graph& g, const Interface& io);
bool pass_merge_dilated_convolutions(Graph& g, const Interface& io);
bool pass_merge_channel_convolutions(Graph& g, const Interface& io);
bool pass_fuse_column_wise_mul(Graph& g, const Interface& io);
bool pass_fold_old_batch_norms(Graph& g, const Interface& io);
bool pass_fuse_decomposed_batch_norm(Graph& g, const Interface& io);
bool pass_fold_subdivmul_batch_norms(Graph& g, const Interface& io);
bool pass_fold_batch_norms(Graph& g, const Interface& io);
bool pass_fold_convolutionwithbias_mul(Graph& g, const Interface& io);
bool pass_add_to_bias(Graph& g, const Interface& io);
bool pass_fuse_pad_and_conv(Graph& g, const Interface& io);

}  // namespace cytodet::graph
