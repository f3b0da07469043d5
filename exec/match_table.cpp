#include "exec/match.h"

namespace cytodet {

std::vector<KernelRow> kernel_rows() {
  return {
      {"dense_conv", match_dense_conv},
      {"depthwise", match_depthwise},
      {"matmul", match_matmul},
      {"onednn_deconv", match_onednn_deconv},
      {"onednn_matmul", match_onednn_matmul},
      {"weighted_sum", match_sum},
      {"mean", match_mean},
      {"gate", match_gate},
      {"activation", match_activation},
      {"max_pool", match_max_pool},
      {"onednn_pool", match_onednn_pool},
      {"onednn_softmax", match_onednn_softmax},
      {"resize_nearest", match_resize_nearest},
      {"concat", match_concat},
      {"alias", match_alias},
  };
}

std::vector<FusionRow> fusion_rows() {
  return {
      {"pooled_mean", fuse_pooled_mean},
      {"gate_into_pointwise", fuse_gate_into_pointwise},
      {"expand_depthwise", fuse_expand_depthwise},
      {"sum_depthwise", fuse_sum_depthwise},
      {"depthwise_pointwise", fuse_depthwise_pointwise},
  };
}

}  // namespace cytodet
