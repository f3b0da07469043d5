// Which layers stay in float, so that accuracy does.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "pipeline/config/detect_settings.h"
#include "pipeline/quantize/quantize_model.h"

namespace cytodet::pipeline {

// AP of the network in float and quantized, and which layers it took to keep the drop within settings.max_drop. The state lies in
// `state` until the search is done.
struct Accuracy {
  double float_ap = -1, int8_ap = -1;
  std::vector<std::string> in_float;  // besides the excluded ones
  size_t trials = 0;
};
Accuracy search_float_fallback(QuantizationTarget& target, const Ranges& ranges, const QuantizeSettings& s,
                               const std::string& truth, const DetectSettings& detection, const std::filesystem::path& state,
                               bool quiet);

}  // namespace cytodet::pipeline
