// A network in INT8 that answers as in float: what it is measured on, and what is tried where it does not.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "pipeline/quantize/quantize_model.h"

namespace cytodet::pipeline {

// Signal-to-noise ratios of INT8 to float, in dB.
constexpr double kGoodDb = 20;            // below it the cause is looked for
constexpr double kPoorDb = 10;            // below it nothing is written, unless forced
constexpr double kTensorFlowGoodDb = 20;  // below it TensorFlow's may be no more than kTensorFlowGapDb under this program's
constexpr double kTensorFlowGapDb = 1;

// `here`: as this program runs the file. `tensorflow`: as TensorFlow does, which also rounds each integer layer's result to 8
// bits of one scale for all channels.
struct OutputDb {
  std::string name;
  double here = 0, tensorflow = 0;
};
struct Int8Figures {
  std::vector<OutputDb> outputs;
  double here = 0, tensorflow = 0;  // of all outputs together, each scaled to the same energy
  std::string samples;              // what they were taken on, as a phrase; empty: nothing was measured
};

struct Int8Network {
  Ranges ranges;
  QuantizeOptions layers;
  Quantized quantized;
  Graph file;  // to_tf_int8 of it
  Int8Figures figures;
  std::vector<std::string> log;  // what was tried, with its figure, and what was done
};

// Ranges of the images of `s`, by s.method.
using RangesBy = std::function<Ranges(const QuantizeSettings& s)>;

// Quantizes as s and `layers` say, and measures the result on samples of s.images: up to four that calibration leaves out, if
// there are enough. It then tries on these samples, as far as s leaves the choice open, whether ranges of the smallest squared
// error are better than `ranges`, whether rounding weights to the nearest is better, whether layers are better not equalized, and
// whether sums and products between layers lose no more than 0.25 dB in INT8, which halves the maps between layers.
// If the result is below kGoodDb, unless s.search is false or layers have records, it tries in turn: other observers for all
// values; other observers for the values of the most harmful layers; the other symmetry; the fewest layers in float that reach
// kGoodDb. Layers whose results TensorFlow would round too coarsely get the form that it runs on floats. Trials are bounded: some
// thirty of the network, and in small networks one for each layer on one sample. With s.max_drop nothing is tried, since the
// search for that has chosen already. Throws Error if no layer became INT8, and below kPoorDb unless s.force. `ranges_by`
// calibrates by other observers; empty: ranges_of().
Int8Network make_int8(QuantizationTarget& target, const Ranges& ranges, const QuantizeSettings& s, const QuantizeOptions& layers,
                      bool quiet, const RangesBy& ranges_by = {});

}  // namespace cytodet::pipeline
