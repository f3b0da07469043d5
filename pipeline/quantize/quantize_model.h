// A network from float to an INT8 file.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "pipeline/config/quantize_settings.h"
#include "pipeline/detect/image_pipeline.h"
#include "pipeline/quantize/target.h"
#include "quant/fallback.h"
#include "quant/moments.h"
#include "quant/quantize.h"

namespace cytodet::pipeline {

// How images are calibrated on: by the first observer of s.
CalibrateOptions calibrate_options(const QuantizeSettings& s, bool quiet);
// Reads them, or calibrates: by the callback, or on images.
Ranges ranges_of(QuantizationTarget& target, const QuantizeSettings& s, bool quiet);

// s.layers with all that s names: the records of its file, and the second moments that weights are rounded by, of the images that
// calibration saw (null where s says nearest, or has no images). `state`: a file beside the output, rounding_state(), by which a
// run that was killed goes on; empty: none. Whoever names one calls end_rounding() when the output is written.
QuantizeOptions layers_of(QuantizationTarget& target, const QuantizeSettings& s, bool quiet,
                          const std::filesystem::path& state = {});
std::filesystem::path rounding_state(const std::filesystem::path& out);
void end_rounding(const std::shared_ptr<const Moments>& moments);

struct Quantized {
  Graph graph;  // in graph/quantized/quant_nodes.h's form
  QuantizeReport report;
};
Quantized quantize_target(const QuantizationTarget& target, const Ranges& ranges, const QuantizeOptions& options);
// The records of its INT8 layers. Throws Error of a layer whose input channels are equalized: records have no form for that.
Records records_of(const Quantized& quantized);
// Throws Error with the most frequent reason where no layer became INT8. `graph`: its file.
void require_int8_layers(const std::string& graph, const QuantizeReport& report);

// Layers whose results leave the network without another layer in between: what they give must stay precise.
std::set<std::string> last_layers(const QuantizationTarget& target);

// The graph with FakeQuant nodes in place of its quantized layers (quant/fake_quant.h); `layers`: how many they are.
Graph trainable_graph(const QuantizationTarget& target, const Quantized& quantized, int& layers);

// The form that stock TensorFlow runs on integers; `precise` layers, besides last_layers(), on floats.
Graph to_tf_int8(const QuantizationTarget& target, const Quantized& quantized, const Ranges& ranges,
                 const std::set<std::string>& precise = {});
// Makes of a Quantized's graph one that computes, on kernels, what TensorFlow computes of that form.
void round_as_tensorflow(const QuantizationTarget& target, Graph& quantized, const Ranges& ranges,
                         const std::set<std::string>& precise);
// The layers that it rounds, those first whose channels lie in the smallest shares of the range that all are rounded by.
std::vector<std::string> most_coarsely_rounded(const QuantizationTarget& target, const Quantized& quantized,
                                               const Ranges& ranges);
// The network that this program runs after it read `file`, a graph of to_tf_int8(): figures must be measured on it.
Graph from_tf_int8(const QuantizationTarget& target, Graph file);

// The path of the model file that is written beside an INT8 graph; check_writable throws Error before any work when graph or
// model file cannot be written, or would overwrite their own source.
std::filesystem::path model_file_beside(const std::filesystem::path& graph);
void check_writable(const QuantizationTarget& target, const std::filesystem::path& out);
// Writes the graph `file`, which is to_tf_int8() of `quantized`, and for a model its model file beside it. Unless asked not to,
// the file's bytes are read again and run beside the quantized network on random feeds before they get their name: throws Error
// when an output's signal-to-noise ratio is below kMinFileDb [dB].
constexpr double kMinFileDb = 10;
enum class FileCheck { yes, no };
void write_quantized(const QuantizationTarget& target, const Quantized& quantized, const Graph& file,
                     const std::filesystem::path& out, FileCheck check = FileCheck::yes);
// Writes any graph of the target's network, and for a model its model file beside it.
void write_network(const QuantizationTarget& target, const Graph& graph, const std::filesystem::path& out);
// The target's model file, for the graph `out`, beside it.
void write_model_file_beside(const QuantizationTarget& target, const std::filesystem::path& out);

}  // namespace cytodet::pipeline
