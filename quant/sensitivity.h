// How much rounding each layer to 8 bits moves the network's outputs.
#pragma once

#include <string>
#include <vector>

#include "quant/calibrate.h"
#include "quant/quantize.h"

namespace cytodet::quant {

struct SensitivityOptions {
  bool alone_float = false;  // the layer alone stays in float, all others are INT8; else it alone is INT8
  QuantizeOptions quantize;  // layers that it excludes are not tried
  int threads = 0;           // trials at once; 0: one per usable core
  bool quiet = false;
};

struct LayerSensitivity {
  std::string name, op;
  double sqnr_db = 0;  // of the outputs
};

// SQNR of a network's outputs over samples, each output scaled to the same energy: the noise shares are averaged. For an output
// that is not float (the best class), of the float values that it is made of.
class OutputSqnr {
 public:
  // Runs the float network. Throws Error naming a sample that cannot be fed, and when no output is made of float values.
  OutputSqnr(const Graph& graph, const PlanOptions& plan, const CalibrationData& data);
  // SQNR in dB over all outputs together of `graph`, the network after quantization. Any thread may call it.
  double of(const Graph& graph) const;
  // SQNR in dB of each output, by name.
  std::vector<std::pair<std::string, double>> each(const Graph& graph) const;

 private:
  std::vector<std::pair<std::string, double>> noise_shares(const Graph& graph) const;
  PlanOptions plan_;
  std::vector<std::vector<Tensor>> inputs_, outputs_;  // by sample
};

// Every layer that quantize() would make INT8, the most harmful first: with it alone in INT8 the SQNR is lowest, with it alone in
// float highest. Independent of threads. Throws Error as quantize() does.
std::vector<LayerSensitivity> sensitivity(const Graph& graph, const Ranges& ranges, const OutputSqnr& outputs,
                                          const SensitivityOptions& options);

// The names of the layers of sensitivity(), in its order.
std::vector<std::string> layers_by_harm(const Graph& graph, const Ranges& ranges, const OutputSqnr& outputs,
                                        const SensitivityOptions& options);

}  // namespace cytodet::quant
