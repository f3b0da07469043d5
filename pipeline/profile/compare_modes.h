// All modes of quantization side by side: how large the file is, how accurate the network, how long an inference takes.
#pragma once

#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "pipeline/config/detect_settings.h"
#include "pipeline/config/quantize_settings.h"
#include "pipeline/quantize/target.h"

namespace cytodet::pipeline {

struct CompareModesOptions {
  std::vector<std::string> modes;  // "float" and names of quantize_mode
  bool lite = false;               // files are .tflite, else .pb
  QuantizeSettings quantize;
  std::string truth;  // COCO ground truth of a detector's images; of a classification network they are labelled
  DetectSettings detection;
  std::vector<int> threads;  // empty: 1, 2, 4 and so on up to those of the machine
  int rounds = 20;           // of which the median is taken
  bool quiet = false;
};

struct ModeRow {
  std::string mode;
  std::string problem;  // why there is no such file; then nothing else is known
  int64_t bytes = 0;
  double accuracy = -1;    // < 0: not measured
  double sqnr_db = 0;      // of the outputs to float
  std::vector<double> ms;  // of one inference, by CompareModes::threads
};

struct CompareModes {
  std::string model, format;
  std::string figure;  // "AP", "top-1"; empty: accuracy is not measured
  size_t images = 0;   // that it is measured on
  std::vector<int> threads;
  std::vector<ModeRow> rows;
  std::vector<std::string> warnings;
};

// Accuracy needs a model file, and labels or `truth`; else only the decibels are known. Modes that cannot be made say why.
CompareModes compare_modes(QuantizationTarget& target, const CompareModesOptions& options);

std::string to_text(const CompareModes& comparison);  // three tables
Json to_json(const CompareModes& comparison);
std::string to_svg(const CompareModes& comparison);

}  // namespace cytodet::pipeline
