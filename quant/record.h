// Quantization records of Huawei's AMCT (record.txt): each layer's scales, as protocol buffer text.
//
//   record { key: "conv1" value { scale_d: 0.0039 offset_d: -128 scale_w: 0.01 scale_w: .. offset_w: 0 .. } }
//
// A layer's input x is quantized as clamp(round(x / scale_d) + offset_d, -128, 127), a weight w as round(w / scale_w).
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "graph/quantized/quant_nodes.h"

namespace cytodet::quant {

struct LayerRecord {
  float scale_d = 1;
  int offset_d = 0;            // -128..127: that of QuantParams::zero_point - 128
  std::vector<float> scale_w;  // one, or one per output channel
  std::vector<int> cluster;    // of non-uniform weights: the quantized values that occur, ascending
  bool skip_fusion = false;
  bool learned = false;  // not in files: weights are rounded by second moments where they are known

  QuantParams input() const { return {scale_d, offset_d + 128, false}; }
};

using Records = std::map<std::string, LayerRecord>;  // by the layer's node

// Throws Error with the line: unknown fields (with the nearest), scales that are not positive finite floats, weights with an
// offset, a layer twice or without scales, and what has no form here (shift_bit, tensor_balance_factor, other types than INT8).
Records parse_records(std::string_view text);
Records read_records(const std::filesystem::path& path);
// Floats as protocol buffers print them: 6 digits, or 9 where those do not give the same float again.
std::string records_text(const Records& records);

}  // namespace cytodet::quant
