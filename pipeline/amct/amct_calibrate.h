// What amct_tensorflow calibration does: a float graph and raw inputs -> records and a quantized graph, by AMCT's file names.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/output_plan.h"
#include "core/tensor.h"
#include "pipeline/amct/amct_config.h"
#include "quant/quantize.h"

namespace cytodet::pipeline {

struct AmctInput {
  std::string name;
  Shape shape;
  DType type = DType::f32;
  std::string folder;  // of files that each hold the bytes of one tensor of this shape, row-major, little-endian
};

struct AmctRequest {
  std::string model;
  std::vector<std::string> outputs;
  std::vector<AmctInput> inputs;
  std::string save_path;  // folder and first part of the files' names; a folder: the graph's name
  std::string config;     // .cfg, or config.json; empty: defaults
  int batch_num = 0;      // samples; 0: as the configuration says, or all
  bool overwrite = false, quiet = false;
};

// The files that are written.
struct AmctFiles {
  std::filesystem::path graph, quant_json, config, record, nuq_record, log;
  std::vector<std::filesystem::path> all() const { return {graph, quant_json, config, record, nuq_record, log}; }
};
AmctFiles amct_files(const AmctRequest& request);

// Reads the configuration, calibrates by its algorithms, writes all files, and returns what the log says, a line each. Throws
// Error for a layer of the configuration that the graph does not hold (with the nearest), data of another size, too few samples.
std::vector<std::string> amct_calibrate(const AmctRequest& request);

// The layers of a quantized graph as AMCT's <name>_quant.json lists them.
Json quant_layers_json(const QuantizeReport& report, const Records& records);

}  // namespace cytodet::pipeline
