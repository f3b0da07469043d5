// What a network becomes on a target: every operator with a count and where it runs, as compilers for accelerators print it.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "graph/interpret/set_values.h"

namespace cytodet::pipeline {

struct CompileRow {
  std::string op, status;
  int count = 0;
  std::string rule;  // what decided, where the status does not say it
};

struct CompileReport {
  std::string target;     // "this machine", "Edge TPU"
  bool forecast = false;  // by rules, not by compiling
  std::string model;
  int64_t model_bytes = 0;
  double ms = 0;  // of compiling; 0: nothing was compiled
  int64_t macs = 0, int8_macs = 0;
  int64_t memory_bytes = 0;        // of one stream beyond its weights
  int64_t parameter_bytes = 0;     // Edge TPU: of mapped operators
  int subgraphs = 0;               // Edge TPU
  int operations = 0, mapped = 0;  // mapped: by a kernel; Edge TPU: on the chip
  std::vector<CompileRow> rows;    // by operator, then status
};

// The report of this program's compiler: operators of the optimized graph, each with the kind of the kernel that computes it. For
// a .tflite or ONNX file with operators that are not read, each operator is said to be known or not, and nothing is compiled.
// `shapes`: of inputs that the graph leaves open.
CompileReport compile_here(const std::filesystem::path& graph, const GraphChanges& changes,
                           const std::map<std::string, Shape>& shapes);
// The report by the published rules of the Edge TPU compiler (graph/io/tflite/edge_tpu.h). Throws Error where it is no .tflite
// file.
CompileReport forecast_edge_tpu_of(const std::filesystem::path& model);

std::string to_text(const CompileReport& report);
Json to_json(const CompileReport& report);

}  // namespace cytodet::pipeline
