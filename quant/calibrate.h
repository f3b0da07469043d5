// Calibration: samples run through the FP32 network, and what its values were.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "exec/runtime/plan.h"
#include "graph/ir/op.h"
#include "quant/calibration_log.h"
#include "quant/observers/observer.h"

namespace cytodet::quant {

struct CalibrateOptions {
  std::string method = "minmax";  // entry of the observer table
  ObserverOptions observer;
  bool per_channel = true;  // also the smallest and largest number of each innermost channel; equalization needs them
  bool all_values = false;  // every float value; else what convolutions and matrix products read and give
  bool records = false;     // also each sample's extremes, for the calibration log
  int streams = 0;          // networks at work at once; 0: one per usable core
  bool quiet = false;
};

struct CalibrationData {
  std::string name;                  // of the whole, kept with the ranges
  std::vector<std::string> samples;  // names for errors
  // Fills the runner's inputs with one sample, called from many threads. Throws Error when the sample is bad.
  std::function<void(size_t sample, Runner& runner)> feed;
  std::vector<std::string> files = {};  // that the samples lie in; empty: not known
};

struct Calibration {
  Ranges ranges;
  std::vector<LogRecord> records;
  std::vector<std::string> problems;  // bad samples, in their order; the others were used
};

// Values whose ranges quantization needs: inputs of every Conv2D, DepthwiseConv2dNative and MatMul with a constant filter, and
// their outputs after BiasAdd, and what row_ops.h lists. Or all float values.
std::vector<std::string> values_of_layers(const Graph& graph);
std::vector<std::string> all_float_values(const Graph& graph, const PlanOptions& plan);

// What is known of every value when the inputs have the plan's shapes.
Facts facts_of(const Graph& graph, const PlanOptions& plan);

// `graph` is the optimized one; plan says inputs and outputs. Throws Error naming sample and node when a value is not finite, and
// when no sample could be used.
Calibration calibrate(const Graph& graph, PlanOptions plan, const CalibrationData& data, const CalibrateOptions& options);

}  // namespace cytodet::quant
