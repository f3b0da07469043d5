// Which layers stay in float, so that accuracy does.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "pipeline/config/detect_settings.h"
#include "pipeline/quantize/quantize_model.h"

namespace cytodet::pipeline {

// Accuracy of the network in float and quantized (AP of detections against `truth`, top-1 of a classification network on its
// labelled images), and which layers it took to keep the drop within settings.max_drop. The state lies in `state` until the
// search is done.
struct Accuracy {
  std::string figure;  // "AP" or "top-1"; empty: nothing was measured
  double of_float = -1, of_int8 = -1;
  std::vector<std::string> in_float;  // besides the excluded ones
  size_t trials = 0;
};
bool classifies(const QuantizationTarget& target);
// What accuracy is, and on which images it is measured.
struct Measured {
  const char* name;  // of the figure: "AP", "top-1"
  std::vector<std::string> images;
  std::function<double(const Graph&)> accuracy;  // of the network's graph, optimized
};
// The target must outlive it.
Measured accuracy_measure(const QuantizationTarget& target, const QuantizeSettings& s, const std::string& truth,
                          const DetectSettings& detection);
Accuracy search_float_fallback(QuantizationTarget& target, const Ranges& ranges, const QuantizeSettings& s,
                               const std::string& truth, const DetectSettings& detection, const std::filesystem::path& state,
                               bool quiet);

}  // namespace cytodet::pipeline
