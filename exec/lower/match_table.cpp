#include "exec/lower/match.h"

namespace cytodet::exec {

std::vector<KernelEntry> kernel_entries() {
  return {
      {"norm", match_norm},
      {"attention", match_attention},
      {"dense_conv", match_dense_conv},
      {"depthwise", match_depthwise},
      {"grouped", match_grouped},
      {"matmul", match_matmul},
      {"open_matmul", match_open_matmul},
      {"crops", match_crops},
      {"lstm", match_lstm},
      {"deconv", match_deconv},
      {"computed_product", match_computed_product},
      {"expression", match_expression},
      {"weighted_sum", match_sum},
      {"mean", match_mean},
      {"activation", match_activation},
      {"product", match_product},
      {"pool", match_pool},
      {"softmax", match_softmax},
      {"resize_nearest", match_resize_nearest},
      {"resize_bilinear", match_resize_bilinear},
      {"concat", match_concat},
      {"alias", match_alias},
      {"reduce", match_reduce},
      {"channels", match_channels},
      {"copy", match_copy},
      {"split", match_split},
      {"fake_quant", match_fake_quant},
      {"expression_rest", match_expression_rest},
  };
}

std::vector<FusionEntry> fusion_entries() {
  return {
      {"fake_quant", fuse_fake_quant},
      {"pooled_mean", fuse_pooled_mean},
      {"gate_into_pointwise", fuse_gate_into_pointwise},
      {"expand_depthwise", fuse_expand_depthwise},
      {"sum_depthwise", fuse_sum_depthwise},
      {"depthwise_pointwise", fuse_depthwise_pointwise},
  };
}

}  // namespace cytodet::exec
