// Forms of a network in fewer bits, besides the INT8 graph of make_int8: the modes that users of TensorFlow Lite know.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "pipeline/quantize/quantize_model.h"
#include "pipeline/quantize/target.h"

namespace cytodet::pipeline {

enum class QuantizeMode { int8, weights, float16, full_int8, dynamic };
// Its name: "int8", "weights", "float16", "full-int8" or "dynamic".
const char* name_of(QuantizeMode mode);
std::optional<QuantizeMode> find_quantize_mode(const std::string& name);
// Throws UsageError with the known ones.
QuantizeMode quantize_mode_named(const std::string& name);
bool needs_ranges(QuantizeMode mode);

// Ranges of all float values: those of s.ranges, or calibrated on s.images.
Ranges ranges_of_all_values(QuantizationTarget& target, const QuantizeSettings& s, bool quiet);

// Whether the first sample holds pixels as they are, whole numbers up to 255, and the network does not turn them into other
// numbers first: a line that says so, for a warning. Empty: no.
std::string raw_pixels_in(const QuantizationTarget& target, const CalibrationData& data);

struct ModeRequest {
  QuantizeMode mode = QuantizeMode::int8;
  DType stored = DType::u8;  // of full_int8's inputs and outputs: u8 or i8
  bool per_channel = true;
  bool lite = false;  // a .tflite file, else a graph
};

struct ModeFile {
  std::string bytes;
  Graph graph;        // what is read of a file of that form whose inputs and outputs are floats: what is measured
  std::string did;    // "52 filters as int8, constants 8.8 -> 2.4 MB"
  std::string takes;  // what the inputs and outputs of full_int8 hold, a line each; empty: floats as before
};
// `ranges`: of all float values (calibrate with all_values), where needs_ranges. `int8`: the network of make_int8, of a graph in
// full_int8. `out` says text or binary. Throws Error: ops that have no form in TensorFlow Lite, an input or output without range.
ModeFile make_mode(const QuantizationTarget& target, const ModeRequest& request, const Ranges& ranges, const Graph* int8,
                   const std::filesystem::path& out);

}  // namespace cytodet::pipeline
