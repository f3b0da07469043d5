// Graph + ranges -> quantized graph.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "graph/quantized/quant_nodes.h"
#include "quant/ranges.h"
#include "quant/record.h"

namespace cytodet::quant {

class Moments;

struct QuantizeOptions {
  bool per_channel = true;
  bool symmetric = false;                  // signed activations everywhere
  bool bias_correction = true;             // shifts each bias by the mean that rounding the weights moved the output
  std::vector<std::string> exclude_ops;    // TensorFlow ops that stay in float
  std::vector<std::string> exclude_nodes;  // nodes that stay in float
  bool full_range =
      false;  // dense filters need not be 16-bit safe (graph/quantized/quant_nodes.h is_16bit_safe): slower without VNNI
  bool reduce_range = false;  // dense filters keep to -64..64: sums of any two products fit 16 bits
  // Sums, products and stand-alone activations read INT8 too: less memory, less exact. Null: not, but
  // pipeline/quantize/int8_search takes it where images show that it costs little.
  std::optional<bool> elementwise = {};
  bool equalize = true;  // scales input channels before they are quantized, and the filter back; see equalization()
  int weight_bits = 8;   // 8, or 4: of filters for which keeps_8_bits() is false
  std::vector<std::string> eight_bit_nodes = {};  // layers whose filters keep 8 bits too
  int nuq_steps = 0;  // 16 or 32: the values of a filter that need not keep 8 bits, where they fit best; 0: all of weight_bits
  std::shared_ptr<const Records> records = {};  // layers that have one are quantized by it, others stay in float; null: by ranges
  std::shared_ptr<const Moments> moments = {};  // weights are rounded by them (learned_rounding.h); null: each to the nearest
};

enum class LayerPrecision { float32, int8 };
const char* name_of(LayerPrecision precision);  // "float", "int8"

struct QuantizedLayer {
  std::string name, op;
  LayerPrecision precision = LayerPrecision::float32;
  std::string why;  // what keeps a float layer so
  QuantParams input;
  std::string input_name;
  std::optional<double> weight_sqnr_db = {};  // of the quantized weights against the float ones; of a layer that has any
  int weight_bits = 8;                        // that a weight takes in the file
};

struct QuantizeReport {
  std::vector<QuantizedLayer> layers;
  int int8_layers() const;
};

// Whether a filter has 8 bits whatever weight_bits is: one of a depthwise layer, or of fewer than 1,024 weights, whose share of
// the file's size is not worth a loss.
bool keeps_8_bits(const std::string& op, const Tensor& filter);

// Throws UsageError of nodes in the options that the graph does not have, with the nearest ones, and of ops that it has in
// another case: as quantize(), before any work.
void check_names(const Graph& graph, const QuantizeOptions& options);
// Excluded ops that the graph does not have, with the nearest ones, as a warning; empty: none. Lists of ops are written for many
// networks, so an op that one of them lacks is no error.
std::string unknown_exclusions(const Graph& graph, const QuantizeOptions& options);

// Factors [input channels] that make the channels' ranges alike: the input is multiplied by them, the filter divided. Depthwise:
// 1 / the channel's range, which costs the filter nothing, since its quantized values are scaled per channel. Else
// sqrt(max |weight| of the channel / the channel's range) ("Data-free quantization", Nagel et al. 2019, formula 11, one side of
// it). The factors are divided by the largest, which becomes 1; all are exact in half precision, so that a file can keep them in
// 16 bits.
std::vector<float> equalization(const Tensor& filter, bool depthwise, const Range& input);

// Quantizes every Conv2D, DepthwiseConv2dNative and MatMul with a constant filter whose input has a range, average pools, means
// and bilinear resizes that alone read their input, and, where asked, sums, products and activations; other convolutions and
// matrix products are in the report. `graph` is an optimized float graph, the one that the ranges were taken on. Throws Error:
// nothing to quantize, already quantized, another graph's ranges, excluded names that do not exist (with the nearest names).
QuantizeReport quantize(Graph& graph, const Ranges& ranges, const QuantizeOptions& options);

// The report of a graph that is quantized already.
QuantizeReport report_of(const Graph& graph);

// Range of each quantized convolution's sum after its bias (and Relu or Relu6), by convolution: what a file with frozen ranges
// needs. `outputs`: nodes whose names must stay.
std::map<std::string, Range> result_ranges(const Graph& graph, const Ranges& ranges, const std::set<std::string>& outputs = {});
// The lower and upper ends of result_ranges().
std::map<std::string, std::pair<float, float>> output_ranges(const Graph& graph, const Ranges& ranges,
                                                             const std::set<std::string>& outputs = {});

}  // namespace cytodet::quant
